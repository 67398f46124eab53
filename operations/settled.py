"""The rows of `payments export`: what a period settled, gave back, and had disputed, from the items of a whole export.

The rule it keeps: a row stands in the period in which the table recorded it, so that periods add up, and the rows of a
period that has passed are the same in every later export; no attribute is in one that outcome events withhold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from handler.domain.errors import DamagedItemError
from handler.domain.item import from_stored, timestamp
from handler.domain.money import as_text
from handler.domain.payment import DisputeSeen, RefundSeen
from handler.domain.refund_item import is_refund, refund_from_stored
from handler.domain.states import CONFLICT

Kind = Literal["payment", "refund", "refund_failed", "dispute", "dispute_won"]
KINDS: Final[tuple[Kind, ...]] = ("payment", "refund", "refund_failed", "dispute", "dispute_won")


class Row(NamedTuple):
    """One line of the file. The sentence below a column is its meaning in docs/settled.md.

    Amounts are minor units and, beside them, decimal text; None and "" are empty cells.
    """

    kind: Kind
    """`payment`: a payment settled. `refund`: money was given back, by us or in the gateway's dashboard;
    `refund_failed`: that came back from the bank. `dispute`: a bank took the amount back, or more of it than before;
    `dispute_won`: we got it, or a part of it."""
    settled_at: str
    """When the table recorded it, in UTC: what the period is about, and what rows are in order of."""
    payment_id: str
    """The sender's id of the payment."""
    order_id: str
    """The sender's order."""
    status: str
    """What became of the payment (docs/protocol.md, "States"): only `completed` took money."""
    currency: str
    """ISO 4217's code of the amount."""
    amount_minor: int | None
    """The amount of this row in minor units, never below zero: `kind` says which way it went."""
    amount: str
    """The same as a decimal."""
    refunded_minor: int | None
    """Of a payment's row: what of it was given back before the period's end, whenever that was."""
    refunded: str
    """The same as a decimal."""
    disputed_minor: int | None
    """Of a payment's row: what of it was disputed and not won before the period's end, in the payment's currency."""
    disputed: str
    """The same as a decimal."""
    reason_code: str
    """Why the payment ended as it did (docs/reason-codes.md), where that has a reason."""
    gateway_ref: str
    """The gateway's reference of the charge."""
    later_ref: str
    """The gateway's reference of the refund or the dispute."""
    refund_id: str
    """The sender's id of the refund; empty where somebody gave the money back in the gateway's dashboard."""
    created_at: str
    """When the payment was claimed, in UTC."""


class _Payment(NamedTuple):
    payment_id: str
    order_id: str
    status: str
    currency: str
    amount_minor: int
    reason_code: str
    gateway_ref: str
    created_at: int
    processed_at: int
    refunded: tuple[RefundSeen, ...]
    disputed: tuple[DisputeSeen, ...]


class _Refund(NamedTuple):
    """A refund of ours that was given back, and may have failed later."""

    refund_ref: str
    refund_id: str
    amount_minor: int
    currency: str
    gateway_ref: str
    refunded_at: int
    failed_at: int | None


class _Movement(NamedTuple):
    """Money that moved after the charge."""

    kind: Kind
    at: int
    ref: str
    refund_id: str
    amount_minor: int
    currency: str


class Period:
    """From `since` to before `until`, in milliseconds: `add` every item of an export, then take `rows`."""

    def __init__(self, since: int, until: int) -> None:
        self._since = since
        self._until = until
        self._payments: dict[str, _Payment] = {}
        self._refunds: dict[str, list[_Refund]] = {}

    def add(self, stored: Mapping[str, Any]) -> None:
        """One item of the table. Raises DamagedItemError and UnknownItemError, and then knows nothing of it."""
        key = str(stored.get("transaction_id", ""))
        if is_refund(key):
            self._add_refund(stored)
        elif key.startswith("txn-"):
            self._add_payment(stored)

    def _add_refund(self, stored: Mapping[str, Any]) -> None:
        refund = refund_from_stored(stored)
        if refund.refunded_at is None:
            return
        given = _Refund(
            refund.refund_ref,
            refund.refund_id,
            refund.amount_minor,
            refund.currency,
            refund.gateway_ref,
            refund.refunded_at,
            refund.failed_at,
        )
        self._refunds.setdefault(refund.payment_id, []).append(given)

    def _add_payment(self, stored: Mapping[str, Any]) -> None:
        item = from_stored(stored)
        if item.status == CONFLICT or item.final_status is None:
            return
        processed_at = _ms(item.transaction_id, item.processed_at)
        # One that settled before is kept for the rows of what came later.
        has_more = item.refunded or item.disputed or "refund_reserved" in stored
        if not (self._is_in(processed_at) or (has_more and processed_at < self._until)):
            return
        self._payments[item.payment_id] = _Payment(
            item.payment_id,
            item.order_id,
            item.status,
            item.currency,
            item.amount_minor,
            item.reason_code,
            item.gateway_ref,
            item.created_at,
            processed_at,
            item.refunded,
            item.disputed,
        )

    def _is_in(self, at: int) -> bool:
        return self._since <= at < self._until

    def rows(self) -> list[Row]:
        """All rows, in order of `settled_at`, then payment, kind and reference."""
        rows = [
            row
            for payment_id in self._payments.keys() | self._refunds.keys()
            for row in self._of_payment(payment_id, self._payments.get(payment_id), self._refunds.get(payment_id, []))
        ]
        return sorted(rows, key=lambda row: (row.settled_at, row.payment_id, KINDS.index(row.kind), row.later_ref))

    def _of_payment(self, payment_id: str, payment: _Payment | None, refunds: list[_Refund]) -> Iterator[Row]:
        # A refund whose payment cannot be read has its row all the same.
        said = payment or _Payment(payment_id, "", "", "", 0, "", refunds[0].gateway_ref, 0, 0, (), ())
        moved = [each for each in _movements(said, refunds) if each.at < self._until]
        if payment and self._is_in(payment.processed_at):
            refunded = _left(moved, "refund", "refund_failed", payment.currency)
            disputed = _left(moved, "dispute", "dispute_won", payment.currency)
            has_money = payment.status == "completed"
            yield _row(
                payment,
                kind="payment",
                at=payment.processed_at,
                currency=payment.currency,
                amount_minor=payment.amount_minor or None,
                refunded_minor=refunded if has_money else None,
                disputed_minor=disputed if has_money else None,
            )
        for each in moved:
            if self._is_in(each.at):
                yield _row(
                    said,
                    kind=each.kind,
                    at=each.at,
                    currency=each.currency,
                    amount_minor=each.amount_minor,
                    later_ref=each.ref,
                    refund_id=each.refund_id,
                )


