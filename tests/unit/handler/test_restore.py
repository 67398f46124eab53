"""After the table was restored to an earlier time: what has no reference is looked for before anything is decided.

Invariants: a payment that was charged before the restore is not charged again, whatever state its item is in; a search
alone decides nothing; without the setting nobody searches.
"""

from __future__ import annotations

import io
from typing import Any

import pytest

from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.domain.approval.steps import Checks, begin
from handler.domain.errors import (
    ChargeInProgressError,
    GatewayAnswerError,
    GatewayBusyError,
    ParkedRefusedError,
    RestoreTooRecentError,
    RetryableError,
)
from handler.domain.parked import cancel
from handler.domain.payment import Assessment, GatewayResult
from handler.domain.process import prepare_ahead
from handler.domain.reconcile import ends_found_by, reconcile_pending, settle_parked
from handler.domain.restored import FOUND_AFTER_MS
from handler.domain.rules import Rules
from handler.workflow import execution_of
from tests.support import parking
from tests.support.approvals import ARN, RISKY, SCORED_70, ApprovalWorld, ListExecutions
from tests.support.approvals import decisions as approval_decisions
from tests.support.payments import (
    KEY,
    AmountScoring,
    ScriptedGateway,
    World,
    body,
    message,
    reading,
    reconcile,
    record,
    send,
    work,
)
from tests.support.queue_function import Context, batch, create_function, metrics_of

NOW_MS = 1_700_000_000_000
RESTORED = Rules(restored_at_ms=NOW_MS - FOUND_AFTER_MS)
APPROVED = GatewayResult("approved", 2599, "USD", "AUTH1")


def found(*results: GatewayResult, **scripts: list[Any]) -> ScriptedGateway:
    """A gateway that has a reference for each result, and says it again to who asks again."""
    refs = [f"sim_2599_USD_f{number}" for number in range(len(results))]
    return ScriptedGateway(find=[list(refs) for _ in range(4)], status=[*results * 4], **scripts)


def restored(gateway: ScriptedGateway, **more: Any) -> World:
    return World(gateway=gateway, rules=RESTORED, **more)


def state(name: Any, amount_minor: int = 2599) -> GatewayResult:
    return GatewayResult(name, amount_minor, "USD")


def reason(world: World) -> str:
    """Why a message comes again."""
    with pytest.raises(RetryableError) as caught:
        send(world)
    return caught.value.reason_code


def test_without_a_restore_nobody_searches():
    world = World()
    assert send(world) == "completed"
    assert world.gateway.calls == ["prepare", "charge"]


def test_what_was_charged_before_the_restore_is_recorded_and_not_charged_again():
    world = restored(found(APPROVED))
    assert send(world) == "completed"
    assert world.gateway.calls == ["find", "status", "status"]
    assert (world.item()["gateway_ref"], world.gateway.captures) == ("sim_2599_USD_f0", {})


def test_what_the_gateway_does_not_have_is_charged_once_it_was_looked_for():
    world = restored(ScriptedGateway())
    assert send(world) == "completed"
    assert world.gateway.calls == ["find", "prepare", "charge"]


def test_a_payment_that_was_claimed_before_the_restore_point_is_looked_for_when_it_is_taken_over():
    world = restored(ScriptedGateway(prepare=[GatewayBusyError("429")]))
    assert reason(world) == "gateway_busy"
    world.gateway.scripts = {"find": [["sim_2599_USD_f0"]], "status": [APPROVED, APPROVED]}
    assert send(world, owner="req-2:m-1") == "completed"
    assert world.gateway.captures == {}


def test_a_payment_with_a_reference_is_asked_about_as_always():
    world = restored(ScriptedGateway(charge=[GatewayBusyError("429")]))
    assert reason(world) == "gateway_busy"
    world.gateway.calls.clear()
    assert send(world, owner="req-2:m-1") == "completed"
    assert world.gateway.calls == ["status", "charge"]


def test_until_a_search_can_be_believed_the_payment_waits_uncounted_and_unparked():
    world = World(rules=Rules(restored_at_ms=NOW_MS - FOUND_AFTER_MS + 1))
    assert reason(world) == "restore_too_recent"
    world.change(first_tried_at=NOW_MS - 7 * 3_600_000)
    with pytest.raises(RestoreTooRecentError):
        send(world, owner="req-2:m-1")
    assert (world.gateway.calls, world.item()["status"], world.item()["tries"]) == ([], "processing", 0)


