"""The sums of a day tell every movement on which items and gateway do not agree, and nothing else, exactly."""

from __future__ import annotations

from typing import Any

import pytest

from handler.domain import conservation
from handler.domain.conservation import Owed, Sum, Sums
from handler.domain.errors import GatewayAnswerError, GatewayReferenceUnknownError, GatewayUnavailableError
from handler.domain.item import timestamp
from handler.domain.payment import GatewayResult
from tests.support.conservation import HOUR, MIDNIGHT, NOON, START, Books, disputed, seen, told
from tests.support.payments import whole_item


def test_a_day_that_agrees_has_equal_sums_by_currency_and_asks_nothing_one_by_one() -> None:
    books = Books()
    books.payment("a", 1000)
    books.payment("b", 250, "EUR")
    books.payment("c", 5, refunded=[seen("re_desk", 5)], disputed=[disputed("du_1", 7, currency="EUR")])
    books.payment("d", status="declined")
    books.keep({"transaction_id": "txn-a#conflict#1", "status": "conflict"})
    books.refund("a", "r-1", 400)
    books.captured("a", 1000)
    books.captured("b", 250, currency="EUR")
    books.captured("c", 5)
    books.moved("refunded", "a", "re_r-1", 400, refund_id="r-1")
    books.moved("refunded", "c", "re_desk", 5)
    books.moved("disputed", "c", "du_1", 7, currency="EUR")
    sums = books.compare()
    assert (sums.differences, sums.difference_count, sums.owed, books.asked) == ((), 0, (), [])
    assert sums.items_read == 6
    assert sums.sums == (
        Sum("captured", "EUR", 250, 250, 1, 1),
        Sum("captured", "USD", 1005, 1005, 2, 2),
        Sum("disputed", "EUR", 7, 7, 1, 1),
        Sum("refunded", "USD", 405, 405, 2, 2),
    )


def test_a_charge_that_no_item_knows_is_told() -> None:
    books = Books()
    books.payment("a")
    books.captured("a")
    books.captured("lost", 77)
    sums = books.compare()
    assert told(sums) == [("not_in_items", "pi_lost")]
    assert sums.differences[0].transaction_id == "txn-lost"
    assert sums.sums == (Sum("captured", "USD", 1000, 1077, 1, 2),)


def test_a_second_charge_of_a_payment_is_told_beside_the_one_that_its_item_has() -> None:
    books = Books()
    books.payment("a")
    books.captured("a")
    books.captured("a", gateway_ref="pi_again")
    assert told(books.compare()) == [("not_in_items", "pi_again")]


def test_two_charges_under_one_reference_are_told() -> None:
    books = Books()
    books.payment("a")
    books.captured("a")
    books.captured("a")
    sums = books.compare()
    assert told(sums) == [("listed_twice", "pi_a")]
    assert sums.sums == (Sum("captured", "USD", 1000, 2000, 1, 2),)


def test_money_in_the_books_that_the_gateway_does_not_have_is_told() -> None:
    books = Books()
    books.payment("a")
    sums = books.compare()
    assert told(sums) == [("not_at_gateway", "pi_a")]
    assert sums.sums == (Sum("captured", "USD", 1000, 0, 1, 0),)


@pytest.mark.parametrize("other", [{"amount": 999}, {"amount": 1000, "currency": "EUR"}])
def test_another_amount_or_currency_is_told_on_both_sides(other: dict[str, Any]) -> None:
    books = Books()
    books.payment("a")
    books.captured("a", **other)
    sums = books.compare()
    assert told(sums) == [("other_amount", "pi_a")]
    assert sum(each.items_minor for each in sums.sums) == 1000
    assert sum(each.gateway_minor for each in sums.sums) == other["amount"]


def test_two_differences_that_cancel_each_other_out_in_the_sum_are_both_told() -> None:
    books = Books()
    books.payment("a")
    books.captured("b")
    sums = books.compare()
    assert sums.sums == (Sum("captured", "USD", 1000, 1000, 1, 1),)
    assert told(sums) == [("not_at_gateway", "pi_a"), ("not_in_items", "pi_b")]


def test_a_payment_that_ended_without_a_charge_and_was_captured_is_told() -> None:
    books = Books()
    books.payment("a", status="declined")
    books.captured("a")
    assert told(books.compare()) == [("other_state", "pi_a")]


