"""Conflicts: kept whole, found through the index, and shown to people by `payments conflicts`."""

from __future__ import annotations

import json

import pytest

from handler import approval_composition as composition
from handler.domain.claim import conflict_of
from handler.domain.process import read, settle
from handler.domain.validate import Limits, from_canonical
from operations import __main__ as cli
from tests.support.approvals import ApprovalWorld, decisions
from tests.support.payments import CARD, body, message, work


def send(world: ApprovalWorld, text: str, message_id: str) -> str:
    [reading] = read([message(text, message_id)], world.rules, world.ports, lambda: 30_000)
    return settle(reading, world.rules, world.ports, work(f"req:{message_id}"))


@pytest.fixture
def world() -> ApprovalWorld:
    """One payment and two messages of other content under its id, one of them no payment."""
    world = ApprovalWorld()
    assert send(world, body(), "m-1") == "completed"
    world.clock.ms += 60_000
    assert send(world, body(amount=1.5, description=f"for {CARD}"), "m-2") == "conflict"
    world.clock.ms += 60_000
    assert send(world, body(amount=-1), "m-3") == "conflict"
    return world


@pytest.fixture
def command(monkeypatch, capsys):
    def run(world: ApprovalWorld, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(composition, "compose_decisions", lambda environment: decisions(world))
        code = cli.main(["conflicts", *arguments], {})
        return code, *capsys.readouterr()

    return run


def kept(world: ApprovalWorld) -> list[dict]:
    return [world.item(key) for key in world.dynamodb.items if "#conflict#" in key]


def test_a_conflict_holds_the_masked_request_that_it_is(world):
    valid, invalid = kept(world)
    payment = from_canonical(valid["request"])
    assert (payment.amount_minor, payment.description) == (150, "for ************1111")
    assert (payment.request_hash, payment.customer_id) == (valid["request_hash"], "cust-456")
    assert invalid["faults"] == [{"field": "amount", "reason_code": "negative_amount"}]
    assert '"amount":{"number":"-1"}' in invalid["request"]


def test_what_wider_limits_would_accept_is_kept_with_the_amount_that_was_sent(world):
    world.rules = world.rules._replace(limits=Limits(amount_max_minor=100))
    assert send(world, body(amount=77.25), "m-4") == "conflict"
    assert '"77.25"' in kept(world)[-1]["request"]


def test_the_request_of_a_conflict_is_bounded(world):
    item = conflict_of(world.stored(), "0" * 64, 1, "x" * 65_537)
    assert item.request == ""
    assert conflict_of(world.stored(), "0" * 64, 1, "x" * 65_536).request


def test_conflicts_are_listed_the_newest_first(world, command):
    code, output, _ = command(world, "list")
    assert code == 0
    lines = output.splitlines()
    assert lines[0].split() == ["PAYMENT", "AMOUNT", "ORDER", "AGE", "CONFLICT"]
    assert [line.split()[-1] for line in lines[1:]] == [item["transaction_id"] for item in reversed(kept(world))]
    assert "1.50 USD" in lines[2]
    documents = [json.loads(line) for line in command(world, "list", "--json")[1].splitlines()]
    assert [document["message_id"] for document in documents] == ["m-3", "m-2"]


def test_a_table_without_conflicts_says_so(command):
    assert command(ApprovalWorld(), "list")[:2] == (0, "No conflict is kept.\n")


@pytest.mark.parametrize("name", ["pay-abc123", "txn-pay-abc123"])
def test_a_payments_conflicts_are_shown_beside_it(world, command, name):
    code, output, _ = command(world, "show", name)
    assert code == 0
    assert [word in output for word in ("25.99 USD", "1.50 USD", "m-2", "m-3", "below zero")] == [True] * 5
    assert CARD not in output
    assert "1111" in output


def test_one_conflict_is_shown_by_its_own_id(world, command):
    first, _ = kept(world)
    _, output, _ = command(world, "show", first["transaction_id"])
    assert ("m-2" in output, "m-3" in output) == (True, False)


@pytest.mark.parametrize("name", ["pay-other", "txn-pay-abc123#conflict#0"])
def test_what_is_no_conflict_is_refused_by_name(world, command, name):
    code, output, error = command(world, "show", name)
    assert (code, output) == (3, "")
    assert name in error


def test_a_conflict_that_cannot_be_read_hides_no_other(world, command):
    first, second = kept(world)
    world.change(first["transaction_id"], message_id=7)
    code, output, error = command(world, "list")
    assert code == 1
    assert second["transaction_id"] in output
    assert first["transaction_id"] in error