@pytest.mark.parametrize(
    ("results", "outcome", "chosen"),
    [
        (("prepared", "approved"), "completed", 1),
        (("cancelled", "approved"), "completed", 1),
        (("declined", "approved"), "completed", 1),
        (("prepared", "declined"), "declined", 1),
        (("prepared", "cancelled"), "declined", 1),
        (("cancelled", "declined"), "declined", 1),
        (("declined", "requires_action"), "declined", 1),
    ],
)
def test_of_several_references_the_one_that_was_charged_counts(results, outcome, chosen):
    gateway = found(*map(state, results))
    gateway.scripts["status"] = [*map(state, results), state(results[chosen])]
    gateway.scripts["cancel"] = [state("cancelled")]
    world = restored(gateway)
    assert send(world) == outcome
    assert world.item()["gateway_ref"] == f"sim_2599_USD_f{chosen}"
    assert gateway.captures == {}


def test_what_was_prepared_only_is_charged_under_that_reference():
    world = restored(found(state("prepared")))
    assert send(world) == "completed"
    assert world.gateway.calls == ["find", "status", "status", "charge"]
    assert world.gateway.captures == {"sim_2599_USD_f0": 2599}


def test_what_is_still_in_progress_is_not_charged():
    world = restored(found(state("in_progress"), state("prepared")))
    world.gateway.scripts["status"] = [state("in_progress"), state("prepared"), state("in_progress")]
    assert reason(world) == "charge_in_progress"
    assert world.item()["gateway_ref"] == "sim_2599_USD_f0"


def test_two_captures_are_told_to_people_and_one_is_recorded():
    world = restored(found(APPROVED, APPROVED))
    assert send(world) == "completed"
    [(code, name, detail)] = world.notifier.alarms
    assert (code, name) == ("captured_twice", KEY)
    assert "f0" in detail
    assert "f1" in detail


@pytest.mark.parametrize("name", ["approved", "in_progress", "requires_action", "declined"])
def test_a_charge_over_another_amount_is_another_payments_and_this_one_is_parked(name):
    world = restored(found(state(name, 2600)))
    assert send(world) == "parked"
    assert world.item()["parked_reason"] == "found_with_different_content"
    assert [alarm[:2] for alarm in world.notifier.alarms] == [("found_with_different_content", KEY)]
    assert world.gateway.calls == ["find", "status"]


def test_another_currency_is_another_payment_too():
    world = restored(found(GatewayResult("approved", 2599, "EUR")))
    assert send(world) == "parked"


@pytest.mark.parametrize("name", ["prepared", "cancelled"])
def test_what_was_never_charged_over_another_amount_is_passed_over(name):
    world = restored(found(state(name, 2600)))
    assert send(world) == "completed"
    assert world.gateway.calls == ["find", "status", "prepare", "charge"]


def test_a_search_that_fails_is_tried_again_and_counts_against_nobody():
    world = restored(ScriptedGateway(find=[GatewayBusyError("429")]))
    assert reason(world) == "gateway_busy"
    assert (world.gateway.calls, world.item()["tries"]) == (["find"], 0)


def test_nothing_is_prepared_ahead_after_a_restore():
    ordinary, after = World(), restored(ScriptedGateway())
    assert prepare_ahead(reading(ordinary, message()), ordinary.rules, ordinary.ports, work())
    assert prepare_ahead(reading(after, message()), after.rules, after.ports, work()) == ""
    assert after.gateway.calls == []


def test_what_a_rule_declines_by_now_is_recorded_as_it_was_charged():
    scoring = AmountScoring(decline_from=1)
    assert send(restored(ScriptedGateway(), scoring=scoring)) == "declined"
    assert send(restored(found(state("approved", 2600)), scoring=scoring)) == "declined"
    world = restored(found(APPROVED), scoring=scoring)
    assert send(world) == "completed"
    assert world.item()["gateway_ref"] == "sim_2599_USD_f0"


