"""From a scored payment to the right to charge it: one conditional write decides who works on a payment.

Protocol, queue function, steps 1 to 4: every refused write is decided from the item that stood in its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from handler.domain.breaker import Breaker
from handler.domain.canonical import text_hash, without_instrument
from handler.domain.errors import AlreadyInProgressError, DamagedItemError, NotEnoughTimeError, OwnershipLostError
from handler.domain.item import FIRST_VERSION, Item, Superseded, timestamp
from handler.domain.payment import Payment
from handler.domain.ports import Ports, TransactionLog
from handler.domain.states import CONFLICT, FINAL, Status, open_shard
from handler.domain.times import Times
from handler.domain.typed import NamedTuple
from handler.domain.validate import Validation

# A refusal is decided anew each time; more of them than this means that somebody else is at work.
_DECISIONS_MAX: Final = 4

# So many messages may follow a rejected one; a program that repeats itself must not make the item grow.
CORRECTIONS_MAX: Final = 10

# Far above any valid payment's text, and far below DynamoDB's 400 KB an item; what is longer is no payment.
_CONFLICT_REQUEST_MAX: Final = 65_536

# A message as it reads in a version of the canonical text; raises UnknownItemError for one that newer code wrote.
InVersion = Callable[[int], Validation]

Decision = Literal[
    "conflict",
    "mine",
    "final",
    "correct",
    "pending",
    "in_workflow",
    "parked",
    "in_progress",
    "take_over",
    "take_over_parked",
]


class Ahead:
    """What a prepare that was sent before its message's claim has brought: "" for nothing. The charge may use it."""

    __slots__ = ("gateway_ref", "is_used")

    def __init__(self, gateway_ref: str = "") -> None:
        self.gateway_ref = gateway_ref
        self.is_used = False


class Work(NamedTuple):
    """Who works on a payment: `owner` is `<request id>:<message id>` or an execution's ARN.

    Without `takes_over` a payment that a message brought is left to its message, even where its lease is over.
    `breaker` is that of the queue function's environment, `ahead` what was prepared for this message; others have none.
    `found` takes the payments that the gateway is found to know after a restore.
    """

    owner: str
    remaining_ms: Callable[[], int]
    takes_over: bool = True
    breaker: Breaker | None = None
    ahead: Ahead | None = None
    found: list[str] | None = None

    def require_time(self, times: Times) -> None:
        """Raise NotEnoughTimeError where less than a gateway call and its record is left."""
        if self.remaining_ms() < times.least_remaining_ms:
            raise NotEnoughTimeError(f"{self.remaining_ms()} ms left, {times.least_remaining_ms} needed")


class Claim(NamedTuple):
    """The right to charge one payment; `attempt` is the fencing number, `gateway_ref` empty until one is stored.

    `canonical_version` is the item's: what is charged is what the message says in it. `tries` counts this one, the
    first of them began at `tried_since` (ms), and `park_no` is how often it was parked. `request_hash`, the item's, and
    `gateway_try` are what its keys at the gateway are made from. `is_shown`: its item keeps what people were shown.
    """

    transaction_id: str
    owner: str
    attempt: int
    gateway_ref: str = ""
    canonical_version: int = FIRST_VERSION
    tries: int = 0
    tried_since: int = 0
    park_no: int = 0
    request_hash: str = ""
    gateway_try: int = 0
    is_shown: bool = False


class Standing(NamedTuple):
    """A message that needs no charge: `outcome` says why, `item` is what stands in the table."""

    outcome: Status | Literal["duplicate", "conflict", "in_workflow"]
    item: Item


