"""What befalls a running system from outside: processes killed and stopped, wires cut, a full disk, clocks that jump.

The rule: seed and time alone decide what is tried; what struck nothing, as there was no such process, does not count.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local import threads
from local.approvals.workflow import Approvals
from local.system import LocalSystem
from tests.faults.services import DurableServices, KeptGateway
from tests.faults.wire import KINDS, Wire

# A process that is stopped for longer than a function's scaled time-out of 6 s is given up by whoever waits for it.
_STOPPED_SECONDS = (0.2, 8.0)
# How much of the faults may strike before the stream is as far.
_AHEAD = 0.03
# The clock of all functions together: how much time has passed beside what really did.
LATER = "later"
_DOWN_SECONDS = (0.0, 1.5)
_CLOCK_JUMP_SECONDS = 120.0
# An answer that a fault spoiled may be noticed, and told, a moment after the fault is over.
_AFTERMATH_SECONDS = 30.0


@dataclass
class Targets:
    """What there is to strike; `clocks` is the folder in which every execution environment has a file with its pid."""

    system: LocalSystem
    services: DurableServices
    gateway: KeptGateway
    approvals: Approvals
    wires: tuple[Wire, ...]
    clocks: Path


class Chaos:
    """Strikes one thing after another, in a thread, from `start` until `stop` or `faults_max` strikes."""

    def __init__(self, targets: Targets, seed: int, *, faults_max: int, mean_seconds: float) -> None:
        self._targets = targets
        self._choose = random.Random(f"chaos:{seed}")
        self._faults_max = faults_max
        self._mean_seconds = mean_seconds
        self._struck: Counter[str] = Counter()
        self._undone: list[tuple[float, Callable[[], None]]] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._last = 0.0
        #: How much of the stream is settled, from 0 to 1: faults are spread over all of it.
        self.progress = 0.0
        self.errors: list[str] = []
        self._actions: tuple[tuple[int, str, Callable[[], bool]], ...] = (
            (24, "environment killed", self._kill_environment),
            (10, "environment stopped", self._stop_environment),
            (8, "gateway killed", self._kill_gateway),
            (5, "gateway stopped", lambda: self._stop(targets.gateway.pid)),
            (5, "durable engine killed", self._kill_engine),
            (4, "durable engine stopped", lambda: self._stop(targets.approvals.engine_pid)),
            (5, "queue and table killed", self._kill_services),
            (5, "queue and table stopped", lambda: self._stop(targets.services.pid)),
            (20, "", self._strike_wire),
            (3, "gateway's disk full", lambda: self._fill_disk(targets.gateway.pid)),
            (2, "durable engine's disk full", lambda: self._fill_disk(targets.approvals.engine_pid)),
            (2, "queue and table's disk full", lambda: self._fill_disk(targets.services.pid)),
            (8, "clock jumped", self._jump),
        )

    @property
    def struck(self) -> Counter[str]:
        """Faults by kind."""
        total = Counter(self._struck)
        for wire in self._targets.wires:
            total += wire.struck
        return total

    def is_quiet(self) -> bool:
        """Whether no fault, nor what it leads to, is under way."""
        return not self._undone and time.monotonic() - self._last > _AFTERMATH_SECONDS

    def start(self) -> None:
        self._last = time.monotonic()
        self._thread = threads.start("chaos", self._run, self.errors.append)

    def stop(self) -> None:
        """Strike no more, and put right what is stopped, full or wrong."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._put_right(everything=True)
        for wire in self._targets.wires:
            wire.clear()
        for clock in self._targets.clocks.iterdir():
            if clock.name != LATER:
                shift(clock, 0)

    def _run(self) -> None:
        weights = [weight for weight, _, _ in self._actions]
        while not self._stopping.wait(self._choose.expovariate(1 / self._mean_seconds)):
            self._put_right()
            if self.struck.total() >= self._faults_max * min(1.0, self.progress + _AHEAD):
                continue
            _, name, strike = self._choose.choices(self._actions, weights)[0]
            # Who is to be struck may be gone by now.
            with suppress(ProcessLookupError):
                if strike():
                    self._last = time.monotonic()
                    if name:
                        self._struck[name] += 1

    def _put_right(self, *, everything: bool = False) -> None:
        now = time.monotonic()
        due = [each for each in self._undone if everything or each[0] <= now]
        self._undone = [each for each in self._undone if each not in due]
        for _, undo in due:
            with suppress(ProcessLookupError):
                undo()

    def _later(self, undo: Callable[[], None]) -> None:
        self._undone.append((time.monotonic() + self._choose.uniform(*_STOPPED_SECONDS), undo))

    # ---- what strikes -----------------------------------------------------------------------------------------

    def _environments(self) -> list[int]:
        """Execution environments of every function that are alive, by the clocks that they read."""
        group = self._targets.system.processes.group_id
        found = []
        for clock in self._targets.clocks.iterdir():
            # `later` is nobody's.
            with suppress(OSError, ValueError):
                if os.getpgid(int(clock.name)) == group:
                    found.append(int(clock.name))
        return sorted(found)

    def _busy(self) -> list[int]:
        return [each.pid for each in self._targets.system.environments() if each.request_id and each.pid]

    def _environment(self) -> int | None:
        """One at work on payments, mostly."""
        pids = self._busy() if self._choose.random() < 0.6 else []
        pids = pids or self._environments()
        return self._choose.choice(pids) if pids else None

    def _kill_environment(self) -> bool:
        pid = self._environment()
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def _stop_environment(self) -> bool:
        return self._stop(self._environment())

    def _stop(self, pid: int | None) -> bool:
        if pid is None:
            return False
        os.kill(pid, signal.SIGSTOP)
        self._later(lambda: os.kill(pid, signal.SIGCONT))
        return True

    def _kill_gateway(self) -> bool:
        return self._targets.gateway.crash(self._choose.uniform(*_DOWN_SECONDS))

    def _kill_services(self) -> bool:
        return self._targets.services.crash(self._choose.uniform(*_DOWN_SECONDS))

    def _kill_engine(self) -> bool:
        pid = self._targets.approvals.engine_pid
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def _strike_wire(self) -> bool:
        wire, kind = self._choose.choice(self._targets.wires), self._choose.choice(KINDS)
        for _ in range(self._choose.randint(1, 3)):
            wire.order(kind)
        return True

    def _fill_disk(self, pid: int | None) -> bool:
        """No file of this process grows any more: what a full disk is to it, whoever else uses that disk."""
        if pid is None or sys.platform != "linux":
            return False
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
        self._later(lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard)) and None)
        return True

    def _jump(self) -> bool:
        pids = self._environments()
        if not pids:
            return False
        seconds = self._choose.uniform(-_CLOCK_JUMP_SECONDS, _CLOCK_JUMP_SECONDS)
        shift(self._targets.clocks / str(self._choose.choice(pids)), round(seconds * 1e9))
        return True


def shift(clock: Path, nanoseconds: int) -> None:
    """Let a clock be wrong by so much, or late."""
    with clock.open("r+b") as file:
        file.write(nanoseconds.to_bytes(8, "little", signed=True))