def test_what_a_rule_declines_by_now_is_charged_by_no_later_search_that_leaves_it_out():
    gateway = ScriptedGateway(find=[["sim_2599_USD_f0"], []], status=[APPROVED, GatewayBusyError("429"), APPROVED])
    world = restored(gateway, scoring=AmountScoring(decline_from=1))
    assert reason(world) == "gateway_busy"
    world.scoring.decline_from = 10**9
    assert send(world, owner="req-2:m-1") == "completed"
    assert (world.item()["gateway_ref"], gateway.captures) == ("sim_2599_USD_f0", {})


def test_what_a_rule_declines_and_cannot_be_looked_for_holds_its_group_up_for_five_receives():
    busy, wrong = GatewayBusyError("429"), GatewayAnswerError("no state")
    world = restored(ScriptedGateway(find=[busy, wrong, wrong]), scoring=AmountScoring(decline_from=1))
    for receives in (999, 4):
        with pytest.raises(RetryableError):
            send(world, message()._replace(receives=receives))
    assert send(world, message()._replace(receives=5)) == "set_aside"
    assert [alarm[:2] for alarm in world.notifier.alarms] == [("gateway_answer_invalid", KEY)]
    assert ([sent[2] for sent in world.rejected.messages], world.dynamodb.items) == (["gateway_answer_invalid"], {})


def test_reconcile_records_what_its_message_may_never_come_for():
    world = World()
    world.gateway.scripts["prepare"] = [GatewayBusyError("429")]
    assert reason(world) == "gateway_busy"
    world.clock.ms += 20 * 60_000
    world.gateway = found(APPROVED)
    world.rules = RESTORED
    [finding] = reconcile(world)
    assert (finding.outcome, world.item()["gateway_ref"]) == ("completed", "sim_2599_USD_f0")
    assert world.gateway.calls == ["find", "status", "status"]


def parked_then(gateway: ScriptedGateway) -> World:
    """A payment that was parked without a reference, before the table was lost."""
    world = parking.parked()
    assert "gateway_ref" not in world.item()
    world.gateway = gateway
    world.rules = Rules(restored_at_ms=world.clock.ms - FOUND_AFTER_MS)
    return world


def find_end(world: World) -> Any:
    return ends_found_by(world.rules, world.ports, parking.decisions(world), work())


def asked(world: World) -> Any:
    [finding] = settle_parked(world.rules, world.ports, parking.decisions(world), work("r:1"))
    return finding.outcome


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (APPROVED, "completed"),
        (state("declined"), "declined"),
        (state("cancelled"), "declined"),
        (state("in_progress"), "in_progress"),
        (state("prepared"), "parked"),
        (state("approved", 2600), "parked"),
    ],
)
def test_reconcile_looks_for_what_is_parked_without_a_reference(result, outcome):
    world = parked_then(found(result, cancel=[state("cancelled")]))
    assert asked(world) == outcome
    assert world.item()["status"] == (outcome if outcome in ("completed", "declined") else "parked")
    assert ("request" in world.item()) == (world.item()["status"] == "parked")
    assert world.gateway.captures == {}


def test_a_record_whose_answer_was_lost_is_its_own_success():
    world = parked_then(found(APPROVED))
    item = world.stored()
    assert find_end(world)(item) == "completed"
    assert find_end(world)(item) == "completed"


def test_what_was_taken_over_meanwhile_is_left_to_its_worker():
    world = parked_then(found(APPROVED))
    seen = world.stored()
    world.change(status="processing", attempt=seen.attempt + 1, lease_until=1, open_shard="processing#0")
    assert find_end(world)(seen) is None
    assert "gateway_ref" not in world.item()


def give_up(world: World) -> str:
    decisions = parking.decisions(world)
    return cancel(world.stored(), "alice", "twice", decisions, lambda: world.gateway, find_end=find_end(world))


@pytest.mark.parametrize(
    ("result", "outcome"),
    [(APPROVED, "completed"), (state("cancelled"), "declined"), (state("approved", 2600), "cancelled")],
)
def test_nothing_is_given_up_as_uncharged_that_was_charged(result, outcome):
    world = parked_then(found(result))
    assert give_up(world) == outcome
    assert world.item()["status"] == outcome


