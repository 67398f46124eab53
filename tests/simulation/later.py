"""What comes after a charge beside our own refunds: people give back and dispute at the gateway, and the rules for it.

Acts are drawn; the gateway's events of them come once, more often, or not at all, but the last one of a reference,
which it sends until it is answered. As the auditor, its rules share nothing with the code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from handler.domain.payment import Dispute, GatewayResult, Refund
from tests.simulation.refund_gateway import Refunds
from tests.simulation.world import EPOCH_MS, HOUR, MINUTE, SECOND, World

if TYPE_CHECKING:
    from tests.simulation.gateway import Intent

WRITES = ("record_refunded", "record_disputed")
_LISTS = {"record_refunded": "refunded", "record_disputed": "disputed"}


class Later:
    """The disputes of every intent, as the gateway has them by now, and what people do there with refunds, too."""

    def __init__(self, world: World, refunds: Refunds) -> None:
        self.world = world
        self._refunds = refunds
        self._disputes: dict[str, dict[str, Dispute]] = {}

    def disputes(self, gateway_ref: str) -> list[Dispute]:
        return list(self._disputes.get(gateway_ref, {}).values())

    def told(self, result: GatewayResult, gateway_ref: str) -> GatewayResult:
        """What `status` says of an intent, with what its charge says came after it."""
        given_back = sum(each.amount_minor for each in self._refunds.listed(gateway_ref) if each.state != "failed")
        return result._replace(refunded_minor=given_back, disputed=gateway_ref in self._disputes)

    def touched(self) -> list[str]:
        """The references of which something came back."""
        return list(dict.fromkeys((*self._disputes, *(each.gateway_ref for each in self._refunds.given.values()))))

    def captured(self, intent: Intent) -> None:
        """Somebody will give some of it back, or dispute it, or nobody; once or more often, soon or within hours."""
        world, name = self.world, f"later/{intent.gateway_ref}"
        share = world.profile.later / 3
        kind = world.fault(name, [("refunds", share), ("disputes", share), ("both", share)])
        for each in ("refunds", "disputes") if kind == "both" else (kind,) if kind else ():
            at = world.now
            for number in range(world.between(f"{name}/{each}", 1, 3)):
                at += int(world.draw(f"{name}/{each}/{number}") * world.pick(f"{name}/within", (SECOND, MINUTE, HOUR)))
                begin = self._refund if each == "refunds" else self._dispute
                world.at(at, lambda begin=begin, number=number: begin(intent, number))  # type: ignore[misc]

    def _refund(self, intent: Intent, number: int) -> None:
        share = self.world.draw(f"later/{intent.gateway_ref}/{number}/share") / 2
        if amount := int(share * self._refunds.left(intent.gateway_ref)):
            self._refunds.make(intent.gateway_ref, amount)
            self._event(intent.gateway_ref)

    def _dispute(self, intent: Intent, number: int) -> None:
        world, ref = self.world, f"du_{intent.gateway_ref}_{number}"
        states = world.pick(f"{ref}/states", (("open",), ("open", "won"), ("open", "lost"), ("open", "won", "lost")))
        created = EPOCH_MS + world.now

        def come_to(state: Any) -> None:
            disputes = self._disputes.setdefault(intent.gateway_ref, {})
            disputes[ref] = Dispute(ref, state, intent.amount_minor, intent.currency, "general", created)
            world.tell(f"gateway: {ref} of {intent.payment_id} is {state}")
            self._event(intent.gateway_ref)

        at = world.now
        for state in states:
            world.at(at, lambda state=state: come_to(state))  # type: ignore[misc]
            at += 1 + int(world.draw_next(f"{ref}/next") * world.pick(f"{ref}/after", (50, SECOND, 10 * MINUTE)))

    def _event(self, gateway_ref: str) -> None:
        for _ in range(self.world.pick(f"event/{gateway_ref}", (0, 0, 1, 1, 2))):
            self._refunds.woken(gateway_ref)


class LaterRules:
    """What an item says of what came after its charge."""

    def __init__(self, fail: Callable[[str, str], None]) -> None:
        self._fail = fail

    def wrote(self, intent: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """History grows at its end, and nothing else of the item changes."""
        key, name = after["transaction_id"], _LISTS[intent]
        changed = {each for each in before.keys() | after.keys() if before.get(each) != after.get(each)}
        if not changed <= {name, "later_no", "updated_at", "version"}:
            self._fail("what came after changes nothing else", f"{intent} of {key} changed {sorted(changed)}")
        was, rows = before.get(name, []), after.get(name, [])
        if rows[: len(was)] != was or len(rows) <= len(was):
            self._fail("history only grows", f"{intent} of {key} made {rows} of {was}")
        if before.get("status") != "completed":
            self._fail("only what was captured comes back", f"{intent} of {key}, which is {before.get('status')}")

    def at_the_end(self, items: Mapping[str, Mapping[str, Any]], later: Later, refunds: Refunds) -> None:
        """The last row of each refund and dispute is what the gateway's list says, and there is none besides."""
        for key, item in items.items():
            gateway_ref = item.get("gateway_ref", "")
            listed: dict[str, Mapping[str, Refund | Dispute]] = {
                "refunded": {each.refund_ref: each for each in refunds.listed(gateway_ref)},
                "disputed": {each.dispute_ref: each for each in later.disputes(gateway_ref)},
            }
            for name, found in listed.items() if item["status"] == "completed" else ():
                said = {ref: (each.state, each.amount_minor, each.created_at) for ref, each in found.items()}
                rows = {row.get("refund_ref") or row["dispute_ref"]: row for row in item.get(name, [])}
                last = {ref: (row["state"], row["amount_minor"], row["created_at"]) for ref, row in rows.items()}
                if last != said:
                    self._fail("history is the gateway's list", f"{key} says {last} in {name}, the gateway {said}")
