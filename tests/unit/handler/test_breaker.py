"""The breaker: what the gateway does to everybody counts against nobody, and one message at a time asks.

Invariants: what it holds back is unclaimed; an answer closes it; a payment that fails alone is to blame.
"""

from __future__ import annotations

import io

import pytest

from handler.adapters.memory_queues import MemorySourceQueue
from handler.domain.breaker import FAILING_PAYMENTS_MAX, UNREACHED_MAX, Breaker
from handler.domain.errors import (
    BreakerOpenError,
    ChargeFailedError,
    ChargeInProgressError,
    GatewayAnswerError,
    GatewayBusyError,
    GatewayFailedError,
    GatewayKeyRefusedError,
    GatewayNotReachedError,
    GatewayRefusedError,
    UnknownOutcomeError,
)
from handler.domain.restored import FOUND_AFTER_MS
from handler.domain.rules import Rules
from handler.queue_function import QueueFunction
from tests.support.payments import World, body, record
from tests.support.queue_function import Context, batch, create_function


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def source_queue() -> MemorySourceQueue:
    return MemorySourceQueue()


@pytest.fixture
def function(world: World, source_queue: MemorySourceQueue) -> QueueFunction:
    return create_function(world, source_queue, io.StringIO(), world.rules)


def payments(*numbers: int) -> dict:
    """One message a payment, each in a group of its own."""
    return batch(*(record(body(payment_id=f"p{n}"), f"m-{n}", f"g-{n}") for n in numbers))


def opened() -> Breaker:
    breaker = Breaker()
    assert [breaker.failed("p", GatewayNotReachedError("down")) for _ in range(UNREACHED_MAX)][-1]
    return breaker


def invocation(number: int) -> Context:
    context = Context()
    context.aws_request_id = f"req-{number}"
    return context


@pytest.mark.parametrize("error", [GatewayNotReachedError, GatewayKeyRefusedError])
def test_five_tries_in_a_row_that_reach_nobody_open_it_once(error):
    breaker = Breaker()
    assert [breaker.failed("p", error("down")) for _ in range(7)] == [False] * 4 + [True] + [False] * 2


@pytest.mark.parametrize("error", [GatewayFailedError, ChargeFailedError])
def test_whole_5xx_of_two_payments_open_it_and_of_one_never_do(error):
    breaker = Breaker()
    assert not any(breaker.failed("p", error("500")) for _ in range(20))
    assert FAILING_PAYMENTS_MAX == 2
    assert breaker.failed("q", error("500"))


@pytest.mark.parametrize("error", [GatewayFailedError, ChargeFailedError])
def test_a_5xx_is_the_payments_own_where_others_were_answered_since_its_last_one(error):
    breaker = Breaker()
    breaker.answered()
    assert not breaker.blames("p", error("500"))
    assert not breaker.blames("p", error("500"))
    breaker.answered()
    assert not breaker.blames("p", UnknownOutcomeError("no answer"))
    assert breaker.blames("p", error("500"))
    assert not breaker.blames("p", error("500"))


def test_a_thousand_failing_payments_are_remembered_and_the_oldest_is_forgotten_first():
    breaker = Breaker()
    for number in (*range(1000), 0, 1000):
        breaker.blames(f"p{number}", GatewayFailedError("500"))
    breaker.answered()
    assert breaker.blames("p0", GatewayFailedError("500"))
    assert not breaker.blames("p1", GatewayFailedError("500"))


def test_a_5xx_is_nobodys_own_while_it_is_open():
    breaker = Breaker()
    breaker.blames("p", GatewayFailedError("500"))
    breaker.answered()
    for name in ("p", "q"):
        breaker.failed(name, GatewayFailedError("500"))
    assert not breaker.blames("p", GatewayFailedError("500"))


@pytest.mark.parametrize(
    "error", [GatewayAnswerError("not JSON"), GatewayRefusedError("400"), ChargeInProgressError("processing"), None]
)
def test_an_answer_of_any_useful_kind_ends_the_row_and_closes_it(error):
    breaker = opened()
    if error is None:
        breaker.answered()
    else:
        breaker.failed("p", error)
    assert not breaker.is_open
    assert not any(breaker.failed("p", GatewayNotReachedError("down")) for _ in range(UNREACHED_MAX - 1))


