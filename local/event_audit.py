"""The audit's check of outcome events: what was told is what stands, and nothing is missing.

One rule: as the audit, of which it is a part, it shares no code with the handler.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from local.evidence import Evidence

_OUTCOMES = frozenset(
    {
        *("completed", "declined", "rejected", "expired", "cancelled", "parked", "conflict"),
        *("waiting", "pending", "refunded", "failed"),
    }
)
# What an event and its item both say, in the same words.
_TOLD = (
    *("payment_id", "status", "order_id", "amount_minor", "currency", "reason_code", "gateway_ref", "refund_id"),
    *("refund_ref", "refunded", "disputed"),
)


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
        versions = [told[key][number]["version"] for number in numbers]
        if versions != sorted(set(versions)):
            yield f"{key} was told in versions {versions}, each of which must be higher than the one before"
        right = _version(item, [told[key][number] for number in numbers], evidence)
        if item["version"] != right:
            yield f"{key} is version {item['version']}, and by what was told of it {right}"


def _version(item: Mapping[str, Any], told: Sequence[Mapping[str, Any]], evidence: Evidence) -> int:
    """The version that an item has to be: nothing is written at an outcome, but by what comes after a charge.

    Each such write is an outcome, but a refund's reservation and its giving back, of which the refund's item tells.
    """
    if item["status"] in ("waiting", "pending"):
        # It is written while it is there, too.
        return max(int(item["version"]), int(told[-1]["version"]))
    if item["status"] != "completed":
        return int(told[-1]["version"])
    ended = next((place for place, event in enumerate(told) if event["status"] == "completed"), len(told) - 1)
    moves = 0
    for refund in evidence.refunds.values():
        if refund["payment_id"] == item["payment_id"] and "pending_at" in refund:
            moves += 1 + ("failed_at" in refund)
    return int(told[ended]["version"]) + len(told) - 1 - ended + moves
