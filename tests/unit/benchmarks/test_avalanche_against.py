"""The live run beside the simulator: what it is given, what must be the same, and what is reported with its noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.avalanche import against
from benchmarks.avalanche.distributions import Constant, Nearby, Samples
from benchmarks.avalanche.seen import Invocation, Payment, Round


def invocation(begun: float, messages: tuple[int, ...], duration_ms: float, init_ms: float | None = None) -> Invocation:
    # What the mapping takes beside an invocation is 10 ms.
    ended = begun + (duration_ms + (init_ms or 0.0) + 10.0) / 1000
    return Invocation(begun, round(ended, 6), init_ms, duration_ms, messages, ())


# One environment, one group, all sent at once: batches of ten, one behind the other with 5 ms between them. An
# invocation takes 20 ms and 30 a message.
COLD = invocation(0.005, tuple(range(1, 11)), 320.0, 1000.0)
WARM = invocation(COLD.ended + 0.005, tuple(range(11, 21)), 320.0)
LAST = invocation(WARM.ended + 0.005, (21,), 50.0)
ENDS = {number: each.ended for each in (COLD, WARM, LAST) for number in each.messages}
ROUND = Round(
    payments=[Payment(number, "payment-group-0", 0.0, None, ENDS[number]) for number in range(1, 22)],
    invocations=[COLD, WARM, LAST],
)


def test_the_simulator_is_given_what_the_run_measured():
    found = against.invocations_of(ROUND.invocations)
    assert found.message_ms.mean_ms == pytest.approx(30.0)
    assert found.init_ms == Samples((1000.0,))
    assert found.first_ms.mean_ms == pytest.approx(50.0)
    assert found.warm_ms.mean_ms == pytest.approx(50.0)
    assert list(against.receives_ms(ROUND)) == pytest.approx([5.0, 5.0])
    # A slot that waited for a message says nothing of receives.
    late = [replace(each, sent=1.34) if each.number == 11 else each for each in ROUND.payments]
    assert list(against.receives_ms(replace(ROUND, payments=late))) == pytest.approx([5.0])


def test_invocations_of_one_size_have_no_slope():
    assert against.invocations_of([COLD, WARM]).message_ms == Constant(0.0)
    assert against.invocations_of([COLD, WARM]).warm_ms == Nearby((320.0,))
    # Where each was cold, that is what later ones take, too.
    assert against.invocations_of([COLD]).warm_ms == Nearby((320.0,))
    # In the order in which they began, whoever told of them first.
    assert against.invocations_of([replace(WARM, begun=9.0, duration_ms=9.0), WARM]).warm_ms == Nearby((320.0, 9.0))


def test_a_run_as_regular_as_its_simulation_is_the_same_in_counts_order_and_times():
    found = against.compare([ROUND], groups=1, concurrency=1)
    assert [one.what for one in found.exact if not one.same] == []
    for time in found.times:
        # The first receive is the one that the live run shows no duration of.
        assert time.ratio == pytest.approx((1.0, 1.0, 1.0), abs=0.01)
        assert "within the aim" in str(time)
    document = found.as_document()
    assert [one["same"] for one in document["exact"]] == [True] * len(found.exact)
    assert "order of each group" in {one["what"] for one in document["exact"]}


def test_an_init_that_waited_beyond_the_limit_for_a_processor_is_whole_in_the_simulation_too():
    late = 14.0
    waited = invocation(COLD.begun, COLD.messages, COLD.duration_ms, 1000.0 + 1000 * late)
    later = [replace(each, begun=each.begun + late, ended=each.ended + late) for each in (WARM, LAST)]
    seen = replace(
        ROUND,
        payments=[replace(each, settled=(each.settled or 0.0) + late) for each in ROUND.payments],
        invocations=[waited, *later],
    )
    found = against.compare([seen], groups=1, concurrency=1)
    assert [one.what for one in found.exact if not one.same] == []
    assert [time.ratio[0] for time in found.times] == pytest.approx([1.0] * 4, abs=0.01)


def test_one_receive_is_shared_out_to_the_environments_that_are_free():
    # Nine messages in one receive: two environments have a group each, 20 ms of work and 30 a message, none has both.
    groups = [tuple(number for number in range(1, 10) if number % 2 == rest) for rest in (1, 0)]
    cold = [invocation(0.0, numbers, 20.0 + 30.0 * len(numbers), 500.0) for numbers in groups]
    ends = {number: each.ended for each in cold for number in each.messages}
    seen = Round([Payment(number, f"g{number % 2}", 0.0, None, ends[number]) for number in range(1, 10)], cold)
    found = against.compare([seen], groups=2, concurrency=2)
    assert [one.what for one in found.exact if not one.same] == []
    assert [time.ratio[0] for time in found.times] == pytest.approx([1.0] * 4, abs=0.05)


def settled(payments: list[Payment], number: int, at: float | None) -> list[Payment]:
    return [replace(each, settled=at) if each.number == number else each for each in payments]


def different(seen: Round) -> set[str]:
    return {one.what for one in against.compare([seen], groups=1, concurrency=1).exact if not one.same}


def test_what_was_lost_or_overtaken_is_a_difference():
    lost = replace(ROUND, payments=settled(ROUND.payments, 21, None), invocations=[COLD, WARM])
    assert different(lost) == {"messages completed", "messages left", "order of each group"}
    overtaken = replace(WARM, messages=(12, 11, *WARM.messages[2:]))
    assert different(replace(ROUND, invocations=[COLD, overtaken, LAST])) == {"order of each group"}
    twice = replace(ROUND, invocations=[COLD, WARM, WARM, LAST])
    assert different(twice) == {"order of each group"}
    # A message that failed and came again is settled by its last delivery alone.
    failed = replace(LAST, failed=(21,))
    again = replace(LAST, begun=LAST.begun + 1, ended=LAST.ended + 1)
    assert different(replace(ROUND, invocations=[COLD, WARM, failed, again])) == set()


def test_several_rounds_have_an_interval_of_their_own():
    slower = replace(ROUND, payments=[replace(each, settled=(each.settled or 0) * 1.1) for each in ROUND.payments])
    completion = against.compare([ROUND, slower], groups=1, concurrency=1).times[0]
    assert completion.name == "completion_seconds"
    middle, low, high = completion.live
    assert (low, high) == pytest.approx((LAST.ended, 1.1 * LAST.ended))
    assert low <= middle <= high
    assert completion.ratio[1] < completion.ratio[2]
    slow = replace(ROUND, payments=[replace(each, settled=(each.settled or 0) * 2) for each in ROUND.payments])
    assert "outside the aim" in str(against.compare([slow], groups=1, concurrency=1).times[0])
