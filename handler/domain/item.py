"""The stored item: its attributes, what each state requires of them, and the functions that make one.

The rule it keeps: what is read from the table is an `Item` with all that its state requires, or an error that says what
it lacks; nobody else subscripts an item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.money import to_major
from handler.domain.payment import Assessment, Fault, Message, Payment, Reason, transaction_id
from handler.domain.states import CONFLICT, FINAL, Status, open_shard

# Items of 0.1, which stored no version.
FIRST_VERSION: Final = 1


class GatewayResponse(NamedTuple):
    """What the gateway said at the end, as the published item has it."""

    status: str = ""
    authorization_code: str = ""
    timestamp: str = ""


class Item(NamedTuple):
    """One transaction, or one conflict beside it. Times are milliseconds since the epoch, amounts minor units.

    A default says that the attribute is not there; it is never stored.
    """

    transaction_id: str
    payment_id: str
    status: Status | Literal["conflict"]
    owner: str
    request_hash: str
    created_at: int
    updated_at: int
    # The version of the canonical text that `request_hash` and `request` are in (protocol, "Versions").
    canonical_version: int
    # The fencing number, from 1; a conflict has none.
    attempt: int = 0
    message_id: str = ""
    message_group_id: str = ""
    sequence_number: str = ""
    # Of the payment; a rejected message has none of these. `amount` is the published decimal, for readers outside.
    order_id: str = ""
    customer_id: str = ""
    amount: Decimal | None = None
    amount_minor: int = 0
    currency: str = ""
    payment_method: str = ""
    # Of its score.
    risk: int | None = None
    fraud_score: int | None = None
    risk_reasons: tuple[Reason, ...] = ()
    fingerprint: str = ""
    fingerprint_version: str = ""
    # Of its end.
    reason_code: str = ""
    faults: tuple[Fault, ...] = ()
    processed_at: str = ""
    # While it is open: the sparse index's key, and until when its worker may be at work.
    open_shard: str = ""
    lease_until: int | None = None
    # At the gateway.
    gateway_ref: str = ""
    gateway_response: GatewayResponse | None = None
    # In the approval workflow: the canonical text, which execution has it, what people were asked and said.
    request: str = ""
    generation: int = 0
    approval_name: str = ""
    execution_arn: str = ""
    approval_expires_at: int | None = None
    approval_reasons: tuple[str, ...] = ()
    callback_id: str = ""
    decision: str = ""
    decided_by: str = ""
    decided_at: int | None = None
    comment: str = ""

    @property
    def final_status(self) -> Status | None:
        """The state that the payment ended in; None while it is open, and for a conflict, which is no payment."""
        return self.status if self.status != "conflict" and self.status in FINAL else None


_ALWAYS: Final = ("transaction_id", "payment_id", "status", "owner", "request_hash", "created_at", "updated_at")
_PAYMENT: Final = ("attempt", "order_id", "customer_id", "amount_minor", "currency", "payment_method")
# What an item in a state must have; without it code that goes on would guess.
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "processing": (*_ALWAYS, *_PAYMENT, "open_shard"),
    "pending_approval": (*_ALWAYS, *_PAYMENT, "open_shard", "request", "generation", "approval_name"),
    "completed": (*_ALWAYS, *_PAYMENT, "processed_at", "gateway_ref", "gateway_response"),
    "declined": (*_ALWAYS, *_PAYMENT, "processed_at"),
    "rejected": (*_ALWAYS, "attempt", "processed_at", "reason_code"),
    "expired": (*_ALWAYS, *_PAYMENT, "processed_at"),
    CONFLICT: (*_ALWAYS, "reason_code"),
}
# What must be there as well wherever an attribute is, whatever the state.
REQUIRED_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "generation": ("request",),
    "decision": ("decided_by", "decided_at", "comment"),
    "callback_id": ("approval_expires_at", "approval_reasons"),
    "risk": ("fraud_score",),
}

_NUMBERS: Final = (
    *("created_at", "updated_at", "canonical_version", "attempt", "amount_minor", "risk", "fraud_score"),
    *("lease_until", "generation", "approval_expires_at", "decided_at"),
)
_ROWS: Final[Mapping[str, type[Reason] | type[Fault]]] = {"risk_reasons": Reason, "faults": Fault}


def new_item(
    message: Message,
    payment_id: str,
    request_hash: str,
    status: Status,
    *,
    owner: str,
    now_ms: int,
    payment: Payment | None = None,
    faults: tuple[Fault, ...] = (),
    assessment: Assessment | None = None,
    canonical_version: int = FIRST_VERSION,
    lease_until_ms: int = 0,
    environment: str = "",
) -> Item:
    """The item that the claim writes. `payment` or `faults`, never both; a lease is kept where it is to be charged."""
    item = Item(
        transaction_id=transaction_id(payment_id),
        payment_id=payment_id,
        status=status,
        owner=owner,
        request_hash=request_hash,
        created_at=now_ms,
        updated_at=now_ms,
        canonical_version=canonical_version,
        attempt=1,
        message_id=message.message_id,
        message_group_id=message.group,
        sequence_number=message.sequence_number,
    )
    if payment is not None:
        item = item._replace(
            order_id=payment.order_id,
            customer_id=payment.customer_id,
            amount=to_major(payment.amount_minor),
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            payment_method=payment.payment_method,
        )
    if assessment is not None:
        item = item._replace(
            risk=assessment.risk,
            fraud_score=assessment.fraud_score,
            risk_reasons=assessment.reasons,
            fingerprint=assessment.fingerprint,
            fingerprint_version=assessment.fingerprint_version,
        )
    if status == "rejected":
        item = item._replace(faults=faults, reason_code=faults[0].reason_code)
    if status == "declined":
        by_rule = assessment is not None and assessment.action == "decline"
        item = item._replace(reason_code="declined_by_rule" if by_rule else "approval_unavailable")
    if status in FINAL:
        item = item._replace(processed_at=timestamp(now_ms))
    else:
        item = item._replace(open_shard=open_shard(status, request_hash))
    if status == "processing":
        item = item._replace(lease_until=lease_until_ms)
    if status == "pending_approval" and payment is not None:
        name = approval_name(environment, payment_id, 1)
        item = item._replace(request=payment.canonical, generation=1, approval_name=name)
    return item


def conflict_of(item: Item, request_hash: str, canonical_version: int) -> Item:
    """The item that keeps other content under a known payment id, beside the payment.

    `request_hash` is in the version of the item that stands there, whatever is written by now, so that the same
    content is one conflict however often it comes.
    """
    return Item(
        transaction_id=f"{item.transaction_id}#{CONFLICT}#{request_hash}",
        payment_id=item.payment_id,
        status="conflict",
        owner=item.owner,
        request_hash=request_hash,
        created_at=item.created_at,
        updated_at=item.updated_at,
        canonical_version=canonical_version,
        message_id=item.message_id,
        message_group_id=item.message_group_id,
        sequence_number=item.sequence_number,
        order_id=item.order_id,
        amount=item.amount,
        amount_minor=item.amount_minor,
        currency=item.currency,
        reason_code="exists_with_different_content",
    )


def approval_name(environment: str, payment_id: str, generation: int) -> str:
    """The workflow's execution name, 1 to 64 of `[a-zA-Z0-9-_]`; hashed where it would be longer."""
    name = f"{environment}-{payment_id}-{generation}"
    return name if len(name) <= 64 else hashlib.sha256(name.encode()).hexdigest()


