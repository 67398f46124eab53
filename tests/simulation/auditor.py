"""The auditor: its own model of what may happen, told of every effect and holding each against a named rule.

It shares no rule with the code it audits: states, transitions and conditions are written down here again, the
conditions as docs/protocol.md has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from tests.simulation.ahead import AheadRules
from tests.simulation.clauses import accepted_without
from tests.simulation.events import EventRules
from tests.simulation.gateway import REFUSAL_CODE, Gateway, Intent
from tests.simulation.keys import KeyRules
from tests.simulation.later import WRITES as LATER_WRITES
from tests.simulation.later import LaterRules
from tests.simulation.parking import ParkingRules
from tests.simulation.queue import FifoQueue, Message
from tests.simulation.refunds import WRITE_OF as REFUND_WRITE_OF
from tests.simulation.refunds import RefundRules, is_of_refunds
from tests.simulation.table import SentWrite, Table
from tests.simulation.traffic import SECRETS, Sent
from tests.simulation.world import EPOCH_MS, WOKEN, Invocation, World

if TYPE_CHECKING:
    from handler.domain.payment import Payment
    from tests.simulation.workflow import Engine, Execution

ENVIRONMENT = "sim"
LEAST_REMAINING_MS = 10_000
# The rule that only the workflow's scoring has.
NEWER_RULE = 9_999

_FINAL = ("completed", "declined", "rejected", "expired", "cancelled")
_OPEN = ("processing", "pending_approval", "parked")
_LEGAL = {
    None: ("processing", "pending_approval", "declined", "rejected", "conflict"),
    "processing": ("processing", "pending_approval", "parked", "completed", "declined"),
    "parked": ("parked", "processing", "completed", "declined", "cancelled"),
    # What ended, only after a restore of the table: by what the gateway says.
    "pending_approval": ("pending_approval", "processing", "rejected", "expired", "completed", "declined"),
    # By what came after the charge, and where it is forgotten.
    "completed": ("completed",),
    "declined": ("declined",),
    "expired": ("expired",),
    "cancelled": ("cancelled",),
    "conflict": ("conflict",),
    # By a corrected message alone.
    "rejected": ("processing", "pending_approval", "declined", "rejected"),
}
_ENDING = ("record", "refuse", "record_shown", "refuse_shown")
_CORRECTIONS_MAX = 10
# What is done with a message, and not to the item itself.
_JUDGED = ("conflict", "acknowledge", "end")
_FIXED = (
    "transaction_id",
    "payment_id",
    "request_hash",
    "canonical_version",
    "amount_minor",
    "amount",
    "currency",
    "created_at",
    "message_id",
    "message_group_id",
    "sequence_number",
    "fingerprint",
)
# What is fixed from the moment that it is there.
_FIXED_ONCE = ("request", "gateway_ref", "decision", "decided_by", "decided_at", "comment")
_MINUTE_MS = 60_000
# The protocol's name of the write behind each port call.
WRITE_OF = {
    "put_new": "claim",
    "claim_corrected": "claim corrected",
    "take_over": "take over",
    "store_gateway_ref": "store gateway reference",
    "next_key": "next key",
    "refuse": "refuse",
    "record": "record",
    "release": "release",
    "take_over_stuck": "take over stuck",
    "park": "park",
    "take_over_parked": "take over parked",
    "allow_retry": "allow retry",
    "record_parked": "record parked",
    "cancel_parked": "cancel parked",
    "record_cancelled": "record cancelled",
    "adopt_approval": "adopt approval",
    "ask_approval": "ask for approval",
    "decide_approval": "decide approval",
    "expire_approval": "expire approval",
    "reject_approval": "reject approval",
    "begin_approved_charge": "begin approved charge",
    "expire_overdue_approval": "expire overdue approval",
    "restart_approval": "restart approval",
    "restart_charge": "restart charge",
    "record_found": "record found",
    "refuse_shown": "refuse shown",
    "record_shown": "record shown",
    "forget_person": "forget person",
    "forget_conflict": "forget conflict",
    "record_refunded": "record refunded",
    "record_disputed": "record disputed",
}
# Port calls by which a worker comes to hold a payment; every other write belongs to who holds it.
_TAKING = (
    "put_new",
    "claim_corrected",
    "take_over",
    "take_over_stuck",
    "take_over_parked",
    "begin_approved_charge",
)


class Auditor:
    def __init__(self, world: World, counterfactual: bool) -> None:
        self.world = world
        self._counterfactual = counterfactual
        self._weighed: set[str] = set()
        # (invocation, transaction id): who knows to hold what, and who tried to let go of it.
        self._held: set[tuple[str, str]] = set()
        self._released: set[tuple[str, str]] = set()
        self.queue: FifoQueue
        self.table: Table
        self.gateway: Gateway
        self.engine: Engine
        self.messages: dict[str, Message] = {}
        # Sent again under another message id; a claim of the first one may still be on its way.
        self.redriven: dict[str, Message] = {}
        self._acknowledged: set[str] = set()
        self.dead: set[str] = set()
        self.rejected: dict[str, str] = {}
        self.started: dict[str, str] = {}
        self._taken_up: set[str] = set()
        self.texts: list[str] = []
        # Of each payment's first claim, by transaction id: the version, and what that makes of what claimed it.
        self._version: dict[str, int] = {}
        self._content: dict[str, str] = {}
        self._told: dict[str, tuple[str, str, str]] = {}
        self._first: dict[str, dict[str, Any]] = {}
        # By payment id: version and content of each conflict that is kept.
        self._conflicts: dict[str, set[tuple[int, str]]] = {}
        # Messages that are kept as conflicts; their batch may still be under way.
        self._kept_as_conflicts: set[str] = set()
        # By transaction id: message id ("" of an execution), version and content of each message that was followed.
        self._followed: dict[str, list[tuple[str, int, str]]] = {}
        # Corrected by a write that arrived after older code had kept its message as a conflict: no message is left.
        self._messageless: set[str] = set()
        self._charged: set[str] = set()
        self._asked: set[tuple[str, str]] = set()
        # (invocation, transaction id): the reference that was refused, as long as it is to be cancelled; who does it.
        self._to_cancel: dict[tuple[str, str], str] = {}
        self._ends_lost: set[tuple[greenlet, str]] = set()
        # (invocation, transaction id): what the gateway's search named to it.
        self._named: dict[tuple[str, str], set[str]] = {}
        # By transaction id: recorded as it ended at the gateway before a restore, whatever people decide.
        self._found: set[str] = set()
        # The same: under which reference, and over what, it ended in the table that was lost, without a charge.
        self._ended_before: dict[str, tuple[str, int]] = {}
        self.parking = ParkingRules(world, self.fail)
        self.keys = KeyRules(self.fail)
        self.ahead = AheadRules(self.fail)
        self.events = EventRules(world, ENVIRONMENT, self.fail)
        self.refunds = RefundRules(world, self.fail, counterfactual)
        self.later = LaterRules(self.fail)

    def fail(self, rule: str, what: str) -> None:
        self.world.violation(rule, what)

    def backup(self) -> Callable[[], None]:
        """What takes back all that is known of the table's items to what it is now."""
        names = ("_version", "_content", "_told", "_first", "_messageless", "_taken_up", "_kept_as_conflicts")
        kept = {name: copy(getattr(self, name)) for name in names}
        conflicts = {key: set(each) for key, each in self._conflicts.items()}
        followed = {key: list(each) for key, each in self._followed.items()}
        parking, events = self.parking.backup(), self.events.backup()

        def restore() -> None:
            for key, item in self.table.items().items():
                if item["status"] in ("declined", "cancelled") and "gateway_ref" in item:
                    self._ended_before[key] = (item["gateway_ref"], item["amount_minor"])
            for name, value in kept.items():
                setattr(self, name, value)
            self._conflicts, self._followed = conflicts, followed
            self.started.clear()
            self._to_cancel.clear()
            parking()
            events()

        return restore

    def lose(self, queued: set[str]) -> list[Sent]:
        """The table forgot what became of the messages that are gone from the queue; what they asked for, in order."""
        gone = [name for name in self.messages if name not in queued]
        for name in gone:
            self.redriven[name] = self.messages.pop(name)
        return [self.redriven[name].sent for name in gone if self.redriven[name].sent.retry == 0]

    # ---- table ----
    def write_sent(self, invocation: Invocation, intent: str, request: Mapping[str, Any]) -> None:
        """A write leaves its sender: would its condition refuse every item that the protocol's refuses?"""
        if intent in REFUND_WRITE_OF:
            self.refunds.write_sent(intent, request)
            return
        if is_of_refunds(_key_of(request)):
            # What is beside a refund of other content.
            return
        if intent in ("release", "park"):
            self._must_have_cancelled(invocation, request["Key"]["transaction_id"]["S"])
        if intent == "release":
            self._released.add((invocation.name, request["Key"]["transaction_id"]["S"]))
        if intent in _TAKING:
            owner = (
                request["Item"]["owner"] if "Item" in request else request["ExpressionAttributeValues"].get(":owner")
            )
            self.ahead.begins(invocation, owner["S"] if owner else "")
            self.parking.breaker.begins(invocation, (request.get("Item") or request["Key"])["transaction_id"]["S"])
        if intent in ("release", "park", *_ENDING):
            self.ahead.holds("")
            self.parking.try_ended(invocation, request["Key"]["transaction_id"]["S"])
        if intent in _ENDING:
            self.parking.breaker.answered(invocation)
        if intent in ("refuse", "refuse_shown"):
            self.parking.refuses(invocation, request["Key"]["transaction_id"]["S"])
        self.keys.write_sent(invocation, intent, request)
        if intent == "park":
            self.parking.sent(invocation, request["Key"]["transaction_id"]["S"])
        if self._counterfactual and intent not in self._weighed:
            self._weighed.add(intent)
            for clause in accepted_without(WRITE_OF[intent], request):
                self.fail("every clause", f"{intent} would also be accepted where `{clause}` does not hold")

    def write_answered(
        self, invocation: Invocation, write: SentWrite, request: Mapping[str, Any], image: Mapping[str, Any] | None
    ) -> None:
        """A write was answered: `image` is the item that stood in its way, None if it took effect.

        Who is refused by its own earlier write knows to hold it; another message of the invocation does not.
        """
        owner = request["Item"]["owner"] if "Item" in request else request["ExpressionAttributeValues"].get(":owner")
        key = _key_of(request)
        if is_of_refunds(key):
            return
        if write.intent == "store_gateway_ref" and image is not None:
            prepared = request["ExpressionAttributeValues"][":gateway_ref"]["S"]
            stood = {name: next(iter(value.values())) for name, value in image.items()}
            # As it was then, not as it is by now: who was refused decides from what it was shown.
            if _is_lost(prepared, stood):
                self._to_cancel[invocation.name, key] = prepared
        if write.intent == "put_new" and "#conflict#" in key:
            # Where another message brought the same content before, its copy is this one's, too.
            self._kept_as_conflicts.add(request["Item"].get("message_id", {"S": ""})["S"])
        is_taken = image is None or image.get("owner") == owner
        if write.intent in _TAKING:
            # What is claimed as an end has none to charge: its worker goes on to others.
            is_charged = request.get("Item", {"status": {"S": "processing"}})["status"]["S"] == "processing"
            self.ahead.holds(key if is_taken and is_charged else "")
        if write.intent in _TAKING and is_taken:
            # A workflow owns by another name, and lets go in its own way.
            self._held.add((owner["S"] if owner else "", key))

    def wrote(
        self, invocation: Invocation, write: SentWrite, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        intent, key, status = write.intent, after["transaction_id"], after["status"]
        if intent in REFUND_WRITE_OF or is_of_refunds(key):
            self._of_refunds(invocation, write, before, after)
            return
        held = f"{status}, attempt {after['attempt']}" if "attempt" in after else status
        self.world.tell(f"{invocation.name} {intent} {key}: {held}")
        was = before["status"] if before else None
        if status not in _LEGAL.get(was, ()) and before != after:
            self.fail("legal transitions", f"{key} went from {was} to {status}")
        if before is not None and after["updated_at"] != write.clock_ms:
            self.fail("every write is dated", f"{intent} of {key} at {write.clock_ms} says {after['updated_at']}")
        self._counted(invocation, intent, before or {}, after)
        self.events.wrote(intent, before, after)
        if before is not None:
            self._changed(invocation, intent, before, after)
        self.parking.wrote(invocation, write, before, after)
        self.keys.wrote(invocation, intent, before, after)
        self.ahead.wrote(invocation, intent, after)
        self._leased(invocation, write, before, after)
        if intent in _TAKING and invocation.place:
            self._is_its_own(invocation, after)
        self._recorded_as_found(invocation, intent, before or {}, key)
        self._complete(after)
        if intent in ("refuse", "refuse_shown"):
            self._refused(after)
        elif (status in ("completed", "declined") and was in _OPEN) or intent == "record_cancelled":
            self._outcome_is_the_gateways(after)
        # Reconcile and people, whom no time-out ends, judge no message and ask for no version.
        if before is not None and invocation.lasts is not None and intent != "restart_charge":
            self._knows(invocation, key, intent)
        if was is None or intent == "claim_corrected":
            self._claimed(invocation, after)
        elif before is not None and before.get("owner") != after.get("owner"):
            self._in_order(invocation, after["owner"], after)

    def _of_refunds(
        self, invocation: Invocation, write: SentWrite, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        """A refund, its half at the payment, or a conflict with it."""
        self.events.wrote(write.intent, before, after)
        if not is_of_refunds(after["transaction_id"]):
            self.refunds.payment_wrote(invocation, write, before, after)
        elif after["status"] != "conflict":
            self.refunds.wrote(invocation, write, before, after)
        elif before is not None and write.intent == "forget_conflict":
            self._forgotten(before, after)
        elif before is not None:
            self.fail("final items stand", f"{write.intent} changed {after['transaction_id']}")
        if not invocation.release.gives_back:
            self.fail("the release's writes", f"{invocation.release.name} wrote {after['transaction_id']}")

    def _counted(self, invocation: Invocation, intent: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Each write is the item's next version, but one of a release that knows none and leaves what stands."""
        was, version = before.get("version", 0), after.get("version", 0)
        puts = intent in ("put_new", "claim_corrected")
        due = was + 1 if invocation.release.counts_writes else 0 if puts else was
        if version != due:
            self.fail("every write is counted", f"{intent} of {after['transaction_id']} made {version}, not {due}")

    def _recorded_as_found(self, invocation: Invocation, intent: str, before: dict[str, Any], key: str) -> None:
        if intent != "record_found":
            return
        self._found.add(key)
        if not self.world.restored_at or "gateway_ref" in before:
            self.fail("found after a restore", f"{invocation.name} recorded {key}, which was {before}")

    def _is_its_own(self, invocation: Invocation, item: dict[str, Any]) -> None:
        """A worker holds a payment by the message that brings it, whatever messages its invocation has beside it."""
        name, _, message_id = item["owner"].partition(":")
        message = self.messages.get(message_id) or self.redriven.get(message_id)
        brings = message is not None and f"txn-{message.sent.payment_id}" == item["transaction_id"].partition("#")[0]
        if name != invocation.name or not brings:
            self.fail("owned by its message", f"{invocation.name} holds {item['transaction_id']} as {item['owner']}")

    def _leased(
        self, invocation: Invocation, write: SentWrite, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        intent, key = write.intent, after["transaction_id"]
        if intent == "take_over" and invocation.arn:
            self.fail("a message's payment is its own", f"{invocation.arn} took {key} over from the queue")
        if (
            intent in ("take_over", "take_over_stuck", "take_over_parked")
            and after.get("lease_until", 0) <= write.clock_ms
        ):
            self.fail("a holder has a lease", f"{intent} of {key} left no lease")
        if (
            before is not None
            and intent == "take_over_stuck"
            and write.clock_ms - before["updated_at"] <= 15 * _MINUTE_MS
        ):
            self.fail("stuck is stuck", f"{key} was taken over though somebody wrote it at {before['updated_at']}")
        if intent == "release" and after.get("lease_until") != 0:
            self.fail("released is free", f"{key} is still leased after its release")

    def _complete(self, item: dict[str, Any]) -> None:
        """What an item has, and what it no longer has, by its status."""
        key, status = item["transaction_id"], item["status"]
        if status in _FINAL and "processed_at" not in item:
            self.fail("final items are dated", f"{key} is {status} without processed_at")
        shard = str(item.get("open_shard", ""))
        if status in _FINAL and (shard.partition("#")[0] not in ("", "ended") or "lease_until" in item):
            self.fail("final items are closed", f"{key} is {status} and still has a lease or an index entry: {shard}")
        if status in _FINAL and "shown" in item and not shard:
            self.fail("whom to forget is found", f"{key} is {status} and still has what people were shown")
        if status in _FINAL and "request" in item:
            self.fail("final items name no instrument", f"{key} is {status} and still has its request")
        if status not in ("rejected", "conflict") and "faults" in item:
            self.fail("only the rejected is at fault", f"{key} is {status} and has faults")
        if status in _OPEN and not str(item.get("open_shard", "")).startswith(f"{status}#"):
            self.fail("open items are found", f"{key} is {status} with index entry {item.get('open_shard')}")

    def _changed(self, invocation: Invocation, intent: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        if intent == "claim_corrected":
            self._follows(invocation, before, after)
        elif intent in ("forget_person", "forget_conflict"):
            self._forgotten(before, after)
        elif intent in LATER_WRITES:
            self.later.wrote(intent, before, after)
        else:
            self._kept(invocation, intent, before, after)

    def _forgotten(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Only what names somebody goes, and not too early by the writer's clock; all that protects stays."""
        key = after["transaction_id"]
        gone = ("request",) if before["status"] == "conflict" else ("shown",)
        kept = {name: before[name] for name in before.keys() - {*gone, "open_shard", "updated_at", "version"}}
        if before["status"] not in (*_FINAL, "conflict") or kept.keys() != after.keys() - {"updated_at", "version"}:
            self.fail("only what is personal is forgotten", f"{key}: {sorted(before)} became {sorted(after)}")
        if any(after[name] != value for name, value in kept.items()):
            self.fail("only what is personal is forgotten", f"{key}: {before} became {after}")
        kept_ms = after["updated_at"] - _ended_at(before)
        if kept_ms < self.world.retention_ms:
            self.fail("nothing is forgotten early", f"{key} was kept for {kept_ms} ms")

    def _kept(self, invocation: Invocation, intent: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        key = after["transaction_id"]
        if before["status"] in (*_FINAL, "conflict") and before != after:
            self.fail("final items stand", f"{intent} changed {key}, which is {before['status']}")
        changed = [name for name in _FIXED if before.get(name) != after.get(name)]
        if changed:
            self.fail("content stands", f"{intent} changed {', '.join(changed)} of {key}")
        moved = [name for name in _FIXED_ONCE if name in before and before[name] != after.get(name)]
        if after["status"] in _FINAL and "request" not in after:
            moved = [name for name in moved if name != "request"]
        if moved:
            self.fail("the first one stands", f"{intent} changed {', '.join(moved)} of {key}")
        step = after["attempt"] - before["attempt"]
        if step not in (0, 1) or (intent in _TAKING) != (step == 1):
            self.fail("fencing number", f"{intent} took the attempt of {key} from {before['attempt']} by {step}")
        # An execution that was invoked directly owns what waits for a person already.
        kept = intent == "begin_approved_charge" and before["owner"] == before.get("execution_arn")
        if (before["owner"] != after["owner"]) != (intent in _TAKING and not kept):
            self.fail("fencing owner", f"{intent} moved {key} from {before['owner']} to {after['owner']}")
        if intent in _TAKING:
            self._holder_is_gone(before, after)
        elif before["status"] == "pending_approval":
            self._approval_kept(invocation, intent, before, after)
        elif before["status"] != "parked" and not invocation.owns(before["owner"]):
            self.fail("only the holder writes", f"{invocation.name} wrote {key} ({intent}), held by {before['owner']}")
        if before["status"] == "processing" and after["status"] == "pending_approval":
            if invocation.charges or before.get("decision") != "approve":
                self.fail("only what was approved", f"{invocation.name} gave {key} back, {before.get('decision')}")
            self._restarted(before, after)

    def _follows(self, invocation: Invocation, before: dict[str, Any], after: dict[str, Any]) -> None:
        """A message takes the place of one that was rejected for its own faults."""
        key, release, message_id = after["transaction_id"], invocation.release, after.get("message_id", "")
        followed = self._followed.setdefault(key, [])
        followed.append((before.get("message_id", ""), self._version[key], self._content[key]))
        if before["status"] != "rejected" or "faults" not in before or {"decision", "gateway_ref"} & before.keys():
            self.fail("only faults are corrected", f"{key} was {before['status']} and became {after['status']}")
        if not release.corrects:
            self.fail("the release's writes", f"{release.name} corrected {key}")
        if after["attempt"] != before["attempt"] + 1:
            self.fail("fencing number", f"{key} was corrected in attempt {after['attempt']}")
        if message_id and any(message_id == each for each, *_ in followed):
            self.fail("nobody follows himself", f"{key} was corrected by {message_id}, which was rejected")
        row = {name: before.get(name, "") for name in ("message_id", "request_hash")}
        row["canonical_version"] = before.get("canonical_version", 1)
        if after.get("superseded") != [*before.get("superseded", []), row]:
            self.fail("who is followed is known", f"{key} has {after.get('superseded')}, {row} was followed")
        if len(followed) > _CORRECTIONS_MAX:
            self.fail("ten corrections", f"{key} was corrected {len(followed)} times")
        sent = self._sender(invocation, after)
        if after["status"] == "rejected" and sent and self._is_followed_text(key, sent):
            self.fail("a correction is other content", f"{key} was corrected to what was rejected: {sent.name}")
        # Started, if it was, for something else.
        self._taken_up.discard(key)
        if sent and message_id in self._acknowledged and self._in_conflict(sent):
            self._messageless.add(key)

    def _is_followed(self, key: str, sent: Sent, message_id: str = "") -> bool:
        """Whether a message, or another one with its content, was rejected and followed."""
        return any(
            sent.read(version).content == content or message_id == each != ""
            for each, version, content in self._followed.get(key, ())
        )

    def _is_followed_text(self, key: str, sent: Sent) -> bool:
        """As `_is_followed`, by what is hashed: version 1 has the faults in it, which change with the limits."""
        return any(
            sent.read(version).content == content and (version > 1 or not self._beyond_limits(sent))
            for _, version, content in self._followed.get(key, ())
        )

    def _in_conflict(self, sent: Sent) -> bool:
        kept = self._conflicts.get(sent.payment_id, ())
        return any(sent.read(version).content == content for version, content in kept)

    def _knows(self, invocation: Invocation, key: str, what: str) -> None:
        version, release = self._version.get(key), invocation.release
        # Who judges a message may have done it before what it saw was followed.
        seen = {version for _, version, _ in self._followed.get(key, ())} if what in _JUDGED else set()
        if version is not None and not {version, *seen} & {*release.reads}:
            self.fail("newer items wait for newer code", f"{release.name} did {what} to {key} of version {version}")

    def _restarted(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        generation = before["generation"] + 1
        name = f"{ENVIRONMENT}-{before['payment_id']}-{generation}"
        fresh = not {"execution_arn", "callback_id", "approval_expires_at", "lease_until"} & after.keys()
        if (after["generation"], after["approval_name"], fresh) != (generation, name, True):
            self.fail("one generation after another", f"{after['transaction_id']} became {after['approval_name']}")

    def _holder_is_gone(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """A lease is over only when its holder is, or when the holder gave it up; as far as clocks agree."""
        if before["status"] == "pending_approval":
            self._approved(before, after)
        elif "execution_arn" in before and not self.engine.is_closed(before["execution_arn"]):
            self.fail("a workflow is left alone", f"{after['owner']} took {after['transaction_id']} over")
        execution = self.engine.of(before["owner"])
        holder = execution.invocation if execution else self._invocation(before["owner"])
        leased = holder is not None and not holder.over and before.get("lease_until")
        if self.world.profile.clocks_agree and leased:
            self.fail(
                "one worker at a time",
                f"{after['owner']} took {after['transaction_id']} over while {before['owner']} was at work",
            )

    def _approved(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        key, decision = after["transaction_id"], before.get("decision")
        if decision != "approve" or before.get("execution_arn") != after["owner"]:
            self.fail("only what was approved", f"{after['owner']} began to charge {key}, decision {decision}")

    def _approval_kept(
        self, invocation: Invocation, intent: str, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        """What may happen to an item that waits for a person."""
        key, decision = after["transaction_id"], before.get("decision")
        arn = before.get("execution_arn")
        if intent == "restart_charge":
            self.fail("only the holder writes", f"{invocation.name} gave {key} back, which {arn} had taken up")
        if intent == "adopt_approval":
            self._adopted(invocation, before, after)
        elif intent in ("ask_approval", "reject_approval", "expire_approval") and arn != invocation.arn:
            self.fail("one execution at a time", f"{invocation.arn} did {intent} to {key}, which is {arn}'s")
        if intent == "ask_approval" and (decision is not None or "callback_id" not in after):
            self.fail("who decided is not asked", f"{key} was decided ({decision}) and asked about")
        if intent == "decide_approval":
            self._decided(invocation, before, after)
        if after["status"] == "expired":
            late = EPOCH_MS + self.world.now - before["approval_expires_at"]
            early = late < (10 * _MINUTE_MS if intent == "expire_overdue_approval" else 0)
            if decision is not None or (early and self.world.profile.skew_ms == 0):
                self.fail("time is up before it expires", f"{key} expired {late} ms late, decision {decision}")
        if after["status"] == "rejected" and (decision != "reject" or after.get("reason_code") != "approval_rejected"):
            self.fail("a person's no", f"{key} was rejected, decision {decision}")
        if intent == "restart_approval":
            self._restarted(before, after)
            if arn is not None and not self.engine.is_closed(arn):
                self.fail("a workflow is left alone", f"{key} was restarted while {arn} runs")

    def _decided(self, invocation: Invocation, before: dict[str, Any], after: dict[str, Any]) -> None:
        key = after["transaction_id"]
        asked = self.engine.deciding.get(invocation.name)
        if asked is None:
            self.fail("people decide", f"{invocation.name} decided on {key}, and is nobody who was asked")
        elif asked != before.get("callback_id"):
            self.fail("the question that is open", f"{invocation.name} decided on {key} as asked by {asked}")
        complete = all(name in after for name in ("decision", "decided_by", "decided_at", "comment"))
        if not complete or after["decided_at"] >= before.get("approval_expires_at", 0):
            self.fail("decisions are complete and in time", f"{key}: {after}")

    def _adopted(self, invocation: Invocation, before: dict[str, Any], after: dict[str, Any]) -> None:
        key, arn = after["transaction_id"], before.get("execution_arn")
        # Also by an execution that somebody invoked directly under the very name.
        self._taken_up.add(key)
        if arn not in (None, invocation.arn) or f"/{before['approval_name']}/" not in invocation.arn:
            self.fail("one execution at a time", f"{invocation.arn} adopted {key}, which is {arn}'s")
        newest = after["risk_reasons"][-1]["rule_id"]
        risks = (after["risk"], after["fraud_score"], newest)
        first = self._first[key]
        # Without a message: an execution claimed it, and scored by the newer rules at once.
        more = "message_id" in first
        if risks != (first["risk"] + more, first["fraud_score"] + more, NEWER_RULE):
            self.fail("the higher risk counts", f"{key} was adopted with {risks}")
        wanted = (
            "execution_arn",
            "approval_expires_at",
            "approval_reasons",
            "risk",
            "fraud_score",
            "risk_reasons",
            "shown",
        )
        if not all(name in after for name in wanted) or after["execution_arn"] != invocation.arn:
            self.fail("adopted is complete", f"{key} lacks one of {', '.join(wanted)}")
        until = before.get("approval_expires_at")
        if until not in (None, after.get("approval_expires_at")):
            self.fail("what people were told stands", f"{key} was to expire at {until} and no longer is: {after}")

    def _outcome_is_the_gateways(self, item: dict[str, Any]) -> None:
        intent = self.gateway.intents.get(item.get("gateway_ref", ""))
        state = intent.state if intent else "unknown"
        # Of what is declined nothing may be captured any more, whoever has a confirm under way.
        if state != ("approved" if item["status"] == "completed" else "cancelled"):
            self.fail(
                "the gateway's outcome", f"{item['transaction_id']} is {item['status']}, the gateway says {state}"
            )
        response = item.get("gateway_response", {})
        recorded = response.get("status")
        if intent and item["status"] == "declined" and response.get("code") not in (intent.code, "requires_action"):
            self.fail("why it was declined is kept", f"{item['transaction_id']} says {response}, it was {intent.code}")
        if recorded not in (state, "approved" if item["status"] == "completed" else "declined"):
            self.fail("the gateway's outcome", f"{item['transaction_id']} records {recorded}, the gateway says {state}")

    def _refused(self, item: dict[str, Any]) -> None:
        key, response = item["transaction_id"], item.get("gateway_response", {})
        if self.gateway.refuses(item["payment_id"]) != "final" or "gateway_ref" in item:
            self.fail("the gateway's outcome", f"{key} is refused, the gateway did not say so: {item}")
        told = (item["status"], item.get("reason_code"), response.get("status"), response.get("code"))
        if told != ("declined", "gateway_refused", "declined", REFUSAL_CODE):
            self.fail("refused is complete", f"{key}: {item}")

    def _message(self, item: dict[str, Any]) -> Message | None:
        message_id = item.get("message_id", "")
        return self.messages.get(message_id) or self.redriven.get(message_id)

    def _sender(self, invocation: Invocation, item: dict[str, Any]) -> Sent | None:
        """What an item was made from: a message, or the input of an execution."""
        message, execution = self._message(item), self.engine.of(invocation.arn)
        return message.sent if message else execution.sent if execution else None

    def _claimed(self, invocation: Invocation, item: dict[str, Any]) -> None:
        message, sent = self._message(item), self._sender(invocation, item)
        if sent is None:
            self.fail("claims come from messages", f"{item['transaction_id']} was claimed by {invocation.name}")
            return
        name, key = message.name if message else sent.name, item["transaction_id"]
        if item["status"] == "conflict":
            self._conflicting(invocation, name, sent, item)
            return
        release = invocation.release
        version, reading = release.writes, sent.read(release.writes)
        self._version[key], self._content[key], self._told[key] = version, reading.content, reading.told
        self._first[key] = item
        if item.get("canonical_version") != (version if release.stores_version else None):
            self.fail("the release's version", f"{release.name} wrote {key} as {item.get('canonical_version')}")
        if item["status"] not in self._routes(invocation, sent):
            self.fail("the route", f"{name} was claimed as {item['status']}, expected {reading.expected}")
        reason_code = "declined_by_rule" if reading.expected == "declined" else "approval_unavailable"
        if item["status"] == "declined" and item.get("reason_code") != reason_code:
            self.fail("the reason", f"{name} was declined as {item.get('reason_code')}, expected {reason_code}")
        # What was rejected for its amount, or its currency, has none.
        amount = item.get("amount_minor")
        if amount != sent.amount_minor and not ("faults" in item and amount is None):
            self.fail("every cent", f"{name} over {sent.amount_minor} was stored as {item['amount_minor']}")
        if message is None:
            self._taken_up.add(key)
            if item["status"] in _OPEN and "approval_name" not in item:
                self.fail("a workflow's payment is named", f"{key} was claimed by {invocation.arn}: {item}")
        elif item["sequence_number"] != f"{message.sequence:020d}" or item["message_group_id"] != sent.group:
            self.fail("order is recorded", f"{name} was stored as {item['sequence_number']}")
        self._in_order(invocation, item["owner"], item)

    def _conflicting(self, invocation: Invocation, name: str, sent: Sent, item: dict[str, Any]) -> None:
        """A conflict is other content in the version that the payment was claimed in, whatever is written by now."""
        key = f"txn-{sent.payment_id}"
        if key not in self._first:
            self.fail("conflicts are other content", f"{name} is a conflict with nothing")
            return
        first, version = self._first[key], item.get("canonical_version", 1)
        reading = sent.read(version)
        self._conflicts.setdefault(sent.payment_id, set()).add((version, reading.content))
        self._kept_as_conflicts.add(item.get("message_id", ""))
        self._knows(invocation, key, "conflict")
        if not invocation.release.corrects and (key in self._followed or first["status"] == "rejected"):
            # Old code keeps every corrected message so, also where newer code has claimed it in the meantime.
            return
        if version != self._version[key]:
            self.fail("the release's version", f"{name} of version {self._version[key]} is kept as {item}")
        if first["status"] == "rejected" and len(self._followed.get(key, ())) < _CORRECTIONS_MAX:
            self.fail("the rejected is followed", f"{name} is a conflict with a rejected message")
        is_known = self._is_followed_text(key, sent) and not self._is_valid(invocation, sent)
        if any(item.get("message_id") == each != "" for each, *_ in self._followed.get(key, ())) or is_known:
            self.fail("conflicts are other content", f"{name} was rejected, and followed")
        if "message_id" in item and first.get("message_id") == item["message_id"]:
            self.fail("conflicts are other content", f"{name} is a conflict with itself")
        # Rejected by lower limits, seen once more by an environment that has wider ones. Version 1 also has
        # the faults in its text, so that what both refuse is other content to each.
        refused = first["status"] == "rejected" and self._beyond_limits(sent)
        is_other = refused and (version == 1 or reading.expected != "rejected")
        if not is_other and self._content[key] == reading.content:
            self.fail("conflicts are other content", f"{name} is no conflict")

    def _is_valid(self, invocation: Invocation, sent: Sent) -> bool:
        """Whether a message is a payment to the code that sees it."""
        too_large = 0 < invocation.lowered_to < sent.amount_minor
        return sent.read(invocation.release.writes).expected != "rejected" and not too_large

    def _beyond_limits(self, sent: Sent) -> bool:
        """Whether a payment is larger than what was accepted at some time until now."""
        return 0 < self.world.was_lowered_to < sent.amount_minor

    def _routes(self, invocation: Invocation, sent: Sent, version: int = 0) -> tuple[str, ...]:
        """The states that an item may be claimed in; `version` 0 for the one that its release writes."""
        expected = sent.read(version or invocation.release.writes).expected
        if expected == "pending_approval" and not self.world.profile.workflow:
            # Nobody would ever be asked.
            expected = "declined"
        if not 0 < invocation.lowered_to < sent.amount_minor:
            return (expected,)
        # An execution may have read its input before the limits changed, and kept what it read.
        return ("rejected", expected) if invocation.arn else ("rejected",)

    def _in_order(self, invocation: Invocation, owner: str, item: dict[str, Any]) -> None:
        """A payment is claimed when every earlier message of its group is settled or dead-lettered."""
        message = self.messages.get(owner.partition(":")[2])
        if message is None or item["status"] not in _OPEN:
            return
        for earlier in self.messages.values():
            # What ended as a duplicate of a rejected message, or as a conflict with it, has ended, whatever corrects
            # that.
            has_ended = earlier.message_id in self._acknowledged or earlier.message_id in self._kept_as_conflicts
            if has_ended and f"txn-{earlier.sent.payment_id}" in self._followed:
                continue
            if (
                earlier.sent.group == message.sent.group
                and earlier.sequence < message.sequence
                and earlier.message_id not in self.dead
                and self._unsettled(earlier)
            ):
                self.fail("order in the group", f"{message.name} was claimed before {earlier.name} was settled")

    # ---- gateway ----
    def prepare_called(self, invocation: Invocation, payment: Payment, key: str) -> bool:
        """What is charged is what the item's hash covers: fields that its version does not know count as absent.

        Whether it is sent ahead.
        """
        told = (payment.customer_name, payment.payment_token, payment.gateway_customer_id)
        if self.ahead.is_ahead(invocation, payment.transaction_id):
            if self.world.restored_at:
                self.fail("looked for before it is prepared", f"{invocation.name} prepares {payment.payment_id} ahead")
            self._has_time(invocation, "prepare")

            def fits(sent: Sent) -> bool:
                # A retry sends the text of its item's version, which may tell the gateway less, and which any version
                # takes: what the first message spelled in its own way is normalised there.
                is_told = sent.retry > 0 or sent.read(invocation.release.writes).told == told
                is_it = is_told and sent.amount_minor == payment.amount_minor
                versions = invocation.release.reads if sent.retry > 0 else (invocation.release.writes,)
                return is_it and any("processing" in self._routes(invocation, sent, version) for version in versions)

            is_open = self.parking.breaker.must_be_open(invocation)
            self.ahead.called(invocation, payment.payment_id, key, fits, is_open=is_open)
            return True
        self.parking.called(invocation, payment.transaction_id)
        if told != self._told.get(payment.transaction_id):
            self.fail("charged as claimed", f"{payment.transaction_id} is charged with {told}")
        return False

    def prepared(self, invocation: Invocation, key: str, gateway_ref: str, ahead_under: str) -> None:
        self.ahead.prepared(invocation, key, gateway_ref, ahead_under)

    def _has_time(self, invocation: Invocation, call: str) -> None:
        if invocation.remaining_ms() < LEAST_REMAINING_MS:
            self.fail("time for an answer", f"{invocation.name} began {call} with {invocation.remaining_ms()} ms left")

    def _tries(self, invocation: Invocation, call: str, key: str) -> None:
        # What a rule declines is looked for, and asked about, before it is known what stands there: no try of that.
        is_worked_on = (self.table.item(key) or {}).get("status") == "processing"
        if is_worked_on or call != "status" or not self.world.restored_at:
            self.parking.called(invocation, key)

    def gateway_call(self, invocation: Invocation, call: str, gateway_ref: str, key: str) -> None:
        self._has_time(invocation, call)
        if call == "cancel" and self._cancels_in_vain(invocation, gateway_ref):
            return
        if call == "cancel" and self._is_lost(gateway_ref):
            self._cancels_lost(invocation, gateway_ref)
            return
        if gateway_ref:
            self._must_have_cancelled(invocation, f"txn-{self.gateway.intents[gateway_ref].payment_id}")
            self._tries(invocation, call, f"txn-{self.gateway.intents[gateway_ref].payment_id}")
        if call in ("prepare", "charge"):
            named = key.split(":")[1] if ":" in key else ""
            payment_id = self.gateway.intents[gateway_ref].payment_id if gateway_ref else named
            self.keys.called(invocation, call, payment_id, key, self.table.item(f"txn-{payment_id}") or {})
        if call in ("status", "cancel"):
            self._may_ask(invocation, call, gateway_ref)
        if call == "cancel" and invocation.name[:2] != "op" and self.gateway.intents[gateway_ref].state == "prepared":
            self.fail("only what ended is cancelled", f"{invocation.name} cancelled {gateway_ref}, which was prepared")
        if call != "charge":
            return
        intent = self.gateway.intents[gateway_ref]
        item = self.table.item(f"txn-{intent.payment_id}") or {}
        if not invocation.charges:
            self.fail("reconcile never charges", f"{invocation.name} charged {gateway_ref}")
        if item.get("gateway_ref") != gateway_ref:
            self.fail("stored before charged", f"{gateway_ref} was charged, {item.get('gateway_ref')} is stored")
        if self.world.profile.clocks_agree and not invocation.owns(item.get("owner", "")):
            self.fail("only the holder charges", f"{invocation.name} charged {gateway_ref}, held by {item['owner']}")
        if gateway_ref in self._charged and (invocation.name, gateway_ref) not in self._asked:
            self.fail("never in the dark", f"{gateway_ref} was charged again without asking what became of it")
        self._charged.add(gateway_ref)
        self._asked.discard((invocation.name, gateway_ref))

    def _may_ask(self, invocation: Invocation, call: str, gateway_ref: str) -> None:
        is_named = gateway_ref in self._named.get((invocation.name, self._key_of(gateway_ref)), ())
        if not is_named and self._stored(gateway_ref) != gateway_ref:
            self.fail("asked about what is stored", f"{invocation.name}: {call} of {gateway_ref}")

    def looks_for(self, invocation: Invocation, payment_id: str) -> None:
        self._has_time(invocation, "find")
        item = self.table.item(f"txn-{payment_id}") or {}
        # A message that a rule declines is looked for before it is known what stands there.
        is_known = item.get("status") == "processing" and "gateway_ref" in item and invocation.owns(item["owner"])
        if not self.world.restored_at or is_known:
            self.fail("looked for after a restore alone", f"{invocation.name} looks for {payment_id}")
        if invocation.place:
            self.parking.breaker.asks(invocation, f"txn-{payment_id}")

    def found(self, invocation: Invocation, payment_id: str, gateway_refs: list[str]) -> None:
        key = f"txn-{payment_id}"
        self.world.tell(f"{invocation.name} finds {', '.join(gateway_refs) or 'nothing'} of {payment_id}")
        self._named.setdefault((invocation.name, key), set()).update(gateway_refs)
        for gateway_ref in gateway_refs:
            self.ahead.prepared(invocation, key, gateway_ref, "")

    def is_other_content(self, key: str) -> None:
        """The code says that its payment id was charged over another amount, before the table was restored."""
        if not self._charged_over_another(self.table.item(key) or {}):
            self.fail("no alarm", f"{key} is said to be charged over another amount")

    def _charged_over_another(self, item: Mapping[str, Any]) -> bool:
        return self.world.restored_at > 0 and any(
            intent.payment_id == item.get("payment_id")
            and intent.amount_minor != item.get("amount_minor")
            and intent.created_at < self.world.restored_at
            for intent in self.gateway.intents.values()
        )

    def _key_of(self, gateway_ref: str) -> str:
        return f"txn-{self.gateway.intents[gateway_ref].payment_id}"

    def _stored(self, gateway_ref: str) -> str:
        item = self.table.item(f"txn-{self.gateway.intents[gateway_ref].payment_id}") or {}
        return str(item.get("gateway_ref", ""))

    def _is_lost(self, gateway_ref: str) -> bool:
        return _is_lost(gateway_ref, self.table.item(f"txn-{self.gateway.intents[gateway_ref].payment_id}") or {})

    def _cancels_in_vain(self, invocation: Invocation, gateway_ref: str) -> bool:
        """Whether this is the cancel of what was prepared ahead and that nobody may use any more."""
        key = f"txn-{self.gateway.intents[gateway_ref].payment_id}"
        item, is_lost = self.table.item(key) or {}, self._is_lost(gateway_ref)
        if self._to_cancel.get((invocation.name, key)) == gateway_ref or item.get("gateway_ref") == gateway_ref:
            return False
        if not item or not self.ahead.may_cancel(invocation, gateway_ref, item, is_lost=is_lost):
            return False
        self._ends_lost.add((getcurrent(), key))
        return True

    def _cancels_lost(self, invocation: Invocation, gateway_ref: str) -> None:
        """Best effort: how it ends says nothing of the payment."""
        key = f"txn-{self.gateway.intents[gateway_ref].payment_id}"
        if self._to_cancel.pop((invocation.name, key), "") != gateway_ref:
            self.fail("a lost reference is cancelled", f"{invocation.name} cancels {gateway_ref} of {key} unasked")
        self._ends_lost.add((getcurrent(), key))

    def _must_have_cancelled(self, invocation: Invocation, key: str) -> None:
        left = self._to_cancel.pop((invocation.name, key), "")
        if left and invocation.remaining_ms() >= LEAST_REMAINING_MS:
            self.fail("a lost reference is cancelled", f"{invocation.name} goes on with {key} and leaves {left}")

    def status_answered(self, invocation: Invocation, gateway_ref: str, state: str) -> None:
        self.world.tell(f"{invocation.name} is told that {gateway_ref} is {state}")
        if state == "prepared":
            self._asked.add((invocation.name, gateway_ref))
            self.keys.is_prepared(invocation, f"txn-{self.gateway.intents[gateway_ref].payment_id}")

    def captured(self, intent: Intent) -> None:
        self.gateway.later.captured(intent)
        others = [other for other in self.gateway.intents.values() if other.payment_id == intent.payment_id]
        if sum(other.captures for other in others) > 1:
            self.fail("one capture a payment", f"{intent.payment_id} was captured more than once")
        item = self.table.item(f"txn-{intent.payment_id}")
        is_lost = intent.created_at < self.world.restored_at and (item or {}).get("gateway_ref") != intent.gateway_ref
        gateway_ref, amount_minor = self._ended_before.get(f"txn-{intent.payment_id}", ("", 0))
        if amount_minor == intent.amount_minor and gateway_ref != intent.gateway_ref:
            self.fail("what ended before a restore has ended", f"{intent.payment_id} is captured, {gateway_ref} ended")
        if is_lost:
            # Under way when the table was lost: the item may not be there yet, or be another content's.
            return
        if item is None or item["amount_minor"] != intent.amount_minor:
            self.fail("every cent", f"{intent.gateway_ref} captured {intent.amount_minor}, recorded is {item}")
        elif item["status"] in _FINAL:
            self.fail("what ended captures nothing", f"{intent.gateway_ref} is captured, the item is {item['status']}")

    def key_failed(self, invocation: Invocation, payment_id: str, key: str, how: str) -> None:
        self.keys.failed(invocation, f"txn-{payment_id}", key, how)

    def gateway_failed(self, invocation: Invocation, payment_id: str, call: str, failure: str) -> None:
        key = f"txn-{payment_id}"
        is_look_up = call == "find" or (call == "status" and self.world.restored_at > 0)
        if is_look_up and invocation.place:
            self.parking.breaker.looked(invocation, key, failure)
        if is_look_up and (self.table.item(key) or {}).get("status") != "processing":
            # Nobody has it, so that no try ends so.
            return
        if call == "cancel" and (getcurrent(), key) in self._ends_lost:
            self._ends_lost.discard((getcurrent(), key))
        else:
            self.parking.gateway_failed(invocation, key, call, failure)

    # ---- messages ----
    def is_claimed_content(self, sent: Sent, payment_id: str) -> bool:
        """Whether a message says what its payment was claimed as."""
        key = f"txn-{payment_id}"
        return sent.payment_id == payment_id and sent.read(self._version[key]).content == self._content[key]

    def retry_arrived(self, sent: Sent) -> None:
        """A retry reaches the queue: it was allowed before, and goes to the payment's group."""
        item = self.table.item(f"txn-{sent.payment_id}") or {}
        self.parking.retry_arrived(sent, item)

    def sent(self, message: Message) -> None:
        self.messages[message.message_id] = message

    def dead_lettered(self, message: Message) -> None:
        self.dead.add(message.message_id)
        if self.world.profile.max_receives >= 1000:
            self.fail("nobody is dead-lettered", f"{message.name} was dead-lettered")

    def rejected_copy(self, request: dict[str, Any]) -> None:
        self.texts.append(json.dumps(request))
        message_id = request["MessageAttributes"]["original_message_id"]["StringValue"]
        message = self.messages.get(message_id)
        self.world.tell(f"rejected queue: a copy of {message.name if message else message_id}")
        is_refund = message is not None and message.sent.refund is not None
        if message is not None and not message.sent.is_unusable and not is_refund:
            self.fail("only the unusable is set aside", f"{message.name} has a usable id")
        reason_code = self.rejected[message_id] = request["MessageAttributes"]["reason_code"]["StringValue"]
        if message is not None and is_refund:
            self.refunds.rejected(message.sent, reason_code)

    def approval_started(self, name: str, request: str, *, is_of_lost: bool) -> bool:
        """Whether the execution begins: one that was started for a table that is lost is stopped as the others were."""
        self.world.tell(f"workflow: {name} started")
        if not self.world.profile.workflow:
            self.fail("the route", f"approval {name} was started where no workflow is deployed")
        if self.started.get(name) == request:
            return True
        item = next((item for item in self.table.items().values() if name in _approval_names(item)), None)
        # One of an earlier generation may arrive late, and finds that its name is no longer the item's.
        is_open = item is not None and (item["status"] == "pending_approval" or item["approval_name"] != name)
        # Nor does one that somebody started directly under the very name, and that may have ended.
        if not is_open and name not in self.engine.executions:
            if is_of_lost:
                return False
            self.fail("recorded before started", f"approval {name} was started and no item waits for it")
        elif item is not None:
            self._taken_up.add(item["transaction_id"])
        if self.started.setdefault(name, request) != request:
            self.fail("one approval a payment", f"approval {name} was started with two requests")
        return True

    def execution_ended(self, execution: Execution) -> None:
        """What an execution tells as its end is what the table says, and its input is accounted for."""
        sent = execution.sent
        if sent is not None and self._unaccounted(sent):
            self.fail(
                "an execution tells what stands", f"{sent.name} ends {execution.outcome}: {self._unaccounted(sent)}"
            )
        payment_id = json.loads(execution.text)["payment_id"]
        item = self.table.item(f"txn-{payment_id}")
        if execution.invocation is not None:
            self._knows(execution.invocation, f"txn-{payment_id}", "end")
        # What it was told may have been corrected since.
        followed = execution.outcome == "rejected" and f"txn-{payment_id}" in self._followed
        if execution.outcome in _FINAL and (item is None or item["status"] != execution.outcome) and not followed:
            self.fail(
                "an execution tells what stands", f"{execution.name} ends {execution.outcome}, the item is {item}"
            )

    def _unaccounted(self, sent: Sent) -> str:
        """Why what was handed to the workflow directly is nowhere to be found, "" where it is."""
        if sent.is_unusable:
            return "" if sent.direct in self.rejected else "no copy in the rejected queue"
        key = f"txn-{sent.payment_id}"
        if key not in self._content:
            return "no item"
        content = sent.read(self._version[key]).content
        kept = self._content[key] == content or self._in_conflict(sent) or self._is_followed(key, sent)
        return "" if kept else "no conflict item"

    def ended(self, invocation: Invocation) -> None:
        """An invocation that ran to its end gives up what it knows to hold, or has at least tried to."""
        for key, item in self.table.items().items():
            owner = item.get("owner", "")
            known = (owner, key) in self._held and (invocation.name, key) not in self._released
            if known and owner.startswith(f"{invocation.name}:") and item["status"] == "processing":
                self.fail("who ends lets go", f"{invocation.name} ended and still holds {key}")

    def responded(
        self, invocation: Invocation, batch: list[Message], receives: dict[str, int], response: dict[str, Any]
    ) -> list[Message]:
        """The messages that a response acknowledges."""
        self.ended(invocation)
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        body = response["body"]
        if not failed <= {message.message_id for message in batch}:
            self.fail("batch contract", f"{failed} are not all of the batch")
        if body["processed"] + body["failed"] != len(batch):
            self.fail("counts agree", f"{body['processed']} + {body['failed']} of a batch of {len(batch)}")
        stopped: set[str] = set()
        for message in batch:
            if message.message_id in failed:
                stopped.add(message.sent.group)
            elif message.sent.group in stopped:
                self.fail("a group stops", f"{message.name} was acknowledged behind a failed one of its group")
            else:
                self._knows(invocation, f"txn-{message.sent.payment_id}", "acknowledge")
                why = self._unsettled(message) or self._lost(invocation, message)
                if why:
                    self.fail("settled before acknowledged", f"{message.name} was acknowledged: {why}")
                self._acknowledged.add(message.message_id)
        unfit = [message for message in batch if self._is_unfit(message.sent)]
        kept = [message for message in batch if message.message_id not in failed]
        parked = sum(self.parking.has_parked(invocation, message.message_id) for message in kept)
        if not len(failed) + parked <= body["failed"] <= len(failed) + parked + len(unfit):
            self.fail(
                "counts agree",
                f"{body['failed']} failed, {len(failed)} returned, {parked} parked, at most {len(unfit)} rejected",
            )
        self._delayed(invocation, [message for message in batch if message.message_id in failed], receives)
        self.world.tell(f"response: {len(batch) - len(failed)} of {len(batch)} acknowledged")
        return [message for message in batch if message.message_id not in failed]

    def _is_unfit(self, sent: Sent) -> bool:
        if sent.refund is not None:
            # Where it is at fault, or the release knows none.
            return True
        key = f"txn-{sent.payment_id}"
        return sent.is_unusable or key in self._followed or self._first.get(key, {}).get("status") == "rejected"

    def _delayed(self, invocation: Invocation, returned: list[Message], receives: dict[str, int]) -> None:
        """All returned messages of a group wait for as long as its first one has failed often, or a breaker is open."""
        breaker = self.parking.breaker
        first: dict[str, Message] = {}
        for message in returned:
            head = first.setdefault(message.sent.group, message)
            usual = min(5 * 2 ** (receives[head.message_id] - 1), 180)
            wanted = {180} if breaker.must_be_open(invocation) else {usual}
            if breaker.may_be_open(invocation):
                wanted.add(180)
            if self.queue.delays.get(f"{message.message_id}/{receives[message.message_id]}") not in wanted:
                self.fail("returned messages wait", f"{message.name} was not hidden for one of {wanted} s")

    def _unsettled(self, message: Message) -> str:
        """Why a message is not settled, "" where it is."""
        sent = message.sent
        is_rejected = message.message_id in self.rejected
        if sent.is_unusable or sent.refund is not None:
            left = self.refunds.left_of(sent.refund) if sent.refund else "no copy in the rejected queue"
            return "" if is_rejected else left
        key = f"txn-{sent.payment_id}"
        item = self.table.item(key)
        if item is None:
            return "no item"
        # A duplicate of what was rejected: what followed has a message of its own. So has what older code keeps as a
        # conflict while newer code takes it from another message as the correction.
        is_ended = self._is_followed(key, sent) or (
            key in self._followed and message.message_id in self._kept_as_conflicts
        )
        is_another = item.get("message_id") != message.message_id and is_ended
        if is_another or any(message.message_id == each for each, *_ in self._followed.get(key, ())):
            return ""
        content = sent.read(self._version[key]).content
        if self._content[key] != content:
            return "" if self._in_conflict(sent) or self._is_followed(key, sent) else "no conflict item"
        # Parked since, it goes on with an operator's retry, for which this message need not come again.
        is_set_aside = item.get("park_no", 0) > sent.retry or (key in self._messageless and self._in_conflict(sent))
        if item["status"] == "processing" and "approval_name" not in item and not is_set_aside:
            return f"{key} is processing"
        if item["status"] == "parked" and not is_set_aside:
            return f"{key} is to be retried"
        if item["status"] == "pending_approval" and key not in self._taken_up:
            return f"{key} waits and its approval was not started"
        return ""

    def _lost(self, invocation: Invocation, message: Message) -> str:
        """Why a payment would be lost: it is one to the code that saw it, and another message stands in its place."""
        sent, key = message.sent, f"txn-{message.sent.payment_id}"
        first, followed = self._first.get(key), self._followed.get(key, ())
        itself = {first.get("message_id") if first else None, *(each for each, *_ in followed)}
        if first is None or message.message_id in itself or not self._is_valid(invocation, sent):
            return ""
        is_it = first["status"] != "rejected" and self._content[key] == sent.read(self._version[key]).content
        return "" if is_it or self._in_conflict(sent) else "neither claimed nor a conflict"

    def logged(self, text: str) -> None:
        """All that the function wrote; an ERROR line is an exception that the batch processor took for a retry."""
        self.texts.append(text)
        errors = [line for line in text.splitlines() if '"level":"ERROR"' in line]
        if errors:
            self.fail("no unexpected errors", errors[0])

    def _invocation(self, owner: str) -> Invocation | None:
        name = owner.removeprefix(WOKEN).partition(":")[0]
        return next((each for each in reversed(self.world.invocations) if each.name == name), None)

    # ---- the end ----
    def after_reconcile(self, began: int) -> None:
        """Faults have stopped, and nothing was redriven: what the gateway knew as reconcile began is recorded."""
        for key, item in self.table.items().items():
            intent = self.gateway.intents.get(item.get("gateway_ref", ""))
            runs = "execution_arn" in item and not self.engine.is_closed(item["execution_arn"])
            known = intent is not None and intent.state not in ("prepared", "in_progress")
            is_new = intent is not None and intent.ended_at > began
            if item["status"] in ("processing", "parked") and known and not runs and not is_new:
                self.fail("reconcile settles", f"{key} is {item['status']}, the gateway knows its outcome")

    def nothing_is_kept(self, began: int) -> None:
        """A run that began then has forgotten all that ended an hour before, however wrong the clocks are."""
        for key, item in self.table.items().items():
            personal = "shown" if item["status"] in _FINAL else "request" if item["status"] == "conflict" else ""
            is_due = bool(personal) and _ended_at(item) < EPOCH_MS + began - 60 * _MINUTE_MS
            if is_due and personal in item:
                self.fail("what is due is forgotten", f"{key} still has {personal}")

    def nothing_open(self) -> bool:
        is_open = any(item["status"] in _OPEN for item in self.table.items().values())
        return not is_open and self.refunds.nothing_open()

    def at_the_end(self, all_sent: list[Sent]) -> None:
        """Every message is gone from the queues, and table, gateway and messages agree."""
        if self.queue.messages() or self.queue.dead:
            left = [message.name for message in self.queue.messages() + self.queue.dead]
            self.fail("everything comes to rest", f"still queued: {', '.join(left)}")
        self.refunds.at_the_end()
        items = {key: item for key, item in self.table.items().items() if not is_of_refunds(key)}
        for message in self.messages.values():
            why = self._unsettled(message)
            if why:
                self.fail("every message is settled", f"{message.name}: {why}")
        # An execution that was stopped before it claimed leaves nothing, nor does one under a used name;
        # whoever invoked it knows. `execution_ended` saw to those that came to their end.
        all_sent = [sent for sent in all_sent if not (sent.direct and self._unaccounted(sent))]
        asked = {f"txn-{sent.payment_id}" for sent in all_sent if sent.payment_id}
        payments = {key for key, item in items.items() if item["status"] != "conflict"}
        if payments != asked:
            self.fail("counts agree", f"items {sorted(payments)} for payments {sorted(asked)}")
        # Where corrections followed, one content may be kept in two versions, or not at all.
        conflicts = {key for key, item in items.items() if f"txn-{item['payment_id']}" not in self._followed}
        contents = {
            (sent.payment_id, sent.read(self._version[f"txn-{sent.payment_id}"]).content)
            for sent in all_sent
            if sent.payment_id and f"txn-{sent.payment_id}" not in self._followed
        }
        # What old and new limits each refuse is other content to each, in each spelling.
        more = 2 * len({(sent.payment_id, sent.spelling) for sent in all_sent if self._beyond_limits(sent)})
        if not len(contents) <= len(conflicts) <= len(contents) + more:
            self.fail("counts agree", f"{len(conflicts)} contents stored, {len(contents)} sent")
        self.later.at_the_end(items, self.gateway.later, self.gateway.refunds)
        for key in sorted(payments):
            self._agrees_with_gateway(key, items[key])
        stored = json.dumps(self.table.items(), default=str)
        texts = [stored, *self.texts, *self.events.at_the_end(self.table.items())]
        if any(secret in text for secret in SECRETS for text in texts):
            self.fail("nothing in the clear", "a card number or verification data was stored, sent or logged")

    def _agrees_with_gateway(self, key: str, item: dict[str, Any]) -> None:
        intents = [intent for intent in self.gateway.intents.values() if f"txn-{intent.payment_id}" == key]
        if self._charged_over_another(item):
            # Another content was charged under its id, and lost: this one is not, and a person has to look.
            # What stands rejected for its faults may have no amount: a correction was charged, and lost.
            intents = [intent for intent in intents if intent.amount_minor == item.get("amount_minor")]
            if item["status"] == "parked" and item["parked_reason"] == "found_with_different_content":
                return
        captured = sum(intent.amount_minor * intent.captures for intent in intents)
        owed = item["amount_minor"] if item["status"] == "completed" else 0
        if captured != owed:
            self.fail("every cent", f"{key} is {item['status']} over {owed}, captured is {captured}")
        if item["status"] in _OPEN and key not in self._messageless:
            self.fail("every open record is settled", f"{key} is still {item['status']}")
        if "generation" in item and key not in self._found:
            settled = {"approve": ("completed", "declined", "cancelled"), "reject": ("rejected",)}
            if item["status"] not in settled.get(item.get("decision", ""), ("expired",)):
                self.fail("a decision is obeyed", f"{key} is {item['status']}, decision {item.get('decision')}")


def _key_of(request: Mapping[str, Any]) -> str:
    return str((request.get("Item") or request["Key"])["transaction_id"]["S"])


def _approval_names(item: dict[str, Any]) -> set[str]:
    names = {f"{ENVIRONMENT}-{item['payment_id']}-{number + 1}" for number in range(item.get("generation", 0))}
    own = item.get("approval_name")
    return names | {own} if own else names


def _is_lost(gateway_ref: str, item: Mapping[str, Any]) -> bool:
    """Whether a reference can never be stored any more: its payment has another one, or ended without any."""
    return item.get("gateway_ref", "") != gateway_ref and ("gateway_ref" in item or item.get("status") in _FINAL)


def _ended_at(item: Mapping[str, Any]) -> int:
    """When a payment ended, or a conflict came, in milliseconds."""
    if "processed_at" not in item:
        return int(item["created_at"])
    return int(datetime.fromisoformat(item["processed_at"]).timestamp() * 1000)
