"""The avalanche, event by event: batches from the queue through the mapping into environments, and back.

One rule: an event stands in one heap by its microsecond and the order in which it was made, and nothing else decides
what happens next; what AWS's rules say is in `rules`, and what a payment does in docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any

import numpy as np

from benchmarks.avalanche import rules
from benchmarks.avalanche.distributions import Constant, stream, uniforms
from benchmarks.avalanche.parameters import Parameters
from benchmarks.avalanche.result import COMPLETED, DEAD_LETTERED, DECLINED, DUPLICATE, PARKED, Ledger, Result, conclude
from benchmarks.avalanche.traffic import Sent, send
from benchmarks.cost import INDEX_WRITES, ITEM_WRITES
from handler.domain.times import Times

# docs/protocol.md: claim, store gateway reference, record; prepare and charge.
_WRITES, _CALLS = ITEM_WRITES, 2
_BLOCK = 4096
_WARM, _PROVISIONED = 0, 1


def simulate(parameters: Parameters, seed: int = 1) -> Result:
    """Play it to the end, or to the horizon."""
    seeds = np.random.SeedSequence(seed).spawn(16)
    sent = send(parameters.traffic, parameters.queue, seeds[:3])
    run = _Run(parameters, sent, seeds[3:])
    run.play()
    return conclude(parameters, seed, sent, run.ledger, run.now)


class _Batch:
    """Messages of some groups under way: (group, place of its first message, count), and then what came of them."""

    __slots__ = ("attempt", "ends", "groups", "messages", "received")

    def __init__(self, received: int, groups: list[tuple[int, int, int]], messages: int) -> None:
        self.received = received
        self.groups = groups
        self.messages = messages
        self.attempt = 0
        # (group, place, done, returned, delay): delay None where nothing changed the visibility time-out.
        self.ends: list[tuple[int, int, int, int, int | None]] = []


class _Run:
    def __init__(self, parameters: Parameters, sent: Sent, seeds: list[np.random.SeedSequence]) -> None:
        self.p = parameters
        self.now = 0
        count = sent.accepted.size
        self.ledger = Ledger(count)
        self._events: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._made = 0
        self._queue(sent, count)
        self._mapping(sent)
        self._lambda()
        self._draws(seeds, count)
        self._duplicate = (sent.duplicate_of >= 0).tolist()

    def _queue(self, sent: Sent, count: int) -> None:
        queue, groups = self.p.queue, self.p.traffic.groups
        self._visibility = round(queue.visibility_timeout_seconds * rules.SECOND)
        self._accepted: list[int] = sent.accepted.tolist()
        self._group: list[int] = sent.group.tolist()
        self._next, self._count = 0, count
        # Each group's messages side by side; `head` and `tail` are places among them.
        self._order: list[int] = np.argsort(sent.group, kind="stable").tolist()
        starts = np.concatenate([[0], np.cumsum(np.bincount(sent.group, minlength=groups))[:-1]])
        self._head: list[int] = starts.tolist()
        self._tail: list[int] = starts.tolist()
        self._locked = bytearray(groups)
        self._ready: list[tuple[int, int]] = []
        self._in_flight = 0
        self._receives = [0] * count

    def _mapping(self, sent: Sent) -> None:
        mapping = self.p.mapping
        if mapping.pollers_min:
            growth = rules.provisioned_mapping_growth(mapping.pollers_min, mapping.pollers_max)
        else:
            growth = rules.mapping_growth(mapping.maximum_concurrency)
        self._growth = growth if mapping.growth else growth._replace(begin=growth.ceiling, per_minute=0)
        self._began = int(sent.accepted[0])
        self._busy = 0
        self._wake_at = -1
        self._poller_free = 0

    def _lambda(self) -> None:
        function, table, gateway = self.p.function, self.p.table, self.p.gateway
        self._concurrency = rules.function_concurrency(self.p.quotas.account_concurrency, function.reserved_concurrency)
        self._executing = 0
        self._provisioned = function.provisioned_concurrency
        self._idle: list[int] = []
        self._idle_for = round(function.idle_seconds * rules.SECOND)
        self._scaling = rules.scaling_bucket()
        self._timeout = round(function.timeout_seconds * rules.SECOND)
        self._times = Times(
            function_timeout_seconds=function.timeout_seconds,
            visibility_timeout_seconds=self.p.queue.visibility_timeout_seconds,
            gateway_deadline_seconds=self.p.payments.gateway_deadline_seconds,
            retry_delay_seconds=self.p.payments.first_delay_seconds,
        )
        self._latest = self._timeout - self._times.least_remaining_ms * 1000
        self._units = ITEM_WRITES * rules.write_units(table.item_bytes) + INDEX_WRITES
        if table.write_units is None:
            units = rules.on_demand_write_units(table.peak_write_units, self.p.quotas.table_write_units)
            self._table = rules.Bucket(units, units)
        else:
            self._table = rules.provisioned_write_bucket(table.write_units)
        self._patience = round(table.patience_ms * 1000)
        calls = gateway.calls_per_second
        self._gateway = rules.Bucket(calls, calls) if calls else None

    def _draws(self, seeds: list[np.random.SeedSequence], count: int) -> None:
        p = self.p
        random = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        work = p.function.invocations
        self._init = stream(p.function.snapstart_restore_ms or work.init_ms, random[0])
        self._throttled = stream(work.init_throttled_ms, random[1])
        self._first, self._warm = stream(work.first_ms, random[2]), stream(work.warm_ms, random[3])
        self._message = stream(work.message_ms, random[4])
        self._waits = _waits(p, random[5])
        self._receive_takes = stream(p.mapping.receive_ms, random[6])
        self._delete_takes = stream(p.mapping.delete_ms, random[7])
        self._crash, self._fails = uniforms(random[8]), uniforms(random[9])
        self._failing: list[bool] = (random[10].random(count) < p.payments.failing_share).tolist()
        self._declined: list[bool] = (random[11].random(count) < p.payments.declined_share).tolist()
        self._cancel = stream(p.gateway.call_ms, random[12])
        self._may_fail = p.payments.failure_share > 0
        self._tries: dict[int, int] = {}

    # ---- the loop -------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Until nothing is left to happen, or the horizon."""
        events, horizon = self._events, round(self.p.horizon_seconds * rules.SECOND)
        while True:
            self._fill()
            now = events[0][0] if events else horizon
            if not self._ready and self._next < self._count:
                now = min(now, self._accepted[self._next])
            elif not events:
                break
            if now >= horizon:
                self.now = horizon
                break
            self.now = now
            while events and events[0][0] == now:
                _, _, happen, what = heappop(events)
                happen(what)

    def _at(self, moment: int, happen: Callable[[Any], None], what: Any) -> None:
        self._made += 1
        heappush(self._events, (moment, self._made, happen, what))

    def _arrive(self) -> None:
        """Take into account what was accepted by now."""
        now, place, count = self.now, self._next, self._count
        accepted, group, tail, head = self._accepted, self._group, self._tail, self._head
        while place < count and accepted[place] <= now:
            which = group[place]
            if head[which] == tail[which] and not self._locked[which]:
                heappush(self._ready, (place, which))
            tail[which] += 1
            place += 1
        self._next = place

    # ---- queue and mapping ----------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Receive for every free slot."""
        self._arrive()
        ready = self._ready
        while ready:
            free = self._growth.at(self.now - self._began) - self._busy
            if free <= 0:
                self._wake(self._growth.reached(self._busy + 1), self._began)
                return
            if self._poller_free > self.now:
                self._wake(self._poller_free, 0)
                return
            wanted = rules.receivable(self._in_flight, self.p.queue.in_flight_max, self.p.mapping.batch_size)
            if not wanted:
                return
            takes = next(self._receive_takes)
            self.ledger.receive_requests += 1
            if self.p.mapping.shares_out:
                batches = self._shared_out(self._oldest(wanted), free)
                self._poller_free = self.now + takes
            else:
                batches = [self._by_group(wanted)]
            for groups in batches:
                messages = sum(group[2] for group in groups)
                if messages:
                    self._busy += 1
                    self._in_flight += messages
                    self._at(self.now + takes, self._invoke, _Batch(self.now, groups, messages))

    def _wake(self, elapsed: int | None, since: int) -> None:
        if elapsed is not None and self._wake_at <= self.now:
            self._wake_at = max(since + elapsed, self.now + 1)
            self._at(self._wake_at, _nothing, None)

    def _by_group(self, wanted: int) -> list[tuple[int, int, int]]:
        """As SQS receives: as many messages of one group as possible, then of the next."""
        found = []
        while wanted and self._ready:
            which = heappop(self._ready)[1]
            self._bury(which)
            place = self._head[which]
            count = min(wanted, self._tail[which] - place)
            if count:
                self._received(which, place, count)
                found.append((which, place, count))
                wanted -= count
        return found

    def _oldest(self, wanted: int) -> list[tuple[int, int, int]]:
        """As the loopback queue receives: the oldest messages of whatever groups."""
        counts: dict[int, int] = {}
        again: list[tuple[int, int]] = []
        while wanted and (self._ready or again):
            from_ready = bool(self._ready) and (not again or self._ready[0] < again[0])
            which = heappop(self._ready if from_ready else again)[1]
            if which not in counts:
                self._bury(which)
                counts[which] = 0
            place = self._head[which] + counts[which]
            if place < self._tail[which]:
                counts[which] += 1
                wanted -= 1
                if place + 1 < self._tail[which]:
                    heappush(again, (self._order[place + 1], which))
        found = [(which, self._head[which], count) for which, count in counts.items() if count]
        for which, place, count in found:
            self._received(which, place, count)
        return found

    def _shared_out(self, groups: list[tuple[int, int, int]], free: int) -> list[list[tuple[int, int, int]]]:
        """As the local mapping shares out: each group whole, the largest first, to the batch with the fewest."""
        batches: list[list[tuple[int, int, int]]] = [[] for _ in range(min(free, len(groups)))]
        sizes = [0] * len(batches)
        for group in sorted(groups, key=lambda group: -group[2]):
            least = sizes.index(min(sizes))
            batches[least].append(group)
            sizes[least] += group[2]
        return batches

    def _received(self, which: int, place: int, count: int) -> None:
        self._locked[which] = 1
        receives, order = self._receives, self._order
        for at in range(place, place + count):
            receives[order[at]] += 1

    def _bury(self, which: int) -> None:
        """Move messages at the group's head that were received too often to the dead-letter queue."""
        head, most = self._head, self.p.queue.max_receive_count
        while head[which] < self._tail[which]:
            message = self._order[head[which]]
            if not rules.dead_lettered(self._receives[message], most):
                return
            self.ledger.settle(message, self.now, DEAD_LETTERED)
            self.ledger.deleted[message] = self.now
            head[which] += 1

    def _delete(self, batch: _Batch) -> None:
        """An invocation's answer reaches the queue: what is done is deleted, what is not comes back in its time."""
        self._busy -= 1
        self.ledger.delete_requests += 1
        deleted, order = self.ledger.deleted, self._order
        for which, place, done, returned, delay in batch.ends:
            for at in range(place, place + done):
                deleted[order[at]] = self.now
            self._head[which] += done
            self._in_flight -= done
            if returned:
                if delay is None:
                    again = rules.visible_again(batch.received, self._visibility)
                else:
                    again = self.now + delay
                    self.ledger.delay_requests += 1
                self._at(max(again, self.now), self._unlock, (which, returned))
            else:
                self._locked[which] = 0
                if self._head[which] < self._tail[which]:
                    heappush(self._ready, (order[self._head[which]], which))

    def _unlock(self, returned: tuple[int, int]) -> None:
        which, count = returned
        self._in_flight -= count
        self._locked[which] = 0
        heappush(self._ready, (self._order[self._head[which]], which))

    # ---- Lambda ---------------------------------------------------------------------------------------------------

    def _invoke(self, batch: _Batch) -> None:
        now = self.now
        if self._executing < self._concurrency:
            if self._provisioned:
                self._provisioned -= 1
                return self._run(batch, _PROVISIONED, cold=False)
            idle = self._idle
            if idle and now - idle[-1] > self._idle_for:
                # The one used last is over, and so are all that were used before it.
                idle.clear()
            if idle:
                idle.pop()
                return self._run(batch, _WARM, cold=False)
            if self._scaling.take(now, 1):
                self.ledger.environments_max = max(self.ledger.environments_max, self._executing + 1)
                return self._run(batch, _WARM, cold=True)
        self.ledger.throttles += 1
        again = rules.throttle_retry(now, batch.attempt, batch.received, self._visibility)
        batch.attempt += 1
        if again is not None:
            return self._at(again, self._invoke, batch)
        batch.ends = [(which, place, 0, count, None) for which, place, count in batch.groups]
        return self._delete(batch)

    def _run(self, batch: _Batch, kind: int, cold: bool) -> None:
        """One invocation: all that comes of it is known when it begins."""
        now, ledger = self.now, self.ledger
        self._executing += 1
        limit = round(self.p.function.init_seconds_max * rules.SECOND)
        start = rules.Begin(0, 0)
        if cold:
            init = next(self._init)
            start = rules.begin(init, next(self._throttled) if init > limit else 0, limit)
        compute = start.inside + next(self._first if cold else self._warm)
        for _ in range(batch.messages - 1):
            compute += next(self._message)
        handler = now + start.init
        crashed = self.p.function.crash_share > 0 and next(self._crash) < self.p.function.crash_share
        if crashed or compute > self._timeout:
            # An environment that was killed is gone, and nothing says what became of its messages.
            duration = min(compute, self._timeout)
            ledger.errors += 1
            batch.ends = [(which, place, 0, count, None) for which, place, count in batch.groups]
            kind = kind if kind == _PROVISIONED else -1
        else:
            duration = self._settle(batch, handler, compute)
        ledger.invocation(now, start.init, duration, cold, batch.messages)
        self._at(handler + duration, self._end, (batch, kind))

    def _end(self, ended: tuple[_Batch, int]) -> None:
        batch, kind = ended
        self._executing -= 1
        if kind == _PROVISIONED:
            self._provisioned += 1
        elif kind == _WARM:
            self._idle.append(self.now)
        self._at(self.now + next(self._delete_takes), self._delete, batch)

    def _settle(self, batch: _Batch, handler: int, compute: int) -> int:
        """The payments of a batch, groups at once as far as there are workers; how long all of it takes."""
        workers = min(self.p.function.group_concurrency, len(batch.groups))
        free = [compute] * workers
        heapify(free)
        longest = compute
        for which, place, count in batch.groups:
            done, ended, delay = self._chain(place, count, handler, free[0])
            heapreplace(free, ended)
            longest = max(longest, ended)
            batch.ends.append((which, place, done, count - done, delay))
        return longest

    def _chain(self, place: int, count: int, handler: int, elapsed: int) -> tuple[int, int, int | None]:
        """One group's payments one after the other: how many are done, when they are, and what the rest waits for."""
        order, ledger = self._order, self.ledger
        for at in range(place, place + count):
            message = order[at]
            fate, elapsed = self._pay(message, elapsed)
            if fate < 0:
                return at - place, elapsed, self._times.retry_delay(self._receives[message]) * rules.SECOND
            ledger.settle(message, handler + elapsed, fate)
        return count, elapsed, None

    def _pay(self, message: int, elapsed: int) -> tuple[int, int]:
        """One payment: its fate, or -1 where it comes back, and when that is known."""
        ledger = self.ledger
        if elapsed > self._latest:
            ledger.not_enough_time += 1
            return -1, elapsed
        if self._duplicate[message]:
            return DUPLICATE, elapsed + round(self.p.table.call_ms.mean_ms * 1000)
        waited = self._table.wait(self.now, self._units, self._patience)
        if waited:
            ledger.table_throttles += 1
            if waited < 0:
                return -1, elapsed + self._patience
        ledger.payments_tried += 1
        elapsed += waited
        if self._gateway is not None and not self._gateway.take(self.now, _CALLS):
            ledger.gateway_throttles += 1
            return -1, elapsed
        took = next(self._waits)
        if took < 0:
            # An unknown outcome: the payment is not at fault, and comes again.
            ledger.gateway_timeouts += 1
            return -1, elapsed - took
        elapsed += took
        if self._failing[message] or (self._may_fail and next(self._fails) < self.p.payments.failure_share):
            tries = self._tries.get(message, 0) + 1
            self._tries[message] = tries
            return (PARKED if tries >= self.p.payments.park_after_tries else -1), elapsed
        if self._declined[message]:
            return DECLINED, elapsed + next(self._cancel)
        return COMPLETED, elapsed


def _nothing(what: Any) -> None:
    """Wake up, so that the queue is looked at."""


def _waits(parameters: Parameters, random: np.random.Generator) -> Iterator[int]:
    """What a payment waits for table and gateway, in microseconds; negative where a call took longer than it may."""
    call, table = parameters.gateway.call_ms, parameters.table.call_ms
    deadline = round(parameters.payments.gateway_deadline_seconds * rules.SECOND)
    while True:
        calls = call.draw(random, _BLOCK * _CALLS).reshape(_BLOCK, _CALLS)
        total = np.minimum(calls, deadline).sum(axis=1)
        if table != Constant(0.0):
            total = total + table.draw(random, _BLOCK * _WRITES).reshape(_BLOCK, _WRITES).sum(axis=1)
        yield from np.where((calls > deadline).any(axis=1), -total, total).tolist()
