"""The auditor's model of outcome events: which there must be, in which order, and what each has to say.

As the auditor, of which it is a part, it shares no rule with the code. The stream is played through the shipped
function once a history is over, in batches that are drawn, to a target that refuses, and whose answers are lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from handler.adapters.table.expressions import to_attributes
from handler.domain.item import from_stored
from handler.domain.outcome_delivery import EventTargetError, Refusal
from handler.domain.outcome_event import OutcomeEvent, outcome_event
from handler.domain.refund_event import refund_event
from handler.domain.refund_item import is_refund, refund_from_stored
from handler.events_function import EventsFunction
from tests.simulation.later import WRITES as LATER_WRITES
from tests.simulation.tally import DIFFERENCES
from tests.simulation.world import World

_OUTCOMES = (
    *("completed", "declined", "rejected", "expired", "cancelled", "parked", "conflict"),
    *("waiting", "pending", "refunded", "failed"),
)
_OF_THE_EVENT = ("schema_version", "event_id", "environment", "kind", "sequence", "more_may_follow")
_ATTEMPTS_MAX = 2_000


class _Target:
    """`EventTarget`: takes all, some or none of a call, or takes it and its answer is lost; `taken` as they came."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.taken: list[OutcomeEvent] = []

    def send(self, events: Sequence[OutcomeEvent], /) -> list[Refusal]:
        how = self._world.draw_next("events/call")
        if how < 0.1:
            raise EventTargetError("no answer")
        refused = [event for event in events if how < 0.5 and self._world.draw_next("events/refused") < 0.5]
        self.taken += [event for event in events if event not in refused]
        if how > 0.9:
            raise EventTargetError("the answer was lost")
        return [Refusal(event.event_id, is_for_good=False, detail="throttled") for event in refused]


class _Context:
    """At some calls the function's time is up."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get_remaining_time_in_millis(self) -> int:
        return 0 if self._world.draw_next("events/time") < 0.05 else 60_000


class EventRules:
    def __init__(self, world: World, environment: str, fail: Callable[[str, str], None]) -> None:
        self._world = world
        self._environment = environment
        self._fail = fail
        self._written: list[tuple[dict[str, Any] | None, dict[str, Any]]] = []
        # By transaction id, the item as it was whenever it came to an outcome.
        self._outcomes: dict[str, list[dict[str, Any]]] = {}

    def wrote(self, intent: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        self._written.append((before, after))
        comes = before is None or before["status"] != after["status"] or intent in ("claim_corrected", *LATER_WRITES)
        if after["status"] in _OUTCOMES and comes:
            self._outcomes.setdefault(after["transaction_id"], []).append(after)

    def backup(self) -> Callable[[], None]:
        """What takes back the stream to what it is now: who receives it is told that what came since is lost."""
        written, outcomes = list(self._written), {key: list(each) for key, each in self._outcomes.items()}

        def restore() -> None:
            self._written, self._outcomes = written, outcomes

        return restore

    def _differs(self, rule: str, what: str) -> None:
        self._world.tally[DIFFERENCES] += 1
        self._fail(rule, what)

    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        self._fail("no alarm", f"{reason_code} {transaction_id}: {detail}")

    def at_the_end(self, items: dict[str, dict[str, Any]]) -> list[str]:
        """Play the stream and hold what arrived against the items; the texts that were sent."""
        target = _Target(self._world)
        if not self._play(EventsFunction(self._environment, target, self)):
            self._differs("the stream comes to its end", "a record fails for ever")
            return []
        self._world.tally["outcome_events"] += len({event.event_id for event in target.taken})
        texts: dict[str, str] = {}
        arrived: dict[str, list[dict[str, Any]]] = {}
        for event in target.taken:
            if event.event_id not in texts:
                arrived.setdefault(event.transaction_id, []).append(json.loads(event.text, parse_float=Decimal))
            elif texts[event.event_id] != event.text:
                self._differs("a repeat says the same", f"{texts[event.event_id]} became {event.text}")
            texts[event.event_id] = event.text
        for key in sorted(self._outcomes.keys() | arrived.keys()):
            self._compare(key, self._outcomes.get(key, []), arrived.get(key, []))
        for key, item in items.items():
            if item["status"] in _OUTCOMES:
                again = _event_of(item, self._environment)
                if key not in arrived or again.event_id != arrived[key][-1]["event_id"]:
                    self._differs("a replay says the last outcome", f"{key} became {again.text}")
        return list(texts.values())

    def _play(self, function: EventsFunction) -> bool:
        """As Lambda does: from the first record that failed on, all come again. False where that never ends."""
        records = [
            {
                "dynamodb": {
                    "Keys": to_attributes({"transaction_id": after["transaction_id"]}),
                    "NewImage": to_attributes(after),
                    **({"OldImage": to_attributes(before)} if before else {}),
                    "SequenceNumber": str(place),
                }
            }
            for place, (before, after) in enumerate(self._written)
        ]
        place = 0
        for _ in range(_ATTEMPTS_MAX):
            if place >= len(records):
                return True
            batch = records[place : place + self._world.between("events/batch", 1, 200)]
            failures = function({"Records": batch}, _Context(self._world))["batchItemFailures"]
            place = int(failures[0]["itemIdentifier"]) if failures else place + len(batch)
        return False

    def _compare(self, key: str, outcomes: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        was = [(number, item["status"], item.get("version", 0)) for number, item in enumerate(outcomes, 1)]
        told = [(event["sequence"], event["status"], event["version"]) for event in events]
        if was != told:
            self._differs("every outcome is told once, in order", f"{key} was {was}, told was {told}")
            return
        for item, event in zip(outcomes, events, strict=True):
            wrong = [name for name, said in event.items() if name not in _OF_THE_EVENT and not _says(item, name, said)]
            follows = item["status"] == "parked" or (item["status"] == "rejected" and "faults" in item)
            if event["kind"] == "refund":
                follows = item["status"] != "failed"
            if wrong or event["more_may_follow"] != follows:
                self._differs("an event says what its item has", f"{key}: {', '.join(wrong)} of {event}")


def _event_of(item: dict[str, Any], environment: str) -> OutcomeEvent:
    if is_refund(item["transaction_id"]):
        return refund_event(refund_from_stored(item), environment)
    return outcome_event(from_stored(item), environment)


def _says(item: dict[str, Any], name: str, said: Any) -> bool:
    if name == "version":
        return bool(item.get(name, 0) == said)
    if name == "amount":
        return bool(Decimal(said) == item[name])
    if name == "gateway_response":
        return bool({each: value for each, value in item[name].items() if value} == said)
    return bool(item[name] == said)