def claim(item: Item, in_version: InVersion, times: Times, ports: Ports, work: Work) -> Claim | Standing:
    """Write the item, or decide from the one that stands there already, in that one's version.

    What was claimed while wider limits held is the same payment, and would be a conflict with itself otherwise.

    Raises AlreadyInProgressError, NotEnoughTimeError, OwnershipLostError, UnknownItemError or the log's own errors.
    """
    work.require_time(times)
    stored = ports.log.put_new(item)
    if stored is None:
        return _own(item)
    for _ in range(_DECISIONS_MAX):
        asked = in_version(stored.canonical_version)
        same = as_held(stored, asked)
        request_hash = asked.request_hash if same is None else stored.request_hash
        decision = decide(
            stored,
            owner=work.owner,
            message_id=item.message_id,
            request_hash=request_hash,
            is_valid=not item.faults,
            is_payment=asked.claimed is not None,
            is_superseded=bool(item.faults) and _is_superseded(stored, in_version),
            now_ms=ports.clock.now_ms(),
        )
        if decision == "conflict":
            canonical = asked.canonical if same is None else same.canonical
            return _conflict(conflict_of(item, request_hash, stored.canonical_version, canonical), ports.log)
        if decision == "mine":
            return _own(stored)
        if decision in ("final", "parked"):
            return Standing("duplicate", stored)
        if decision == "correct":
            corrected = correction_of(item, stored, ports.clock.now_ms())
            refused = ports.log.claim_corrected(corrected, attempt_seen=stored.attempt)
            if refused is None:
                return _own(corrected)
            stored = refused
            continue
        if decision == "pending":
            return Standing("pending_approval", stored)
        if decision == "in_workflow":
            return Standing("in_workflow", stored)
        if decision == "in_progress" or not work.takes_over:
            raise AlreadyInProgressError(f"{stored.transaction_id} is with {stored.owner}")
        _require_same(stored, asked.claimed)
        now_ms = ports.clock.now_ms()
        is_retry = decision == "take_over_parked"
        take_over = ports.log.take_over_parked if is_retry else ports.log.take_over
        tried = stored._replace(
            tries=1 if is_retry else stored.tries + 1, first_tried_at=now_ms if is_retry else stored.first_tried_at
        )
        refused = take_over(
            stored.transaction_id,
            owner=work.owner,
            attempt_seen=stored.attempt,
            lease_until=times.lease_until_ms(now_ms, work.remaining_ms()),
            tries=tried.tries,
            now=now_ms,
            request_hash=request_hash,
        )
        if refused is None:
            return held(tried, work.owner, stored.attempt + 1)
        stored = refused
    raise OwnershipLostError(f"{item.transaction_id} changed hands {_DECISIONS_MAX} times")


def decide(
    stored: Item,
    *,
    owner: str,
    message_id: str,
    request_hash: str,
    is_valid: bool,
    is_payment: bool,
    is_superseded: bool,
    now_ms: int,
) -> Decision:
    """What a stored item means for the message at hand (protocol, step 3; the order of the questions matters).

    `request_hash` is the message's in the item's version, `is_valid` whether it would be claimed as a payment now,
    `is_payment` whether it is one under any limits, `is_superseded` whether it has the content of a message that was
    followed by a corrected one.
    """
    if stored.request_hash == request_hash and stored.owner == owner:
        return "mine"
    if message_id and any(each.message_id == message_id for each in stored.superseded):
        # A delivery of a rejected message itself, whatever the rules are by now; so is the next one.
        return "final"
    if stored.faults:
        # An execution's payment has no message id; the execution owns what it was rejected as.
        is_itself = stored.message_id == message_id if message_id else stored.owner == owner
        if is_itself or (not is_valid and (is_superseded or stored.request_hash == request_hash)):
            return "final"
        return "correct" if len(stored.superseded) < CORRECTIONS_MAX else "conflict"
    # Content that a version's text leaves out, such as verification data, may be all that tells the two apart.
    is_other = not is_payment and stored.message_id != message_id
    if stored.request_hash != request_hash or is_other:
        return "final" if is_superseded and not is_valid else "conflict"
    return _as_it_stands(stored, now_ms)


