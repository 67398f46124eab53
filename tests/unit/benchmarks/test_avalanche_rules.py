"""AWS's rules, each against a case computed by hand from its page."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from benchmarks.avalanche import rules
from benchmarks.avalanche.distributions import Constant, Samples
from benchmarks.avalanche.dollars import Quantities, dollars, kept_seconds
from benchmarks.avalanche.known_queues import QUEUES, KnownQueue, observed
from benchmarks.avalanche.parameters import (
    Function,
    Gateway,
    ImpossibleParametersError,
    Invocations,
    Mapping,
    Parameters,
    Queue,
    Quotas,
    Table,
    Traffic,
)
from benchmarks.avalanche.rules import SECOND, Bucket, Growth
from benchmarks.avalanche.simulation import simulate
from benchmarks.avalanche.traffic import accepted, offered, read_trace

MINUTE = 60 * SECOND
WORK = Invocations(Constant(300.0), Constant(900.0), Constant(40.0), Constant(20.0), Constant(10.0))
STORY = Parameters(Traffic(messages=100, groups=10), Function(WORK))


def test_every_rule_names_its_page_and_is_tested_here() -> None:
    found = inspect.getmembers(rules, inspect.isfunction)
    functions = {name for name, function in found if function.__module__ == rules.__name__}
    assert set(rules.PAGES) == functions
    assert all(page.startswith("https://") for page in rules.PAGES.values())
    source = ast.parse(inspect.getsource(inspect.getmodule(test_every_rule_names_its_page_and_is_tested_here)))
    used = {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)}
    assert functions <= used


def test_a_mapping_begins_with_five_batches_and_adds_300_a_minute_up_to_1250() -> None:
    growth = rules.mapping_growth()
    assert [growth.at(minutes * MINUTE) for minutes in (0, 1, 2, 5)] == [5, 305, 605, 1250]
    # 300 a minute are one in 200 ms.
    assert growth.reached(6) == 200_000
    assert growth.at(200_000) == 6
    assert growth.at(199_999) == 5
    assert growth.reached(1251) is None
    assert growth.reached(3) == 0


def test_a_maximum_concurrency_is_the_mappings_ceiling() -> None:
    assert rules.mapping_growth(50).at(MINUTE) == 50
    assert rules.mapping_growth(2) == Growth(2, 300, 2)


def test_provisioned_pollers_have_ten_invocations_each_and_grow_by_a_thousand_a_minute() -> None:
    growth = rules.provisioned_mapping_growth(20, 200)
    assert [growth.at(seconds * SECOND) for seconds in (0, 6, 60, 120)] == [200, 300, 1200, 2000]


def test_a_provisioned_poller_receives_ten_times_a_second() -> None:
    assert rules.polled_again(7, 10) == 100_007
    assert rules.polled_again(0, 2_000) == 500
    two = replace(STORY, queue=Queue(sends_per_second=0), mapping=Mapping(batch_size=1, pollers_min=2, pollers_max=2))
    # A receive takes 10 ms; two pollers begin one in 50.
    began = simulate(replace(two, traffic=Traffic(15, 15))).arrays.began
    assert began.tolist() == [10_000 + 50_000 * place for place in range(15)]


def test_a_fifo_queue_has_as_many_invocations_as_groups_or_the_maximum() -> None:
    # The page's own example: six groups and a maximum of ten are six invocations.
    assert rules.groups_at_once(6, 10) == 6
    assert rules.groups_at_once(20, 10) == 10
    six = simulate(replace(STORY, traffic=Traffic(600, 6), mapping=Mapping(maximum_concurrency=10)))
    assert six.concurrency_max == rules.groups_at_once(6, 10)


def test_a_message_with_the_same_deduplication_id_within_five_minutes_is_dropped() -> None:
    assert rules.deduplicated(299 * SECOND, 0, 300 * SECOND)
    assert not rules.deduplicated(300 * SECOND, 0, 300 * SECOND)
    soon = replace(STORY, traffic=Traffic(100, 10, duplicate_share=1.0, duplicate_delay_seconds=299.0))
    late = replace(STORY, traffic=Traffic(100, 10, duplicate_share=1.0, duplicate_delay_seconds=300.0))
    assert [(one.sent, one.deduplicated, one.duplicate) for one in (simulate(soon), simulate(late))] == [
        (200, 100, 0),
        (200, 0, 100),
    ]


def test_at_the_limit_of_messages_in_flight_a_fifo_queue_gives_none() -> None:
    assert [rules.receivable(in_flight, 120_000, 10) for in_flight in (0, 119_995, 120_000)] == [10, 5, 0]
    result = simulate(replace(STORY, queue=Queue(in_flight_max=7), mapping=Mapping(batch_size=1, growth=False)))
    assert result.concurrency_max == 7
    assert result.completed == 100


def test_sends_beyond_the_quota_wait_their_turn() -> None:
    # 300 a second are one in 3,333 us.
    assert rules.sent_at(0, None, 300) == 0
    assert rules.sent_at(0, 0, 300) == 3_333
    assert rules.sent_at(5_000, 0, 300) == 5_000
    assert rules.sent_at(0, 0, 0) == 0
    at = np.array([0, 0, 0, 50_000, 50_001], dtype=np.int64)
    one_by_one: list[int] = []
    for moment in at.tolist():
        one_by_one.append(rules.sent_at(moment, one_by_one[-1] if one_by_one else None, 300))
    assert accepted(at, 300).tolist() == one_by_one == [0, 3_333, 6_666, 50_000, 53_333]


def test_a_message_is_dead_lettered_once_it_was_received_as_often_as_it_may() -> None:
    assert [rules.dead_lettered(receives, 3) for receives in (2, 3)] == [False, True]
    # Every invocation dies: three of each message's receives are in vain, and it is moved instead of a fourth.
    doomed = replace(
        STORY,
        traffic=Traffic(4, 4),
        function=replace(STORY.function, invocations=replace(WORK, warm_ms=Constant(31e3), first_ms=Constant(31e3))),
        queue=Queue(max_receive_count=3),
        mapping=Mapping(batch_size=1),
    )
    result = simulate(doomed)
    assert (result.dead_lettered, result.invocations, result.errors) == (4, 12, 12)


def test_what_an_invocation_says_nothing_about_is_visible_again_after_its_visibility_timeout() -> None:
    assert rules.visible_again(5 * SECOND, 180 * SECOND) == 185 * SECOND
    dies = replace(
        STORY,
        traffic=Traffic(1, 1),
        function=replace(STORY.function, invocations=replace(WORK, first_ms=Samples((31e3,)))),
        horizon_seconds=400.0,
    )
    # Received at 0, 180 and 360 s.
    assert simulate(dies).arrays.began.tolist() == [10_000, 180_010_000, 360_010_000]


def test_a_throttled_batch_is_tried_again_until_its_visibility_timeout() -> None:
    timeout = 180 * SECOND
    assert [rules.throttle_retry(0, attempt, 0, timeout) for attempt in (0, 1, 5, 9)] == [
        1 * SECOND,
        2 * SECOND,
        32 * SECOND,
        60 * SECOND,
    ]
    assert rules.throttle_retry(125 * SECOND, 9, 0, timeout) is None
    # Two of three wait 1 s for the one environment, and one of these 2 s more: it takes 280 ms and the gateway's calls.
    one = replace(
        STORY,
        traffic=Traffic(3, 3),
        function=replace(STORY.function, reserved_concurrency=1),
        queue=Queue(sends_per_second=0),
        mapping=Mapping(batch_size=1),
        gateway=Gateway(Constant(300.0)),
    )
    result = simulate(one)
    assert result.arrays.began.tolist() == [10_000, 1_010_000, 3_010_000]
    assert (result.throttles, result.cold_starts, result.completed) == (3, 1, 3)


def test_reserved_concurrency_takes_the_place_of_the_accounts() -> None:
    assert rules.function_concurrency(1000, None) == 1000
    assert rules.function_concurrency(1000, 20) == 20


def test_a_function_gets_a_thousand_environments_every_ten_seconds_and_never_more_in_store() -> None:
    bucket = rules.scaling_bucket()
    assert sum(bucket.take(0, 1) for _ in range(1_500)) == 1_000
    assert sum(bucket.take(SECOND, 1) for _ in range(1_500)) == 100
    assert sum(bucket.take(100 * SECOND, 1) for _ in range(1_500)) == 1_000


def test_the_thousand_environments_of_ten_seconds_bound_an_avalanche() -> None:
    story = Parameters(
        Traffic(3_000, 3_000),
        Function(replace(WORK, init_ms=Constant(9_000.0))),
        Queue(sends_per_second=0),
        Mapping(batch_size=1, pollers_min=200, pollers_max=2000, receive_ms=Constant(0.0)),
        quotas=Quotas(account_concurrency=5_000),
    )
    cold = simulate(story).arrays
    began = cold.began[cold.cold == 1]
    # The pollers' 2,000 receives a second are more than that; then as many as a second refills, whoever retries when.
    assert 1_000 <= int((began < SECOND).sum()) <= 1_100
    assert all(int((began < second * SECOND).sum()) <= 1_000 + 100 * second for second in range(1, 60))
    assert began.size > 1_500


def test_an_init_beyond_ten_seconds_is_repeated_in_the_invocation_under_its_quota() -> None:
    limit = 10 * SECOND
    assert rules.begin(limit, 99, limit) == (limit, 0)
    assert rules.begin(limit + 1, 12 * SECOND, limit) == (limit, 12 * SECOND)
    slow = replace(WORK, init_ms=Constant(10_001.0), init_throttled_ms=Constant(12_000.0))
    story = replace(
        STORY,
        traffic=Traffic(1, 1),
        function=replace(STORY.function, invocations=slow),
        gateway=Gateway(Constant(100.0)),
    )
    result = simulate(story)
    # 12 s of init, then 40 ms, three writes of 5 and two calls of 100.
    assert result.arrays.duration.tolist() == [12_255_000]
    assert result.arrays.init.tolist() == [limit]
    assert result.init_over_limit == 1
    # Where the repeat takes longer than the function may, its messages come back, again and again.
    slower = replace(slow, init_throttled_ms=Constant(60_000.0))
    hopeless = simulate(replace(story, function=replace(story.function, invocations=slower)))
    assert (hopeless.unsettled, hopeless.cold_share) == (1, 1.0)
    assert set(hopeless.arrays.duration.tolist()) == {30 * SECOND}


def test_init_and_duration_are_billed_together_and_rounded_up_once() -> None:
    assert [rules.billed_ms(600_200, 3_100), rules.billed_ms(599_900, 3_100), rules.billed_ms(0, 1)] == [604, 603, 1]


def test_of_a_restore_the_functions_own_part_is_billed() -> None:
    assert rules.billed_restore(500_000, 20_000) == 20_000
    # One that was quicker than what the function usually does itself.
    assert rules.billed_restore(15_000, 20_000) == 15_000


def test_a_new_on_demand_table_takes_4000_write_units_and_an_old_one_twice_its_peak() -> None:
    assert rules.on_demand_write_units(0, 40_000) == 4_000
    assert rules.on_demand_write_units(3_000, 40_000) == 6_000
    assert rules.on_demand_write_units(30_000, 40_000) == 40_000


def test_provisioned_capacity_stores_what_five_minutes_left() -> None:
    bucket = rules.provisioned_write_bucket(10)
    assert bucket.wait(0, 3_000, 0) == 0
    # Five units come in half a second.
    assert bucket.wait(0, 5, 499_999) == -1
    assert bucket.wait(0, 5, 500_000) == 500_000
    # These were promised, and five more are another half second behind.
    assert bucket.wait(0, 5, SECOND) == SECOND


def test_a_write_takes_a_unit_for_each_kibibyte_begun() -> None:
    assert [rules.write_units(size) for size in (1, 1024, 1025, 3000)] == [1, 1, 2, 3]


def test_what_is_in_store_never_exceeds_its_capacity() -> None:
    bucket = Bucket(1, 2)
    assert bucket.take(0, 2)
    assert not bucket.take(10 * SECOND, 3)
    assert bucket.take(10 * SECOND, 2)


def test_what_is_provisioned_is_billed_by_five_minutes_begun() -> None:
    assert [kept_seconds(seconds) for seconds in (0.5, 300.0, 300.1)] == [300, 300, 600]


def test_a_bill_can_be_checked_with_a_pencil() -> None:
    of = Quantities(
        seconds=100.0,
        invocations=1_000_000,
        billed_ms=1_000_000_000,
        payments_tried=2_000_000,
        cold_starts=1_000_000,
        sends=2_000_000,
        receives=1_000_000,
        deletes=1_000_000,
        delays=1_000_000,
        provisioned_ms=400_000_000,
    )
    parameters = replace(STORY, function=replace(STORY.function, provisioned_concurrency=10))
    lines = dollars(of, parameters)
    assert lines["lambda_requests"] == Decimal("0.2")
    assert lines["sqs_requests"] == Decimal("2.5")
    # Half a GB for 400,000 s at the price of provisioned environments, and for 600,000 at the usual one; ten kept.
    within, usual = 400_000 * Decimal("0.0000077778"), 600_000 * Decimal("0.0000133334")
    assert lines["lambda_duration"] == Decimal("0.5") * (within + usual)
    assert lines["lambda_provisioned"] == Decimal("0.5") * 3_000 * Decimal("0.0000033334")
    # Three writes of an item below 1 KiB, two of the open payments' index, and one of the fingerprints'.
    assert lines["dynamodb_writes"] == 12 * Decimal("0.625")
    assert lines["total"] == sum(amount for name, amount in lines.items() if name != "total")
    # Two pollers for 100 s.
    polled = dollars(replace(of, pollers=2), STORY)["lambda_pollers"]
    assert abs(polled - 200 * Decimal("0.00925") / 3600) < Decimal("1e-9")
    # A million restores of half a GB.
    restored = replace(STORY, function=replace(STORY.function, snapstart_restore_ms=Samples((100.0,))))
    found = dollars(of, restored)
    assert found["lambda_restores"] == Decimal("0.5") * 1_000_000 * Decimal("0.0001397998")
    # A snapshot of half a GB, kept for three hours at least.
    assert found["lambda_snapshot"] == Decimal("0.5") * 10_800 * Decimal("0.0000015046")
    longer = dollars(replace(of, seconds=20_000.5), restored)["lambda_snapshot"]
    assert abs(longer - Decimal("0.5") * 20_001 * Decimal("0.0000015046")) < Decimal("1e-9")
    # Ten units a second each for table and indexes, in the hour begun and in two.
    provisioned = replace(STORY, table=Table(write_units=10.0))
    assert dollars(of, provisioned)["dynamodb_writes"] == 30 * Decimal("0.00065")
    assert dollars(replace(of, seconds=3_601.0), provisioned)["dynamodb_writes"] == 60 * Decimal("0.00065")
    on_demand = dollars(replace(of, provisioned_ms=0), STORY)
    assert on_demand["lambda_duration"] == Decimal("0.5") * 1_000_000 * Decimal("0.0000133334")
    assert "lambda_provisioned" not in on_demand


# ---- traffic ----------------------------------------------------------------------------------------------------


def test_a_ramp_grows_evenly_and_a_burst_is_even() -> None:
    random = np.random.Generator(np.random.PCG64(1))
    # A rate that grows evenly to its greatest at 10 s has sent a quarter by half the time.
    assert offered(Traffic(4, 1, ramp_seconds=10.0), random).tolist() == [0, 5_000_000, 7_071_068, 8_660_254]
    assert offered(Traffic(4, 1, burst_seconds=10.0), random).tolist() == [0, 2_500_000, 5_000_000, 7_500_000]
    assert offered(Traffic(4, 1), random).tolist() == [0, 0, 0, 0]
    assert offered(Traffic(2, 1, trace_seconds=(0.5, 2.0)), random).tolist() == [500_000, 2_000_000]


def test_a_trace_is_read_from_a_file_and_a_line_that_is_no_number_is_refused(tmp_path) -> None:
    path = tmp_path / "trace"
    path.write_text("0\n0.25\n\n1.5\n")
    assert read_trace(path) == (0.0, 0.25, 1.5)
    for line in ("noon", "nan", "inf", "1,5"):
        path.write_text(f"0\n{line}\n")
        with pytest.raises(ImpossibleParametersError, match=f"line 2 of the trace is '{line}'"):
            read_trace(path)
    path.write_bytes(b"0\n\xff\xfe\n")
    with pytest.raises(ImpossibleParametersError, match="line 2 of the trace"):
        read_trace(path)
    path.write_text("\n")
    with pytest.raises(ImpossibleParametersError, match="has no moment"):
        read_trace(path)


# ---- known queues -----------------------------------------------------------------------------------------------


def test_the_known_answers_are_the_textbooks() -> None:
    answers = {queue.name: queue.answer_ms for queue in QUEUES}
    # 100 / (1 - 0.6); Erlang's C of 5 servers and 3.5 erlangs is 0.3778; 100 + 0.6 * 100 / (2 * 0.4).
    assert answers == pytest.approx({"M/M/1": 250.0, "M/M/5": 100 + 0.37784 * 100 / 1.5, "M/D/1": 175.0}, rel=1e-4)


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.9), (3, 0.95)])
def test_customers_of_a_queue_with_constant_service_leave_when_the_recursion_says(servers, utilisation) -> None:
    # Kiefer and Wolfowitz's recursion, exactly: each goes to the server that is free first.
    arrays = simulate(KnownQueue("M/D/c", servers, utilisation, Constant(100.0)).parameters(500)).arrays
    free = [0] * servers
    for arrived, left in zip(arrays.offered.tolist(), arrays.settled.tolist(), strict=True):
        free.sort()
        free[0] = max(free[0], arrived) + 100_000
        assert left == free[0]


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_a_known_queue_has_its_answer_within_the_confidence_interval(queue) -> None:
    found = observed(queue, 1_500)
    assert found.holds(queue.answer_ms)
    # An interval that holds everything would show nothing.
    assert found.half < 0.2 * queue.answer_ms
