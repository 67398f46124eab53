"""Reconcile: stuck payments are settled from what the gateway knows, and nothing is ever charged here."""

from __future__ import annotations

import pytest

from handler.adapters.approval.support import create_metrics
from handler.adapters.table.approval_log import DynamoDbApprovalLog
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.domain.errors import (
    ApprovalStartError,
    GatewayKeyRefusedError,
    GatewayReferenceUnknownError,
    GatewayUnavailableError,
)
from handler.domain.payment import GatewayResult
from handler.domain.reconcile import RUNS_EVERY_MS, Finding
from handler.domain.rules import Rules
from handler.domain.states import OPEN
from handler.reconcile_function import NAMESPACE, ReconcileFunction
from tests.support.parking import decisions
from tests.support.payments import KEY, STUCK_AFTER_MS, FixedClock, ScriptedGateway, World, message, reconcile, send

START = FixedClock().now_ms()


def stuck(world: World, **changes: object) -> None:
    """A payment whose worker stored a reference and was never heard of again."""
    send(world)
    item = {"status": "processing", "lease_until": START + 35_000, "open_shard": "processing#3", **changes}
    world.change(gateway_response=None, processed_at=None, **item)
    world.gateway.calls.clear()


@pytest.fixture
def world() -> World:
    approved = GatewayResult("approved", 2599, "USD", "AUTH123ABC", "2024-01-01T12:00:00Z")
    return World(gateway=ScriptedGateway(status=[approved]))


def later(world: World) -> None:
    world.clock.ms = START + 35_000 + STUCK_AFTER_MS + 1


def test_a_charged_payment_is_recorded_with_the_gateways_outcome(world):
    stuck(world)
    later(world)
    assert reconcile(world) == [Finding(KEY, "completed")]
    item = world.item()
    assert (item["status"], item["attempt"], item["owner"]) == ("completed", 2, "r-1:reconcile")
    assert "open_shard" not in item


def test_a_lease_of_less_than_fifteen_minutes_ago_is_left_alone(world):
    stuck(world)
    later(world)
    world.clock.ms -= 1
    assert reconcile(world) == []
    assert world.item()["attempt"] == 1


def test_a_payment_that_was_released_a_moment_ago_is_left_to_its_message(world):
    world.gateway.scripts["status"] = [GatewayResult("prepared", 2599, "USD")] * 2
    stuck(world, lease_until=0, updated_at=START + 1)
    world.clock.ms = START + 1 + STUCK_AFTER_MS
    assert reconcile(world) == []
    world.clock.ms += 1
    assert [finding.outcome for finding in reconcile(world)] == ["not_charged"]
    # Its own release is a write, too: the next runs look at others first.
    assert reconcile(world) == []


def test_a_payment_that_was_not_charged_is_released_and_reported(world):
    world.gateway.scripts["status"] = [GatewayResult("prepared", 2599, "USD")]
    stuck(world)
    later(world)
    assert [finding.outcome for finding in reconcile(world)] == ["not_charged"]
    assert world.gateway.calls == ["status"]
    assert (world.item()["status"], world.item()["lease_until"]) == ("processing", 0)


def test_a_payment_without_a_reference_is_reported_without_asking_the_gateway(world):
    stuck(world, gateway_ref=None)
    later(world)
    assert reconcile(world) == [Finding(KEY, "not_charged", "")]
    assert world.gateway.calls == []


@pytest.mark.parametrize(
    ("answer", "reason_code"),
    [
        (GatewayUnavailableError("down"), "gateway_unavailable"),
        (GatewayResult("in_progress", 2599, "USD"), "charge_in_progress"),
        (GatewayResult("approved", 2598, "USD"), "gateway_answer_invalid"),
    ],
)
def test_what_cannot_be_settled_is_released_and_reported(world, answer, reason_code):
    world.gateway.scripts["status"] = [answer]
    stuck(world)
    later(world)
    assert reconcile(world) == [Finding(KEY, "unsettled", reason_code)]
    assert (world.item()["status"], world.item()["lease_until"]) == ("processing", 0)


@pytest.mark.parametrize("error", [GatewayKeyRefusedError("HTTP 401"), GatewayReferenceUnknownError("HTTP 404")])
def test_people_are_told_where_the_gateway_takes_no_call_or_another_accounts(world, error):
    world.gateway.scripts["status"] = [error]
    stuck(world)
    later(world)
    assert reconcile(world) == [Finding(KEY, "unsettled", error.reason_code)]
    assert world.notifier.alarms == [(error.reason_code, KEY, str(error))]
    assert world.item()["status"] == "processing"


def test_a_workflows_payment_is_left_alone_while_its_execution_runs(world):
    stuck(world, lease_until=None, execution_arn="arn:1", approval_name="dev-pay-abc123-1")
    later(world)
    assert reconcile(world, closed=False) == []
    assert reconcile(world) == [Finding(KEY, "completed")]


def approved(world: World, **changes: object) -> None:
    """A payment that a person approved, and whose execution gave up before it had an answer from the gateway."""
    item = {"generation": 1, "decision": "approve", "request": "{}", "callback_id": "c", "approval_expires_at": 1}
    item |= {"decided_by": "alice", "decided_at": 1, "comment": "looked at", "approval_reasons": ["risk"]}
    stuck(world, lease_until=None, execution_arn="arn:1", approval_name="dev-pay-abc123-1", **item | changes)
    later(world)


