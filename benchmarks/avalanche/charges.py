"""What the function does with a batch: its groups at once, each payment's waits, and what becomes of it.

One rule: the protocol decides (docs/protocol.md, "Queue function", "Parking", "Times"); a payment's failure counts
against it only where the payment is the cause, and whatever comes back takes the later ones of its group with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapreplace
from typing import NamedTuple

import numpy as np

from benchmarks.avalanche import rules
from benchmarks.avalanche.distributions import stream, uniforms
from benchmarks.avalanche.fifo import FifoQueue, Part
from benchmarks.avalanche.parameters import Parameters
from benchmarks.avalanche.result import COMPLETED, DECLINED, DUPLICATE, PARKED, Ledger
from benchmarks.avalanche.traffic import Sent
from benchmarks.cost import ITEM_WRITES
from handler.domain.times import Times

# Prepare and charge.
_CALLS = 2
_BLOCK = 4096
_RETURNED = -1


class End(NamedTuple):
    """Of a group in a batch: how many messages are done, how many come back, and after which delay; None where nothing
    was said about them, and their visibility time-out decides.
    """

    group: int
    done: int
    returned: int
    delay: int | None


def unanswered(parts: list[Part]) -> list[End]:
    """What a batch comes to whose invocation gave no answer."""
    return [End(which, 0, count, None) for which, _, count in parts]


class Charges:
    """Settles payments; keeps the tries of those that failed, and the capacity of table and gateway."""

    def __init__(
        self,
        parameters: Parameters,
        sent: Sent,
        queue: FifoQueue,
        ledger: Ledger,
        seeds: list[np.random.SeedSequence],
    ) -> None:
        payments, table, gateway = parameters.payments, parameters.table, parameters.gateway
        self._queue, self._ledger = queue, ledger
        self._workers = parameters.function.group_concurrency
        self._times = Times(
            function_timeout_seconds=parameters.function.timeout_seconds,
            visibility_timeout_seconds=parameters.queue.visibility_timeout_seconds,
            gateway_deadline_seconds=payments.gateway_deadline_seconds,
            retry_delay_seconds=payments.first_delay_seconds,
        )
        self._latest = round(parameters.function.timeout_seconds * rules.SECOND) - self._times.least_remaining_ms * 1000
        # Its index has a capacity of its own, as large, of which a payment takes fewer units: the table is full first.
        self._units = ITEM_WRITES * rules.write_units(table.item_bytes)
        if table.write_units is None:
            units = rules.on_demand_write_units(table.peak_write_units, parameters.quotas.table_write_units)
            self._table = rules.Bucket(units, units)
        else:
            self._table = rules.provisioned_write_bucket(table.write_units)
        self._patience = round(table.patience_ms * 1000)
        # Of a second, and never less than one payment needs.
        calls = gateway.calls_per_second
        self._gateway = rules.Bucket(calls, max(calls, _CALLS)) if calls else None
        random = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        count = sent.accepted.size
        self._waits = _waits(parameters, random[0])
        self._cancel, self._read = stream(gateway.call_ms, random[1]), stream(table.call_ms, random[2])
        self._chance = uniforms(random[3])
        self._failure_share = payments.failure_share
        self._park_after = payments.park_after_tries
        self._failing: list[bool] = (random[4].random(count) < payments.failing_share).tolist()
        self._declined: list[bool] = (random[5].random(count) < payments.declined_share).tolist()
        self._duplicate: list[bool] = (sent.duplicate_of >= 0).tolist()
        self._tries: dict[int, int] = {}

    def settle(self, now: int, parts: list[Part], handler: int, compute: int) -> tuple[list[End], int]:
        """The payments of a batch whose handler begins at `handler`, `compute` of which is no waiting; what becomes of
        each group, and how long all of it takes. `now` is the moment at which capacity is asked for.
        """
        free = [compute] * min(self._workers, len(parts))
        ends, longest = [], compute
        for part in parts:
            end, elapsed = self._chain(now, part, handler, free[0])
            heapreplace(free, elapsed)
            longest = max(longest, elapsed)
            ends.append(end)
        return ends, longest

    def _chain(self, now: int, part: Part, handler: int, elapsed: int) -> tuple[End, int]:
        """One group's payments one after the other, until one comes back."""
        which, place, count = part
        order, settle = self._queue.order, self._ledger.settle
        for at in range(place, place + count):
            message = order[at]
            fate, elapsed = self._pay(now, message, elapsed)
            if fate == _RETURNED:
                delay = self._times.retry_delay(self._queue.receives[message]) * rules.SECOND
                return End(which, at - place, place + count - at, delay), elapsed
            settle(message, handler + elapsed, fate)
        return End(which, count, 0, None), elapsed

    def _pay(self, now: int, message: int, elapsed: int) -> tuple[int, int]:
        """One payment: its fate, or that it comes back, and when that is known."""
        ledger = self._ledger
        if elapsed > self._latest:
            ledger.not_enough_time += 1
            return _RETURNED, elapsed
        if self._duplicate[message]:
            return DUPLICATE, elapsed + next(self._read)
        waited = self._table.wait(now, self._units, self._patience)
        if waited:
            ledger.table_throttles += 1
            if waited < 0:
                return _RETURNED, elapsed + self._patience
        ledger.payments_tried += 1
        elapsed += waited
        if self._gateway is not None and not self._gateway.take(now, _CALLS):
            ledger.gateway_throttles += 1
            return _RETURNED, elapsed
        took = next(self._waits)
        if took < 0:
            # An unknown outcome: the payment is not at fault.
            ledger.gateway_timeouts += 1
            return _RETURNED, elapsed - took
        elapsed += took
        if self._failing[message] or (self._failure_share and next(self._chance) < self._failure_share):
            return self._failed(message), elapsed
        if self._declined[message]:
            return DECLINED, elapsed + next(self._cancel)
        return COMPLETED, elapsed

    def _failed(self, message: int) -> int:
        tries = self._tries.get(message, 0) + 1
        self._tries[message] = tries
        return PARKED if tries >= self._park_after else _RETURNED


def _waits(parameters: Parameters, random: np.random.Generator) -> Iterator[int]:
    """What a payment waits for table and gateway, in microseconds; negative where a call took longer than it may."""
    call, table = parameters.gateway.call_ms, parameters.table.call_ms
    deadline = round(parameters.payments.gateway_deadline_seconds * rules.SECOND)
    while True:
        calls = call.draw(random, _BLOCK * _CALLS).reshape(_BLOCK, _CALLS)
        writes = table.draw(random, _BLOCK * ITEM_WRITES).reshape(_BLOCK, ITEM_WRITES)
        total = np.minimum(calls, deadline).sum(axis=1) + writes.sum(axis=1)
        yield from np.where((calls > deadline).any(axis=1), -total, total).tolist()
