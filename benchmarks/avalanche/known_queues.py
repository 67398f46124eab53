"""Queues with known answers through the simulator's own core: M/M/1, M/M/c and M/D/1.

One rule: the core is configured and never changed: batches of one message, a group a message, as many environments as
the queue has servers, and nothing else that takes time. Sources: Kleinrock, "Queueing Systems", volume 1, 3.2 and 3.4
(M/M/1, M/M/c) and 5.6 (M/G/1, Pollaczek and Khinchine).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.avalanche.distributions import Constant, Distribution, Exponential
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
from benchmarks.avalanche.simulation import simulate

NOTHING = Constant(0.0)
REPLICATIONS = 10
# Student's t of nine degrees of freedom, two-sided, 1 - 0.05/3: the three intervals together are wrong once in twenty.
_T = 2.933
_UNLIMITED = 10**9
# Of each replication, until the queue is as full as it is on the average.
_WARM_UP = 0.2


@dataclass(frozen=True)
class KnownQueue:
    """A queue by its name, its servers, its utilisation, its service time and its mean time in the system, in ms."""

    name: str
    servers: int
    utilisation: float
    service: Distribution

    @property
    def answer_ms(self) -> float:
        """The mean time from arrival to departure."""
        mean = self.service.mean_ms
        if isinstance(self.service, Constant):
            return mean + self.utilisation * mean / (2 * (1 - self.utilisation))
        return mean + self._waits() * mean / (self.servers * (1 - self.utilisation))

    def _waits(self) -> float:
        """The probability that an arrival waits: Erlang's C."""
        offered = self.servers * self.utilisation
        all_busy = offered**self.servers / math.factorial(self.servers) / (1 - self.utilisation)
        some_free = math.fsum(offered**busy / math.factorial(busy) for busy in range(self.servers))
        return all_busy / (some_free + all_busy)

    def parameters(self, messages: int) -> Parameters:
        """The simulator as this queue."""
        gap_ms = self.service.mean_ms / (self.servers * self.utilisation)
        return Parameters(
            Traffic(messages, messages, gaps=Exponential(gap_ms)),
            bare_function(self.service, self.service),
            Queue(visibility_timeout_seconds=900.0, sends_per_second=0.0),
            Mapping(
                batch_size=1,
                maximum_concurrency=self.servers,
                growth=False,
                receive_ms=NOTHING,
                delete_ms=NOTHING,
            ),
            gateway=Gateway(NOTHING),
            table=FREE_TABLE,
            quotas=FREE_QUOTAS,
            horizon_seconds=10 * messages * gap_ms / 1000,
        )


FREE_TABLE = Table(NOTHING, peak_write_units=_UNLIMITED)
FREE_QUOTAS = Quotas(mapping_concurrency_min=1, table_write_units=_UNLIMITED)


def bare_function(first: Distribution, warm: Distribution) -> Function:
    """A function that takes what is drawn, and nothing before or beside it."""
    return Function(Invocations(NOTHING, NOTHING, first, warm, NOTHING), timeout_seconds=900.0)


QUEUES = (
    KnownQueue("M/M/1", 1, 0.6, Exponential(100.0)),
    KnownQueue("M/M/5", 5, 0.7, Exponential(100.0)),
    KnownQueue("M/D/1", 1, 0.6, Constant(100.0)),
)


@dataclass(frozen=True)
class Interval:
    """What replications show: their mean and its confidence interval, in ms."""

    mean: float
    half: float

    def holds(self, value: float) -> bool:
        """Whether the interval has it."""
        return abs(value - self.mean) <= self.half


def observed(queue: KnownQueue, messages: int, seeds: Sequence[int] = range(1, REPLICATIONS + 1)) -> Interval:
    """The mean time in the system over independent replications, the beginning of each left out."""
    means = []
    for seed in seeds:
        arrays = simulate(queue.parameters(messages), seed).arrays
        steady = slice(round(_WARM_UP * messages), None)
        means.append(float(np.mean((arrays.settled - arrays.offered)[steady])) / 1000)
    return Interval(statistics.mean(means), _T * statistics.stdev(means) / math.sqrt(len(means)))
