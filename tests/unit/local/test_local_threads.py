"""Threads of the local system tell what went wrong to the system, and never raise into the terminal.

An exception that leaves a thread is a warning of pytest's, which fails the test.
"""

from __future__ import annotations

import ast
import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import event_source_mapping, threads
from local.approvals.engine import DurableEngine
from local.approvals.lambda_api import LambdaApi
from local.approvals.schedule import Schedule
from local.approvals.server import Request, Server
from local.event_source_mapping import EventSourceMapping
from local.execution_environment import Outcome
from local.loopback import ask
from local.ministack import ServicesError
from local.runtime_api import error_document


@pytest.mark.parametrize("error", [ServicesError("it did not start"), OSError("no space left")])
def test_an_engine_that_dies_while_it_starts_is_a_problem_and_is_started_again(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str] = []
    processes: Any = None
    engine = DurableEngine(tmp_path, processes, "http://127.0.0.1:1", problems.append)
    starts = iter([error, None])

    def start() -> None:
        failure = next(starts)
        if failure is not None:
            raise failure
        engine._stopping.set()

    monkeypatch.setattr(engine, "start", start)
    engine._process = SimpleNamespace(poll=lambda: 1)  # type: ignore[assignment]
    engine.keep()
    assert engine._keeper is not None
    engine._keeper.join(timeout=30)
    assert problems == [f"the durable engine died and did not start: {error}"]


def test_a_mapping_that_stops_while_it_hands_out_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    message = {"MessageId": "m", "Attributes": {"MessageGroupId": "g"}}
    sqs: Any = None
    mappings: list[EventSourceMapping] = []
    share = event_source_mapping.by_groups

    def stop_then_share(messages: list[dict[str, Any]], slots: int) -> list[list[dict[str, Any]]]:
        mappings[0].stop()
        return share(messages, slots)

    monkeypatch.setattr(event_source_mapping, "by_groups", stop_then_share)
    begun: list[Any] = []
    monkeypatch.setattr(EventSourceMapping, "_receive", lambda self: [message] if mappings else [])
    mappings.append(EventSourceMapping(sqs, "", "arn", begun.append, concurrency=1))  # type: ignore[arg-type]
    mappings[0]._poller.join(timeout=30)
    assert not mappings[0]._poller.is_alive()
    assert begun == []


def test_what_leaves_a_thread_is_told_to_its_owner(capfd: pytest.CaptureFixture[str]) -> None:
    problems: list[str] = []

    def fail() -> None:
        raise KeyError("what")

    threads.start("worker", fail, problems.append).join(timeout=30)
    threads.start("orphan", fail).join(timeout=30)
    assert problems == ["thread worker: KeyError: 'what'"]
    assert capfd.readouterr().err == "local: thread orphan: KeyError: 'what'\n"


def test_every_thread_of_the_local_system_is_started_where_that_is_held() -> None:
    folder = Path(threads.__file__).parent
    starting = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("Thread", "Timer")
    }
    assert starting == {"threads.py"}


@pytest.mark.parametrize("error", [KeyError("x"), sqlite3.OperationalError("disk full"), ServicesError("gone")])
def test_a_request_that_fails_is_answered(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(_request: Request) -> None:
        raise error

    server = Server(fail)
    server.start("failing")
    status, answer, headers = ask(server.server_port, "GET", "/")
    server.stop()
    assert (status, headers["x-amzn-errortype"]) == (503, "ServiceException")
    assert str(error) in json.loads(answer)["Message"]
    assert capfd.readouterr().err == ""


def test_a_schedule_invokes_again_and_again_and_tells_of_each_failure() -> None:
    answers = iter([None, "ValueError", "raised", None])
    problems: list[str] = []
    schedule = Schedule("reconcile", 0.001, problems.append)

    def invoke(event: bytes) -> Outcome:
        assert event == b"{}"
        error = next(answers)
        if error == "raised":
            raise ServicesError("they are down")
        if schedule.runs == 3:
            schedule.stop()
        return Outcome("r", error_document("ValueError", "no table") if error else b"{}", error, 1.0, None, None)

    schedule.start(SimpleNamespace(invoke=invoke))  # type: ignore[arg-type]
    assert schedule._thread is not None
    schedule._thread.join(timeout=30)
    assert schedule.runs == 4
    assert problems == ["reconcile: ValueError: no table", "reconcile: ServicesError: they are down"]


@pytest.mark.parametrize("payload", [b"\xff", b"{", b"no json"])
def test_a_workflow_is_not_started_on_what_is_no_json(
    tmp_path: Path, payload: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    engine: Any = None
    api = LambdaApi("f")
    provisioned: Any = None
    functions: Any = None
    api.open(engine, tmp_path / "names.sqlite", "http://127.0.0.1:1", provisioned, functions)
    path = "/2015-03-31/functions/f:live/invocations"
    status, answer, _ = ask(api._server.server_port, "POST", path, payload, {"X-Amz-Invocation-Type": "Event"})
    api.close()
    assert (status, b"Could not parse request body into json" in answer) == (400, True)
    assert capfd.readouterr().err == ""


def test_a_start_that_is_lost_is_accepted_and_begins_nothing(tmp_path: Path) -> None:
    nothing: Any = None
    api = LambdaApi("f", "dev-pay-1-1")
    api.open(nothing, tmp_path / "names.sqlite", "http://127.0.0.1:1", nothing, nothing)
    path = "/2015-03-31/functions/f:live/invocations"

    def start(name: str) -> int:
        headers = {"X-Amz-Invocation-Type": "Event", "X-Amz-Durable-Execution-Name": name}
        return ask(api._server.server_port, "POST", path, b"{}", headers)[0]

    assert [start("dev-pay-1-1"), start("dev-pay-1-1")] == [202, 202]
    # The next generation's begins, where there is an engine.
    assert start("dev-pay-1-2") == 503
    assert api.lost == 2
    api.close()
