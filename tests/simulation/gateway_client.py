"""The gateway as an execution environment reaches it: requests that fail on their way, and who is told how they ended.

The rule: what a call ended with is told to the auditor by what the answer is, never by what the code makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from handler.domain.errors import (
    ChargeFailedError,
    GatewayAnswerError,
    GatewayFailedError,
    GatewayNotReachedError,
    GatewayRefusedError,
    GatewayUnavailableError,
    KeySpentError,
    RetryableError,
    UnknownOutcomeError,
)
from handler.domain.payment import Dispute, GatewayResult, Payment, Refund
from tests.simulation.gateway import Gateway
from tests.simulation.world import Environment, NoAnswerError, RefusedError

_DEADLINE_MS = 5_000


class GatewayClient:
    """The `Gateway` port of one environment."""

    def __init__(self, gateway: Gateway, environment: Environment) -> None:
        self._gateway = gateway
        self._environment = environment

    def prepare(self, payment: Payment, key: str) -> str:
        what = payment.payment_id
        key = self._environment.release.key(key)
        invocation, observer = self._environment.invocation, self._gateway.observer

        def effect() -> str:
            return self._gateway.prepare(payment, key)

        is_ahead = observer.prepare_called(invocation, payment, key)
        gateway_ref: str
        if is_ahead:
            # However it fails, it is forgotten.
            gateway_ref = self._answer("prepare", what, what, effect, GatewayUnavailableError)
        else:
            observer.gateway_call(invocation, "prepare", "", key)
            with self._told(what, key):
                gateway_ref = self._call("prepare", what, what, effect, GatewayUnavailableError)
        observer.prepared(invocation, payment.transaction_id, gateway_ref, key if is_ahead else "")
        return gateway_ref

    @contextmanager
    def _told(self, payment_id: str, key: str) -> Iterator[None]:
        """Tell the auditor how a call with a key fails, by what the protocol says of the answer."""
        environment = self._environment
        try:
            yield
        except RetryableError as error:
            if isinstance(error, GatewayRefusedError) and not environment.release.gives_keys_up:
                error.is_final = False
            is_final = isinstance(error, GatewayRefusedError) and error.is_final
            is_whole = isinstance(error, GatewayFailedError | ChargeFailedError | GatewayRefusedError | KeySpentError)
            how = "final" if is_final else "spent" if is_whole else ""
            self._gateway.observer.key_failed(environment.invocation, payment_id, key, how)
            raise

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
        key, payment_id = self._environment.release.key(key), self._gateway.intents[gateway_ref].payment_id
        self._gateway.observer.gateway_call(self._environment.invocation, "charge", gateway_ref, key)
        with self._told(payment_id, key):
            return self._call(  # type: ignore[no-any-return]
                "charge",
                gateway_ref,
                payment_id,
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

    def find(self, payment_id: str) -> list[str]:
        invocation, observer = self._environment.invocation, self._gateway.observer
        observer.looks_for(invocation, payment_id)
        gateway_refs: list[str] = self._call(
            "find", payment_id, payment_id, lambda: self._gateway.find(payment_id), GatewayUnavailableError
        )
        observer.found(invocation, payment_id, gateway_refs)
        return gateway_refs

    def payment_id_of(self, gateway_ref: str) -> str:
        return self._gateway.intents[gateway_ref].payment_id

    def cancel(self, gateway_ref: str) -> GatewayResult:
        self._gateway.observer.gateway_call(self._environment.invocation, "cancel", gateway_ref, "")
        return self._call(  # type: ignore[no-any-return]
            "cancel",
            gateway_ref,
            self._gateway.intents[gateway_ref].payment_id,
            lambda: self._gateway.cancel(gateway_ref),
            UnknownOutcomeError,
        )

    def refund(self, gateway_ref: str, amount_minor: int, currency: str, refund_id: str, key: str) -> Refund:
        invocation, refunds = self._environment.invocation, self._gateway.refunds
        payment_id = self._gateway.intents[gateway_ref].payment_id
        refunds.observer.called(invocation, gateway_ref, refund_id, key)

        def effect() -> Refund:
            return refunds.give(gateway_ref, amount_minor, currency, refund_id, key)

        if refunds.is_left_behind(gateway_ref, refund_id, effect):
            invocation.sleep(20)
            raise ChargeFailedError("503, and the request goes on")
        what = f"{payment_id}/{refund_id}"
        return self._answer("refund", what, payment_id, effect, UnknownOutcomeError)  # type: ignore[no-any-return]

    def refunds(self, gateway_ref: str) -> list[Refund]:
        invocation, refunds = self._environment.invocation, self._gateway.refunds
        payment_id = self._gateway.intents[gateway_ref].payment_id
        listed: list[Refund] = self._answer(
            "refunds", payment_id, payment_id, lambda: refunds.listed(gateway_ref), GatewayUnavailableError
        )
        if refunds.world.fault(f"list/{gateway_ref}", [("ends early", refunds.list_ends_early)]):
            raise GatewayAnswerError("the list ends early")
        refunds.observer.listed(invocation, gateway_ref, {each.refund_id for each in listed})
        return listed

    def disputes(self, gateway_ref: str) -> list[Dispute]:
        payment_id, gateway = self._gateway.intents[gateway_ref].payment_id, self._gateway
        listed: list[Dispute] = self._answer(
            "disputes", payment_id, payment_id, lambda: gateway.later.disputes(gateway_ref), GatewayUnavailableError
        )
        if gateway.world.fault(f"disputes/{gateway_ref}", [("ends early", gateway.refunds.list_ends_early)]):
            raise GatewayAnswerError("the list ends early")
        return listed

    def _call(
        self, call: str, what: str, payment_id: str, effect: Callable[[], Any], unanswered: type[Exception]
    ) -> Any:
        invocation, gateway = self._environment.invocation, self._gateway
        try:
            answer = self._answer(call, what, payment_id, effect, unanswered)
        except GatewayAnswerError:
            gateway.observer.gateway_failed(invocation, payment_id, call, "own")
            raise
        except GatewayRefusedError:
            gateway.observer.gateway_failed(invocation, payment_id, call, "refused")
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
        is_at_work = isinstance(answer, GatewayResult) and answer.state == "in_progress"
        ended = ("takes days" if call == "charge" else "at work") if is_at_work else ""
        gateway.observer.gateway_failed(invocation, payment_id, call, ended)
        return answer

    def _answer(
        self, call: str, what: str, payment_id: str, effect: Callable[[], Any], unanswered: type[Exception]
    ) -> Any:
        invocation, gateway = self._environment.invocation, self._gateway
        failed = ChargeFailedError if unanswered is UnknownOutcomeError else GatewayFailedError
        if gateway.world.now < gateway.out_until:
            invocation.sleep(20)
            raise failed("503") if gateway.out_with_503 else GatewayNotReachedError("not reached")
        if call == "charge" and gateway.is_left_behind(what, effect):
            invocation.sleep(20)
            raise failed("503, and the request goes on")
        try:
            answer = invocation.request(call, what, effect, deadline=_DEADLINE_MS, latency=(5, 60))
        except RefusedError:
            raise failed("503 before anything was done") from None
        except NoAnswerError:
            raise unanswered("no answer within 5 s") from None
        if gateway.answers_wrongly(call, payment_id):
            raise GatewayAnswerError("not JSON")
        return answer
