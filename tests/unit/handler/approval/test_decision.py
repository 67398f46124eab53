"""Deciding on a payment: the first decision stands, and none is made without what was shown."""

from __future__ import annotations

import pytest

from handler.domain.approval.decision import Answer, decide
from handler.domain.approval.steps import resolve
from handler.domain.errors import ApprovalRefusedError, ApprovalWakeError, DamagedItemError
from tests.support.approvals import CALLBACK, EXECUTION, pending
from tests.support.payments import CARD, KEY


def test_a_decision_is_recorded_with_who_when_and_why_and_then_wakes():
    world = pending()
    decided = world.decide("approve", comment="  called the customer\r\nat home ")
    assert (decided.decision, decided.decided_by, decided.decided_at) == ("approve", "alice", world.clock.ms)
    assert decided.comment == "called the customer\nat home"
    assert world.callbacks.woken == [(CALLBACK, "approve")]


@pytest.mark.parametrize("left_out", ["decided_by", "decided_at", "comment"])
def test_a_decision_that_does_not_say_who_when_and_why_is_none_and_charges_nothing(left_out):
    # Whoever may not say who decided may still be able to write the rest.
    world = pending()
    decision = {"decision": "approve", "decided_by": "mallory", "decided_at": world.clock.ms, "comment": "x"}
    world.change(**{**decision, left_out: None})
    with pytest.raises(DamagedItemError, match=f"lacks {left_out}"):
        resolve(KEY, EXECUTION, world.approval_ports, is_called_back=True, timed_out=False)
    assert world.gateway.calls == []
    assert world.item()["status"] == "pending_approval"


def test_of_two_approvers_the_first_decides():
    world = pending()
    world.decide("reject", approver="bob")
    with pytest.raises(ApprovalRefusedError, match="was rejected by bob") as refused:
        world.decide("approve", approver="alice")
    assert refused.value.reason_code == "already_decided"
    assert world.item()["decision"] == "reject"
    assert world.callbacks.woken == [(CALLBACK, "reject")]


def test_the_same_decision_again_wakes_again():
    world = pending()
    world.callbacks.fault = ApprovalWakeError("503")
    with pytest.raises(ApprovalWakeError):
        world.decide("approve")
    world.callbacks.fault = None
    world.clock.ms += 1000
    assert world.decide("approve").decided_at == world.clock.ms - 1000
    assert world.callbacks.woken == [(CALLBACK, "approve")]


@pytest.mark.parametrize(
    ("change", "shown", "reason_code"),
    [
        ({}, {"callback_id": "b2xk"}, "replaced"),
        ({"callback_id": None}, {}, "not_asked"),
        ({"callback_id": None, "approval_expires_at": None}, {"callback_id": CALLBACK}, "not_asked"),
        ({}, {"request_hash": "0" * 64}, "request_changed"),
        ({"approval_expires_at": 1}, {}, "expired"),
        ({"status": "expired", "processed_at": "2024-01-01T12:00:00Z"}, {}, "not_pending"),
        ({}, {"comment": " \n "}, "comment_missing"),
        ({}, {"comment": "x" * (1024 * 1024)}, "comment_too_long"),
        ({}, {"comment": "bell \x07"}, "comment_malformed"),
        ({}, {"comment": "half \ud800"}, "comment_malformed"),
    ],
)
def test_a_decision_that_cannot_stand_is_refused_and_wakes_nobody(change, shown, reason_code):
    world = pending()
    world.change(**change)
    with pytest.raises(ApprovalRefusedError) as refused:
        world.decide("approve", **shown)
    assert refused.value.reason_code == reason_code
    assert "decision" not in world.item()
    assert world.callbacks.woken == []


def test_a_decision_on_nothing_is_refused():
    world = pending()
    with pytest.raises(ApprovalRefusedError, match="There is no payment txn-gone"):
        decide("txn-gone", Answer("approve", "alice", "x", CALLBACK, "0" * 64), world.decisions)


def test_a_card_number_in_a_reason_is_masked():
    world = pending()
    assert CARD not in world.decide("reject", comment=f"stolen card {CARD}").comment
