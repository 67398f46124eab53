"""The live avalanche held against the simulator, which is given the local system's parameters and the same sends.

The rule: counts, order and conservation must be the same; times are reported with their noise and never judged here.
The simulator is given what the run itself measured, when it did: inits, invocations, and what the mapping takes beside
them. So it shows whether queue, mapping and environments are simulated as they are, and not how fast this machine is.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.avalanche.distributions import Constant, Distribution, Nearby, Samples
from benchmarks.avalanche.parameters import (
    Function,
    Gateway,
    Invocations,
    Mapping,
    Parameters,
    Queue,
    Quotas,
    Table,
    Traffic,
)
from benchmarks.avalanche.result import COMPLETED, Result
from benchmarks.avalanche.rules import SECOND
from benchmarks.avalanche.seen import Invocation, Round, quantile
from benchmarks.avalanche.simulation import simulate

SEEDS = 20
#: What is aimed at, as ratios of simulated to live.
AIM = (0.85, 1.15)
_NOTHING = Constant(0.0)
#: For whoever asks, before a run, whether it could be simulated.
UNMEASURED = Invocations(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING)
# Longer than any init that a function's time-out lets end: those that a run measured are whole.
_WHOLE_INIT_SECONDS = 900.0


@dataclass(frozen=True)
class Exact:
    """One comparison that allows no difference."""

    what: str
    live: Any
    simulated: Any

    @property
    def same(self) -> bool:
        return bool(self.live == self.simulated)


@dataclass(frozen=True)
class Time:
    """One figure: its median and the middle 95 % of it in the rounds, in their simulations, and of the latter's ratios.

    Each ratio is of a simulation to the round whose measurements it was given.
    """

    name: str
    live: tuple[float, float, float]
    simulated: tuple[float, float, float]
    ratio: tuple[float, float, float]

    def __str__(self) -> str:
        live, simulated, ratio = (
            f"{middle:.2f} ({low:.2f}-{high:.2f})" for middle, low, high in (self.live, self.simulated, self.ratio)
        )
        aim = "within" if AIM[0] <= self.ratio[0] <= AIM[1] else "outside"
        return f"row {self.name} live {live} simulated {simulated} ratio {ratio}, {aim} the aim of {AIM[0]}-{AIM[1]}"


@dataclass(frozen=True)
class Comparison:
    """All rounds of one number of groups beside as many simulations a round as there are seeds."""

    exact: list[Exact]
    times: list[Time]

    def as_document(self) -> dict[str, Any]:
        """For a record; the order of a thousand messages is told by whether it is the same."""
        return {
            "exact": [{"what": one.what, "same": one.same} for one in self.exact],
            "times": [asdict(one) | {"row": str(one)} for one in self.times],
            "aim": AIM,
        }


def local_parameters(
    traffic: Traffic,
    concurrency: int,
    invocations: Invocations,
    *,
    receive_ms: Distribution = _NOTHING,
    delete_ms: Distribution = _NOTHING,
) -> Parameters:
    """The local system: its mapping has all its concurrency at once and shares each receive out to free slots.

    What payments wait for table and gateway is in their invocations already. Raises ImpossibleParametersError.
    """
    return Parameters(
        traffic,
        # The local system counts what an init ran or slept against its limit, and the clock what it waited for others.
        Function(invocations, architecture="x86_64", init_seconds_max=_WHOLE_INIT_SECONDS),
        queue=Queue(sends_per_second=0.0),
        mapping=Mapping(
            maximum_concurrency=concurrency,
            growth=False,
            shares_out=True,
            receive_ms=receive_ms,
            delete_ms=delete_ms,
        ),
        gateway=Gateway(call_ms=_NOTHING),
        table=Table(call_ms=_NOTHING),
        # On AWS a mapping has 2 at the least.
        quotas=Quotas(mapping_concurrency_min=1),
    )


def compare(rounds: Sequence[Round], *, groups: int, concurrency: int, seeds: int = SEEDS) -> Comparison:
    """Rounds of one kind, each beside the simulations that are given what it measured."""
    results = [
        [simulate(_parameters(seen, groups, concurrency), seed) for seed in range(1, seeds + 1)] for seen in rounds
    ]
    exact = [each for seen, found in zip(rounds, results, strict=True) for each in _exact(seen, found[0])]
    return Comparison(exact, [_time(name, rounds, results) for name in _TIMES])


def _parameters(seen: Round, groups: int, concurrency: int) -> Parameters:
    begun = sorted(seen.invocations, key=lambda each: each.begun)
    beside = [max(0.0, 1000 * (each.ended - each.begun) - each.with_init_ms) for each in begun]
    return local_parameters(
        Traffic(len(seen.payments), groups, trace_seconds=tuple(payment.sent for payment in seen.payments)),
        concurrency,
        invocations_of(seen.invocations),
        receive_ms=_samples(receives_ms(seen)),
        delete_ms=_samples(beside),
    )


def invocations_of(measured: Sequence[Invocation]) -> Invocations:
    """Inits as they were; invocations as a straight line over their messages, and what is beside it as its noise."""
    begun = sorted(measured, key=lambda each: each.begun)
    cold = [each for each in begun if each.init_ms is not None]
    warm = [each for each in begun if each.init_ms is None] or cold
    message_ms = _slope([len(each.messages) for each in warm], [each.duration_ms for each in warm])

    def of_one(several: Sequence[Invocation]) -> Samples:
        return Nearby(tuple(max(0.0, each.duration_ms - message_ms * (len(each.messages) - 1)) for each in several))

    inits = Samples(tuple(each.init_ms for each in cold if each.init_ms is not None))
    return Invocations(inits, inits, of_one(cold), of_one(warm), Constant(message_ms), "measured in the live run")


def _slope(sizes: Sequence[int], durations: Sequence[float]) -> float:
    """Milliseconds a message, by least squares; 0 where all batches have one size."""
    if len(set(sizes)) < 2:
        return 0.0
    return max(0.0, float(np.polyfit(sizes, durations, 1)[0]))


def receives_ms(seen: Round) -> Iterator[float]:
    """What receives took: from a slot that became free until its next batch began, where messages were waiting."""
    sent = {payment.number: payment.sent for payment in seen.payments}
    ends = sorted(each.ended for each in seen.invocations)
    for each in sorted(seen.invocations, key=lambda one: one.begun):
        freed = max((end for end in ends if end <= each.begun), default=None)
        if freed is not None and all(sent[number] <= freed for number in each.messages):
            yield 1000 * (each.begun - freed)


def _samples(values: Iterable[float]) -> Distribution:
    found = tuple(values)
    return Nearby(found) if found else _NOTHING


def _exact(seen: Round, result: Result) -> Iterator[Exact]:
    arrays = result.arrays
    settled = [each.number for each in seen.payments if each.settled is not None]
    yield Exact("messages sent", len(seen.payments), result.sent)
    yield Exact("messages completed", len(settled), result.completed)
    yield Exact("messages left", len(seen.payments) - len(settled), result.unsettled)
    yield Exact("messages parked, dead-lettered, declined or dropped", 0, _others(result))
    yield Exact(
        "of what was sent, accounted for", len(seen.payments), result.completed + result.unsettled + _others(result)
    )
    numbers = [each.number for each in seen.payments]
    group_of = {each.number: each.group for each in seen.payments}
    order = [number for each in seen.invocations for number in each.messages if number not in each.failed]
    simulated = [
        numbers[place] for place in np.argsort(arrays.deleted, kind="stable") if arrays.fate[place] == COMPLETED
    ]
    yield Exact("order of each group", _by_group(order, group_of), _by_group(simulated, group_of))


def _others(result: Result) -> int:
    return result.parked + result.dead_lettered + result.declined + result.duplicate + result.deduplicated


def _by_group(numbers: Sequence[int], group_of: dict[int, str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {group: [] for group in group_of.values()}
    for number in numbers:
        found[group_of[number]].append(number)
    return found


# Of the seconds at which messages were sent and had left the queue.
_TIMES: dict[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "completion_seconds": lambda sent, left: max(left),
    "latency_p50_seconds": lambda sent, left: quantile(_latencies(sent, left), 0.50) or 0.0,
    "latency_p99_seconds": lambda sent, left: quantile(_latencies(sent, left), 0.99) or 0.0,
    "oldest_seconds": lambda sent, left: max(_latencies(sent, left)),
}


def _latencies(sent: Sequence[float], left: Sequence[float]) -> list[float]:
    return [after - before for before, after in zip(sent, left, strict=True)]


def _time(name: str, rounds: Sequence[Round], results: Sequence[Sequence[Result]]) -> Time:
    of = _TIMES[name]
    live = [
        of([each.sent for each in seen.payments], [each.settled or 0.0 for each in seen.payments]) for seen in rounds
    ]
    simulated = [
        [of((one.arrays.offered / SECOND).tolist(), (one.arrays.deleted / SECOND).tolist()) for one in found]
        for found in results
    ]
    ratios = [value / seen for seen, found in zip(live, simulated, strict=True) for value in found]
    return Time(name, _interval(live), _interval([value for found in simulated for value in found]), _interval(ratios))


def _interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and the middle 95 %; of few values, from the least to the most."""
    return statistics.median(values), quantile(values, 0.025) or 0.0, quantile(values, 0.975) or 0.0
