"""The execution environments of one function: kept warm, reused, retired.

The rule: the function's configuration has one truth, the version behind its alias in the Lambda API; an environment of
an older revision is never given another invocation.
"""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import threads
from local.execution_environment import INIT_SECONDS_MAX, THROTTLED, ExecutionEnvironment, FunctionVersion, Outcome
from local.process_group import ProcessGroup
from local.published_function import PublishedFunction
from local.runtime_api import error_document


def _nothing(*_: Any) -> None:
    return


@dataclass(frozen=True)
class Watch:
    """Who hears of a pool's environments: as one is made, when its init failed, and of each invocation's end.

    The last one is told the function's name, and how many invocations were under way at once, itself included.
    """

    opened: Callable[[ExecutionEnvironment], None] = _nothing
    init_failed: Callable[[ExecutionEnvironment], None] = _nothing
    invoked: Callable[[str, Outcome, int], None] = _nothing


class EnvironmentPool:
    """Warm and busy environments. Callers bound the concurrency; the pool makes what they ask for."""

    def __init__(
        self,
        function: PublishedFunction,
        *,
        runtime_python: Path,
        processes: ProcessGroup,
        log_directory: Path,
        host_variables: dict[str, str],
        idle_seconds_max: float = 300.0,
        init_seconds_max: float = INIT_SECONDS_MAX,
        watch: Watch = Watch(),
    ) -> None:
        """`idle_seconds_max` is how long an unused environment stays warm."""
        self.function = function
        self._numbers = itertools.count(1)
        self._runtime_python = runtime_python
        self._processes = processes
        self._log_directory = log_directory
        self._host_variables = host_variables
        self._init_seconds_max = init_seconds_max
        self._idle_seconds_max = idle_seconds_max
        self._watch = watch
        self._lock = threading.Lock()
        self._idle: list[ExecutionEnvironment] = []
        self._busy: list[ExecutionEnvironment] = []
        self._starting = 0
        self._kept = 0
        self._stopped = threading.Event()
        threads.start("environment-reaper", self._end_idle)

    def invoke(self, event: bytes) -> Outcome:
        """Run one event in a warm environment, or in a new one where there is none. Raises as the function does."""
        version = self.function.current()
        environment = self._take(version, self.function.reserved)
        if environment is None:
            return self._throttled(version.name)
        try:
            with self._lock:
                concurrent = len(self._busy)
            outcome = environment.invoke(event)
            self._watch.invoked(version.name, outcome, concurrent)
        finally:
            self._give_back(environment)
        return outcome

    def _throttled(self, function: str) -> Outcome:
        outcome = Outcome(str(uuid.uuid4()), error_document(THROTTLED, "Rate Exceeded."), THROTTLED, 0.0, None, None)
        self._watch.invoked(function, outcome, 0)
        return outcome

    def warm(self, count: int) -> None:
        """Have at least `count` environments of the current version, made one after another, and keep them.

        That is what provisioned concurrency does. Raises as the function does.
        """
        self._kept = count
        version = self.function.current()
        while sum(each.function.revision == version.revision for each in self.environments()) < count:
            environment = self._new(version, ahead=True)
            with self._lock:
                self._busy.append(environment)
            self._init(environment)
            self._give_back(environment)

    def warm_count(self) -> int:
        """How many environments of the current version have their init behind them."""
        revision = self.function.current().revision
        return sum(each.initialised and each.function.revision == revision for each in self.environments())

    def environments(self) -> list[ExecutionEnvironment]:
        """Those alive now, busy ones first; a busy one has `request_id` and `event`."""
        with self._lock:
            return [*self._busy, *self._idle]

    def states(self) -> Counter[str]:
        """How many are `starting` (in their init), `busy` (with an invocation) and `idle` now."""
        with self._lock:
            idle = sum(not each.ended for each in self._idle)
            return Counter(starting=self._starting, busy=len(self._busy) - self._starting, idle=idle)

    def stop(self) -> None:
        """Kill them all; an invocation under way ends as a crash."""
        self._stopped.set()
        for environment in self.environments():
            environment.kill()

    def _new(self, version: FunctionVersion, *, ahead: bool = False) -> ExecutionEnvironment:
        environment = ExecutionEnvironment(
            version,
            number=next(self._numbers),
            runtime_python=self._runtime_python,
            processes=self._processes,
            log_directory=self._log_directory,
            host_variables=self._host_variables,
            init_seconds_max=self._init_seconds_max,
            ahead=ahead,
        )
        self._watch.opened(environment)
        return environment

    def _take(self, version: FunctionVersion, reserved: int | None) -> ExecutionEnvironment | None:
        """None where reserved concurrency has no room for one more. Raises OSError where none can be made."""
        while True:
            with self._lock:
                if reserved is not None and len(self._busy) >= reserved:
                    return None
                # The one used last: the others get a chance to become idle enough to end.
                environment = self._idle.pop() if self._idle else None
                if environment is None:
                    environment = self._new(version)
                    self._busy.append(environment)
                    break
                if environment.pid is not None and environment.function.revision == version.revision:
                    self._busy.append(environment)
                    return environment
            environment.kill()
        self._init(environment)
        return environment

    def _init(self, environment: ExecutionEnvironment) -> None:
        with self._lock:
            self._starting += 1
        try:
            is_ready = environment.init()
        except OSError:
            # No process or no log file could be made: it is nobody's, and must not count as busy for ever.
            with self._lock:
                self._busy.remove(environment)
            environment.kill()
            raise
        finally:
            with self._lock:
                self._starting -= 1
        if not is_ready:
            self._watch.init_failed(environment)

    def _give_back(self, environment: ExecutionEnvironment) -> None:
        with self._lock:
            self._busy.remove(environment)
            if not environment.ended and not self._stopped.is_set():
                self._idle.append(environment)
                return
        environment.kill()

    def _end_idle(self) -> None:
        while not self._stopped.wait(min(1.0, self._idle_seconds_max)):
            now = time.monotonic()
            with self._lock:
                spare = max(0, len(self._idle) + len(self._busy) - self._kept)
                old = [each for each in self._idle if now - each.idle_since > self._idle_seconds_max][:spare]
                self._idle = [each for each in self._idle if each not in old]
            for environment in old:
                environment.kill()