@pytest.mark.parametrize("error", [GatewayBusyError("429"), UnknownOutcomeError("no answer")])
def test_what_says_nothing_neither_opens_nor_closes_it_nor_ends_the_row(error):
    breaker = Breaker()
    assert not any(breaker.failed("p", error) for _ in range(20))
    assert not any(breaker.failed("p", GatewayNotReachedError("down")) for _ in range(UNREACHED_MAX - 1))
    breaker.failed("p", error)
    assert breaker.failed("p", GatewayNotReachedError("down"))
    breaker.failed("p", error)
    assert breaker.is_open


def test_what_is_parked_leaves_the_row():
    breaker = Breaker()
    breaker.failed("p", GatewayFailedError("500"))
    breaker.forget("p")
    assert not breaker.failed("q", GatewayFailedError("500"))


def test_an_answer_between_two_5xx_keeps_it_closed():
    breaker = Breaker()
    breaker.failed("p", GatewayFailedError("500"))
    breaker.answered()
    assert not breaker.failed("q", GatewayFailedError("500"))


def test_only_an_answer_closes_it():
    breaker = Breaker()
    for name in ("p", "q"):
        breaker.failed(name, GatewayFailedError("500"))
    breaker.forget("p")
    breaker.failed("r", UnknownOutcomeError("no answer"))
    assert breaker.is_open


def test_one_message_of_a_batch_asks_while_it_is_open():
    breaker = opened()
    with pytest.raises(BreakerOpenError):
        breaker.require()
    breaker.begin_batch()
    breaker.require()
    breaker.failed("p", GatewayNotReachedError("down"))
    with pytest.raises(BreakerOpenError):
        breaker.require()


def test_an_outage_holds_back_the_rest_unclaimed_with_the_longest_delay_and_one_alarm(function, world, source_queue):
    world.gateway.scripts["prepare"] = [GatewayNotReachedError("down")] * 6
    response = function(payments(*range(8)), Context())
    assert len(response["batchItemFailures"]) == 8
    assert len(world.gateway.calls) == UNREACHED_MAX
    assert len(world.dynamodb.items) == UNREACHED_MAX
    assert {seconds for _, seconds in source_queue.delays} == {180}
    function(payments(6, 7), Context())
    assert len(world.gateway.calls) == UNREACHED_MAX + 1
    assert len(world.dynamodb.items) == UNREACHED_MAX + 1
    assert [alarm[0] for alarm in world.notifier.alarms] == ["breaker_open"]


def test_an_answer_to_the_one_that_asks_lets_the_rest_go_on(function, world):
    world.gateway.scripts["prepare"] = [GatewayNotReachedError("down")] * UNREACHED_MAX
    function(payments(*range(8)), Context())
    assert function(payments(5, 6, 7), Context())["body"]["processed"] == 3


def test_an_outage_of_5xx_counts_no_try_once_it_is_open(function, world):
    world.gateway.scripts["prepare"] = [GatewayFailedError("503")] * 99
    for number in range(20):
        function(payments(1, 2), invocation(2 * number))
        function(payments(2, 1), invocation(2 * number + 1))
    assert {world.item(f"txn-p{n}")["status"] for n in (1, 2)} == {"processing"}
    assert [world.item(f"txn-p{n}")["tries"] for n in (1, 2)] == [0, 0]


def test_a_payment_that_the_gateway_fails_for_while_others_are_answered_is_parked_and_so_is_the_next_one(
    function, world
):
    for n in (1, 2):
        world.gateway.scripts["prepare"] = [GatewayFailedError("500"), None] * 6
        for number in range(6):
            function(payments(n, 100 * n + number), invocation(number))
        item = world.item(f"txn-p{n}")
        assert (item["status"], item["parked_reason"]) == ("parked", "gateway_failed")


def test_a_charge_that_ends_in_5xx_each_time_is_the_payments_own(function, world):
    world.gateway.scripts["charge"] = [ChargeFailedError("500"), ChargeFailedError("500"), None] * 6
    for number in range(6):
        function(payments(1, 100 + number), invocation(number))
    assert world.item("txn-p1")["status"] == "parked"


