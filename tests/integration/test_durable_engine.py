"""The durable engine goes on, after its death, with what was under way."""

import json
import signal
import sqlite3
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest
from aws_durable_execution_sdk_python.lambda_service import OperationStatus, OperationType
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.model import StartDurableExecutionInput
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

from local.approvals.engine import DurableEngine
from local.approvals.server import Request, Server
from local.ministack import ServicesError
from local.process_group import ProcessGroup
from tests.support.processes import wait_for


class Function:
    """A function of Lambda's API whose calls never answer; `called` has the execution of each."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.end = threading.Event()
        self.server = Server(self._serve)
        self.server.start("function")

    def _serve(self, request: Request) -> None:
        self.called.append(str(json.loads(request.content)["DurableExecutionArn"]))
        self.end.wait(120)


def waiting(store: SQLiteExecutionStore, name: str) -> str:
    """An execution that was asked for a callback's answer; returns its ARN."""
    execution = Execution.new(
        StartDurableExecutionInput("000000000000", "f", "1", name, 90_000, 14, invocation_id=name, input="{}"),
    )
    execution.start()
    (began,) = execution.operations
    execution.operations.append(
        type(began)(operation_id="ask", operation_type=OperationType.CALLBACK, status=OperationStatus.STARTED)
    )
    store.save(execution)
    return execution.durable_execution_arn


def test_a_killed_engine_calls_again_what_it_had_called_and_nobody_who_waits(tmp_path: Path) -> None:
    function = Function()
    problems: list[str] = []
    with ProcessGroup() as processes:
        engine = DurableEngine(tmp_path, processes, function.server.url, problems.append)
        engine.start()
        first = engine.start_execution("f", "1", "first", b"{}")
        asleep = waiting(SQLiteExecutionStore.create_and_initialize(tmp_path / "executions.sqlite"), "asleep")
        second = engine.start_execution("f", "1", "second", b"{}")
        wait_for(lambda: sorted(function.called) == sorted([first, second]))
        killed = engine._process
        assert isinstance(killed, subprocess.Popen)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        engine.start()
        wait_for(lambda: function.called.count(first) > 1 and function.called.count(second) > 1)
        function.end.set()
        engine.stop()
    function.server.stop()
    assert asleep not in function.called
    assert problems == []


def test_an_engine_that_can_keep_nothing_ends_and_begins_anew(tmp_path: Path) -> None:
    function = Function()
    problems: list[str] = []
    with ProcessGroup() as processes:
        engine = DurableEngine(tmp_path, processes, function.server.url, problems.append)
        engine.start()
        engine.keep()
        with closing(sqlite3.connect(tmp_path / "executions.sqlite")) as database:
            database.execute("DROP TABLE executions")
        with pytest.raises((ServicesError, OSError)):
            engine.start_execution("f", "1", "refused", b"{}")
        wait_for(lambda: engine.starts == 2)
        wait_for(lambda: starts(engine, "taken"))
        wait_for(lambda: len(function.called) == 1)
        function.end.set()
        engine.stop()
    function.server.stop()
    assert problems == []


def starts(engine: DurableEngine, name: str) -> bool:
    try:
        engine.start_execution("f", "1", name, b"{}")
    except (ServicesError, OSError):
        return False
    return True
