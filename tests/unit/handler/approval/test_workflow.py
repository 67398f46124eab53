"""The approval workflow under the SDK's own runner.

Invariants: every execution ends with its payment recorded; a recorded decision is obeyed, whatever the callback
said or whenever it came; replays and repeated step bodies capture and record once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_durable_execution_sdk_python.lambda_service import ErrorObject

from handler.adapters.fraud import FailingFraudScoring
from handler.domain.errors import FraudServiceUnavailableError, NoticeError, UnknownOutcomeError
from handler.domain.process import read, settle
from handler.domain.validate import Limits
from tests.support.approvals import RISKY, ApprovalWorld, ListNotices, running, status, until
from tests.support.payments import CARD, KEY, STUCK_AFTER_MS, ScriptedGateway, body, message, reconcile, work

ROOT = Path(__file__).parents[4]


def names(result: Any) -> list[str]:
    return [operation.name for operation in result.operations if operation.name]


def test_a_low_risk_payment_is_checked_charged_recorded_and_told():
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        result = runner.run(body())
    assert status(result) == "completed"
    assert names(result) == ["validate", "checks", "begin", "charge", "notify"]
    assert list(world.gateway.captures.values()) == [2599]
    assert world.item()["status"] == "completed"
    assert world.notices.told == [(KEY, "completed")]
    assert "open_shard" not in world.item()


@pytest.mark.parametrize(("event", "expected"), [("low_risk.json", "completed"), ("high_risk.json", "asks")])
def test_the_sample_events_take_the_published_routes(event, expected):
    world = ApprovalWorld()
    text = (ROOT / "events" / event).read_text()
    with running(world.workflow) as runner:
        arn = runner.start(text)
        if expected == "asks":
            assert runner.callback(arn)
            assert list(world.gateway.captures) == []
        else:
            assert status(runner.result(arn)) == expected


def test_an_approved_payment_is_charged_once_however_often_it_is_replayed():
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        arn = runner.start(RISKY)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        assert world.item()["status"] == "pending_approval"
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b'{"approved": true}')
        result = runner.result(arn)
    assert status(result) == "completed"
    assert list(world.gateway.captures.values()) == [999_999]
    assert world.gateway.calls.count("charge") == 1
    item = world.item()
    assert (item["status"], item["decided_by"], item["attempt"]) == ("completed", "alice", 2)
    assert world.notices.asked == [(KEY, callback_id)]


def test_a_rejected_payment_is_recorded_and_never_charged():
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        arn = runner.start(RISKY)
        callback_id = runner.callback(arn)
        until(lambda: "callback_id" in world.item())
        world.decide("reject")
        # The table decides: what the callback says is not believed against it.
        runner.engine.send_callback_success(callback_id, b'{"approved": true}')
        assert status(runner.result(arn)) == "rejected"
    assert world.item()["reason_code"] == "approval_rejected"
    assert world.gateway.calls == []


def test_nobody_deciding_in_time_expires_the_payment():
    world = ApprovalWorld(timeout_ms=1000)
    with running(world.workflow) as runner:
        assert status(runner.run(RISKY)) == "expired"
    assert world.item()["status"] == "expired"
    assert world.item()["open_shard"].startswith("ended#")
    assert world.gateway.calls == []


def test_a_decision_whose_callback_was_lost_is_obeyed_at_the_timeout():
    class DecidingNotices(ListNotices):
        """An approver who decides while being asked: surely before the timeout, however slow the machine."""

        def ask(self, message_id, item, callback_id):
            world.decide("approve")

    world = ApprovalWorld(timeout_ms=1000, notices=DecidingNotices())
    with running(world.workflow) as runner:
        assert status(runner.run(RISKY)) == "completed"
    assert len(world.gateway.captures) == 1


@pytest.mark.parametrize(
    ("wake", "alarms"),
    [
        (
            lambda runner, callback_id: runner.engine.send_callback_success(callback_id, b'{"approved": true}'),
            ["callback_without_decision"],
        ),
        (
            lambda runner, callback_id: runner.engine.send_callback_success(callback_id, b"[" * 100_000),
            ["callback_without_decision"],
        ),
        (
            lambda runner, callback_id: runner.engine.send_callback_failure(
                callback_id, ErrorObject("no", "Error", None, None)
            ),
            [],
        ),
    ],
    ids=["what the page's wakes with", "nested too deep", "a failure"],
)
def test_a_callback_without_a_decision_charges_nothing_and_asks_again(wake, alarms):
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        arn = runner.start(RISKY)
        first = runner.callback(arn)
        until(lambda: world.notices.asked)
        wake(runner, first)
        second = runner.callback(arn, rounds=2)
        assert second != first
        until(lambda: len(world.notices.asked) == 2)
        assert world.gateway.calls == []
        assert "decision" not in world.item()
        assert [alarm[0] for alarm in world.notifier.alarms] == alarms
        world.decide("approve")
        runner.engine.send_callback_success(second, b"")
        assert status(runner.result(arn)) == "completed"
    assert len(world.gateway.captures) == 1


def test_a_decision_between_two_questions_is_obeyed_without_waiting():
    world = ApprovalWorld()

    class DecidingNotices(ListNotices):
        """Stands for a second approver: decides on the first question while the second is being asked."""

    world.notices = DecidingNotices()
    log = world.log
    original = type(log).ask_approval

    def ask_approval(self, transaction_id, *, arn, callback_id, now):
        if world.notices.asked and "decision" not in world.item():
            world.decide("approve")
        return original(self, transaction_id, arn=arn, callback_id=callback_id, now=now)

    with pytest.MonkeyPatch.context() as patch, running(world.workflow) as runner:
        patch.setattr(type(log), "ask_approval", ask_approval)
        arn = runner.start(RISKY)
        runner.engine.send_callback_success(runner.callback(arn), b"unreadable")
        assert status(runner.result(arn)) == "completed"
    assert len(world.notices.asked) == 1


def test_the_fraud_check_is_tried_three_times_and_then_a_person_decides():
    world = ApprovalWorld()
    calls: list[int] = []

    class Unavailable:
        def score_batch(self, payments):
            calls.append(len(payments))
            raise FraudServiceUnavailableError("503")

    world.scoring = Unavailable()
    with running(world.workflow) as runner:
        arn = runner.start(body())
        runner.callback(arn)
        until(lambda: world.notices.asked)
        assert len(calls) == 3
        item = world.item()
        assert item["approval_reasons"] == ["fraud_check_unavailable"]
        assert (item["risk"], item["fraud_score"]) == (10**9, 100)
        world.decide("reject")
        runner.engine.send_callback_success(item["callback_id"], b"{}")
        assert status(runner.result(arn)) == "rejected"


def test_a_low_risk_payment_whose_execution_gave_up_is_charged_by_another():
    world = ApprovalWorld()
    world.gateway.scripts["charge"] = [TypeError("a fault of the function, which no step repeats")]
    with running(world.workflow) as runner:
        assert runner.run(body()).status.value == "FAILED"
        assert (world.item()["status"], world.item()["decided_by"]) == ("processing", "risk")
        assert reconcile(world) == []
        world.clock.ms += STUCK_AFTER_MS + 1
        assert [finding.outcome for finding in reconcile(world)] == ["restarted"]
        ((_, request),) = world.approvals.started
        assert status(runner.run(request)) == "completed"
    assert world.gateway.calls.count("charge") == 2
    assert world.notices.asked == []


def test_limits_that_were_lowered_since_do_not_take_a_claimed_payment_back():
    world = ApprovalWorld()
    request = from_the_queue(world)
    world.rules = world.rules._replace(limits=Limits(amount_max_minor=100))
    with running(world.workflow) as runner:
        arn = runner.start(request)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "completed"
        # A payment that nobody claimed is held against them.
        assert status(runner.run(body(payment_id="pay-other", amount=9999.99))) == "rejected"


def test_a_fraud_check_that_fails_twice_is_not_noticed_by_the_payment():
    world = ApprovalWorld()
    answers = iter([0.0, 0.0, 1.0])
    world.scoring = FailingFraudScoring(world.scoring, 0.2, lambda: next(answers))
    with running(world.workflow) as runner:
        assert status(runner.run(body())) == "completed"


@pytest.mark.parametrize(
    "changes", [{"billing_address": None}, {"billing_address": {"street": "1 A St", "city": "X", "state": "WA"}}]
)
def test_a_customer_without_a_complete_address_goes_to_a_person(changes):
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        runner.callback(runner.start(body(**changes)))
        assert world.item()["approval_reasons"] == ["customer_unverified"]


def test_an_invalid_payment_is_recorded_at_once_and_nothing_is_checked():
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        result = runner.run(body(amount=-1))
    assert (status(result), names(result)) == ("rejected", ["validate"])
    assert world.item()["reason_code"] == "negative_amount"


def test_an_input_without_a_usable_id_leaves_a_masked_copy():
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        assert status(runner.run(json.dumps({"payment_id": CARD, "amount": 1}))) == "unusable"
    assert CARD not in world.rejected.messages[0][1]


def test_a_blocklisted_payment_is_declined_without_a_person():
    world = ApprovalWorld()
    world.scoring.decline_from = 1
    with running(world.workflow) as runner:
        assert status(runner.run(body())) == "declined"
    assert world.gateway.calls == []


def from_the_queue(world: ApprovalWorld) -> str:
    """A pending item as the queue function leaves it; returns what it starts the workflow with."""
    reading = read([message(RISKY)], world.rules, world.ports, lambda: 30_000)[0]
    assert settle(reading, world.rules, world.ports, work()) == "pending_approval"
    return world.approvals.started[-1][1]


def test_a_pending_payment_of_the_queue_is_adopted_and_its_risk_never_falls():
    world = ApprovalWorld()
    request = from_the_queue(world)
    world.change(risk=9 * 10**8, fraud_score=90)
    with running(world.workflow) as runner:
        arn = runner.start(request)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        item = world.item()
        assert (item["risk"], item["execution_arn"], item["owner"]) == (9 * 10**8, arn, "req-1:m-1")
        assert item["approval_expires_at"] == world.clock.ms + 86_400_000
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "completed"
    assert world.item()["owner"] == arn


def test_a_second_execution_of_a_payment_ends_without_effect():
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        first = runner.start(RISKY)
        runner.callback(first)
        until(lambda: world.notices.asked)
        assert status(runner.run(RISKY)) == "in_workflow"
        assert len(world.notices.asked) == 1
        world.decide("approve")
        runner.engine.send_callback_success(world.item()["callback_id"], b'{"approved": true}')
        assert status(runner.result(first)) == "completed"
        assert status(runner.run(RISKY)) == "completed"
    assert world.gateway.calls.count("charge") == 1


def test_a_payment_that_a_message_brought_is_left_to_its_message_however_long_its_lease_is_over():
    world = ApprovalWorld()
    reading = read([message()], world.rules, world.ports, lambda: 30_000)[0]
    world.gateway.scripts["charge"] = [UnknownOutcomeError("no answer")]
    world.gateway.scripts["status"] = [UnknownOutcomeError("no answer")]
    with pytest.raises(UnknownOutcomeError):
        settle(reading, world.rules, world.ports, work())
    held, calls = world.item(), list(world.gateway.calls)
    assert held["lease_until"] == 0
    with running(world.workflow) as runner:
        assert runner.run(body()).status.value == "FAILED"
        assert (world.item(), world.gateway.calls) == (held, calls)
        assert settle(reading, world.rules, world.ports, work("req-2:m-1")) == "completed"
        assert status(runner.run(body())) == "completed"
    assert list(world.gateway.captures.values()) == [2599]


@pytest.mark.parametrize("change", [{"amount_minor": 1}, {"request_hash": "0" * 64}, {"status": "processing"}])
def test_an_item_changed_by_hand_is_not_charged(change):
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        arn = runner.start(RISKY)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        if "status" not in change:
            world.decide("approve")
        world.change(**change)
        runner.engine.send_callback_success(callback_id, b"{}")
        result = runner.result(arn)
    assert world.gateway.calls == []
    assert result.status.value == "FAILED"
    assert "nothing was charged" in result.error.message


def test_failed_notifications_end_neither_the_wait_nor_the_payment():
    world = ApprovalWorld()
    world.notices.faults = [NoticeError("no topic"), NoticeError("no topic")]
    with running(world.workflow) as runner:
        arn = runner.start(RISKY)
        callback_id = runner.callback(arn)
        until(lambda: world.notifier.alarms)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b'{"approved": true}')
        assert status(runner.result(arn)) == "completed"
    assert [alarm[0] for alarm in world.notifier.alarms] == ["notice_failed", "notice_failed"]


def test_an_unknown_outcome_is_looked_up_and_never_charged_twice():
    world = ApprovalWorld()
    world.gateway = ScriptedGateway(charge=[UnknownOutcomeError("timeout")], status=[UnknownOutcomeError("timeout")])
    with running(world.workflow) as runner:
        assert status(runner.run(body())) == "completed"
    assert len(world.gateway.captures) == 1
    assert world.gateway.calls.count("prepare") == 1
