"""The audit's check of outcome events: what was told is what stands, and nothing is missing.

One rule: as the audit, of which it is a part, it shares no code with the handler.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from local.evidence import Evidence

_OUTCOMES = frozenset({"completed", "declined", "rejected", "expired", "cancelled", "parked", "conflict"})
# What an event and its item both say, in the same words.
_TOLD = ("payment_id", "status", "version", "order_id", "amount_minor", "currency", "reason_code", "gateway_ref")


def events_say_what_the_items_say(evidence: Evidence) -> Iterable[str]:
    """Each outcome was told, in order and without a gap, and the last one is the item's."""
    if evidence.events is None:
        return
    told: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for event in evidence.events:
        key, number = event["transaction_id"], event["sequence"]
        if told[key].setdefault(number, event) != event:
            yield f"outcome {number} of {key} was told twice, and otherwise: {event}"
        if number < max(told[key]):
            yield f"outcome {number} of {key} was told behind a later one"
    items = {item["transaction_id"]: item for item in evidence.items}
    yield from (f"{key} was told of, and has no item" for key in sorted(told.keys() - items.keys()))
    for key, item in items.items():
        if item["status"] not in _OUTCOMES:
            continue
        numbers = sorted(told[key])
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            yield f"{key} is {item['status']}, and of its outcomes were told: {numbers}"
            continue
        last = told[key][numbers[-1]]
        wrong = [name for name in _TOLD if last.get(name) != item.get(name)]
        if wrong:
            yield f"{key} was told otherwise than its item says: {', '.join(wrong)}"