def as_held(stored: Item, asked: Validation) -> Payment | None:
    """The payment that a message asks for, under the item's hash, if it is the item's; else None.

    It may be beyond the limits of today. What a retry of version 1 sends is told by its text: the item's hash may be
    over card data that only newer rules mask, and that text is kept nowhere.
    """
    payment = asked.claimed
    if payment is None or payment.request_hash == stored.request_hash:
        return payment
    is_retry = stored.canonical_version == FIRST_VERSION and stored.retry_hash == text_hash(payment.canonical)
    return payment._replace(request_hash=stored.request_hash) if is_retry else None


def _as_it_stands(stored: Item, now_ms: int) -> Decision:
    if stored.status in FINAL:
        return "final"
    if stored.status == "pending_approval":
        return "pending"
    if stored.approval_name:
        return "in_workflow"
    return _unless_busy(stored, now_ms)


def _unless_busy(stored: Item, now_ms: int) -> Decision:
    """Whether this message's payment, which is to be charged by a message, is to be charged by this one."""
    if stored.status == "parked":
        return "take_over_parked" if stored.retry_no == stored.park_no else "parked"
    if (stored.lease_until or 0) > now_ms:
        return "in_progress"
    return "take_over"


def _is_superseded(stored: Item, in_version: InVersion) -> bool:
    return any(in_version(each.canonical_version).request_hash == each.request_hash for each in stored.superseded)


def _require_same(stored: Item, payment: Payment | None) -> None:
    """Raise DamagedItemError where the item, of equal hash, is not the payment: nothing is charged in its name."""
    name = stored.transaction_id
    if payment is None:
        raise DamagedItemError(name, f"{name} was claimed as a payment, and by the rules of today its message is none")
    held = (stored.amount_minor, stored.currency)
    if held != (payment.amount_minor, payment.currency):
        raise DamagedItemError(
            name,
            f"{name} holds {held[0]} {held[1]} and its message says {payment.amount_minor} {payment.currency}, "
            "in minor units: somebody changed the item",
        )


def _own(item: Item) -> Claim | Standing:
    """An item that this worker wrote: now, or just before when the answer to the write was lost."""
    if item.status == "processing":
        return held(item, item.owner, item.attempt)
    if item.status == "conflict":
        return Standing("conflict", item)
    return Standing(item.status, item)


def held(item: Item, owner: str, attempt: int) -> Claim:
    """The right of whoever took the item over as this attempt."""
    return Claim(
        item.transaction_id,
        owner,
        attempt,
        item.gateway_ref,
        item.canonical_version,
        item.tries,
        item.tried_since,
        item.park_no,
        item.request_hash,
        item.gateway_try,
        item.shown is not None,
    )


def _conflict(conflict: Item, log: TransactionLog) -> Standing:
    """Keep the other content as an item of its own; a refusal is this same conflict seen again."""
    log.put_new(conflict)
    return Standing("conflict", conflict)


def correction_of(item: Item, rejected: Item, now_ms: int) -> Item:
    """The claim of a corrected message, in the place of the rejected message's item."""
    followed = Superseded(rejected.message_id, rejected.request_hash, rejected.canonical_version)
    return item._replace(
        created_at=now_ms,
        updated_at=now_ms,
        processed_at=timestamp(now_ms) if item.processed_at else "",
        first_tried_at=now_ms if item.first_tried_at else None,
        version=rejected.version + 1,
        attempt=rejected.attempt + 1,
        superseded=(*rejected.superseded, followed),
    )


def conflict_of(item: Item, request_hash: str, canonical_version: int, request: str) -> Item:
    """The item that keeps other content under a known payment id, beside the payment.

    `request_hash` and its text `request` are in the version of the item that stands there, whatever is written by now,
    so that the same content is one conflict however often it comes.
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
        version=1,
        message_id=item.message_id,
        message_group_id=item.message_group_id,
        sequence_number=item.sequence_number,
        order_id=item.order_id,
        amount=item.amount,
        amount_minor=item.amount_minor,
        currency=item.currency,
        reason_code="exists_with_different_content",
        faults=item.faults,
        open_shard=open_shard("conflict", request_hash),
        request=without_instrument(request) if len(request) <= _CONFLICT_REQUEST_MAX else "",
    )
