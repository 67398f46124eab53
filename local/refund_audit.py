"""The audit's checks of what comes after a charge: refunds, and what the gateway told of later.

One rule: as the audit, of which it is a part, it shares no code with the handler.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from local.afterwards import RIGHT_ANSWERS
from local.evidence import Evidence

# Stripe's states ("The Refund object", "The Dispute object") in the protocol's words.
_STATES = {
    **{"pending": "pending", "requires_action": "pending", "succeeded": "refunded", "failed": "failed"},
    **{"canceled": "failed", "needs_response": "open", "under_review": "open", "won": "won", "lost": "lost"},
}


def refunds_took_effect_once(evidence: Evidence) -> Iterable[str]:
    """The gateway gave each refund back that is `refunded`, once and over its amount, and no other."""
    given: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for each in evidence.given_back:
        refund_id = each.get("metadata", {}).get("refund_id")
        if refund_id and _state(each) != "failed":
            given[each["payment_intent"], refund_id].append(each)
    for item in evidence.refunds.values():
        key, made = item["transaction_id"], given.pop((item.get("gateway_ref", ""), item["refund_id"]), [])
        right = [(item["amount_minor"], item["currency"])] if item["status"] == "refunded" else []
        if [(each["amount"], each["currency"].upper()) for each in made] != right:
            asked = f"{key} over {item['amount_minor']} {item['currency']} is {item['status']}"
            yield f"{asked}, the gateway gave it back {len(made)} times: {_shown(made)}"
        elif right and made[0]["id"] != item.get("refund_ref"):
            yield f"{key} names {item.get('refund_ref')}, the gateway's is {made[0]['id']}"
    for (gateway_ref, refund_id), made in sorted(given.items()):
        yield f"refund {refund_id} was given back of {gateway_ref}, and has no item: {_shown(made)}"
    for sent in evidence.accepted:
        refund = evidence.item_of(sent.message) if sent.message.refund_id else None
        if refund is not None and refund.get("message_id") == sent.message_id:
            found = refund["amount_minor"]
            if found != sent.message.amount_minor:
                yield f"{refund['transaction_id']} is over {found}, sent were {sent.message.amount_minor} minor units"


def reserved_is_what_is_given_back(evidence: Evidence) -> Iterable[str]:
    """A payment has reserved the sum of its refunds that did not fail, and never gives back more than it captured."""
    reserved: dict[str, int] = defaultdict(int)
    for item in evidence.refunds.values():
        if item["status"] in ("pending", "refunded"):
            reserved[item["payment_id"]] += int(item["amount_minor"])
    captured: dict[str, int] = defaultdict(int)
    for capture in evidence.captures:
        captured[capture["payment_id"]] += capture["amount"]
    intents = {capture["ref"]: capture["payment_id"] for capture in evidence.captures}
    back: dict[str, int] = defaultdict(int)
    for each in evidence.given_back:
        if _state(each) != "failed":
            back[intents.get(each["payment_intent"], "")] += each["amount"]
    for payment_id in sorted(evidence.payments.keys() | reserved.keys() | back.keys()):
        found = int(evidence.payments.get(payment_id, {}).get("refund_reserved", 0))
        if found != reserved[payment_id]:
            yield f"txn-{payment_id} has {found} reserved, its refunds that did not fail are {reserved[payment_id]}"
        if max(found, back[payment_id]) > captured[payment_id]:
            yield (
                f"of {payment_id} {back[payment_id]} was given back and {found} is reserved, "
                f"captured was {captured[payment_id]}"
            )


def events_of_the_gateway_are_answered(evidence: Evidence) -> Iterable[str]:
    """200 to what was signed well and lately, and a wake-up where it is about a payment of this account."""
    for event in evidence.gateway_events:
        answer, right = (event["status"], event["outcome"]), RIGHT_ANSWERS[event["sending"]]
        if answer != right:
            yield (
                f"{event['type']} of {event['payment_id']} ({event['sending']}) was answered {answer[0]} {answer[1]}, "
                f"right is {right[0]} {right[1]}"
            )


def what_came_after_reached_the_items(evidence: Evidence) -> Iterable[str]:
    """An item that the gateway told of says what the gateway says by now, and no item says anything else."""
    told = {event["payment_id"] for event in evidence.gateway_events if event["sending"] == "good" and event["status"]}
    listed: dict[str, dict[str, dict[str, str]]] = {"refunded": defaultdict(dict), "disputed": defaultdict(dict)}
    for name, documents in (("refunded", evidence.given_back), ("disputed", evidence.disputes)):
        for each in documents:
            listed[name][each["payment_intent"]][each["id"]] = f"{_state(each)} {each['amount']}"
    for payment_id, item in sorted(evidence.payments.items()):
        for name, ref in (("refunded", "refund_ref"), ("disputed", "dispute_ref")):
            right = listed[name][item.get("gateway_ref", "")]
            # The last row of each counts.
            said = {row[ref]: f"{row['state']} {row['amount_minor']}" for row in item.get(name, ())}
            is_right = said == right if payment_id in told else said.items() <= right.items()
            if not is_right:
                yield f"txn-{payment_id} has {name} {said}, the gateway {right}"


def _state(document: Mapping[str, Any]) -> str:
    return _STATES[document["status"]]


def _shown(made: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{each['id']} {each['amount']} {each['currency']} {each['status']}" for each in made) or "nothing"
