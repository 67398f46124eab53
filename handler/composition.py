"""Which adapter stands behind which port, from the settings alone; made once per execution environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from handler.adapters.fraud import TableFraudScoring
from handler.adapters.gateways.registry import Deployment, choose
from handler.adapters.queues import SqsRejectedQueue, SqsSourceQueue
from handler.adapters.secrets import read_pepper, read_text
from handler.adapters.system import AnyLogger, LoggingNotifier, RandomIds, RecordedApprovals, SystemClock
from handler.adapters.table.transaction_log import DynamoDbTransactionLog
from handler.adapters.workers import ThreadWorkers
from handler.domain.errors import ConfigurationError, TableRefusedError, TransactionLogUnavailableError
from handler.domain.ports import (
    ApprovalStarter,
    Ids,
    ListingGateway,
    Ports,
    RejectedQueue,
    SourceQueue,
    TransactionLog,
)
from handler.domain.rules import Rules
from handler.domain.typed import NamedTuple
from handler.settings import Settings
from scoring.model import FIELDS
from scoring.table import BUILT_IN, RuleTableError, Table, open_table

if TYPE_CHECKING:
    from handler.adapters.workers import Workers
    from handler.support import Support
    from scoring.kernel import Engine

# The client of a service by its name at AWS, made when it is first asked for.
Clients = Callable[[str], Any]

Log = TypeVar("Log", bound=TransactionLog)


class Services(NamedTuple):
    """All that the queue function works with."""

    rules: Rules
    ports: Ports
    source_queue: SourceQueue
    ids: Ids
    workers: Workers
    prepares_ahead: bool = False


def compose(settings: Settings, engine: Engine, logger: AnyLogger, aws_client: Clients | None) -> Services:
    """What the queue function works with. Raises as `compose_ports`."""
    ports, _, source_queue = compose_ports(settings, engine, logger, aws_client, DynamoDbTransactionLog)
    workers = ThreadWorkers(settings.group_concurrency)
    return Services(_rules(settings), ports, source_queue, RandomIds(), workers, settings.prepares_ahead)


def compose_ports(
    settings: Settings,
    engine: Engine,
    logger: AnyLogger,
    aws_client: Clients | None,
    make_log: Callable[[Any, str], Log],
) -> tuple[Ports, Log, SourceQueue]:
    """Build every adapter and send the one read that pays for name look-up, TLS and credentials in init.

    `aws_client` is None in memory; `make_log` makes the ports' log from a client and a table name.

    Raises ConfigurationError where a setting and what is there do not fit.
    """
    table = rule_table(settings, engine)
    pepper, pepper_version = b"", ""
    if settings.fingerprint_pepper_secret_arn:
        if aws_client is None:
            raise ConfigurationError(
                "FINGERPRINT_PEPPER_SECRET_ARN", settings.fingerprint_pepper_secret_arn, "no value in memory"
            )
        pepper, pepper_version = read_pepper(aws_client("secretsmanager"), settings.fingerprint_pepper_secret_arn)
    if aws_client is None:
        # Imported only where nothing is outside, which is never so in Lambda.
        from handler.adapters.memory_queues import MemoryRejectedQueue, MemorySourceQueue
        from handler.adapters.table.memory import MemoryDynamoDb

        dynamodb: Any = MemoryDynamoDb()
        rejected: RejectedQueue = MemoryRejectedQueue()
        source_queue: SourceQueue = MemorySourceQueue()
    else:
        dynamodb = aws_client("dynamodb")
        if not settings.rejected_queue_url:
            raise ConfigurationError("REJECTED_QUEUE_URL", None, "the URL of the rejected queue")
        rejected = SqsRejectedQueue(lambda: aws_client("sqs"), settings.rejected_queue_url)
        source_queue = SqsSourceQueue(lambda: aws_client("sqs"), settings.payment_queue_url)
    log = make_log(dynamodb, settings.table_name)
    if aws_client is not None:
        _warm_up(log, logger, settings.table_name)
    ports = Ports(
        log=log,
        gateway=payment_gateway(settings, aws_client, logger),
        scoring=TableFraudScoring(
            engine,
            table,
            iterations=settings.fraud_iterations,
            pepper=pepper,
            pepper_version=pepper_version,
            rates=settings.rates,
        ),
        find_card_numbers=engine.find_card_numbers,
        approvals=approval_starter(aws_client, settings),
        rejected=rejected,
        notifier=LoggingNotifier(logger),
        clock=SystemClock(),
    )
    return ports, log, source_queue


def _rules(settings: Settings) -> Rules:
    """Those of the queue function, which in Lambda asks people through a workflow alone; the workflow has its own."""
    asks = bool(settings.approval_function_arn) or not settings.in_lambda
    return settings.rules._replace(routing=settings.rules.routing._replace(asks=asks))


def rule_table(settings: Settings, engine: Engine) -> Table:
    """The rule table of the settings, which the engine can read. Raises ConfigurationError."""
    path = settings.rule_table_path or BUILT_IN
    try:
        table = open_table(path)
        # The engine in use must read it, too: better no init than an environment that returns every message.
        engine.screen(table, [("",) * len(FIELDS)])
        return table
    except (OSError, ValueError, RuleTableError) as error:
        raise ConfigurationError("RULE_TABLE_PATH", path, f"a rule table that can be read ({error})") from error


def approval_starter(aws_client: Clients | None, settings: Settings) -> ApprovalStarter:
    """Lambda's asynchronous invocation where a workflow is deployed, else the record alone."""
    if aws_client is None or not settings.approval_function_arn:
        return RecordedApprovals()
    from handler.adapters.approval.starter import LambdaApprovalStarter

    # Made at the first risky payment: most environments never see one, and a client costs a tenth of init.
    return LambdaApprovalStarter(lambda: aws_client("lambda"), settings.approval_function_arn)


