"""Keys at the gateway: one key a call until it is known to be spent, and what the gateway refuses for good."""

from __future__ import annotations

from typing import Any

import pytest

from handler.adapters.gateways.simulated import SimulatedGateway
from handler.domain.claim import Work
from handler.domain.errors import (
    ChargeFailedError,
    GatewayBusyError,
    GatewayFailedError,
    GatewayNotReachedError,
    GatewayRefusedError,
    GatewayUnavailableError,
    KeySpentError,
    OwnershipLostError,
    RetryableError,
    TransactionLogUnavailableError,
    UnknownOutcomeError,
)
from handler.domain.payment import GatewayResult, Payment
from handler.domain.process import settle
from tests.support.parking import send
from tests.support.payments import ScriptedGateway, World, message, reading

PREPARED = GatewayResult("prepared", 2599, "USD")
REFUSED = GatewayRefusedError("HTTP 400", "resource_missing", "req_1", is_final=True)


class KeyedGateway(ScriptedGateway):
    """Keeps the first whole failure of each key and gives it again, as Stripe does for a day."""

    def __init__(self, **scripts: list[Any]) -> None:
        super().__init__(**scripts)
        self._stored: dict[str, Exception] = {}

    def _play(self, call: str) -> GatewayResult | None:
        key = self.keys[-1]
        if call not in ("status", "cancel") and key in self._stored:
            self.calls.append(call)
            raise self._stored[key]
        try:
            return super()._play(call)
        except RetryableError as error:
            if error.spends_key:
                self._stored[key] = error
            raise


def key(call: str, gateway_try: int) -> str:
    request_hash = reading(World(), message()).validation.request_hash
    return f"dev:pay-abc123:{request_hash[:16]}:{call}:{gateway_try}"


def deliver(world: World) -> str:
    """Until it is acknowledged, as the same message."""
    for number in range(9):
        ended = send(world, owner=f"r-{number}:m-1")
        if ended != "returned":
            return ended
    return "returned"


def test_the_keys_name_environment_payment_content_call_and_number():
    world = World(gateway=KeyedGateway())
    assert deliver(world) == "completed"
    assert world.gateway.keys == [key("prepare", 0), key("confirm", 0)]
    assert "gateway_try" not in world.item()


@pytest.mark.parametrize("failure", [GatewayFailedError("500"), GatewayRefusedError("HTTP 400")])
def test_a_stored_failure_of_prepare_is_given_up_and_the_next_delivery_prepares(failure):
    world = World(gateway=KeyedGateway(prepare=[failure]))
    assert send(world) == "returned"
    assert world.item()["gateway_try"] == 1
    assert deliver(world) == "completed"
    assert world.gateway.keys == [key("prepare", 0), key("prepare", 1), key("confirm", 1)]
    assert len(world.gateway.captures) == 1


@pytest.mark.parametrize(
    "failure", [ChargeFailedError("500"), KeySpentError("idempotency_error"), GatewayRefusedError("HTTP 400")]
)
def test_a_stored_failure_of_a_charge_is_given_up_once_the_reference_is_seen_prepared(failure):
    world = World(gateway=KeyedGateway(charge=[failure]))
    assert send(world) == "completed"
    assert world.gateway.keys == [key("prepare", 0), key("confirm", 0), key("confirm", 1)]
    assert world.gateway.calls == ["prepare", "charge", "status", "charge"]
    assert (world.item()["gateway_try"], len(world.gateway.captures)) == (1, 1)


@pytest.mark.parametrize("state", ["in_progress", "approved", "declined"])
def test_a_spent_key_of_what_is_no_longer_prepared_is_not_given_up(state):
    asked = GatewayResult(state, 2599, "USD")
    world = World(gateway=KeyedGateway(charge=[ChargeFailedError("500")], status=[asked]))
    assert send(world) == {"in_progress": "returned", "approved": "completed"}.get(state, state)
    assert "gateway_try" not in world.item()
    assert world.gateway.keys == [key("prepare", 0), key("confirm", 0)]


