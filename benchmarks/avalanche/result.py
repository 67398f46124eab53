"""What a simulation comes to: counts that add up, latencies, dollars, and what CloudWatch would show by the second.

One rule: every figure is computed from what happened to each message and each invocation, after the end, over whole
arrays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.avalanche.distributions import Microseconds
from benchmarks.avalanche.dollars import Quantities, dollars
from benchmarks.avalanche.parameters import Parameters
from benchmarks.avalanche.rules import POLLER_CONCURRENCY, SECOND
from benchmarks.avalanche.traffic import Sent

# Fates of a message; UNSETTLED is one that the horizon cut off.
UNSETTLED, COMPLETED, DECLINED, DUPLICATE, PARKED, DEAD_LETTERED = range(6)
FATES = ("unsettled", "completed", "declined", "duplicate", "parked", "dead_lettered")
_NEVER = np.iinfo(np.int64).max


class Ledger:
    """What happened, written while it happens: by message, by invocation, and counts."""

    def __init__(self, messages: int) -> None:
        self.fate = bytearray(messages)
        self.settled = [-1] * messages
        self.deleted = [-1] * messages
        self.began: list[int] = []
        self.init: list[int] = []
        self.duration: list[int] = []
        self.cold = bytearray()
        self.batch = bytearray()
        self.receive_requests = self.delete_requests = self.delay_requests = 0
        # Idle ones are used first, so that a new one is needed when all others are at work.
        self.environments_max = 0
        self.throttles = self.errors = self.payments_tried = self.provisioned_ms = 0
        # Of restores, what the snapshot took.
        self.unbilled_ms = 0
        self.table_throttles = self.gateway_throttles = self.gateway_timeouts = self.not_enough_time = 0

    def settle(self, message: int, moment: int, fate: int) -> None:
        """The first fate stands: a payment that is settled is settled."""
        if not self.fate[message]:
            self.fate[message] = fate
            self.settled[message] = moment

    def invocation(self, began: int, init: int, duration: int, cold: bool, messages: int) -> None:
        self.began.append(began)
        self.init.append(init)
        self.duration.append(duration)
        self.cold.append(cold)
        self.batch.append(messages)


@dataclass(frozen=True)
class Arrays:
    """Behind the figures, for tests and plots; times in microseconds, -1 for what did not happen.

    By message in the order of the queue: `offered`, `accepted`, `settled`, `deleted`, `group`, `fate`. By invocation in
    the order of their beginning: `began`, `init`, `duration` (without init), `cold`, `batch` (its messages).
    """

    offered: Microseconds
    accepted: Microseconds
    settled: Microseconds
    deleted: Microseconds
    group: NDArray[np.int64]
    fate: NDArray[np.uint8]
    began: Microseconds
    init: Microseconds
    duration: Microseconds
    cold: NDArray[np.uint8]
    batch: NDArray[np.uint8]


@dataclass(frozen=True)
class Series:
    """One value a second from the first send on; None where nothing ended in that second.

    `duration_p99_ms` and `duration_mean_ms` are of invocations that ended, init included; `cold_share` of them;
    `concurrency` is the greatest of the second; age and depth are at its end, messages in flight included.
    """

    duration_mean_ms: list[float | None]
    duration_p99_ms: list[float | None]
    cold_share: list[float | None]
    concurrency: list[int]
    message_age_seconds: list[float]
    queue_depth: list[int]
    settled: list[int]


@dataclass(frozen=True)
class Result:
    """One simulation. Latency is from send to settled, of completed and declined payments; dollars by line and total.

    Conserved: sent = deduplicated + accepted, and accepted = unsettled + completed + declined + duplicate + parked +
    dead_lettered. `oldest_message_seconds` is the greatest age that a message not yet deleted had.
    """

    seed: int
    sent: int
    deduplicated: int
    accepted: int
    unsettled: int
    completed: int
    declined: int
    duplicate: int
    parked: int
    dead_lettered: int
    completion_seconds: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    oldest_message_seconds: float
    invocations: int
    cold_starts: int
    cold_share: float
    duration_p50_ms: float
    duration_p99_ms: float
    init_over_limit: int
    concurrency_max: int
    environments_max: int
    throttles: int
    errors: int
    table_throttles: int
    gateway_throttles: int
    gateway_timeouts: int
    not_enough_time: int
    dollars: dict[str, Decimal]
    series: Series
    arrays: Arrays

    def as_document(self) -> dict[str, Any]:
        """For JSON, without the arrays; dollars as text."""
        document = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "arrays"}
        return document | {
            "dollars": {name: str(amount) for name, amount in self.dollars.items()},
            "series": dict(vars(self.series)),
        }

    def digest(self) -> str:
        """SHA-256 over what became of every message and invocation: one parameters and seed give one, at all prices."""
        digest = hashlib.sha256()
        for one in fields(self.arrays):
            digest.update(np.ascontiguousarray(getattr(self.arrays, one.name)).tobytes())
        return digest.hexdigest()


def percentile(values: NDArray[Any], share: float) -> float | None:
    """Nearest rank; None of nothing."""
    if not values.size:
        return None
    place = max(0, int(np.ceil(share * values.size)) - 1)
    return float(np.partition(values, place)[place])


def conclude(parameters: Parameters, seed: int, sent: Sent, ledger: Ledger, ended: int) -> Result:
    """All figures of a run that ended at `ended`."""
    settled = np.array(ledger.settled, dtype=np.int64)
    fate = np.frombuffer(ledger.fate, dtype=np.uint8)
    # What an invocation comes to is known when it begins; the horizon may be before its end.
    late = settled > ended
    settled[late], fate[late] = -1, UNSETTLED
    arrays = Arrays(
        sent.offered,
        sent.accepted,
        settled,
        np.array(ledger.deleted, dtype=np.int64),
        sent.group,
        fate,
        np.array(ledger.began, dtype=np.int64),
        np.array(ledger.init, dtype=np.int64),
        np.array(ledger.duration, dtype=np.int64),
        np.frombuffer(ledger.cold, dtype=np.uint8),
        np.frombuffer(ledger.batch, dtype=np.uint8),
    )
    counts = np.bincount(arrays.fate, minlength=len(FATES)).tolist()
    paid = (arrays.fate == COMPLETED) | (arrays.fate == DECLINED)
    latency = (arrays.settled - arrays.offered)[paid] / 1000
    first = int(sent.offered[0])
    last = int(arrays.settled.max(initial=first)) if not counts[UNSETTLED] else ended
    whole = (arrays.init + arrays.duration) / 1000
    invocations, cold = arrays.began.size, int(arrays.cold.sum())
    limit = round(parameters.function.init_seconds_max * SECOND)
    moments, at_once = _concurrency(arrays)
    seconds = (last - first) / SECOND
    quantities = Quantities(
        seconds=seconds,
        invocations=invocations,
        billed_ms=int((-(-(arrays.init + arrays.duration) // 1000)).sum()) - ledger.unbilled_ms,
        payments_tried=ledger.payments_tried,
        cold_starts=cold,
        sends=int(sent.offered.size) + sent.deduplicated,
        receives=ledger.receive_requests,
        deletes=ledger.delete_requests,
        delays=ledger.delay_requests,
        provisioned_ms=ledger.provisioned_ms,
        pollers=_pollers(parameters, int(at_once.max(initial=0))),
    )
    return Result(
        seed=seed,
        sent=quantities.sends,
        deduplicated=sent.deduplicated,
        accepted=int(sent.offered.size),
        **dict(zip(FATES, counts, strict=True)),
        completion_seconds=seconds,
        latency_p50_ms=percentile(latency, 0.5),
        latency_p99_ms=percentile(latency, 0.99),
        oldest_message_seconds=_oldest(arrays, ended),
        invocations=invocations,
        cold_starts=cold,
        cold_share=cold / invocations if invocations else 0.0,
        duration_p50_ms=percentile(whole, 0.5) or 0.0,
        duration_p99_ms=percentile(whole, 0.99) or 0.0,
        init_over_limit=int((arrays.init >= limit).sum()),
        concurrency_max=int(at_once.max(initial=0)),
        environments_max=ledger.environments_max,
        throttles=ledger.throttles,
        errors=ledger.errors,
        table_throttles=ledger.table_throttles,
        gateway_throttles=ledger.gateway_throttles,
        gateway_timeouts=ledger.gateway_timeouts,
        not_enough_time=ledger.not_enough_time,
        dollars=dollars(quantities, parameters),
        series=_series(arrays, first, max(last, first), moments, at_once),
        arrays=arrays,
    )


def _pollers(parameters: Parameters, concurrency: int) -> int:
    """The most pollers of provisioned mode: as many as its invocations at once needed, and never below the least."""
    least = parameters.mapping.pollers_min
    return max(least, -(-concurrency // POLLER_CONCURRENCY)) if least else 0


def _concurrency(arrays: Arrays) -> tuple[Microseconds, NDArray[np.int64]]:
    """When the number of invocations under way changes, and to what; at one moment ends come first."""
    ends = arrays.began + arrays.init + arrays.duration
    moments = np.concatenate([ends, arrays.began])
    steps = np.concatenate([np.full(ends.size, -1), np.full(arrays.began.size, 1)])
    order = np.lexsort((steps, moments))
    return moments[order], np.cumsum(steps[order])


def _oldest(arrays: Arrays, ended: int) -> float:
    """The greatest age that any message reached before it was deleted, or the run ended."""
    gone = np.where(arrays.deleted < 0, ended, arrays.deleted)
    return float((gone - arrays.accepted).max()) / SECOND


def _series(arrays: Arrays, first: int, last: int, moments: Microseconds, at_once: NDArray[np.int64]) -> Series:
    seconds = (last - first) // SECOND + 1
    edges = first + np.arange(1, seconds + 1, dtype=np.int64) * SECOND
    ends = arrays.began + arrays.init + arrays.duration
    second = np.minimum((ends - first) // SECOND, seconds - 1)
    whole = (arrays.init + arrays.duration) / 1000
    order = np.lexsort((whole, second))
    counts = np.bincount(second, minlength=seconds)
    starts = np.cumsum(counts) - counts
    some = counts > 0
    divisor = np.maximum(counts, 1)
    mean = np.bincount(second, weights=whole, minlength=seconds) / divisor
    cold = np.bincount(second, weights=arrays.cold, minlength=seconds) / divisor
    high = np.zeros(seconds)
    high[some] = whole[order][(starts + np.maximum(np.ceil(0.99 * counts).astype(np.int64) - 1, 0))[some]]
    gone = np.where(arrays.deleted < 0, _NEVER, arrays.deleted)
    # The first message not gone by a moment is the first whose running greatest is later.
    oldest = np.searchsorted(np.maximum.accumulate(gone), edges, side="right")
    accepted = np.searchsorted(arrays.accepted, edges, side="right")
    born = np.append(arrays.accepted, _NEVER)[np.minimum(oldest, arrays.accepted.size)]
    age = np.where(born <= edges, edges - np.minimum(born, edges), 0) / SECOND
    settled = np.sort(arrays.settled[arrays.settled >= 0])
    by_now = np.searchsorted(settled, edges, side="right")
    return Series(
        _or_none(mean, some),
        _or_none(high, some),
        _or_none(cold, some),
        _greatest(moments, at_once, edges).tolist(),
        np.round(age, 6).tolist(),
        (accepted - np.searchsorted(np.sort(gone), edges, side="right")).tolist(),
        np.diff(by_now, prepend=0).tolist(),
    )


def _or_none(values: NDArray[np.float64], some: NDArray[np.bool_]) -> list[float | None]:
    return [value if there else None for value, there in zip(np.round(values, 6).tolist(), some.tolist(), strict=True)]


def _greatest(moments: Microseconds, at_once: NDArray[np.int64], edges: Microseconds) -> NDArray[np.int64]:
    """The greatest concurrency of each second, what lasts from the second before included."""
    until = np.searchsorted(moments, edges, side="left")
    since = np.concatenate([[0], until[:-1]])
    padded = np.append(at_once, 0)
    before = np.where(since > 0, padded[np.maximum(since - 1, 0)], 0)
    within = np.maximum.reduceat(padded, since)
    return np.where(until > since, np.maximum(before, within), before)
