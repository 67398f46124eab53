"""What the gateway says of a payment, and what may be recorded of it: nothing that could still be charged."""

from __future__ import annotations

from typing import Any

import pytest

from handler.domain.claim import Work
from handler.domain.errors import (
    ChargeInProgressError,
    GatewayAnswerError,
    NotEnoughTimeError,
    ParkedRefusedError,
    UnknownOutcomeError,
)
from handler.domain.item import Item
from handler.domain.parked import cancel
from handler.domain.payment import GatewayResult
from handler.domain.process import settle
from handler.domain.reconcile import settle_parked, settle_stuck
from tests.support.parking import decisions, parked, send
from tests.support.payments import CARD, ScriptedGateway, World, message, no_end, reading, work

MINUTES = 60_000
DECLINED = GatewayResult("declined", 2599, "USD", code="card_declined", decline_code="lost_card", request_id="req_1")
ASKS = GatewayResult("requires_action", 2599, "USD")
APPROVED = GatewayResult("approved", 2599, "USD", "AUTH1")


def world_of(**scripts: list[Any]) -> World:
    return World(gateway=ScriptedGateway(**scripts))


def test_a_decline_is_cancelled_before_it_is_recorded_and_keeps_the_gateways_codes():
    world = world_of(charge=[DECLINED])
    assert send(world) == "declined"
    assert world.gateway.calls == ["prepare", "charge", "cancel"]
    response = world.item()["gateway_response"]
    assert (response["status"], response["code"], response["decline_code"]) == (
        "declined",
        "card_declined",
        "lost_card",
    )
    with pytest.raises(UnknownOutcomeError, match="cancelled"):
        world.gateway.charge(world.item()["gateway_ref"], "late")


def test_a_decline_whose_cancel_has_no_answer_stays_open_and_is_cancelled_with_the_next_delivery():
    world = world_of(charge=[DECLINED], cancel=[UnknownOutcomeError("no answer")], status=[DECLINED])
    assert send(world) == "returned"
    assert world.item()["status"] == "processing"
    assert send(world) == "declined"
    assert world.gateway.calls == ["prepare", "charge", "cancel", "status", "cancel"]


def test_what_waits_for_its_customer_is_cancelled_and_says_why_it_was_declined():
    world = world_of(charge=[ASKS])
    assert send(world) == "declined"
    assert (world.item()["gateway_response"]["code"], world.gateway.calls[-1]) == ("requires_action", "cancel")


@pytest.mark.parametrize("seen", [DECLINED, ASKS], ids=["declined", "requires_action"])
def test_what_succeeded_before_its_cancel_is_completed(seen):
    world = world_of(charge=[seen], cancel=[APPROVED])
    assert send(world) == "completed"
    assert world.item()["gateway_response"]["authorization_code"] == "AUTH1"


@pytest.mark.parametrize("state", ["in_progress", "declined", "requires_action"])
def test_what_could_not_be_cancelled_stays_open(state):
    world = world_of(charge=[DECLINED], cancel=[DECLINED._replace(state=state)])
    assert send(world) == "returned"
    assert world.item()["status"] == "processing"


def test_a_decline_over_another_amount_is_neither_cancelled_nor_recorded():
    world = world_of(charge=[DECLINED._replace(amount_minor=2600)])
    assert send(world) == "returned"
    assert "cancel" not in world.gateway.calls
    world = world_of(charge=[DECLINED], cancel=[GatewayResult("cancelled", 2600, "USD")])
    assert send(world) == "returned"


def test_what_somebody_cancelled_at_the_gateway_ends_as_declined_and_says_so():
    world = world_of(charge=[UnknownOutcomeError("no answer")], status=[GatewayResult("cancelled", 2599, "USD")])
    assert send(world) == "declined"
    assert world.item()["gateway_response"]["status"] == "cancelled"
    assert "cancel" not in world.gateway.calls


