"""An execution environment whose clock runs ahead ends; outside of Lambda nobody's process does (protocol, times)."""

from __future__ import annotations

import io

import pytest

from handler.adapters.memory_queues import MemorySourceQueue
from tests.support.payments import World, body, record
from tests.support.queue_function import Context, batch, create_function


class EndedError(Exception):
    pass


class Ended:
    """Stands for the end of the process, which nothing comes after."""

    code = 0

    def __call__(self, code: int) -> None:
        self.code = code
        raise EndedError


class LateContext(Context):
    def __init__(self, remaining_ms: int) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def logged() -> io.StringIO:
    return io.StringIO()


def test_an_environment_whose_clock_runs_ahead_ends_instead_of_returning_every_message(world, logged):
    function = create_function(world, MemorySourceQueue(), logged, world.rules)
    function._end = ended = Ended()
    late = LateContext(world.rules.times.least_remaining_ms - 1)
    # The first invocation may have waited for an init that had to be repeated.
    assert function(batch(record(body())), late)["batchItemFailures"]
    with pytest.raises(EndedError):
        function(batch(record(body())), late)
    assert ended.code == 1
    assert "the clock is ahead" in logged.getvalue()
    assert not world.dynamodb.items
    # With just enough time it works on.
    late.remaining_ms += 20_000
    assert function(batch(record(body())), late)["body"]["processed"] == 1


def test_nobody_ends_a_process_that_is_no_execution_environment(world, logged):
    function = create_function(world, MemorySourceQueue(), logged, world.rules)
    late = LateContext(0)
    assert function(batch(record(body())), late)["batchItemFailures"]
    assert function(batch(record(body())), late)["batchItemFailures"]