@pytest.mark.parametrize(
    ("call", "failure"),
    [
        ("prepare", GatewayNotReachedError("no connection")),
        ("prepare", GatewayBusyError("429")),
        ("prepare", GatewayFailedError("a page of a proxy", spends_key=False)),
        ("charge", UnknownOutcomeError("no answer, or 409")),
        ("charge", ChargeFailedError("a page of a proxy", spends_key=False)),
    ],
)
def test_after_anything_but_a_whole_answer_the_same_key_goes_again(call, failure):
    world = World(gateway=KeyedGateway(**{call: [failure]}))
    assert deliver(world) == "completed"
    assert world.gateway.keys.count(key("confirm" if call == "charge" else call, 0)) == 2
    assert "gateway_try" not in world.item()


def test_a_key_that_could_not_be_given_up_is_met_again_and_given_up_then(monkeypatch):
    world = World(gateway=KeyedGateway(prepare=[GatewayFailedError("500")]))
    with monkeypatch.context() as away:
        away.setattr(
            "handler.adapters.table.parking_log.DynamoDbParkingLog.next_key",
            lambda *_, **__: (_ for _ in ()).throw(TransactionLogUnavailableError("away")),
        )
        assert send(world) == "returned"
    assert deliver(world) == "completed"
    assert world.gateway.keys == [key("prepare", 0), key("prepare", 0), key("prepare", 1), key("confirm", 1)]


def test_a_next_key_whose_answer_was_lost_goes_on_with_the_number_that_stands():
    world = World(gateway=KeyedGateway(charge=[ChargeFailedError("500")]))
    update = world.dynamodb.update_item

    def twice(**request: Any) -> Any:
        if ":seen" in request["ExpressionAttributeValues"]:
            update(**request)
        return update(**request)

    world.dynamodb.update_item = twice  # type: ignore[method-assign]
    assert send(world) == "completed"
    assert world.gateway.keys[-1] == key("confirm", 1)


def test_a_worker_that_lost_the_payment_gives_no_key_up_and_charges_no_more():
    class Overtaken(KeyedGateway):
        def status(self, gateway_ref: str) -> GatewayResult:
            world.change(owner="req-9:m-9", attempt=2)
            return super().status(gateway_ref)

    world = World(gateway=Overtaken(charge=[ChargeFailedError("500")]))
    assert send(world) == "returned"
    assert world.gateway.calls.count("charge") == 1
    assert "gateway_try" not in world.item()


def test_whoever_works_on_it_goes_on_with_the_items_number():
    world = World(gateway=KeyedGateway(prepare=[GatewayBusyError("429")]))
    send(world)
    world.change(gateway_try=3)
    assert deliver(world) == "completed"
    assert world.gateway.keys[1:] == [key("prepare", 3), key("confirm", 3)]


def test_a_payment_that_the_gateway_refuses_for_good_is_declined_with_its_code_and_asked_no_more():
    world = World(gateway=KeyedGateway(prepare=[REFUSED]))
    assert send(world) == "declined"
    item = world.item()
    assert (item["status"], item["reason_code"]) == ("declined", "gateway_refused")
    said = [item["gateway_response"][name] for name in ("status", "code", "request_id")]
    assert said == ["declined", "resource_missing", "req_1"]
    assert item["processed_at"]
    assert not {"open_shard", "lease_until", "gateway_ref", "gateway_try"} & item.keys()
    assert send(world, message(message_id="m-2"), "r-2:m-2") == "duplicate"
    assert world.gateway.calls == ["prepare"]


def test_a_refusal_that_is_not_final_counts_and_parks_in_the_end():
    world = World(gateway=KeyedGateway(prepare=[GatewayRefusedError("HTTP 400")] * 9))
    assert deliver(world) == "parked"
    assert world.item()["parked_reason"] == "gateway_refused"
    assert world.gateway.keys == [key("prepare", number) for number in range(5)]


def test_with_a_stored_reference_no_refusal_is_final():
    class Overtaken(KeyedGateway):
        def prepare(self, payment: Payment, key: str) -> str:
            world.change(gateway_ref="sim_2599_USD_1")
            return super().prepare(payment, key)

    world = World(gateway=Overtaken(prepare=[REFUSED]))
    assert send(world) == "returned"
    assert world.item()["status"] == "processing"
    assert deliver(world) == "completed"
    assert list(world.gateway.captures) == ["sim_2599_USD_1"]


