"""The FIFO queue: groups in order, one batch of a group under way at a time, and the dead-letter queue behind it.

One rule: a group of which messages are under way gives none, until each is deleted or visible again; what is visible is
received by the age of each group's oldest message.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from benchmarks.avalanche import rules
from benchmarks.avalanche.result import DEAD_LETTERED, Ledger
from benchmarks.avalanche.traffic import Sent

# A group's messages in a batch: the group, the place of the first of them in `order`, and how many.
Part = tuple[int, int, int]


class FifoQueue:
    """Messages by their number in the order of the queue. `in_flight` were received and are neither deleted nor visible
    again; `ready` holds (oldest message, group) of each group that would give one.
    """

    def __init__(self, sent: Sent, groups: int, max_receive_count: int, ledger: Ledger) -> None:
        self._ledger = ledger
        self._accepted: list[int] = sent.accepted.tolist()
        self._group: list[int] = sent.group.tolist()
        self._next, self._count = 0, sent.accepted.size
        self._max_receive_count = max_receive_count
        # Each group's messages side by side; `head` and `tail` are places among them.
        self.order: list[int] = np.argsort(sent.group, kind="stable").tolist()
        ends = np.cumsum(np.bincount(sent.group, minlength=groups))
        self._head: list[int] = np.concatenate([[0], ends[:-1]]).tolist()
        self._tail = list(self._head)
        self.ready: list[tuple[int, int]] = []
        self.in_flight = 0
        self.receives = [0] * self._count

    @property
    def next_arrival(self) -> int | None:
        """When the next message is accepted; None once all are."""
        return self._accepted[self._next] if self._next < self._count else None

    def arrive(self, now: int) -> None:
        """Take in what was accepted by now."""
        place, count = self._next, self._count
        accepted = self._accepted
        if place == count or accepted[place] > now:
            return
        group, tail, head, ready = self._group, self._tail, self._head, self.ready
        while place < count and accepted[place] <= now:
            which = group[place]
            # With messages waiting or under way, the group is ready already, or will be once they are deleted or back.
            if head[which] == tail[which]:
                heappush(ready, (place, which))
            tail[which] += 1
            place += 1
        self._next = place

    def receive(self, now: int, wanted: int) -> tuple[list[Part], int]:
        """As SQS does: as many messages of one group as possible, then of the next; with their number."""
        found, messages = [], 0
        ready, tail = self.ready, self._tail
        while messages < wanted and ready:
            which = heappop(ready)[1]
            place = self._alive(which, now)
            count = min(wanted - messages, tail[which] - place)
            if count:
                self._take(which, place, count)
                found.append((which, place, count))
                messages += count
        return found, messages

    def receive_oldest(self, now: int, wanted: int) -> tuple[list[Part], int]:
        """As the loopback queue does: the oldest messages, of whatever groups."""
        counts: dict[int, int] = {}
        again: list[tuple[int, int]] = []
        messages = 0
        while messages < wanted and (self.ready or again):
            from_ready = bool(self.ready) and (not again or self.ready[0] < again[0])
            which = heappop(self.ready if from_ready else again)[1]
            place = self._alive(which, now) if from_ready else self._head[which] + counts[which]
            if place < self._tail[which]:
                counts[which] = counts.get(which, 0) + 1
                messages += 1
                if place + 1 < self._tail[which]:
                    heappush(again, (self.order[place + 1], which))
        found = [(which, self._head[which], count) for which, count in counts.items()]
        for part in found:
            self._take(*part)
        return found, messages

    def _take(self, which: int, place: int, count: int) -> None:
        self.in_flight += count
        receives, order = self.receives, self.order
        for at in range(place, place + count):
            receives[order[at]] += 1

    def _alive(self, which: int, now: int) -> int:
        """The place of the group's first message that may be received; those in front of it are dead-lettered."""
        place, tail, most = self._head[which], self._tail[which], self._max_receive_count
        while place < tail and rules.dead_lettered(self.receives[self.order[place]], most):
            self._ledger.settle(self.order[place], now, DEAD_LETTERED)
            self._ledger.deleted[self.order[place]] = now
            place += 1
        self._head[which] = place
        return place

    def delete(self, which: int, done: int, now: int) -> None:
        """Delete the first `done` messages under way of a group."""
        place = self._head[which]
        deleted, order = self._ledger.deleted, self.order
        for at in range(place, place + done):
            deleted[order[at]] = now
        self._head[which] = place + done
        self.in_flight -= done

    def unlock(self, which: int, returned: int) -> None:
        """Nothing of the group is under way any more; `returned` of its messages are visible again."""
        self.in_flight -= returned
        place = self._head[which]
        if place < self._tail[which]:
            heappush(self.ready, (self.order[place], which))


def shared_out(parts: list[Part], slots: int) -> list[tuple[list[Part], int]]:
    """As the local system's mapping does: each group whole, the largest first, to the batch with fewest messages."""
    batches: list[list[Part]] = [[] for _ in range(min(slots, len(parts)))]
    sizes = [0] * len(batches)
    for part in sorted(parts, key=lambda part: -part[2]):
        least = sizes.index(min(sizes))
        batches[least].append(part)
        sizes[least] += part[2]
    return list(zip(batches, sizes, strict=True))
