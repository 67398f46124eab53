"""What `make up` shows: a live table in a terminal, plain lines elsewhere, and in both why an init failed."""

from __future__ import annotations

import json
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from local import view
from local.status import Status
from local.view import View

QUEUE = {"waiting": 3, "in flight": 1}


def environment(name: str, problem: str = "", request_id: str | None = None) -> Any:
    function = SimpleNamespace(name=name, version="2")
    return SimpleNamespace(function=function, init_problem=problem, request_id=request_id)


def settled(payment_id: str, outcome: str, level: str = "INFO") -> str:
    return json.dumps({"level": level, "message": outcome, "correlation_id": payment_id, "message_group_id": "g"})


@pytest.fixture
def status() -> Status:
    status = Status()
    for number in range(9):
        status.line(settled(f"pay-{number}", "completed"))
    status.line(settled("pay-x", "the gateway did not answer", "WARNING"))
    for line in ("", '{"correlation_id": ', '["correlation_id"]', '{"message": 5, "correlation_id": "p"}'):
        status.line(line)
    status.line(settled("pay-9", "declined"))
    return status


def test_payments_are_counted_as_they_settle(status: Status) -> None:
    assert status.outcomes == {"completed": 9, "declined": 1}
    assert [each.payment_id for each in status.recent] == [f"pay-{number}" for number in range(2, 10)]


@pytest.mark.parametrize("line_first", [True, False])
def test_a_payment_that_waited_for_a_person_is_counted_as_what_it_ended_as(line_first: bool) -> None:
    status = Status()
    line = settled("risky", "pending_approval")
    status.event("other", "completed")
    if line_first:
        status.line(line)
    status.event("risky", "expired")
    if not line_first:
        status.line(line)
    assert status.outcomes == {"completed": 1, "expired": 1}
    assert [(each.outcome, each.group) for each in status.recent] == [("pending_approval", "g"), ("expired", "g")]


def test_a_payment_counts_once_however_often_its_messages_came(status: Status) -> None:
    for outcome in ("duplicate", "duplicate", "conflict"):
        status.line(settled("pay-1", outcome))
    for outcome in ("parked", "duplicate", "completed"):
        status.line(settled("pay-retried", outcome))
    status.event("pay-retried", "completed")
    # Told under their payment's id.
    status.event("pay-1", "refunded")
    status.event("pay-1", "conflict")
    assert status.outcomes == {"completed": 10, "declined": 1}
    assert status.messages == {"conflict": 1, "duplicate": 3}
    console = Console(file=StringIO(), width=200)
    with View(console, status) as shown:
        shown.show(QUEUE, [])
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "completed 10, declined 1; messages: conflict 1, duplicate 3" in said


def test_a_terminal_shows_queue_environments_and_the_last_payments(status: Status) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100)
    with View(console, status) as shown:
        shown.show(QUEUE, [environment("queue"), environment("queue", request_id="r"), environment("workflow")])
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3 waiting, 1 in flight" in said
    assert "2 environments, 1 busy" in said
    assert "completed 9, declined 1" in said
    assert "pay-9  declined  g" in said


@pytest.mark.parametrize("terminal", [True, False])
def test_an_init_that_fails_is_told_with_its_reason_and_not_at_every_try(status: Status, terminal: bool) -> None:
    console = Console(file=StringIO(), force_terminal=terminal, width=200)
    broken = environment("queue", "ConfigurationError: GATEWAY is not set")
    shown = View(console, status)
    tries = []
    for number in range(1, 8):
        status.init_failed(broken)
        if number != 1:
            shown.show(QUEUE, [])
        tries.append(console.file.getvalue().count("init failed"))  # type: ignore[attr-defined]
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "init failed (2 times): queue, version 2: ConfigurationError: GATEWAY is not set" in said
    assert "init failed (4 times)" in said
    assert ("\x1b[1;31m" in said) is terminal
    if not terminal:
        assert tries == [0, 1, 1, 2, 2, 2, 2]


def test_an_init_that_failed_once_is_not_counted(status: Status) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=200)
    status.init_failed(environment("queue", "no GATEWAY"))
    with View(console, status) as shown:
        shown.show(QUEUE, [])
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "init failed: queue, version 2: no GATEWAY" in said
    assert "1 times" not in said


def test_a_plain_line_is_not_repeated(status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "PLAIN_SECONDS", -1.0)
    console = Console(file=StringIO(), width=100)
    with View(console, status) as shown:
        for queue in (QUEUE, QUEUE, {"waiting": 0, "in flight": 0}):
            shown.show({**queue, "s old": len(console.file.getvalue())}, [])  # type: ignore[attr-defined]
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "# queue: 3 waiting, 1 in flight; 0 environments; completed 9, declined 1",
        "# queue: 0 waiting, 0 in flight; 0 environments; completed 9, declined 1",
    ]
