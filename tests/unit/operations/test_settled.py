"""The rows of an export: each payment once, each movement of money once and in the period that first knew of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

import pytest

from handler.adapters.table.expressions import from_attributes, to_attributes
from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import Item, timestamp
from handler.domain.outcome_event import TOLD, WITHHELD
from handler.domain.payment import DisputeSeen, RefundSeen
from handler.domain.states import FINAL
from operations.settled import KINDS, Kind, Period, Row, totals
from tests.support.payments import whole_item
from tests.support.refunds import completed, give


def ms(text: str) -> int:
    return int(1000 * datetime.fromisoformat(f"2026-11-{text}Z").timestamp())


def payment(name: str = "a", at: str = "10T12:00:00", **other: Any) -> dict[str, Any]:
    stated = {"payment_id": name, "order_id": f"ord-{name}", "processed_at": f"2026-11-{at}Z", "status": "completed"}
    return whole_item({}, transaction_id=f"txn-{name}", **stated, **other)


def refund(at: str, name: str = "a", refund_id: str = "r-1", **other: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"txn-{name}#refund#{refund_id}",
        "payment_id": name,
        "refund_id": refund_id,
        "status": "refunded",
        "owner": "o",
        "attempt": 1,
        "amount_minor": 1000,
        "currency": "USD",
        "created_at": 1,
        "updated_at": 1,
        "gateway_ref": "sim_2599_USD_1",
        "refund_ref": f"re-{refund_id}",
        "pending_at": 1,
        "refunded_at": ms(at),
        **other,
    }


def seen(*states: tuple[str, str], ref: str = "re-r-1", refund_id: str = "r-1") -> dict[str, Any]:
    rows = [RefundSeen(ref, refund_id, state, 1000, 1, ms(at))._asdict() for state, at in states]
    return {"refunded": rows, "later_no": len(rows)}


def disputed(*states: tuple[str, str], currency: str = "USD") -> dict[str, Any]:
    rows = [DisputeSeen("dp-1", state, 2000, currency, "general", 1, ms(at))._asdict() for state, at in states]
    return {"disputed": rows, "later_no": len(rows)}


def rows(*items: Mapping[str, Any], since: str = "10T00:00:00", until: str = "20T00:00:00") -> list[Row]:
    period = Period(ms(since), ms(until))
    for item in items:
        # As an export has them.
        period.add(from_attributes(to_attributes(item)))
    return period.rows()


def moved(found: Iterable[Row]) -> list[tuple[str, str, int | None]]:
    return [(row.kind, row.settled_at[8:10], row.amount_minor) for row in found]


def test_a_payment_has_one_row_with_its_amount_as_it_is_and_as_text():
    (row,) = rows(payment(created_at=ms("09T00:00:00")))
    assert row._asdict() == {
        "kind": "payment",
        "settled_at": "2026-11-10T12:00:00Z",
        "payment_id": "a",
        "order_id": "ord-a",
        "status": "completed",
        "currency": "USD",
        "amount_minor": 2599,
        "amount": "25.99",
        "refunded_minor": 0,
        "refunded": "0.00",
        "disputed_minor": 0,
        "disputed": "0.00",
        "reason_code": "",
        "gateway_ref": "sim_2599_USD_1",
        "later_ref": "",
        "refund_id": "",
        "created_at": "2026-11-09T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("currency", "minor", "text", "zero"),
    [
        ("JPY", 500, "500", "0"),
        ("KWD", 1505, "1.505", "0.000"),
        ("USD", 99_999_999_999_999, "999999999999.99", "0.00"),
    ],
)
def test_an_amount_has_the_digits_of_its_currency_and_never_was_a_float(currency, minor, text, zero):
    (row,) = rows(payment(currency=currency, amount_minor=minor))
    assert (row.amount_minor, row.amount, row.refunded) == (minor, text, zero)
    assert type(row.amount_minor) is int


@pytest.mark.parametrize("status", sorted(FINAL))
def test_every_end_of_a_payment_has_its_row_and_what_took_no_money_says_so(status):
    (row,) = rows(whole_item({}, status=status, processed_at="2026-11-10T00:00:00Z"))
    has_money = status == "completed"
    assert (row.status, row.refunded_minor is not None, bool(row.refunded)) == (status, has_money, has_money)
    assert bool(totals([row])) is has_money


def test_a_rejected_message_without_amount_or_currency_has_empty_cells():
    (row,) = rows(whole_item({}, status="rejected", processed_at="2026-11-10T00:00:00Z"))
    assert (row.amount_minor, row.amount, row.currency, row.order_id) == (None, "", "", "")
    assert row.reason_code == "malformed"


def test_the_beginning_is_in_the_period_and_the_end_is_not_and_what_is_open_or_no_payment_is_not():
    found = rows(
        payment("before", "09T23:59:59"),
        payment("first", "10T00:00:00"),
        payment("last", "19T23:59:59"),
        payment("after", "20T00:00:00"),
        whole_item({}, transaction_id="txn-open", status="processing"),
        whole_item({}, transaction_id="txn-x#conflict#0", status="conflict", processed_at="2026-11-11T00:00:00Z"),
        {"transaction_id": "sum-2026-11-11", "anything": "else"},
    )
    assert [row.payment_id for row in found] == ["first", "last"]


def test_rows_are_in_the_order_of_time_whatever_the_order_of_the_export():
    items = [payment("b"), payment("a"), payment("c", "10T11:59:59"), refund("10T12:00:00"), refund("10T12:00:00", "b")]
    found = {tuple(rows(*each)) for each in itertools.permutations(items)}
    assert len(found) == 1
    assert [(row.payment_id, row.kind) for row in found.pop()] == [
        ("c", "payment"),
        ("a", "payment"),
        ("a", "refund"),
        ("b", "payment"),
        ("b", "refund"),
    ]


def test_a_refund_is_in_the_period_that_gave_it_back_whenever_its_payment_was_charged():
    items = [payment(at="01T00:00:00", refund_reserved=1000), refund("12T00:00:00")]
    (row,) = rows(*items)
    assert (row.kind, row.order_id, row.amount, row.later_ref, row.refund_id) == (
        "refund",
        "ord-a",
        "10.00",
        "re-r-1",
        "r-1",
    )
    assert moved(rows(*items, since="01T00:00:00", until="10T00:00:00")) == [("payment", "01", 2599)]
    assert rows(*items, since="13T00:00:00") == []


def test_a_refund_that_two_told_of_counts_once_when_the_table_first_knew():
    for at in ("12T00:00:00", "14T00:00:00"):
        items = [
            payment(refund_reserved=1000, **seen(("pending", "11T00:00:00"), ("refunded", at))),
            refund("13T00:00:00"),
        ]
        first, second = rows(*items)
        assert (first.refunded_minor, second.settled_at[:13]) == (1000, f"2026-11-{min(at, '13T00:00:00')}"[:13])


def test_one_that_somebody_gave_back_in_the_dashboard_has_its_row():
    _, row = rows(payment(**seen(("refunded", "12T00:00:00"), ref="re-9", refund_id="")))
    assert (row.kind, row.later_ref, row.refund_id) == ("refund", "re-9", "")


def test_one_that_the_bank_returned_is_taken_back_in_the_period_of_that():
    told = refund("12T00:00:00", status="failed", reason_code="refund_failed", failed_at=ms("25T00:00:00"))
    items = [payment(refund_reserved=0, **seen(("refunded", "12T00:00:00"), ("failed", "26T00:00:00"))), told]
    assert moved(rows(*items)) == [("payment", "10", 2599), ("refund", "12", 1000)]
    assert rows(*items)[0].refunded_minor == 1000
    assert moved(rows(*items, since="20T00:00:00", until="30T00:00:00")) == [("refund_failed", "25", 1000)]
    assert rows(*items, until="30T00:00:00")[0].refunded_minor == 0


def test_one_that_never_was_given_back_has_no_row():
    failed = refund("12T00:00:00", status="failed", reason_code="refund_failed", failed_at=ms("12T00:00:00"))
    del failed["refunded_at"], failed["refund_ref"]
    open_one = refund("12T00:00:00", status="pending", open_shard="refund#0")
    del open_one["refunded_at"]
    assert moved(rows(payment(**seen(("pending", "11T00:00:00"), ("failed", "12T00:00:00"))), failed, open_one)) == [
        ("payment", "10", 2599)
    ]


def test_a_refund_whose_payment_cannot_be_read_has_its_row_all_the_same():
    (row,) = rows(refund("12T00:00:00"))
    assert (row.payment_id, row.order_id, row.gateway_ref, row.created_at) == ("a", "", "sim_2599_USD_1", "")


def test_a_dispute_takes_its_amount_and_gives_it_back_where_it_is_won():
    item = payment(**disputed(("open", "12T00:00:00"), ("open", "13T00:00:00"), ("won", "25T00:00:00")))
    first, second = rows(item)
    assert (first.disputed_minor, first.disputed) == (2000, "20.00")
    assert (second.kind, second.later_ref, second.amount) == ("dispute", "dp-1", "20.00")
    assert moved(rows(item, since="20T00:00:00", until="30T00:00:00")) == [("dispute_won", "25", 2000)]
    assert rows(item, until="30T00:00:00")[0].disputed_minor == 0
    lost = payment(**disputed(("lost", "12T00:00:00")))
    assert moved(rows(lost))[1:] == [("dispute", "12", 2000)]


def test_a_dispute_over_another_amount_than_before_has_the_difference_in_the_period_of_that():
    item = payment(**disputed(("open", "12T00:00:00"), ("open", "13T00:00:00"), ("lost", "22T00:00:00")))
    for row, amount in zip(item["disputed"], (500, 2000, 1200), strict=True):
        row["amount_minor"] = amount
    first, *later = rows(item)
    assert moved(later) == [("dispute", "12", 500), ("dispute", "13", 1500)]
    assert first.disputed_minor == 2000
    assert moved(rows(item, since="20T00:00:00", until="30T00:00:00")) == [("dispute_won", "22", 800)]
    assert rows(item, until="30T00:00:00")[0].disputed_minor == 1200


def test_a_dispute_in_another_currency_is_in_its_own_row_alone():
    first, second = rows(payment(**disputed(("open", "12T00:00:00"), currency="JPY")))
    assert (first.disputed_minor, second.currency, second.amount) == (0, "JPY", "2000")


def test_periods_add_up_however_they_are_cut_and_a_later_export_says_the_same():
    items = [
        payment("a", "02T00:00:00", refund_reserved=1000, **seen(("refunded", "14T00:00:00"))),
        refund("13T00:00:00", status="failed", reason_code="refund_failed", failed_at=ms("21T00:00:00")),
        payment("b", "12T00:00:00", **disputed(("open", "19T00:00:00"), ("won", "28T00:00:00"))),
        payment("c", "28T00:00:00"),
    ]
    cuts = ["01T00:00:00", "13T00:00:00", "19T00:00:00", "25T00:00:00", "30T00:00:00"]
    whole = moved(rows(*items, since=cuts[0], until=cuts[-1]))
    parts = [rows(*items, since=since, until=until) for since, until in itertools.pairwise(cuts)]
    assert [row for part in parts for row in moved(part)] == whole
    assert len(whole) == 7
    # The same table before anything of the second half was written.
    earlier = [
        payment("a", "02T00:00:00", refund_reserved=1000, **seen(("refunded", "14T00:00:00"))),
        refund("13T00:00:00"),
        payment("b", "12T00:00:00"),
    ]
    assert rows(*earlier, since=cuts[1], until=cuts[2]) == parts[1]


def test_what_was_really_charged_and_given_back_is_in_the_rows():
    world = completed()
    give(world, "20.00")
    period = Period(0, world.clock.ms + 60_000)
    for attributes in world.dynamodb.items.values():
        period.add(from_attributes(attributes))
    charge, back = period.rows()
    assert (charge.kind, charge.amount, charge.refunded) == ("payment", "25.99", "20.00")
    assert (back.kind, back.amount, back.refund_id, back.settled_at) == (
        "refund",
        "20.00",
        "r-1",
        timestamp(world.clock.ms),
    )
    assert totals([charge, back]) == {"USD": dict.fromkeys(KINDS, 0) | {"payment": 2599, "refund": 2000}}


def test_an_item_that_cannot_be_read_is_told_by_its_name():
    with pytest.raises(DamagedItemError, match="txn-a"):
        rows(payment(gateway_ref=None))
    with pytest.raises(DamagedItemError, match="txn-a has 'soon' as processed_at"):
        rows({**payment(), "processed_at": "soon"})
    with pytest.raises(UnknownItemError, match="txn-a is 'paid'"):
        rows({**payment(), "status": "paid"})
    with pytest.raises(DamagedItemError, match="txn-a#refund#r-1"):
        rows(refund("12T00:00:00", currency=7))


def test_a_column_has_nothing_that_outcome_events_withhold():
    # What is of an attribute under another name; a refund's own id is in the rows of `refunded` too.
    of = {
        "settled_at": "processed_at",
        "refunded_minor": "refunded",
        "disputed_minor": "disputed",
        "later_ref": "refunded",
        "refund_id": "refunded",
    }
    assert get_args(Kind) == KINDS
    attributes = {of.get(column, column) for column in Row._fields} - {"kind"}
    assert attributes <= set(Item._fields)
    assert attributes <= set(TOLD)
    assert not attributes & WITHHELD.keys()
