"""The webhook: whatever is posted, it wakes what a signed event of ours is about, and nothing else.

The rule it keeps: Stripe's own library says what is signed, and what the event is about is worked out here, by code
that shares nothing with the webhook. Input: the header Stripe-Signature, a line end, the body; `{t}` is now, `{l}` five
minutes ago, and `{s}`, `{b}` and `{o}` sign that body then: the secret, the one before, and somebody else's.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Hashable
from typing import Any

import stripe

from tests.support.webhook import BEFORE, NOW, OTHER, SECRET, Endpoint, signature

WORDS = (
    *("t={t}", "t={l}", "v1={s}", "v1={b}", "v1={o}", "v0={s}", ",", "=", "t=", "v1=", "\n", "0", "é", " "),
    *('{"id": "evt_1", "type": "payment_intent.succeeded", "livemode": false, "data": {"object": ', "}}"),
    '{"object": "payment_intent", "id": "pi_1", "metadata": {"environment": "dev", "payment_id": "pay-1"}}',
    *('"object": "refund", "payment_intent": "pi_1"', '"type": "refund.created"', '"type": "charge.dispute.closed"'),
    *('"livemode": true', '"account": "acct_1"', '"environment": "prod"', '"metadata": null', '"payment_id": 7'),
    *("null", "[]", "{}", '""', "1e999", "[" * 2000, '"pi_' + "x" * 130 + '"', "\\ud800", "NaN", "x" * 999),
)
_TOLD = {
    "payment_intent.succeeded": "completed",
    "payment_intent.payment_failed": "declined",
    "payment_intent.canceled": "declined",
}
_OF_INTEREST = re.compile(
    r"charge\.refunded|charge\.refund\.updated|refund\.(created|updated|failed)"
    r"|charge\.dispute\.(created|updated|closed|funds_withdrawn|funds_reinstated)"
)


def check(data: bytes) -> set[Hashable]:
    """Post one request, as text and in base64; what it was answered and what it woke."""
    given, _, raw = data.partition(b"\n")
    body = raw.decode("utf-8", "replace").encode()
    header = given.decode("utf-8", "replace")
    at = NOW - 300 if "{l}" in header else NOW
    for name, secret in (("{s}", SECRET), ("{b}", BEFORE), ("{o}", OTHER)):
        header = header.replace(name, signature(body, secret, at))
    header = header.replace("{t}", str(NOW)).replace("{l}", str(NOW - 300))
    answers = [_post(header, sent, is_base64) for sent, is_base64 in _spellings(body)]
    assert answers[0] == answers[1], "the same bytes are answered otherwise in base64"
    status, said, woken = answers[0]
    expected, is_plain = _expected(body), re.fullmatch(r"t=[1-9][0-9]{0,11}(,v[0-9]=[0-9a-f]{64}){1,20}", header)
    if woken:
        assert (status, said) == (200, "queued")
    if status == 200:
        assert _is_signed(header, body), "what nobody signed was taken"
        assert woken == expected, "it wakes something else than the event is about"
    elif is_plain and _is_signed(header, body):
        assert said == "event_malformed", "what was signed was refused"
        assert expected == [], "an event of ours was refused"
    assert status in (200, 400), status
    return {(status, said), (said, bool(woken), len(body).bit_length()), woken[0][1] == "" if woken else None}


def _spellings(body: bytes) -> tuple[tuple[str, bool], tuple[str, bool]]:
    return (body.decode(), False), (base64.b64encode(body).decode(), True)


def _post(header: str, body: str, is_base64: bool) -> tuple[int, str, list[tuple[str, ...]]]:
    endpoint = Endpoint((SECRET, NOW), (BEFORE, NOW - 1))
    answer = endpoint.post(body, header, is_base64=is_base64)
    said = answer["body"].get("outcome") or answer["body"]["reason_code"]
    return answer["statusCode"], said, [tuple(wake_up) for _, wake_up in endpoint.queue.sent]


def _is_signed(header: str, body: bytes) -> bool:
    for secret in (SECRET, BEFORE):
        try:
            stripe.WebhookSignature.verify_header(body.decode(), header, secret, None)
        except (stripe.SignatureVerificationError, TypeError, ValueError):
            continue
        return abs(NOW - int(header.partition("t=")[2].partition(",")[0])) <= 300
    return False


def _expected(body: bytes) -> list[tuple[str, ...]]:
    """The wake-up of a body that is signed, or none."""
    event: Any
    try:
        event = json.loads(body)
        kind, told = event["type"], event["data"]["object"]
        is_ours = re.fullmatch("evt_[A-Za-z0-9_]{1,120}", event["id"]) and event["livemode"] is False
        is_intent = told.get("object") == "payment_intent"
        reference = told["id"] if is_intent else told["payment_intent"]
        if not is_ours or event.get("account") is not None or not re.fullmatch("pi_[A-Za-z0-9]{1,125}", reference):
            return []
        if kind not in _TOLD and not _OF_INTEREST.fullmatch(kind):
            return []
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
    metadata = told.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    if "environment" not in metadata:
        return [] if is_intent else [(reference, "", _TOLD.get(kind, ""))]
    if metadata["environment"] != "dev":
        return []
    name = metadata.get("payment_id")
    is_id = isinstance(name, str) and re.fullmatch("[A-Za-z0-9_-]{1,48}", name)
    return [(reference, str(name) if is_id else "", _TOLD.get(kind, ""))]
