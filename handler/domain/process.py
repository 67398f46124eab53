"""One payment from message to settled state, in the order of its sentence: parse, mask, validate, score, claim, charge,
record. The first four are pure and done for a whole batch; the last three are done one message after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from handler.domain.charge import charge, idempotency_key
from handler.domain.claim import Claim, Standing, Work, claim, new_item
from handler.domain.errors import RetryableError, ScoringError
from handler.domain.mask import mask, mask_unreadable, masked_body
from handler.domain.parse import Document, UnreadableBodyError, parse
from handler.domain.payment import Assessment, Fault, Message, Payment, Times
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
from handler.domain.validate import Limits, Validation, validate

Outcome = Status | Literal["duplicate", "conflict", "in_workflow", "unusable"]


class Rules(NamedTuple):
    """A deployment's rules: its name, what it accepts, whom it asks, and its times."""

    environment: str = "dev"
    limits: Limits = Limits()
    routing: Routing = Routing()
    times: Times = Times()


class Ports(NamedTuple):
    log: TransactionLog
    gateway: PaymentGateway
    scoring: FraudScoring
    approvals: ApprovalStarter
    rejected: RejectedQueue
    notifier: Notifier
    clock: Clock


class Reading(NamedTuple):
    """A message as far as it goes without any input or output. `message` is masked and may be kept."""

    message: Message
    masked_body: str
    validation: Validation
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
            readings[message.message_id] = Reading(kept, text, Validation("", "", None, (error.fault,)))
    masked = mask([document for _, document in documents], scoring.find_card_numbers)
    for (message, _), document in zip(documents, masked, strict=True):
        text = masked_body(document)
        kept = _masked_message(message, text, scoring)
        readings[message.message_id] = Reading(kept, text, validate(document, rules.limits))
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
        validation,
        "rejected"
        if validation.payment is None or reading.assessment is None
        else rules.routing.route(validation.payment, reading.assessment),
        owner=work.owner,
        now_ms=now_ms,
        lease_until_ms=rules.times.lease_until_ms(now_ms, work.remaining_ms()),
        assessment=reading.assessment,
        environment=rules.environment,
    )
    wider = validation.beyond_limits
    claimed = claim(
        item, ports.log, ports.clock, rules.times, work, beyond_limits=wider.request_hash if wider is not None else ""
    )
    if isinstance(claimed, Standing):
        if claimed.outcome == "pending_approval" and "execution_arn" not in claimed.item:
            ports.approvals.start(claimed.item, claimed.item["request"])
        return claimed.outcome
    # Only a valid payment is ever routed to `processing`, so this claim has one, of today or of when it was claimed.
    return pay(claimed, cast("Payment", validation.payment or wider), rules, ports, work)


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
