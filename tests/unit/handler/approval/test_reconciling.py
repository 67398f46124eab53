"""Approvals that nobody brings to their end: overdue, closed and unwoken executions, and a run of it on schedule."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from handler.adapters.approval import support
from handler.adapters.approval.support import create_metrics
from handler.adapters.table.approval_log import DynamoDbApprovalLog
from handler.approval_composition import compose_reconcile
from handler.domain.approval.ports import PATIENCE_MS
from handler.domain.approval.steps import Checks, Execution, Next, begin, in_execution, resolve
from handler.domain.claim import InVersion
from handler.domain.errors import GatewayUnavailableError
from handler.domain.payment import GatewayResult
from handler.domain.process import read, settle
from handler.domain.reconcile import CHARGE_TAKES_MAX_MS, reconcile_pending
from handler.domain.validate import from_canonical
from handler.reconcile_function import METRICS, NAMESPACE, OPEN_METRICS, ReconcileFunction
from tests.support.approvals import (
    ARN,
    CALLBACK,
    DAY_MS,
    EXECUTION,
    SCORED_70,
    ApprovalWorld,
    ListExecutions,
    decisions,
    pending,
    reconcile,
    taken_up,
    unscored,
)
from tests.support.payments import KEY, STUCK_AFTER_MS, message, no_end, work


def in_version(world: ApprovalWorld) -> InVersion:
    """The stored request as a workflow reads it."""
    return in_execution(
        world.item()["request"], EXECUTION, world.approval_rules, world.ports.find_card_numbers
    ).in_version


def test_an_earlier_execution_may_not_come_back():
    world = pending()
    world.change(generation=2, approval_name="dev-pay-abc123-2", execution_arn=None, callback_id=None)
    step = begin(
        from_canonical(world.item()["request"]),
        in_version(world),
        Checks(None, True),
        EXECUTION,
        rules=world.approval_rules,
        ports=world.approval_ports,
        work=work(ARN),
    )
    assert step == Next("done", "in_workflow")
    assert resolve(KEY, EXECUTION, world.approval_ports, is_called_back=False, timed_out=True) == Next(
        "done", "in_workflow"
    )
    assert world.item()["status"] == "pending_approval"


def test_reconcile_leaves_alone_what_waits():
    world = pending()
    assert reconcile(world, ListExecutions()) == "waiting"
    world.clock.ms += DAY_MS + PATIENCE_MS
    assert reconcile(world, ListExecutions()) == "waiting"


def test_reconcile_wakes_an_execution_that_nobody_woke():
    world = pending()
    world.callbacks.woken.clear()
    world.decide("approve")
    world.callbacks.woken.clear()
    assert reconcile(world, ListExecutions()) == "waiting"
    world.clock.ms += PATIENCE_MS + 1
    assert reconcile(world, ListExecutions()) == "woken"
    assert world.callbacks.woken == [(CALLBACK, "approve")]


def test_a_restart_whose_answer_was_lost_starts_its_execution(monkeypatch):
    world = pending()
    once = DynamoDbApprovalLog.restart_approval

    def twice(log, *positional, **named):
        assert once(log, *positional, **named) is None
        return once(log, *positional, **named)

    monkeypatch.setattr(DynamoDbApprovalLog, "restart_approval", twice)
    engine = ListExecutions(closed=True)
    assert reconcile(world, engine) == "restarted"
    assert [name for name, _ in engine.started] == ["dev-pay-abc123-2"]


def test_reconcile_expires_what_its_workflow_did_not():
    world = pending()
    world.clock.ms += DAY_MS + PATIENCE_MS + 1
    assert reconcile(world, ListExecutions(closed=True)) == "expired"
    assert world.item()["status"] == "expired"
    assert world.item()["open_shard"].startswith("ended#")


def test_reconcile_starts_anew_what_was_never_adopted():
    # Under a new name: the old one may have started an execution that ended before it adopted anything.
    world = pending()
    world.change(execution_arn=None, callback_id=None, approval_expires_at=None)
    engine = ListExecutions()
    assert reconcile(world, engine) == "waiting"
    world.clock.ms += PATIENCE_MS + 1
    assert reconcile(world, engine) == "restarted"
    assert engine.started == [("dev-pay-abc123-2", world.item()["request"])]


def test_reconciles_patience_is_the_deployments(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    composed = compose_reconcile(variables, support)
    assert (composed.patience_ms, composed.stuck_after_ms) == (PATIENCE_MS, STUCK_AFTER_MS)
    scaled = compose_reconcile({**variables, "RECONCILE_PATIENCE_SECONDS": "40"}, support)
    assert (scaled.patience_ms, scaled.stuck_after_ms) == (40_000, 60_000)
    world, engine = pending(), ListExecutions()
    world.change(execution_arn=None, callback_id=None, approval_expires_at=None)
    world.clock.ms += 40_001
    sooner = replace(decisions(world, engine), patience_ms=scaled.patience_ms)
    assert reconcile_pending(world.stored(), decisions(world, engine), no_end) == "waiting"
    assert reconcile_pending(world.stored(), sooner, no_end) == "restarted"


@pytest.mark.parametrize("decision", [None, "approve", "reject"])
def test_reconcile_restarts_a_closed_execution_and_the_new_one_obeys(decision):
    world = pending()
    if decision:
        world.decide(decision)
    engine = ListExecutions(closed=True)
    # A decision stands although nobody executes it; an overdue one does not expire either.
    world.clock.ms += DAY_MS + PATIENCE_MS + 1 if decision else 0
    assert reconcile(world, engine) == "restarted"
    assert engine.started == [("dev-pay-abc123-2", world.item()["request"])]
    assert {"execution_arn", "callback_id"} & world.item().keys() == set()
    step = begin(
        from_canonical(world.item()["request"]),
        in_version(world),
        Checks(None, True),
        Execution("arn:new", "dev-pay-abc123-2"),
        rules=world.approval_rules,
        ports=world.approval_ports,
        work=work("arn:new"),
    )
    assert step.action == {None: "ask", "approve": "charge", "reject": "done"}[decision]


def test_a_fraud_check_that_answers_a_later_execution_leaves_the_reason_that_there_is_no_score():
    world = unscored()
    world.change(execution_arn=None, approval_name="dev-pay-abc123-2", generation=2)
    reading = in_execution(world.item()["request"], EXECUTION, world.approval_rules, world.ports.find_card_numbers)
    taken_up(world, reading, Checks(SCORED_70, True), Execution("arn:second", "dev-pay-abc123-2"))
    item = world.item()
    assert (item["risk"], item["approval_reasons"]) == (10**9, ["fraud_check_unavailable"])


class Context:
    aws_request_id = "req-9"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def open_ids(world: ApprovalWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sparse index, which the in-memory table does not have."""
    monkeypatch.setattr(
        type(world.log),
        "open_transaction_ids",
        lambda self, status: iter([key for key in world.dynamodb.items if world.item(key)["status"] == status]),
    )


