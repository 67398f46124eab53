"""A refund takes effect once, never gives back more than was captured, and each of its messages ends in one state."""

from __future__ import annotations

from typing import Any

import pytest

from handler.adapters.support.errors import AwsError
from handler.domain.errors import (
    ChargeFailedError,
    DamagedItemError,
    GatewayAnswerError,
    GatewayNotReachedError,
    GatewayReferenceUnknownError,
    GatewayRefusedError,
    NotEnoughTimeError,
    TransactionLogUnavailableError,
    UnknownOutcomeError,
)
from handler.domain.process import settle
from handler.domain.refund_item import refund_to_stored
from handler.domain.rules import Rules
from tests.support.payments import STUCK_AFTER_MS, reading, send, work
from tests.support.refunds import RUN, RefundWorld, completed, give, given_back_and_lost, refund_message

HOUR = 60 * 60 * 1000


# ---- once, and never more than was captured ----
def test_a_payment_is_given_back_in_parts_and_no_part_more():
    world = completed()
    assert give(world, "20.00") == "refunded"
    assert give(world, "5.99", "r-2", message_id="m-2") == "refunded"
    assert give(world, "0.01", "r-3", message_id="m-3") == "failed"
    assert world.refund("r-3").reason_code == "refund_above_captured"
    assert (world.gateway.given_back(), world.reserved) == (2599, 2599)
    assert world.refund().refund_ref.startswith("re_")


def test_a_refund_of_the_whole_payment_is_one_refund():
    world = completed()
    assert give(world, "25.99") == "refunded"
    assert give(world, "25.99", "r-2", message_id="m-2") == "failed"
    assert world.gateway.given_back() == 2599


def test_a_message_that_comes_again_gives_nothing_back_again():
    world = completed()
    assert [give(world) for _ in range(2)] == ["refunded", "refunded"], "its own invocation"
    assert give(world, message_id="m-2") == "duplicate"
    assert (world.gateway.given_back(), len(world.gateway.refund_calls)) == (2000, 1)


def test_a_message_that_comes_again_in_its_own_invocation_uses_no_next_key():
    world = completed()
    world.gateway.answers = {"refund": [ChargeFailedError("503", spends_key=True)]}
    assert [give(world) for _ in range(2)] == ["pending", "duplicate"]
    assert world.gateway.refund_calls == ["dev:pay-abc123:refund:r-1:0"], "its first request may still be on its way"


def test_other_content_under_a_refund_id_is_a_conflict_and_gives_nothing_back():
    world = completed()
    give(world)
    assert give(world, "1.00", message_id="m-2") == "conflict"
    [key] = [key for key in world.dynamodb.items if "#conflict#" in key]
    assert key.startswith("txn-pay-abc123#refund#r-1#conflict#")
    conflict = world.stored(key)
    assert (conflict.status, conflict.amount_minor, conflict.open_shard.startswith("conflict#")) == (
        *("conflict", 100),
        True,
    )
    assert world.gateway.given_back() == 2000


def test_the_key_names_payment_and_refund():
    world = completed()
    give(world)
    assert world.gateway.refund_calls == ["dev:pay-abc123:refund:r-1:0"]


# ---- what the payment does not allow ----
@pytest.mark.parametrize(
    ("changes", "reason_code"),
    [
        ({"status": "declined", "gateway_ref": None}, "refund_payment_not_completed"),
        ({"status": "cancelled", "cancelled_by": "a", "cancel_reason": "b"}, "refund_payment_not_completed"),
        ({"currency": "EUR"}, "refund_other_currency"),
        ({"disputed": "du_1"}, "refund_payment_disputed"),
        ({"amount_minor": 1999}, "refund_above_captured"),
        ({"refund_reserved": 600}, "refund_above_captured"),
    ],
)
def test_a_refund_that_its_payment_does_not_allow_fails_and_says_why(changes, reason_code):
    world = completed()
    world.change(**changes)
    before = world.reserved
    assert give(world) == "failed"
    assert (world.refund().reason_code, world.reserved) == (reason_code, before)
    assert world.gateway.refund_calls == []


def test_a_refund_of_an_unknown_payment_fails():
    world = RefundWorld()
    assert give(world) == "failed"
    assert world.refund().reason_code == "refund_payment_unknown"


