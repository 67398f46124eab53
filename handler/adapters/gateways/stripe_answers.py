"""What Stripe's answers say: payment intents, refunds, disputes and errors, as the domain's own types.

The rule it keeps: what is not whole, or not known to be ours, is an error and never guessed; no word that Stripe, or
whoever filled in a field there, made up as free text goes any further.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, TypeGuard

from handler.adapters.gateways.deadline_connection import Answer, is_own, spends_key
from handler.adapters.gateways.stripe_amounts import from_stripe
from handler.domain.errors import (
    GatewayAnswerError,
    GatewayBusyError,
    GatewayFailedError,
    GatewayReferenceUnknownError,
    GatewayRefusedError,
    GatewayUnavailableError,
)
from handler.domain.item import timestamp
from handler.domain.payment import Dispute, GatewayResult, Refund

Mode = Literal["test", "live"]

_REFUND: Final = re.compile(r"(?:re|pyr)_[A-Za-z0-9]{1,128}")
_DISPUTE: Final = re.compile(r"(?:du|dp)_[A-Za-z0-9]{1,128}")
_WORD: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_PAYMENT_ID: Final = re.compile("[A-Za-z0-9_-]{1,48}")
_CODE: Final = re.compile("[A-Za-z]{3}")
# No time of Stripe's, in seconds, is later.
_SECONDS_MAX: Final = 10**11
_STATES: Final[
    dict[str, Literal["prepared", "in_progress", "requires_action", "approved", "declined", "cancelled"]]
] = {
    "requires_confirmation": "prepared",
    "processing": "in_progress",
    "requires_action": "requires_action",
    "succeeded": "approved",
    # After a confirm that failed; before any there is no last_payment_error.
    "requires_payment_method": "declined",
    "canceled": "cancelled",
}
_REFUND_STATES: Final[dict[str, Literal["pending", "refunded", "failed"]]] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "refunded",
    "failed": "failed",
    "canceled": "failed",
}
_DISPUTE_STATES: Final[dict[str, Literal["open", "won", "lost"]]] = {
    # An inquiry, which takes no money yet.
    "warning_needs_response": "open",
    "warning_under_review": "open",
    "warning_closed": "won",
    "needs_response": "open",
    "under_review": "open",
    "appeal_needs_response": "open",
    "appeal_under_review": "open",
    # Ended before it became one: what was given back for that is a refund.
    "prevented": "won",
    "won": "won",
    "lost": "lost",
}


def intent_of(intent: object, gateway_ref: str, answer: Answer, mode: Mode, environment: str) -> GatewayResult:
    """A payment intent as a result; raises GatewayAnswerError unless it is complete, ours, and `gateway_ref`."""
    if not isinstance(intent, dict) or intent.get("id") != gateway_ref:
        raise GatewayAnswerError(f"Stripe's answer is not about {gateway_ref} ({request_id(answer)})")
    if intent.get("livemode") is not (mode == "live"):
        raise GatewayAnswerError(f"{gateway_ref} is not of mode {mode} ({request_id(answer)})")
    if object_in(intent, "metadata").get("environment") != environment:
        raise GatewayAnswerError(f"{gateway_ref} is not of environment {environment} ({request_id(answer)})")
    state, failure = _STATES.get(str(intent.get("status"))), object_in(intent, "last_payment_error")
    if state is None or (state == "declined" and not failure):
        raise GatewayAnswerError(
            f"{gateway_ref} is in the unknown state {word(intent.get('status'))} ({request_id(answer)})"
        )
    amount_minor, currency = amount_of(intent, answer)
    received = intent.get("amount_received")
    if state == "approved" and not (type(received) is int and received == intent["amount"]):
        raise GatewayAnswerError(f"{gateway_ref} succeeded over another amount than its own ({request_id(answer)})")
    result = GatewayResult(state, amount_minor, currency, request_id=request_id(answer))
    if state == "approved":
        return _with_charge(result, intent, answer)
    return result._replace(
        code=word(failure.get("code")) or word(intent.get("cancellation_reason")),
        decline_code=word(failure.get("decline_code")),
    )


def _with_charge(result: GatewayResult, intent: dict[str, Any], answer: Answer) -> GatewayResult:
    """With what the charge says of an intent that captured.

    The authorisation code is the charge's id where the network gives none.
    """
    charge = intent.get("latest_charge")
    if not isinstance(charge, dict):
        return result._replace(authorization_code=word(charge))
    code = object_in(object_in(charge, "payment_method_details"), "card").get("authorization_code")
    created, refunded, disputed = charge.get("created"), charge.get("amount_refunded", 0), charge.get("disputed", False)
    if type(refunded) is not int or not 0 <= refunded <= intent["amount"] or type(disputed) is not bool:
        raise GatewayAnswerError(f"Stripe's answer does not say what came after the charge ({request_id(answer)})")
    return result._replace(
        authorization_code=word(code) or word(charge.get("authorization_code")) or word(charge.get("id")),
        timestamp=timestamp(1000 * created) if _is_time(created) else "",
        refunded_minor=from_stripe(refunded, result.currency),
        disputed=disputed,
    )


def _is_time(seconds: object) -> TypeGuard[int]:
    return type(seconds) is int and 0 < seconds < _SECONDS_MAX


def created_at(document: dict[str, Any], answer: Answer) -> int:
    """When Stripe made an object, in milliseconds since the epoch; raises GatewayAnswerError where it is not said."""
    created = document.get("created")
    if not _is_time(created):
        raise GatewayAnswerError(f"Stripe's answer does not say since when ({request_id(answer)})")
    return 1000 * created


def payment_id_in(intent: dict[str, Any], gateway_ref: str, answer: Answer, mode: Mode, environment: str) -> str:
    """The payment id of an intent, "" of one of another environment or mode; raises GatewayAnswerError for another."""
    if intent.get("id") != gateway_ref:
        raise GatewayAnswerError(f"Stripe's answer is not about {gateway_ref} ({request_id(answer)})")
    metadata = object_in(intent, "metadata")
    is_ours = (metadata.get("environment"), intent.get("livemode")) == (environment, mode == "live")
    return payment_id_of(intent) if is_ours else ""


def payment_id_of(intent: dict[str, Any]) -> str:
    """The payment id that an intent carries, "" where that is none."""
    payment_id = object_in(intent, "metadata").get("payment_id")
    return payment_id if isinstance(payment_id, str) and _PAYMENT_ID.fullmatch(payment_id) else ""


def refund_of(refund: dict[str, Any], gateway_ref: str, answer: Answer, environment: str) -> Refund:
    """A refund of an intent. It is ours by its metadata: one that was made in Stripe's dashboard has none.

    Raises GatewayAnswerError unless it is complete and of `gateway_ref`. A refund has no mode of its own: it is its
    intent's.
    """
    refund_ref, state = refund.get("id"), _REFUND_STATES.get(str(refund.get("status")))
    is_one = isinstance(refund_ref, str) and _REFUND.fullmatch(refund_ref)
    if not is_one or state is None or refund.get("payment_intent") != gateway_ref:
        raise GatewayAnswerError(f"Stripe's answer is no refund of {gateway_ref} ({request_id(answer)})")
    metadata = object_in(refund, "metadata")
    amount_minor, currency = amount_of(refund, answer)
    return Refund(
        refund_ref=str(refund_ref),
        refund_id=word(metadata.get("refund_id")) if metadata.get("environment") == environment else "",
        state=state,
        amount_minor=amount_minor,
        currency=currency,
        created_at=created_at(refund, answer),
    )


def dispute_of(dispute: dict[str, Any], gateway_ref: str, answer: Answer, mode: Mode) -> Dispute:
    """A dispute of an intent; raises GatewayAnswerError unless it is complete, of `mode`, and of `gateway_ref`."""
    dispute_ref, state = dispute.get("id"), _DISPUTE_STATES.get(str(dispute.get("status")))
    is_one = isinstance(dispute_ref, str) and _DISPUTE.fullmatch(dispute_ref)
    is_of_it = dispute.get("payment_intent") == gateway_ref and dispute.get("livemode") is (mode == "live")
    if not is_one or state is None or not is_of_it:
        raise GatewayAnswerError(
            f"Stripe's answer is no dispute of {gateway_ref} in mode {mode} ({request_id(answer)})"
        )
    amount_minor, currency = amount_of(dispute, answer)
    return Dispute(
        dispute_ref=str(dispute_ref),
        state=state,
        amount_minor=amount_minor,
        currency=currency,
        reason=word(dispute.get("reason")),
        created_at=created_at(dispute, answer),
    )


def amount_of(document: dict[str, Any], answer: Answer) -> tuple[int, str]:
    amount, currency = document.get("amount"), document.get("currency")
    # `true` is an int of Python, too.
    if type(amount) is not int or amount <= 0 or not isinstance(currency, str) or not _CODE.fullmatch(currency):
        raise GatewayAnswerError(f"Stripe's answer has no amount and currency ({request_id(answer)})")
    return from_stripe(amount, currency.upper()), currency.upper()


def refused(gateway_ref: str, answer: Answer) -> GatewayUnavailableError:
    """The error of a call that took no effect, of which none is final once there is a reference."""
    error = error_of(answer)
    if answer.status_code < 500 and not is_own(answer):
        return GatewayUnavailableError(f"what stands in front of Stripe answered about {gateway_ref}: {told(answer)}")
    if is_busy(answer):
        return GatewayBusyError(f"Stripe works on {gateway_ref} already: {told(answer)}")
    if answer.status_code == 404:
        return GatewayReferenceUnknownError(
            f"Stripe does not know {gateway_ref}; is the key of its account? {told(answer)}"
        )
    if answer.status_code == 400:
        said = f"Stripe refused {gateway_ref}: {told(answer)}"
        return GatewayRefusedError(said, word(error.get("code")), request_id(answer))
    if answer.status_code >= 500:
        return GatewayFailedError(f"Stripe failed about {gateway_ref}: {told(answer)}", spends_key=spends_key(answer))
    return GatewayUnavailableError(f"Stripe did nothing about {gateway_ref}: {told(answer)}")


def is_busy(answer: Answer) -> bool:
    return is_own(answer) and (answer.status_code == 409 or error_of(answer).get("code") == "lock_timeout")


def error_of(answer: Answer) -> dict[str, Any]:
    return object_in(answer.document, "error") if answer.status_code != 200 else {}


def object_in(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def word(value: object) -> str:
    """One of the gateway's own words, or nothing: what is stored and logged is never free text of others."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def request_id(answer: Answer) -> str:
    return word(answer.headers.get("request-id"))


def told(answer: Answer) -> str:
    """Status, codes and request id only: a message may repeat what it was sent."""
    error = error_of(answer)
    words = (word(error.get(name)) for name in ("type", "code", "decline_code", "param"))
    return " ".join((f"HTTP {answer.status_code}", *filter(None, words), request_id(answer))).rstrip()
