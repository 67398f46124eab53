"""The payment gateway: intents, idempotency keys kept for 24 hours, requests in flight, stored failures.

Modelled after Stripe's PaymentIntents: a confirmed intent is captured once; a declined one may be confirmed again
under a new key, and then may well be approved, which is why the key and the status before each repeat matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from handler.domain.errors import (
    ChargeFailedError,
    GatewayAnswerError,
    GatewayFailedError,
    GatewayNotReachedError,
    GatewayUnavailableError,
    UnknownOutcomeError,
)
from handler.domain.payment import GatewayResult, Payment
from tests.simulation.world import HOUR, MINUTE, Environment, Invocation, NoAnswerError, Pending, RefusedError, World

KEY_KEPT_MS = 24 * HOUR
_DEADLINE_MS = 5_000


class Observer(Protocol):
    """What the auditor wants to know; each is told when it happens."""

    def prepare_called(self, invocation: Invocation, payment: Payment) -> None: ...

    def gateway_call(self, invocation: Invocation, call: str, gateway_ref: str, key: str) -> None: ...

    def status_answered(self, invocation: Invocation, gateway_ref: str, state: str) -> None: ...

    def captured(self, intent: Intent) -> None: ...

    def gateway_failed(self, invocation: Invocation, payment_id: str, call: str, failure: str) -> None:
        """How a call ended: `own` where its answer is wrong, `unreached` without a connection, `failed` where it is a
        whole 5xx, `shared` where none came or it says nothing, "" where it is an answer."""


@dataclass(eq=False)
class Intent:
    gateway_ref: str
    payment_id: str
    amount_minor: int
    currency: str
    state: str = "prepared"
    captures: int = 0
    confirms: int = 0

    def result(self) -> GatewayResult:
        code = "AUTH123ABC" if self.state == "approved" else ""
        return GatewayResult(self.state, self.amount_minor, self.currency, code, "2024-01-01T12:00:00Z")  # type: ignore[arg-type]


@dataclass(eq=False)
class StoredAnswer:
    """What an idempotency key is answered with: None while its first request is at work."""

    at: int
    outcome: GatewayResult | str | None = None


class Gateway:
    def __init__(self, world: World, observer: Observer) -> None:
        self.world = world
        self.observer = observer
        self.intents: dict[str, Intent] = {}
        self._keys: dict[str, StoredAnswer] = {}
        self._prepared: dict[str, tuple[int, str]] = {}
        self._poisoned: dict[str, str] = {}
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

    def prepare(self, payment: Payment, key: str) -> str:
        kept = self._prepared.get(key)
        if key and kept is not None and self.world.now - kept[0] < KEY_KEPT_MS:
            if self.intents[kept[1]].amount_minor != payment.amount_minor:
                raise GatewayAnswerError("the key was used with other parameters")
            return kept[1]
        gateway_ref = f"pi_{len(self.intents) + 1}"
        self.intents[gateway_ref] = Intent(gateway_ref, payment.payment_id, payment.amount_minor, payment.currency)
        self._prepared[key] = (self.world.now, gateway_ref)
        self.world.tell(f"gateway: {gateway_ref} prepared for {payment.payment_id} over {payment.amount_minor}")
        return gateway_ref

    def confirm(self, gateway_ref: str, key: str) -> Any:
        """The answer now, or `Pending`."""
        world, intent = self.world, self.intents[gateway_ref]
        stored = self._keys.get(key) if key else None
        if stored is not None and world.now - stored.at < KEY_KEPT_MS:
            if stored.outcome is None:
                raise UnknownOutcomeError("409: a request with this key is in progress")
            return _answer(stored.outcome)
        if intent.state in ("in_progress", "approved", "cancelled"):
            raise UnknownOutcomeError(f"payment_intent_unexpected_state: {intent.state}")
        stored = StoredAnswer(world.now)
        if key:
            self._keys[key] = stored
        intent.state = "in_progress"
        intent.confirms += 1
        name = f"confirm/{intent.payment_id}/{intent.confirms}"
        fault = world.fault(name, [("slow", world.profile.slow), ("500", world.profile.stored_500)])
        takes = world.between(name, 5_000, 60_000) if fault == "slow" else world.between(name, 20, 300)
        declined = world.draw(f"{name}/declined") < world.profile.declines
        without_effect = fault == "500" and world.draw(f"{name}/500") < 0.5
        if fault:
            how = "takes long" if fault == "slow" else "will be answered by a stored 500"
            world.tell(f"gateway: {gateway_ref} {how}")

        def settle() -> None:
            if without_effect:
                intent.state = "prepared"
            elif declined:
                intent.state = "declined"
            else:
                intent.state = "approved"
                intent.captures += 1
            world.tell(f"gateway: {gateway_ref} of {intent.payment_id} is {intent.state}")
            stored.outcome = "500" if fault == "500" else intent.result()
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

    def status(self, gateway_ref: str) -> GatewayResult:
        return self.intents[gateway_ref].result()

    def cancel(self, gateway_ref: str) -> GatewayResult:
        intent = self.intents[gateway_ref]
        if intent.state in ("prepared", "declined"):
            intent.state = "cancelled"
            self.world.tell(f"gateway: {gateway_ref} of {intent.payment_id} is cancelled")
        return intent.result()


def _answer(outcome: GatewayResult | str | None) -> GatewayResult:
    if isinstance(outcome, GatewayResult):
        return outcome
    raise ChargeFailedError("500")


class GatewayClient:
    """The `PaymentGateway` port of one environment."""

    def __init__(self, gateway: Gateway, environment: Environment) -> None:
        self._gateway = gateway
        self._environment = environment

    def prepare(self, payment: Payment, key: str) -> str:
        self._gateway.observer.gateway_call(self._environment.invocation, "prepare", "", key)
        self._gateway.observer.prepare_called(self._environment.invocation, payment)
        what = payment.payment_id
        return self._call(  # type: ignore[no-any-return]
            "prepare", what, what, lambda: self._gateway.prepare(payment, key), GatewayUnavailableError
        )

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
        self._gateway.observer.gateway_call(self._environment.invocation, "charge", gateway_ref, key)
        return self._call(  # type: ignore[no-any-return]
            "charge",
            gateway_ref,
            self._gateway.intents[gateway_ref].payment_id,
            lambda: self._gateway.confirm(gateway_ref, key),
            UnknownOutcomeError,
        )

    def status(self, gateway_ref: str) -> GatewayResult:
        self._gateway.observer.gateway_call(self._environment.invocation, "status", gateway_ref, "")
        result: GatewayResult = self._call(
            "status",
            gateway_ref,
            self._gateway.intents[gateway_ref].payment_id,
            lambda: self._gateway.status(gateway_ref),
            GatewayUnavailableError,
        )
        self._gateway.observer.status_answered(self._environment.invocation, gateway_ref, result.state)
        return result

    def cancel(self, gateway_ref: str, key: str) -> GatewayResult:
        self._gateway.observer.gateway_call(self._environment.invocation, "cancel", gateway_ref, key)
        return self._call(  # type: ignore[no-any-return]
            "cancel",
            gateway_ref,
            self._gateway.intents[gateway_ref].payment_id,
            lambda: self._gateway.cancel(gateway_ref),
            UnknownOutcomeError,
        )

    def _call(
        self, call: str, what: str, payment_id: str, effect: Callable[[], Any], unanswered: type[Exception]
    ) -> Any:
        invocation, gateway = self._environment.invocation, self._gateway
        try:
            answer = self._answer(call, what, payment_id, effect, unanswered)
        except GatewayAnswerError:
            gateway.observer.gateway_failed(invocation, payment_id, call, "own")
            raise
        except (GatewayFailedError, ChargeFailedError):
            gateway.observer.gateway_failed(invocation, payment_id, call, "failed")
            raise
        except GatewayNotReachedError:
            gateway.observer.gateway_failed(invocation, payment_id, call, "unreached")
            raise
        except (GatewayUnavailableError, UnknownOutcomeError):
            gateway.observer.gateway_failed(invocation, payment_id, call, "shared")
            raise
        gateway.observer.gateway_failed(invocation, payment_id, call, "")
        return answer

    def _answer(
        self, call: str, what: str, payment_id: str, effect: Callable[[], Any], unanswered: type[Exception]
    ) -> Any:
        invocation, gateway = self._environment.invocation, self._gateway
        failed = ChargeFailedError if unanswered is UnknownOutcomeError else GatewayFailedError
        if gateway.world.now < gateway.out_until:
            invocation.sleep(20)
            raise failed("503") if gateway.out_with_503 else GatewayNotReachedError("not reached")
        try:
            answer = invocation.request(call, what, effect, deadline=_DEADLINE_MS, latency=(5, 60))
        except RefusedError:
            raise failed("503 before anything was done") from None
        except NoAnswerError:
            raise unanswered("no answer within 5 s") from None
        if gateway.answers_wrongly(call, payment_id):
            raise GatewayAnswerError("not JSON")
        return answer
