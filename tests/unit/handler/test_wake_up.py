"""A wake-up leads to one look at one payment, which asks the gateway; what an event said is never written."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from handler.adapters.support.errors import AwsError
from handler.domain.errors import GatewayReferenceUnknownError, GatewayUnavailableError
from handler.domain.payment import GatewayResult
from handler.domain.wake_up import WakeUp
from handler.reconcile_function import ReconcileFunction
from tests.support.parking import decisions, parked
from tests.support.payments import KEY, STUCK_AFTER_MS, World, send
from tests.support.refunds import completed, give
from tests.support.webhook import ListMetrics

APPROVED = GatewayResult("approved", 2599, "USD", "A", "2024-01-01T12:00:00Z")
PREPARED = GatewayResult("prepared", 2599, "USD")


@pytest.fixture
def world() -> World:
    """A parked payment with a reference, whose charge the gateway has captured by now."""
    world = parked("charge")
    world.gateway.calls.clear()
    world.notifier.alarms.clear()
    world.gateway.scripts["status"] = [APPROVED]
    return world


def wake(world: World, *wake_ups: WakeUp | str, remaining_ms: int = 300_000) -> list[str]:
    """Give reconcile a batch as Lambda does; the numbers of the messages that come again."""
    function = ReconcileFunction(world.rules, world.ports, decisions(world), ListMetrics())
    context = SimpleNamespace(aws_request_id="r-1", get_remaining_time_in_millis=lambda: remaining_ms)
    answer = function({"Records": [record(n, each) for n, each in enumerate(wake_ups)]}, context)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def record(number: int, wake_up: WakeUp | str) -> dict[str, Any]:
    body = wake_up if isinstance(wake_up, str) else json.dumps(wake_up._asdict())
    group = "none" if isinstance(wake_up, str) else wake_up.gateway_ref
    return {"messageId": str(number), "body": body, "attributes": {"MessageGroupId": group}}


def of(world: World, payment_id: str = "pay-abc123", says: str = "") -> WakeUp:
    return WakeUp(world.item()["gateway_ref"], payment_id, says)


def names(world: World, payment_id: str) -> list[str]:
    """The gateway's metadata say so from now on; what it is asked about."""
    asked: list[str] = []

    def payment_id_of(gateway_ref: str) -> str:
        asked.append(gateway_ref)
        return payment_id

    world.gateway.payment_id_of = payment_id_of  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize("says", ["completed", "declined", ""])
def test_what_is_parked_becomes_what_the_gateway_says_whatever_the_event_said(world, says):
    world.gateway.scripts["status"] *= 2
    assert wake(world, of(world, says=says)) == []
    asked_again = [] if says else ["status"]
    assert (world.item()["status"], world.gateway.calls) == ("completed", ["status", *asked_again])


def test_without_a_payment_id_the_gateway_is_asked_whose_the_reference_is(world):
    asked = names(world, "pay-abc123")
    assert wake(world, of(world, "")) == []
    assert (asked, world.item()["status"]) == ([world.item()["gateway_ref"]], "completed")


def test_a_reference_of_nobody_or_of_another_payment_is_done_with_and_nothing_is_asked(world):
    names(world, "")
    before = world.item()
    unknown, other = of(world, "pay-unknown"), WakeUp("pi_other", "pay-abc123")
    assert wake(world, of(world, ""), unknown, other) == []
    assert (world.item(), world.gateway.calls) == (before, [])


def test_an_item_without_a_reference_is_not_the_one_that_an_event_is_about():
    world = parked("prepare")
    world.gateway.calls.clear()
    assert wake(world, WakeUp("pi_1", "pay-abc123")) == []
    assert (world.item()["status"], world.gateway.calls) == ("parked", [])


@pytest.mark.parametrize(("says", "calls"), [("completed", []), ("declined", ["status"]), ("", ["status"])])
def test_what_is_settled_and_to_which_nothing_came_stays_as_it_is(says, calls):
    world = World()
    send(world)
    world.gateway.calls.clear()
    world.gateway.scripts["status"] = [APPROVED]
    before = world.item()
    assert wake(world, of(world, says=says)) == []
    assert (world.item(), world.gateway.calls) == (before, calls)


def test_what_came_after_the_charge_is_recorded_once_however_often_it_wakes():
    world = World()
    send(world)
    ref = world.item()["gateway_ref"]
    world.gateway.refund(ref, 1000, "USD", "ref-1", "key")
    world.gateway.scripts["status"] = [APPROVED._replace(refunded_minor=1000)] * 3
    assert wake(world, of(world), of(world), of(world, says="declined")) == []
    item = world.stored()
    assert [(row.refund_id, row.state, row.amount_minor) for row in item.refunded] == [("ref-1", "refunded", 1000)]
    assert (item.status, item.later_no) == ("completed", 1)


def test_a_look_at_lists_that_cannot_be_all_comes_again():
    world = World()
    send(world)
    world.gateway.scripts["status"] = [APPROVED._replace(refunded_minor=1000), APPROVED]
    assert wake(world, of(world), of(world)) == ["0", "1"]
    assert wake(world, of(world)) == []
    assert "refunded" not in world.item()


def test_a_look_lists_a_payments_refunds_once_for_their_own_items_and_for_its():
    world = completed()
    give(world)
    world.gateway.change("failed")
    world.gateway.scripts["status"] = [APPROVED]
    world.gateway.lists = 0
    assert wake(world, of(world)) == []
    assert (world.refund().status, [row.state for row in world.stored().refunded]) == ("failed", ["failed"])
    assert world.gateway.lists == 1


