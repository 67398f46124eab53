"""One payment from message to settled state, in the order of its sentence: parse, mask, validate, score, claim, charge,
record. The first four are pure and done for a whole batch; the last three are done one message after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal, NamedTuple

from handler.domain.charge import charge, idempotency_key
from handler.domain.claim import Claim, InVersion, Standing, Work, claim
from handler.domain.errors import DamagedItemError, RetryableError, ScoringError
from handler.domain.item import FIRST_VERSION, new_item
from handler.domain.mask import mask, mask_unreadable, masked_body
from handler.domain.parse import Document, UnreadableBodyError, parse
from handler.domain.payment import Assessment, Fault, Message, Payment
from handler.domain.ports import (
    ApprovalStarter,
    Clock,
    FraudScoring,
    Notifier,
    PaymentGateway,
    RejectedQueue,
    TransactionLog,
)
from handler.domain.record import record, release
from handler.domain.score import Routing, score
from handler.domain.states import Status
from handler.domain.times import Times
from handler.domain.validate import Limits, Validation, validate

# The environments whose money is real: nothing is simulated there, and nothing measured.
PRODUCTION: Final = ("prod", "production")

Outcome = Status | Literal["duplicate", "conflict", "in_workflow", "unusable"]


class Rules(NamedTuple):
    """A deployment's rules: its name, what it accepts, whom it asks, and its times.

    `canonical_version` is the version of the canonical text that new items are written in.
    """

    environment: str = "dev"
    limits: Limits = Limits()
    routing: Routing = Routing()
    times: Times = Times()
    canonical_version: int = FIRST_VERSION


class Ports(NamedTuple):
    log: TransactionLog
    gateway: PaymentGateway
    scoring: FraudScoring
    approvals: ApprovalStarter
    rejected: RejectedQueue
    notifier: Notifier
    clock: Clock


class Reading(NamedTuple):
    """A message as far as it goes without any input or output. `message` is masked and may be kept.

    `validation` is in the version that is written; `in_version` reads the message in that of an item.
    """

    message: Message
    masked_body: str
    validation: Validation
    in_version: InVersion
    assessment: Assessment | ScoringError | None = None


def read(messages: Sequence[Message], rules: Rules, scoring: FraudScoring) -> dict[str, Reading]:
    """Parse, mask, validate and score a batch; results by message id. No input or output, and it never raises."""
    readings = examine(messages, rules, scoring)
    valid = [reading for reading in readings.values() if reading.validation.payment is not None]
    payments = [reading.validation.payment for reading in valid if reading.validation.payment is not None]
    for reading, assessment in zip(valid, score(payments, scoring), strict=True):
        readings[reading.message.message_id] = reading._replace(assessment=assessment)
    return readings


def examine(messages: Sequence[Message], rules: Rules, scoring: FraudScoring) -> dict[str, Reading]:
    """Parse, mask and validate a batch, without scores; results by message id. It never raises."""
    documents: list[tuple[Message, dict[str, Document]]] = []
    readings: dict[str, Reading] = {}
    for message in messages:
        try:
            documents.append((message, parse(message.body)))
        except UnreadableBodyError as error:
            text = mask_unreadable(message.body, scoring.find_card_numbers)
            kept = _masked_message(message, text, scoring)
            unusable = Validation("", "", None, (error.fault,))
            readings[message.message_id] = Reading(kept, text, unusable, lambda _, it=unusable: it)  # type: ignore[misc]
    masked = mask([document for _, document in documents], scoring.find_card_numbers)
    for (message, _), document in zip(documents, masked, strict=True):
        text = masked_body(document)
        kept = _masked_message(message, text, scoring)
        validation = validate(document, rules.limits, rules.canonical_version)
        readings[message.message_id] = Reading(kept, text, validation, partial(validate, document, rules.limits))
    return readings


def settle(reading: Reading, rules: Rules, ports: Ports, work: Work) -> Outcome:
    """Bring one message to a settled state. Returning acknowledges it; a RetryableError asks for redelivery."""
    validation = reading.validation
    if not validation.payment_id:
        work.require_time(rules.times)
        ports.rejected.send(reading.message, reading.masked_body, _unusable_reason(validation.faults))
        return "unusable"
    if isinstance(reading.assessment, ScoringError):
        raise reading.assessment
    now_ms = ports.clock.now_ms()
    item = new_item(
        reading.message,
        validation.payment_id,
        validation.request_hash,
        "rejected"
        if validation.payment is None or reading.assessment is None
        else rules.routing.route(validation.payment, reading.assessment),
        owner=work.owner,
        now_ms=now_ms,
        payment=validation.payment,
        faults=validation.faults,
        assessment=reading.assessment,
        canonical_version=validation.version,
        lease_until_ms=rules.times.lease_until_ms(now_ms, work.remaining_ms()),
        environment=rules.environment,
    )
    with alarmed(ports.notifier):
        claimed = claim(item, reading.in_version, log=ports.log, clock=ports.clock, times=rules.times, work=work)
        if isinstance(claimed, Standing):
            if claimed.outcome == "pending_approval" and not claimed.item.execution_arn:
                ports.approvals.start(claimed.item, claimed.item.request)
            return claimed.outcome
        payment = reading.in_version(claimed.canonical_version).claimed
        if payment is None:
            # Only a valid payment is ever routed to `processing`, so its claim is of one, of today or of its time.
            raise DamagedItemError(claimed.transaction_id, f"{claimed.transaction_id} is claimed and no payment")
        return pay(claimed, payment, rules, ports, work)


@contextmanager
def alarmed(notifier: Notifier) -> Iterator[None]:
    """Tell people of an item that nothing can be decided from; the error goes on."""
    try:
        yield
    except DamagedItemError as error:
        notifier.alarm(error.reason_code, error.transaction_id, str(error))
        raise


def pay(claimed: Claim, payment: Payment, rules: Rules, ports: Ports, work: Work) -> Status:
    """Charge and record a claimed payment; on a retryable error its lease is released."""
    try:
        gateway_ref, result = charge(
            claimed,
            payment,
            idempotency_key(rules.environment, payment.payment_id),
            gateway=ports.gateway,
            log=ports.log,
            clock=ports.clock,
            times=rules.times,
            work=work,
        )
        return record(claimed, gateway_ref, result, log=ports.log, clock=ports.clock, notifier=ports.notifier)
    except RetryableError:
        release(claimed, log=ports.log, clock=ports.clock)
        raise


def _masked_message(message: Message, text: str, scoring: FraudScoring) -> Message:
    """The group is the sender's text as well, and is stored."""
    group = mask([message.group], scoring.find_card_numbers)[0] if message.group else ""
    return message._replace(body=text, group=group)


def _unusable_reason(faults: Sequence[Fault]) -> str:
    """One reason code for a message without a usable id: what made it unreadable, else what is wrong with the id."""
    for fault in faults:
        if fault.field in ("", "payment_id"):
            return f"payment_id_{fault.reason_code}" if fault.field else fault.reason_code
    return "payment_id_missing"
