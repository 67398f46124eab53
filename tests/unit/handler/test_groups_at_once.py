"""The batch contract, through real threads: groups at once, a group in its order, and what comes back.

Invariants: no group waits for another one; what fails takes only the later messages of its group along; each message
has its own owner and its own look at the time. That things happen at once is counted, and no clock decides it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest

from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.workers import ThreadWorkers
from handler.batch import settle_groups
from handler.domain.errors import GatewayNotReachedError, GatewayUnavailableError
from handler.domain.payment import GatewayResult, Message
from handler.queue_function import QueueFunction
from tests.support.payments import ScriptedGateway, World, body, message, record
from tests.support.queue_function import Context, batch, create_function

TEN = range(10)


def messages(groups: str) -> list[Message]:
    return [message(message_id=f"m-{place}", group=group) for place, group in enumerate(groups)]


def test_with_one_worker_a_batch_is_settled_in_its_order_and_a_group_stops_at_its_first_failure():
    tried: list[int] = []

    def settle(place: int) -> None:
        tried.append(place)
        if place == 1:
            raise GatewayUnavailableError("503")

    assert settle_groups(messages("ababcab"), settle, ThreadWorkers(1)) == [1, 3, 6]
    assert tried == [0, 1, 2, 4, 5]


def test_ten_groups_are_at_work_at_once():
    met = threading.Barrier(10, timeout=60)
    assert settle_groups(messages("abcdefghij"), lambda _: met.wait(), ThreadWorkers(10)) == []


def test_the_messages_of_a_group_are_never_at_work_at_once():
    at_work: list[str] = []
    found: list[list[str]] = []
    batched = messages("aabbaabbab")

    def settle(place: int) -> None:
        at_work.append(batched[place].group)
        found.append(list(at_work))
        threading.Event().wait(0.001)
        at_work.remove(batched[place].group)

    assert settle_groups(batched, settle, ThreadWorkers(10)) == []
    assert len(found) == 10
    assert all(groups.count(group) == 1 for groups in found for group in groups)


def test_a_slow_group_sends_no_other_back():
    others = threading.Semaphore(0)

    def settle(place: int) -> None:
        if place == 0:
            for _ in range(9):
                assert others.acquire(timeout=60)
        else:
            others.release()

    assert settle_groups(messages("abcdefghij"), settle, ThreadWorkers(10)) == []


@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_an_unexpected_error_takes_the_later_ones_of_its_group_along_and_nobody_else(at_once):
    settled: list[int] = []

    def settle(place: int) -> None:
        if place == 1:
            raise KeyError("a bug")
        settled.append(place)

    assert settle_groups(messages("abcabc"), settle, ThreadWorkers(at_once)) == [1, 4]
    assert sorted(settled) == [0, 2, 3, 5]


def test_for_as_long_as_one_is_to_ask_alone_they_go_in_their_order_and_then_at_once():
    tried: list[int] = []
    met = threading.Barrier(3, timeout=60)

    def settle(place: int) -> None:
        tried.append(place)
        if place > 1:
            met.wait()
        else:
            # Long enough for another worker to begin, if there were one.
            threading.Event().wait(0.02)
            assert tried == list(range(place + 1))

    assert settle_groups(messages("abcde"), settle, ThreadWorkers(10), lambda: len(tried) < 2) == []
    assert tried[:2] == [0, 1]


def test_where_all_are_to_ask_alone_nothing_is_left_to_do_at_once():
    tried: list[int] = []
    assert settle_groups(messages("abab"), tried.append, ThreadWorkers(10), lambda: True) == []
    assert tried == [0, 1, 2, 3]


class MeetingGateway(ScriptedGateway):
    """Each call waits until so many of its kind are under way, as ten calls of 300 ms would be."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._met = {name: threading.Barrier(calls, timeout=60) for name in ("prepare", "charge")}

    def _play(self, call: str) -> GatewayResult | None:
        self._met[call].wait()
        return super()._play(call)


