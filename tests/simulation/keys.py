"""The auditor's model of keys at the gateway: how each is made, when one may be given up, and when it must be.

As the auditor, of which it is a part, it shares no rule with the code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.simulation.world import Invocation

_LETS_GO = ("release", "park")
_REFUSES = ("refuse", "refuse_shown")
_TAKING = ("put_new", "claim_corrected", "take_over", "take_over_stuck", "take_over_parked", "begin_approved_charge")


class KeyRules:
    def __init__(self, fail: Callable[[str, str], None]) -> None:
        self.fail = fail
        # (invocation, transaction id): the keys that it was told are spent, since it has the payment.
        self._spent: dict[tuple[str, str], list[str]] = {}
        # What it has to write before it lets go: the next key of a spent prepare, or the refusal.
        self._due: dict[tuple[str, str], str] = {}
        # (invocation, transaction id): the reference was prepared, asked after the last spent key.
        self._prepared: set[tuple[str, str]] = set()
        # By transaction id and attempt: the number as the attempt began.
        self._began: dict[tuple[str, int], int] = {}

    def called(self, invocation: Invocation, call: str, payment_id: str, key: str, item: dict[str, Any]) -> None:
        """A key is the payment's own, no number is used before it is written, and none that is spent comes back."""
        who = (invocation.name, f"txn-{payment_id}")
        name = {"prepare": "prepare", "charge": "confirm"}[call]
        if not invocation.release.gives_keys_up:
            if key != f"sim:{payment_id}" + (":prepare" if call == "prepare" else ""):
                self.fail("one key a payment", f"{call} of {payment_id} under the key {key!r}")
            return
        begin = f"sim:{payment_id}:{str(item.get('request_hash'))[:16]}:{name}:"
        number = key.removeprefix(begin)
        if not key.startswith(begin) or not number.isdecimal():
            self.fail("one key a payment", f"{call} of {payment_id} under the key {key!r}")
            return
        if int(number) > item.get("gateway_try", 0):
            self.fail("written before it is used", f"{call} of {payment_id} under {key}, {item.get('gateway_try')}")
        # Whoever takes a payment over has read its item since the attempt before began.
        if int(number) < self._began.get((who[1], item.get("attempt", 0) - 1), 0):
            self.fail("no key comes back", f"{call} of {payment_id} under {key}, {item.get('gateway_try')} is stored")
        if key in self._spent.get(who, ()):
            self.fail("a spent key is given up", f"{invocation.name} sends {key} again")

    def failed(self, invocation: Invocation, transaction_id: str, key: str, how: str) -> None:
        who = (invocation.name, transaction_id)
        if how:
            self._spent.setdefault(who, []).append(key)
            self._prepared.discard(who)
        if how and ":prepare" in key:
            self._due[who] = "refuse" if how == "final" else "next_key"

    def is_prepared(self, invocation: Invocation, transaction_id: str) -> None:
        self._prepared.add((invocation.name, transaction_id))

    def write_sent(self, invocation: Invocation, intent: str, request: Mapping[str, Any]) -> None:
        if intent not in (*_LETS_GO, "next_key", *_REFUSES) or not invocation.charges:
            return
        who = (invocation.name, request["Key"]["transaction_id"]["S"])
        due, spent = self._due.get(who), self._spent.get(who, [""])[-1]
        if due == ("refuse" if intent in _REFUSES else intent):
            del self._due[who]
        if intent in _LETS_GO and due and invocation.release.gives_keys_up:
            self.fail("a spent key is given up", f"{invocation.name} lets go of {who[1]} without {due}")
        if intent in _REFUSES and due != "refuse":
            self.fail("refused by the gateway", f"{invocation.name} ends {who[1]}")
        if intent != "next_key":
            return
        # Of the number that is written: the one that is asked for is a clause, which a mutation leaves out.
        seen = int(request["ExpressionAttributeValues"].get(":next", {"N": "0"})["N"]) - 1
        if not spent.endswith(f":{seen}") or due == "refuse":
            self.fail("only what is spent is given up", f"{invocation.name} gives {seen} of {who[1]} up, {spent!r}")
        if ":confirm:" in spent and who not in self._prepared:
            self.fail("prepared before it is given up", f"{invocation.name} gives {spent} up without asking")

    def wrote(self, invocation: Invocation, intent: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        key, number = after["transaction_id"], after.get("gateway_try", 0)
        step = number - (before or {}).get("gateway_try", 0)
        if intent != "claim_corrected" and step != (intent == "next_key"):
            self.fail("one key after another", f"{intent} took the number of {key} to {number}, by {step}")
        if intent in _TAKING:
            # Two messages of an invocation may bring one payment.
            who = (invocation.name, key)
            self._spent.pop(who, None)
            self._due.pop(who, None)
            self._prepared.discard(who)
            self._began[key, after.get("attempt", 0)] = number