def test_reconcile_on_schedule_expires_and_counts_what_it_cannot_settle(monkeypatch, capsys):
    world = pending()
    open_ids(world, monkeypatch)
    function = ReconcileFunction(world.rules, world.ports, decisions(world), create_metrics(NAMESPACE, "", "dev"))
    assert function({}, Context()) == {"old_open_payments": 0, "parked_payments": 0}
    world.clock.ms += DAY_MS + PATIENCE_MS + 1
    assert function({}, Context()) == {"old_open_payments": 0, "parked_payments": 0}
    assert world.item()["status"] == "expired"

    # Claimed long ago, never charged: only its message may charge it, so it stays open and is counted.
    stuck = ApprovalWorld()
    open_ids(stuck, monkeypatch)
    reading = read([message()], stuck.rules, stuck.ports, lambda: 30_000)[0]
    stuck.gateway.scripts["prepare"] = [GatewayUnavailableError("503")]
    with pytest.raises(GatewayUnavailableError):
        settle(reading, stuck.rules, stuck.ports, work())
    stuck.clock.ms += 60 * 60 * 1000
    stuck.change(lease_until=1)
    function = ReconcileFunction(stuck.rules, stuck.ports, decisions(stuck), create_metrics(NAMESPACE, "", "dev"))
    assert function({}, Context()) == {"old_open_payments": 1, "parked_payments": 0}
    assert stuck.gateway.captures == {}
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["OldOpenPayments"], last["environment"]) == ([1.0], "dev")
    assert last["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["environment"]]


def test_a_parked_payment_is_counted_unless_its_charge_takes_its_methods_days(monkeypatch):
    at_work = GatewayResult("in_progress", 2599, "USD")
    world = ApprovalWorld()
    open_ids(world, monkeypatch)
    world.gateway.scripts |= {"charge": [at_work], "status": [at_work, at_work]}
    assert settle(read([message()], world.rules, world.ports, lambda: 30_000)[0], world.rules, world.ports, work())
    function = ReconcileFunction(world.rules, world.ports, decisions(world), create_metrics(NAMESPACE, "", "dev"))
    assert function({}, Context()) == {"old_open_payments": 0, "parked_payments": 0}
    world.clock.ms += CHARGE_TAKES_MAX_MS
    assert function({}, Context()) == {"old_open_payments": 0, "parked_payments": 1}


def test_open_payments_are_counted_by_state_with_the_age_of_the_oldest(monkeypatch, capsys):
    world = pending()
    open_ids(world, monkeypatch)
    item = world.dynamodb.items["txn-pay-abc123"]
    older = {"transaction_id": {"S": "txn-older"}, "created_at": {"N": str(int(item["created_at"]["N"]) - 10_000)}}
    world.dynamodb.items["txn-older"] = {**item, **older}
    world.clock.ms += 90_000
    ReconcileFunction(world.rules, world.ports, decisions(world), create_metrics(NAMESPACE, "", "dev"))({}, Context())
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    said = {state: [document[name] for name in names] for state, names in OPEN_METRICS.items()}
    assert said == {"processing": [[0.0], [0.0]], "pending_approval": [[2.0], [100.0]], "parked": [[0.0], [0.0]]}
    [metrics] = document["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"] for metric in metrics["Metrics"]} == set(METRICS)


def test_a_payment_that_is_restarted_again_and_again_is_counted(monkeypatch):
    world = pending()
    open_ids(world, monkeypatch)
    closed = decisions(world)
    engine = ListExecutions(closed=True)
    function = ReconcileFunction(
        world.rules,
        world.ports,
        replace(closed, starter=engine, executions=engine),
        create_metrics(NAMESPACE, "", "dev"),
    )
    assert function({}, Context()) == {"old_open_payments": 0, "parked_payments": 0}
    world.change(execution_arn=ARN.replace("-1/", "-2/"))
    assert function({}, Context()) == {"old_open_payments": 1, "parked_payments": 0}
    assert [name for name, _ in engine.started] == ["dev-pay-abc123-2", "dev-pay-abc123-3"]
