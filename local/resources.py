"""The few AWS resources of the payment function, made through the same APIs as on AWS.

Names and settings are Terraform's; a test compares the two.
"""

import base64
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.domain.canonical import VERSIONS
from local.log_groups import group_of
from local.ministack import ACCOUNT, REGION

ALIAS = "live"
RETENTION_SECONDS = 14 * 24 * 3600
RECEIVE_COUNT_MAX = 1000


@dataclass(frozen=True)
class Times:
    """The protocol's times in seconds, which must keep their proportions (protocol.md: Times)."""

    function_timeout_seconds: int = 30
    visibility_timeout_seconds: int = 180
    gateway_deadline_seconds: float = 5.0
    safety_margin_seconds: float = 5.0
    retry_delay_seconds: float = 5.0
    park_after_seconds: float = 21_600.0

    def variables(self) -> dict[str, str]:
        """As the function reads them."""
        return {
            "FUNCTION_TIMEOUT_SECONDS": f"{self.function_timeout_seconds:g}",
            "VISIBILITY_TIMEOUT_SECONDS": f"{self.visibility_timeout_seconds:g}",
            "GATEWAY_DEADLINE_SECONDS": f"{self.gateway_deadline_seconds:g}",
            "SAFETY_MARGIN_SECONDS": f"{self.safety_margin_seconds:g}",
            "RETRY_DELAY_SECONDS": f"{self.retry_delay_seconds:g}",
            "PARK_AFTER_SECONDS": f"{self.park_after_seconds:g}",
        }


@dataclass(frozen=True)
class Names:
    """What everything is called in one environment."""

    environment: str = "dev"

    @property
    def queue(self) -> str:
        return f"cloudcafe-payment-processing-{self.environment}.fifo"

    @property
    def rejected_queue(self) -> str:
        return f"cloudcafe-payment-processing-{self.environment}-rejected.fifo"

    @property
    def dead_letter_queue(self) -> str:
        return f"cloudcafe-payment-processing-{self.environment}-dlq.fifo"

    @property
    def events_queue(self) -> str:
        return f"cloudcafe-payment-events-{self.environment}.fifo"

    @property
    def table(self) -> str:
        return f"cloudcafe-payment-transactions-{self.environment}"

    @property
    def exports(self) -> str:
        """The bucket, of the emulator's account and region."""
        return f"cloudcafe-exports-{self.environment}-{ACCOUNT}-{REGION}"

    @property
    def function(self) -> str:
        return f"cloudcafe-payment-processor-{self.environment}"


@dataclass(frozen=True)
class Resources:
    """What was made: names, URLs and ARNs."""

    names: Names
    queue_url: str
    queue_arn: str
    rejected_queue_url: str
    dead_letter_queue_url: str
    code_sha256: str


def create(
    clients: dict[str, Any],
    names: Names,
    times: Times,
    package: Path,
    *,
    handler: str,
    runtime: str,
    memory_size: int,
    variables: dict[str, str],
) -> Resources:
    """Make queues, table, function and alias `live`; `package` is an unpacked deployment package.

    `variables` come on top of what the names and times decide.
    """
    dead_letter_url, dead_letter_arn = make_queue(clients["sqs"], names.dead_letter_queue, {})
    rejected_url, _ = make_queue(clients["sqs"], names.rejected_queue, {})
    queue_url, queue_arn = make_queue(
        clients["sqs"],
        names.queue,
        {
            "VisibilityTimeout": str(times.visibility_timeout_seconds),
            "ReceiveMessageWaitTimeSeconds": "20",
            "RedrivePolicy": json.dumps(
                {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": str(RECEIVE_COUNT_MAX)}
            ),
        },
    )
    _table(clients["dynamodb"], names.table)
    clients["s3"].create_bucket(Bucket=names.exports)
    sha256 = _function(
        clients,
        names,
        times,
        package,
        handler=handler,
        runtime=runtime,
        memory_size=memory_size,
        variables={
            "DYNAMODB_TABLE": names.table,
            "ENVIRONMENT": names.environment,
            "STRESS_MODE": "none",
            "PAYMENT_QUEUE_URL": queue_url,
            "REJECTED_QUEUE_URL": rejected_url,
            **times.variables(),
            **variables,
        },
    )
    return Resources(names, queue_url, queue_arn, rejected_url, dead_letter_url, sha256)


def make_queue(sqs: Any, name: str, attributes: dict[str, str]) -> tuple[str, str]:
    """A FIFO queue with what all of them have; its URL and its ARN."""
    attributes = {
        "FifoQueue": "true",
        # The published send command names no deduplication id.
        "ContentBasedDeduplication": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
        "MessageRetentionPeriod": str(RETENTION_SECONDS),
        **attributes,
    }
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def _table(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        KeySchema=[{"AttributeName": "transaction_id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "transaction_id", "AttributeType": "S"},
            {"AttributeName": "open_shard", "AttributeType": "S"},
            {"AttributeName": "fingerprint", "AttributeType": "S"},
            {"AttributeName": "created_at", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": f"{attribute.replace('_', '-')}-index",
                "KeySchema": [
                    {"AttributeName": attribute, "KeyType": "HASH"},
                    {"AttributeName": "created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for attribute in ("open_shard", "fingerprint")
        ],
    )
    # As everywhere: exports are made of it.
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def _function(
    clients: dict[str, Any],
    names: Names,
    times: Times,
    package: Path,
    *,
    handler: str,
    runtime: str,
    memory_size: int,
    variables: dict[str, str],
) -> str:
    archive = zipped(package)
    create_function(
        clients,
        names.function,
        archive,
        handler=handler,
        runtime=runtime,
        timeout_seconds=times.function_timeout_seconds,
        memory_size=memory_size,
        variables=variables,
    )
    return base64.b64encode(hashlib.sha256(archive).digest()).decode()


def create_function(
    clients: dict[str, Any],
    name: str,
    archive: bytes,
    *,
    handler: str,
    runtime: str,
    timeout_seconds: int,
    memory_size: int,
    variables: dict[str, str],
    **more: Any,
) -> None:
    """Make a function, role and log group, with alias `live` on the first version; `more` is of CreateFunction."""
    # Before its first line, as Terraform does: who follows it from the beginning must find it.
    clients["logs"].create_log_group(logGroupName=group_of(name))
    role = clients["iam"].create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        ),
    )["Role"]["Arn"]
    clients["lambda"].create_function(
        FunctionName=name,
        Runtime=runtime,
        Role=role,
        Handler=handler,
        # As Terraform describes them: who moves an alias reads it.
        Description=f"Reads canonical text {', '.join(map(str, sorted(VERSIONS)))}.",
        Code={"ZipFile": archive},
        Timeout=timeout_seconds,
        MemorySize=memory_size,
        Environment={"Variables": variables},
        **more,
    )
    # Half a second after its creation; a waiter's own second for each of four functions would be most of a start.
    active = {"Delay": 0.1, "MaxAttempts": 300}
    clients["lambda"].get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=active)
    version = clients["lambda"].publish_version(FunctionName=name)["Version"]
    clients["lambda"].create_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)


def zipped(package: Path) -> bytes:
    """A deployment ZIP of a folder: sorted, fixed dates, so that equal content has an equal hash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(package.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(package).as_posix(), (1980, 1, 1, 0, 0, 0))
                entry.external_attr = (path.stat().st_mode & 0xFFFF) << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
