"""The audit of a run: did every message end in one settled state, and every payment in at most one charge.

One rule: it looks at the evidence alone and shares no code with the handler, so that a fault in the handler cannot
hide behind itself. Each check is a function from the evidence to the sentences against.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

from local.event_audit import events_say_what_the_items_say
from local.evidence import Evidence, Sent, ends
from local.key_audit import one_key_and_one_reference_a_payment
from local.refund_audit import (
    events_of_the_gateway_are_answered,
    refunds_took_effect_once,
    reserved_is_what_is_given_back,
    what_came_after_reached_the_items,
)
from local.traffic import CHARGED, NOT_COMPLETED, REFUNDED

FINAL = frozenset({"completed", "declined", "rejected", "expired", "cancelled"})
REFUND_FINAL = frozenset({"refunded", "failed"})
# What an operator needs to judge a parked payment, and to retry it.
PARKED_FIELDS = frozenset({"request", "park_no", "parked_reason", "parked_at", "open_shard", "retry_hash"})
# The published item's fields, which every charged payment has.
PUBLISHED_FIELDS = frozenset(
    {
        "transaction_id",
        "payment_id",
        "order_id",
        "customer_id",
        "amount",
        "payment_method",
        "fraud_score",
        "status",
        "gateway_response",
        "processed_at",
    }
)
_CONFLICT_KEY = re.compile(r"txn-([^#]+)(?:#refund#[^#]+)?#conflict#[0-9a-f]{64}")


# ---- checks: what became of the messages ------------------------------------------------------------------------


def every_message_settled_once(evidence: Evidence) -> Iterable[str]:
    for sent in evidence.accepted:
        found = ends(evidence, sent)
        if len(found) != 1:
            yield (
                f"{_name(sent)} has {len(found)} ends {found}, one is right: {evidence.told(sent.message_id)}; "
                f"item: {_brief(evidence.item_of(sent.message))}"
            )


def nothing_left_open(evidence: Evidence) -> Iterable[str]:
    """No record stays open but the one that must be parked, and nothing waits on the queue."""
    if evidence.left_on_queue:
        yield f"{evidence.left_on_queue} messages are still on the payment queue"
    for item in (*evidence.payments.values(), *evidence.refunds.values()):
        message_id = item.get("message_id", "")
        is_right = any(item["status"] in sent.message.ends for sent in evidence.by_id.get(message_id, []))
        if item["status"] not in FINAL | REFUND_FINAL and not is_right:
            yield f"{item['transaction_id']} stays {item['status']}: {_brief(item)}; {evidence.told(message_id)}"


def outcomes_are_the_right_ones(evidence: Evidence) -> Iterable[str]:
    """Each message ended as its kind must, whatever faults came in between."""
    for sent in evidence.accepted:
        found = ends(evidence, sent)
        right = _right_ends(evidence, sent) | ({"duplicate"} if _is_repeated(evidence, sent) else set())
        if len(found) == 1 and found[0] not in right:
            yield f"{_name(sent)} ended as {found[0]}, right is {' or '.join(sorted(right))}"


def duplicates_dropped_by_the_queue_or_seen_by_the_function(evidence: Evidence) -> Iterable[str]:
    """A repetition with a deduplication id of its own reaches the function; one without is dropped by the queue."""
    dropped = {sent.message.number for sent in evidence.dropped}
    for sent in evidence.sent:
        should = sent.message.kind == "duplicate_dropped"
        if (sent.message.number in dropped) != should:
            yield f"{_name(sent)} {'was not' if should else 'was'} dropped by the queue"
    for sent in evidence.accepted:
        if evidence.deliveries is not None and not any(
            sent.message_id in delivery.message_ids for delivery in evidence.deliveries
        ):
            yield f"{_name(sent)} never reached the function"


def conflicts_are_kept_apart(evidence: Evidence) -> Iterable[str]:
    """The same id with another amount is an item of its own, and the payment keeps the content that came first."""
    for conflict in evidence.conflicts:
        match = _CONFLICT_KEY.fullmatch(conflict["transaction_id"])
        if match is None or match[1] != conflict.get("payment_id") or conflict["status"] != "conflict":
            yield f"{conflict['transaction_id']} is not a conflict item: {_brief(conflict)}"
    for sent in evidence.accepted:
        item = evidence.item_of(sent.message)
        if sent.message.kind == "conflict" and item is not None and item.get("message_id") == sent.message_id:
            yield f"{_name(sent)} replaced the payment that it contradicts: {_brief(item)}"


def nobody_is_dead_lettered_untried(evidence: Evidence) -> Iterable[str]:
    """Whatever failed in front of it: a message on the dead-letter queue has an item, which says that it was tried."""
    for dead in evidence.dead_lettered:
        for sent in evidence.by_id.get(dead["message_id"], [])[:1]:
            item = evidence.item_of(sent.message)
            if item is None or item.get("message_id") != sent.message_id:
                yield f"{_name(sent)} of {sent.message.group} is on the dead-letter queue and was never tried"


# ---- checks: money ----------------------------------------------------------------------------------------------


def charged_at_most_once(evidence: Evidence) -> Iterable[str]:
    captures = Counter(capture["payment_id"] for capture in evidence.captures)
    for payment_id, count in sorted(captures.items()):
        status = evidence.payments.get(payment_id, {}).get("status", "without an item")
        if count > 1 or status != "completed":
            yield f"{payment_id} was charged {count} times and is {status}: {_captures_of(evidence, payment_id)}"
    for item in evidence.payments.values():
        if item["status"] == "completed" and captures[item["payment_id"]] != 1:
            yield f"{item['transaction_id']} is completed with {captures[item['payment_id']]} captures"


def charged_for_the_recorded_amount(evidence: Evidence) -> Iterable[str]:
    """Sent, stored and captured amounts agree to the minor unit; what was rejected has none."""
    wanted = {
        sent.message.payment_id: sent.message
        for sent in evidence.accepted
        if sent.message.kind != "conflict" and sent.message.amount_minor and not sent.message.refund_id
    }
    captured = {capture["payment_id"]: capture for capture in evidence.captures}
    for payment_id, item in sorted(evidence.payments.items()):
        if item["status"] not in CHARGED or payment_id not in wanted:
            continue
        minor, amount = item.get("amount_minor"), item.get("amount")
        right = wanted[payment_id].amount_minor
        if minor != right or amount != Decimal(right) / 100:
            yield f"txn-{payment_id} stores {amount} ({minor} minor units), sent were {right} minor units"
        capture = captured.get(payment_id)
        if capture and (capture["amount"], capture["currency"].upper()) != (minor, item.get("currency")):
            yield (
                f"{payment_id} was charged {capture['amount']} {capture['currency']} (sequence {capture['seq']}), "
                f"its item says {minor} {item.get('currency')}"
            )


def first_outcome_stands(evidence: Evidence) -> Iterable[str]:
    """What the table says of a charge is what the gateway stored first, reference and authorization included."""
    for item in evidence.payments.values():
        intents = {intent["ref"]: intent for intent in evidence.intents_of[item["payment_id"]]}
        intent = intents.get(item.get("gateway_ref", ""))
        if item["status"] not in CHARGED or "gateway_ref" not in item:
            continue
        if intent is None:
            yield f"{item['transaction_id']} names {item['gateway_ref']}, which the gateway does not know"
            continue
        right = {"succeeded": "completed", "canceled": "declined"}.get(intent["status"])
        code = item.get("gateway_response", {}).get("authorization_code")
        if item["status"] != right or (right == "completed" and code != intent["authorization_code"]):
            yield (
                f"{item['transaction_id']} is {item['status']} with authorization {code}, the gateway's "
                f"{intent['ref']} is {intent['status']} with {intent['authorization_code']}"
            )


def late_writes_are_refused(evidence: Evidence) -> Iterable[str]:
    for late in evidence.late_writes:
        if late.accepted:
            yield (
                f"txn-{late.payment_id}: a stale owner's record, sent in attempt {late.attempt_sent} and arriving in "
                f"attempt {late.attempt_then} of another owner, was accepted"
            )


# ---- checks: the gateway's side ---------------------------------------------------------------------------------


def looked_up_before_charged_again(evidence: Evidence) -> Iterable[str]:
    """Between two charges of one reference stands a status that was answered: no repeat in the dark."""
    asked: dict[str, bool] = {}
    for request in evidence.requests:
        ref = request["ref"]
        if request["call"] == "status" and request["status_code"] == 200:
            asked[ref] = True
        if request["call"] == "charge":
            if not asked.get(ref, True):
                yield (
                    f"{ref} of {request['payment_id']} was charged again (sequence {request['seq']}) after an outcome "
                    "that was never looked up"
                )
            asked[ref] = False


def groups_keep_their_order(evidence: Evidence) -> Iterable[str]:
    """In each group, a payment's first charge comes after the earlier payment's settlement, by the gateway's sequence.

    Behind one that is parked, it comes after that one's last try. And claims were made in the order of the queue's
    sequence numbers.
    """
    first_charge: dict[str, int] = {}
    last_try: dict[str, int] = {}
    for request in evidence.requests:
        if request["call"] in ("prepare", "charge"):
            last_try[request["payment_id"]] = request["seq"]
        if request["call"] == "charge":
            first_charge.setdefault(request["payment_id"], request["seq"])
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in evidence.payments.values():
        groups[item.get("message_group_id", "")].append(item)
    for group, items in sorted(groups.items()):
        items.sort(key=lambda item: item.get("sequence_number", ""))
        for before, after in pairwise(items):
            if after["created_at"] < before["created_at"]:
                yield f"{group}: {_place(after)} was claimed before {_place(before)}"
            if before["status"] == "parked" and first_charge.get(after["payment_id"], math.inf) < last_try.get(
                before["payment_id"], 0
            ):
                yield f"{group}: {_place(after)} was charged before {_place(before)} was tried for the last time"
        # Who waits for a person is overtaken, and charged whenever the person says so.
        charged = [item for item in items if item["payment_id"] in first_charge and "approval_name" not in item]
        for before, after in pairwise(charged):
            settled = max((i["settled_seq"] or 0 for i in evidence.intents_of[before["payment_id"]]), default=0)
            begun = first_charge[after["payment_id"]]
            if not settled or begun < settled:
                yield (
                    f"{group}: {_place(after)} was charged at the gateway's {begun}, before {_place(before)} "
                    f"was settled ({settled or 'never'})"
                )


# ---- checks: deliveries, secrets, faults ------------------------------------------------------------------------


def failed_deliveries_came_back(evidence: Evidence) -> Iterable[str]:
    dead = {message["message_id"] for message in evidence.dead_lettered}
    for number, delivery in enumerate(evidence.deliveries or [], 1):
        for message_id in delivery.failed:
            later = (evidence.deliveries or [])[number:]
            if message_id not in dead and not any(message_id in each.message_ids for each in later):
                yield (
                    f"{_name(evidence.by_id[message_id][0])} failed in batch {number} "
                    f"({delivery.error or 'returned'}) and was never delivered again"
                )


def no_card_number_in_the_clear(evidence: Evidence) -> Iterable[str]:
    """None of the card numbers sent stands in a log, an item, the rejected or the dead-letter queue."""
    cards = {card for sent in evidence.sent for card in sent.message.card_numbers}
    places = dict(evidence.logs)
    places["the table"] = json.dumps(evidence.items, default=str, ensure_ascii=False)
    places["the rejected queue"] = json.dumps(evidence.rejected, ensure_ascii=False)
    places["the dead-letter queue"] = json.dumps(evidence.dead_lettered, ensure_ascii=False)
    for place, text in sorted(places.items()):
        # As written, with the separators that people use inside a number taken out.
        joined = re.sub(r"(?<=\d)[ -](?=\d)", "", text)
        for card in sorted(cards):
            if (at := joined.find(card)) >= 0:
                line = joined.count("\n", 0, at) + 1
                yield f"the card number ending in {card[-4:]} stands in the clear in {place}, line {line}"


def items_are_complete(evidence: Evidence) -> Iterable[str]:
    for item in evidence.payments.values():
        missing = sorted(PUBLISHED_FIELDS - item.keys()) if item["status"] in CHARGED and "gateway_ref" in item else []
        if item["status"] == "parked":
            missing = sorted(PARKED_FIELDS - item.keys())
        if missing:
            yield f"{item['transaction_id']} lacks {', '.join(missing)}"
        stale = sorted({"lease_until", "request"} & item.keys()) if item["status"] in FINAL else []
        # What people were shown stays in the index, to be forgotten.
        if item["status"] in FINAL and not item.get("open_shard", "ended#").startswith("ended#"):
            stale.append("open_shard")
        if item["status"] in FINAL and "shown" in item and "open_shard" not in item:
            yield f"{item['transaction_id']} is {item['status']} and not found by who forgets what people were shown"
        if stale:
            yield f"{item['transaction_id']} is {item['status']} and still has {', '.join(stale)}"


def lost_starts_are_made_good(evidence: Evidence) -> Iterable[str]:
    """A payment whose workflow never began gets its next generation from reconcile, and an execution that ends it."""
    for payment_id in evidence.lost_starts:
        item = evidence.payments.get(payment_id, {})
        if item.get("status") not in CHARGED or item.get("generation", 0) < 2 or not item.get("execution_arn"):
            yield (
                f"{payment_id}, whose start was lost, is {item.get('status', 'without an item')} in generation "
                f"{item.get('generation', 0)}: {_brief(item)}"
            )


def planned_faults_struck(evidence: Evidence) -> Iterable[str]:
    """A fault that never happened proves nothing."""
    for fault, times in sorted(evidence.planned.items()):
        if evidence.struck.get(fault, 0) < times:
            yield f"{fault} was planned {times} times and struck {evidence.struck.get(fault, 0)} times"
    if "late_record" in evidence.planned and not evidence.late_writes:
        yield "late_record was held back, and no other owner took its payment over"


CHECKS: tuple[Callable[[Evidence], Iterable[str]], ...] = (
    every_message_settled_once,
    nothing_left_open,
    outcomes_are_the_right_ones,
    duplicates_dropped_by_the_queue_or_seen_by_the_function,
    conflicts_are_kept_apart,
    nobody_is_dead_lettered_untried,
    charged_at_most_once,
    charged_for_the_recorded_amount,
    first_outcome_stands,
    late_writes_are_refused,
    one_key_and_one_reference_a_payment,
    looked_up_before_charged_again,
    groups_keep_their_order,
    failed_deliveries_came_back,
    no_card_number_in_the_clear,
    items_are_complete,
    events_say_what_the_items_say,
    refunds_took_effect_once,
    reserved_is_what_is_given_back,
    events_of_the_gateway_are_answered,
    what_came_after_reached_the_items,
    lost_starts_are_made_good,
    planned_faults_struck,
)


def audit(evidence: Evidence) -> dict[str, list[str]]:
    """Every check by name, with the sentences against it; an empty list is a pass."""
    return {check.__name__: list(check(evidence)) for check in CHECKS}


# ---- sentences --------------------------------------------------------------------------------------------------


def _right_ends(evidence: Evidence, sent: Sent) -> frozenset[str]:
    """What is right for a message; a refund of a payment that captured nothing gives nothing back."""
    message, payment = sent.message, evidence.payments.get(sent.message.payment_id)
    if message.refund_id and message.ends == REFUNDED and payment is not None and payment["status"] != "completed":
        return NOT_COMPLETED
    return message.ends


def _is_repeated(evidence: Evidence, sent: Sent) -> bool:
    """Whether another accepted message has the same content: then either of the two may hold the item."""
    return evidence.copies[sent.message.payment_id, sent.message.body] > 1


def _name(sent: Sent) -> str:
    return f"message {sent.message.number} ({sent.message.kind}, {sent.message.payment_id or 'no usable id'})"


def _place(item: Mapping[str, Any]) -> str:
    return f"{item['payment_id']} (queue sequence {item.get('sequence_number', '?').lstrip('0')})"


def _brief(item: Mapping[str, Any] | None) -> str:
    if item is None:
        return "none"
    shown = ("status", "owner", "attempt", "gateway_ref", "amount_minor", "message_id", "reason_code")
    return ", ".join(f"{name} {item[name]}" for name in shown if name in item)


def _captures_of(evidence: Evidence, payment_id: str) -> str:
    return "; ".join(
        f"sequence {capture['seq']}: {capture['amount']} {capture['currency']} on {capture['ref']}"
        for capture in evidence.captures
        if capture["payment_id"] == payment_id
    )
