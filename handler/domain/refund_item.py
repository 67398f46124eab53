"""A refund: what asks for it, its stored item, and what its payment's item says to it.

The rule it keeps: what is read from the table is a `RefundItem` or a `Captured` with all that its state requires, or an
error that says what it lacks. Nothing here is imported before the first refund is met.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal

from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import GatewayResponse
from handler.domain.money import to_major
from handler.domain.payment import Message, transaction_id
from handler.domain.states import FINAL, OPEN, OPEN_SHARDS
from handler.domain.typed import NamedTuple

RefundStatus = Literal["waiting", "pending", "refunded", "failed"]
REFUND_OPEN: Final[frozenset[str]] = frozenset({"waiting", "pending"})
# From None: the first write of an item.
REFUND_TRANSITIONS: Final[frozenset[tuple[str | None, str]]] = frozenset(
    {
        (None, "waiting"),
        (None, "pending"),
        (None, "failed"),
        ("waiting", "pending"),
        ("waiting", "failed"),
        ("pending", "pending"),
        ("pending", "refunded"),
        ("pending", "failed"),
        ("refunded", "failed"),
    }
)
# What stands behind the payment's transaction id in a refund's.
_MARK: Final = "#refund#"


class RefundRequest(NamedTuple):
    """What a valid refund message asks for: an amount in minor units of a currency, of one payment."""

    payment_id: str
    refund_id: str
    amount_minor: int
    currency: str

    @property
    def transaction_id(self) -> str:
        return refund_transaction_id(self.payment_id, self.refund_id)

    @property
    def content_hash(self) -> str:
        """64 hex digits over all that the refund stands for."""
        content = f"{self.payment_id}\n{self.refund_id}\n{self.amount_minor}\n{self.currency}"
        return hashlib.sha256(content.encode()).hexdigest()


class RefundItem(NamedTuple):
    """One refund. Times are milliseconds since the epoch, amounts minor units.

    A default says that the attribute is not there; it is never stored. The sentence below an attribute is its meaning
    in docs/item.md, and costs nothing at run time.
    """

    transaction_id: str
    """The table's key: `txn-<payment_id>#refund#<refund_id>`."""
    payment_id: str
    """The payment that it gives back."""
    refund_id: str
    """The sender's id of the refund, one of its payment's."""
    status: RefundStatus
    """The state that it is in (docs/protocol.md, "States of a refund")."""
    owner: str
    """Who works on it, or did last: `<request id>:<message id>`, or a run of reconcile."""
    attempt: int
    """The fencing number, from 1, raised by every change of owner."""
    amount_minor: int
    """The amount in minor units: what is given back."""
    currency: str
    """ISO 4217's code, as its payment's."""
    created_at: int
    """When it was claimed."""
    updated_at: int
    """When it was last written."""
    version: int = 0
    """How often it was written, from 1."""
    amount: Decimal | None = None
    """The amount as a decimal, for readers outside; `amount_minor` decides."""
    message_id: str = ""
    """The message that brought it."""
    message_group_id: str = ""
    """That message's group."""
    sequence_number: str = ""
    """That message's place in its group."""
    open_shard: str = ""
    """The sparse index's key, `refund#<0..15>`; only a refund that is `waiting` or `pending` has it."""
    gateway_ref: str = ""
    """The gateway's reference of what was captured, as its payment has it."""
    gateway_try: int = 0
    """How many of its keys at the gateway are spent."""
    refund_ref: str = ""
    """The gateway's reference of the refund; what has one is never asked for again."""
    reason_code: str = ""
    """Why nothing is given back (docs/reason-codes.md)."""
    gateway_response: GatewayResponse | None = None
    """What the gateway said where it failed there."""
    waiting_at: int | None = None
    """When it began to wait for its payment; as the next three, absent where it never came to that state."""
    pending_at: int | None = None
    """When its amount was reserved."""
    refunded_at: int | None = None
    """When it was recorded as given back."""
    failed_at: int | None = None
    """When it was recorded as failed."""

    @property
    def payment_transaction_id(self) -> str:
        return transaction_id(self.payment_id)

    @property
    def sequence(self) -> int:
        """How many states it has come to."""
        return sum(at is not None for at in (self.waiting_at, self.pending_at, self.refunded_at, self.failed_at))


_ALWAYS: Final = (
    *("transaction_id", "payment_id", "refund_id", "status", "owner", "attempt", "amount_minor", "currency"),
    *("created_at", "updated_at"),
)
# What an item in a state must have; without it code that goes on would guess.
REFUND_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "waiting": (*_ALWAYS, "open_shard", "waiting_at"),
    "pending": (*_ALWAYS, "open_shard", "gateway_ref", "pending_at"),
    "refunded": (*_ALWAYS, "gateway_ref", "refund_ref", "pending_at", "refunded_at"),
    "failed": (*_ALWAYS, "reason_code", "failed_at"),
}
_NUMBERS: Final = (
    *("attempt", "amount_minor", "created_at", "updated_at", "version", "gateway_try"),
    *("waiting_at", "pending_at", "refunded_at", "failed_at"),
)
_NUMBER_END: Final = 253_402_300_800_000


