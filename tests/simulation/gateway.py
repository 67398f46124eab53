"""The payment gateway: intents, idempotency keys kept for 24 hours, requests in flight, stored failures, refusals.

Modelled after Stripe's PaymentIntents: the first whole answer of a key is given again, failures too, and a key that was
used for another request is refused. A declined intent, or one that waits for its customer, may be confirmed again and
captured then, as not every gateway refuses that: hence the cancel before a decline is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from handler.domain.errors import (
    ChargeFailedError,
    GatewayFailedError,
    GatewayRefusedError,
    KeySpentError,
    UnknownOutcomeError,
)
from handler.domain.payment import GatewayResult, Payment
from tests.simulation.later import Later
from tests.simulation.refund_gateway import Observer as RefundObserver
from tests.simulation.refund_gateway import Refunds
from tests.simulation.world import (
    HOUR,
    MINUTE,
    SECOND,
    Invocation,
    Pending,
    World,
)

KEY_KEPT_MS = 24 * HOUR
REFUSAL_CODE = "resource_missing"


class Observer(Protocol):
    """What the auditor wants to know; each is told when it happens."""

    @property
    def refunds(self) -> RefundObserver: ...

    def prepare_called(self, invocation: Invocation, payment: Payment, key: str) -> bool:
        """Whether it is sent ahead of the payment's claim."""

    def prepared(self, invocation: Invocation, key: str, gateway_ref: str, ahead_under: str) -> None:
        """What a prepare brought; `ahead_under`: its key, where it was sent ahead."""

    def gateway_call(self, invocation: Invocation, call: str, gateway_ref: str, key: str) -> None: ...

    def status_answered(self, invocation: Invocation, gateway_ref: str, state: str) -> None: ...

    def captured(self, intent: Intent) -> None: ...

    def looks_for(self, invocation: Invocation, payment_id: str) -> None: ...

    def found(self, invocation: Invocation, payment_id: str, gateway_refs: list[str]) -> None:
        """What a search named."""

    def gateway_failed(self, invocation: Invocation, payment_id: str, call: str, failure: str) -> None:
        """How a call ended: `own` where its answer is wrong, `refused` where it is a 400, `unreached` without a
        connection, `failed` where it is a whole 5xx, `shared` where none came or it says nothing, `takes days` where
        the charge is answered as in progress, `at work` where another call is, "" where it is any other answer."""

    def key_failed(self, invocation: Invocation, payment_id: str, key: str, how: str) -> None:
        """A call with a key failed: `spent` where the answer was whole, `final` where it never will be another one, ""
        where none came or it says nothing."""


@dataclass(eq=False)
class Intent:
    gateway_ref: str
    payment_id: str
    amount_minor: int
    currency: str
    created_at: int = 0
    state: str = "prepared"
    captures: int = 0
    confirms: int = 0
    # In progress, and no call is under way any more.
    takes_days: bool = False
    # When that was over; 0 where it never was so.
    ended_at: int = 0
    # Whether its customer had to do something.
    was_asked: bool = False
    # Why it was declined or cancelled, in the gateway's words; it keeps them.
    code: str = ""

    def result(self) -> GatewayResult:
        is_approved = self.state == "approved"
        authorization_code, code = ("AUTH123ABC", "") if is_approved else ("", self.code)
        return GatewayResult(
            self.state,  # type: ignore[arg-type]
            self.amount_minor,
            self.currency,
            authorization_code,
            "2024-01-01T12:00:00Z",
            code,
        )


@dataclass(eq=False)
class StoredAnswer:
    """What an idempotency key is answered with: None while its first request is at work."""

    at: int
    # What was asked for under it.
    request: object
    outcome: GatewayResult | str | None = None