def test_after_a_restore_an_unknown_payment_may_come_back():
    world = RefundWorld(rules=Rules(restored_at_ms=1))
    assert give(world) == "waiting"
    assert [finding.outcome for finding in world.reconcile()] == ["waiting"]
    world.rules = Rules()
    assert [finding.outcome for finding in world.reconcile()] == ["failed"]


def test_a_damaged_payment_gives_nothing_back_and_the_message_is_set_aside_with_an_alarm():
    world = completed()
    world.change(gateway_ref=None)
    assert give(world) == "set_aside"
    assert [alarm[0] for alarm in world.notifier.alarms] == ["item_damaged"]
    assert len(world.rejected.messages) == 1


# ---- before the payment is settled ----
@pytest.mark.parametrize("status", ["processing", "parked", "pending_approval"])
def test_a_refund_of_an_open_payment_waits_and_holds_no_group_up(status):
    world = completed()
    world.change(status=status)
    assert give(world) == "waiting"
    assert (world.reserved, world.gateway.refund_calls) == (0, [])
    assert [finding.outcome for finding in world.reconcile()] == ["waiting"]
    world.change(status="completed")
    assert [finding.outcome for finding in world.reconcile()] == ["refunded"]
    assert (world.reserved, world.gateway.given_back()) == (2000, 2000)
    assert world.refund().sequence == 3


def test_a_waiting_refund_whose_payment_was_declined_fails():
    world = completed()
    world.change(status="processing")
    give(world)
    world.change(status="declined")
    assert [finding.outcome for finding in world.reconcile()] == ["failed"]
    assert (world.refund().reason_code, world.reserved) == ("refund_payment_not_completed", 0)


def test_of_two_waiting_refunds_that_are_too_much_together_one_is_refused():
    world = completed()
    world.change(status="processing")
    give(world)
    give(world, refund_id="r-2", message_id="m-2")
    world.change(status="completed")
    assert sorted(finding.outcome for finding in world.reconcile()) == ["failed", "refunded"]
    assert world.gateway.given_back() == 2000


# ---- faults ----
@pytest.mark.parametrize(
    "error", [UnknownOutcomeError("no answer"), ChargeFailedError("500"), GatewayNotReachedError("none")]
)
def test_a_refund_that_took_effect_unseen_is_found_in_the_list_and_not_called_for_again(error):
    world = completed()
    world.gateway.then = [error]
    assert give(world) == "pending"
    assert give(world, message_id="m-2") == "duplicate", "reconcile has it"
    assert [finding.outcome for finding in world.reconcile(5 * STUCK_AFTER_MS + 1)] == ["refunded"]
    assert (world.gateway.given_back(), len(world.gateway.refund_calls)) == (2000, 1)


def test_a_call_that_never_arrived_goes_again_under_the_same_key_once_it_surely_will_not():
    world = completed()
    world.gateway.answers["refund"] = [UnknownOutcomeError("no answer")]
    give(world)
    assert [finding.outcome for finding in world.reconcile(2 * STUCK_AFTER_MS)] == ["pending"]
    assert (len(world.gateway.refund_calls), world.gateway.lists) == (1, 1), "too early to ask"
    assert [finding.outcome for finding in world.reconcile(1)] == ["refunded"]
    assert world.gateway.refund_calls == ["dev:pay-abc123:refund:r-1:0"] * 2
    assert (world.refund().owner, world.refund().attempt) == (RUN, 2)


def test_a_spent_key_is_given_up_and_the_next_one_waits_an_hour():
    world = completed()
    world.gateway.answers["refund"] = [ChargeFailedError("500")]
    give(world)
    assert world.refund().gateway_try == 1
    assert [finding.outcome for finding in world.reconcile()] == ["pending"]
    assert [finding.outcome for finding in world.reconcile(HOUR)] == ["refunded"]
    assert [key[-2:] for key in world.gateway.refund_calls] == [":0", ":1"]


def test_nothing_follows_from_a_list_that_cannot_be_read():
    world = completed()
    world.gateway.answers["refund"] = [UnknownOutcomeError("no answer")]
    give(world)
    world.gateway.answers["refunds"] = [GatewayAnswerError("it ends early")]
    assert world.reconcile()[0][1:] == ("unsettled", "gateway_answer_invalid")
    assert len(world.gateway.refund_calls) == 1
    assert world.refund().attempt == 1


def test_the_first_call_too_waits_for_the_list():
    world = completed()
    world.gateway.answers["refunds"] = [GatewayNotReachedError("none")]
    assert give(world) == "pending"
    assert world.gateway.refund_calls == []


