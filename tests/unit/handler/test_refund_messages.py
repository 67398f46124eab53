"""A refund message: what it must be, what is masked of it, and that code without refunds finds no payment in it."""

from __future__ import annotations

import json

import pytest

from handler.domain.rules import Rules
from tests.support.payments import CARD, KEY, message, send
from tests.support.refunds import RefundWorld, completed, give, refund_message


@pytest.mark.parametrize(
    ("amount", "changes", "reason_code"),
    [
        ("20.00", {"payment_id": None}, "payment_id_missing"),
        ("20.00", {"payment_id": "pay 1"}, "payment_id_malformed"),
        ("20.00", {"payment_id": CARD}, "payment_id_card_number"),
        ("20.00", {"refund_id": None}, "refund_id_missing"),
        ("20.00", {"refund_id": 7}, "refund_id_malformed"),
        ("20.00", {"refund_id": f"r-{CARD}"}, "refund_id_card_number"),
        ("20.00", {"currency": "XXX"}, "unsupported_currency"),
        ("20.00", {"currency": "usd"}, "unsupported_currency"),
        ("20.00", {"cvv": "123"}, "sensitive_authentication_data"),
        ("", {}, "missing"),
        ('"20.00"', {}, "wrong_type"),
        ("-1", {}, "negative_amount"),
        ("0", {}, "zero_amount"),
        ("20.001", {}, "malformed_amount"),
        ("999999999999.99", {"currency": "CLF"}, "amount_too_large"),
    ],
)
def test_a_message_at_fault_leaves_no_item_and_burns_no_id(amount, changes, reason_code):
    world = completed()
    assert send(world, refund_message(amount, **changes)) == "unusable"
    assert world.rejected.messages[0][2] == reason_code
    assert CARD not in str(world.rejected.messages)
    assert list(world.dynamodb.items) == [KEY]
    assert give(world) == "refunded"


@pytest.mark.parametrize("inner", [[], "r-1", None, 5])
def test_a_refund_that_is_no_object_is_at_fault(inner):
    world = completed()
    assert send(world, message(json.dumps({"refund": inner, "note": CARD}))) == "unusable"
    assert CARD not in str(world.rejected.messages)


def test_fields_that_are_not_known_are_masked_and_passed_over():
    world = completed()
    text = refund_message(note=f"card {CARD}").body.replace('{"refund"', f'{{"memo": "{CARD}", "refund"')
    assert send(world, message(text, "m-r")) == "refunded"
    assert CARD not in str(world.dynamodb.items)


def test_the_currency_is_the_deployments_where_none_is_named():
    world = completed()
    assert send(world, refund_message(currency=None)) == "refunded"


def test_a_declared_shape_holds_for_refund_ids():
    world = completed(rules=Rules(id_shapes="r-#{16}"))
    assert send(world, refund_message(refund_id=f"r-{CARD}")) == "refunded"


def test_a_payment_with_a_field_of_that_name_is_a_payment():
    world = RefundWorld()
    text = message().body.replace('{"payment_id"', '{"refund": {"payment_id": "pay-2", "refund_id": "r"}, "payment_id"')
    assert send(world, message(text)) == "completed"


def test_code_without_refunds_finds_no_payment_in_a_refund_message(monkeypatch):
    monkeypatch.setattr("handler.domain.reading.is_refund", lambda _: False)
    world = completed()
    assert give(world) == "unusable"
    assert world.rejected.messages[0][2] == "payment_id_missing"
    assert (list(world.dynamodb.items), world.gateway.refund_calls) == ([KEY], [])