def totals(rows: Iterable[Row]) -> dict[str, dict[Kind, int]]:
    """Minor units by currency and kind, of what moved money."""
    found: dict[str, dict[Kind, int]] = {}
    for row in rows:
        if row.kind != "payment" or row.status == "completed":
            kinds = found.setdefault(row.currency, dict.fromkeys(KINDS, 0))
            kinds[row.kind] += row.amount_minor or 0
    return dict(sorted(found.items()))


def _movements(payment: _Payment, refunds: Iterable[_Refund]) -> Iterator[_Movement]:
    """What was given back and taken, each once, when the table first knew of it, whoever told it."""
    seen = {
        (row.refund_ref, row.state, row.seen_at): (row.refund_id, row.amount_minor, payment.currency)
        for row in payment.refunded
    }
    for refund in refunds:
        said = (refund.refund_id, refund.amount_minor, refund.currency)
        seen[refund.refund_ref, "refunded", refund.refunded_at] = said
        if refund.failed_at is not None:
            seen[refund.refund_ref, "failed", refund.failed_at] = said
    given: dict[str, int] = {}
    # At the same moment it was given back before it failed.
    in_turn = sorted(seen.items(), key=lambda each: (each[0][2], each[0][1] == "failed"))
    for (ref, state, at), (refund_id, amount, currency) in in_turn:
        if state == "refunded" and ref not in given:
            given[ref] = amount
            yield _Movement("refund", at, ref, refund_id, amount, currency)
        elif state == "failed" and ref in given:
            yield _Movement("refund_failed", at, ref, refund_id, given.pop(ref), currency)
    taken: dict[str, int] = {}
    for row in sorted(payment.disputed, key=lambda row: row.seen_at):
        # By how much more or less is taken than before: a bank may come to another amount.
        stands = 0 if row.state == "won" else row.amount_minor
        more = stands - taken.get(row.dispute_ref, 0)
        taken[row.dispute_ref] = stands
        if more:
            kind: Kind = "dispute" if more > 0 else "dispute_won"
            yield _Movement(kind, row.seen_at, row.dispute_ref, "", abs(more), row.currency)


def _left(moved: Iterable[_Movement], away: Kind, back: Kind, currency: str) -> int:
    signs = {away: 1, back: -1}
    return sum(signs.get(each.kind, 0) * each.amount_minor for each in moved if each.currency == currency)


def _row(
    payment: _Payment,
    *,
    kind: Kind,
    at: int,
    currency: str,
    amount_minor: int | None,
    refunded_minor: int | None = None,
    disputed_minor: int | None = None,
    later_ref: str = "",
    refund_id: str = "",
) -> Row:
    def text(minor: int | None) -> str:
        return "" if minor is None else as_text(minor, currency)

    return Row(
        kind=kind,
        settled_at=timestamp(at),
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        status=payment.status,
        currency=currency,
        amount_minor=amount_minor,
        amount=text(amount_minor),
        refunded_minor=refunded_minor,
        refunded=text(refunded_minor),
        disputed_minor=disputed_minor,
        disputed=text(disputed_minor),
        reason_code=payment.reason_code,
        gateway_ref=payment.gateway_ref,
        later_ref=later_ref,
        refund_id=refund_id,
        created_at=timestamp(payment.created_at) if payment.created_at else "",
    )


def _ms(transaction_id: str, text: str) -> int:
    try:
        return int(1000 * datetime.fromisoformat(text).timestamp())
    except ValueError:
        raise DamagedItemError(transaction_id, f"{transaction_id} has {text!r} as processed_at") from None
