"""Prepares that are sent ahead of their messages' claims: for whom, who may use them, and what is forgotten.

Invariants: the claim stays the first write; a reference is used by the claim that made the item and by no other.
"""

from __future__ import annotations

import io
import json
import threading

import pytest

from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.workers import ThreadWorkers
from handler.ahead import PreparesAhead
from handler.domain.breaker import UNREACHED_MAX, Breaker
from handler.domain.claim import Work
from handler.domain.errors import GatewayFailedError, GatewayNotReachedError, GatewayRefusedError
from handler.domain.payment import Message
from handler.domain.process import prepare_ahead, read
from handler.queue_function import QueueFunction
from handler.settings import read_settings
from tests.support.payments import ScriptedGateway, World, body, record
from tests.support.queue_function import Context, batch, create_function, metrics_of


class Gateway(ScriptedGateway):
    """Holds the first charge of a batch until all its prepares have ended; what is cancelled is kept."""

    def __init__(self, prepares: int) -> None:
        super().__init__()
        self.prepared: list[str] = []
        self.cancelled: list[str] = []
        self.errors: dict[str, Exception] = {}
        self._left = threading.Semaphore(0)
        self._prepares = prepares

    def prepare(self, payment, key):
        try:
            self.prepared.append(key.split(":")[1])
            if payment.payment_id in self.errors:
                raise self.errors.pop(payment.payment_id)
            return super().prepare(payment, key)
        finally:
            self._left.release()

    def charge(self, gateway_ref, key, off_session=None):
        while self._prepares:
            assert self._left.acquire(timeout=60)
            self._prepares -= 1
        return super().charge(gateway_ref, key, off_session)

    def cancel(self, gateway_ref):
        self.cancelled.append(gateway_ref)
        return super().cancel(gateway_ref)


def function_over(world: World, logged: io.StringIO | None = None, *, ahead: bool = True) -> QueueFunction:
    function = create_function(world, MemorySourceQueue(), logged or io.StringIO(), world.rules, 10)
    function._services = function._services._replace(prepares_ahead=ahead)
    return function


def payments(*numbers: int, receives: int = 1, **changes) -> dict:
    """All in one group."""
    return batch(*(record(body(payment_id=f"p{n}", **changes), f"m-{n}", "g", receives) for n in numbers))


def in_vain(capsys) -> list[float]:
    return metrics_of(capsys.readouterr().out)["PreparedInVain"]


def test_what_waits_behind_another_one_is_prepared_meanwhile_and_once(capsys):
    gateway = Gateway(10)
    world = World(gateway=gateway)
    response = function_over(world)(payments(*range(10)), Context())
    assert response["body"]["processed"] == 10
    assert gateway.prepared[0] == "p0"
    assert sorted(gateway.prepared) == sorted(f"p{n}" for n in range(10))
    for n in range(10):
        item = world.item(f"txn-p{n}")
        assert (item["status"], item["attempt"]) == ("completed", 1)
        assert item["gateway_ref"] in gateway.captures
    assert in_vain(capsys) == [0.0]


def test_without_the_setting_each_payment_is_prepared_in_its_turn_and_nothing_is_counted(capsys):
    gateway = Gateway(0)
    world = World(gateway=gateway)
    function_over(world, ahead=False)(payments(1, 2, 3), Context())
    assert gateway.calls == ["prepare", "charge"] * 3
    assert "PreparedInVain" not in metrics_of(capsys.readouterr().out)


def prepared_ahead(world: World, text: str, receives: int = 1, breaker: Breaker | None = None, left_ms=30_000) -> str:
    message = Message("m-1", text, "g", receives=receives)
    reading = read([message], world.rules, world.ports, lambda: 30_000)[0]
    return prepare_ahead(reading, world.rules, world.ports, Work("req-1:m-1", lambda: left_ms, breaker=breaker))


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(UNREACHED_MAX):
        breaker.failed("p", GatewayNotReachedError("down"))
    return breaker


def test_a_payment_is_prepared_ahead_under_the_key_of_its_first_prepare():
    world = World()
    gateway_ref = prepared_ahead(world, body())
    function_over(world)(batch(record(body())), Context())
    assert (world.item()["gateway_ref"], world.gateway.keys[0]) == (gateway_ref, world.gateway.keys[1])


@pytest.mark.parametrize("text", ["no payment", body(amount=-1), body(amount=9999.99)])
def test_what_would_not_be_charged_at_once_is_never_prepared_ahead(text):
    world = World()
    assert (prepared_ahead(world, text), world.gateway.calls) == ("", [])


@pytest.mark.parametrize("beside", [{"receives": 2}, {"breaker": opened()}, {"left_ms": 9_999}])
def test_nothing_is_prepared_ahead_at_a_second_receive_with_an_open_breaker_or_without_time(beside):
    world = World()
    assert (prepared_ahead(world, body(), **beside), world.gateway.calls) == ("", [])
    assert prepared_ahead(world, body(), breaker=Breaker(), left_ms=10_000)


