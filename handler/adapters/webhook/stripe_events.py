"""Stripe's events: whether a signature is the endpoint's, and which payment an event is about.

The rule it keeps: nothing of a body is read before its signature stands. Stripe's own SDK is the judge in the tests.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from handler.domain.errors import WebhookRefusedError
from handler.domain.typed import NamedTuple
from handler.domain.wake_up import WakeUp

# The one of Stripe's own libraries; a clock may be wrong either way.
TOLERANCE_SECONDS: Final = 300
# Stripe sends one signature for each secret that is good, which are two while one is rolled.
_HEADER_LENGTH_MAX: Final = 2048
_TIME: Final = re.compile("[1-9][0-9]{0,11}")
_SIGNATURE: Final = re.compile("[0-9a-f]{64}")

# What may tell of something that the item does not say yet, and the state of ours that it tells of.
TYPES: Final = {
    "payment_intent.succeeded": "completed",
    "payment_intent.payment_failed": "declined",
    "payment_intent.canceled": "declined",
    "charge.refunded": "",
    "charge.refund.updated": "",
    "refund.created": "",
    "refund.updated": "",
    "refund.failed": "",
    "charge.dispute.created": "",
    "charge.dispute.updated": "",
    "charge.dispute.closed": "",
    "charge.dispute.funds_withdrawn": "",
    "charge.dispute.funds_reinstated": "",
}
_EVENT: Final = re.compile("evt_[A-Za-z0-9_]{1,120}")
# An id of a message group, which it becomes, has 128 characters at most.
_INTENT: Final = re.compile("pi_[A-Za-z0-9]{1,125}")
_PAYMENT_ID: Final = re.compile("[A-Za-z0-9_-]{1,48}")


class Event(NamedTuple):
    """What a signed event comes to: a wake-up, or why there is none.

    `ignored`: "" where it wakes, else `type`, which is not of interest, or what of it is not ours: `mode`, `account`,
    `payment`, `environment`.
    """

    event_id: str
    wake_up: WakeUp | None
    ignored: str = ""


def check_signature(header: str, body: bytes, secrets: Iterable[str], now_seconds: int) -> None:
    """Raise WebhookRefusedError unless `header` has a signature of `body` by one of the secrets, made about now.

    "Verify webhook signatures manually": HMAC-SHA256 over the header's time, a point and the body's bytes.
    """
    if not header:
        raise WebhookRefusedError("signature_missing")
    if len(header) > _HEADER_LENGTH_MAX:
        raise WebhookRefusedError("signature_malformed")
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1" and _SIGNATURE.fullmatch(value)]
    is_whole = all(sign for _, sign, _ in parts)
    if not is_whole or len(times) != 1 or not _TIME.fullmatch(times[0]) or not signatures:
        raise WebhookRefusedError("signature_malformed")
    signed = f"{times[0]}.".encode() + body
    expected = [hmac.digest(secret.encode(), signed, "sha256").hex() for secret in secrets]
    # All are compared, so that the time says nothing of which.
    if not sum(hmac.compare_digest(own, given) for own in expected for given in signatures):
        raise WebhookRefusedError("signature_wrong")
    if abs(now_seconds - int(times[0])) > TOLERANCE_SECONDS:
        raise WebhookRefusedError("signature_old")


def read_event(body: bytes, environment: str, mode: str) -> Event:
    """What a body whose signature stands tells. Raises WebhookRefusedError for what is no event of Stripe's."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookRefusedError("event_malformed") from error
    event_id = _text(event, "id")
    told = _in(_in(event, "data"), "object")
    if not _EVENT.fullmatch(event_id) or not _text(event, "type") or not told:
        raise WebhookRefusedError("event_malformed")
    if event["type"] not in TYPES:
        return Event(event_id, None, "type")
    if event.get("livemode") is not (mode == "live"):
        return Event(event_id, None, "mode")
    # Events of one's own account do not name it: only those of accounts that are connected to it do.
    if event.get("account") is not None:
        return Event(event_id, None, "account")
    is_intent = told.get("object") == "payment_intent"
    gateway_ref, metadata = _text(told, "id" if is_intent else "payment_intent"), _in(told, "metadata")
    if not _INTENT.fullmatch(gateway_ref):
        return Event(event_id, None, "payment")
    # Every intent of ours has it; what is made from one by others, in the dashboard too, need not.
    if metadata.get("environment") != environment and (is_intent or "environment" in metadata):
        return Event(event_id, None, "environment")
    payment_id = _text(metadata, "payment_id") if "environment" in metadata else ""
    named = payment_id if _PAYMENT_ID.fullmatch(payment_id) else ""
    return Event(event_id, WakeUp(gateway_ref, named, TYPES[event["type"]]))


def _in(document: object, name: str) -> dict[str, Any]:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else {}


def _text(document: object, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""
