"""The auditor's model of parking: who counts which try, when a payment may and must be parked, and what moves it then.

As the auditor, of which it is a part, it shares no rule with the code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from typing import Any

from tests.simulation.breaker import BreakerRules
from tests.simulation.table import SentWrite
from tests.simulation.traffic import Sent
from tests.simulation.world import MINUTE, Invocation, World

_LEAST_REMAINING_MS = 10_000
# How a try ended whose cause is the payment; and a 5xx of which only the code knows whether its breaker was open.
_OWN, _EITHER = ("own", "refused", "failed own"), "failed either"
_CLAIMS = ("put_new", "claim_corrected")
_IN_PROGRESS = ("takes days", "at work")
# The reasons that say how the last call ended.
_REASONS = {
    "gateway_answer_invalid": ("own",),
    "gateway_refused": ("refused",),
    "charge_in_progress": _IN_PROGRESS,
}


class ParkingRules:
    def __init__(self, world: World, fail: Callable[[str, str], None]) -> None:
        self.world = world
        self.fail = fail
        # Told of each payment that is parked.
        self.parked: Callable[[str], None] = lambda key: None
        self._tries: dict[str, int] = {}
        # By attempt, as a message's worker began with; by release, as it was first applied.
        self._begun: dict[tuple[str, int], int] = {}
        self._applied: dict[int, SentWrite] = {}
        self._blurred: set[str] = set()
        # By transaction id, the most tries that any write of it said.
        self._most: dict[str, int] = {}
        # (invocation, transaction id): the tries with the one that it has begun, whoever else took over since.
        self._own_tries: dict[tuple[str, str], int] = {}
        self._since: dict[str, int] = {}
        # (invocation, transaction id): how its last call of the gateway ended, since it has the payment.
        self._failure: dict[tuple[str, str], str] = {}
        # The same: its calls of the gateway and how each ended, since its try began.
        self._calls: dict[tuple[str, str], list[tuple[str, str]]] = {}
        # (invocation, transaction id): its charges, since it has the payment.
        self._charges: dict[tuple[str, str], int] = {}
        # (invocation, transaction id): the tries, as they were when its park was first sent.
        self._sent: dict[tuple[str, str], int] = {}
        self._parked_by: set[str] = set()
        self.breaker = BreakerRules(fail)

    def backup(self) -> Callable[[], None]:
        """What takes back the tries of all payments to what they are now."""
        names = ("_tries", "_most", "_since", "_blurred")
        kept = {name: copy(getattr(self, name)) for name in names}

        def restore() -> None:
            for name, value in kept.items():
                setattr(self, name, value)

        return restore

    def refuses(self, invocation: Invocation, key: str) -> None:
        """A payment is about to end: where the table does not take that, it is not the payment that failed."""
        self._failure[invocation.name, key] = "shared"

    def sent(self, invocation: Invocation, key: str) -> None:
        # A late release may take the count back behind an execution that has read it before.
        tries = self._most[key] if key in self._blurred else self._tries.get(key, 0)
        self._sent.setdefault((invocation.name, key), tries + bool(invocation.arn))

    def gateway_failed(self, invocation: Invocation, key: str, call: str, failure: str) -> None:
        if call == "charge":
            self._charges[invocation.name, key] = self._charges.get((invocation.name, key), 0) + 1
        if failure == "refused" and self._charges.get((invocation.name, key)) == 1:
            # What follows is asked first: a try that has no time for that has failed for nobody's fault.
            failure = "shared"
        if invocation.place:
            self._calls.setdefault((invocation.name, key), []).append((call, failure))
        else:
            self._failure[invocation.name, key] = self.breaker.call_ended(invocation, key, call, failure)

    def try_ended(self, invocation: Invocation, key: str) -> None:
        """A worker is about to write how its try ended: only now its environment's breaker knows of it, too."""
        for call, failure in self._calls.pop((invocation.name, key), ()):
            self._failure[invocation.name, key] = self.breaker.call_ended(invocation, key, call, failure)
        self.breaker.try_ended(invocation, key)

    def called(self, invocation: Invocation, key: str) -> None:
        """A worker asks the gateway about a payment: it has a try left."""
        self.breaker.asks(invocation, key)
        tries = self._own_tries.get((invocation.name, key), self._tries.get(key, 0) + bool(invocation.arn))
        if invocation.charges and tries > self.world.profile.park_after_tries and key not in self._blurred:
            self.fail("no try beyond the last", f"{invocation.name} tries {key} for the {tries}th time")

    def has_parked(self, invocation: Invocation, message_id: str) -> bool:
        """Whether this message's payment was parked by this invocation, for this message."""
        return f"{invocation.name}:{message_id}" in self._parked_by

    def retry_arrived(self, sent: Sent, item: dict[str, Any]) -> None:
        if item.get("retry_no", 0) < sent.retry:
            self.fail("allowed before it is sent", f"{sent.name} is sent, allowed is {item.get('retry_no')}")
        if item.get("message_group_id") != sent.group:
            self.fail("a retry is in its payment's group", f"{sent.name} is in {sent.group}")

    def wrote(
        self, invocation: Invocation, write: SentWrite, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        intent, key = write.intent, after["transaction_id"]
        if after["status"] == "conflict":
            return
        if intent in (*_CLAIMS, "take_over", "take_over_stuck", "take_over_parked", "begin_approved_charge"):
            self._failure.pop((invocation.name, key), None)
            self._charges.pop((invocation.name, key), None)
            self._sent.pop((invocation.name, key), None)
        if intent == "release" and id(write) not in self._applied:
            self._must_be_parked(invocation, write, before or {})
        if before is not None and before["status"] == "parked":
            self._of_parked(write, before, after)
        if intent == "park":
            self._park(invocation, write, before or {}, after)
        self._count(invocation, write, after)

    def _count(self, invocation: Invocation, write: SentWrite, after: dict[str, Any]) -> None:
        """The tries as they should be after a write, and whether the item has them."""
        intent, key = write.intent, after["transaction_id"]
        if intent in _CLAIMS and after["status"] == "processing" and not invocation.arn:
            self._tries[key], self._since[key] = 1, after["created_at"]
        elif intent == "take_over":
            # A release that came between the reading and the take-over is not seen: that try counts.
            unseen = self._begun[key, after["attempt"] - 1]
            self._tries[key] = 1 + (unseen if after["tries"] == unseen + 1 else self._tries[key])
        elif intent == "take_over_parked":
            self._tries[key], self._since[key] = int(invocation.charges), write.clock_ms
        elif intent == "release" and not invocation.charges:
            # Reconcile says again what it read; a release that came between that and its take-over is not seen either.
            unseen = self._begun.get((key, after["attempt"] - 1), -1)
            if unseen == after["tries"]:
                self._tries[key] = after["tries"]
        elif intent == "release":
            failure = self._failure.get((invocation.name, key))
            own = failure in _OWN
            if not invocation.arn:
                # Counted when it was taken over; a release that is repeated says the same again.
                begun = self._begun[key, after["attempt"]]
                counts = own or begun > self.world.profile.park_after_tries
                counts = counts or (failure == _EITHER and after["tries"] == begun)
                self._tries[key] = begun - int(not counts)
            elif self._is_repeated(invocation, write, key):
                # Several tries of an execution are one attempt: a late release may take a later one's count back.
                self._tries[key] = min(after["tries"], self._most.get(key, 0) + 1)
            else:
                tries = self._tries.get(key, 0)
                self._tries[key] = tries + int(own or tries >= self.world.profile.park_after_tries)
        tries = self._tries.get(key, 0)
        if after.get("tries", 0) != tries:
            self.fail("tries are the payment's own", f"{key} has {after.get('tries')} after {intent}, {tries} count")
        self._most[key] = max(tries, self._most.get(key, 0))
        if intent in (*_CLAIMS, "take_over", "take_over_stuck", "take_over_parked"):
            self._begun[key, after["attempt"]] = tries
            if not invocation.arn:
                self._own_tries[invocation.name, key] = tries

    def _is_repeated(self, invocation: Invocation, write: SentWrite, key: str) -> bool:
        """Whether this release, or one before it, came twice or after its sender: what was read in between is old."""
        if invocation.over or id(write) in self._applied:
            self._blurred.add(key)
        self._applied[id(write)] = write
        return key in self._blurred

    def _judged(self, invocation: Invocation, write: SentWrite, before: dict[str, Any]) -> tuple[int, bool, bool]:
        """Tries with the one under way; whether the payment caused its failure; whether its time is over."""
        key = before["transaction_id"]
        own = self._failure.get((invocation.name, key)) in _OWN
        is_old = self._tried_for(write, before) >= 1000 * self.world.profile.park_after_seconds
        return self._tries.get(key, 0) + bool(invocation.arn), own, is_old

    def _tried_for(self, write: SentWrite, before: dict[str, Any]) -> int:
        """Milliseconds since its first try, by the clock of who writes."""
        since = self._since.get(before["transaction_id"]) or before.get("decided_at") or before["created_at"]
        return int(write.clock_ms - since)

    def _must_be_parked(self, invocation: Invocation, write: SentWrite, before: dict[str, Any]) -> None:
        """Who lets go of a payment that failed too often, or for too long, has tried to park it."""
        key = before["transaction_id"]
        failure = self._failure.get((invocation.name, key))
        if not failure or not invocation.charges or invocation.over or (invocation.name, key) in self._sent:
            return
        tries, own, is_old = self._judged(invocation, write, before)
        has_time = invocation.remaining_ms() >= _LEAST_REMAINING_MS
        is_old, is_days = is_old and has_time, has_time and self._takes_days(failure, write, before)
        # An execution may not have seen the count of a release that arrived late.
        is_spent = own and tries >= self.world.profile.park_after_tries and key not in self._blurred
        if is_old or is_spent or is_days:
            self.fail("what keeps failing is parked", f"{key} was released after {tries} tries, too old: {is_old}")

    def _takes_days(self, failure: str | None, write: SentWrite, before: dict[str, Any]) -> bool:
        """Whether no delivery would bring its charge on: it was answered so, or is at work for longer than any call."""
        return failure == "takes days" or (failure == "at work" and self._tried_for(write, before) >= 15 * MINUTE)

    def _park(self, invocation: Invocation, write: SentWrite, before: dict[str, Any], after: dict[str, Any]) -> None:
        key, limit = after["transaction_id"], self.world.profile.park_after_tries
        _, own, is_old = self._judged(invocation, write, before)
        # A park that arrives late may come behind the release that counted this try.
        tries = self._sent[invocation.name, key]
        failure = self._failure.get((invocation.name, key))
        is_days = self._takes_days(failure, write, before)
        is_others = after.get("parked_reason") == "found_with_different_content" and self.world.restored_at > 0
        if not (is_old or is_days or is_others or tries > limit or ((own or failure == _EITHER) and tries >= limit)):
            self.fail("parked for its own failures", f"{key} was parked after {tries} tries")
        reason = after.get("parked_reason")
        told = _REASONS.get(str(reason), (failure,))
        is_told = failure in told and any(failure in each for each in _REASONS.values()) == (reason in _REASONS)
        # The charge that is at work is another content's.
        is_told = is_told or (is_others and failure == "at work")
        is_sure = key not in self._blurred
        if not is_told or (is_sure and (reason == "tries_used_up") != (tries > limit)):
            self.fail("parked for its reason", f"{key} was parked for {reason}, {tries} tries")
        request_hash = hashlib.sha256(after.get("request", "").encode()).hexdigest()
        wanted = ("parked", before.get("park_no", 0) + 1, write.clock_ms, before["request_hash"])
        found = (after["status"], after.get("park_no"), after.get("parked_at"), request_hash)
        if found != wanted or "lease_until" in after or after.get("retry_hash") != request_hash:
            self.fail("parked is complete", f"{key}: {after}")
        self._parked_by.add(after["owner"])
        self.breaker.parked(invocation, key)
        self.parked(key)

    def _of_parked(self, write: SentWrite, before: dict[str, Any], after: dict[str, Any]) -> None:
        """What may happen to a parked item; the auditor holds it to its owner and attempt."""
        intent, key, park_no = write.intent, after["transaction_id"], before["park_no"]
        if intent == "allow_retry":
            if (after["status"], after.get("retry_no"), "retried_by" in after) != ("parked", park_no, True):
                self.fail("allowed is complete", f"{key}: {after}")
        elif intent == "take_over_parked":
            if before.get("retry_no") != park_no:
                self.fail("only who was allowed to", f"{key} was taken over, {before.get('retry_no')} of {park_no}")
            if ("approval_name" in before) != after["owner"].startswith("op"):
                self.fail("a workflow's payment waits for no message", f"{after['owner']} took {key} over")
            if after.get("first_tried_at") != write.clock_ms:
                self.fail("retried anew", f"{key} is tried since {after.get('first_tried_at')}")
        elif intent in ("cancel_parked", "record_cancelled"):
            told = ("cancelled", "cancelled", True, True, intent == "record_cancelled")
            is_told = (after["status"], after.get("reason_code"), "cancelled_by" in after, "cancel_reason" in after)
            if (*is_told, "gateway_ref" in before) != told:
                self.fail("cancelled is complete", f"{intent} of {key}: {after}")
        elif intent in ("record_parked", "record_found"):
            if after["status"] not in ("completed", "declined"):
                self.fail("recorded is final", f"{key}: {after}")
        else:
            self.fail("parked items are left alone", f"{intent} changed {key}, which is parked")
