"""`python -m local` goes on where its services are slow, and ends in a sentence where the machine refuses something."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from local import __main__ as command
from local import up
from local.status import Status

SLOW = ReadTimeoutError(endpoint_url="http://127.0.0.1:4566/")
DELETED = ClientError({"Error": {"Code": "QueueDoesNotExist", "Message": "no such queue"}}, "GetQueueAttributes")


def test_up_goes_on_where_the_services_are_slow_or_a_queue_was_deleted_and_says_it_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Iterator[Any] = iter([SLOW, SLOW, {"waiting": 3}, DELETED, {"waiting": 4}, KeyboardInterrupt()])

    def queue_depth() -> dict[str, int]:
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)

    monkeypatch.setattr(up, "time", SimpleNamespace(sleep=lambda seconds: None, monotonic=lambda: 0.0))
    monkeypatch.setattr("local.view.PLAIN_SECONDS", -1.0)
    system: Any = SimpleNamespace(
        status=Status(),
        problems=[],
        check=lambda: None,
        queue_depth=queue_depth,
        queue_metrics=SimpleNamespace(oldest_seconds=0),
        environments=list,
    )
    shown: list[dict[str, int]] = []
    approvals: Any = SimpleNamespace(mail=list, environments=list)
    page: Any = SimpleNamespace(show=shown.append)
    up._wait(system, approvals, page)
    said = capsys.readouterr().out
    assert said.count("queue and mail cannot be looked at: Read timeout") == 1
    assert said.count("no such queue") == 1
    assert said.index("3 waiting") < said.index("no such queue") < said.index("4 waiting")
    assert [queue["waiting"] for queue in shown] == [3, 4]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(13, "Permission denied", ".build/local"), "Permission denied: '.build/local'"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (SLOW, "Read timeout on endpoint URL"),
        (DELETED, "no such queue"),
    ],
)
def test_what_machine_or_services_refuse_is_a_sentence_and_no_traceback(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr(up, "main", refused)
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
    assert command.main(["up"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("local up: ")
    assert says in said