def test_a_capture_whose_charge_failed_after_all_is_told() -> None:
    books = Books()
    books.payment("a")
    books.captured("a", state="failed")
    assert told(books.compare()) == [("other_state", "pi_a")]


def test_a_charge_before_midnight_that_is_recorded_after_it_counts_on_the_day_of_its_record() -> None:
    books = Books()
    books.payment("a", status="processing")
    books.captured("a", created_at=MIDNIGHT - 1000)
    books.keep(
        {**books.exported["txn-a"], "status": "completed", "processed_at": timestamp(MIDNIGHT), "gateway_response": {}},
        True,
    )
    sums = books.compare()
    assert (sums.sums, sums.differences, books.asked) == ((), (), ["pi_a"])


def test_a_charge_of_the_evening_before_that_is_recorded_in_the_day_counts_and_asks_nothing() -> None:
    books = Books()
    books.payment("a", at=START)
    books.captured("a", created_at=START - 1000)
    sums = books.compare()
    assert (sums.sums, sums.differences, books.asked) == ((Sum("captured", "USD", 1000, 1000, 1, 1),), (), [])


def test_a_debit_of_three_days_ago_that_settled_in_the_day_is_asked_about_by_its_reference() -> None:
    books = Books()
    books.payment("a")
    books.captured("a", created_at=START - 72 * HOUR)
    sums = books.compare()
    assert (sums.sums, sums.differences, books.asked) == ((Sum("captured", "USD", 1000, 1000, 1, 1),), (), ["pi_a"])


def test_a_payment_of_the_evening_before_that_is_written_again_does_not_count_again() -> None:
    books = Books()
    books.payment("a", at=START - 1000, updated_at=NOON)
    books.captured("a", created_at=START - 2000)
    assert books.compare() == Sums((), (), 0, (), 1)


def test_a_charge_that_the_gateways_clock_puts_behind_midnight_is_asked_about() -> None:
    books = Books()
    books.payment("a", at=MIDNIGHT - 1000)
    books.captured("a", created_at=MIDNIGHT)
    sums = books.compare()
    assert (sums.sums, sums.differences) == ((Sum("captured", "USD", 1000, 1000, 1, 1),), ())


def test_a_charge_that_is_listed_and_unknown_by_its_reference_is_told_with_its_amount() -> None:
    class Forgets(Books):
        def status(self, gateway_ref: str) -> GatewayResult:
            raise GatewayReferenceUnknownError(gateway_ref)

    books = Forgets()
    books.captured("a", 77)
    (difference,) = books.compare().differences
    assert (difference.why, difference.gateway_minor, difference.items_minor) == ("not_in_items", 77, 0)


def test_what_the_margin_lists_of_the_day_before_is_that_days() -> None:
    books = Books()
    books.captured("yesterday", created_at=START - 1000)
    assert books.compare() == Sums((), (), 0, (), 0)


@pytest.mark.parametrize("status", ["processing", "parked"])
def test_what_reconcile_still_owes_is_told_only_the_day_after(status: str) -> None:
    books = Books()
    books.payment("a", status=status)
    books.captured("a")
    sums = books.compare()
    assert (sums.sums, sums.differences) == ((), ())
    assert sums.owed == (Owed("captured", "pi_a", "pi_a", "a", ""),)
    books.movements[0] = books.movements[0]._replace(created_at=START - 20 * HOUR)
    assert told(books.compare(sums.owed)) == [("not_settled", "pi_a")]
    books.payment("a")
    settled = books.compare(sums.owed)
    assert (settled.differences, settled.sums) == ((), (Sum("captured", "USD", 1000, 1000, 1, 1),))


def test_an_item_that_cannot_be_judged_a_day_later_either_is_told() -> None:
    books = Books()
    books.captured("a", created_at=START - HOUR * 20)
    books.keep({**whole_item({"transaction_id": "txn-a"}), "status": "of a later release"}, since_export=True)
    assert told(books.compare([Owed("captured", "pi_a", "pi_a", "a", "")])) == [("item_unknown", "pi_a")]


def test_a_refund_whose_answer_did_not_come_is_what_reconcile_owes() -> None:
    books = Books()
    books.refund("a", "r-1", 300, "pending", refund_ref=None)
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1")
    sums = books.compare()
    assert (sums.differences, sums.owed) == ((), (Owed("refunded", "re_r-1", "pi_a", "a", "r-1"),))


