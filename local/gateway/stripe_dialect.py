"""How the payment gateway simulator reads requests and shows its intents: as Stripe does.

The rule: these are words alone; what happens to a payment is decided elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from local.gateway.messages import CARD_CODES, RefusedError, error

# What sqlite holds.
INTEGER_MAX = 2**63 - 1
# Stripe's test instruments and what comes of a charge: docs.stripe.com/testing, "Cards by brand", "Declined payments",
# "3D Secure authentication"; a bank debit stays pending for days.
APPROVED, PENDING = ("", ""), ("pending", "")
TOKENS: Mapping[str, tuple[str, str]] = {
    "pm_card_visa": APPROVED,
    "pm_card_mastercard": APPROVED,
    "pm_card_amex": APPROVED,
    "pm_usBankAccount": PENDING,
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "pm_card_authenticationRequired": ("authentication_required", "authentication_required"),
    "pm_card_threeDSecure2Required": ("authentication_required", "authentication_required"),
}
# What each call may say; Stripe refuses any other parameter by its name.
PARAMETERS: Mapping[str, frozenset[str]] = {
    "prepare": frozenset(
        {"amount", "currency", "payment_method", "customer", "description", "metadata", "automatic_payment_methods"}
        | {"capture_method", "confirm", "off_session", "error_on_requires_action", "expand"}
    ),
    "charge": frozenset({"error_on_requires_action", "off_session", "expand", "payment_method", "return_url"}),
    "cancel": frozenset({"cancellation_reason", "expand"}),
    "refund": frozenset({"payment_intent", "amount", "metadata", "reason", "expand"}),
    **dict.fromkeys(
        ("charges", "refunds", "disputes"),
        frozenset({"payment_intent", "created", "limit", "starting_after", "expand"}),
    ),
}
_NAME = re.compile(r"([a-z_]+)((?:\[[a-zA-Z0-9_]*\])*)")


class Prepared(NamedTuple):
    """What a prepare asks for; `details` are what is shown again later."""

    amount: int
    currency: str
    details: dict[str, Any]


def read_form(body: bytes) -> dict[str, Any]:
    """A form body as the object it means: `metadata[a]=b` is `{"metadata": {"a": "b"}}`. Raises RefusedError."""
    document: dict[str, Any] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        match = _NAME.fullmatch(name)
        if match is None:
            raise RefusedError(400, "parameter_unknown", f"Received unknown parameter: {name}", param=name)
        inner = document
        parts = [match[1], *re.findall(r"\[([^\]]*)\]", match[2])]
        for part in parts[:-1]:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise RefusedError(400, "parameter_invalid", f"Invalid parameter: {name}", param=match[1])
        inner[parts[-1] or str(len(inner))] = value
    return document


def check_parameters(call: str, document: Mapping[str, Any]) -> None:
    """Raise RefusedError for a parameter that Stripe does not have there."""
    for name in document:
        if name not in PARAMETERS[call]:
            raise RefusedError(400, "parameter_unknown", f"Received unknown parameter: {name}", param=name)


def prepared(document: Mapping[str, Any], account: str) -> Prepared:
    """Raises RefusedError for what Stripe would refuse, with the parameter that is to blame."""
    check_parameters("prepare", document)
    for name in {"off_session", "error_on_requires_action"} & document.keys():
        if document.get("confirm") != "true":
            raise RefusedError(400, "parameter_unknown", f"{name} goes with confirm=true alone", param=name)
    amount, currency = document.get("amount", ""), document.get("currency", "")
    if not re.fullmatch("[0-9]{1,8}", str(amount)) or int(amount) == 0:
        raise RefusedError(400, "parameter_invalid_integer", "Invalid integer", param="amount")
    if not re.fullmatch("[a-z]{3}", str(currency)):
        raise RefusedError(400, "parameter_invalid", "Invalid currency", param="currency")
    if currency in ("bhd", "jod", "kwd", "omr", "tnd") and int(amount) % 10:
        raise RefusedError(400, "parameter_invalid_integer", "The last digit must be 0", param="amount")
    if currency in ("isk", "ugx") and int(amount) % 100:
        raise RefusedError(400, "parameter_invalid_integer", "The last two digits must be 0", param="amount")
    token = document.get("payment_method")
    if token is not None and str(token) not in TOKENS:
        raise RefusedError(404, "resource_missing", f"No such PaymentMethod: '{token}'", param="payment_method")
    kept = ("payment_method", "customer", "description", "metadata")
    return Prepared(
        int(amount),
        currency,
        {**{name: document[name] for name in kept if name in document}, "account": account},
    )


def shown(
    row: Mapping[str, Any], details: Mapping[str, Any], given_back: int = 0, is_disputed: bool = False
) -> dict[str, Any]:
    """An intent, its charge expanded, with what came after the charge."""
    status = {"pending": "processing", "declined": "requires_payment_method"}.get(row["status"], row["status"])
    failure = details.get("last_payment_error")
    if status == "requires_confirmation" and "payment_method" not in details:
        status = "requires_payment_method"
    is_live = details["account"].startswith("live")
    at = (row["settled_ms"] or row["created_ms"]) // 1000
    charge = None
    if row["status"] in ("succeeded", "declined"):
        charge = {
            "id": f"ch_{row['ref'][3:]}",
            "object": "charge",
            "amount": row["amount"],
            "amount_captured": row["amount"] if row["status"] == "succeeded" else 0,
            "amount_refunded": given_back,
            "captured": row["status"] == "succeeded",
            "currency": row["currency"],
            "created": at,
            "disputed": is_disputed,
            "livemode": is_live,
            "metadata": details.get("metadata", {}),
            "payment_intent": row["ref"],
            "payment_method_details": {
                "type": "card",
                "card": {"brand": "visa", "authorization_code": row["authorization_code"]},
            },
            "status": "succeeded" if row["status"] == "succeeded" else "failed",
        }
    return {
        "id": row["ref"],
        "object": "payment_intent",
        "amount": row["amount"],
        "amount_received": row["amount"] if row["status"] == "succeeded" else 0,
        "cancellation_reason": details.get("cancellation_reason"),
        "canceled_at": at if row["status"] == "canceled" else None,
        "capture_method": "automatic",
        "created": row["created_ms"] // 1000,
        "currency": row["currency"],
        "customer": details.get("customer"),
        "description": details.get("description"),
        "last_payment_error": failure,
        "latest_charge": charge,
        "livemode": is_live,
        "metadata": details.get("metadata", {}),
        "payment_method": None if failure else details.get("payment_method"),
        "status": status,
    }


def span(document: Mapping[str, Any]) -> tuple[int, int]:
    """`created[gte]` and `created[lt]` of a list, in seconds. Raises RefusedError for a list of no span of time."""
    created = document.get("created")
    ends = [str(created.get(name, "")) if isinstance(created, dict) else "" for name in ("gte", "lt")]
    if not all(end.isdecimal() for end in ends):
        raise RefusedError(
            400, "parameter_missing", "an intent's, or from created[gte] to created[lt]", param="created"
        )
    return int(ends[0]), int(ends[1])


def declined(code: str, decline_code: str) -> dict[str, Any]:
    """What Stripe keeps as `last_payment_error`."""
    words: dict[str, Any] = error(code, "Your card was declined.", decline_code=decline_code)["error"]
    assert code in CARD_CODES
    return words


def read_document(text: str | None) -> dict[str, Any]:
    """A stored document, an empty one where there is none."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return found
