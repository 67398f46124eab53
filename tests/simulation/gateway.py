"""The payment gateway: intents, idempotency keys kept for 24 hours, requests in flight, stored failures.

Modelled after Stripe's PaymentIntents: a confirmed intent is captured once; a declined one may be confirmed again
under a new key, and then may well be approved, which is why the key and the status before each repeat matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from handler.domain.errors import GatewayAnswerError, GatewayUnavailableError, UnknownOutcomeError
from handler.domain.payment import GatewayResult, Payment
from tests.simulation.world import HOUR, Environment, Invocation, NoAnswerError, Pending, RefusedError, World

KEY_KEPT_MS = 24 * HOUR
_DEADLINE_MS = 5_000


class Observer(Protocol):
    """What the auditor wants to know; each is told when it happens."""

    def prepare_called(self, payment: Payment) -> None: ...

    def gateway_call(self, invocation: Invocation, call: str, gateway_ref: str, key: str) -> None: ...

    def status_answered(self, invocation: Invocation, gateway_ref: str, state: str) -> None: ...

    def captured(self, intent: Intent) -> None: ...


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
    raise UnknownOutcomeError("500")


class GatewayClient:
    """The `PaymentGateway` port of one environment."""

    def __init__(self, gateway: Gateway, environment: Environment) -> None:
        self._gateway = gateway
        self._environment = environment

    def prepare(self, payment: Payment, key: str) -> str:
        self._gateway.observer.gateway_call(self._environment.invocation, "prepare", "", key)
        self._gateway.observer.prepare_called(payment)
        return self._call(  # type: ignore[no-any-return]
            "prepare", payment.payment_id, lambda: self._gateway.prepare(payment, key), GatewayUnavailableError
        )

    def charge(self, gateway_ref: str, key: str) -> GatewayResult:
        self._gateway.observer.gateway_call(self._environment.invocation, "charge", gateway_ref, key)
        return self._call(  # type: ignore[no-any-return]
            "charge", gateway_ref, lambda: self._gateway.confirm(gateway_ref, key), UnknownOutcomeError
        )

    def status(self, gateway_ref: str) -> GatewayResult:
        self._gateway.observer.gateway_call(self._environment.invocation, "status", gateway_ref, "")
        result: GatewayResult = self._call(
            "status", gateway_ref, lambda: self._gateway.status(gateway_ref), GatewayUnavailableError
        )
        self._gateway.observer.status_answered(self._environment.invocation, gateway_ref, result.state)
        return result

    def cancel(self, gateway_ref: str, key: str) -> GatewayResult:
        self._gateway.observer.gateway_call(self._environment.invocation, "cancel", gateway_ref, key)
        return self._call(  # type: ignore[no-any-return]
            "cancel", gateway_ref, lambda: self._gateway.cancel(gateway_ref), UnknownOutcomeError
        )

    def _call(self, call: str, what: str, effect: Callable[[], Any], unanswered: type[Exception]) -> Any:
        try:
            return self._environment.invocation.request(call, what, effect, deadline=_DEADLINE_MS, latency=(5, 60))
        except RefusedError:
            raise GatewayUnavailableError("503 before anything was done") from None
        except NoAnswerError:
            raise unanswered("no answer within 5 s") from None