def test_an_approved_payment_that_was_not_charged_gets_a_new_execution(world):
    world.gateway.scripts["status"] = [GatewayResult("prepared", 2599, "USD")]
    approved(world)
    ref = world.item()["gateway_ref"]
    assert reconcile(world) == [Finding(KEY, "restarted", ref)]
    assert world.gateway.calls == ["status"]
    assert world.approvals.started == [("dev-pay-abc123-2", "{}")]
    item = world.item()
    assert (item["status"], item["generation"], item["approval_name"]) == ("pending_approval", 2, "dev-pay-abc123-2")
    assert (item["decision"], item["gateway_ref"], item["attempt"]) == ("approve", ref, 2)
    assert item["open_shard"].startswith("pending_approval#")
    assert not {"execution_arn", "callback_id", "approval_expires_at", "lease_until"} & item.keys()


@pytest.mark.parametrize(("left", "status"), [(approved, "parked"), (stuck, "processing")])
def test_what_another_content_was_charged_for_before_a_restore_is_parked_where_it_could_be_retried(world, left, status):
    left(world, gateway_ref=None)
    later(world)
    world.rules = Rules(restored_at_ms=1)
    other = GatewayResult("approved", 2600, "USD")
    world.gateway.scripts |= {"find": [["sim_2600_USD_f0"]], "status": [other]}
    outcome = "parked" if status == "parked" else "unsettled"
    assert reconcile(world) == [Finding(KEY, outcome, "found_with_different_content")]
    assert (world.item()["status"], world.gateway.calls) == (status, ["find", "status"])
    assert [alarm[0] for alarm in world.notifier.alarms] == ["found_with_different_content"]


def test_a_takeover_whose_answer_was_lost_is_its_own(world, monkeypatch):
    stuck(world)
    later(world)
    once = DynamoDbApprovalLog.take_over_stuck

    def twice(log, *positional, **named):
        assert once(log, *positional, **named) is None
        return once(log, *positional, **named)

    monkeypatch.setattr(DynamoDbApprovalLog, "take_over_stuck", twice)
    assert reconcile(world) == [Finding(KEY, "completed")]
    assert world.item()["attempt"] == 2


def test_a_payment_that_another_worker_takes_first_is_left_to_it(world, monkeypatch):
    stuck(world)
    later(world)
    other = world.stored()._replace(owner="w-2", attempt=2)
    monkeypatch.setattr(DynamoDbApprovalLog, "take_over_stuck", lambda *_, **__: other)
    assert reconcile(world) == []
    assert (world.gateway.calls, world.item()["attempt"]) == ([], 1)


def test_a_restart_whose_answer_was_lost_starts_its_execution(world, monkeypatch):
    world.gateway.scripts["status"] = [GatewayResult("prepared", 2599, "USD")]
    approved(world)
    once = DynamoDbApprovalLog.restart_charge

    def twice(log, *positional, **named):
        assert once(log, *positional, **named) is None
        return once(log, *positional, **named)

    monkeypatch.setattr(DynamoDbApprovalLog, "restart_charge", twice)
    assert [finding.outcome for finding in reconcile(world)] == ["restarted"]
    assert [name for name, _ in world.approvals.started] == ["dev-pay-abc123-2"]


def test_a_restart_that_another_worker_prevents_starts_nothing(world, monkeypatch):
    world.gateway.scripts["status"] = [GatewayResult("prepared", 2599, "USD")]
    approved(world)
    other = world.stored()._replace(owner="r-2:reconcile")
    monkeypatch.setattr(DynamoDbApprovalLog, "restart_charge", lambda *_, **__: other)
    assert reconcile(world) == [Finding(KEY, "unsettled", "ownership_lost")]
    assert world.approvals.started == []


def test_a_restart_that_could_not_be_started_is_left_to_the_next_run(world, monkeypatch):
    def refuse(*_):
        raise ApprovalStartError("throttled")

    world.gateway.scripts["status"] = [GatewayResult("prepared", 2599, "USD")]
    approved(world)
    monkeypatch.setattr(world.approvals, "start", refuse)
    assert reconcile(world) == [Finding(KEY, "unsettled", "approval_start_failed")]
    assert (world.item()["status"], world.item()["generation"]) == ("pending_approval", 2)


def test_without_time_for_another_payment_the_run_ends(world):
    stuck(world)
    later(world)
    assert reconcile(world, remaining_ms=9_999) == []
    assert world.item()["attempt"] == 1


def test_settled_and_waiting_payments_are_none_of_its_business(world):
    send(world)
    later(world)
    assert reconcile(world) == []
    send(world, message(message_id="m-2", text=None))
    assert world.item()["status"] == "completed"


@pytest.mark.parametrize("status", sorted(OPEN))
def test_runs_that_never_have_time_for_all_look_at_each_in_the_end(status, world, monkeypatch):
    names = [f"txn-{number}" for number in range(40)]
    looked_at: list[str] = []

    class HasTimeForThree:
        aws_request_id = "r-1"

        def __init__(self) -> None:
            self.until = len(looked_at) + 3

        def get_remaining_time_in_millis(self) -> int:
            return 30_000 if len(looked_at) < self.until else 0

    def listed(_: object, found: str) -> list[str]:
        return names if found == status else []

    monkeypatch.setattr(DynamoDbParkingLog, "open_transaction_ids", listed)
    monkeypatch.setattr(DynamoDbParkingLog, "get", lambda _, name: looked_at.append(name))
    metrics = create_metrics(NAMESPACE, "", "dev")
    function = ReconcileFunction(world.rules, world.ports, decisions(world), metrics)
    # 14 would do if each took up where the one before ended, which nothing remembers.
    for _ in range(2 * 14):
        function({}, HasTimeForThree())
        world.clock.ms += RUNS_EVERY_MS
    assert len(looked_at) == 2 * 14 * 3
    assert set(looked_at) == set(names)