def test_a_worker_that_lost_the_payment_does_not_end_it():
    class Overtaken(KeyedGateway):
        def prepare(self, payment: Payment, key: str) -> str:
            world.change(owner="req-9:m-9", attempt=2)
            return super().prepare(payment, key)

    world = World(gateway=Overtaken(prepare=[REFUSED]))
    assert send(world) == "returned"
    assert (world.item()["status"], world.item()["owner"]) == ("processing", "req-9:m-9")


def test_a_refusal_that_another_worker_recorded_is_success():
    class Recorded(KeyedGateway):
        def prepare(self, payment: Payment, key: str) -> str:
            world.change(status="declined", processed_at="2024-01-01T12:00:00Z", open_shard=None, lease_until=None)
            return super().prepare(payment, key)

    world = World(gateway=Recorded(prepare=[REFUSED]))
    before = world.gateway.calls
    assert send(world) == "declined"
    assert before == ["prepare"]


class Overtaken(ScriptedGateway):
    """While it prepares, something happens to the item."""

    def __init__(self, world: World, changes: dict[str, Any], **scripts: list[Any]) -> None:
        super().__init__(**scripts)
        self.happens = lambda: world.change(**changes)
        self.cancelled: list[str] = []

    def prepare(self, payment: Payment, key: str) -> str:
        self.happens()
        return super().prepare(payment, key)

    def cancel(self, gateway_ref: str) -> GatewayResult:
        self.cancelled.append(gateway_ref)
        return super().cancel(gateway_ref)


OTHER = "sim_2599_USD_other"


@pytest.mark.parametrize("answer", [None, GatewayUnavailableError("503"), UnknownOutcomeError("no answer")])
def test_a_reference_that_another_one_keeps_out_is_cancelled_and_its_failure_is_nobodys(answer):
    world = World()
    world.gateway = Overtaken(world, {"gateway_ref": OTHER}, cancel=[answer])
    assert send(world) == "completed"
    assert world.item()["gateway_ref"] == OTHER
    assert (world.gateway.captures, world.gateway.calls) == (
        {OTHER: 2599},
        ["prepare", "cancel", "status", "charge"],
    )
    assert len(world.gateway.cancelled) == 1
    assert OTHER not in world.gateway.cancelled


@pytest.mark.parametrize(
    ("changes", "cancels"),
    [
        ({"owner": "req-2:m-1", "attempt": 2, "gateway_ref": OTHER}, 1),
        # Its own prepare under the same key may give it this very reference.
        ({"owner": "req-2:m-1", "attempt": 2}, 0),
        ({"status": "cancelled", "reason_code": "cancelled", "cancelled_by": "a", "cancel_reason": "b"}, 1),
    ],
    ids=["another one stands", "nobody's stands", "it ended without any"],
)
def test_a_worker_that_lost_the_payment_cancels_only_what_can_never_stand(changes, cancels):
    world = World()
    ended = {"processed_at": "2024-01-01T12:00:00Z"} if "status" in changes else {}
    world.gateway = Overtaken(world, changes | ended)
    assert send(world) == "returned"
    assert len(world.gateway.cancelled) == cancels


def test_a_reference_that_its_own_write_stored_is_not_cancelled():
    world = World()
    reference = SimulatedGateway().prepare(reading(world, message()).validation.payment, key("prepare", 0))
    world.gateway = Overtaken(world, {"gateway_ref": reference})
    assert send(world) == "completed"
    assert world.gateway.cancelled == []


def test_a_lost_reference_is_left_where_no_time_is_left():
    world = World()
    world.gateway = Overtaken(world, {"owner": "req-2:m-1", "attempt": 2, "gateway_ref": OTHER})
    late = Work("req-1:m-1", lambda: 9_000 if "prepare" in world.gateway.calls else 30_000)
    with pytest.raises(OwnershipLostError):
        settle(reading(world, message()), world.rules, world.ports, late)
    assert world.gateway.cancelled == []
