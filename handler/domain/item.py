"""The stored item: its attributes, what each state requires of them, and the functions that make one.

The rule it keeps: what is read from the table is an `Item` with all that its state requires, or an error that says what
it lacks; nobody else subscripts an item.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.money import to_major
from handler.domain.payment import (
    Assessment,
    DisputeSeen,
    Fault,
    Message,
    Payment,
    Reason,
    RefundSeen,
    RuleHit,
    Shown,
    Stated,
    approval_name,
    transaction_id,
)
from handler.domain.states import CONFLICT, FINAL, OPEN, Status, open_shard
from handler.domain.typed import NamedTuple

# Items of 0.1, which stored no version.
FIRST_VERSION: Final = 1


class GatewayResponse(NamedTuple):
    """What the gateway said at the end, as the published item has it."""

    status: str = ""
    authorization_code: str = ""
    timestamp: str = ""
    # The gateway's own words for a decline, and its name for the request; stored where it has them.
    code: str = ""
    decline_code: str = ""
    request_id: str = ""


class Superseded(NamedTuple):
    """A message that was rejected for its faults and followed by a corrected one; its hash is in its own version."""

    message_id: str
    request_hash: str
    canonical_version: int


class Item(NamedTuple):
    """One transaction, or one conflict beside it. Times are milliseconds since the epoch, amounts minor units.

    A default says that the attribute is not there; it is never stored. The sentence below an attribute is its meaning
    in docs/item.md, and costs nothing at run time.
    """

    transaction_id: str
    """The table's key: `txn-<payment_id>`, and `#conflict#<request_hash>` behind it for a conflict."""
    payment_id: str
    """The sender's id of the payment."""
    status: Status | Literal["conflict"]
    """The state that it is in (docs/protocol.md, "States"), or `conflict`."""
    owner: str
    """Who works on it, or did last: `<request id>:<message id>` or an execution's ARN."""
    request_hash: str
    """SHA-256 of the canonical text: what the payment id stands for."""
    created_at: int
    """When it was claimed."""
    updated_at: int
    """When it was last written."""
    canonical_version: int
    """The version of the canonical text that `request_hash` and `request` are in; items of 0.1 have none: it is 1."""
    version: int = 0
    """How often it was written, from 1, but by older code (docs/protocol.md, "Versions of an item")."""
    attempt: int = 0
    """The fencing number, from 1, raised by every change of owner; a conflict has none."""
    message_id: str = ""
    """The message that brought it; absent where an execution did."""
    message_group_id: str = ""
    """That message's group."""
    sequence_number: str = ""
    """That message's place in its group."""
    order_id: str = ""
    """The sender's order; as customer, amount and currency, what was valid of it where the message was rejected."""
    customer_id: str = ""
    """The sender's customer."""
    amount: Decimal | None = None
    """The amount as the published decimal, for readers outside; `amount_minor` decides."""
    amount_minor: int = 0
    """The amount in minor units: what is charged."""
    currency: str = ""
    """ISO 4217's code."""
    payment_method: str = ""
    """How the customer pays, such as `credit_card`."""
    risk: int | None = None
    """Its risk in parts of `10**9`."""
    fraud_score: int | None = None
    """The risk as published, 0 to 100."""
    risk_reasons: tuple[Reason, ...] = ()
    """The rules that it hit (rule 0: the amount), and what each took of the survival of `10**9`."""
    fingerprint: str = ""
    """The hash that links payments of one billing identity."""
    fingerprint_version: str = ""
    """The version of the secret behind the fingerprint; absent without one."""
    reason_code: str = ""
    """Why it ended as it did (docs/reason-codes.md)."""
    faults: tuple[Fault, ...] = ()
    """All that is wrong with a rejected message, or with a conflict; absent where a person said no."""
    superseded: tuple[Superseded, ...] = ()
    """The messages under this payment id that were rejected for their faults before this one, oldest first."""
    processed_at: str = ""
    """When it became final, as `2024-01-01T12:00:00Z`."""
    open_shard: str = ""
    """The key in the sparse index: `<status>#<0..15>` of what is open or a conflict, `ended#<0..15>` of what ended."""
    lease_until: int | None = None
    """Until when its worker may be at work; a workflow has no lease."""
    tries: int = 0
    """How many tries count against it since it was claimed or retried (docs/protocol.md, "Parking")."""
    first_tried_at: int | None = None
    """When the first of them began; a workflow's payment has none before it is retried: there it is `decided_at`."""
    park_no: int = 0
    """How often it was parked."""
    parked_reason: str = ""
    """The reason code of its last failure when it was parked last (docs/reason-codes.md)."""
    parked_at: int | None = None
    """When it was parked last."""
    retry_hash: str = ""
    """SHA-256 of `request` when it was parked last: what a retry of it sends."""
    retry_no: int = 0
    """The `park_no` for which a retry was allowed last."""
    retried_by: str = ""
    """Who allowed it."""
    cancelled_by: str = ""
    """Who gave it up."""
    cancel_reason: str = ""
    """That person's reason, masked."""
    gateway_ref: str = ""
    """The gateway's reference, stored before money moves and never replaced."""
    gateway_try: int = 0
    """How many of its keys at the gateway are spent (docs/protocol.md, "Keys")."""
    gateway_response: GatewayResponse | None = None
    """What the gateway said at the end."""
    refunded: tuple[RefundSeen, ...] = ()
    """What was given back after the charge, whoever did it: a row for each state that a refund was seen in, in turn."""
    disputed: tuple[DisputeSeen, ...] = ()
    """Who disputed the charge, likewise: a row for each state that a dispute was seen in, won ones too."""
    later_no: int = 0
    """How often `refunded` or `disputed` was written."""
    request: str = ""
    """The canonical text, for the execution that will charge it, or the retry of a parked payment, until it is final;
    of a conflict, without its instrument, for the person who looks at it."""
    generation: int = 0
    """Which execution in turn has it, from 1."""
    approval_name: str = ""
    """That execution's name. The queue function leaves a payment alone that has one."""
    execution_arn: str = ""
    """The execution that adopted it."""
    approval_expires_at: int | None = None
    """Until when people may decide."""
    approval_reasons: tuple[str, ...] = ()
    """Why they are asked (docs/reason-codes.md)."""
    shown: Shown | None = None
    """What people who decide are shown beside it: the customer, as far as policy allows, and what its rules hit; until
    it is forgotten (docs/protocol.md, "Retention")."""
    callback_id: str = ""
    """The question that is open: a decision must name it."""
    decision: str = ""
    """`approve` or `reject`."""
    decided_by: str = ""
    """The approver, by address or by the ARN of their AWS identity; `risk` where nobody had to be asked."""
    decided_at: int | None = None
    """When."""
    comment: str = ""
    """The approver's reason, masked."""

    @property
    def final_status(self) -> Status | None:
        """The state that the payment ended in; None while it is open, and for a conflict, which is no payment."""
        return self.status if self.status != "conflict" and self.status in FINAL else None

    @property
    def tried_since(self) -> int:
        """When its first try began, in milliseconds: a workflow's as soon as it was decided."""
        return self.first_tried_at or self.decided_at or self.created_at


