"""The payment gateway over HTTP in the simulator's own JSON: one total deadline a call, and never a second try.

What no complete and believable answer settles is an unknown outcome for a charge, and nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

from handler.adapters.gateways.deadline_connection import DeadlineConnection
from handler.domain.errors import (
    ChargeFailedError,
    GatewayAnswerError,
    GatewayFailedError,
    GatewayKeyRefusedError,
    GatewayRefusedError,
    GatewayUnavailableError,
    KeySpentError,
    UnknownOutcomeError,
)
from handler.domain.payment import GatewayResult, Payment, RefundResult

_REF: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATES: Final[dict[str, Literal["prepared", "in_progress", "approved", "declined", "cancelled"]]] = {
    "requires_confirmation": "prepared",
    "processing": "in_progress",
    "succeeded": "approved",
    "declined": "declined",
    "canceled": "cancelled",
}


class HttpPaymentGateway:
    """PaymentGateway over one connection; for one thread. Its parameters are those of DeadlineConnection."""

    def __init__(self, url: str, deadline_seconds: float = 5.0, ca_file: str = "") -> None:
        self.connection = DeadlineConnection(url, deadline_seconds, ca_file)

    def prepare(self, payment: Payment, key: str) -> str:
        """Create an unconfirmed payment intent; no money moves, so no failure here leaves a doubt about any.

        Raises GatewayUnavailableError, GatewayAnswerError.
        """
        body = {
            "amount": payment.amount_minor,
            "currency": payment.currency.lower(),
            "metadata": {"payment_id": payment.payment_id},
        }
        try:
            status_code, answer = self._call("POST", "/v1/payment_intents", key, body)
        except UnknownOutcomeError as error:
            raise GatewayUnavailableError(f"nothing was charged: {error}") from error
        if status_code != 200:
            raise _refused("the gateway refused to prepare the payment", status_code, answer)
        gateway_ref = answer.get("id")
        if not isinstance(gateway_ref, str) or not _REF.fullmatch(gateway_ref):
            raise GatewayAnswerError("the gateway's answer names no payment intent")
        result = _result(answer, gateway_ref)
        if (result.amount_minor, result.currency) != (payment.amount_minor, payment.currency):
            raise GatewayAnswerError(
                f"{gateway_ref} was prepared over {result.amount_minor} {result.currency}, "
                f"the payment is {payment.amount_minor} {payment.currency}"
            )
        return gateway_ref

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
        """Confirm a payment intent.

        Raises GatewayUnavailableError where the gateway was not reached or refused the request, UnknownOutcomeError
        where it may have charged (time-out, reset, 5xx, 409), GatewayAnswerError where its answer is unbelievable.
        """
        status_code, answer = self._call("POST", f"/v1/payment_intents/{gateway_ref}/confirm", key, {})
        if status_code == 200:
            return _result(answer, gateway_ref)
        error = answer.get("error")
        if status_code == 402 and isinstance(error, dict):
            return _result(error.get("payment_intent"), gateway_ref)
        open_ = f"the charge of {gateway_ref} is open: {_refusal(status_code, answer)}"
        if status_code >= 500:
            raise ChargeFailedError(open_, spends_key=isinstance(answer.get("error"), dict))
        if status_code == 409:
            raise UnknownOutcomeError(open_)
        # An earlier request settled this intent, or used the key: `status` knows what became of it.
        if isinstance(error, dict) and error.get("code") in ("payment_intent_unexpected_state", "idempotency_error"):
            raise KeySpentError(open_)
        raise _refused(f"the gateway refused to charge {gateway_ref}", status_code, answer)

    def status(self, gateway_ref: str) -> GatewayResult:
        """Read a payment intent by id. Raises GatewayUnavailableError, GatewayAnswerError."""
        try:
            status_code, answer = self._call("GET", f"/v1/payment_intents/{gateway_ref}", None, None)
        except UnknownOutcomeError as error:
            raise GatewayUnavailableError(f"the status of {gateway_ref} could not be read: {error}") from error
        if status_code != 200:
            raise _refused(f"the status of {gateway_ref} could not be read", status_code, answer)
        return _result(answer, gateway_ref)

    def cancel(self, gateway_ref: str) -> GatewayResult:
        """End a payment intent, and say what stands. Raises as `charge` does."""
        status_code, answer = self._call("POST", f"/v1/payment_intents/{gateway_ref}/cancel", None, {})
        if status_code == 200:
            return _result(answer, gateway_ref)
        error = answer.get("error")
        if isinstance(error, dict) and error.get("code") == "payment_intent_unexpected_state":
            return _result(error.get("payment_intent"), gateway_ref)
        if status_code >= 500:
            raise ChargeFailedError(f"the cancel of {gateway_ref} is open: {_refusal(status_code, answer)}")
        raise GatewayUnavailableError(f"the gateway did not cancel {gateway_ref}: {_refusal(status_code, answer)}")

    def refund(self, gateway_ref: str, amount_minor: int, currency: str, refund_id: str, key: str) -> RefundResult:
        """Give back an amount in minor units. Raises as `charge` does."""
        body = {"payment_intent": gateway_ref, "amount": amount_minor, "metadata": {"refund_id": refund_id}}
        status_code, answer = self._call("POST", "/v1/refunds", f"{key}:refund", body)
        if status_code >= 500:
            raise ChargeFailedError(f"the refund of {gateway_ref} is open: {_refusal(status_code, answer)}")
        if status_code == 409:
            raise UnknownOutcomeError(f"the refund of {gateway_ref} is open: {_refusal(status_code, answer)}")
        if status_code != 200:
            raise GatewayUnavailableError(f"the gateway did not refund {gateway_ref}: {_refusal(status_code, answer)}")
        said = (answer.get("payment_intent"), answer.get("amount"), str(answer.get("currency")).upper())
        if said != (gateway_ref, amount_minor, currency) or answer.get("status") != "succeeded":
            raise GatewayAnswerError(f"the gateway's answer is not about refund {refund_id}")
        return RefundResult("refunded", str(answer.get("id")), amount_minor, currency)

    def close(self) -> None:
        """End the kept connection; the next call opens a new one."""
        self.connection.close()

    def _call(self, method: str, path: str, key: str | None, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """Status and document of one call. Raises GatewayKeyRefusedError, and as DeadlineConnection.call does."""
        headers = {"Accept": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        payload = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            payload = json.dumps(body).encode()
        answer = self.connection.call(method, path, headers, payload)
        if answer.status_code in (401, 403):
            raise GatewayKeyRefusedError(f"the gateway refused the key: {_refusal(*answer[:2])}")
        return answer.status_code, answer.document


def _result(intent: object, gateway_ref: str) -> GatewayResult:
    """A payment intent as a result; raises GatewayAnswerError unless it is complete and about `gateway_ref`."""
    if not isinstance(intent, dict) or intent.get("id") != gateway_ref:
        raise GatewayAnswerError(f"the gateway's answer is not about {gateway_ref}")
    state = _STATES.get(str(intent.get("status")))
    amount, currency = intent.get("amount"), intent.get("currency")
    if state is None or not isinstance(amount, int) or isinstance(amount, bool) or not isinstance(currency, str):
        raise GatewayAnswerError(f"the gateway's answer about {gateway_ref} has no known status, amount or currency")
    return GatewayResult(
        state=state,
        amount_minor=amount,
        currency=currency.upper(),
        authorization_code=str(intent.get("authorization_code") or ""),
        timestamp=str(intent.get("timestamp") or ""),
        decline_code=str(intent.get("decline_code") or ""),
    )


def _refused(what: str, status_code: int, answer: dict[str, Any]) -> GatewayUnavailableError:
    """The error of a call that surely took no effect."""
    said = f"{what}: {_refusal(status_code, answer)}"
    if status_code >= 500:
        return GatewayFailedError(said, spends_key=isinstance(answer.get("error"), dict))
    # A page without an error object is not the gateway's.
    is_refused = status_code == 400 and isinstance(answer.get("error"), dict)
    return GatewayRefusedError(said) if is_refused else GatewayUnavailableError(said)


def _refusal(status_code: int, answer: dict[str, Any]) -> str:
    """Status and error code only: a gateway's message may repeat what it was sent."""
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return f"HTTP {status_code} {code}" if isinstance(code, str) else f"HTTP {status_code}"
