"""What was seen of a played avalanche: moments, invocations, messages, and the figures made from them.

The rule: figures come from what was recorded alone, so that a record says whatever the run said. Times are in seconds
since the first message was due.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.avalanche.published import EXPECTED, RAMP_SECONDS


@dataclass(frozen=True)
class Moment:
    """One look at the system; None is what cannot be seen, or not yet.

    `starting` environments are in their init, `oldest_seconds` is 0 without any message; cold_share and the two p99 are
    of the invocations that have ended. On AWS only the queue and the table can be looked at.
    """

    seconds: float
    sent: int
    settled: int
    visible: int
    in_flight: int
    oldest_seconds: float | None = None
    starting: int | None = None
    busy: int | None = None
    idle: int | None = None
    cold_share: float | None = None
    duration_p99_ms: float | None = None
    with_init_p99_ms: float | None = None


@dataclass(frozen=True)
class Invocation:
    """One batch: from when an environment was asked for until its messages had left the queue. `init_ms`: cold only."""

    begun: float
    ended: float
    init_ms: float | None
    duration_ms: float
    messages: tuple[int, ...]
    failed: tuple[int, ...]

    @property
    def with_init_ms(self) -> float:
        """What its messages waited for."""
        return self.duration_ms + (self.init_ms or 0.0)


@dataclass(frozen=True)
class Payment:
    """One message: when it was sent, when its last delivery began and settled it, None where none did."""

    number: int
    group: str
    sent: float
    begun: float | None
    settled: float | None


@dataclass
class Round:
    """One avalanche from no environment on."""

    payments: list[Payment] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        """For a record."""
        return {**asdict(self), "figures": figures(self)}


def quantile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank; None of nothing."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def figures(seen: Round) -> dict[str, Any]:
    """What a round comes to. Latency is from sending until the message has left the queue, settled.

    The greatest age of the oldest message is the greatest latency: nothing is older than what leaves last.
    """
    latencies = [each.settled - each.sent for each in seen.payments if each.settled is not None]
    settled = [each.settled for each in seen.payments if each.settled is not None]
    cold = [each for each in seen.invocations if each.init_ms is not None]
    return {
        "messages": len(seen.payments),
        "groups": len({each.group for each in seen.payments}),
        "settled": len(settled),
        "completion_seconds": max(settled, default=None),
        "latency_p50_seconds": quantile(latencies, 0.50),
        "latency_p99_seconds": quantile(latencies, 0.99),
        "oldest_seconds": max(latencies, default=None),
        "invocations": len(seen.invocations),
        "cold_invocations": len(cold),
        "cold_share": len(cold) / len(seen.invocations) if seen.invocations else None,
        "concurrency": concurrency(seen.invocations),
        "all_warm_seconds": max((each.begun + each.init_ms / 1000 for each in cold if each.init_ms), default=None),
        "duration_p50_ms": quantile([each.duration_ms for each in seen.invocations], 0.50),
        "duration_p99_ms": quantile([each.duration_ms for each in seen.invocations], 0.99),
        "init_p50_ms": quantile([each.init_ms for each in cold if each.init_ms is not None], 0.50),
        "with_init_p99_ms": quantile([each.with_init_ms for each in seen.invocations], 0.99),
    }


def concurrency(invocations: Sequence[Invocation]) -> int:
    """The most that were executed at once. A group's next batch may begin before its last one's delete is answered."""
    ends = ((each.begun + each.with_init_ms / 1000, -1) for each in invocations)
    steps = sorted([*((each.begun, 1) for each in invocations), *ends])
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def impact(seen: Round, *, groups: int, environments_max: int, ramp_seconds: float) -> list[tuple[str, str, str]]:
    """Each line of the published 'Expected impact': what it says, what was seen, and why that differs."""
    found = figures(seen)
    wave = [each for each in seen.invocations if each.init_ms is not None]
    later = [each for each in seen.invocations if each.init_ms is None]
    limit = min(groups, environments_max)
    seen_of = {
        "duration": (
            f"p99 {_ms(found['duration_p99_ms'])}; with its init {_ms(found['with_init_p99_ms'])}",
            "the stress runs in init, which CloudWatch's Duration leaves out and the bill does not",
        ),
        "cold": (
            f"{_percent(found['cold_share'])} of {found['invocations']} invocations; 100% of the first {len(wave)}",
            "each environment starts cold once and is then used again",
        ),
        "concurrency": (
            f"{found['concurrency']}",
            f"a FIFO queue runs no more batches at once than it has groups ({groups}), nor than the maximum "
            f"({environments_max}): at most {limit}",
        ),
        "age": (
            f"from 0 to {_seconds(found['oldest_seconds'])}; the half is settled within "
            f"{_seconds(found['latency_p50_seconds'])}",
            "what waits, waits for inits and for the messages of its group in front of it",
        ),
        "spike": (
            f"cold {_ms(quantile([each.with_init_ms for each in wave], 0.5))}, then "
            f"{_ms(quantile([each.duration_ms for each in later], 0.5))} (p50)",
            "the spike is as wide as the inits: what comes after it is warm",
        ),
        "ramp": (
            f"{_seconds(ramp_seconds)}, all settled after {_seconds(found['completion_seconds'])}",
            ""
            if RAMP_SECONDS[0] <= ramp_seconds <= RAMP_SECONDS[1]
            else f"compressed: --ramp-seconds {RAMP_SECONDS[0]:g} to {RAMP_SECONDS[1]:g} is the published one",
        ),
    }
    return [(line.says, *seen_of[line.name]) for line in EXPECTED]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} s"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"
