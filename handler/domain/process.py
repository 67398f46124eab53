"""One payment from message to settled state, in the order of its sentence: parse, mask, validate, score, claim, charge,
record. The first four are pure and done for a whole batch; the last three are done one message after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

from handler.domain.canonical import version_rules
from handler.domain.charge import charge
from handler.domain.claim import Claim, InVersion, Standing, Work, claim
from handler.domain.errors import DamagedItemError, RetryableError, ScoringError
from handler.domain.item import new_item
from handler.domain.mask import mask, mask_unreadable, masked_body
from handler.domain.parse import Document, UnreadableBodyError, parse
from handler.domain.payment import Assessment, Fault, Message, Payment
from handler.domain.ports import (
    FindCardNumbers,
    Notifier,
    Ports,
)
from handler.domain.record import record, release
from handler.domain.rules import Rules
from handler.domain.score import score
from handler.domain.states import Status
from handler.domain.validate import Limits, Validation, validate

Outcome = Status | Literal["duplicate", "conflict", "in_workflow", "unusable"]


class Reading(NamedTuple):
    """A message as far as it goes without any input or output. `message` is masked and may be kept.

    `validation` is in the version that is written; `in_version` reads the message in that of an item.
    """

    message: Message
    masked_body: str
    validation: Validation
    in_version: InVersion
    assessment: Assessment | ScoringError | None = None


def read(messages: Sequence[Message], rules: Rules, ports: Ports) -> dict[str, Reading]:
    """Parse, mask, validate and score a batch; results by message id. No input or output, and it never raises."""
    readings = examine(messages, rules, ports.find_card_numbers)
    valid = [reading for reading in readings.values() if reading.validation.payment is not None]
    payments = [reading.validation.payment for reading in valid if reading.validation.payment is not None]
    for reading, assessment in zip(valid, score(payments, ports.scoring), strict=True):
        readings[reading.message.message_id] = reading._replace(assessment=assessment)
    return readings


def examine(messages: Sequence[Message], rules: Rules, find_card_numbers: FindCardNumbers) -> dict[str, Reading]:
    """Parse, mask and validate a batch, without scores; results by message id. It never raises."""
    version = rules.canonical_version
    documents: list[tuple[Message, dict[str, Document], dict[str, Document]]] = []
    readings: dict[str, Reading] = {}
    for message in messages:
        try:
            document = parse(message.body)
            # Spelled before it is masked: what a spelling joins or parts is looked at as it will be stored.
            documents.append((message, document, version_rules(version).spelled(document)))
        except UnreadableBodyError as error:
            text = mask_unreadable(message.body, find_card_numbers)
            kept = _masked_message(message, text, find_card_numbers)
            unusable = Validation("", "", None, (error.fault,))
            readings[message.message_id] = Reading(kept, text, unusable, lambda _, it=unusable: it)  # type: ignore[misc]
    masked = mask([spelled for *_, spelled in documents], find_card_numbers)
    for (message, raw, _), document in zip(documents, masked, strict=True):
        text = masked_body(document)
        kept = _masked_message(message, text, find_card_numbers)
        validation = validate(document, rules.limits, version)
        in_version = _reader(raw, validation, rules.limits, find_card_numbers)
        readings[message.message_id] = Reading(kept, text, validation, in_version)
    return readings


def _reader(
    document: dict[str, Document], validation: Validation, limits: Limits, find_card_numbers: FindCardNumbers
) -> InVersion:
    """Reads a document in another version than it was read in at first, from its own text on.

    A closure, which no log line and no error can show: its document is not masked.
    """

    def in_version(version: int) -> Validation:
        if version == validation.version:
            return validation
        (masked,) = mask([version_rules(version).spelled(document)], find_card_numbers)
        return validate(masked, limits, version)

    return in_version


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
        claimed = claim(item, reading.in_version, rules.times, ports, work)
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
        gateway_ref, result = charge(claimed, payment, rules, ports, work)
        return record(claimed, gateway_ref, result, ports)
    except RetryableError:
        release(claimed, ports)
        raise


def _masked_message(message: Message, text: str, find_card_numbers: FindCardNumbers) -> Message:
    """The group is the sender's text as well, and is stored."""
    group = mask([message.group], find_card_numbers)[0] if message.group else ""
    return message._replace(body=text, group=group)


def _unusable_reason(faults: Sequence[Fault]) -> str:
    """One reason code for a message without a usable id: what made it unreadable, else what is wrong with the id."""
    for fault in faults:
        if fault.field in ("", "payment_id"):
            return f"payment_id_{fault.reason_code}" if fault.field else fault.reason_code
    return "payment_id_missing"