@pytest.mark.parametrize("said", [DECLINED, ASKS, GatewayResult("cancelled", 2599, "USD")], ids=lambda said: said.state)
def test_reconcile_ends_what_is_stuck_and_what_is_parked_alike(said):
    stuck = world_of(charge=[GatewayAnswerError("500")], status=[said])
    assert send(stuck) == "returned"
    stuck.clock.ms += 60 * MINUTES
    asleep = parked("charge")
    asleep.gateway.scripts["status"] = [said]
    for world, ask in ((stuck, settle_stuck), (asleep, settle_parked)):
        world.gateway.calls.clear()
        found = list(ask(world.rules, world.ports, decisions(world), work("reconcile-1:r")))
        assert [finding.outcome for finding in found] == ["declined"]
        assert world.gateway.calls == (["status"] if said.state == "cancelled" else ["status", "cancel"])


def test_a_decline_that_has_no_time_left_for_its_cancel_stays_open():
    world = world_of(charge=[DECLINED])
    late = Work("r-1:m-1", lambda: 9_000 if "charge" in world.gateway.calls else 30_000)
    with pytest.raises(NotEnoughTimeError):
        settle(reading(world, message()), world.rules, world.ports, late)
    assert world.gateway.calls == ["prepare", "charge"]
    assert world.item()["status"] == "processing"


# ---- an operator's cancel of a parked payment that the gateway knows ----


def given_up(world: World, item: Item | None = None) -> str:
    return cancel(
        item or world.stored(), "alice", f"sent twice, {CARD}", decisions(world), lambda: world.gateway, find_end=no_end
    )


def test_a_payment_is_given_up_once_the_gateway_cancelled_it_and_a_late_charge_captures_nothing():
    world = parked("charge")
    assert given_up(world) == "cancelled"
    item = world.item()
    assert [item[name] for name in ("status", "reason_code", "cancelled_by")] == ["cancelled", "cancelled", "alice"]
    assert (item["gateway_response"]["status"], CARD in item["cancel_reason"]) == ("cancelled", False)
    assert item["open_shard"].startswith("ended#")
    with pytest.raises(UnknownOutcomeError, match="cancelled"):
        world.gateway.charge(item["gateway_ref"], "late")
    with pytest.raises(ParkedRefusedError, match="is cancelled and not parked"):
        given_up(world)


def test_what_was_charged_before_its_cancel_is_completed():
    world = parked("charge")
    world.gateway.scripts["cancel"] = [APPROVED]
    assert given_up(world) == "completed"
    assert world.item()["gateway_response"]["authorization_code"] == "AUTH1"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (UnknownOutcomeError("no answer"), UnknownOutcomeError),
        (DECLINED, UnknownOutcomeError),
        (DECLINED._replace(state="in_progress"), ChargeInProgressError),
        (APPROVED._replace(amount_minor=2600), GatewayAnswerError),
        (GatewayResult("cancelled", 2600, "USD"), GatewayAnswerError),
    ],
)
def test_what_the_gateway_did_not_confirm_stays_parked(answer, error):
    world = parked("charge")
    before = world.item()
    world.gateway.scripts["cancel"] = [answer]
    with pytest.raises(error):
        given_up(world)
    assert world.item() == before


def test_a_cancel_that_was_interrupted_is_run_again():
    world = parked("charge")
    world.gateway.cancel(world.item()["gateway_ref"])
    assert given_up(world) == "cancelled"


def test_a_payment_that_was_retried_before_its_cancel_is_ended_by_its_worker():
    world = parked("charge")
    seen = world.stored()
    world.change(status="processing", lease_until=0, tries=0)
    with pytest.raises(ParkedRefusedError, match="is processing by now; at the gateway it is cancelled"):
        given_up(world, seen)
    assert send(world, owner="r-9:m-1") == "declined"
    assert world.item()["gateway_response"]["status"] == "cancelled"


def test_what_got_its_reference_after_it_was_read_is_cancelled_at_the_gateway_too():
    world = parked("charge")
    assert given_up(world, world.stored()._replace(gateway_ref="")) == "cancelled"
    assert world.gateway.calls[-1] == "cancel"