def opened_by_an_outage(function, world) -> None:
    """Five payments whose groups come again are claimed, and the environment's breaker is open."""
    world.gateway.scripts["prepare"] = [GatewayNotReachedError("down")] * UNREACHED_MAX
    function(payments(*range(90, 90 + UNREACHED_MAX)), invocation(0))
    assert [alarm[0] for alarm in world.notifier.alarms] == ["breaker_open"]


def test_what_never_asks_the_gateway_leaves_the_asking_to_the_next_message(function, world):
    function(payments(1), invocation(1))
    opened_by_an_outage(function, world)
    world.gateway.scripts["prepare"] = [GatewayNotReachedError("down")]
    asked = len(world.gateway.calls)
    records = [
        record(body(payment_id="p1"), "m-1b", "g-1"),
        record(body(payment_id="p1", amount=26), "m-2", "g-2"),
        record("no payment", "m-3", "g-3"),
        record(body(payment_id="p4", amount=-1), "m-4", "g-4"),
        record(body(payment_id="p5", amount=9999.99), "m-5", "g-5"),
        record(body(payment_id="p6"), "m-6", "g-6"),
        record(body(payment_id="p7"), "m-7", "g-7"),
    ]
    response = function(batch(*records), invocation(2))
    assert [each["itemIdentifier"] for each in response["batchItemFailures"]] == ["m-6", "m-7"]
    assert len(world.gateway.calls) == asked + 1
    assert "txn-p7" not in world.dynamodb.items


def test_what_fails_before_it_has_asked_leaves_the_asking_to_the_next_message(function, world):
    opened_by_an_outage(function, world)
    world.change("txn-p90", tries=5)
    response = function(payments(90, 1), invocation(1))
    assert (world.item("txn-p90")["status"], world.item("txn-p90")["parked_reason"]) == ("parked", "tries_used_up")
    assert (response["batchItemFailures"], world.item("txn-p1")["status"]) == ([], "completed")


def test_of_what_rules_decline_one_is_looked_for_in_vain_and_the_next_only_after_an_answer(source_queue):
    rules = Rules(restored_at_ms=1_700_000_000_000 - FOUND_AFTER_MS)
    world = World(rules=rules)
    function = create_function(world, source_queue, io.StringIO(), rules)
    opened_by_an_outage(function, world)
    world.scoring.decline_from = 1
    world.gateway.scripts["find"] = [None, GatewayNotReachedError("down")]
    response = function(payments(1, 2, 3), invocation(1))
    assert [each["itemIdentifier"] for each in response["batchItemFailures"]] == ["m-2", "m-3"]
    assert world.item("txn-p1")["status"] == "declined"
    assert world.gateway.calls[-3:] == ["prepare", "find", "find"]


def test_while_it_is_open_no_group_is_overtaken_by_the_one_that_asks(function, world):
    opened_by_an_outage(function, world)
    world.change("txn-p90", lease_until=world.clock.ms + 60_000)
    records = [record(body(payment_id=f"p{n}"), f"m-{n}", "g-1") for n in (90, 1)]
    response = function(batch(*records, record(body(payment_id="p2"), "m-2", "g-2")), invocation(1))
    assert [each["itemIdentifier"] for each in response["batchItemFailures"]] == ["m-90", "m-1"]
    assert "txn-p1" not in world.dynamodb.items
    assert world.item("txn-p2")["status"] == "completed"


def test_each_opening_has_an_alarm_of_its_own(function, world):
    opened_by_an_outage(function, world)
    function(payments(1), invocation(1))
    world.gateway.scripts["prepare"] = [GatewayNotReachedError("down")] * (UNREACHED_MAX + 3)
    function(payments(*range(10, 10 + UNREACHED_MAX)), invocation(2))
    for number in range(3):
        function(payments(10), invocation(3 + number))
    assert [alarm[0] for alarm in world.notifier.alarms] == ["breaker_open"] * 2


def test_where_only_risky_payments_come_they_wait_for_a_person_although_it_is_open(function, world):
    opened_by_an_outage(function, world)
    risky = [record(body(payment_id=f"p{n}", amount=9999.99), f"m-{n}", f"g-{n}") for n in range(4)]
    assert function(batch(*risky), invocation(1))["batchItemFailures"] == []
    assert {world.item(f"txn-p{n}")["status"] for n in range(4)} == {"pending_approval"}
