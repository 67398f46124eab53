"""The conditions of the approval writes, clause by clause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handler.adapters.table.approval_log import DynamoDbApprovalLog
from handler.adapters.table.expressions import to_attributes
from handler.domain.item import Item, from_stored
from handler.domain.payment import Shown
from tests.support.approvals import ARN, ApprovalWorld
from tests.support.payments import KEY, whole_item

BASE = whole_item(
    {},
    transaction_id=KEY,
    status="pending_approval",
    approval_name="n",
    execution_arn=ARN,
    approval_expires_at=1,
    amount_minor=100,
)

SCORED: Any = {"risk": 1, "fraud_score": 1, "risk_reasons": (), "shown": Shown()}

CALLS: dict[str, tuple[Callable[[DynamoDbApprovalLog], Item | None], dict[str, Any], list[dict[str, Any]]]] = {
    "adopt": (
        lambda log: log.adopt_approval(
            KEY, name="n", arn=ARN, request_hash="0" * 64, expires_at=2, reasons=[], **SCORED, now=1
        ),
        {},
        [{"status": "expired"}, {"approval_name": "m"}, {"request_hash": "1"}, {"execution_arn": "other"}],
    ),
    "ask": (
        lambda log: log.ask_approval(KEY, arn=ARN, callback_id="c", now=1),
        {},
        [{"status": "expired"}, {"execution_arn": "other"}, {"decision": "approve"}],
    ),
    "expire": (
        lambda log: log.expire_approval(KEY, arn=ARN, now=1),
        {},
        [{"status": "processing"}, {"execution_arn": "other"}, {"decision": "approve"}],
    ),
    "reject": (
        lambda log: log.reject_approval(KEY, arn=ARN, now=1),
        {"decision": "reject"},
        [{"status": "processing"}, {"execution_arn": "other"}, {"decision": "approve"}],
    ),
    "begin": (
        lambda log: log.begin_approved_charge(
            KEY, arn=ARN, attempt_seen=1, request_hash="0" * 64, amount_minor=100, now=1
        ),
        {"decision": "approve"},
        [
            {"status": "expired"},
            {"execution_arn": "other"},
            {"decision": "reject"},
            {"request_hash": "1"},
            {"amount_minor": 101},
        ],
    ),
    "expire overdue": (
        lambda log: log.expire_overdue_approval(KEY, overdue=2, now=3),
        {},
        [{"status": "processing"}, {"approval_expires_at": 2}, {"decision": "approve"}],
    ),
    "restart": (
        lambda log: log.restart_approval(KEY, generation_seen=1, closed_arn=ARN, name="m", now=1),
        {},
        [{"status": "expired"}, {"generation": 2}, {"execution_arn": "other"}],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_clause_of_a_write_refuses_on_its_own(name):
    call, more, breaks = CALLS[name]
    world = ApprovalWorld()
    world.dynamodb.items[KEY] = to_attributes(whole_item(BASE | more))
    assert call(world.log) is None
    for broken in breaks:
        item = whole_item(BASE | more | broken)
        world.dynamodb.items[KEY] = to_attributes(item)
        assert call(world.log) == from_stored(item)


def test_what_people_were_told_stands_until_the_payment_is_asked_about_anew():
    world = ApprovalWorld()
    world.dynamodb.items[KEY] = to_attributes({name: BASE[name] for name in BASE if name != "approval_expires_at"})
    adopt, _, _ = CALLS["adopt"]
    assert adopt(world.log) is None
    assert world.item()["approval_expires_at"] == 2
    world.log.adopt_approval(KEY, name="n", arn=ARN, request_hash="0" * 64, expires_at=9, reasons=[], **SCORED, now=8)
    assert (world.item()["approval_expires_at"], world.item()["updated_at"]) == (2, 8)
    restart, _, _ = CALLS["restart"]
    assert restart(world.log) is None
    assert not {"approval_expires_at", "execution_arn", "callback_id"} & world.item().keys()
