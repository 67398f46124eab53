"""Every check of the audit turns red for the one thing that it is there for, and for nothing else."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from local.audit import CHECKS, audit
from local.evidence import Delivery, Evidence, Sent, ends
from local.faults import LateWrite
from local.traffic import CHARGED, CONFLICT, EXPIRED, PARKED, REFUNDED, REJECTED, REJECTED_QUEUE, Message

CARD = "4111111111111111"


def evidence() -> dict[str, Any]:
    """A run without a fault in it: two charged payments of a group, one of them sent three times, and its company."""
    messages = [
        Message(0, "ordinary", "pay-0", "g", "body 0", CHARGED, 1000),
        Message(1, "card_number", "pay-1", "g", f"body 1 {CARD}", CHARGED, 2590, card_numbers=(CARD,)),
        Message(2, "risky", "pay-2", "g", "body 2", EXPIRED, 90_000),
        Message(3, "malformed", "", "g", "body 3", REJECTED_QUEUE),
        Message(4, "duplicate_dropped", "pay-0", "g", "body 0", CHARGED, 1000, original=0),
        Message(5, "duplicate", "pay-0", "g", "body 0", CHARGED, 1000, "again", original=0),
        Message(6, "conflict", "pay-0", "g", "other 0", CONFLICT, 1100, original=0),
        Message(7, "invalid", "pay-3", "g", "body 7", REJECTED),
        Message(8, "corrected", "pay-3", "g", "body 8", CHARGED, 700, original=7),
        Message(9, "duplicate", "pay-3", "g", "body 7", REJECTED, 0, "again", original=7),
        Message(17, "ordinary", "pay-17", "h", "body 17", PARKED, 700),
        Message(18, "ordinary", "pay-18", "h", "body 18", CHARGED, 800),
        Message(19, "refund", "pay-0", "g", "refund 1", REFUNDED, 400, refund_id="r-1"),
        Message(20, "refund", "pay-0", "g", "refund 2", frozenset({"refund_above_captured"}), 700, refund_id="r-2"),
        Message(21, "refund", "pay-1", "g", "refund 3", REFUNDED, 100, refund_id="r-3"),
        Message(22, "conflict", "pay-0", "g", "refund 4", CONFLICT, 401, refund_id="r-1"),
    ]
    ids = ["m0", "m1", "m2", "m3", "m0", "m5", "m6", "m7", "m8", "m9", "m17", "m18", "m19", "m20", "m21", "m22"]
    charged = [_item(0, 1000, "completed"), _item(1, 2590, "declined")]
    charged[1] |= {"generation": Decimal(2), "execution_arn": "arn"}
    behind = _item(18, 800, "declined") | {"message_group_id": "h"}
    head = _item(17, 700, "parked") | {"message_group_id": "h", "request": "{}", "open_shard": "parked#1"}
    head |= {"retry_hash": hashlib.sha256(b"{}").hexdigest()}
    head |= {"park_no": Decimal(1), "parked_reason": "gateway_answer_invalid", "parked_at": Decimal(200)}
    del head["gateway_ref"], head["gateway_response"], head["processed_at"]
    pending = _item(2, 90_000, "expired")
    del pending["gateway_ref"], pending["gateway_response"], pending["processed_at"]
    pending |= {"shown": {"name": "Ada"}, "open_shard": "ended#3"}
    corrected = _item(3, 700, "declined") | {"message_id": "m8", "superseded": [{"message_id": "m7"}]}
    conflict = {
        "transaction_id": f"txn-pay-0#conflict#{hashlib.sha256(b'').hexdigest()}",
        "payment_id": "pay-0",
        "status": "conflict",
        "message_id": "m6",
    }
    charged[0] |= {"refund_reserved": Decimal(400), "refunded": [_row("refund_ref", "re_1", "refunded", 400)]}
    charged[0] |= {"disputed": [_row("dispute_ref", "du_1", "open", 1000), _row("dispute_ref", "du_1", "lost", 1000)]}
    refunds = [
        _refund(0, "r-1", 400, "refunded") | {"refund_ref": "re_1", "gateway_ref": "pi_0", "message_id": "m19"},
        _refund(0, "r-2", 700, "failed") | {"reason_code": "refund_above_captured", "message_id": "m20"},
        _refund(1, "r-3", 100, "failed") | {"reason_code": "refund_payment_not_completed", "message_id": "m21"},
        _refund(0, "r-1", 401, "conflict") | {"message_id": "m22"},
    ]
    refunds[3]["transaction_id"] += f"#conflict#{'0' * 64}"
    return {
        "environment": "dev",
        "sent": [Sent(m, i, str(m.number), 0) for m, i in zip(messages, ids, strict=True)],
        "items": [*charged, pending, conflict, corrected, head, behind, *refunds],
        "rejected": [{"message_id": "r", "body": "body 3", "original_message_id": "m3", "sent_ms": 5}],
        "dead_lettered": [],
        "left_on_queue": 0,
        "deliveries": [
            Delivery(("m0", "m1", "m2"), ("m1", "m2")),
            Delivery(("m1", "m2", "m3", "m5"), ("m5",), "Sandbox.Timedout"),
            Delivery(("m5", "m6"), ()),
            Delivery(("m7", "m8", "m9"), ()),
            Delivery(("m17", "m18"), ("m17", "m18")),
            Delivery(("m17", "m18"), ()),
            Delivery(("m19", "m20", "m21", "m22"), ()),
        ],
        "requests": [
            _request(1, "prepare", 0),
            _request(2, "charge", 0, None),
            _request(3, "status", 0),
            _request(4, "charge", 0),
            _request(6, "prepare", 1),
            _request(7, "charge", 1, 402),
            _request(10, "prepare", 3),
            _request(11, "charge", 3, 402),
            _request(12, "refunds", 0),
            _request(12, "refund", 0) | {"idempotency_key": "dev:pay-0:refund:r-1:0:refund"},
            _request(13, "prepare", 17),
            _request(14, "prepare", 17) | {"replayed": 1},
            _request(15, "prepare", 18),
            _request(16, "charge", 18, 402),
        ],
        "captures": [
            {"seq": 5, "payment_id": "pay-0", "ref": "pi_0", "amount": 1000, "currency": "usd", "idempotency_key": "k"}
        ],
        "intents": [
            {"ref": "pi_0", "payment_id": "pay-0", "status": "succeeded", "authorization_code": "A0", "settled_seq": 5},
            {"ref": "pi_1", "payment_id": "pay-1", "status": "canceled", "authorization_code": None, "settled_seq": 8},
            {"ref": "pi_3", "payment_id": "pay-3", "status": "canceled", "authorization_code": None, "settled_seq": 12},
            {
                "ref": "pi_18",
                "payment_id": "pay-18",
                "status": "canceled",
                "authorization_code": None,
                "settled_seq": 17,
            },
        ],
        "logs": {"environment-0001.log": "charged 4111 11** **** 1111\nat 1795312033700"},
        "late_writes": [LateWrite("pay-0", 1, 2, False, "ConditionalCheckFailedException")],
        "planned": {"late_record": 1, "charge.timeout_after": 1},
        "struck": {"late_record": 1, "charge.timeout_after": 2},
        "lost_starts": ["pay-1"],
        "given_back": [
            _given_back("re_1", 400, "succeeded") | {"metadata": {"refund_id": "r-1"}},
        ],
        "disputes": [_given_back("du_1", 1000, "lost")],
        "gateway_events": [
            _told("refund.created", "good", 200, "queued"),
            _told("refund.created", "old", 400, "signature_old"),
            _told("dashboard: disputes", "", 200, ""),
        ],
    }


def _item(number: int, minor: int, status: str) -> dict[str, Any]:
    return {
        "transaction_id": f"txn-pay-{number}",
        "payment_id": f"pay-{number}",
        "request_hash": "0" * 64,
        "order_id": "o",
        "customer_id": "c",
        "amount": Decimal(minor) / 100,
        "amount_minor": Decimal(minor),
        "currency": "USD",
        "payment_method": "credit_card",
        "fraud_score": Decimal(3),
        "status": status,
        "gateway_ref": f"pi_{number}",
        "gateway_response": {"status": "approved", "authorization_code": "A0"},
        "processed_at": "2024-01-01T12:00:00Z",
        "message_id": f"m{number}",
        "message_group_id": "g",
        "sequence_number": f"0000{number}",
        "created_at": Decimal(100 + number),
        "owner": "somebody",
        "attempt": Decimal(1),
    }


def _refund(number: int, refund_id: str, minor: int, status: str) -> dict[str, Any]:
    return {
        "transaction_id": f"txn-pay-{number}#refund#{refund_id}",
        "payment_id": f"pay-{number}",
        "refund_id": refund_id,
        "amount_minor": Decimal(minor),
        "currency": "USD",
        "status": status,
    }


def _row(name: str, ref: str, state: str, minor: int) -> dict[str, Any]:
    return {name: ref, "state": state, "amount_minor": Decimal(minor)}


def _given_back(ref: str, amount: int, status: str) -> dict[str, Any]:
    return {"id": ref, "payment_intent": "pi_0", "amount": amount, "currency": "usd", "status": status}


def _told(kind: str, sending: str, status: int, outcome: str) -> dict[str, Any]:
    return {"payment_id": "pay-0", "type": kind, "sending": sending, "status": status, "outcome": outcome}


def _request(seq: int, call: str, number: int, status_code: int | None = 200) -> dict[str, Any]:
    name = {"prepare": "prepare", "charge": "confirm"}.get(call)
    key = f"dev:pay-{number}:{'0' * 16}:{name}:0" if name else None
    return {
        "seq": seq,
        "call": call,
        "payment_id": f"pay-{number}",
        "ref": f"pi_{number}",
        "idempotency_key": key,
        "status_code": status_code,
        "body_sha256": call,
        "replayed": 0,
    }


def test_a_clean_run_passes_every_check() -> None:
    assert audit(Evidence(**evidence())) == {check.__name__: [] for check in CHECKS}


def test_a_spent_key_is_given_up_and_may_leave_a_reference_that_is_never_charged() -> None:
    found = evidence()
    found["items"][0]["gateway_try"] = Decimal(1)
    found["intents"].append({**found["intents"][0], "ref": "pi_9", "status": "requires_confirmation"})
    again = _request(1, "prepare", 0) | {"idempotency_key": f"dev:pay-0:{'0' * 16}:prepare:1"}
    found["requests"].insert(1, again)
    assert audit(Evidence(**found)) == {check.__name__: [] for check in CHECKS}


def test_what_a_correction_followed_was_rejected_and_its_repetition_a_duplicate() -> None:
    found = Evidence(**evidence())
    assert [ends(found, sent) for sent in found.accepted[-9:-6]] == [["rejected"], ["declined"], ["duplicate"]]


def _lose_the_item(found: dict[str, Any]) -> None:
    found["items"] = [item for item in found["items"] if item["transaction_id"] != "txn-pay-2"]


def _reject_twice(found: dict[str, Any]) -> None:
    found["rejected"].append({**found["rejected"][0], "original_message_id": "m2"})


def _forget_whom_it_followed(found: dict[str, Any]) -> None:
    del found["items"][4]["superseded"]


def _leave_the_correction_out(found: dict[str, Any]) -> None:
    found["items"][4] |= {"message_id": "m7", "status": "rejected", "superseded": []}


def _tell_nobody(found: dict[str, Any]) -> None:
    """More of it is in test_audit_of_events.py."""
    found["events"] = []


def _leave_on_queue(found: dict[str, Any]) -> None:
    found["left_on_queue"] = 2


def _leave_processing(found: dict[str, Any]) -> None:
    found["items"][2]["status"] = "processing"


def _charge_the_risky(found: dict[str, Any]) -> None:
    found["items"][2]["status"] = "rejected"


def _drop_the_wrong_one(found: dict[str, Any]) -> None:
    found["sent"][4] = Sent(found["sent"][4].message, "m4", "9", 0)
    found["deliveries"].append(Delivery(("m4",), ()))


def _never_deliver(found: dict[str, Any]) -> None:
    found["deliveries"][1] = Delivery(("m1", "m2", "m5"), ("m5",))


def _overwrite(found: dict[str, Any]) -> None:
    found["items"][0] |= {"message_id": "m6", "amount_minor": Decimal(1100), "amount": Decimal(11)}


def _misname_the_conflict(found: dict[str, Any]) -> None:
    found["items"][3]["transaction_id"] = "txn-pay-0#conflict#1"


def _capture_twice(found: dict[str, Any]) -> None:
    found["captures"].append({**found["captures"][0], "seq": 9})


def _capture_the_declined(found: dict[str, Any]) -> None:
    found["captures"].append({**found["captures"][0], "seq": 9, "payment_id": "pay-1", "amount": 2590})


def _capture_nothing(found: dict[str, Any]) -> None:
    found["captures"].clear()


def _capture_another_amount(found: dict[str, Any]) -> None:
    found["captures"][0]["amount"] = 100_000


def _store_another_amount(found: dict[str, Any]) -> None:
    found["items"][1] |= {"amount_minor": Decimal(2591), "amount": Decimal("25.91")}


def _record_another_outcome(found: dict[str, Any]) -> None:
    found["items"][1] |= {"status": "completed"}
    found["captures"].append({**found["captures"][0], "seq": 9, "payment_id": "pay-1", "amount": 2590})


def _record_another_code(found: dict[str, Any]) -> None:
    found["items"][0]["gateway_response"] = {"authorization_code": "B1"}


def _accept_late(found: dict[str, Any]) -> None:
    found["late_writes"] = [LateWrite("pay-0", 1, 2, True, "accepted")]


def _prepare_twice(found: dict[str, Any]) -> None:
    found["intents"].append({**found["intents"][0], "ref": "pi_9", "status": "requires_confirmation"})


def _charge_both_references(found: dict[str, Any]) -> None:
    found["requests"][3] |= {"ref": "pi_9"}


def _charge_under_a_key_that_was_never_written(found: dict[str, Any]) -> None:
    found["requests"][5]["idempotency_key"] = f"dev:pay-1:{'0' * 16}:confirm:1"


def _charge_under_the_key_of_other_content(found: dict[str, Any]) -> None:
    found["requests"][5]["idempotency_key"] = f"dev:pay-1:{'1' * 16}:confirm:0"


def _charge_without_key(found: dict[str, Any]) -> None:
    found["requests"][5]["idempotency_key"] = None


def _charge_a_key_twice(found: dict[str, Any]) -> None:
    found["requests"][1]["status_code"] = 200


def _use_a_key_for_other_content(found: dict[str, Any]) -> None:
    found["requests"][3]["body_sha256"] = "other"


def _charge_in_the_dark(found: dict[str, Any]) -> None:
    found["requests"][2]["status_code"] = 503


def _charge_out_of_order(found: dict[str, Any]) -> None:
    found["intents"][0]["settled_seq"] = 8


def _claim_out_of_order(found: dict[str, Any]) -> None:
    found["items"][2]["created_at"] = Decimal(1)


def _lose_a_failed_delivery(found: dict[str, Any]) -> None:
    found["deliveries"][2] = Delivery(("m5", "m6"), ("m6",))


def _log_a_card(found: dict[str, Any]) -> None:
    found["logs"] = {"environment-0001.log": "fine\nbody: 4111-1111-1111-1111"}


def _keep_a_card(found: dict[str, Any]) -> None:
    found["items"][1]["description"] = CARD


def _reject_a_card(found: dict[str, Any]) -> None:
    found["rejected"][0]["body"] = "4111 1111 1111 1111"


def _forget_a_field(found: dict[str, Any]) -> None:
    del found["items"][0]["processed_at"]


def _keep_the_lease(found: dict[str, Any]) -> None:
    found["items"][0]["lease_until"] = Decimal(5)


def _keep_the_instrument(found: dict[str, Any]) -> None:
    found["items"][0]["request"] = "{}"


def _keep_it_among_the_open(found: dict[str, Any]) -> None:
    found["items"][2]["open_shard"] = "pending_approval#3"


def _lose_whom_to_forget(found: dict[str, Any]) -> None:
    del found["items"][2]["open_shard"]


def _park_an_innocent(found: dict[str, Any]) -> None:
    found["items"][6] |= {name: found["items"][5][name] for name in ("request", "retry_hash", "open_shard", "park_no")}
    found["items"][6] |= {"status": "parked", "parked_reason": "tries_used_up", "parked_at": Decimal(300)}


def _cancel_it(found: dict[str, Any]) -> None:
    found["items"][5]["status"] = "cancelled"
    del found["items"][5]["open_shard"], found["items"][5]["request"]


def _dead_letter_a_follower(found: dict[str, Any]) -> None:
    del found["items"][6]
    found["dead_lettered"] = [{"message_id": "m18", "body": "body 18"}]


def _charge_the_follower_first(found: dict[str, Any]) -> None:
    found["requests"][-2:], found["requests"][-4:-2] = found["requests"][-4:-2], found["requests"][-2:]
    for seq, request in enumerate(found["requests"][-4:], 13):
        request["seq"] = seq


def _forget_what_a_retry_sends(found: dict[str, Any]) -> None:
    del found["items"][5]["request"]


def _keep_the_generation(found: dict[str, Any]) -> None:
    found["items"][1]["generation"] = Decimal(1)


def _start_no_execution(found: dict[str, Any]) -> None:
    del found["items"][1]["execution_arn"]


def _strike_nothing(found: dict[str, Any]) -> None:
    found["struck"] = {"late_record": 1}


def _free_nothing(found: dict[str, Any]) -> None:
    found["late_writes"] = []


def _leave_a_refund_pending(found: dict[str, Any]) -> None:
    found["items"][7]["status"] = "pending"
    found["given_back"] = []
    found["items"][0]["refunded"] = []


def _refuse_a_refund_wrongly(found: dict[str, Any]) -> None:
    found["items"][8]["reason_code"] = "refund_refused"


def _give_back_what_was_not_captured(found: dict[str, Any]) -> None:
    found["items"][9]["reason_code"] = "refund_refused"


def _refund_without_its_key(found: dict[str, Any]) -> None:
    found["requests"][9]["idempotency_key"] = "dev:pay-0:refund:r-9:0:refund"


def _take_a_conflict_for_the_refund(found: dict[str, Any]) -> None:
    found["items"][7] |= {"message_id": "m22"}


def _give_back_twice(found: dict[str, Any]) -> None:
    found["given_back"].append({**found["given_back"][0], "id": "re_2"})
    found["items"][0]["refunded"].append(_row("refund_ref", "re_2", "refunded", 400))


def _give_back_a_failed_one(found: dict[str, Any]) -> None:
    found["given_back"].append({**found["given_back"][0], "id": "re_2", "metadata": {"refund_id": "r-9"}, "amount": 1})
    found["items"][0]["refunded"].append(_row("refund_ref", "re_2", "refunded", 1))


def _give_back_another_amount(found: dict[str, Any]) -> None:
    found["given_back"][0]["amount"] = 401
    found["items"][0]["refunded"][0]["amount_minor"] = Decimal(401)


def _name_another_refund(found: dict[str, Any]) -> None:
    found["items"][7]["refund_ref"] = "re_2"


def _ask_for_another_amount(found: dict[str, Any]) -> None:
    found["sent"][12] = Sent(dataclasses.replace(found["sent"][12].message, amount_minor=399), "m19", "19", 0)


def _reserve_for_a_failed_one(found: dict[str, Any]) -> None:
    found["items"][0]["refund_reserved"] = Decimal(1100)


def _give_back_more_than_was_captured(found: dict[str, Any]) -> None:
    found["given_back"].append(_given_back("re_2", 601, "pending"))
    found["items"][0]["refunded"].append(_row("refund_ref", "re_2", "pending", 601))


def _refuse_a_good_event(found: dict[str, Any]) -> None:
    found["gateway_events"][0] |= {"status": 400, "outcome": "signature_wrong"}


def _believe_an_old_event(found: dict[str, Any]) -> None:
    found["gateway_events"][1] |= {"status": 200, "outcome": "queued"}


def _lose_a_dispute(found: dict[str, Any]) -> None:
    del found["items"][0]["disputed"]


def _keep_an_old_state(found: dict[str, Any]) -> None:
    del found["items"][0]["disputed"][1]


def _dispute_what_nobody_disputed(found: dict[str, Any]) -> None:
    found["items"][6]["disputed"] = [_row("dispute_ref", "du_9", "open", 800)]


@pytest.mark.parametrize(
    ("plant", "caught"),
    [
        (_lose_the_item, {"every_message_settled_once"}),
        (_reject_twice, {"every_message_settled_once"}),
        (_forget_whom_it_followed, {"every_message_settled_once"}),
        (_leave_the_correction_out, {"every_message_settled_once"}),
        (_leave_on_queue, {"nothing_left_open"}),
        (_leave_processing, {"nothing_left_open", "outcomes_are_the_right_ones"}),
        (_charge_the_risky, {"outcomes_are_the_right_ones"}),
        (_drop_the_wrong_one, {"duplicates_dropped_by_the_queue_or_seen_by_the_function"}),
        (_never_deliver, {"duplicates_dropped_by_the_queue_or_seen_by_the_function"}),
        (
            _overwrite,
            {
                "every_message_settled_once",
                "conflicts_are_kept_apart",
                "charged_for_the_recorded_amount",
            },
        ),
        (_misname_the_conflict, {"conflicts_are_kept_apart"}),
        (_capture_twice, {"charged_at_most_once"}),
        (_capture_the_declined, {"charged_at_most_once"}),
        (_capture_nothing, {"charged_at_most_once", "reserved_is_what_is_given_back"}),
        (_capture_another_amount, {"charged_for_the_recorded_amount"}),
        (_store_another_amount, {"charged_for_the_recorded_amount"}),
        (_record_another_outcome, {"first_outcome_stands", "outcomes_are_the_right_ones"}),
        (_record_another_code, {"first_outcome_stands"}),
        (_accept_late, {"late_writes_are_refused"}),
        (_prepare_twice, {"one_key_and_one_reference_a_payment"}),
        (_charge_both_references, {"one_key_and_one_reference_a_payment"}),
        (_charge_under_a_key_that_was_never_written, {"one_key_and_one_reference_a_payment"}),
        (_charge_under_the_key_of_other_content, {"one_key_and_one_reference_a_payment"}),
        (_charge_without_key, {"one_key_and_one_reference_a_payment"}),
        (_charge_a_key_twice, {"one_key_and_one_reference_a_payment"}),
        (_use_a_key_for_other_content, {"one_key_and_one_reference_a_payment"}),
        (_charge_in_the_dark, {"looked_up_before_charged_again"}),
        (_charge_out_of_order, {"groups_keep_their_order"}),
        (_claim_out_of_order, {"groups_keep_their_order"}),
        (_lose_a_failed_delivery, {"failed_deliveries_came_back"}),
        (_log_a_card, {"no_card_number_in_the_clear"}),
        (_keep_a_card, {"no_card_number_in_the_clear"}),
        (_reject_a_card, {"no_card_number_in_the_clear"}),
        (_forget_a_field, {"items_are_complete"}),
        (_keep_the_lease, {"items_are_complete"}),
        (_keep_the_instrument, {"items_are_complete"}),
        (_keep_it_among_the_open, {"items_are_complete"}),
        (_lose_whom_to_forget, {"items_are_complete"}),
        (_park_an_innocent, {"nothing_left_open", "outcomes_are_the_right_ones"}),
        (_cancel_it, {"outcomes_are_the_right_ones"}),
        (_dead_letter_a_follower, {"nobody_is_dead_lettered_untried", "outcomes_are_the_right_ones"}),
        (_charge_the_follower_first, {"groups_keep_their_order"}),
        (_forget_what_a_retry_sends, {"items_are_complete"}),
        (_tell_nobody, {"events_say_what_the_items_say"}),
        (_keep_the_generation, {"lost_starts_are_made_good"}),
        (_start_no_execution, {"lost_starts_are_made_good"}),
        (_leave_a_refund_pending, {"nothing_left_open", "outcomes_are_the_right_ones"}),
        (_refuse_a_refund_wrongly, {"outcomes_are_the_right_ones"}),
        (_give_back_what_was_not_captured, {"outcomes_are_the_right_ones"}),
        (_refund_without_its_key, {"one_key_and_one_reference_a_payment"}),
        (
            _take_a_conflict_for_the_refund,
            {"every_message_settled_once", "conflicts_are_kept_apart", "refunds_took_effect_once"},
        ),
        (_give_back_twice, {"refunds_took_effect_once"}),
        (_give_back_a_failed_one, {"refunds_took_effect_once"}),
        (_give_back_another_amount, {"refunds_took_effect_once"}),
        (_name_another_refund, {"refunds_took_effect_once"}),
        (_ask_for_another_amount, {"refunds_took_effect_once"}),
        (_reserve_for_a_failed_one, {"reserved_is_what_is_given_back"}),
        (_give_back_more_than_was_captured, {"reserved_is_what_is_given_back"}),
        (_refuse_a_good_event, {"events_of_the_gateway_are_answered"}),
        (_believe_an_old_event, {"events_of_the_gateway_are_answered"}),
        (_lose_a_dispute, {"what_came_after_reached_the_items"}),
        (_keep_an_old_state, {"what_came_after_reached_the_items"}),
        (_dispute_what_nobody_disputed, {"what_came_after_reached_the_items"}),
        (_strike_nothing, {"planned_faults_struck"}),
        (_free_nothing, {"planned_faults_struck"}),
    ],
)
def test_a_check_catches_what_it_is_there_for(plant: Callable[[dict[str, Any]], None], caught: set[str]) -> None:
    found = copy.deepcopy(evidence())
    plant(found)
    assert {name for name, sentences in audit(Evidence(**found)).items() if sentences} == caught


def test_every_check_is_tried() -> None:
    marks = test_a_check_catches_what_it_is_there_for.pytestmark  # type: ignore[attr-defined]
    tried = {name for mark in marks for _, caught in mark.args[1] for name in caught}
    assert tried == {check.__name__ for check in CHECKS}


def test_without_our_own_mapping_the_ends_alone_are_looked_at() -> None:
    found = evidence()
    found["deliveries"] = None
    assert not any(audit(Evidence(**found)).values())
    _lose_the_item(found)
    assert "its deliveries were not ours" in audit(Evidence(**found))["every_message_settled_once"][0]
