"""Which adapter stands behind which port of the approval workflow, and of deciding; the queue function has neither."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from handler.adapters.approval.evidence import TableEvidence
from handler.adapters.approval.executions import LambdaCallbacks, LambdaExecutions
from handler.adapters.approval.notices import LoggedNotices, SnsNotices
from handler.adapters.approval.signing import FileSigner, KmsSigner
from handler.adapters.fraud import FailingFraudScoring
from handler.adapters.queues import SqsRetryQueue
from handler.adapters.system import LoggingNotifier, SystemClock
from handler.adapters.table.approval_log import DynamoDbApprovalLog
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.composition import Clients, approval_starter, aws_clients, compose_ports, payment_gateway, rule_table
from handler.domain.approval.ports import ApprovalNotices, Decisions, Signer
from handler.domain.approval.steps import ApprovalPorts, ApprovalRules
from handler.domain.errors import ConfigurationError
from handler.domain.forget import DAY_MS
from handler.domain.parked import RetryQueue
from handler.domain.ports import ListingGateway
from handler.domain.record_found import FindEnd, end_finder
from handler.domain.restored import LookUp
from handler.domain.times import Times
from handler.settings import (
    Settings,
    read_approval_settings,
    read_patience_ms,
    read_personal_data_days,
    read_settings,
)
from handler.support import load_support
from scoring.kernel import load_engine

if TYPE_CHECKING:
    from handler.adapters.approval.decision_api import DecisionApi
    from handler.support import Support


def compose_workflow(
    environment: Mapping[str, str], support: Support | None = None
) -> tuple[ApprovalRules, ApprovalPorts]:
    """What the approval workflow works with: the queue function's adapters, and messages to approvers.

    `support` makes the clients of AWS; without it the reference does. Raises ConfigurationError.
    """
    settings, approval = read_settings(environment), read_approval_settings(environment)
    engine = load_engine(settings.scoring_engine, settings.scoring_kernel)
    aws_client = None if settings.in_memory else _clients(settings, support)
    logger = logging.getLogger("handler.workflow")
    ports, log, _ = compose_ports(settings, engine, logger, aws_client, DynamoDbApprovalLog)
    if approval.fraud_service_failure_rate:
        scoring = FailingFraudScoring(ports.scoring, approval.fraud_service_failure_rate, random.random)
        ports = ports._replace(scoring=scoring)
    if approval.page_url and not approval.key_id:
        raise ConfigurationError("APPROVAL_KEY_ID", None, "the key that signs the links to APPROVAL_PAGE_URL")
    notices: ApprovalNotices = LoggedNotices()
    if approval.topic_arn:
        aws_client = aws_client or _clients(settings, support)
        signer = _signer(aws_client, approval.key_id) if approval.page_url else None
        # An AWS identity has no mailbox, and a link in its name would be a second way to be it.
        asked = [one for one in approval.approvers if not one.startswith("arn:")]
        notices = SnsNotices(aws_client("sns"), approval.topic_arn, asked, approval.page_url, signer)
    rules = ApprovalRules(settings.rules, round(1000 * approval.timeout_seconds), approval.shows)
    evidence = TableEvidence(engine, rule_table(settings, engine))
    return rules, ApprovalPorts(ports, log, notices, evidence)


def compose_decisions(environment: Mapping[str, str], support: Support | None = None) -> Decisions:
    """What deciding needs, on the approval page and the command line; raises, and takes `support`, as the workflow."""
    settings = read_settings(environment)
    aws_client = _clients(settings, support)
    functions = aws_client("lambda")
    return Decisions(
        log=DynamoDbParkingLog(aws_client("dynamodb"), settings.table_name),
        callbacks=LambdaCallbacks(functions),
        executions=LambdaExecutions(functions),
        starter=approval_starter(aws_client, settings),
        clock=SystemClock(),
        find_card_numbers=load_engine(settings.scoring_engine, settings.scoring_kernel).find_card_numbers,
        environment=settings.rules.environment,
    )


def compose_reconcile(environment: Mapping[str, str], support: Support) -> Decisions:
    """What the reconcile function works with beside `compose_workflow`, whose errors it raises."""
    return replace(
        compose_decisions(environment, support),
        patience_ms=read_patience_ms(environment),
        retention_ms=read_personal_data_days(environment) * DAY_MS,
    )


def compose_retries(environment: Mapping[str, str]) -> tuple[RetryQueue, Times]:
    """What retrying a parked payment needs beside `compose_decisions`; without its URL, the queue is found by its name.

    Raises ConfigurationError and AwsError.
    """
    settings = read_settings(environment)
    aws_client = _clients(settings)
    sqs = aws_client("sqs")
    name = f"cloudcafe-payment-processing-{settings.rules.environment}.fifo"
    queue_url = settings.payment_queue_url or sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return SqsRetryQueue(lambda: sqs, queue_url), settings.rules.times


def compose_gateway(environment: Mapping[str, str]) -> ListingGateway:
    """The gateway that the settings name, with its key, as the functions have it. Raises ConfigurationError."""
    settings = read_settings(environment)
    return payment_gateway(settings, _clients(settings), logging.getLogger("handler.cli"))


def compose_end_finder(environment: Mapping[str, str], decisions: Decisions) -> FindEnd:
    """What looks at the gateway for the ends of payments, while the table is restored. Raises ConfigurationError."""
    rules = read_settings(environment).rules
    notifier = LoggingNotifier(logging.getLogger("handler.cli"))
    look_up = LookUp(rules, lambda: compose_gateway(environment), decisions.clock, notifier, lambda: None)
    return end_finder(look_up, decisions.log)


def compose_decision_api(environment: Mapping[str, str]) -> DecisionApi:
    """Where the command line sends decisions. Raises ConfigurationError."""
    # The command line's alone: no function's package has it.
    from handler.adapters.approval.decision_api import DecisionApi

    url = read_approval_settings(environment).page_url
    if not url:
        allowed = "the approval page's address, as output approval_page_url, or `make up`, prints it"
        raise ConfigurationError("APPROVAL_PAGE_URL", None, allowed)
    settings = read_settings(environment)
    return DecisionApi(url, settings.region, settings.rules.environment)


def caller_identity() -> str:
    """What STS, wherever the caller's variables say that is, calls the caller: a note and no proof. Raises AwsError."""
    answer = load_support("standard").create_clients("us-east-1", None)("sts").get_caller_identity()
    return str(answer["Arn"])


def compose_signer(environment: Mapping[str, str], support: Support | None = None) -> Signer:
    """The key of the links to the approval page; raises, and takes `support`, as the workflow."""
    key_id = read_approval_settings(environment).key_id
    if not key_id:
        raise ConfigurationError("APPROVAL_KEY_ID", None, "a KMS HMAC key, or file:<path> of a key file")
    return _signer(_clients(read_settings(environment), support), key_id)


def _clients(settings: Settings, support: Support | None = None) -> Clients:
    return aws_clients(settings, support or load_support("standard"))


def _signer(aws_client: Clients, key_id: str) -> Signer:
    if key_id.startswith("file:"):
        return FileSigner(Path(key_id.removeprefix("file:")))
    return KmsSigner(aws_client("kms"), key_id)
