"""Log groups from files: whole lines, in order, in a stream of their environment, and none lost at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local import log_groups
from local.log_groups import LogGroups
from local.worker_logs import WorkerLogs


class Logs:
    """A client of CloudWatch Logs that keeps what it is given; a group that is there is refused as AWS refuses it."""

    class exceptions:
        class ResourceAlreadyExistsException(Exception):
            pass

        class ResourceNotFoundException(Exception):
            pass

    def __init__(self, *groups: str) -> None:
        self.groups = list(groups)
        self.streams: dict[str, list[str]] = {}
        self.calls: list[int] = []
        self.fault: Exception | None = None

    def create_log_group(self, logGroupName: str) -> None:
        if logGroupName in self.groups:
            raise self.exceptions.ResourceAlreadyExistsException
        self.groups.append(logGroupName)

    def create_log_stream(self, logGroupName: str, logStreamName: str) -> None:
        if logGroupName not in self.groups:
            raise self.exceptions.ResourceNotFoundException
        assert logStreamName not in self.streams
        self.streams[logStreamName] = []

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> None:
        if self.fault is not None:
            raise self.fault
        if logStreamName not in self.streams:
            raise self.exceptions.ResourceNotFoundException
        assert all(event["message"] for event in logEvents)
        self.calls.append(len(logEvents))
        self.streams[logStreamName] += [event["message"] for event in logEvents]

    def get_paginator(self, operation: str) -> Any:
        logs = self

        class Pages:
            def paginate(self, logGroupName: str, logStreamNames: list[str] = (), **_: Any) -> list[dict[str, Any]]:
                if logGroupName not in logs.groups:
                    raise logs.exceptions.ResourceNotFoundException
                if operation == "describe_log_streams":
                    # A page each, the newest first.
                    return [{"logStreams": [{"logStreamName": name}]} for name in reversed(logs.streams)]
                return [{"events": [{"message": m} for name in logStreamNames for m in logs.streams[name]]}]

        return Pages()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_groups, "POLL_SECONDS", 0.01)


@pytest.mark.parametrize("there", [[], ["/aws/lambda/f"]])
def test_lines_are_events_of_their_environments_stream(tmp_path: Path, there: list[str]) -> None:
    logs = Logs(*there)
    lines: list[str] = []
    problems: list[str] = []
    sending = LogGroups(logs, line=lines.append, problem=problems.append)
    for number in (1, 2):
        sending.follow("f", f"stream-{number}", tmp_path / f"{number}.log")
    (tmp_path / "1.log").write_bytes("START\nç\n\nEND\nno end of line".encode())
    (tmp_path / "2.log").write_bytes(b"START\n")
    sending.stop()
    assert logs.groups == ["/aws/lambda/f"]
    assert logs.streams == {"stream-1": ["START", "ç", "END", "no end of line"], "stream-2": ["START"]}
    assert sorted(lines) == sorted(["START", "ç", "", "END", "no end of line", "START"])
    assert problems == []
    assert sending.has("stream-1")
    assert not sending.has("stream-3")


def test_a_line_that_is_written_in_parts_is_one_event(tmp_path: Path) -> None:
    logs, path = Logs(), tmp_path / "1.log"
    stream = log_groups._Stream("/aws/lambda/f", "stream-1", path)
    sending = LogGroups(logs, line=lambda line: None, problem=pytest.fail)
    for part in (b"be", b"gin\nne", "ç\n".encode()[:2], "ç\n".encode()[2:]):
        with path.open("ab") as file:
            file.write(part)
        sending._send_new(stream, last=False)
    sending.stop()
    assert logs.streams == {"stream-1": ["begin", "neç"]}


def test_a_stream_that_the_services_forgot_is_made_again(tmp_path: Path) -> None:
    logs, path = Logs(), tmp_path / "1.log"
    stream = log_groups._Stream("/aws/lambda/f", "stream-1", path)
    sending = LogGroups(logs, line=lambda line: None, problem=pytest.fail)
    path.write_bytes(b"before\n")
    sending._send_new(stream, last=False)
    logs.groups.clear()
    logs.streams.clear()
    with path.open("ab") as file:
        file.write(b"after\n")
    sending._send_new(stream, last=False)
    # A second stream of a group that was made before, and is forgotten by now.
    logs.groups.clear()
    other = log_groups._Stream("/aws/lambda/f", "stream-2", path)
    sending._send_new(other, last=False)
    sending.stop()
    assert logs.groups == ["/aws/lambda/f"]
    assert logs.streams == {"stream-1": ["after"], "stream-2": ["before", "after"]}


def test_calls_keep_to_the_limits_of_cloudwatch(tmp_path: Path) -> None:
    logs, path = Logs(), tmp_path / "1.log"
    path.write_text("x\n" * 7_000 + ("y" * 300_000 + "\n") * 5)
    sending = LogGroups(logs, line=lambda line: None, problem=pytest.fail)
    sending.follow("f", "stream-1", path)
    sending.stop()
    assert sum(logs.calls) == 7_005
    assert max(logs.calls) == 5_000
    assert [len(message) for message in logs.streams["stream-1"][-5:]] == [250_000] * 5


def test_services_that_do_not_answer_are_told(tmp_path: Path) -> None:
    logs = Logs()
    problems: list[str] = []
    logs.fault = ConnectionError("gone")
    (tmp_path / "1.log").write_text("a\n")
    sending = LogGroups(logs, line=lambda line: None, problem=problems.append)
    sending.follow("f", "stream-1", tmp_path / "1.log")
    while not problems:
        sending._stopping.wait(0.01)
    sending.stop()
    assert problems == ["log stream of 1.log: ConnectionError: gone"]


def test_lines_of_the_services_own_worker_are_copied_once_and_ours_never(tmp_path: Path) -> None:
    logs = Logs()
    lines: list[str] = []
    copying = WorkerLogs(
        logs,
        "/aws/lambda/f",
        tmp_path / "worker.log",
        line=lines.append,
        ours=lambda name: name.startswith("ours"),
        problem=pytest.fail,
    )
    copying._copy()
    logs.groups.append("/aws/lambda/f")
    logs.streams |= {"theirs-1": ["1"], "ours-1": ["x"], "theirs-2": ["2"], "ours-2": ["y"]}
    copying._copy()
    logs.streams |= {"theirs-3": ["3"], "ours-3": ["z"]}
    copying.stop()
    assert lines == (tmp_path / "worker.log").read_text().splitlines() == ["1", "2", "3"]
