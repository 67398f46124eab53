"""What `payments status` tells of an item: what happened in order, where it is, what can be done."""

from __future__ import annotations

import pytest

from handler.domain.item import GatewayResponse, Item, Superseded
from handler.domain.payment import DisputeSeen, Fault, Reason, RefundSeen
from operations.story import now, story

CLAIMED = 1_700_000_000_000
HOUR = 3_600_000
GIVEN_BACK = (RefundSeen("re_1", "", "refunded", 2599, CLAIMED, CLAIMED + HOUR),)
DISPUTED = (DisputeSeen("du_1", "open", 500, "JPY", "fraudulent", CLAIMED, CLAIMED + 5 * HOUR),)


def item(**changes: object) -> Item:
    return Item(
        transaction_id="txn-pay-1",
        payment_id="pay-1",
        status="processing",
        owner="request:m-1",
        request_hash="0" * 64,
        created_at=CLAIMED,
        updated_at=CLAIMED,
        canonical_version=1,
        attempt=1,
        message_id="m-1",
        message_group_id="cust-1",
        sequence_number="7",
    )._replace(**changes)  # type: ignore[arg-type]


def told(found: Item) -> list[str]:
    return [event.what for event in story(found)]


def test_a_payment_that_was_parked_retried_and_charged_tells_it_in_order_with_what_to_look_up():
    found = item(
        status="completed",
        superseded=(Superseded("m-0", "1" * 64, 1),),
        risk=0,
        fraud_score=0,
        risk_reasons=(Reason(0, "amount", 77_970_000),),
        attempt=3,
        tries=2,
        first_tried_at=CLAIMED + 2 * HOUR,
        park_no=1,
        parked_at=CLAIMED + HOUR,
        parked_reason="gateway_answer_invalid",
        retry_no=1,
        retried_by="alice",
        gateway_ref="pi_1",
        gateway_try=1,
        # Before it was claimed: a gateway's clock.
        gateway_response=GatewayResponse("approved", "AUTH1", "2020-01-01T00:00:00Z", request_id="req_1"),
        processed_at="2023-11-15T00:20:00Z",
    )
    lines = told(found)
    assert lines == [
        "an earlier message was rejected for its faults",
        "its message was claimed",
        "fraud score 0 of 100: amount (rule 0, 7.8 %)",
        lines[3],
        "retried (for time 1) by alice",
        "its present tries began",
        "its owner changed 2 times, and tries that count against it: 2",
        "the gateway knows it, after 1 keys were given up",
        "the gateway said approved",
        "completed",
    ]
    assert lines[3].startswith("parked (time 1): ")
    names = {name: value for event in story(found) for name, value in event.names.items()}
    assert names["gateway_ref"] == "pi_1"
    assert (names["request_id"], names["authorization_code"]) == ("req_1", "AUTH1")
    assert (names["message_id"], names["message_group_id"], names["sequence_number"]) == ("m-1", "cust-1", "7")


def test_what_came_after_the_charge_is_told_with_who_did_it_and_each_state():
    ended = {"status": "completed", "currency": "USD", "processed_at": "2023-11-15T00:20:00Z"}
    refunded = (
        RefundSeen("re_1", "ref-1", "refunded", 1000, CLAIMED, CLAIMED + 4 * HOUR),
        RefundSeen("re_2", "", "pending", 599, CLAIMED, CLAIMED + 6 * HOUR),
    )
    events = story(item(**ended, refunded=refunded, disputed=DISPUTED, later_no=3))
    assert [(event.what, event.names) for event in events[2:]] == [
        ("10.00 USD given back by refund ref-1: refunded", {"refund_ref": "re_1"}),
        ("500 JPY disputed (fraudulent): open", {"dispute_ref": "du_1"}),
        ("5.99 USD given back by somebody else: pending", {"refund_ref": "re_2"}),
    ]


def test_an_owner_that_changed_once_is_told_so():
    assert "its owner changed once, and tries that count against it: 0" in told(item(attempt=2, tries=0))


