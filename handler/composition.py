"""Which adapter stands behind which port, from the settings alone; made once per execution environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.session import get_session

import scoring
from handler.adapters.fraud import TableFraudScoring
from handler.adapters.gateway_simulated import SimulatedGateway
from handler.adapters.memory import MemoryDynamoDb, MemoryRejectedQueue, MemorySourceQueue
from handler.adapters.queues import SqsRejectedQueue, SqsSourceQueue
from handler.adapters.secrets import read_pepper
from handler.adapters.system import AnyLogger, LoggingNotifier, RandomIds, RecordedApprovals, SystemClock
from handler.adapters.transaction_log import DynamoDbTransactionLog
from handler.domain.errors import ConfigurationError, TransactionLogUnavailableError
from handler.domain.mask import FindCardNumbers
from handler.domain.ports import (
    ApprovalCallbacks,
    ApprovalLog,
    ApprovalNotices,
    ApprovalStarter,
    Clock,
    Executions,
    Ids,
    PaymentGateway,
    Signer,
    SourceQueue,
)
from handler.domain.process import Ports, Rules
from handler.settings import Settings
from scoring.table import RuleTableError, Table, open_table

if TYPE_CHECKING:
    from handler.domain.approve import ApprovalPorts, ApprovalRules

# One slow answer must not eat the invocation; a lost one is decided from the stored item.
_CLIENT_CONFIG = {"connect_timeout": 1, "read_timeout": 1, "retries": {"mode": "standard", "total_max_attempts": 3}}


@dataclass(frozen=True, slots=True)
class Services:
    """All that the queue function works with."""

    rules: Rules
    ports: Ports
    source_queue: SourceQueue
    ids: Ids


@dataclass(frozen=True, slots=True)
class Decisions:
    """All that deciding on approvals, and reconciling them, works with."""

    log: DynamoDbTransactionLog
    callbacks: ApprovalCallbacks
    executions: Executions
    starter: ApprovalStarter
    clock: Clock
    find_card_numbers: FindCardNumbers
    environment: str


def compose(settings: Settings, kernel: Any, logger: AnyLogger) -> Services:
    """Build every adapter and send the one read that pays for name look-up, TLS and credentials in init.

    `kernel` is the scoring twin in use.

    Raises ConfigurationError where a setting and what is there do not fit.
    """
    table = _rule_table(settings)
    session = None if settings.in_memory else get_session()
    pepper, pepper_version = b"", ""
    if settings.fingerprint_pepper_secret_arn:
        pepper, pepper_version = read_pepper(
            _client(session, "secretsmanager", settings), settings.fingerprint_pepper_secret_arn
        )
    dynamodb: Any = MemoryDynamoDb() if session is None else _client(session, "dynamodb", settings)
    log = DynamoDbTransactionLog(dynamodb, settings.table_name)
    if session is None:
        rejected: Any = MemoryRejectedQueue()
        source_queue: SourceQueue = MemorySourceQueue()
    else:
        if not settings.rejected_queue_url:
            raise ConfigurationError("REJECTED_QUEUE_URL", None, "the URL of the rejected queue")

        @cache
        def sqs() -> Any:
            return _client(session, "sqs", settings)

        rejected = SqsRejectedQueue(sqs, settings.rejected_queue_url)
        source_queue = SqsSourceQueue(sqs, settings.payment_queue_url)
        _warm_up(log, logger)
    ports = Ports(
        log=log,
        gateway=_gateway(settings),
        scoring=TableFraudScoring(
            kernel, table, iterations=settings.fraud_iterations, pepper=pepper, pepper_version=pepper_version
        ),
        approvals=_approvals(session, settings),
        rejected=rejected,
        notifier=LoggingNotifier(logger),
        clock=SystemClock(),
    )
    return Services(settings.rules, ports, source_queue, RandomIds())


def _rule_table(settings: Settings) -> Table:
    path = Path(settings.rule_table_path) if settings.rule_table_path else Path(scoring.__path__[0], "rules.table")
    try:
        return open_table(path)
    except (OSError, RuleTableError) as error:
        raise ConfigurationError("RULE_TABLE_PATH", str(path), f"a rule table that can be read ({error})") from error


def compose_workflow(environment: Mapping[str, str]) -> tuple[ApprovalRules, ApprovalPorts]:
    """What the approval workflow works with: the queue function's adapters, and messages to approvers.

    Its imports are here, so that the queue function does not pay for them. Raises ConfigurationError.
    """
    import logging
    import random

    from handler.adapters.approvals import LoggedNotices, SnsNotices
    from handler.adapters.fraud import FailingFraudScoring
    from handler.domain.approve import ApprovalPorts, ApprovalRules
    from handler.settings import read_approval_settings, read_settings
    from scoring.kernel import load_kernel

    settings, approval = read_settings(environment), read_approval_settings(environment)
    ports = compose(settings, load_kernel(settings.scoring_engine), logging.getLogger("handler.workflow")).ports
    if approval.fraud_service_failure_rate:
        scoring = FailingFraudScoring(ports.scoring, approval.fraud_service_failure_rate, random.random)
        ports = replace(ports, scoring=scoring)
    notices: ApprovalNotices = LoggedNotices()
    if approval.topic_arn:
        session = get_session()
        signer = _signer(session, settings, approval.key_id) if approval.page_url else None
        notices = SnsNotices(
            _client(session, "sns", settings), approval.topic_arn, approval.approvers, approval.page_url, signer
        )
    rules = ApprovalRules(settings.rules, round(1000 * approval.timeout_seconds))
    return rules, ApprovalPorts(ports, cast("ApprovalLog", ports.log), notices)


def compose_decisions(environment: Mapping[str, str]) -> Decisions:
    """What deciding needs, on the approval page and the command line. Raises ConfigurationError."""
    from handler.adapters.approvals import LambdaCallbacks, LambdaExecutions
    from handler.settings import read_settings
    from scoring.kernel import load_kernel

    settings = read_settings(environment)
    session = get_session()
    functions = _client(session, "lambda", settings)
    return Decisions(
        log=DynamoDbTransactionLog(_client(session, "dynamodb", settings), settings.table_name),
        callbacks=LambdaCallbacks(functions),
        executions=LambdaExecutions(functions),
        starter=_approvals(session, settings),
        clock=SystemClock(),
        find_card_numbers=load_kernel(settings.scoring_engine).find_card_numbers,
        environment=settings.rules.environment,
    )


def caller_identity() -> str:
    """The ARN of whoever holds the credentials in use. Raises botocore's errors."""
    answer = get_session().create_client("sts", region_name="us-east-1").get_caller_identity()
    return str(answer["Arn"])