_ALWAYS: Final = ("transaction_id", "payment_id", "status", "owner", "request_hash", "created_at", "updated_at")
_PAYMENT: Final = ("attempt", "order_id", "customer_id", "amount_minor", "currency", "payment_method")
# What an item in a state must have; without it code that goes on would guess.
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "processing": (*_ALWAYS, *_PAYMENT, "open_shard"),
    "pending_approval": (*_ALWAYS, *_PAYMENT, "open_shard", "request", "generation", "approval_name"),
    "parked": (*_ALWAYS, *_PAYMENT, "open_shard", "request", "park_no", "parked_reason", "parked_at"),
    "completed": (*_ALWAYS, *_PAYMENT, "processed_at", "gateway_ref", "gateway_response"),
    "declined": (*_ALWAYS, *_PAYMENT, "processed_at"),
    "rejected": (*_ALWAYS, "attempt", "processed_at", "reason_code"),
    "expired": (*_ALWAYS, *_PAYMENT, "processed_at"),
    "cancelled": (*_ALWAYS, *_PAYMENT, "processed_at", "reason_code", "cancelled_by", "cancel_reason"),
    CONFLICT: (*_ALWAYS, "reason_code"),
}
# What must be there as well wherever an attribute is, whatever the state.
REQUIRED_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "decision": ("decided_by", "decided_at", "comment"),
    "callback_id": ("approval_expires_at", "approval_reasons"),
    "risk": ("fraud_score",),
    "park_no": ("retry_hash",),
    "retry_no": ("park_no", "retried_by"),
    "refunded": ("later_no",),
    "disputed": ("later_no",),
}
# The same where the payment is open; one that ended has no request any more.
REQUIRED_BESIDE_OPEN: Final[Mapping[str, tuple[str, ...]]] = {"generation": ("request",), "park_no": ("request",)}

_NUMBERS: Final = (
    *("created_at", "updated_at", "canonical_version", "version", "attempt", "amount_minor", "risk", "fraud_score"),
    *("lease_until", "tries", "first_tried_at", "park_no", "parked_at", "retry_no", "gateway_try"),
    "later_no",
    *("generation", "approval_expires_at", "decided_at"),
)
_NUMBER_END: Final = 253_402_300_800_000
_Row = type[Reason] | type[Fault] | type[Superseded] | type[RuleHit] | type[RefundSeen] | type[DisputeSeen]
_ROWS: Final[Mapping[str, _Row]] = {
    "risk_reasons": Reason,
    "faults": Fault,
    "superseded": Superseded,
    "refunded": RefundSeen,
    "disputed": DisputeSeen,
}
_NUMBER_COLUMNS: Final = (
    *("rule_id", "parts", "canonical_version", "weight"),
    *("amount_minor", "created_at", "seen_at"),
)