class Captured(NamedTuple):
    """What a payment's item says to its refunds.

    `status` is a payment's state; `refund_reserved` the sum of its refunds that are pending or refunded, in minor
    units; `is_disputed`: somebody disputed it, however that ended.
    """

    status: str
    amount_minor: int
    currency: str
    gateway_ref: str
    refund_reserved: int
    is_disputed: bool


def refund_transaction_id(payment_id: str, refund_id: str) -> str:
    return f"{transaction_id(payment_id)}{_MARK}{refund_id}"


def is_refund(key: str) -> bool:
    """Whether a transaction id is a refund's; no payment's has a `#` before it."""
    return _MARK in key and "#conflict#" not in key


def new_refund(
    request: RefundRequest,
    message: Message,
    status: RefundStatus,
    *,
    owner: str,
    now_ms: int,
    reason_code: str = "",
    gateway_ref: str = "",
) -> RefundItem:
    """The item that the claim writes; `reason_code` where it has failed, `gateway_ref` where it is pending."""
    key = request.transaction_id
    return RefundItem(
        transaction_id=key,
        payment_id=request.payment_id,
        refund_id=request.refund_id,
        status=status,
        owner=owner,
        attempt=1,
        amount_minor=request.amount_minor,
        currency=request.currency,
        created_at=now_ms,
        updated_at=now_ms,
        version=1,
        amount=to_major(request.amount_minor, request.currency),
        message_id=message.message_id,
        message_group_id=message.group,
        sequence_number=message.sequence_number,
        open_shard=_open_shard(key) if status in REFUND_OPEN else "",
        gateway_ref=gateway_ref,
        reason_code=reason_code,
        waiting_at=now_ms if status == "waiting" else None,
        pending_at=now_ms if status == "pending" else None,
        failed_at=now_ms if status == "failed" else None,
    )


def _open_shard(key: str) -> str:
    return f"refund#{int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % OPEN_SHARDS}"


def refund_to_stored(refund: RefundItem) -> dict[str, Any]:
    """The attributes that are written, those that are not there left out."""
    absent = RefundItem._field_defaults
    return {name: value for name, value in refund._asdict().items() if name not in absent or value != absent[name]}


def refund_from_stored(stored: Mapping[str, Any]) -> RefundItem:
    """The refund behind attributes as they stand in the table; attributes of newer code are passed over.

    Raises UnknownItemError for a state that only newer code knows, DamagedItemError for an item that lacks what its
    state requires, or has it of another type.
    """
    name = str(stored.get("transaction_id", ""))
    values = {each: stored[each] for each in RefundItem._fields if each in stored}
    status = values.get("status")
    if isinstance(status, str) and status and status not in REFUND_REQUIRED:
        raise UnknownItemError(f"{name} is {status!r}, a state of a refund that this code does not know")
    wrong = sorted(each for each, value in values.items() if not _is_typed(each, value))
    if wrong:
        raise DamagedItemError(name, f"{name} ({status}) has {', '.join(wrong)} of another type than it must")
    missing = sorted(each for each in REFUND_REQUIRED[status] if each not in values) if status else ["status"]
    if missing:
        raise DamagedItemError(name, f"{name} ({status}) lacks {', '.join(missing)}")
    if "amount" in values:
        values["amount"] = Decimal(values["amount"])
    response = values.get("gateway_response")
    if response is not None:
        said = {each: response[each] for each in GatewayResponse._fields if each in response}
        values["gateway_response"] = GatewayResponse(**said)
    return RefundItem(**values)


def captured_from_stored(stored: Mapping[str, Any]) -> Captured:
    """What a payment's stored attributes say to its refunds. Raises as `refund_from_stored`."""
    name, status = str(stored.get("transaction_id", "")), stored.get("status")
    if isinstance(status, str) and status and status not in OPEN | FINAL:
        raise UnknownItemError(f"{name} is {status!r}, a state that this code does not know")
    amount_minor, reserved = stored.get("amount_minor", 0), stored.get("refund_reserved", 0)
    currency, gateway_ref = stored.get("currency", ""), stored.get("gateway_ref", "")
    is_whole = _is_number(amount_minor) and _is_number(reserved) and status
    if not is_whole or (status == "completed" and not (amount_minor > 0 and currency and gateway_ref)):
        raise DamagedItemError(name, f"{name} ({status}) does not say what was captured, and under which reference")
    return Captured(str(status), amount_minor, str(currency), str(gateway_ref), reserved, "disputed" in stored)


def _is_typed(name: str, value: Any) -> bool:
    if name in _NUMBERS:
        return _is_number(value)
    if name == "amount":
        return isinstance(value, int | Decimal)
    if name == "gateway_response":
        return isinstance(value, dict) and all(isinstance(value.get(each, ""), str) for each in GatewayResponse._fields)
    return isinstance(value, str) and value != ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _NUMBER_END
