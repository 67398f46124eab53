"""The audit's check of the keys that the gateway was given.

One rule: as the audit, of which it is a part, it shares no code with the handler.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from local.evidence import Evidence


def one_key_and_one_reference_a_payment(evidence: Evidence) -> Iterable[str]:
    """Every request carries its payment's key, with the same body each time, and a key is carried out once.

    A key that is spent is given up for the next one, so that a payment may have as many references as it gave keys of
    its prepare up, and one more; only one of them is ever charged.
    """
    prepared: dict[str, set[str]] = defaultdict(set)
    charged: dict[str, set[str]] = defaultdict(set)
    bodies: dict[str, set[str]] = defaultdict(set)
    carried_out: Counter[str] = Counter()
    for request in evidence.requests:
        payment_id, call, key = request["payment_id"], request["call"], request["idempotency_key"]
        if not _is_key(evidence, payment_id, call, key):
            yield f"{call} of {payment_id} (sequence {request['seq']}) came with key {key}, which is not its own"
        if call == "prepare":
            prepared[payment_id].add(str(key))
        if call == "charge":
            charged[payment_id].add(request["ref"])
        if request["idempotency_key"] is not None:
            bodies[request["idempotency_key"]].add(request["body_sha256"])
            carried_out[request["idempotency_key"]] += request["status_code"] in (200, 402) and not request["replayed"]
    for payment_id, intents in sorted(evidence.intents_of.items()):
        if len(intents) > len(prepared[payment_id]) or len(charged[payment_id]) > 1:
            yield f"{payment_id} has {len(intents)} references: {', '.join(intent['ref'] for intent in intents)}"
    for key, different in sorted(bodies.items()):
        if len(different) > 1 or carried_out[key] > 1:
            yield f"key {key} came with {len(different)} different bodies and was carried out {carried_out[key]} times"


def _is_key(evidence: Evidence, payment_id: str, call: str, key: str | None) -> bool:
    """Whether it is a key of this call: of the payment's content, and with a number that was written; else none."""
    name = {"charge": "confirm", "prepare": "prepare"}.get(call)
    if call == "refund":
        match = re.fullmatch(f"{evidence.environment}:{payment_id}:refund:([\\w-]+):(\\d+):refund", key or "")
        refund = evidence.refunds.get((payment_id, match[1])) if match else None
        return refund is not None and match is not None and int(match[2]) <= refund.get("gateway_try", 0)
    if name is None:
        return key is None
    match = re.fullmatch(f"{evidence.environment}:{payment_id}:([0-9a-f]{{16}}):{name}:(\\d+)", key or "")
    item = evidence.payments.get(payment_id)
    if match is None or item is None:
        return match is not None
    return bool(match[1] == item["request_hash"][:16] and int(match[2]) <= item.get("gateway_try", 0))
