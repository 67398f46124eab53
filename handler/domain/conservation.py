"""The sums of a day: what was captured, refunded and disputed by the items, against what the gateway lists.

Protocol, "Conservation". The rule it keeps: each movement of money is compared by its own reference, so that no two
differences cancel each other out; it writes nothing to the table and moves no money.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from handler.domain.errors import (
    DamagedItemError,
    GatewayAnswerError,
    GatewayReferenceUnknownError,
    UnknownItemError,
)
from handler.domain.item import Item, from_stored
from handler.domain.payment import Kind, Movement, transaction_id
from handler.domain.ports import Gateway, TransactionLog
from handler.domain.refund_item import RefundItem, is_refund, refund_from_stored, refund_transaction_id
from handler.domain.states import OPEN
from handler.domain.typed import NamedTuple

State = Literal["pending", "done", "failed"]
KINDS: Final[tuple[Kind, ...]] = ("captured", "refunded", "disputed")
_STATES: Final[Mapping[str, State]] = {
    **{"approved": "done", "declined": "failed", "cancelled": "failed"},
    **{"refunded": "done", "failed": "failed"},
}
_NOT_JUDGED: Final = (DamagedItemError, UnknownItemError)
# What is not matched by a list alone is asked about by its reference, one by one: a day's end, a debit that took days.
# Each takes a call of the gateway and two reads of the table: some minutes for all of them.
ASKED_MAX: Final = 1_000
# Those that are told one by one; the sums have all of them.
TOLD_MAX: Final = 1_000


class Day(NamedTuple):
    """From `start_ms` up to `end_ms`, which is not in it; the lists begin at `listed_from_ms`."""

    start_ms: int
    end_ms: int
    listed_from_ms: int

    def has(self, at_ms: int | None) -> bool:
        return at_ms is not None and self.start_ms <= at_ms < self.end_ms


class Booked(NamedTuple):
    """One movement as an item has it; `at` is when the item came to its state, None where that is not the end."""

    kind: Kind
    ref: str
    gateway_ref: str
    payment_id: str
    state: State
    amount_minor: int
    currency: str
    at: int | None
    refund_id: str = ""


class Difference(NamedTuple):
    """One movement on which items and gateway do not agree; 0 and "" where a side has none.

    `why`: `not_in_items`, `not_at_gateway`, `other_amount`, `other_state`, `not_settled` (the gateway is done and the
    item still open, for a day), `listed_twice`, `not_asked` (one of too many that no list matched), or an item's own
    reason code where it cannot be judged.
    """

    why: str
    kind: str
    transaction_id: str
    ref: str
    gateway_ref: str
    items_minor: int = 0
    items_currency: str = ""
    gateway_minor: int = 0
    gateway_currency: str = ""


class Owed(NamedTuple):
    """A movement that the gateway is done with while its item is open: reconcile has until the next day's sums."""

    kind: Kind
    ref: str
    gateway_ref: str
    payment_id: str
    refund_id: str


class Sum(NamedTuple):
    """What both sides have of one kind in one currency, in minor units and as a number of movements."""

    kind: Kind
    currency: str
    items_minor: int
    gateway_minor: int
    items_count: int
    gateway_count: int


class Sums(NamedTuple):
    """The result of a day. `differences` has the first of `difference_count`."""

    sums: tuple[Sum, ...]
    differences: tuple[Difference, ...]
    difference_count: int
    owed: tuple[Owed, ...]
    items_read: int


def compare(
    day: Day,
    listed: Iterable[Movement],
    items: Iterable[Mapping[str, Any]],
    owed: Iterable[Owed],
    *,
    log: TransactionLog,
    gateway: Gateway,
) -> Sums:
    """Compare the items that were written in a day with what the gateway lists from `day.listed_from_ms` on.

    `items`: as they stood at the day's end, each once. `owed`: what the day before left to reconcile. A movement counts
    on the day on which its item came to its state; one that the gateway made in the day must be in an item, whichever
    day it counts on. Raises the retryable errors of `log` and `gateway`, and GatewayAnswerError for a list that cannot
    be whole.
    """
    return _Comparison(day, log, gateway).run(listed, items, owed)


