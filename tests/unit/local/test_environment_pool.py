"""A pool counts as busy what is, and nothing else: reserved concurrency is measured by it."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import environment_pool
from local.environment_pool import EnvironmentPool, Watch
from local.execution_environment import THROTTLED, ExecutionEnvironment, FunctionVersion, Outcome

VERSION = FunctionVersion("f", "1", "arn:aws:lambda:us-east-1:0:function:f:live", Path(), "h.h", 3, 128, {})


class Full:
    """A machine that cannot make one more process."""

    def start(self, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOMEM, "no process")


def pool_of(folder: Path, reserved: int | None, told: list[str | None]) -> EnvironmentPool:
    function: Any = SimpleNamespace(current=lambda: VERSION, reserved=reserved)
    full: Any = Full()
    return EnvironmentPool(
        function,
        runtime_python=folder,
        processes=full,
        log_directory=folder,
        host_variables={},
        watch=Watch(invoked=lambda name, outcome, _: told.append(outcome.error_type)),
    )


def test_reserved_concurrency_of_none_throttles_every_invocation(tmp_path: Path) -> None:
    told: list[str | None] = []
    pool = pool_of(tmp_path, 0, told)
    outcome = pool.invoke(b"{}")
    pool.stop()
    assert outcome.error_type == THROTTLED
    assert json.loads(outcome.payload)["errorMessage"] == "Rate Exceeded."
    assert told == [THROTTLED]


def test_an_environment_that_cannot_be_made_is_not_busy_for_ever(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, 1, [])
    for _ in range(3):
        with pytest.raises(OSError, match="no process"):
            pool.invoke(b"{}")
        with pytest.raises(OSError, match="no process"):
            pool.warm(1)
    assert pool.environments() == []
    assert pool.states() == {"starting": 0, "busy": 0, "idle": 0}
    assert "runtime-api" not in {thread.name for thread in threading.enumerate()}
    pool.stop()


def test_two_that_come_at_once_do_not_both_get_the_one_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second: list[Outcome] = []

    class Environment(ExecutionEnvironment):
        def init(self) -> bool:
            return True

        def invoke(self, event: bytes, **_: Any) -> Outcome:
            return Outcome("r", b"{}", None, 1.0, None, None)

    class Lock:
        """Whoever gives it back first is overtaken there."""

        lock = threading.Lock()
        is_first = True

        def __enter__(self) -> None:
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()
            if self.is_first:
                self.is_first = False
                second.append(pool.invoke(b"{}"))

    monkeypatch.setattr(environment_pool, "ExecutionEnvironment", Environment)
    pool = pool_of(tmp_path, 1, [])
    monkeypatch.setattr(pool, "_lock", Lock())
    first = pool.invoke(b"{}")
    assert {first.error_type, second[0].error_type} == {None, THROTTLED}
    pool.stop()
