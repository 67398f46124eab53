"""When which message of which group is sent, as arrays: made at once, for a million as for ten.

One rule: what is sent depends on the traffic and the seed alone, so that every policy meets the same messages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.avalanche.distributions import Microseconds
from benchmarks.avalanche.parameters import ImpossibleParametersError, Queue, Traffic
from benchmarks.avalanche.rules import SECOND, deduplicated

# What a message takes at the most, with what becomes of it: 330 in the bars' million, more where it comes back.
MESSAGE_BYTES = 600


@dataclass(frozen=True)
class Sent:
    """Accepted messages in the order of the queue: when offered and accepted, the group, and of which message each is
    a duplicate that came too late to be dropped (-1: of none). `deduplicated` were dropped.
    """

    offered: Microseconds
    accepted: Microseconds
    group: NDArray[np.int64]
    duplicate_of: NDArray[np.int64]
    deduplicated: int


def offered(traffic: Traffic, random: np.random.Generator) -> Microseconds:
    """When each message is offered to the queue, ascending.

    On a ramp the rate grows evenly, so that message i of n comes at the root of i/n of it.
    """
    count = traffic.messages
    if traffic.trace_seconds:
        return np.rint(np.array(traffic.trace_seconds, dtype=np.float64) * SECOND).astype(np.int64)
    if traffic.gaps is not None:
        moments: Microseconds = np.cumsum(traffic.gaps.draw(random, count), dtype=np.int64)
        return moments
    shares = np.arange(count) / count
    if traffic.ramp_seconds:
        return np.rint(np.sqrt(shares) * traffic.ramp_seconds * SECOND).astype(np.int64)
    return np.rint(shares * traffic.burst_seconds * SECOND).astype(np.int64)


def send(traffic: Traffic, queue: Queue, seeds: list[np.random.SeedSequence]) -> Sent:
    """All messages, with duplicates behind their originals, as the queue takes them on."""
    moments, groups, repeats = (np.random.Generator(np.random.PCG64(seed)) for seed in seeds)
    at = offered(traffic, moments)
    count = traffic.messages
    if traffic.round_robin:
        group = np.arange(count, dtype=np.int64) % traffic.groups
    else:
        group = (groups.random(count) * traffic.groups).astype(np.int64)
    duplicate_of = np.full(count, -1, dtype=np.int64)
    dropped = 0
    again = np.flatnonzero(repeats.random(count) < traffic.duplicate_share)
    if again.size:
        delay = round(traffic.duplicate_delay_seconds * SECOND)
        # Each comes that long after its original.
        if deduplicated(delay, 0, round(queue.deduplication_seconds * SECOND)):
            dropped = int(again.size)
        else:
            order = np.argsort(np.concatenate([at, at[again] + delay]), kind="stable")
            place = np.empty(order.size, dtype=np.int64)
            place[order] = np.arange(order.size)
            at, group = np.concatenate([at, at[again] + delay])[order], np.concatenate([group, group[again]])[order]
            duplicate_of = np.concatenate([duplicate_of, place[again]])[order]
    return Sent(at, accepted(at, queue.sends_per_second), group, duplicate_of, dropped)


def accepted(at: Microseconds, per_second: float) -> Microseconds:
    """As rules.sent_at, one behind the other: what comes faster than the quota waits its turn at the sender."""
    if not per_second:
        return at
    turns = np.arange(at.size, dtype=np.int64) * round(SECOND / per_second)
    return np.maximum.accumulate(at - turns) + turns


def read_trace(path: Path) -> tuple[float, ...]:
    """Seconds from the beginning, one a line. Raises ImpossibleParametersError for a bad line, or for no line."""
    moments = []
    for number, line in enumerate(path.read_text("utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            moment = float(line)
        except ValueError:
            moment = math.nan
        if not math.isfinite(moment):
            raise ImpossibleParametersError(f"line {number} of the trace is {line[:40]!r}: a number of seconds")
        moments.append(moment)
    if not moments:
        raise ImpossibleParametersError(f"the trace {path} has no moment: a number of seconds a line")
    return tuple(moments)


def check_memory(messages: int, available: int | None) -> None:
    """Raises ImpossibleParametersError where this machine cannot hold so many messages."""
    if available is not None and messages * MESSAGE_BYTES > available * 2**20:
        raise ImpossibleParametersError(
            f"{messages:,} messages take some {messages * MESSAGE_BYTES // 2**20:,} MB: this machine has {available:,} "
            f"MB free, which hold {available * 2**20 // MESSAGE_BYTES:,}"
        )
