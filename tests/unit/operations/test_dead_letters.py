"""`payments dead-letters redrive` where it is stopped: it says where it is, and what to do."""

from __future__ import annotations

import json

import pytest

from handler import approval_composition as composition
from operations import __main__ as cli
from operations import dead_letters as topic
from operations.options import Call
from tests.support.fifo import PAYMENTS, Fifo
from tests.support.parking import decisions
from tests.support.payments import World, body

VARIABLES = {"AWS_REGION": "us-east-1", "PAYMENT_QUEUE_URL": PAYMENTS}


@pytest.fixture
def redrive(monkeypatch, capsys):
    def run(queue: Fifo, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(composition, "compose_decisions", lambda environment: decisions(World()))
        monkeypatch.setattr(Call, "client", lambda self, service: queue)
        code = cli.main(["dead-letters", "redrive", *arguments], VARIABLES)
        return code, *capsys.readouterr()

    return run


def letters(*names: str) -> list[str]:
    return [body(payment_id=name) for name in names]


def test_an_interrupted_redrive_says_where_it_is_and_leaves_the_rest_for_the_next(redrive):
    bodies = letters("one", "two", "three")
    queue = Fifo(a=bodies)
    queue.fails_at = bodies[1]
    code, output, errors = redrive(queue, "--group", "a", "--yes")
    assert code == 130
    assert output.splitlines() == ["group a: one, two, three", "one sent to group a"]
    first, *rest = errors.strip().splitlines()
    assert first == "payments: interrupted"
    assert rest[0].startswith("  stopped at group a, 1 of 1, after 1 letters. What was not sent lies where it was")
    assert len(queue.receive_message(MaxNumberOfMessages=10, VisibilityTimeout=1)["Messages"]) == 2


def test_a_group_that_does_not_become_quiet_stops_the_groups_behind_it(redrive, monkeypatch):
    monkeypatch.setattr(topic, "_POLL_SECONDS", 0.01)
    queue = Fifo(a=letters("one"), b=letters("two"))
    code, output, errors = redrive(queue, "--all", "--yes", "--wait", "1")
    assert code == 1
    assert "one sent to group a" in output
    assert "two sent" not in output
    assert "group a is not quiet after 1 s: txn-one. `payments status` says where each is" in errors
    assert [each["group"] for each in queue.messages] == ["b"]


def test_a_letter_without_a_usable_id_is_sent_and_not_waited_for(redrive):
    queue = Fifo(a=["no payment"], b=letters("two"))
    code, output, _ = redrive(queue, "--group", "a", "--yes", "--json")
    told = [json.loads(line) for line in output.splitlines()]
    assert code == 0
    assert [(each["message_group_id"], each["sent"]) for each in told] == [("a", False), ("a", True)]
    assert [each["group"] for each in queue.messages] == ["b"]


def test_a_group_without_dead_letters_and_no_group_at_all_are_told(redrive):
    queue = Fifo(a=letters("one"))
    code, _, errors = redrive(queue, "--group", "nobody", "--yes")
    assert (code, "group nobody: no dead letter of it can be seen" in errors) == (3, True)
    assert redrive(queue, "--yes")[0] == 2
    assert redrive(queue, "--group", "a", "--all")[0] == 2
    assert redrive(queue, "--group", "a", "--dry-run")[:2] == (0, "group a: one\n")
    assert queue.sent == []