def test_a_refund_that_the_items_lack_is_told() -> None:
    books = Books()
    books.payment("a", at=START - HOUR)
    books.moved("refunded", "a", "re_desk", 300)
    sums = books.compare()
    assert told(sums) == [("not_in_items", "re_desk")]
    assert sums.sums == (Sum("refunded", "USD", 0, 300, 0, 1),)


def test_a_refund_of_ours_whose_item_is_lost_names_that_item() -> None:
    books = Books()
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1")
    assert [each.transaction_id for each in books.compare().differences] == ["txn-a#refund#r-1"]


def test_a_refund_in_the_books_that_the_gateway_does_not_have_is_told() -> None:
    books = Books()
    books.refund("a", "r-1", 300)
    assert told(books.compare()) == [("not_at_gateway", "re_r-1")]


def test_a_refund_that_its_bank_returned_and_the_items_still_have_is_told() -> None:
    books = Books()
    books.refund("a", "r-1", 300)
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1", state="failed")
    assert told(books.compare()) == [("other_state", "re_r-1")]


def test_a_refund_of_weeks_ago_that_failed_in_the_day_is_asked_about() -> None:
    books = Books()
    books.refund("a", "r-1", 300, "failed", refunded_at=START - 500 * HOUR)
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1", state="failed", created_at=START - 500 * HOUR)
    assert (books.compare().differences, books.asked) == ((), ["pi_a"])
    books.movements[0] = books.movements[0]._replace(state="done")
    assert told(books.compare()) == [("other_state", "re_r-1")]


def test_a_refund_that_failed_and_that_the_gateway_does_not_have_moved_nothing() -> None:
    books = Books()
    books.refund("a", "r-1", 300, "failed")
    assert (books.compare().differences, books.asked) == ((), ["pi_a"])


def test_a_refund_that_stands_in_both_items_counts_once() -> None:
    books = Books()
    books.payment("a", at=START - HOUR, refunded=[seen("re_r-1", 300, refund_id="r-1")])
    books.refund("a", "r-1", 300)
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1")
    sums = books.compare()
    assert (sums.sums, sums.differences, books.asked) == ((Sum("refunded", "USD", 300, 300, 1, 1),), (), [])


def test_a_refund_that_failed_without_its_reference_and_was_given_is_told() -> None:
    books = Books()
    books.refund("a", "r-1", 300, "failed", refund_ref=None)
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1")
    assert told(books.compare()) == [("other_state", "re_r-1")]


def test_what_somebody_gave_back_counts_when_it_was_seen_and_not_while_it_is_under_way() -> None:
    books = Books()
    books.payment("a", at=START - HOUR, refunded=[{**seen("re_1", 300), "created_at": START - 30 * HOUR}])
    books.payment("b", at=START - HOUR, refunded=[seen("re_2", 50, "pending")])
    books.moved("refunded", "a", "re_1", 300, created_at=START - 30 * HOUR)
    books.moved("refunded", "b", "re_2", 50, state="pending", created_at=START - 30 * HOUR)
    sums = books.compare()
    assert (sums.sums, books.asked) == ((Sum("refunded", "USD", 300, 300, 1, 1),), ["pi_a"])


def test_a_refund_that_was_refused_and_has_no_reference_is_none() -> None:
    books = Books()
    books.refund("a", "r-1", 300, "failed", refund_ref=None, gateway_ref=None)
    assert (books.compare().differences, books.asked) == ((), [])


def test_a_refund_that_is_under_way_on_both_sides_counts_on_no_day_yet() -> None:
    books = Books()
    books.refund("a", "r-1", 300, "pending")
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1", state="pending")
    sums = books.compare()
    assert (sums.sums, sums.differences, sums.owed, books.asked) == ((), (), (), [])


def test_a_refund_that_is_under_way_and_that_no_item_knows_is_told_at_once() -> None:
    # Its end is in no later day's list.
    books = Books()
    books.payment("a", at=START - HOUR)
    books.moved("refunded", "a", "re_desk", 300, state="pending")
    assert (told(sums := books.compare()), sums.sums) == ([("not_in_items", "re_desk")], ())


def test_a_refund_that_failed_at_once_and_that_no_item_knows_moved_nothing() -> None:
    books = Books()
    books.moved("refunded", "a", state="failed")
    assert books.compare().differences == ()