@pytest.mark.parametrize(("says", "looks"), [("completed", False), ("declined", True), ("", True)])
def test_an_item_that_says_what_the_event_says_is_not_looked_at(says, looks):
    world = World()
    send(world)
    world.gateway.scripts["status"] = [APPROVED]
    listed: list[str] = []
    world.gateway.refunds = lambda gateway_ref: listed.append(gateway_ref) or []  # type: ignore[method-assign]
    assert wake(world, of(world, says=says)) == []
    assert bool(listed) == looks


def under_way() -> World:
    """A payment that the gateway captured and whose worker has not recorded it."""
    world = World()
    send(world)
    lease_until = world.clock.now_ms() + 35_000
    world.change(status="processing", lease_until=lease_until, gateway_response=None, processed_at=None)
    world.change(open_shard="processing#3")
    world.gateway.scripts["status"] = [APPROVED]
    world.gateway.calls.clear()
    return world


def test_what_is_stuck_is_settled_and_what_is_leased_is_left_to_its_worker():
    world = under_way()
    assert wake(world, of(world, says="completed")) == []
    assert (world.item()["status"], world.gateway.calls) == ("processing", [])
    world.clock.ms += 35_000 + STUCK_AFTER_MS + 1
    assert wake(world, of(world, says="completed")) == []
    assert world.item()["status"] == "completed"


def test_what_came_after_the_charge_of_a_payment_that_is_not_recorded_yet_is_looked_for_until_it_is():
    world = under_way()
    world.gateway.refund(world.item()["gateway_ref"], 1000, "USD", "ref-1", "key")
    world.gateway.scripts["status"] = [APPROVED._replace(refunded_minor=1000)] * 2
    assert wake(world, of(world)) == ["0"]
    assert "refunded" not in world.item()
    world.clock.ms += 35_000 + STUCK_AFTER_MS + 1
    assert wake(world, of(world)) == []
    assert (world.item()["status"], [row.refund_id for row in world.stored().refunded]) == ("completed", ["ref-1"])


def test_what_came_after_the_charge_of_a_parked_payment_is_recorded_with_its_end(world):
    world.gateway.captures[world.item()["gateway_ref"]] = 2599
    world.gateway.refund(world.item()["gateway_ref"], 1000, "USD", "ref-1", "key")
    world.gateway.scripts["status"] = [APPROVED._replace(refunded_minor=1000)] * 2
    assert wake(world, of(world)) == []
    assert (world.item()["status"], [row.refund_id for row in world.stored().refunded]) == ("completed", ["ref-1"])


@pytest.mark.parametrize("failing", ["status", "payment_id_of", "the table"])
def test_a_look_that_fails_comes_again_with_those_of_its_reference_behind_it(world, failing):
    other = WakeUp("pi_other", "pay-unknown")
    if failing == "status":
        world.gateway.scripts["status"] = [GatewayUnavailableError("down")]
    if failing == "payment_id_of":

        def unavailable(_: str) -> str:
            raise GatewayUnavailableError("down")

        world.gateway.payment_id_of = unavailable  # type: ignore[method-assign]
    if failing == "the table":
        get = world.dynamodb.get_item

        def throttled(**asked: Any) -> Any:
            if asked["Key"]["transaction_id"]["S"] == KEY:
                raise AwsError("GetItem", "ThrottlingException", "slow down")
            return get(**asked)

        world.dynamodb.get_item = throttled  # type: ignore[method-assign]
    first = of(world, "" if failing == "payment_id_of" else "pay-abc123")
    assert wake(world, first, other, of(world)) == ["0", "2"]
    assert len(world.gateway.calls) <= 1


def test_people_are_told_where_the_gateway_does_not_know_the_reference_of_its_own_event(world):
    def unknown(_: str) -> str:
        raise GatewayReferenceUnknownError("HTTP 404")

    world.gateway.payment_id_of = unknown  # type: ignore[method-assign]
    ref = world.item()["gateway_ref"]
    assert wake(world, of(world, "")) == ["0"]
    assert world.notifier.alarms == [("gateway_reference_unknown", ref, "HTTP 404")]


def test_a_payment_that_is_still_parked_after_the_look_is_done_with(world):
    world.gateway.scripts["status"] = [PREPARED]
    assert wake(world, of(world)) == []
    assert world.item()["status"] == "parked"


def test_what_there_is_no_time_for_comes_again_and_the_gateway_is_not_asked(world):
    assert wake(world, of(world), remaining_ms=100) == ["0"]
    assert world.gateway.calls == []


def test_a_message_that_is_no_wake_up_goes_to_the_dead_letter_queue_and_holds_up_no_other(world):
    assert wake(world, "not ours", of(world)) == ["0"]
    assert world.item()["status"] == "completed"


@pytest.mark.parametrize("event", [None, {}, [], "Records", {"source": "aws.scheduler"}])
def test_whatever_is_no_batch_of_a_queue_is_a_run(world, event):
    function = ReconcileFunction(world.rules, world.ports, decisions(world), ListMetrics())
    context = SimpleNamespace(aws_request_id="r-1", get_remaining_time_in_millis=lambda: 300_000)
    assert function(event, context)["parked_payments"] == 0
    assert world.item()["status"] == "completed"
