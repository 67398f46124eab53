"""A completed payment over 25.99 and what refunds of it need: a gateway that fails as it is told, and a message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from handler.domain.payment import Message, Refund
from handler.domain.refund_item import RefundItem
from handler.domain.refund_reconcile import RefundFinding, see_refunds, settle_refunds
from handler.domain.rules import Rules
from tests.support.payments import STUCK_AFTER_MS, ScriptedGateway, World, message, send, work

RUN = "reconcile:run-1"


class RefundingGateway(ScriptedGateway):
    """In `answers`, by call, what comes of it: an exception is raised, a function called before it, None goes on.

    `then`: an exception that is raised once a refund took effect.
    """

    def __init__(self, **scripts: list[Any]) -> None:
        super().__init__(**scripts)
        self.answers: dict[str, list[Any]] = {}
        self.then: list[Exception | None] = []
        self.refund_calls: list[str] = []
        self.lists = 0

    def refund(self, gateway_ref: str, amount_minor: int, currency: str, refund_id: str, key: str) -> Refund:
        self.refund_calls.append(key)
        self._before("refund")
        made = super().refund(gateway_ref, amount_minor, currency, refund_id, key)
        if self.then and (error := self.then.pop(0)) is not None:
            raise error
        return made

    def refunds(self, gateway_ref: str) -> list[Refund]:
        self.lists += 1
        self._before("refunds")
        return super().refunds(gateway_ref)

    def change(self, state: Any, place: int = 0) -> None:
        """Let a refund come to another state, as its bank decides."""
        key = list(self._refunds)[place]
        self._refunds[key] = self._refunds[key]._replace(state=state)

    def given_back(self) -> int:
        return sum(each.amount_minor for each in self._refunds.values() if each.state != "failed")

    def _given_back(self, gateway_ref: str) -> int:
        return self.given_back()

    def _before(self, call: str) -> None:
        script = self.answers.get(call)
        answer = script.pop(0) if script else None
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer()


@dataclass
class RefundWorld(World):
    gateway: RefundingGateway = field(default_factory=RefundingGateway)

    def refund(self, refund_id: str = "r-1") -> RefundItem:
        refund = self.ports.log.refunds().get(f"txn-pay-abc123#refund#{refund_id}")
        assert refund is not None
        return refund

    @property
    def reserved(self) -> int:
        return int(self.item().get("refund_reserved", 0))

    def reconcile(self, later_ms: int = 2 * STUCK_AFTER_MS + 1) -> list[RefundFinding]:
        self.clock.ms += later_ms
        return list(settle_refunds(self.rules, self.ports, work(RUN), STUCK_AFTER_MS))

    def look(self) -> list[RefundFinding]:
        listed = self.gateway.refunds(self.item()["gateway_ref"])
        return see_refunds("pay-abc123", listed, self.rules, self.ports, work(RUN))


def completed(**changes: Any) -> RefundWorld:
    world = RefundWorld(**changes)
    assert send(world) == "completed"
    return world


def refund_message(amount: str = "20.00", refund_id: str = "r-1", message_id: str = "m-r", **changes: Any) -> Message:
    document = {"payment_id": "pay-abc123", "refund_id": refund_id, "currency": "USD", **changes}
    known = {name: value for name, value in document.items() if value is not None}
    text = json.dumps({"refund": known})
    return message(text.replace("}}", f', "amount": {amount}}}}}') if amount else text, message_id)


def give(world: RefundWorld, amount: str = "20.00", refund_id: str = "r-1", **changes: Any) -> str:
    """Deliver a refund message once; what came of it."""
    sent = refund_message(amount, refund_id, **changes)
    return send(world, sent, owner=f"req-2:{sent.message_id}")


def given_back_and_lost() -> RefundWorld:
    """A refund that the restored table knows nothing of."""
    world = completed()
    give(world)
    del world.dynamodb.items["txn-pay-abc123#refund#r-1"]
    world.change(refund_reserved=None)
    world.rules = Rules(restored_at_ms=1)
    return world
