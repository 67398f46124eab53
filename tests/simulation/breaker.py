"""The auditor's model of an environment's breaker: when it is surely open, and when it may be.

Calls say less than tries: between `must` and `may` the code decides, and the audit believes it. What calls said counts
from the end of their try on, as workers of one environment end theirs in another order than they asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from greenlet import getcurrent, greenlet

from tests.simulation.world import Invocation

_UNREACHED, _PAYMENTS = 5, 2


@dataclass
class _Row:
    """Failures in a row; once there are enough it is open until it is cleared."""

    unreached: int = 0
    failing: set[str] = field(default_factory=set)
    is_open: bool = False

    def add(self, key: str, failure: str) -> None:
        if failure == "unreached":
            self.unreached += 1
        else:
            self.failing.add(key)
        self.is_open = self.is_open or self.unreached >= _UNREACHED or len(self.failing) >= _PAYMENTS


class BreakerRules:
    def __init__(self, fail: Callable[[str, str], None]) -> None:
        self.fail = fail
        self._must: dict[str, _Row] = defaultdict(_Row)
        self._may: dict[str, _Row] = defaultdict(_Row)
        # By environment, the answers; and how many there were at a payment's last 5xx, None where that is not sure.
        self._answers: dict[str, int] = defaultdict(int)
        self._seen: dict[tuple[str, str], int | None] = {}
        # Of an invocation, the payment that asks, or asked in vain, while the breaker is open.
        self._alone: dict[str, str] = {}
        # By invocation, the workers that began with a payment before it opened: two may bring the same one.
        self._under_way: dict[str, set[tuple[greenlet, str]]] = defaultdict(set)

    def must_be_open(self, invocation: Invocation) -> bool:
        return self._must[invocation.place].is_open

    def may_be_open(self, invocation: Invocation) -> bool:
        return self._may[invocation.place].is_open

    def begins(self, invocation: Invocation, key: str) -> None:
        """A worker is about to claim a payment."""
        if not self.must_be_open(invocation):
            self._under_way[invocation.name].add((getcurrent(), key))

    def asks(self, invocation: Invocation, key: str) -> None:
        has_begun = (getcurrent(), key) in self._under_way[invocation.name]
        is_under_way = has_begun or not self.must_be_open(invocation)
        if not is_under_way and self._alone.setdefault(invocation.name, key) != key:
            self.fail("one message at a time asks", f"{invocation.name} asks about {key} with an open breaker")

    def looked(self, invocation: Invocation, key: str, failure: str) -> None:
        """How one call of a look-up ended. While it is open, who was answered leaves the asking to the next."""
        if not self.must_be_open(invocation):
            return
        if failure in ("unreached", "failed", "shared"):
            self._alone.setdefault(invocation.name, key)
        elif self._alone.get(invocation.name) == key:
            del self._alone[invocation.name]

    def try_ended(self, invocation: Invocation, key: str) -> None:
        self._under_way[invocation.name].discard((getcurrent(), key))

    def call_ended(self, invocation: Invocation, key: str, call: str, failure: str) -> str:
        """Take in how a call of the gateway ended; of a 5xx, whether it is the payment's own failure."""
        place = invocation.place
        if not place:
            return "failed shared" if failure == "failed" else "shared" if failure == "unreached" else failure
        # After a charge more may be asked, and the try may end in another way.
        is_sure = call != "charge"
        if failure in ("own", "refused", "takes days", "at work"):
            self.answered(invocation)
        elif failure in ("unreached", "failed"):
            self._may[place].add(key, failure)
            if is_sure or failure == "unreached":
                self._must[place].add(key, failure)
        if failure in ("", "shared") or (failure == "failed" and not is_sure):
            self._must[place] = _Row()
        if self.must_be_open(invocation):
            self._alone.setdefault(invocation.name, key)
        if failure != "failed":
            return "shared" if failure == "unreached" else failure
        seen = self._seen.get((place, key), -1 if is_sure else None)
        self._seen[place, key] = self._answers[place] if is_sure else None
        if not is_sure or seen is None:
            return "failed either"
        if self.must_be_open(invocation) or seen in (-1, self._answers[place]):
            return "failed shared"
        return "failed either" if self.may_be_open(invocation) else "failed own"

    def answered(self, invocation: Invocation) -> None:
        """The gateway said something that settles a payment, or that cannot be believed."""
        self._answers[invocation.place] += 1
        self._must[invocation.place] = _Row()
        self._may[invocation.place] = _Row()

    def parked(self, invocation: Invocation, key: str) -> None:
        self._must[invocation.place].failing.discard(key)
        self._seen[invocation.place, key] = None