@pytest.mark.parametrize(
    "error", [GatewayFailedError("500"), GatewayRefusedError("400", is_final=True), KeyError("a bug")]
)
def test_a_prepare_that_fails_is_forgotten_and_its_payment_prepared_in_its_turn(error, capsys):
    gateway, logged = Gateway(2), io.StringIO()
    world = World(gateway=gateway)
    gateway.errors["p2"] = error
    response = function_over(world, logged)(payments(1, 2), Context())
    assert response["body"]["processed"] == 2
    assert (world.item("txn-p2")["status"], gateway.prepared.count("p2")) == ("completed", 2)
    assert "gateway_try" not in world.item("txn-p2")
    assert ('"level":"ERROR"' in logged.getvalue()) == isinstance(error, KeyError)
    assert in_vain(capsys) == [0.0]


def test_what_a_failed_prepare_ahead_says_is_nothing_to_the_breaker():
    gateway = Gateway(10)
    world = World(gateway=gateway)
    function = function_over(world)
    gateway.errors |= {f"p{n}": GatewayNotReachedError("down") for n in range(1, 10)}
    assert function(payments(*range(10)), Context())["body"]["processed"] == 10
    assert world.notifier.alarms == []


@pytest.mark.parametrize(
    ("amount", "is_cancelled"),
    # The same payment, whose reference it is; and a conflict with it.
    [(25.99, False), (26, True)],
)
def test_what_was_prepared_for_a_claim_that_is_refused_is_counted_and_never_charged(amount, is_cancelled, capsys):
    gateway, logged = Gateway(0), io.StringIO()
    world = World(gateway=gateway)
    function = function_over(world, logged)
    function(payments(2), Context())
    stored = world.item("txn-p2")
    capsys.readouterr()
    # With the one of the batch before.
    gateway._prepares = 3
    again = batch(record(body(payment_id="p1"), "m-1", "g"), record(body(payment_id="p2", amount=amount), "m-3", "g"))
    assert function(again, Context())["body"]["processed"] == 2
    assert world.item("txn-p2") == stored
    assert len(gateway.captures) == 2
    assert in_vain(capsys) == [1.0]
    line = next(json.loads(each) for each in logged.getvalue().splitlines() if "prepared in vain" in each)
    assert (line["correlation_id"], line["gateway_ref"] == stored["gateway_ref"]) == ("p2", not is_cancelled)
    assert gateway.cancelled == ([line["gateway_ref"]] if is_cancelled else [])


def test_whoever_takes_a_payment_over_prepares_it_anew():
    gateway = Gateway(0)
    world = World(gateway=gateway)
    function = function_over(world)
    gateway.errors["p2"] = GatewayFailedError("503", spends_key=False)
    function(payments(2), Context())
    assert (world.item("txn-p2")["attempt"], "gateway_ref" in world.item("txn-p2")) == (1, False)
    gateway._prepares = 3
    later = Context()
    later.aws_request_id = "req-2"
    assert function(payments(1, 2), later)["body"]["processed"] == 2
    assert world.item("txn-p2")["attempt"] == 2
    assert gateway.prepared.count("p2") == 3


def test_what_fails_in_front_leaves_what_was_prepared_behind_it_counted_and_unclaimed(capsys):
    gateway = Gateway(2)
    world = World(gateway=gateway)
    gateway.scripts["charge"] = [GatewayFailedError("503", spends_key=False)]
    response = function_over(world)(payments(1, 2), Context())
    assert len(response["batchItemFailures"]) == 2
    assert "txn-p2" not in world.dynamodb.items
    assert in_vain(capsys) == [1.0]


def test_once_its_turn_has_come_nothing_is_sent_ahead_for_a_message_and_what_is_under_way_is_waited_for():
    begun, may_end = threading.Event(), threading.Event()
    sent: list[int] = []

    def prepare(place: int) -> str:
        sent.append(place)
        begun.set()
        assert may_end.wait(60)
        return f"pi_{place}"

    prepares = PreparesAhead(2, ThreadWorkers(2), prepare)
    assert prepares.take(0).gateway_ref == ""
    prepares.send(0)
    under_way = threading.Thread(target=prepares.send, args=(1,))
    under_way.start()
    assert begun.wait(60)
    threading.Timer(0.01, may_end.set).start()
    assert prepares.take(1).gateway_ref == "pi_1"
    under_way.join()
    assert (sent, prepares.in_vain()) == ([1], [1])


@pytest.mark.parametrize(
    ("given", "is_on"),
    [
        ({}, True),
        ({"GATEWAY": "simulated"}, True),
        ({"GATEWAY": "stripe"}, False),
        ({"GATEWAY": "stripe", "PREPARE_AHEAD": "true"}, True),
        ({"PREPARE_AHEAD": "false"}, False),
    ],
)
def test_prepares_go_ahead_by_themselves_with_the_simulated_gateway_alone(given, is_on):
    assert read_settings(given).prepares_ahead is is_on