def test_what_was_given_back_before_the_table_was_restored_is_recorded_and_not_given_back_again():
    world = given_back_and_lost()
    assert give(world, message_id="m-2") == "refunded"
    assert (world.gateway.given_back(), world.reserved, len(world.gateway.refund_calls)) == (2000, 2000, 1)


def test_an_id_that_other_content_had_before_the_restore_gives_nothing_back():
    world = given_back_and_lost()
    assert give(world, "5.00", message_id="m-2") == "failed"
    assert (world.refund().reason_code, world.reserved) == ("refund_found_with_different_content", 0)
    assert [alarm[0] for alarm in world.notifier.alarms] == ["refund_found_with_different_content"]
    assert world.gateway.given_back() == 2000


def test_what_was_given_back_before_the_restore_waits_while_another_refund_has_taken_its_place():
    world = given_back_and_lost()
    world.gateway.answers["refunds"] = [ChargeFailedError("503")]
    assert give(world, "10.00", "r-2", message_id="m-2") == "pending"
    assert give(world, message_id="m-3") == "waiting"
    for _ in range(2):
        world.reconcile()
    assert (world.refund().status, world.refund("r-2").status) == ("refunded", "failed")
    assert (world.reserved, world.gateway.given_back(), world.notifier.alarms) == (2000, 2000, [])


def test_a_refusal_fails_the_refund_and_gives_its_reservation_back():
    world = completed()
    world.gateway.answers["refund"] = [GatewayRefusedError("400", "charge_disputed", "req_1")]
    assert give(world) == "failed"
    refund = world.refund()
    assert (refund.reason_code, world.reserved) == ("refund_refused", 0)
    assert refund.gateway_response is not None
    assert (refund.gateway_response.code, refund.gateway_response.request_id) == ("charge_disputed", "req_1")


def test_what_somebody_gave_back_at_the_gateway_itself_leaves_less_and_the_gateway_says_so():
    world = completed()
    world.gateway.refund(world.item()["gateway_ref"], 1000, "USD", "", "by hand")
    assert give(world) == "failed"
    assert (world.refund().reason_code, world.reserved) == ("refund_refused", 0)
    assert give(world, "15.99", "r-2", message_id="m-2") == "refunded"


def test_a_refusal_of_a_refund_that_the_list_has_is_no_failure():
    world = completed()
    ref = world.item()["gateway_ref"]

    def another_did_it() -> None:
        world.gateway.answers["refund"] = []
        world.gateway.refund(ref, 2000, "USD", "r-1", "another key")
        raise GatewayRefusedError("400", "charge_already_refunded")

    world.gateway.answers["refund"] = [another_did_it]
    assert give(world) == "refunded"
    assert (world.gateway.given_back(), world.reserved) == (2000, 2000)


def test_a_reference_that_the_gateway_does_not_know_is_an_alarm_and_the_refund_stays_pending():
    world = completed()
    world.gateway.answers["refund"] = [GatewayReferenceUnknownError("404")]
    assert give(world) == "pending"
    assert [alarm[0] for alarm in world.notifier.alarms] == ["gateway_reference_unknown"]


def test_a_table_that_fails_before_the_reservation_brings_the_message_back(monkeypatch):
    def fails(**_: Any) -> None:
        raise AwsError("TransactWriteItems", "", "no answer")

    world = completed()
    monkeypatch.setattr(world.dynamodb, "transact_write_items", fails)
    with pytest.raises(TransactionLogUnavailableError):
        give(world)
    assert (world.reserved, world.gateway.refund_calls) == (0, [])


def test_with_too_little_time_a_refund_is_not_begun_and_what_was_reserved_is_not_called_for():
    world = completed()
    with pytest.raises(NotEnoughTimeError):
        send(world, refund_message(), remaining_ms=9_000)
    left = [30_000]
    late = work()._replace(remaining_ms=lambda: left.pop() if left else 9_000)
    assert settle(reading(world, refund_message()), world.rules, world.ports, late) == "pending"
    assert (world.reserved, world.gateway.refund_calls) == (2000, [])


def test_another_amount_than_was_asked_for_is_not_believed():
    world = completed()
    world.gateway.refund(world.item()["gateway_ref"], 100, "USD", "r-1", "another key")
    assert give(world) == "pending"
    assert (world.refund().status, world.reserved) == ("pending", 2000)
    assert world.reconcile()[0].detail == "gateway_answer_invalid"


