"""The auditor's model of refunds: what may be reserved, when the gateway may be called, and what each ends as.

As the auditor, of which it is a part, it shares no rule with the code. What it says of an item follows from the items
and the gateway as they are, so that it holds for a restored table too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.clauses import accepted_without
from tests.simulation.refund_gateway import Given
from tests.simulation.refund_traffic import Asked
from tests.simulation.world import EPOCH_MS, HOUR, MINUTE, Invocation, World

if TYPE_CHECKING:
    from tests.simulation.gateway import Gateway
    from tests.simulation.table import SentWrite, Table
    from tests.simulation.traffic import Sent

_LEAST_REMAINING_MS = 10_000
_LEGAL = {
    None: ("waiting", "pending", "failed"),
    "waiting": ("pending", "failed"),
    "pending": ("pending", "refunded", "failed"),
    "refunded": ("failed",),
    "failed": (),
}
_FIXED = (
    *("transaction_id", "payment_id", "refund_id", "amount_minor", "amount", "currency", "created_at"),
    *("message_id", "message_group_id", "sequence_number"),
)
_FIXED_ONCE = ("gateway_ref", "refund_ref", "waiting_at", "pending_at", "refunded_at", "failed_at", "reason_code")
# Of a payment only these are ever written for a refund.
_OF_THE_PAYMENT = {"refund_reserved", "version", "updated_at"}
# The protocol's name of each write, by who sends it: a port call's, or its half at the payment.
WRITE_OF = {
    "reserve_refund": "reserve refund",
    "give_reservation_back": "give reservation back",
    "refund_claim": "claim refund",
    "refund_claim_reserved": "claim refund",
    "refund_begin": "begin refund",
    "refund_refuse": "refuse refund",
    "refund_take_over": "take over refund",
    "refund_next_key": "next refund key",
    "refund_store_ref": "store refund reference",
    "refund_record": "record refund",
    "refund_fail": "fail refund",
}
_TAKING = ("refund_begin", "refund_take_over")
# When each state began.
_SINCE = {"waiting": "waiting_at", "pending": "pending_at", "refunded": "refunded_at", "failed": "failed_at"}
# What code that goes on with it must find.
_HAS = {
    "waiting": {"waiting_at"},
    "pending": {"gateway_ref", "pending_at"},
    "refunded": {"gateway_ref", "pending_at", "refunded_at", "refund_ref"},
    "failed": {"failed_at", "reason_code"},
}


def is_of_refunds(key: str) -> bool:
    return "#refund#" in key


class RefundRules:
    def __init__(self, world: World, fail: Callable[[str, str], None], counterfactual: bool) -> None:
        self.world = world
        self.fail = fail
        self.table: Table
        self.gateway: Gateway
        self._counterfactual = counterfactual
        self._weighed: set[str] = set()
        # By refund's key: when it was last called for.
        self._called: dict[str, int] = {}
        # (invocation, reference): the refunds that the list had for it, and when.
        self._listed: dict[tuple[str, str], tuple[int, set[str]]] = {}
        # A refund's key, and the number of its key at the gateway that was given up.
        self._given_up: set[tuple[str, int]] = set()
        # What code that knows no refunds has set aside.
        self.to_send_again: list[Sent] = []
        # Events of the gateway that led to no look yet.
        self.untold: set[str] = set()

    # ---- table ----
    def write_sent(self, intent: str, request: Mapping[str, Any]) -> None:
        if self._counterfactual and intent not in self._weighed:
            self._weighed.add(intent)
            for clause in accepted_without(WRITE_OF[intent], request):
                self.fail("every clause", f"{intent} would also be accepted where `{clause}` does not hold")

    def wrote(
        self, invocation: Invocation, write: SentWrite, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        intent, key, status = write.intent, after["transaction_id"], after["status"]
        self.world.tell(f"{invocation.name} {intent} {key}: {status}")
        was = before["status"] if before else None
        if status not in _LEGAL[was] and before != after:
            self.fail("legal transitions", f"{key} went from {was} to {status}")
        if after.get("updated_at") != write.clock_ms or after.get("version") != (before or {}).get("version", 0) + 1:
            self.fail("every write is dated", f"{intent} of {key} at {write.clock_ms} says {after}")
        if ("open_shard" in after) != (status in ("waiting", "pending")):
            self.fail("open items are found", f"{key} is {status} with index entry {after.get('open_shard')}")
        if not _HAS[status] <= after.keys():
            self.fail("each state is complete", f"{intent} left {key} as {after}")
        if _SINCE[status] not in after or (status == "failed") != ("reason_code" in after):
            self.fail("each state says when and why", f"{intent} left {key} as {after}")
        if status != was and after.get(_SINCE[status]) != write.clock_ms:
            self.fail("each state says when and why", f"{intent} left {key} as {after}")
        if (before is None or intent in _TAKING) and not invocation.owns(after["owner"]):
            self.fail("fencing owner", f"{invocation.name} holds {key} as {after['owner']}")
        if intent == "refund_store_ref" and "refund_ref" not in after:
            self.fail("each state says when and why", f"{intent} left {key} as {after}")
        if before is not None:
            self._kept(intent, before, after)
        if intent == "refund_next_key":
            self._given_up.add((key, before.get("gateway_try", 0) if before else 0))
        self._agrees_with_gateway(intent, after)
        self._reserved(after["payment_id"])

    def payment_wrote(
        self, invocation: Invocation, write: SentWrite, before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None:
        key, before = after["transaction_id"], before or {}
        self.world.tell(f"{invocation.name} {write.intent} {key}: {after.get('refund_reserved')} reserved")
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        if changed - _OF_THE_PAYMENT or after.get("version") != before.get("version", 0) + 1:
            self.fail("final items stand", f"{write.intent} changed {', '.join(sorted(changed))} of {key}")
        if after["updated_at"] != write.clock_ms:
            self.fail("every write is dated", f"{write.intent} of {key} at {write.clock_ms} says {after['updated_at']}")

    def _kept(self, intent: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        key = after["transaction_id"]
        changed = [name for name in _FIXED if before.get(name) != after.get(name)]
        changed += [name for name in _FIXED_ONCE if name in before and before[name] != after.get(name)]
        if changed:
            self.fail("content stands", f"{intent} changed {', '.join(changed)} of {key}")
        if after["attempt"] - before["attempt"] != (intent in _TAKING):
            self.fail("fencing number", f"{intent} took the attempt of {key} to {after['attempt']}")
        if before["owner"] != after["owner"] and intent not in _TAKING:
            self.fail("fencing owner", f"{intent} moved {key} from {before['owner']} to {after['owner']}")
        step = after.get("gateway_try", 0) - before.get("gateway_try", 0)
        if step != (intent == "refund_next_key"):
            self.fail("one key after another", f"{intent} took the number of {key} by {step}")

    def _reserved(self, payment_id: str) -> None:
        """What is reserved is what is pending or refunded, to the cent, and never more than was captured."""
        payment = self.table.item(f"txn-{payment_id}") or {}
        due = sum(
            item["amount_minor"]
            for item in self.of_refunds().values()
            if item["payment_id"] == payment_id and item["status"] in ("pending", "refunded")
        )
        reserved = payment.get("refund_reserved", 0)
        if reserved != due:
            self.fail("reserved is what is not failed", f"{payment_id} has {reserved} reserved, its refunds are {due}")
        captured = payment.get("amount_minor", 0) if payment.get("status") == "completed" else 0
        if reserved > captured:
            self.fail("no more than was captured", f"{payment_id} has {reserved} reserved of {captured}")

    def _agrees_with_gateway(self, intent: str, item: dict[str, Any]) -> None:
        key, given = item["transaction_id"], self._given(item)
        if item["status"] == "refunded" and not any(each.was_refunded for each in given):
            self.fail("the gateway's outcome", f"{key} is refunded, the gateway has {given}")
        if item["status"] == "refunded" and item.get("refund_ref") not in {each.refund_ref for each in given}:
            self.fail("the gateway's outcome", f"{key} is refunded by {item['refund_ref']}, the gateway has {given}")
        if intent == "refund_fail":
            reason_code, states = item["reason_code"], {each.state for each in given}
            due = {"refund_failed"} if states == {"failed"} else {"refund_refused"} if not states else set()
            if len(self._under_its_id(item)) > len(given) and not given:
                due = {"refund_found_with_different_content"}
            if reason_code not in due or item.get("gateway_response", {}).get("status") not in ("failed", "refused"):
                self.fail("the gateway's outcome", f"{key} is failed for {reason_code}, the gateway has {states}")
        elif item["status"] == "failed":
            self._refused(key, item)

    def _refused(self, key: str, item: dict[str, Any]) -> None:
        """A refund that fails without a call: the payment says why, now as then, as far as it cannot change."""
        payment, reason_code = self.table.item(f"txn-{item['payment_id']}"), item["reason_code"]
        status = (payment or {}).get("status")
        held = {
            "refund_payment_unknown": payment is None or payment["created_at"] > item["created_at"] - 60_000,
            "refund_payment_not_completed": status not in ("completed", "processing", "parked", "pending_approval"),
            "refund_other_currency": payment is not None and payment.get("currency") != item["currency"],
            "refund_payment_disputed": payment is not None and "disputed" in payment,
            # Others may have failed since. What a restored table lacks may be this very one, so that it waits.
            "refund_above_captured": status == "completed" and not self._is_after_restore(item["failed_at"]),
        }
        # A corrected message takes the place of one that was rejected.
        was_rejected = bool(payment and "superseded" in payment)
        if not held.get(reason_code, False) and not was_rejected:
            self.fail("refused for its reason", f"{key} failed for {reason_code}, the payment is {payment}")

    # ---- gateway ----
    def called(self, invocation: Invocation, gateway_ref: str, refund_id: str, key: str) -> None:
        name = f"txn-{self.gateway.intents[gateway_ref].payment_id}#refund#{refund_id}"
        item, now = self.table.item(name) or {}, self.world.now
        self._has_time(invocation, "refund")
        if item.get("status") != "pending" and self._may_be_sure(item):
            self.fail("reserved before it is called for", f"{invocation.name} calls for {name}: {item}")
        at, had = self._listed.get((invocation.name, gateway_ref), (-1, set()))
        if at < 0 or refund_id in had:
            self.fail("never in the dark", f"{invocation.name} calls for {name}, the list had {had}")
        last = self._called.get(name)
        agrees = self.world.profile.clocks_agree and not self.world.restored_at
        if agrees and last is not None and at - last < 15 * MINUTE:
            self.fail("never in the dark", f"{invocation.name} calls for {name}, {at - last} ms after the last call")
        begin = f"sim:{item.get('payment_id')}:refund:{refund_id}:"
        number = key.removeprefix(begin)
        if not key.startswith(begin) or not number.isdecimal() or int(number) > item.get("gateway_try", 0):
            self.fail("one key a refund", f"{invocation.name} calls for {name} under {key!r}")
        elif (name, int(number)) in self._given_up and agrees:
            self.fail("no key comes back", f"{invocation.name} calls for {name} under {key!r}")
        elif int(number) and agrees and last is not None and at - last < HOUR:
            self.fail("never in the dark", f"{invocation.name} calls for {name} under the next key at once")
        self._called[name] = now

    def _may_be_sure(self, item: dict[str, Any]) -> bool:
        """Whether nobody can have written it between its caller's last write and the call: others look at it too."""
        return item.get("status") in (None, "waiting")

    def listed(self, invocation: Invocation, gateway_ref: str, refund_ids: set[str]) -> None:
        self._listed[invocation.name, gateway_ref] = (self.world.now, refund_ids)

    def made(self, given: Given) -> None:
        others = [each for each in self.gateway.refunds.given.values() if each.refund_id == given.refund_id != ""]
        if len([each for each in others if each.payment_id == given.payment_id]) > 1:
            self.fail("each refund once", f"{given.refund_id} of {given.payment_id} was given back more than once")
        if self.gateway.refunds.left(given.gateway_ref) < 0:
            self.fail("no more than was captured", f"{given.gateway_ref} gave more back than it captured")

    def _has_time(self, invocation: Invocation, call: str) -> None:
        if invocation.remaining_ms() < _LEAST_REMAINING_MS:
            self.fail("time for an answer", f"{invocation.name} began {call} with {invocation.remaining_ms()} ms left")

    # ---- messages, and the end ----
    def rejected(self, sent: Sent, reason_code: str) -> None:
        """A copy is in the rejected queue: it is at fault, or code that knows no refunds found no payment in it."""
        if sent.refund is None or not sent.refund.is_valid:
            return
        if reason_code != "payment_id_missing":
            self.fail("only the unusable is set aside", f"{sent.name} is rejected for {reason_code}")
        self.to_send_again.append(sent)

    def left_of(self, asked: Asked) -> str:
        """What a refund message that was not rejected left undone, "" for nothing."""
        item = self.table.item(asked.key)
        if not asked.is_valid:
            return f"no copy in the rejected queue, {item}"
        if item is None:
            return "no item"
        if (item["amount_minor"], item["currency"]) == (asked.amount_minor, asked.currency):
            return ""
        kept = any(key.startswith(f"{asked.key}#conflict#") for key in self.table.items())
        return "" if kept else "no conflict item"

    def nothing_open(self) -> bool:
        return not self.untold and all(
            item["status"] in ("refunded", "failed") or self._is_at_work(item) or self._waits_for_nobody(item)
            for item in self.of_refunds().values()
        )

    def _waits_for_nobody(self, item: dict[str, Any]) -> bool:
        """For as long as a restored table is waited for: what it lost may come again, what it has may be another's."""
        payment = self.table.item(f"txn-{item['payment_id']}")
        asks_for = item["amount_minor"] + (payment or {}).get("refund_reserved", 0)
        is_held = payment is None or asks_for > payment.get("amount_minor", 0)
        return item["status"] == "waiting" and is_held and self.world.restored_at > 0

    def _is_after_restore(self, said_ms: int) -> bool:
        return 0 < self.world.restored_at < said_ms - EPOCH_MS

    def _is_at_work(self, item: dict[str, Any]) -> bool:
        return "refund_ref" in item and self.gateway.refunds.given[item["refund_ref"]].state == "pending"

    def of_refunds(self) -> dict[str, dict[str, Any]]:
        items = self.table.items().items()
        return {key: item for key, item in items if is_of_refunds(key) and item["status"] != "conflict"}

    def is_other_content(self, key: str) -> None:
        """The code says that another amount was given back under this id, before the table was restored."""
        item = self.table.item(key) or {}
        if not item or self._given(item) or not self._under_its_id(item):
            self.fail("no alarm", f"{key} is said to be given back over another amount: {item}")

    def _given(self, item: dict[str, Any]) -> list[Given]:
        """What the gateway gave for it. A restore can lose the item of other content, which had the id first."""
        found = self._under_its_id(item)
        if not self.world.restored_at:
            return found
        content = (item["amount_minor"], item["currency"])
        return [each for each in found if (each.amount_minor, each.currency) == content]

    def _under_its_id(self, item: dict[str, Any]) -> list[Given]:
        names = (item["payment_id"], item["refund_id"])
        return [each for each in self.gateway.refunds.given.values() if (each.payment_id, each.refund_id) == names]

    def _is_lost_contents(self, given: Given) -> bool:
        """Whether it gave back what other content of its payment id captured, before a restore that lost that item.

        The payment that has the id now was never charged, and people are told of the other one.
        """
        payment, intent = self.table.item(f"txn-{given.payment_id}"), self.gateway.intents[given.gateway_ref]
        is_another = payment is not None and payment.get("amount_minor") != intent.amount_minor
        return is_another and intent.created_at < self.world.restored_at

    def at_the_end(self) -> None:
        """Table and gateway agree on every refund."""
        for key, item in self.of_refunds().items():
            states = [each.state for each in self._given(item) if not self._is_lost_contents(each)]
            due = {"refunded": (["refunded"],), "pending": (["pending"],), "failed": ([], ["failed"])}
            if self.world.restored_at:
                # What another refund held may be given up after the last of reconcile's runs.
                due["waiting"] = ([],)
            if states not in due.get(item["status"], ()) and not self._waits_for_nobody(item):
                self.fail("every cent", f"{key} is {item['status']}, the gateway has {states}")
        kept = {(item["payment_id"], item["refund_id"]) for item in self.of_refunds().values()}
        lost = [
            each
            for each in self.gateway.refunds.given.values()
            if each.refund_id and (each.payment_id, each.refund_id) not in kept
        ]
        if lost:
            self.fail("counts agree", f"the gateway gave back for {lost}, and there is no item")