def new_item(
    message: Message,
    payment_id: str,
    request_hash: str,
    status: Status,
    *,
    owner: str,
    now_ms: int,
    payment: Payment | None = None,
    stated: Stated | None = None,
    faults: tuple[Fault, ...] = (),
    assessment: Assessment | None = None,
    canonical_version: int = FIRST_VERSION,
    lease_until_ms: int = 0,
    environment: str = "",
) -> Item:
    """The item that the claim writes: of a payment, or of faults and what was stated beside them.

    A lease is kept where it is to be charged.
    """
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
        version=1,
        message_id=message.message_id,
        message_group_id=message.group,
        sequence_number=message.sequence_number,
    )
    described = payment or stated
    if described is not None:
        item = item._replace(
            order_id=described.order_id,
            customer_id=described.customer_id,
            amount=to_major(described.amount_minor, described.currency) if described.amount_minor else None,
            amount_minor=described.amount_minor,
            currency=described.currency,
        )
    if payment is not None:
        item = item._replace(payment_method=payment.payment_method)
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
        item = item._replace(lease_until=lease_until_ms, tries=1, first_tried_at=now_ms)
    if status == "pending_approval" and payment is not None:
        name = approval_name(environment, payment_id, 1)
        item = item._replace(request=payment.canonical, generation=1, approval_name=name)
    return item


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
    if isinstance(status, str) and status and status not in REQUIRED:
        raise UnknownItemError(f"{name} is {status!r}, a state that this code does not know")
    wrong = [attribute for attribute, value in values.items() if not _is_typed(attribute, value)]
    if wrong:
        raise DamagedItemError(name, f"{name} ({status}) has {', '.join(sorted(wrong))} of another type than it must")
    missing = {each for each in REQUIRED[status] if each not in values} if status else {"status"}
    for required in (REQUIRED_BESIDE, REQUIRED_BESIDE_OPEN) if status in OPEN else (REQUIRED_BESIDE,):
        missing |= {beside for each in required if each in values for beside in required[each]} - set(values)
    if missing:
        raise DamagedItemError(name, f"{name} ({status}) lacks {', '.join(sorted(missing))}")
    values.setdefault("canonical_version", FIRST_VERSION)
    return Item(**{attribute: _read(attribute, value) for attribute, value in values.items()})


def _is_typed(name: str, value: Any) -> bool:
    if name == "canonical_version":
        # A version that is not known is newer code's; there is none before the first.
        return isinstance(value, int) and not isinstance(value, bool) and FIRST_VERSION <= value < _NUMBER_END
    if name in _NUMBERS:
        # As times they are shown to people, and the calendar ends with the year 9999.
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _NUMBER_END
    if name == "amount":
        return isinstance(value, int | Decimal)
    if name == "gateway_response":
        return isinstance(value, dict) and all(isinstance(value.get(each, ""), str) for each in GatewayResponse._fields)
    if name == "shown":
        # Whoever took personal data away left the rest, or nothing.
        return isinstance(value, dict) and all(
            _are_rows(RuleHit, value.get(each, [])) if each == "hits" else isinstance(value.get(each, ""), str)
            for each in Shown._fields
        )
    if name == "approval_reasons":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name in _ROWS:
        return _are_rows(_ROWS[name], value)
    return isinstance(value, str) and value != ""


def _are_rows(shape: _Row, value: Any) -> bool:
    """Whether it is a list of rows: whole numbers in some columns, texts in the others."""
    return isinstance(value, list) and all(
        isinstance(row, dict)
        and all(isinstance(row.get(column), int if column in _NUMBER_COLUMNS else str) for column in shape._fields)
        for row in value
    )


def _read(name: str, value: Any) -> Any:
    if name == "amount":
        return Decimal(value)
    if name == "gateway_response":
        return GatewayResponse(**{each: value[each] for each in GatewayResponse._fields if each in value})
    if name == "approval_reasons":
        return tuple(value)
    if name == "shown":
        texts = {each: value[each] for each in Shown._fields[:-1] if each in value}
        return Shown(**texts, hits=_rows(RuleHit, value.get("hits", [])))
    if name in _ROWS:
        return _rows(_ROWS[name], value)
    return value


def _rows(shape: Any, value: list[dict[str, Any]]) -> tuple[Any, ...]:
    return tuple(shape(**{each: row[each] for each in shape._fields}) for row in value)
