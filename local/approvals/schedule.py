"""What EventBridge Scheduler does for reconcile: its function is invoked at a fixed rate.

The rule: an invocation that fails is told, and the next one comes all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from local import threads
from local.environment_pool import EnvironmentPool
from local.runtime_api import error_text

# The target's payload, which reconcile does not read.
_EVENT = b"{}"


class Schedule:
    """Invokes `pool` every `seconds`, the first time after as many, from `start` until `stop`."""

    def __init__(self, name: str, seconds: float, problem: Callable[[str], None]) -> None:
        """`problem` is told of what went wrong, from the schedule's thread."""
        self._name = name
        self.seconds = seconds
        self.is_on = True
        self._problem = problem
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.runs = 0

    def start(self, pool: EnvironmentPool) -> None:
        self._pool = pool
        self._thread = threads.start(self._name, self._run, self._problem)

    def switch(self, *, on: bool) -> None:
        """Whether it is invoked when its time comes."""
        self.is_on = on

    def stop(self) -> None:
        """Invoke no more; what is under way ends with its pool."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self.seconds):
            if not self.is_on:
                continue
            try:
                outcome = self._pool.invoke(_EVENT)
                error = error_text(outcome.payload) if outcome.error_type is not None else ""
            # The services may be dead; that is reported by who watches them, and they may come back.
            except Exception as raised:  # noqa: BLE001
                error = f"{type(raised).__name__}: {raised}"
            self.runs += 1
            if error and not self._stopping.is_set():
                self._problem(f"{self._name}: {error}")
