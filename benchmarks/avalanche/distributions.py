"""What durations are drawn from: a constant, a formula, or measured samples.

One rule: every draw is made of uniform numbers alone and rounded to whole microseconds, so that neither numpy's version
nor a processor's last digit of a logarithm changes a result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Microseconds = NDArray[np.int64]

_NORMAL = NormalDist()
_P99 = _NORMAL.inv_cdf(0.99)
# The inverse of the normal distribution as a table: numpy has none, and Python's takes 0.5 us a number.
_QUANTILES = np.array([_NORMAL.inv_cdf((index + 0.5) / 4096) for index in range(4096)])
_BLOCK = 4096
_AROUND = 8


class Distribution(Protocol):
    """Durations in ms."""

    def draw(self, random: np.random.Generator, count: int) -> Microseconds:
        """`count` durations in microseconds."""
        ...

    @property
    def mean_ms(self) -> float: ...


def _microseconds(ms: NDArray[np.float64]) -> Microseconds:
    return np.rint(ms * 1000.0).astype(np.int64)


@dataclass(frozen=True)
class Constant:
    """Always `ms`."""

    ms: float

    def draw(self, random: np.random.Generator, count: int) -> Microseconds:
        return np.full(count, round(self.ms * 1000.0), dtype=np.int64)

    @property
    def mean_ms(self) -> float:
        return self.ms


@dataclass(frozen=True)
class Exponential:
    """Without memory, as the arrivals and services of M/M/c are."""

    mean_ms: float

    def draw(self, random: np.random.Generator, count: int) -> Microseconds:
        return _microseconds(-self.mean_ms * np.log1p(-random.random(count)))


@dataclass(frozen=True)
class LogNormal:
    """A latency with a tail, by the two figures that a status page shows; cut off at 3.7 deviations (1 in 8,192)."""

    median_ms: float
    p99_ms: float

    @property
    def _deviation(self) -> float:
        return math.log(self.p99_ms / self.median_ms) / _P99

    def draw(self, random: np.random.Generator, count: int) -> Microseconds:
        places = (random.random(count) * len(_QUANTILES)).astype(np.int64)
        return _microseconds(self.median_ms * np.exp(self._deviation * _QUANTILES[places]))

    @property
    def mean_ms(self) -> float:
        return self.median_ms * math.exp(self._deviation**2 / 2)


@dataclass(frozen=True)
class Samples:
    """One of what was measured, each as likely as the others."""

    ms: tuple[float, ...]

    def draw(self, random: np.random.Generator, count: int) -> Microseconds:
        places = (random.random(count) * len(self.ms)).astype(np.int64)
        return _microseconds(np.array(self.ms))[places]

    @property
    def mean_ms(self) -> float:
        return math.fsum(self.ms) / len(self.ms)


@dataclass(frozen=True)
class Nearby(Samples):
    """One of what was measured around the same place in a run: a machine that is slow under load is slow there again.

    `ms` are in their order; beyond the last, those around it.
    """

    def draw(self, random: np.random.Generator, count: int) -> Microseconds:
        last = len(self.ms) - 1
        # Whoever draws in blocks must not begin the run anew with each.
        places = np.minimum(np.arange(max(count, last + 1)), last)
        around = (random.random(places.size) * (2 * _AROUND + 1)).astype(np.int64) - _AROUND
        return _microseconds(np.array(self.ms))[np.clip(places + around, 0, last)]


def stream(distribution: Distribution, random: np.random.Generator) -> Iterator[int]:
    """Endless durations in microseconds, drawn in blocks."""
    while True:
        yield from distribution.draw(random, _BLOCK).tolist()


def uniforms(random: np.random.Generator) -> Iterator[float]:
    """Endless numbers from 0 to below 1."""
    while True:
        yield from random.random(_BLOCK).tolist()
