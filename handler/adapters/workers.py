"""Threads of an execution environment that do several things at once, and what they share of it.

The rule it keeps: nothing that one invocation began goes on in the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock, RLock, Semaphore, Thread
from typing import TYPE_CHECKING

from handler.domain.breaker import Breaker
from handler.domain.errors import RetryableError

if TYPE_CHECKING:
    from typing import Protocol

    class AnyLock(Protocol):
        def acquire(self, blocking: bool = True) -> bool: ...

        def release(self) -> None: ...

    class Workers(Protocol):
        """Who does several things at once, as many as `at_once`."""

        at_once: int

        def run(self, jobs: Sequence[Callable[[], None]]) -> None:
            """Do the jobs, begun in their order; returns when all have ended, and raises what one of them raised."""

        def new_lock(self) -> AnyLock:
            """A lock that one of them may wait for while another one has it."""


class ThreadWorkers:
    """`Workers` of up to `at_once` threads, the caller's among them.

    The others are started when they are first needed and kept. Locks alone, as `queue` and `concurrent.futures`
    would cost init 0.8 and 1.3 ms of imports.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._threads = 0
        self._handed_over: deque[Callable[[], None]] = deque()
        self._has_work = Semaphore(0)

    def new_lock(self) -> AnyLock:
        return Lock()

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        waiting = deque(jobs)
        errors: list[BaseException] = []
        ended = Semaphore(0)

        def work() -> None:
            try:
                while waiting:
                    try:
                        job = waiting.popleft()
                    except IndexError:
                        # Another thread took the last one.
                        break
                    job()
            except BaseException as error:  # noqa: BLE001
                # The caller's to deal with, whatever it is; the thread is kept.
                errors.append(error)
            finally:
                ended.release()

        helpers = max(0, min(self.at_once, len(waiting)) - 1)
        while self._threads < helpers:
            Thread(target=self._help, daemon=True).start()
            self._threads += 1
        for _ in range(helpers):
            self._handed_over.append(work)
            self._has_work.release()
        work()
        for _ in range(helpers + 1):
            ended.acquire()
        if errors:
            raise errors[0]

    def _help(self) -> None:
        while True:
            self._has_work.acquire()
            self._handed_over.popleft()()


class SharedBreaker(Breaker):
    """The breaker of an environment whose workers tell it how their tries end; one of them at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = RLock()

    def begin_batch(self) -> None:
        with self._lock:
            super().begin_batch()

    def require(self) -> None:
        with self._lock:
            super().require()

    def looked_in_vain(self, error: RetryableError) -> None:
        with self._lock:
            super().looked_in_vain(error)

    def answered(self) -> None:
        with self._lock:
            super().answered()

    def failed(self, transaction_id: str, error: RetryableError) -> bool:
        with self._lock:
            return super().failed(transaction_id, error)

    def blames(self, transaction_id: str, error: RetryableError) -> bool:
        with self._lock:
            return super().blames(transaction_id, error)

    def forget(self, transaction_id: str) -> None:
        with self._lock:
            super().forget(transaction_id)
