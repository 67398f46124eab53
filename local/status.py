"""What `make up` and `make run` tell while they work: what became of payments, and inits that fail.

The rule: it is fed by log lines, outcome events and callbacks, from any thread, and asks nobody; a payment counts once,
as what it is by now, however often its messages came.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, deque
from dataclasses import dataclass

from handler.domain.states import FINAL, OPEN
from local.execution_environment import ExecutionEnvironment

_RECENT = 8
_WORD = re.compile(r"[a-z_]+")


@dataclass(frozen=True)
class Settled:
    """What the function said of one message, or an event of a payment that had waited for a person."""

    payment_id: str
    group: str
    outcome: str


class Status:
    """Counts since the start, and the last few payments."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, str] = {}
        self._messages: Counter[str] = Counter()
        self._recent: deque[Settled] = deque(maxlen=_RECENT)
        self._asking: dict[str, str] = {}
        self._final: dict[str, str] = {}
        self._failed_inits: Counter[str] = Counter()

    def line(self, line: str) -> None:
        """Take one log line; only those that end a message count."""
        if '"correlation_id"' not in line:
            return
        try:
            said = json.loads(line)
            outcome, payment_id, group = said["message"], said["correlation_id"], said["message_group_id"]
        except (ValueError, LookupError, TypeError):
            return
        if said.get("level") != "INFO" or not isinstance(outcome, str) or not _WORD.fullmatch(outcome):
            return
        with self._lock:
            self._settled(str(payment_id), str(group), outcome)
            if outcome == "pending_approval":
                self._asking[str(payment_id)] = str(group)
                self._answered(str(payment_id))

    def event(self, payment_id: str, status: str) -> None:
        """Take what an outcome event says: the workflow has no log line for how a payment that waited ended."""
        # A refund's and a conflict's are told under their payment's id, and are no state of it.
        if status not in OPEN | FINAL:
            return
        with self._lock:
            self._final[payment_id] = self._states[payment_id] = status
            self._answered(payment_id)

    def _answered(self, payment_id: str) -> None:
        # Lines and events come by different threads, in either order.
        if payment_id in self._final and payment_id in self._asking:
            self._settled(payment_id, self._asking.pop(payment_id), self._final[payment_id])

    def _settled(self, payment_id: str, group: str, outcome: str) -> None:
        if outcome not in OPEN | FINAL:
            self._messages[outcome] += 1
        elif outcome != "pending_approval" or payment_id not in self._final:
            self._states[payment_id] = outcome
        self._recent.append(Settled(payment_id, group, outcome))

    def init_failed(self, environment: ExecutionEnvironment) -> None:
        function = environment.function
        with self._lock:
            self._failed_inits[f"{function.name}, version {function.version}: {environment.init_problem}"] += 1

    @property
    def outcomes(self) -> dict[str, int]:
        """How many payments are what by now."""
        with self._lock:
            return dict(sorted(Counter(self._states.values()).items()))

    @property
    def messages(self) -> dict[str, int]:
        """Messages by what they were, where that is no state of a payment: duplicates, conflicts, refunds."""
        with self._lock:
            return dict(sorted(self._messages.items()))

    @property
    def recent(self) -> list[Settled]:
        with self._lock:
            return list(self._recent)

    @property
    def failed_inits(self) -> dict[str, int]:
        """How often init failed by function, version and reason."""
        with self._lock:
            return dict(self._failed_inits)
