"""The stored item: nothing is decided from one that lacks what its state requires, and nobody subscripts one."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import handler
from handler.adapters.table.expressions import from_attributes, to_attributes
from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import (
    REQUIRED,
    REQUIRED_BESIDE,
    REQUIRED_BESIDE_OPEN,
    GatewayResponse,
    Item,
    from_stored,
    new_item,
    to_stored,
)
from handler.domain.payment import Assessment, Reason, approval_name
from handler.domain.states import CONFLICT, FINAL, OPEN
from tests.support.payments import message, whole_item

ROOT = Path(handler.__path__[0])


def test_every_state_says_what_it_requires():
    assert set(REQUIRED) == OPEN | FINAL | {CONFLICT}
    named = {
        name
        for names in [*REQUIRED.values(), *REQUIRED_BESIDE.values(), *REQUIRED_BESIDE_OPEN.values()]
        for name in names
    }
    assert named | set(REQUIRED_BESIDE) | set(REQUIRED_BESIDE_OPEN) <= set(Item._fields)


@pytest.mark.parametrize("status", REQUIRED)
def test_an_item_is_read_as_it_was_stored(status):
    stored = whole_item({}, status=status)
    item = from_stored(stored)
    assert item.status == status
    assert from_attributes(to_attributes(to_stored(item))) == stored | {"canonical_version": 1} | (
        {"gateway_response": GatewayResponse("approved")._asdict()} if "gateway_response" in stored else {}
    )


@pytest.mark.parametrize(("status", "name"), [(status, name) for status in REQUIRED for name in REQUIRED[status]])
def test_an_item_that_lacks_what_its_state_requires_is_damaged_and_says_so(status, name):
    stored = whole_item({}, status=status)
    del stored[name]
    with pytest.raises(DamagedItemError, match=f"lacks .*{name}"):
        from_stored(stored)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        (name, each)
        for beside in (REQUIRED_BESIDE, REQUIRED_BESIDE_OPEN)
        for name, required in beside.items()
        for each in required
    ],
)
def test_what_an_attribute_needs_beside_it_is_required_with_it(name, beside):
    values: dict[str, Any] = {"decision": "approve", "callback_id": "c", "refunded": [], "disputed": []}
    stored = whole_item({name: values.get(name, 1)})
    assert from_stored(stored)
    del stored[beside]
    with pytest.raises(DamagedItemError, match=f"lacks {beside}"):
        from_stored(stored)


@pytest.mark.parametrize("name", REQUIRED_BESIDE_OPEN)
def test_a_payment_that_ended_needs_no_request(name):
    stored = whole_item({name: 1}, status="completed")
    assert "request" not in stored
    assert from_stored(stored).request == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempt": "1"},
        {"attempt": Decimal("1.5")},
        {"attempt": True},
        {"owner": 5},
        {"owner": ""},
        {"faults": "none"},
        {"faults": [{"field": "amount"}]},
        {"risk_reasons": [5]},
        {"risk_reasons": [{"rule_id": "x", "reason": "amount", "parts": 1}]},
        {"risk_reasons": [{"rule_id": 0, "reason": 1, "parts": 1}]},
        {"superseded": [{"message_id": "m", "request_hash": "h"}]},
        {"superseded": [{"message_id": "m", "request_hash": "h", "canonical_version": "1"}]},
        {"created_at": 10**18},
        {"approval_reasons": [5]},
        {"amount": "25.99"},
        {"gateway_response": "approved"},
        {"gateway_response": {"status": 5}},
    ],
)
def test_an_attribute_of_another_type_is_damage(wrong):
    with pytest.raises(DamagedItemError, match="another type"):
        from_stored(whole_item(wrong))


def test_what_newer_code_added_is_passed_over():
    assert from_stored(whole_item({}, parked_since=5)) == from_stored(whole_item({}))


def test_a_state_that_only_newer_code_knows_is_not_damage():
    with pytest.raises(UnknownItemError, match="refunding"):
        from_stored(whole_item({}) | {"status": "refunding"})


def test_an_item_of_0_1_has_no_version_and_counts_as_the_first():
    stored = whole_item({})
    assert "canonical_version" not in stored
    assert from_stored(stored).canonical_version == 1
    assert to_stored(from_stored(stored))["canonical_version"] == 1


def test_a_score_of_zero_is_stored_and_an_absent_one_is_not():
    def stored(assessment: Assessment | None) -> dict[str, object]:
        item = new_item(
            message(), "p", "a" * 64, "processing", owner="o", now_ms=1, assessment=assessment, lease_until_ms=2
        )
        return to_stored(item)

    reasons = (Reason(0, "amount", 1),)
    assert stored(Assessment(1, 0, "score", reasons, "f"))["fraud_score"] == 0
    assert not {"fraud_score", "risk", "risk_reasons", "fingerprint"} & stored(None).keys()


def test_an_approvals_name_is_hashed_where_it_would_be_too_long():
    assert approval_name("dev", "p", 1) == "dev-p-1"
    assert len(approval_name("a" * 16, "p" * 48, 1)) == 64


def subscripts(path: Path) -> list[str]:
    """Subscripts and `.get` of what is called as items are: `item["x"]`, `stored.get("x")`."""
    pattern = re.compile(r"\b(?:item|stored|refused|decided|following)(?:\[[\"']|\.get\()")
    return [f"{path.name}: {line.strip()}" for line in path.read_text().splitlines() if pattern.search(line)]


def test_nobody_subscripts_an_item():
    """Only what reads attributes from the table may: it is where an item, or a refund, or what an export has begins."""
    readers = {"item.py", "memory.py", "refund_item.py", "transaction_log.py", "conservation.py"}
    found = [each for path in ROOT.rglob("*.py") if path.name not in readers for each in subscripts(path)]
    assert found == []
    assert subscripts(ROOT / "domain" / "item.py") != []
