"""`payments refund` on the command line, over a completed payment in memory and a queue that keeps what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler import approval_composition as composition
from handler.adapters.table.expressions import to_attributes
from handler.domain.errors import GatewayRefusedError
from handler.domain.payment import DisputeSeen, RefundSeen
from operations import __main__ as cli
from operations import refund as topic
from operations.options import Call
from tests.support.parking import decisions
from tests.support.payments import CARD
from tests.support.refunds import RefundWorld, completed, give

REFUND = "txn-pay-abc123#refund#r-1"


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `payments ...` over a world; returns exit code, output, errors and what was sent."""

    def run(world: RefundWorld, *arguments: str) -> tuple[int, str, str, list[dict[str, Any]]]:
        sent: list[dict[str, Any]] = []

        class Sqs:
            def send_message(self, **message: Any) -> dict[str, str]:
                sent.append(message)
                return {"MessageId": "m-9"}

        monkeypatch.setattr(composition, "compose_decisions", lambda environment: decisions(world))
        monkeypatch.setattr(topic, "queue_url", lambda call: "a queue")
        monkeypatch.setattr(Call, "client", lambda self, service: Sqs())
        code = cli.main([*arguments, *([] if arguments[0] == "status" else ["--yes"])], {})
        return code, *capsys.readouterr(), sent

    return run


def test_a_refund_is_sent_once_into_its_payments_group(command):
    code, output, _, [sent] = command(completed(), "refund", "pay-abc123", "--amount", "10.00", "--refund-id", "r-1")
    assert (code, f"{REFUND} was sent" in output) == (0, True)
    asked = {"payment_id": "pay-abc123", "refund_id": "r-1", "currency": "USD", "amount": 10.0}
    assert json.loads(sent["MessageBody"]) == {"refund": asked}


def test_an_id_that_looks_like_a_card_number_is_neither_sent_nor_shown(command):
    code, output, errors, sent = command(completed(), "refund", "pay-abc123", "--refund-id", CARD)
    assert (code, "looks like a card number" in errors, sent) == (2, True, [])
    assert CARD not in output + errors


@pytest.mark.parametrize("amount", [[], ["--amount", "20.00"]])
def test_a_refund_that_was_sent_already_is_told_and_not_sent_again(command, amount):
    world = completed()
    give(world)
    code, output, _, sent = command(world, "refund", "pay-abc123", "--refund-id", "r-1", *amount)
    assert (code, f"{REFUND} over 20.00 USD is refunded already" in output, sent) == (0, True, [])


def test_another_amount_under_an_id_that_is_taken_is_refused_and_not_sent(command):
    world = completed()
    give(world)
    code, _, errors, sent = command(world, "refund", "pay-abc123", "--refund-id", "r-1", "--amount", "1.00")
    assert (code, "another refund needs another --refund-id" in errors, sent) == (1, True, [])


def test_an_id_whose_refund_failed_is_used_up(command):
    world = completed()
    give(world, "26.00")
    code, _, errors, sent = command(world, "refund", "pay-abc123", "--refund-id", "r-1", "--amount", "26.00")
    assert (code, f"{REFUND} over 26.00 USD is failed already" in errors, sent) == (1, True, [])


def test_a_refund_of_a_disputed_payment_is_not_sent(command):
    world = completed()
    dispute = DisputeSeen("du_1", "won", 2599, "USD", "general", 1, 2)
    world.dynamodb.items["txn-pay-abc123"] |= to_attributes({"disputed": [dispute._asdict()], "later_no": 1})
    code, _, errors, sent = command(world, "refund", "pay-abc123", "--refund-id", "r-1")
    assert (code, "txn-pay-abc123 was disputed: no refund" in errors, sent) == (1, True, [])


def test_of_a_payment_that_was_given_back_in_full_nothing_more_is_sent_or_advised(command):
    world = completed()
    give(world)
    assert "can be done: payments refund pay-abc123 --refund-id ID" in command(world, "status", "pay-abc123")[1]
    give(world, "5.99", "r-2")
    code, _, errors, sent = command(world, "refund", "pay-abc123", "--refund-id", "r-3")
    assert (code, "txn-pay-abc123 has 0.00 USD left to be given back" in errors, sent) == (1, True, [])
    told = command(world, "status", "pay-abc123")[1]
    assert "of it 25.99 USD were given back, or are about to be" in told
    assert "can be done" not in told


def test_what_the_dashboard_gave_back_is_neither_sent_nor_advised_again(command):
    world = completed()
    seen = [
        RefundSeen("re_1", "", "pending", 1999, 1, 2),
        RefundSeen("re_1", "", "refunded", 1999, 1, 3),
        RefundSeen("re_2", "", "refunded", 500, 1, 3),
        RefundSeen("re_2", "", "failed", 500, 1, 4),
    ]
    later = {"refunded": [each._asdict() for each in seen], "later_no": 4}
    world.dynamodb.items["txn-pay-abc123"] |= to_attributes(later)
    code, _, errors, sent = command(world, "refund", "pay-abc123", "--refund-id", "r-1", "--amount", "6.01")
    assert (code, "txn-pay-abc123 has 6.00 USD left to be given back" in errors, sent) == (1, True, [])
    _, _, _, [sent] = command(world, "refund", "pay-abc123", "--refund-id", "r-1")
    assert json.loads(sent["MessageBody"])["refund"]["amount"] == 6.0
    give(world, "6.00")
    assert "can be done" not in command(world, "status", "pay-abc123")[1]


def test_a_refund_that_the_gateway_refused_says_with_what_words(command):
    world = completed()
    world.gateway.answers["refund"] = [GatewayRefusedError("no", "charge_already_refunded", "req_1", is_final=True)]
    give(world)
    *_, failed, where, _ = command(world, "status", REFUND)[1].splitlines()
    assert failed.endswith("  code=charge_already_refunded  request_id=req_1")
    assert where == "now: nothing is given back"


@pytest.mark.parametrize(
    "words",
    [["cancel", "REFUND", "--reason", "x"], ["parked", "retry", "REFUND"], ["refund", "REFUND", "--refund-id", "r"]],
)
def test_a_command_about_payments_says_that_a_refund_is_none(command, words):
    world = completed()
    give(world)
    code, _, errors, sent = command(world, *(REFUND if word == "REFUND" else word for word in words))
    assert (code, f"{REFUND} is a refund: `payments status` tells its story" in errors, sent) == (1, True, [])
