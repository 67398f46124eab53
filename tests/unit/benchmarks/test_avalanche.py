"""The simulated avalanche: nothing is lost, groups keep their order, and one seed gives one result."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import islice

import numpy as np
import pytest

from benchmarks.avalanche.distributions import Constant, Exponential, LogNormal, Nearby, Samples, stream
from benchmarks.avalanche.parameters import (
    Function,
    Gateway,
    ImpossibleParametersError,
    Invocations,
    Mapping,
    Parameters,
    Payments,
    Queue,
    Quotas,
    Table,
    Traffic,
)
from benchmarks.avalanche.result import COMPLETED, FATES, Result
from benchmarks.avalanche.simulation import _Run, simulate
from benchmarks.avalanche.traffic import send

NOTHING = Constant(0.0)
WORK = Invocations(
    init_ms=Samples((280.0, 300.0, 330.0)),
    init_throttled_ms=Constant(1000.0),
    first_ms=Constant(40.0),
    warm_ms=Constant(15.0),
    message_ms=Constant(12.0),
)
# Everything that takes time takes a round number of it, and nothing is drawn.
EXACT = Parameters(
    Traffic(messages=4, groups=2),
    Function(Invocations(Constant(300.0), Constant(900.0), Constant(40.0), Constant(20.0), Constant(10.0))),
    mapping=Mapping(receive_ms=Constant(5.0), delete_ms=Constant(5.0), batch_size=1),
    gateway=Gateway(call_ms=Constant(100.0)),
    table=Table(call_ms=Constant(10.0)),
)


def assert_conserved(result: Result) -> None:
    assert result.sent == result.deduplicated + result.accepted
    assert result.accepted == sum(getattr(result, fate) for fate in FATES)


def assert_groups_in_order(result: Result) -> None:
    """Whatever was charged of a group was settled in the order of the queue."""
    arrays = result.arrays
    charged = arrays.fate == COMPLETED
    for group in np.unique(arrays.group):
        settled = arrays.settled[charged & (arrays.group == group)]
        assert (np.diff(settled) > 0).all()


def test_two_groups_of_two_messages_are_settled_when_a_pencil_says() -> None:
    # Received at 0, in its environment at 5 ms, whose init takes 300 and the first invocation 40; then three writes of
    # 10 and two calls of 100. The second of a group comes after a delete and a receive of 5 each.
    first = 5 + 300 + 40 + 230
    second = first + 5 + 5 + 20 + 230
    result = simulate(replace(EXACT, queue=Queue(sends_per_second=0)))
    assert result.arrays.settled.tolist() == [1000 * moment for moment in (first, first, second, second)]
    assert (result.invocations, result.cold_starts, result.concurrency_max) == (4, 2, 2)
    assert result.completion_seconds == second / 1000


def test_a_provisioned_environment_is_used_again_and_others_start_beside_it() -> None:
    function = replace(EXACT.function, provisioned_concurrency=1)
    one_group = simulate(replace(EXACT, traffic=Traffic(6, 1), function=function))
    assert (one_group.invocations, one_group.cold_starts) == (6, 0)
    two_groups = simulate(replace(EXACT, traffic=Traffic(6, 2), function=function))
    assert (two_groups.invocations, two_groups.cold_starts) == (6, 1)


def test_an_invocation_beside_the_provisioned_environments_has_the_usual_price() -> None:
    function = replace(EXACT.function, provisioned_concurrency=1)
    result = simulate(replace(EXACT, traffic=Traffic(2, 2), queue=Queue(sends_per_second=0), function=function))
    # One of 250 ms in the provisioned environment, one of 300 of init and 270 beside it, of half a GB.
    by_hand = (250 * Decimal("0.0000077778") + 570 * Decimal("0.0000133334")) / 2000
    assert result.dollars["lambda_duration"] == by_hand.quantize(Decimal("0.000000001"))


def test_a_batch_is_deleted_and_delayed_in_one_request_each_and_in_none_without_an_answer() -> None:
    prices = Decimal("0.0000005")
    slow = replace(EXACT, traffic=Traffic(4, 4), mapping=replace(EXACT.mapping, batch_size=10))
    slow = replace(slow, queue=Queue(sends_per_second=0), gateway=Gateway(Constant(100.0), calls_per_second=4.0))
    # Four sends; a batch of four of which two come back after 5 s, and these two: two receives, two deletes, a delay.
    assert simulate(slow).dollars["sqs_requests"] == 9 * prices
    dies = replace(EXACT.function, invocations=replace(EXACT.function.invocations, first_ms=Constant(31e3)))
    died = replace(EXACT, traffic=Traffic(1, 1), function=dies, horizon_seconds=100.0)
    assert simulate(died).dollars["sqs_requests"] == 2 * prices


def test_a_payment_takes_three_units_of_the_table_and_its_index_has_its_own() -> None:
    # 140 batches of ten begin at once: 4,000 units are 1,333 payments, and the others wait for theirs.
    mapping = replace(EXACT.mapping, batch_size=10, growth=False)
    result = simulate(replace(EXACT, traffic=Traffic(1_400, 1_400), queue=Queue(sends_per_second=0), mapping=mapping))
    assert result.table_throttles == 1_400 - 4_000 // 3


def test_latency_ends_when_a_payment_is_settled_and_age_when_its_message_is_deleted() -> None:
    result = simulate(replace(EXACT, traffic=Traffic(1, 1)))
    # 5 to receive, 300, 40 and 230; the delete takes 5 more.
    assert (result.latency_p50_ms, result.latency_p99_ms) == (575.0, 575.0)
    assert result.oldest_message_seconds == 0.58
    assert result.series.duration_p99_ms == [570.0]
    assert result.series.duration_mean_ms == [570.0]
    assert result.series.cold_share == [1.0]


def test_one_seed_gives_one_result_on_every_machine() -> None:
    result = simulate(Parameters(Traffic(1000, 50, ramp_seconds=20.0, round_robin=False), Function(WORK)), seed=7)
    assert result.digest() == "47c6aafd4d1ebab6cf1247e9376194e0b1ca29010f1695c72caa4871f7a18b90"


def test_another_seed_gives_another_result() -> None:
    parameters = Parameters(Traffic(200, 50, ramp_seconds=20.0), Function(WORK))
    assert simulate(parameters, seed=1).digest() == simulate(parameters, seed=1).digest()
    assert simulate(parameters, seed=1).digest() != simulate(parameters, seed=2).digest()


def test_nothing_is_lost_whatever_goes_wrong_and_groups_keep_their_order() -> None:
    parameters = Parameters(
        Traffic(2000, 40, burst_seconds=10.0, duplicate_share=0.1, duplicate_delay_seconds=400.0),
        Function(WORK, crash_share=0.02),
        queue=Queue(max_receive_count=6, in_flight_max=150),
        payments=Payments(failing_share=0.01, failure_share=0.05, declined_share=0.05),
        gateway=Gateway(LogNormal(200.0, 3000.0), calls_per_second=20.0),
        table=Table(write_units=10.0),
    )
    result = simulate(parameters)
    assert_conserved(result)
    assert_groups_in_order(result)
    # Each of them did go wrong.
    assert min(result.errors, result.parked, result.dead_lettered, result.declined, result.duplicate) > 0
    assert min(result.table_throttles, result.gateway_throttles, result.gateway_timeouts) > 0
    assert result.unsettled == 0


def test_an_earlier_look_at_the_queue_takes_the_place_of_a_later_one() -> None:
    seeds = np.random.SeedSequence(1).spawn(24)
    run = _Run(EXACT, send(EXACT.traffic, EXACT.queue, seeds[:3]), seeds[3:])
    for moment in (500, 900, 200):
        run._wake(moment)
    assert [moment for moment, *_ in sorted(run._events)] == [200, 500]


def test_a_seed_is_any_number_from_0_on() -> None:
    assert simulate(EXACT, seed=2**40).completed == 4
    with pytest.raises(ImpossibleParametersError, match="seed -1: 0 or more"):
        simulate(EXACT, seed=-1)


def test_a_horizon_before_the_first_invocation_leaves_everything_unsettled() -> None:
    result = simulate(replace(EXACT, horizon_seconds=0.001))
    assert (result.unsettled, result.invocations, result.series.concurrency) == (4, 0, [0])
    assert (result.latency_p99_ms, result.cold_share, result.completion_seconds) == (None, 0.0, 0.001)


def test_a_gateway_that_takes_less_than_a_payment_a_second_settles_them_all_the_same() -> None:
    slow = replace(EXACT, traffic=Traffic(4, 4), gateway=Gateway(Constant(100.0), calls_per_second=1.0))
    result = simulate(slow)
    assert result.completed == 4
    assert result.gateway_throttles > 0


def test_an_account_of_ten_executions_runs_ten_at_once() -> None:
    result = simulate(
        replace(
            EXACT,
            traffic=Traffic(60, 60),
            mapping=replace(EXACT.mapping, growth=False),
            quotas=Quotas(account_concurrency=10),
        )
    )
    assert (result.completed, result.concurrency_max) == (60, 10)


def test_what_the_horizon_cuts_off_is_unsettled() -> None:
    result = simulate(replace(EXACT, traffic=Traffic(1000, 1), horizon_seconds=10.0))
    assert_conserved(result)
    assert 0 < result.completed < 1000
    assert result.unsettled == 1000 - result.completed
    assert result.completion_seconds == 10.0


def test_what_would_be_settled_after_the_horizon_is_unsettled() -> None:
    # Received at 0, it would be settled at 575 ms.
    result = simulate(replace(EXACT, traffic=Traffic(1, 1), horizon_seconds=0.5))
    assert (result.completed, result.unsettled, sum(result.series.settled)) == (0, 1, 0)
    assert simulate(replace(EXACT, traffic=Traffic(1, 1), horizon_seconds=0.6)).completed == 1


def test_the_local_mapping_shares_one_receive_out_to_all_free_slots() -> None:
    mapping = Mapping(shares_out=True, growth=False, maximum_concurrency=4)
    local = simulate(Parameters(Traffic(100, 10), Function(WORK), Queue(sends_per_second=0), mapping))
    assert_conserved(local)
    assert_groups_in_order(local)
    # Ten messages of ten groups: three, three, two and two.
    assert sorted(local.arrays.batch[:4].tolist()) == [2, 2, 3, 3]
    assert local.concurrency_max == 4


def test_a_series_adds_up_to_the_result() -> None:
    result = simulate(Parameters(Traffic(500, 100, burst_seconds=5.0), Function(WORK)))
    assert sum(result.series.settled) == 500
    assert max(result.series.concurrency) == result.concurrency_max
    assert result.series.queue_depth[-1] == 0
    assert len({len(values) for values in vars(result.series).values()}) == 1


def test_what_is_drawn_nearby_grows_slow_where_the_run_did_and_does_not_begin_anew() -> None:
    measured = Nearby(tuple([1.0] * 100 + [9.0] * 5_000))
    drawn = list(islice(stream(measured, np.random.Generator(np.random.PCG64(1))), 5_100))
    assert set(drawn[:90]) == {1_000}
    assert set(drawn[110:]) == {9_000}
    few = list(islice(stream(Nearby((1.0, 9.0)), np.random.Generator(np.random.PCG64(1))), 200))
    assert set(few) == {1_000, 9_000}


def test_distributions_have_the_means_that_they_say() -> None:
    random = np.random.Generator(np.random.PCG64(1))
    for distribution in (Constant(3.0), Exponential(3.0), LogNormal(3.0, 9.0), Samples((1.0, 2.0, 6.0))):
        drawn = distribution.draw(random, 200_000)
        assert abs(drawn.mean() / 1000 / distribution.mean_ms - 1) < 0.02