def test_two_refunds_under_one_id_are_an_alarm():
    world = completed()
    ref = world.item()["gateway_ref"]
    for key in ("one", "two"):
        world.gateway.refund(ref, 500, "USD", "r-1", key)
    assert give(world, "5.00") == "refunded"
    assert [alarm[0] for alarm in world.notifier.alarms] == ["refunded_twice"]


# ---- what banks do ----
def test_a_refund_that_takes_days_is_asked_about_and_recorded():
    world = completed()
    world.gateway.answers["refund"] = [UnknownOutcomeError("no answer")]
    world.gateway.then = []
    give(world)
    world.gateway.refund(world.item()["gateway_ref"], 2000, "USD", "r-1", "dev:pay-abc123:refund:r-1:0")
    world.gateway.change("pending")
    assert [finding.outcome for finding in world.reconcile(1)] == ["pending"]
    assert world.reconcile()[0].outcome == "pending"
    assert world.refund().refund_ref == "re_r-1"
    world.gateway.change("refunded")
    assert world.reconcile(1)[0].outcome == "refunded"
    assert world.reconcile() == []


def test_a_stored_refund_that_the_list_lacks_is_never_called_for_again():
    world = completed()
    give(world)
    world.gateway.change("pending")
    stored = refund_to_stored(world.refund()) | {"status": "pending", "open_shard": "refund#0"}
    world.dynamodb.items["txn-pay-abc123#refund#r-1"] = {}
    world.change("txn-pay-abc123#refund#r-1", **stored)
    world.gateway._refunds.clear()
    assert world.reconcile(HOUR)[0].detail == "gateway_answer_invalid"
    assert len(world.gateway.refund_calls) == 1


def test_a_refund_that_its_bank_returned_fails_when_a_wake_up_tells_of_it_and_may_be_given_anew():
    world = completed()
    give(world)
    assert world.look() == []
    world.gateway.change("failed")
    assert [finding.outcome for finding in world.look()] == ["failed"]
    assert world.look() == []
    assert (world.refund().reason_code, world.reserved) == ("refund_failed", 0)
    assert (world.refund().refunded_at is not None, world.refund().sequence) == (True, 3)
    assert give(world, "25.99", "r-2", message_id="m-2") == "refunded"


@pytest.mark.parametrize(("state", "told"), [("refunded", 1), ("pending", 1), ("failed", 0)])
def test_a_refund_that_is_recorded_as_failed_and_is_given_back_is_an_alarm_and_stays(state, told):
    world = completed()
    world.gateway.answers = {"refund": [GatewayRefusedError("no", "insufficient_funds")]}
    assert give(world) == "failed"
    world.gateway.refund(world.item()["gateway_ref"], 2000, "USD", "r-1", "late")
    world.gateway.change(state)
    assert world.look() == []
    assert [alarm[0] for alarm in world.notifier.alarms] == ["outcome_contradicts_record"] * told
    assert (world.refund().status, world.reserved) == ("failed", 0)


def test_a_look_passes_over_what_is_not_ours_and_what_it_cannot_read():
    world = completed()
    world.gateway.refund(world.item()["gateway_ref"], 100, "USD", "", "by hand")
    world.gateway.refund(world.item()["gateway_ref"], 100, "USD", "r-9", "of nobody")
    assert world.look() == []
    give(world)
    world.change("txn-pay-abc123#refund#r-1", owner=None)
    with pytest.raises(DamagedItemError):
        world.look()
    assert [alarm[0] for alarm in world.notifier.alarms] == ["item_damaged"]


@pytest.mark.parametrize("by", ["message", "wake-up"])
def test_a_reservation_that_somebody_took_away_is_an_alarm_and_no_failure_is_recorded(by):
    world = completed()

    def takes_away() -> None:
        world.change(refund_reserved=1)
        raise GatewayRefusedError("400")

    if by == "message":
        world.gateway.answers["refund"] = [takes_away]
        assert give(world) == "pending"
    else:
        give(world)
        world.gateway.change("failed")
        world.change(refund_reserved=1)
        with pytest.raises(DamagedItemError):
            world.look()
    assert [alarm[0] for alarm in world.notifier.alarms] == ["item_damaged"]
    assert world.reserved == 1