class Gateway:
    def __init__(self, world: World, observer: Observer) -> None:
        self.world = world
        self.observer = observer
        self.intents: dict[str, Intent] = {}
        self.refunds = Refunds(world, self.intents, observer.refunds)
        self.later = Later(world, self.refunds)
        # Told of each intent that came to an end.
        self.ended: Callable[[Intent], None] = lambda intent: None
        self._keys: dict[str, StoredAnswer] = {}
        self._poisoned: dict[str, str] = {}
        # A gateway that forgets at once leaves a late confirm to the intent's state alone.
        self._key_kept_ms = world.pick("gateway/key kept", (KEY_KEPT_MS, KEY_KEPT_MS, 20 * SECOND))
        # One that forgets the keys of prepares makes another intent each time.
        self._forgets_prepares = world.draw("gateway/forgets prepares") > 0.7
        # How far its search is behind: less than an hour, also where a clock is off by 20 minutes.
        self._search_lag_ms = world.pick("gateway/search lag", (0, 1 * MINUTE, 35 * MINUTE))
        # When it is reached again; until then every call fails at once, without a connection or with a 503.
        self.out_until = 0
        self.out_with_503 = False
        # Payments that it cannot answer for, by id: in which calls.
        self.mended_at = world.pick("gateway/mended", (5 * MINUTE, 40 * MINUTE, 1000 * HOUR))

    def poison(self, payment_ids: Iterable[str]) -> None:
        """Let it answer for these wrongly until the faults stop, whatever is drawn."""
        self.mended_at = 1000 * HOUR
        self._poisoned |= dict.fromkeys(payment_ids, "prepare")

    def answers_wrongly(self, call: str, payment_id: str) -> bool:
        """Whether what it says in this call cannot be read, as it always is for some payments until it is mended."""
        if not self.world.faults_on or self.world.now >= self.mended_at:
            return False
        if payment_id not in self._poisoned:
            share = self.world.profile.poison / 3
            menu = [("prepare", share), ("charge", share), ("charge and status", share)]
            self._poisoned[payment_id] = self.world.fault(f"poison/{payment_id}", menu)
            if self._poisoned[payment_id]:
                self.world.tell(f"gateway: {self._poisoned[payment_id]} of {payment_id} will be answered wrongly")
        return call in self._poisoned[payment_id].split(" and ")

    def refuses(self, payment_id: str) -> str:
        """Whether it refuses to prepare a payment: `final` where it always will, `now` until it is mended."""
        drawn = self.world.draw(f"refuses/{payment_id}") / (self.world.profile.refuses or 1e-9)
        if drawn < 0.6:
            return "final"
        return "now" if drawn < 1 and self.world.faults_on and self.world.now < self.mended_at else ""

    def _refuses_charge(self, payment_id: str) -> bool:
        """Whether it answers the payment's charges with a 400 until it is mended; nothing takes effect."""
        drawn = self.world.draw(f"refuses charge/{payment_id}")
        return drawn < self.world.profile.refuses / 2 and self.world.faults_on and self.world.now < self.mended_at

    def _kept(self, key: str) -> StoredAnswer | None:
        stored = self._keys.get(key) if key else None
        return stored if stored is not None and self.world.now - stored.at < self._key_kept_ms else None

    def _keep(self, key: str, request: object) -> StoredAnswer:
        stored = StoredAnswer(self.world.now, request)
        if key:
            self._keys[key] = stored
        return stored

    def prepare(self, payment: Payment, key: str) -> str:
        request = ("prepare", payment.payment_id, payment.amount_minor, payment.currency, payment.description)
        stored = None if self._forgets_prepares else self._kept(key)
        if stored is None:
            stored = self._keep(key, request)
            stored.outcome = self._prepared(payment)
        elif stored.request != request:
            raise GatewayRefusedError("idempotency_error: the key was used with other parameters")
        if stored.outcome == "500":
            raise GatewayFailedError("500")
        if stored.outcome in ("final", "now"):
            raise GatewayRefusedError("400", REFUSAL_CODE, is_final=stored.outcome == "final")
        return str(stored.outcome)

    def _prepared(self, payment: Payment) -> str:
        """The reference, or why there is none."""
        world, name = self.world, payment.payment_id
        refusal = self.refuses(name)
        if refusal:
            world.tell(f"gateway: {name} is refused ({refusal})")
            return refusal
        fault = world.fault(f"prepare {name}", [("500", world.profile.stored_500)])
        if fault:
            world.tell(f"gateway: the prepare of {name} is answered by a stored 500")
        if fault and world.draw_next(f"prepare {name}/500") < 0.5:
            return fault
        gateway_ref = f"pi_{len(self.intents) + 1}"
        self.intents[gateway_ref] = Intent(gateway_ref, name, payment.amount_minor, payment.currency, world.now)
        world.tell(f"gateway: {gateway_ref} prepared for {name} over {payment.amount_minor}")
        if world.fault(f"dashboard/{gateway_ref}", [("cancelled", world.profile.dashboard)]):
            seconds = world.between(f"dashboard/{gateway_ref}", 1, 900)
            world.at(world.now + seconds * SECOND, lambda: self.cancel(gateway_ref, "duplicate"))
        return fault or gateway_ref

    def confirm(self, gateway_ref: str, key: str) -> Any:
        """The answer now, or `Pending`."""
        world, intent = self.world, self.intents[gateway_ref]
        stored = self._kept(key)
        if stored is not None:
            return _again(stored, gateway_ref)
        if intent.state == "in_progress" and not intent.takes_days:
            raise UnknownOutcomeError("409 lock_timeout: a request with another key is in progress")
        stored = self._keep(key, gateway_ref)
        if intent.state not in ("prepared", "declined", "requires_action"):
            world.tell(f"gateway: {gateway_ref} is {intent.state}, and a late confirm captures nothing")
            stored.outcome = "400"
            return _answer(stored.outcome)
        if self._refuses_charge(intent.payment_id):
            world.tell(f"gateway: the charge of {gateway_ref} is refused")
            stored.outcome = "refused"
            return _answer(stored.outcome)
        before, intent.state = intent.state, "in_progress"
        intent.confirms += 1
        name = f"confirm/{intent.payment_id}/{intent.confirms}"
        fault = world.fault(name, [("slow", world.profile.slow), ("500", world.profile.stored_500)])
        takes_days = world.fault(f"days/{name}", [("days", world.profile.takes_days)])
        takes = world.between(name, 5_000, 60_000) if fault == "slow" else world.between(name, 20, 300)
        without_effect = fault == "500" and world.draw(f"{name}/500") < 0.5
        if fault:
            how = "takes long" if fault == "slow" else "will be answered by a stored 500"
            world.tell(f"gateway: {gateway_ref} {how}")

        def settle() -> None:
            if without_effect:
                intent.state = before
            elif takes_days:
                self._takes_days(intent, name)
            else:
                self._end(intent, name)
            world.tell(f"gateway: {gateway_ref} of {intent.payment_id} is {intent.state}")
            stored.outcome = "500" if fault == "500" else intent.result()
            self.ended(intent)
            if intent.state == "approved":
                self.observer.captured(intent)

        def result() -> tuple[Any, Exception | None]:
            try:
                return _answer(stored.outcome), None
            except UnknownOutcomeError as error:
                return None, error

        world.at(world.now + takes, settle)
        # One millisecond after `settle`, which is an event of its own.
        return Pending(world.now + takes + 1, result)

    def is_left_behind(self, gateway_ref: str, confirm: Callable[[], Any]) -> bool:
        """Whether a confirm is answered with a 503 while it is still on its way, and arrives up to a minute later."""
        world, name = self.world, f"left behind/{gateway_ref}"
        if not world.fault(name, [("late", world.profile.stored_500 / 2)]):
            return False
        world.tell(f"gateway: a confirm of {gateway_ref} is answered by a 503 and goes on")

        def arrive() -> None:
            with suppress(UnknownOutcomeError, GatewayRefusedError):
                confirm()

        world.at(world.now + world.between(name, 100, 60_000), arrive)
        return True

    def _takes_days(self, intent: Intent, name: str) -> None:
        """It stays in progress for minutes or for 40 hours: less than the calm at the end of a run."""
        world = self.world
        intent.takes_days = True
        minutes = world.between(f"days/{name}", 1, world.pick(f"days/{name}/most", (10, 40 * 60)))
        world.tell(f"gateway: the method of {intent.gateway_ref} takes {minutes} minutes")

        def end() -> None:
            intent.takes_days, intent.ended_at = False, world.now
            self._end(intent, name)
            world.tell(f"gateway: {intent.gateway_ref} of {intent.payment_id} is {intent.state} at last")
            self.ended(intent)
            if intent.state == "approved":
                self.observer.captured(intent)

        world.at(world.now + minutes * MINUTE, end)

    def _end(self, intent: Intent, name: str) -> None:
        """What a confirm comes to."""
        world = self.world
        if world.draw(f"{name}/declined") < world.profile.declines:
            intent.state, intent.code = "declined", "card_declined"
        elif world.draw(f"{name}/asks") < world.profile.asks_customer:
            intent.state, intent.was_asked = "requires_action", True
            if world.draw(f"{name}/acts") < 0.6:
                world.at(world.now + world.between(f"{name}/acts", 10, 60_000), lambda: self._acts(intent))
        else:
            intent.state = "approved"
            intent.captures += 1

    def _acts(self, intent: Intent) -> None:
        """The customer does what was asked for, if that is still possible."""
        if intent.state == "requires_action":
            intent.state = "approved"
            intent.captures += 1
            self.world.tell(f"gateway: the customer of {intent.gateway_ref} acted, it is approved")
            self.ended(intent)
            self.observer.captured(intent)

    def status(self, gateway_ref: str) -> GatewayResult:
        return self.later.told(self.intents[gateway_ref].result(), gateway_ref)

    def find(self, payment_id: str) -> list[str]:
        since = self.world.now - self._search_lag_ms
        intents = (each for each in self.intents.values() if each.payment_id == payment_id)
        return [intent.gateway_ref for intent in intents if intent.created_at <= since]

    def cancel(self, gateway_ref: str, reason: str = "abandoned") -> GatewayResult:
        intent = self.intents[gateway_ref]
        if intent.state in ("prepared", "declined", "requires_action"):
            intent.state, intent.code = "cancelled", intent.code or reason
            self.world.tell(f"gateway: {gateway_ref} of {intent.payment_id} is cancelled")
        return intent.result()


def _again(stored: StoredAnswer, gateway_ref: str) -> GatewayResult:
    if stored.request != gateway_ref:
        raise KeySpentError("idempotency_error: the key was used with other parameters")
    if stored.outcome is None:
        raise UnknownOutcomeError("409: a request with this key is in progress")
    return _answer(stored.outcome)


def _answer(outcome: GatewayResult | str | None) -> GatewayResult:
    if isinstance(outcome, GatewayResult):
        return outcome
    if outcome == "400":
        raise KeySpentError("payment_intent_unexpected_state")
    if outcome == "refused":
        raise GatewayRefusedError("400", REFUSAL_CODE)
    raise ChargeFailedError("500")
