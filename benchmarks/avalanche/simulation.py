"""The avalanche, event by event: batches from the queue through the mapping into environments, and back.

One rule: an event stands in one heap by its microsecond and the order in which it was made, and nothing else decides
what happens next; what AWS's rules say is in `rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import numpy as np

from benchmarks.avalanche import rules
from benchmarks.avalanche.charges import Charges, End, unanswered
from benchmarks.avalanche.distributions import stream, uniforms
from benchmarks.avalanche.fifo import FifoQueue, Part, shared_out
from benchmarks.avalanche.parameters import ImpossibleParametersError, Parameters
from benchmarks.avalanche.result import Ledger, Result, conclude
from benchmarks.avalanche.traffic import Sent, send

# Where an invocation's environment goes afterwards.
_KEPT, _PROVISIONED, _KILLED = range(3)


def simulate(parameters: Parameters, seed: int = 1) -> Result:
    """Play it to the end, or to the horizon. Raises ImpossibleParametersError for a seed below 0."""
    if seed < 0:
        raise ImpossibleParametersError(f"seed {seed}: 0 or more")
    seeds = np.random.SeedSequence(seed).spawn(24)
    sent = send(parameters.traffic, parameters.queue, seeds[:3])
    run = _Run(parameters, sent, seeds[3:])
    run.play()
    return conclude(parameters, seed, sent, run.ledger, run.now)


class _Batch:
    """Messages under way: since when, how often they were throttled, and what came of them."""

    __slots__ = ("attempt", "ends", "environment", "messages", "parts", "received")

    def __init__(self, received: int, parts: list[Part], messages: int) -> None:
        self.received = received
        self.parts = parts
        self.messages = messages
        self.attempt = 0
        self.environment = _KEPT
        self.ends: list[End] = []


class _Run:
    def __init__(self, parameters: Parameters, sent: Sent, seeds: list[np.random.SeedSequence]) -> None:
        self._parameters = parameters
        self.now = 0
        self.ledger = Ledger(sent.accepted.size)
        self._events: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._made = 0
        queue = parameters.queue
        self._queue = FifoQueue(sent, parameters.traffic.groups, queue.max_receive_count, self.ledger)
        self._visibility = round(queue.visibility_timeout_seconds * rules.SECOND)
        self._charges = Charges(parameters, sent, self._queue, self.ledger, seeds[:6])
        random = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds[6:]]
        self._set_up_mapping(sent, random[:2])
        self._set_up_function(random[2:])

    def _set_up_mapping(self, sent: Sent, random: list[np.random.Generator]) -> None:
        mapping = self._parameters.mapping
        if mapping.pollers_min:
            growth = rules.provisioned_mapping_growth(mapping.pollers_min, mapping.pollers_max)
        else:
            growth = rules.mapping_growth(mapping.maximum_concurrency)
        self._growth = growth if mapping.growth else rules.Growth(growth.ceiling, 0, growth.ceiling)
        self._began = int(sent.accepted[0])
        self._busy = 0
        self._wake_at = -1
        # When the next receive may begin: the local mapping has one poller, provisioned ones have their rate.
        self._poller_free = 0
        self._receive_takes, self._delete_takes = (
            stream(mapping.receive_ms, random[0]),
            stream(mapping.delete_ms, random[1]),
        )

    def _set_up_function(self, random: list[np.random.Generator]) -> None:
        function = self._parameters.function
        account = self._parameters.quotas.account_concurrency
        self._concurrency = rules.function_concurrency(account, function.reserved_concurrency)
        self._executing = 0
        self._provisioned = function.provisioned_concurrency
        # Since when each is idle; the one used last is used first.
        self._idle: list[int] = []
        self._idle_for = round(function.idle_seconds * rules.SECOND)
        self._scaling = rules.scaling_bucket()
        self._timeout = round(function.timeout_seconds * rules.SECOND)
        self._init_max = round(function.init_seconds_max * rules.SECOND)
        self._crash_share = function.crash_share
        work = function.invocations
        self._init = stream(function.snapstart_restore_ms or work.init_ms, random[0])
        self._restored_own = round(function.snapstart_own_ms * 1000) if function.snapstart_restore_ms else None
        self._throttled = stream(work.init_throttled_ms, random[1])
        self._first, self._warm = stream(work.first_ms, random[2]), stream(work.warm_ms, random[3])
        self._message = stream(work.message_ms, random[4])
        self._chance = uniforms(random[5])

    # ---- the loop -------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Until nothing is left to happen, or the horizon."""
        events, queue = self._events, self._queue
        horizon = round(self._parameters.horizon_seconds * rules.SECOND)
        while True:
            self._fill()
            arrival = None if queue.ready else queue.next_arrival
            if not events and arrival is None:
                return
            now = events[0][0] if events else horizon
            if arrival is not None and arrival < now:
                now = arrival
            if now >= horizon:
                self.now = horizon
                return
            self.now = now
            while events and events[0][0] == now:
                _, _, happen, what = heappop(events)
                happen(what)

    def _at(self, moment: int, happen: Callable[[Any], None], what: Any) -> None:
        self._made += 1
        heappush(self._events, (moment, self._made, happen, what))

    # ---- the mapping ----------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Receive for every free slot."""
        queue, now, mapping = self._queue, self.now, self._parameters.mapping
        queue.arrive(now)
        while queue.ready:
            allowed = self._growth.at(now - self._began)
            free = allowed - self._busy
            if free <= 0:
                grown = self._growth.reached(self._busy + 1)
                return None if grown is None else self._wake(self._began + grown)
            if self._poller_free > now:
                return self._wake(self._poller_free)
            wanted = rules.receivable(queue.in_flight, self._parameters.queue.in_flight_max, mapping.batch_size)
            if not wanted:
                return None
            takes = next(self._receive_takes)
            self.ledger.receive_requests += 1
            if mapping.shares_out:
                parts, _ = queue.receive_oldest(now, wanted)
                self._poller_free = now + takes
                batches = shared_out(parts, free)
            else:
                batches = [queue.receive(now, wanted)]
                if mapping.pollers_min:
                    self._poller_free = rules.polled_again(now, allowed)
            for parts, messages in batches:
                if messages:
                    self._busy += 1
                    self._at(now + takes, self._invoke, _Batch(now, parts, messages))
        return None

    def _wake(self, moment: int) -> None:
        moment = max(moment, self.now + 1)
        if self._wake_at <= self.now or moment < self._wake_at:
            self._wake_at = moment
            self._at(self._wake_at, _nothing, None)

    def _answered(self, batch: _Batch) -> None:
        """An answer reaches the queue: what is done is deleted, what is not comes back in its time."""
        queue, ledger, now = self._queue, self.ledger, self.now
        self._busy -= 1
        # One request each for a whole batch; none where there was no answer.
        ledger.delete_requests += any(end.done for end in batch.ends)
        ledger.delay_requests += any(end.delay is not None for end in batch.ends)
        for which, done, returned, delay in batch.ends:
            queue.delete(which, done, now)
            if not returned:
                queue.unlock(which, 0)
                continue
            again = rules.visible_again(batch.received, self._visibility) if delay is None else now + delay
            self._at(max(again, now), self._return, (which, returned))

    def _return(self, what: tuple[int, int]) -> None:
        self._queue.unlock(*what)

    # ---- Lambda ---------------------------------------------------------------------------------------------------

    def _invoke(self, batch: _Batch) -> None:
        """In a provisioned environment, else a warm one, else a new one, else throttled."""
        now, idle = self.now, self._idle
        if self._executing < self._concurrency:
            if self._provisioned:
                self._provisioned -= 1
                batch.environment = _PROVISIONED
                return self._run(batch, cold=False)
            if idle and now - idle[-1] > self._idle_for:
                # The one used last is over, and so are all that were used before it.
                idle.clear()
            if idle:
                idle.pop()
                return self._run(batch, cold=False)
            if self._scaling.take(now, 1):
                self.ledger.environments_max = max(self.ledger.environments_max, self._executing + 1)
                return self._run(batch, cold=True)
        self.ledger.throttles += 1
        again = rules.throttle_retry(now, batch.attempt, batch.received, self._visibility)
        batch.attempt += 1
        if again is not None:
            return self._at(again, self._invoke, batch)
        batch.ends = unanswered(batch.parts)
        return self._answered(batch)

    def _run(self, batch: _Batch, cold: bool) -> None:
        """One invocation: all that comes of it is known when it begins."""
        now = self.now
        self._executing += 1
        init = inside = 0
        if cold:
            init = next(self._init)
            if init > self._init_max:
                init, inside = rules.begin(init, next(self._throttled), self._init_max)
        compute = inside + next(self._first if cold else self._warm)
        for _ in range(batch.messages - 1):
            compute += next(self._message)
        handler = now + init
        if compute > self._timeout or (self._crash_share and next(self._chance) < self._crash_share):
            # An environment that was killed is gone, and nothing says what became of its messages.
            duration = min(compute, self._timeout)
            self.ledger.errors += 1
            batch.ends = unanswered(batch.parts)
            if batch.environment == _KEPT:
                batch.environment = _KILLED
        else:
            batch.ends, duration = self._charges.settle(now, batch.parts, handler, compute)
        self.ledger.invocation(now, init, duration, cold, batch.messages)
        if cold and self._restored_own is not None:
            billed = rules.billed_restore(init, self._restored_own)
            self.ledger.unbilled_ms += rules.billed_ms(init, duration) - rules.billed_ms(billed, duration)
        if batch.environment == _PROVISIONED:
            self.ledger.provisioned_ms += rules.billed_ms(init, duration)
        self._at(handler + duration, self._end, batch)

    def _end(self, batch: _Batch) -> None:
        self._executing -= 1
        if batch.environment == _PROVISIONED:
            self._provisioned += 1
        elif batch.environment == _KEPT:
            self._idle.append(self.now)
        self._at(self.now + next(self._delete_takes), self._answered, batch)


def _nothing(what: Any) -> None:
    """Wake up, so that the queue is looked at."""
