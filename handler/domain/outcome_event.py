"""An outcome event: what everybody outside is told of one item, made from the item alone, now or again.

The rule it keeps: no attribute of an item is in an event but those of `TOLD`. A test holds that each of the others is
in `WITHHELD`, with its reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from handler.domain.item import Item
from handler.domain.money import as_text
from handler.domain.states import CONFLICT, FINAL
from handler.domain.typed import NamedTuple

SCHEMA_VERSION: Final = 1
# Ten are sent at once, and all three targets take 256 KiB a call.
EVENT_BYTES_MAX: Final = 24 * 1024
OUTCOMES: Final = (*sorted(FINAL), "parked", CONFLICT)


class Envelope(NamedTuple):
    """What an event says beside the item's attributes. The sentence below each is its meaning in the schema."""

    schema_version: Literal[1]
    """The version of this schema: properties and kinds may be added to it, and nothing else ever changes."""
    event_id: str
    """The outcome's own id, 64 hex digits: whatever comes again under it says the same outcome."""
    environment: str
    """The deployment that it happened in."""
    kind: Literal["payment", "conflict", "refund"]
    """What it is about: `payment`, `refund`, or `conflict`, a message that contradicts one of either; pass over what
    you do not know."""
    sequence: int
    """Which outcome of its transaction it is, from 1: a later one has a higher number, and none is left out."""
    more_may_follow: bool
    """Whether it may come to another outcome: a payment that is parked or that a corrected message may take the place
    of, a refund that has not failed."""
    faults_left_out: int = 0
    """How many of the faults are not here, as they were too many for an event; the item has them."""


# The attributes of an item that an event has where the item has them, under their names.
TOLD: Final = (
    *("transaction_id", "payment_id", "status", "version", "created_at", "updated_at", "message_id", "order_id"),
    *("customer_id", "amount", "amount_minor", "currency", "payment_method", "fraud_score", "reason_code", "faults"),
    *("processed_at", "park_no", "parked_reason", "parked_at", "gateway_ref", "gateway_response", "decision"),
    *("refunded", "disputed"),
)
# The newest rows of each list; the item has them all.
ROWS_TOLD_MAX: Final = 20
_INNER: Final = "it says how the payment moves inside, which may change with any release"
_TELLS_FRAUD: Final = "it tells how to pass the fraud rules"
_PERSON: Final = "it names a person, or is a person's own words"
_HASH: Final = "it can be guessed from what it is over, personal data among it"
WITHHELD: Final[Mapping[str, str]] = {
    "owner": _INNER,
    "request_hash": _HASH,
    "canonical_version": _INNER,
    "attempt": _INNER,
    "message_group_id": _INNER,
    "sequence_number": _INNER,
    "risk": _TELLS_FRAUD,
    "risk_reasons": _TELLS_FRAUD,
    "fingerprint": _HASH,
    "fingerprint_version": _INNER,
    "superseded": _HASH,
    "open_shard": _INNER,
    "lease_until": _INNER,
    "tries": _INNER,
    "first_tried_at": _INNER,
    "retry_hash": _HASH,
    "retry_no": _INNER,
    "retried_by": _PERSON,
    "cancelled_by": _PERSON,
    "cancel_reason": _PERSON,
    "gateway_try": _INNER,
    "later_no": _INNER,
    "request": "it is the payment itself: name, address, instrument",
    "generation": _INNER,
    "approval_name": _INNER,
    "execution_arn": _INNER,
    "approval_expires_at": _INNER,
    "shown": "it is whose payment it is, and how to pass the fraud rules",
    "approval_reasons": _TELLS_FRAUD,
    "callback_id": "who has it can decide",
    "decided_by": _PERSON,
    "decided_at": _INNER,
    "comment": _PERSON,
}


class EventTooLargeError(Exception):
    """An item, changed by hand perhaps, from which no event of `EVENT_BYTES_MAX` bytes can be made."""


class OutcomeEvent(NamedTuple):
    """One event, ready to be sent: its text is at most `EVENT_BYTES_MAX` bytes of ASCII."""

    event_id: str
    payment_id: str
    transaction_id: str
    kind: str
    status: str
    text: str


def sequence(item: Item) -> int:
    """Which outcome of its item this is, from 1; 0 where the item waits for its first one.

    Each message that was rejected and followed was one, each parking, the end, and each that came after the charge: so
    it is in the item, whatever code wrote it.
    """
    if item.status == CONFLICT:
        return 1
    return len(item.superseded) + item.park_no + (item.final_status is not None) + item.later_no


def is_outcome(item: Item) -> bool:
    return item.status in OUTCOMES


def outcome_event(item: Item, environment: str) -> OutcomeEvent:
    """The event of an item that is at an outcome. Raises EventTooLargeError where it cannot be made to fit."""
    number = sequence(item)
    envelope = Envelope(
        schema_version=SCHEMA_VERSION,
        event_id=hashlib.sha256(f"{environment}:{item.transaction_id}:{number}".encode()).hexdigest(),
        environment=environment,
        kind="conflict" if item.status == CONFLICT else "payment",
        sequence=number,
        more_may_follow=item.status == "parked" or bool(item.status == "rejected" and item.faults),
    )
    told = {name: value for name in TOLD if (value := _told(item, name)) is not None}
    kept = len(item.faults)
    while True:
        text = json.dumps(
            {
                **{name: value for name, value in envelope._asdict().items() if name != "faults_left_out" or value},
                **told,
            },
            separators=(",", ":"),
        )
        if len(text) <= EVENT_BYTES_MAX:
            break
        if not kept:
            raise EventTooLargeError(f"the event of {item.transaction_id} would have {len(text)} bytes")
        kept //= 2
        told["faults"] = told["faults"][:kept]
        envelope = envelope._replace(faults_left_out=len(item.faults) - kept)
    return OutcomeEvent(envelope.event_id, item.payment_id, item.transaction_id, envelope.kind, item.status, text)


def _told(item: Item, name: str) -> Any:
    """An attribute as JSON has it; None where the item has none. No amount is ever a float."""
    value = getattr(item, name)
    if value is None or value in ("", ()) or (value == 0 and name not in ("fraud_score", "version")):
        return None
    if name == "amount":
        return as_text(item.amount_minor, item.currency)
    if name == "faults":
        return [fault._asdict() for fault in value]
    if name in ("refunded", "disputed"):
        return [row._asdict() for row in value[-ROWS_TOLD_MAX:]]
    if name == "gateway_response":
        return {each: said for each, said in value._asdict().items() if said}
    return value
