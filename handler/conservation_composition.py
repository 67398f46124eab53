"""What the day's sums are made of, for their function and for the command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from handler.adapters.conservation import ExportedChanges, SumsBucket
from handler.adapters.system import SystemClock
from handler.adapters.table.export import TableExports
from handler.adapters.table.transaction_log import DynamoDbTransactionLog
from handler.composition import aws_clients, payment_gateway
from handler.domain.conservation_run import ConservationPorts
from handler.domain.errors import ConfigurationError
from handler.settings import read_export_bucket, read_settings
from handler.support import load_support

if TYPE_CHECKING:
    from handler.support import Support

_LOG = logging.getLogger(__name__)


def compose_conservation(environment: Mapping[str, str], support: Support | None = None) -> ConservationPorts:
    """Everything that a run works with; without `support` by the reference's clients.

    Raises ConfigurationError, for a gateway without lists too, and AwsError where the table is not found.
    """
    settings, bucket = read_settings(environment), read_export_bucket(environment)
    if not bucket:
        raise ConfigurationError("EXPORT_BUCKET", None, "the bucket of the table's exports")
    if settings.gateway in ("", "simulated"):
        raise ConfigurationError(
            "GATEWAY", settings.gateway or None, "a gateway that has lists: simulated keeps nothing"
        )
    aws_client = aws_clients(settings, support or load_support("standard"))
    dynamodb, s3 = aws_client("dynamodb"), aws_client("s3")
    table = dynamodb.describe_table(TableName=settings.table_name)["Table"]
    kept = SumsBucket(s3, bucket, settings.rules.environment)
    exports = TableExports(dynamodb, s3, table["TableArn"], bucket)
    return ConservationPorts(
        changes=ExportedChanges(exports, kept, round(1000 * table["CreationDateTime"].timestamp())),
        kept=kept,
        log=DynamoDbTransactionLog(dynamodb, settings.table_name),
        gateway=payment_gateway(settings, aws_client, _LOG),
        clock=SystemClock(),
    )