def function_over(world: World, at_once: int, source_queue: MemorySourceQueue | None = None) -> QueueFunction:
    return create_function(world, source_queue or MemorySourceQueue(), io.StringIO(), world.rules, at_once)


def payments(*numbers: int, group: Callable[[int], str] = lambda number: f"g-{number}") -> dict:
    return batch(*(record(body(payment_id=f"p{n}"), f"m-{n}", group(n)) for n in numbers))


def test_ten_groups_are_charged_in_the_time_of_one_and_each_payment_by_its_own_message():
    world = World(gateway=MeetingGateway(10))
    response = function_over(world, 10)(payments(*TEN), Context())
    assert (response["body"]["processed"], response["batchItemFailures"]) == (10, [])
    assert [world.item(f"txn-p{n}")["owner"] for n in TEN] == [f"req-1:m-{n}" for n in TEN]
    assert [world.item(f"txn-p{n}")["status"] for n in TEN] == ["completed"] * 10
    assert len(set(world.gateway.keys)) == 20


def test_what_fails_in_one_group_waits_with_its_later_ones_and_counts_once():
    source_queue = MemorySourceQueue()

    class Failing(ScriptedGateway):
        def prepare(self, payment, key):
            if payment.payment_id == "p1":
                raise GatewayUnavailableError("503")
            return super().prepare(payment, key)

    world = World(gateway=Failing())
    response = function_over(world, 10, source_queue)(payments(*TEN, group=lambda n: f"g-{n % 5}"), Context())
    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}, {"itemIdentifier": "m-6"}]
    assert (response["body"]["processed"], response["body"]["failed"]) == (8, 2)
    assert source_queue.delays == [("m-1", 5), ("m-6", 5)]
    assert "txn-p6" not in world.dynamodb.items


def test_what_comes_back_of_ten_groups_is_delayed_in_one_call():
    calls: list[list[tuple[str, int]]] = []

    class Counted(MemorySourceQueue):
        def delay(self, waits):
            calls.append([(message.message_id, seconds) for message, seconds in waits])

    class Failing(ScriptedGateway):
        def prepare(self, payment, key):
            raise GatewayUnavailableError("503")

    event = payments(*TEN)
    event["Records"][3]["attributes"]["ApproximateReceiveCount"] = "3"
    function_over(World(gateway=Failing()), 10, Counted())(event, Context())
    assert calls == [[(f"m-{n}", 20 if n == TEN[3] else 5) for n in TEN]]


def test_each_message_looks_at_the_time_that_is_left_when_its_turn_comes():
    world = World()

    class Ending(Context):
        """Until a charge was made, and then no longer."""

        def get_remaining_time_in_millis(self) -> int:
            return 9_000 if world.gateway.captures else 30_000

    response = function_over(world, 10)(payments(1, 2, group=lambda _: "g"), Ending())
    assert response["batchItemFailures"] == [{"itemIdentifier": "m-2"}]
    assert world.item("txn-p1")["status"] == "completed"
    assert "txn-p2" not in world.dynamodb.items


class Down(ScriptedGateway):
    """Takes no connection until it is up."""

    is_up = False

    def prepare(self, payment, key):
        self.calls.append("prepare")
        if not self.is_up:
            # Long enough for other workers to ask, too, if they did.
            threading.Event().wait(0.02)
            raise GatewayNotReachedError("down")
        return super().prepare(payment, key)


def test_one_message_of_a_batch_of_ten_groups_asks_a_gateway_that_is_down_and_once_it_is_up_all_do():
    gateway = Down()
    world = World(gateway=gateway)
    function = function_over(world, 10)
    function(payments(*TEN), Context())
    asked = len(world.gateway.calls)
    assert 5 <= asked <= 10
    assert [alarm[0] for alarm in world.notifier.alarms] == ["breaker_open"]
    response = function(payments(*range(10, 20)), Context())
    assert len(world.gateway.calls) == asked + 1
    assert len(response["batchItemFailures"]) == 10
    gateway.is_up = True
    assert function(payments(*range(20, 30)), Context())["body"]["processed"] == 10