def timestamp(now_ms: int) -> str:
    """A time as the published item has it: `2024-01-01T12:00:00Z`."""
    return datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_stored(item: Item) -> dict[str, Any]:
    """The attributes that are written, those that are not there left out (an index takes no empty key)."""
    absent = Item._field_defaults
    return {name: value for name, value in item._asdict().items() if name not in absent or value != absent[name]}


def from_stored(stored: Mapping[str, Any]) -> Item:
    """The item behind attributes as they stand in the table; attributes of newer code are passed over.

    Raises UnknownItemError for a state that only newer code knows, DamagedItemError for an item that lacks what its
    state requires, or has it of another type.
    """
    name = str(stored.get("transaction_id", ""))
    values = {name: stored[name] for name in Item._fields if name in stored}
    status = values.get("status")
    if isinstance(status, str) and status not in REQUIRED:
        raise UnknownItemError(f"{name} is {status!r}, a state that this code does not know")
    wrong = [attribute for attribute, value in values.items() if not _is_typed(attribute, value)]
    if wrong:
        raise DamagedItemError(name, f"{name} ({status}) has {', '.join(sorted(wrong))} of another type than it must")
    missing = {each for each in REQUIRED[status] if each not in values} if status else {"status"}
    missing |= {beside for each in REQUIRED_BESIDE if each in values for beside in REQUIRED_BESIDE[each]} - set(values)
    if missing:
        raise DamagedItemError(name, f"{name} ({status}) lacks {', '.join(sorted(missing))}")
    values.setdefault("canonical_version", FIRST_VERSION)
    return Item(**{attribute: _read(attribute, value) for attribute, value in values.items()})


def _is_typed(name: str, value: Any) -> bool:
    if name in _NUMBERS:
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "amount":
        return isinstance(value, int | Decimal)
    if name == "gateway_response":
        return isinstance(value, dict) and all(isinstance(value.get(each, ""), str) for each in GatewayResponse._fields)
    if name == "approval_reasons":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name in _ROWS:
        columns = set(_ROWS[name]._fields)
        return isinstance(value, list) and all(isinstance(each, dict) and columns <= set(each) for each in value)
    return isinstance(value, str) and value != ""


def _read(name: str, value: Any) -> Any:
    if name == "amount":
        return Decimal(value)
    if name == "gateway_response":
        return GatewayResponse(**{each: value[each] for each in GatewayResponse._fields if each in value})
    if name == "approval_reasons":
        return tuple(value)
    if name in _ROWS:
        shape = _ROWS[name]
        return tuple(shape(**{each: row[each] for each in shape._fields}) for row in value)
    return value