def test_a_decision_stands_between_the_question_and_the_charge():
    found = item(
        status="completed",
        generation=1,
        approval_name="dev-pay-1-1",
        execution_arn="arn:1",
        approval_reasons=("risk",),
        approval_expires_at=CLAIMED + 24 * HOUR,
        decision="approve",
        decided_by="alice",
        decided_at=CLAIMED + HOUR,
        comment="called",
        gateway_ref="pi_1",
        processed_at="2023-11-15T00:20:00Z",
    )
    assert told(found)[1:] == [
        "its approval workflow was started, generation 1",
        told(found)[2],
        "approve by alice: called",
        "the gateway knows it",
        "completed",
    ]
    assert told(found)[2].startswith("people were asked, until 2023-11-15T22:13:20Z: ")


@pytest.mark.parametrize(
    ("changes", "where", "can_be_done"),
    [
        ({"lease_until": CLAIMED + HOUR}, "a worker has it until 2023-11-14T23:13:20Z: request:m-1", ""),
        ({"lease_until": CLAIMED - 1}, "nobody works on it", "payments dead-letters list"),
        ({"generation": 1}, "its approval workflow is charging it", "payments reconcile"),
        ({"status": "pending_approval"}, "its workflow has not asked anybody yet", "payments reconcile"),
        (
            {"status": "pending_approval", "callback_id": "c", "approval_expires_at": CLAIMED + HOUR},
            "it waits for a person until 2023-11-14T23:13:20Z",
            'payments approvals approve pay-1 --reason "..."',
        ),
        (
            {"status": "pending_approval", "callback_id": "c", "approval_expires_at": CLAIMED - 1},
            "its time to be decided is over",
            "payments reconcile",
        ),
        (
            {"status": "pending_approval", "decision": "approve"},
            "it was decided (approve), and its workflow acts on that",
            "payments reconcile",
        ),
        ({"status": "parked", "park_no": 1}, "it waits for an operator", "payments parked retry pay-1"),
        (
            {"status": "parked", "park_no": 1, "parked_reason": "charge_in_progress"},
            "the gateway charges it, which takes its days: it waits for nobody",
            "payments reconcile",
        ),
        ({"status": "parked", "park_no": 1, "retry_no": 1}, "it was allowed again", "payments reconcile"),
        ({"status": "completed"}, "it is charged, once and for good", "payments refund pay-1"),
        ({"status": "completed", "disputed": DISPUTED, "later_no": 1}, "it was charged, once, and was disputed", ""),
        ({"status": "completed", "refunded": GIVEN_BACK, "later_no": 1}, "it was charged, once, and is given back", ""),
        ({"status": "declined"}, "it ended without a charge", "payments send, under another payment_id"),
        (
            {"status": "rejected", "faults": (Fault("amount", "missing"),)},
            "it ended without a charge",
            "payments send, corrected, under the same payment_id",
        ),
        ({"status": "conflict"}, "nobody charges it", "payments conflicts show pay-1"),
        (
            {"status": "conflict", "transaction_id": "txn-pay-1#refund#r-1#conflict#0"},
            "nobody gives it back: its refund_id belongs to other content",
            "payments conflicts show pay-1",
        ),
    ],
)
def test_each_state_says_where_the_payment_is_and_what_can_be_done(changes, where, can_be_done):
    found = now(item(**changes), CLAIMED)
    assert found.where.startswith(where)
    assert (found.can_be_done or [""])[0].startswith(can_be_done)
    assert bool(found.can_be_done) is bool(can_be_done)


def test_what_happened_later_is_told_later_whatever_it_is():
    found = item(
        status="parked",
        park_no=1,
        parked_at=CLAIMED + HOUR,
        parked_reason="gateway_answer_invalid",
        decision="approve",
        decided_by="alice",
        decided_at=CLAIMED + 2 * HOUR,
        comment="called",
    )
    assert [line.partition(" ")[0] for line in told(found)] == ["its", "parked", "approve"]
