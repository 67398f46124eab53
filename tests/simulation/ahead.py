"""The auditor's model of prepares that are sent ahead: for which messages, under which key, and who may use them.

As the auditor, of which it is a part, it shares no rule with the code. Whose turn it is, is told by the worker's own
claims: a worker that prepares what it has not claimed does so ahead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from greenlet import getcurrent

from tests.simulation.traffic import Sent
from tests.simulation.world import Invocation

_TAKING = ("put_new", "claim_corrected", "take_over", "take_over_parked")


class AheadRules:
    def __init__(self, fail: Callable[[str, str], None]) -> None:
        self.fail = fail
        # By invocation, the messages of its batch that were never received before and that it has not begun with.
        self._waiting: dict[str, dict[str, Sent]] = {}
        # (invocation, transaction id): the references that it prepared ahead, with the hash in their keys.
        self._ahead: dict[tuple[str, str], dict[str, str]] = {}
        # The same: those that it prepared since it has the payment.
        self._in_turn: dict[tuple[str, str], set[str]] = {}

    def received(self, invocation: Invocation, firsts: Mapping[str, Sent]) -> None:
        self._waiting[invocation.name] = dict(firsts)

    def begins(self, invocation: Invocation, owner: str) -> None:
        """A worker is about to claim for a message."""
        self._waiting.get(invocation.name, {}).pop(owner.partition(":")[2], None)

    def holds(self, key: str) -> None:
        """The worker that runs has claimed a payment; "" where it ends with it, or did not get it."""
        getcurrent().turn = key

    def is_ahead(self, invocation: Invocation, key: str) -> bool:
        return bool(invocation.place) and getattr(getcurrent(), "turn", "") != key

    def called(
        self, invocation: Invocation, payment_id: str, key: str, fits: Callable[[Sent], bool], *, is_open: bool
    ) -> None:
        """`fits`: a message is to be charged at once, as what is told to the gateway; `is_open`: the breaker is."""
        waiting = self._waiting.get(invocation.name, {}).values()
        if not any(sent.payment_id == payment_id and fits(sent) for sent in waiting):
            self.fail("prepared ahead in order", f"{invocation.name} prepares {payment_id}, which no message waits for")
        if not re.fullmatch(f"sim:{payment_id}:[0-9a-f]{{16}}:prepare:0", key):
            self.fail("one key a payment", f"{payment_id} is prepared ahead under the key {key!r}")
        if is_open:
            self.fail("one message at a time asks", f"{invocation.name} prepares {payment_id} with an open breaker")
        profile = invocation.world.profile
        if not profile.prepare_ahead or not invocation.release.has_workers:
            self.fail("prepared ahead where it was asked for", f"{invocation.name} prepares {payment_id}")

    def prepared(self, invocation: Invocation, key: str, gateway_ref: str, ahead_under: str) -> None:
        who = (invocation.name, key)
        if ahead_under:
            self._ahead.setdefault(who, {})[gateway_ref] = ahead_under.split(":")[2]
        else:
            self._in_turn.setdefault(who, set()).add(gateway_ref)

    def wrote(self, invocation: Invocation, intent: str, item: Mapping[str, Any]) -> None:
        if intent == "store_gateway_ref":
            self._stored(invocation, item)
        elif intent in _TAKING:
            # Two messages of an invocation may bring one payment.
            self._in_turn.pop((invocation.name, item["transaction_id"]), None)

    def _stored(self, invocation: Invocation, item: Mapping[str, Any]) -> None:
        """A reference is the payment's whose claim made the item, or whoever has it since prepared it anew."""
        who, gateway_ref = (invocation.name, item["transaction_id"]), item["gateway_ref"]
        if not invocation.place or gateway_ref in self._in_turn.get(who, ()):
            return
        under = self._ahead.get(who, {}).get(gateway_ref)
        if item["attempt"] != 1 or under != item["request_hash"][:16]:
            self.fail("only its own is stored", f"{who[0]} stores {gateway_ref}, prepared ahead, in {who[1]}: {item}")

    def may_cancel(self, invocation: Invocation, gateway_ref: str, item: Mapping[str, Any], *, is_lost: bool) -> bool:
        """Whether nobody else can be given it: it can never be stored, or is under a key that the payment never has."""
        under = self._ahead.get((invocation.name, item["transaction_id"]), {}).get(gateway_ref)
        return under is not None and (is_lost or under != item["request_hash"][:16])