def aws_clients(settings: Settings, support: Support) -> Clients:
    """The clients of a support, for AWS or whatever the SDK's variables name. Raises ConfigurationError."""
    # The package brings Amazon's roots alone: loading the SDK's whole list is a tenth of init. Elsewhere, that list.
    roots = os.path.join(os.path.dirname(__file__), "amazon_roots.pem")
    is_trusted_alone = settings.aws_endpoints and os.path.exists(roots)
    return support.create_clients(settings.region, roots if is_trusted_alone else None)


def payment_gateway(settings: Settings, aws_client: Clients | None, logger: AnyLogger) -> ListingGateway:
    limits, arn = settings.rules.limits, settings.gateway_secret_arn
    if aws_client is None and arn:
        raise ConfigurationError("GATEWAY_SECRET_ARN", arn, "nothing in memory")
    return choose(
        Deployment(
            name=settings.gateway,
            url=settings.gateway_url,
            deadline_seconds=settings.rules.times.gateway_deadline_seconds,
            mode=settings.gateway_mode,
            secret_arn=arn,
            read_secret=(lambda: read_text(aws_client("secretsmanager"), arn)) if aws_client and arn else None,
            currencies=(limits.currency, *limits.others),
            canonical_version=settings.rules.canonical_version,
            environment=settings.rules.environment,
            in_lambda=settings.in_lambda,
            in_memory=settings.in_memory,
            off_session=settings.gateway_off_session,
            ca_file=settings.gateway_ca_file,
            logger=logger,
            connects=settings.in_lambda and not settings.is_snapshot,
        )
    )


def _warm_up(log: TransactionLog, logger: AnyLogger, table_name: str) -> None:
    """One harmless read: the first request over TLS costs over ten times the next one, and init is not throttled.

    Raises ConfigurationError for a table of another key, which would refuse every payment.
    """
    try:
        log.get("init")
    except TransactionLogUnavailableError as error:
        logger.warning("the table did not answer in init: %s", error)
    except TableRefusedError as error:
        raise ConfigurationError(
            "DYNAMODB_TABLE", table_name, f"a table with the key transaction_id ({error})"
        ) from error