def compose_signer(environment: Mapping[str, str]) -> Signer:
    """The key of the links to the approval page. Raises ConfigurationError."""
    from handler.settings import read_approval_settings, read_settings

    key_id = read_approval_settings(environment).key_id
    if not key_id:
        raise ConfigurationError("APPROVAL_KEY_ID", None, "a KMS HMAC key, or file:<path> of a key file")
    return _signer(get_session(), read_settings(environment), key_id)


def _signer(session: Any, settings: Settings, key_id: str) -> Signer:
    from handler.adapters.signing import FileSigner, KmsSigner

    if key_id.startswith("file:"):
        return FileSigner(Path(key_id.removeprefix("file:")))
    return KmsSigner(_client(session, "kms", settings), key_id)


def _approvals(session: Any, settings: Settings) -> ApprovalStarter:
    if session is None or not settings.approval_function_arn:
        return RecordedApprovals()
    from handler.adapters.approvals import LambdaApprovalStarter

    # Made at the first risky payment: most environments never see one, and a client costs a tenth of init.
    return LambdaApprovalStarter(cache(lambda: _client(session, "lambda", settings)), settings.approval_function_arn)


def _client(session: Any, service: str, settings: Settings) -> Any:
    # The package brings Amazon's roots alone: loading the SDK's whole list is a tenth of init. Elsewhere, that list.
    roots = Path(__file__).with_name("amazon_roots.pem")
    verify = str(roots) if settings.aws_endpoints and roots.exists() else None
    return session.create_client(service, region_name=settings.region, verify=verify, config=Config(**_CLIENT_CONFIG))


def _gateway(settings: Settings) -> PaymentGateway:
    if not settings.gateway_url:
        return SimulatedGateway()
    # Imported only where there is a gateway to talk to.
    from handler.adapters.gateway_http import HttpPaymentGateway

    return HttpPaymentGateway(settings.gateway_url, settings.rules.times.gateway_deadline_seconds)


def _warm_up(log: DynamoDbTransactionLog, logger: AnyLogger) -> None:
    """One harmless read: the first request over TLS costs over ten times the next one, and init is not throttled."""
    try:
        log.get("init")
    except TransactionLogUnavailableError as error:
        logger.warning("the table did not answer in init: %s", error)
