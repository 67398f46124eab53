"""The largest item that a payment can make stays below DynamoDB's 400 KB, whatever its rules and texts are."""

from __future__ import annotations

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from handler.adapters.fraud import REASONS_MAX, TableFraudScoring
from handler.domain.approval.decision import COMMENT_LENGTH_MAX
from handler.domain.canonical import ADDRESS_TEXTS, REQUIRED_TEXTS, VERSIONS
from handler.domain.claim import conflict_of
from handler.domain.item import GatewayResponse, Item, new_item, to_stored
from handler.domain.parse import parse
from handler.domain.payment import Assessment, Fault, Message, Payment
from handler.domain.reasons import CATALOGUE
from handler.domain.validate import Limits, validate
from scoring.model import REASON_LENGTH_MAX, Score

ITEM_BYTES_MAX = 400 * 1024
# The longest character in UTF-8, and in the canonical text's ASCII, where it is twelve.
WIDE = "\U0001f600"
HITS = 5_000


def size(value: Any) -> int:
    """Bytes as DynamoDB counts them ("DynamoDB item sizes and formats"); a number at its largest."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return 3 + sum(1 + size(name) + size(each) for name, each in value.items())
    if isinstance(value, list | tuple):
        return 3 + sum(1 + size(each) for each in value)
    return 21


def item_size(item: Item) -> int:
    stored = to_stored(item)
    rows = {name: [each._asdict() for each in stored.get(name, ())] for name in ("risk_reasons", "faults")}
    response = item.gateway_response
    return size({**stored, **rows, "gateway_response": response._asdict() if response else {}})


def hit_by_everything() -> Assessment:
    """The assessment of a payment that hits thousands of rules, each with the longest reason."""
    reasons = ((0, 10**9), *((number, number) for number in range(1, HITS)))
    engine = SimpleNamespace(score_batch=lambda *_, **__: [Score("f" * 64, 10**9, 100, "review", reasons)])
    rules = SimpleNamespace(rule=lambda _: SimpleNamespace(reason="r" * REASON_LENGTH_MAX))
    scoring = TableFraudScoring(engine, rules, iterations=1, pepper_version="v" * 64)
    return scoring.score_batch([largest_payment()])[0]


def largest_payment() -> Payment:
    texts = {name: WIDE * length for name, length in {**REQUIRED_TEXTS, **VERSIONS[2].optional_texts}.items()}
    address = {name: WIDE * length for name, length in ADDRESS_TEXTS.items()}
    document = {**texts, "payment_id": "p" * 48, "payment_method": "m" * 32, "billing_address": address}
    text = json.dumps({**document, "amount": 10_000, "currency": "USD"})
    payment = validate(parse(text), Limits(), 2).payment
    assert payment is not None
    return payment


def largest_item() -> Item:
    """An item with all that it can ever have, each at its longest."""
    payment = largest_payment()
    message = Message("m" * 128, "", WIDE * 128, "9" * 20)
    item = new_item(
        message,
        payment.payment_id,
        payment.request_hash,
        "pending_approval",
        owner="o" * 512,
        now_ms=10**12,
        payment=payment,
        faults=(),
        assessment=hit_by_everything(),
        canonical_version=2,
        environment="e" * 15,
    )
    return item._replace(
        faults=tuple(Fault("billing_address.street", max(CATALOGUE, key=len)) for _ in range(20)),
        reason_code=max(CATALOGUE, key=len),
        processed_at="2024-01-01T12:00:00Z",
        lease_until=10**12,
        gateway_ref="g" * 255,
        # The gateway's whole answer has no more.
        gateway_response=GatewayResponse("approved", "a" * 65_536, "t" * 65_536),
        execution_arn="x" * 512,
        approval_expires_at=10**12,
        approval_reasons=tuple(CATALOGUE),
        callback_id="c" * 1024,
        decision="approve",
        decided_by=WIDE * 512,
        decided_at=10**12,
        comment=WIDE * COMMENT_LENGTH_MAX,
    )


def test_the_largest_item_has_room_in_dynamodb():
    item = largest_item()
    assert len(item.risk_reasons) == REASONS_MAX + 1
    # Half of it are reasons, a third is what the gateway may say.
    assert 200_000 < item_size(item) < ITEM_BYTES_MAX


def test_the_largest_conflict_has_room_in_dynamodb():
    conflict = conflict_of(largest_item(), "0" * 64, 2, "r" * 65_536)
    assert 65_536 < item_size(conflict) < ITEM_BYTES_MAX


def test_of_too_many_reasons_the_heaviest_are_kept_in_their_order_and_the_amount_always():
    kept = [(reason.rule_id, reason.parts) for reason in hit_by_everything().reasons]
    assert kept == [(0, 10**9), *((number, number) for number in range(HITS - REASONS_MAX, HITS))]


def test_a_light_amount_is_kept_among_heavy_rules():
    reasons = ((0, 1), *((number, 10**6) for number in range(1, 200)))
    engine = SimpleNamespace(score_batch=lambda *_, **__: [Score("f" * 64, 10**9, 100, "score", reasons)])
    rules = SimpleNamespace(rule=lambda _: SimpleNamespace(reason="why"))
    assessment = TableFraudScoring(engine, rules, iterations=1).score_batch([largest_payment()])[0]
    assert [reason.rule_id for reason in assessment.reasons] == list(range(REASONS_MAX + 1))
    assert assessment.reasons[0].reason == "amount"


@pytest.mark.parametrize(
    ("value", "counted"),
    [("€", 3), ([], 3), (["ab"], 6), ({"a": "b"}, 6), (Decimal("25.99"), 21)],
)
def test_bytes_are_counted_as_dynamodb_counts_them(value, counted):
    assert size(value) == counted