def test_a_refund_whose_item_was_lost_is_known_by_its_payments_item() -> None:
    books = Books()
    books.payment("a", at=START - HOUR, refunded=[seen("re_r-1", 300, refund_id="r-1")])
    books.moved("refunded", "a", "re_r-1", 300, refund_id="r-1")
    sums = books.compare()
    assert (sums.sums, sums.differences) == ((Sum("refunded", "USD", 300, 300, 1, 1),), ())


def test_what_somebody_gave_back_counts_as_its_last_row_says() -> None:
    books = Books()
    rows = [seen("re_desk", 300, "pending", NOON - HOUR), seen("re_desk", 300)]
    books.payment("a", at=START - HOUR, refunded=rows)
    books.moved("refunded", "a", "re_desk", 300, created_at=NOON - HOUR)
    assert books.compare().sums == (Sum("refunded", "USD", 300, 300, 1, 1),)


def test_a_dispute_counts_once_on_the_day_it_was_seen_first() -> None:
    books = Books()
    rows = [disputed("du_1", 700), disputed("du_1", 700, MIDNIGHT + HOUR, state="won")]
    books.payment("a", at=START - 500 * HOUR, disputed=rows)
    books.moved("disputed", "a", "du_1", 700)
    assert books.compare().sums == (Sum("disputed", "USD", 700, 700, 1, 1),)


def test_a_dispute_that_no_item_has_is_told_and_so_is_the_reverse() -> None:
    books = Books()
    books.payment("a", at=START - HOUR)
    books.payment("b", at=START - HOUR, disputed=[disputed("du_2", 50)])
    books.moved("disputed", "a", "du_1", 700)
    sums = books.compare()
    assert told(sums) == [("not_at_gateway", "du_2"), ("not_in_items", "du_1")]


@pytest.mark.parametrize("kind", ["captured", "refunded", "disputed"])
def test_a_list_that_lacks_what_the_gateway_has_by_its_reference_is_no_list(kind: str) -> None:
    books = Books()
    books.payment("a", refunded=[seen("re_1", 5)], disputed=[disputed("du_1", 7)])
    books.captured("a")
    books.moved("refunded", "a", "re_1", 5)
    books.moved("disputed", "a", "du_1", 7)
    books.unlisted = {each.ref for each in books.movements if each.kind == kind}
    with pytest.raises(GatewayAnswerError, match=f"what was {kind} lacks"):
        books.compare()


def test_an_item_that_cannot_be_judged_is_told_and_the_others_are_compared() -> None:
    books = Books()
    books.payment("a")
    books.payment("b", gateway_ref=None)
    books.payment("c", status="completed", processed_at="some day")
    books.keep({**whole_item({"transaction_id": "txn-d"}), "status": "of a later release"})
    books.captured("a")
    books.captured("b")
    sums = books.compare()
    assert sums.sums == (Sum("captured", "USD", 1000, 2000, 1, 2),)
    assert told(sums) == [
        *[("item_damaged", "txn-b"), ("item_damaged", "txn-c"), ("item_unknown", "txn-d")],
        ("item_damaged", "pi_b"),
    ]


def test_of_too_many_that_no_list_matched_the_rest_is_told_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conservation, "ASKED_MAX", 1)
    books = Books()
    for name in ("a", "b"):
        books.payment(name)
        books.captured(name, created_at=START - 72 * HOUR)
    sums = books.compare()
    assert told(sums) == [("not_asked", "pi_b")]
    assert (books.asked, sums.sums) == (["pi_a"], (Sum("captured", "USD", 2000, 1000, 2, 1),))


def test_the_differences_that_are_told_one_by_one_are_bounded_and_their_number_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conservation, "TOLD_MAX", 2)
    books = Books()
    for name in ("a", "b", "c"):
        books.captured(name)
    sums = books.compare()
    assert (len(sums.differences), sums.difference_count) == (2, 3)


def test_a_gateway_that_is_not_there_is_no_difference() -> None:
    class Away(Books):
        def status(self, gateway_ref: str) -> GatewayResult:
            raise GatewayUnavailableError("not there")

    books = Away()
    books.payment("a")
    with pytest.raises(GatewayUnavailableError):
        books.compare()


def test_no_amount_is_ever_a_float() -> None:
    books = Books()
    books.payment("a", 10**14 - 1)
    books.captured("a", 10**14 - 1)
    numbers = [each for row in books.compare().sums for each in row if not isinstance(each, str)]
    assert {type(each) for each in numbers} == {int}