def test_what_may_still_be_charged_is_not_given_up():
    world = parked_then(found(state("in_progress")))
    with pytest.raises(ChargeInProgressError):
        give_up(world)
    assert world.item()["status"] == "parked"


def test_who_gives_up_what_somebody_else_gave_up_is_told_so():
    world = parked_then(found(APPROVED))
    seen = world.stored()
    give_up_first = DynamoDbParkingLog(world.dynamodb, "transactions").cancel_parked
    give_up_first(KEY, cancelled_by="bob", cancel_reason="why", now=world.clock.ms)
    with pytest.raises(ParkedRefusedError, match="cancelled by now"):
        cancel(seen, "alice", "why", parking.decisions(world), lambda: world.gateway, find_end=find_end(world))


def waiting(gateway: ScriptedGateway) -> ApprovalWorld:
    """A payment that waits for a person, as it did before the table was lost."""
    world = ApprovalWorld()
    assert send(world, message(RISKY)) == "pending_approval"
    world.gateway = gateway  # type: ignore[assignment]
    world.rules = RESTORED
    return world


def over(name: Any) -> GatewayResult:
    return GatewayResult(name, 999_999, "USD")


def reconciled(world: ApprovalWorld) -> str:
    find = ends_found_by(world.rules, world.ports, approval_decisions(world), work())
    return reconcile_pending(world.stored(), approval_decisions(world, ListExecutions()), find)


def test_reconcile_records_what_was_approved_and_charged_before_the_restore():
    world = waiting(found(over("approved")))
    assert reconciled(world) == "completed"
    assert (world.item()["status"], world.item()["gateway_ref"]) == ("completed", "sim_2599_USD_f0")
    assert (world.item()["open_shard"].partition("#")[0], "request" in world.item()) == ("ended", False)


@pytest.mark.parametrize("results", [(), (over("prepared"),), (state("approved"),)])
def test_what_the_gateway_never_charged_goes_on_waiting(results):
    assert reconciled(waiting(found(*results))) == "waiting"


def test_what_is_in_progress_at_the_gateway_neither_expires_nor_starts_anew():
    with pytest.raises(ChargeInProgressError):
        reconciled(waiting(found(over("in_progress"))))


def began(world: ApprovalWorld, assessment: Assessment = SCORED_70) -> Any:
    payment = reading(world, message(RISKY)).validation.payment
    assert payment is not None
    execution = execution_of(ARN)
    return begin(
        payment,
        reading(world, message(RISKY)).in_version,
        Checks(assessment, True),
        execution,
        rules=world.approval_rules,
        ports=world.approval_ports,
        work=work(ARN)._replace(takes_over=False),
    )


def test_nobody_is_asked_about_what_was_charged_before_the_restore():
    world = waiting(found(over("approved")))
    assert began(world).outcome == "completed"
    assert "execution_arn" not in world.item()


def test_an_execution_charges_nothing_that_a_rule_declines_and_that_was_found_charged():
    world = ApprovalWorld(scoring=AmountScoring(decline_from=1))
    world.gateway = ScriptedGateway(find=[["sim_999999_USD_f0"], []], status=[over("approved")] * 2)  # type: ignore[assignment]
    world.rules = RESTORED
    assert began(world, SCORED_70._replace(action="decline")).action == "charge"
    assert world.item()["gateway_ref"] == "sim_999999_USD_f0"


def test_people_are_asked_about_what_was_not():
    world = waiting(ScriptedGateway())
    assert began(world).action == "ask"


def test_the_function_counts_what_it_found(capsys):
    declining = restored(found(APPROVED), scoring=AmountScoring(decline_from=1))
    knows, knows_not = restored(found(APPROVED)), restored(ScriptedGateway())
    for world, counted in ((knows, [1.0]), (declining, [1.0]), (knows_not, [0.0]), (World(), None)):
        logged = io.StringIO()
        function = create_function(world, MemorySourceQueue(), logged, world.rules)
        function(batch(record(body())), Context())
        assert metrics_of(capsys.readouterr().out).get("FoundAtGateway") == counted
        assert ("found at the gateway" in logged.getvalue()) == (counted == [1.0])