@dataclass
class _Comparison:
    day: Day
    log: TransactionLog
    gateway: Gateway
    # By kind and reference: what the gateway lists and no item has matched yet.
    listed: dict[tuple[str, str], Movement] = field(default_factory=dict)
    sums: dict[tuple[Kind, str], list[int]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    difference_count: int = 0
    owed: list[Owed] = field(default_factory=list)
    asked: int = 0
    items_read: int = 0

    def run(self, listed: Iterable[Movement], items: Iterable[Mapping[str, Any]], owed: Iterable[Owed]) -> Sums:
        for movement in listed:
            is_first = self.listed.setdefault((movement.kind, movement.ref), movement) is movement
            if not is_first and self.day.has(movement.created_at):
                self._tell("listed_twice", movement, None, movement)
        for stored in items:
            self.items_read += 1
            for booked in self._booked(stored):
                self._match(booked)
        for movement in [each for each in self.listed.values() if self.day.has(each.created_at)]:
            self._ask(movement, None, movement)
        for each in owed:
            self._settled(each)
        sums = (Sum(*of, *numbers) for of, numbers in sorted(self.sums.items()))
        return Sums(tuple(sums), tuple(self.differences), self.difference_count, tuple(self.owed), self.items_read)

    def _booked(self, stored: Mapping[str, Any]) -> Sequence[Booked]:
        name = str(stored.get("transaction_id", ""))
        try:
            if is_refund(name):
                return list(_of_refund(refund_from_stored(stored)))
            # A conflict moves nothing, whatever its item has.
            return [] if "#" in name else list(_of_payment(from_stored(stored)))
        except _NOT_JUDGED as error:
            self._told(Difference(error.reason_code, "", name, "", ""))
            return []

    def _match(self, booked: Booked) -> None:
        key = (booked.kind, booked.ref)
        movement = self.listed.get(key)
        if _agree(booked, movement):
            del self.listed[key]
            if self.day.has(booked.at):
                self._count(booked, movement)
        elif self.day.has(booked.at):
            self.listed.pop(key, None)
            self._ask(booked, booked, movement)

    def _ask(self, seen: Booked | Movement, booked: Booked | None, movement: Movement | None) -> None:
        """Look at both sides anew: the lists are as old as the run, and the items as the day's end."""
        self.asked += 1
        if self.asked > ASKED_MAX:
            self._tell("not_asked", seen, booked, movement)
            return
        try:
            booked = self._booked_now(seen) or booked
        except _NOT_JUDGED as error:
            self._tell(error.reason_code, seen, booked, movement)
            return
        try:
            now = self._moved_now(seen)
        except GatewayAnswerError:
            # What contradicts its own list would hide all else of the day; of a charge the list says enough.
            if movement is None or movement.kind != "captured":
                raise
            now = None
        if movement is None and now is not None:
            self._require_listed(now)
        self._judge(seen, booked, now or movement)

    def _judge(self, seen: Booked | Movement, booked: Booked | None, movement: Movement | None) -> None:
        if _agree(booked, movement):
            # What counts on another day is that day's.
            if booked is not None and self.day.has(booked.at):
                self._count(booked, movement)
            return
        if _moved_nothing(booked, movement):
            return
        why = _why(booked, movement)
        if why == "not_settled":
            self.owed.append(Owed(seen.kind, seen.ref, seen.gateway_ref, seen.payment_id, seen.refund_id))
        else:
            self._tell(why, seen, booked, movement)

    def _settled(self, owed: Owed) -> None:
        """Tell what reconcile owes since the day before; in the sums it stands once its item says so."""
        movement = self._moved_now(owed)
        try:
            booked = self._booked_now(owed)
        except _NOT_JUDGED as error:
            self._told(_difference(error.reason_code, owed, None, movement))
            return
        if not _agree(booked, movement) and not _moved_nothing(booked, movement):
            self._told(_difference(_why(booked, movement), owed, booked, movement))

    def _booked_now(self, seen: Booked | Movement | Owed) -> Booked | None:
        """The same movement as its item has it by now; of a refund of ours its own item's word, else its payment's."""
        found: list[Booked] = []
        if seen.kind == "refunded" and seen.payment_id and seen.refund_id:
            refund = self.log.refunds().get(refund_transaction_id(seen.payment_id, seen.refund_id))
            if refund is not None and not refund.refund_ref:
                # The call's answer did not come: this very refund is found by its id.
                refund = refund._replace(refund_ref=seen.ref)
            found += _of_refund(refund) if refund is not None else ()
        if not any(each.ref == seen.ref for each in found) and seen.payment_id:
            item = self.log.get(transaction_id(seen.payment_id))
            found += _of_payment(item, with_own_refunds=True) if item is not None else ()
        return next((each for each in found if (each.kind, each.ref) == (seen.kind, seen.ref)), None)

    def _moved_now(self, seen: Booked | Movement | Owed) -> Movement | None:
        """The same movement as the gateway has it by its reference; None where there is none."""
        try:
            return next((each for each in self._moved_of(seen) if each.ref == seen.ref), None)
        except GatewayReferenceUnknownError:
            return None

    def _moved_of(self, seen: Booked | Movement | Owed) -> Iterator[Movement]:
        kind, of_it = seen.kind, (seen.gateway_ref, seen.payment_id)
        if kind == "captured":
            result = self.gateway.status(seen.gateway_ref)
            state = _STATES.get(result.state, "pending")
            # Without the charge's time nothing can be said of the list.
            created_at = _ms(result.timestamp) if result.timestamp else 0
            yield Movement(kind, seen.ref, *of_it, state, result.amount_minor, result.currency, created_at)
        elif kind == "refunded":
            for refund in self.gateway.refunds(seen.gateway_ref):
                state = _STATES.get(refund.state, "pending")
                amount = (refund.amount_minor, refund.currency)
                yield Movement(kind, refund.refund_ref, *of_it, state, *amount, refund.created_at, refund.refund_id)
        else:
            for dispute in self.gateway.disputes(seen.gateway_ref):
                amount = (dispute.amount_minor, dispute.currency)
                yield Movement(kind, dispute.dispute_ref, *of_it, "done", *amount, dispute.created_at)

    def _require_listed(self, movement: Movement) -> None:
        if movement.state == "done" and self.day.listed_from_ms <= movement.created_at < self.day.end_ms:
            raise GatewayAnswerError(f"the gateway's list of what was {movement.kind} lacks {movement.ref}")

    def _count(self, booked: Booked | None, movement: Movement | None) -> None:
        for place, side in enumerate((booked, movement)):
            if side is not None and side.state == "done":
                numbers = self.sums.setdefault((side.kind, side.currency), [0, 0, 0, 0])
                numbers[place] += side.amount_minor
                numbers[2 + place] += 1

    def _tell(self, why: str, seen: Booked | Movement, booked: Booked | None, movement: Movement | None) -> None:
        self._count(booked, movement)
        self._told(_difference(why, seen, booked, movement))

    def _told(self, difference: Difference) -> None:
        self.difference_count += 1
        if len(self.differences) < TOLD_MAX:
            self.differences.append(difference)


def _difference(
    why: str, seen: Booked | Movement | Owed, booked: Booked | None, movement: Movement | None
) -> Difference:
    name = transaction_id(seen.payment_id) if seen.payment_id else ""
    if name and seen.refund_id:
        name = refund_transaction_id(seen.payment_id, seen.refund_id)
    items = (booked.amount_minor, booked.currency) if booked else (0, "")
    at_gateway = (movement.amount_minor, movement.currency) if movement else (0, "")
    return Difference(why, seen.kind, name, seen.ref, seen.gateway_ref, *items, *at_gateway)


def _agree(booked: Booked | None, movement: Movement | None) -> bool:
    if booked is None or movement is None:
        return False
    said = (booked.state, booked.amount_minor, booked.currency)
    return said == (movement.state, movement.amount_minor, movement.currency)


def _moved_nothing(booked: Booked | None, movement: Movement | None) -> bool:
    """Whether neither side says that money moved, or may."""
    return (movement is None or movement.state == "failed") and (booked is None or booked.state != "done")


def _why(booked: Booked | None, movement: Movement | None) -> str:
    if booked is None:
        return "not_in_items"
    if movement is None:
        return "not_at_gateway"
    if (booked.amount_minor, booked.currency) != (movement.amount_minor, movement.currency):
        return "other_amount"
    return "not_settled" if booked.state == "pending" else "other_state"


def _of_payment(item: Item, *, with_own_refunds: bool = False) -> Iterator[Booked]:
    """What a payment's item has; a refund of ours has an item of its own, which says it better."""
    of_it = (item.gateway_ref, item.payment_id)
    if item.gateway_ref:
        state: State = "done" if item.status == "completed" else "pending" if item.status in OPEN else "failed"
        at = _processed_at(item) if state == "done" else None
        yield Booked("captured", item.gateway_ref, *of_it, state, item.amount_minor, item.currency, at)
    for ref, row in {row.refund_ref: row for row in item.refunded}.items():
        if with_own_refunds or not row.refund_id:
            state = _STATES.get(row.state, "pending")
            at = row.seen_at if state != "pending" else None
            yield Booked("refunded", ref, *of_it, state, row.amount_minor, item.currency, at, row.refund_id)
    first: dict[str, int] = {}
    for dispute in item.disputed:
        first.setdefault(dispute.dispute_ref, dispute.seen_at)
    for ref, last in {row.dispute_ref: row for row in item.disputed}.items():
        yield Booked("disputed", ref, *of_it, "done", last.amount_minor, last.currency, first[ref])


def _of_refund(refund: RefundItem) -> Iterator[Booked]:
    # Without its reference the gateway was not heard of it, or refused it: there is nothing to look for.
    if refund.refund_ref:
        state = _STATES.get(refund.status, "pending")
        at = refund.failed_at if state == "failed" else refund.refunded_at
        of_it = (refund.gateway_ref, refund.payment_id)
        amount = (refund.amount_minor, refund.currency)
        yield Booked("refunded", refund.refund_ref, *of_it, state, *amount, at, refund.refund_id)


def _processed_at(item: Item) -> int:
    try:
        return _ms(item.processed_at)
    except ValueError as error:
        raise DamagedItemError(item.transaction_id, f"{item.transaction_id} has no time when it ended") from error


def _ms(timestamp: str) -> int:
    """A time as items have it, `2024-01-01T12:00:00Z`, in milliseconds since the epoch."""
    return 1000 * int(datetime.fromisoformat(timestamp).timestamp())
