"""The payment gateway simulator's requests and answers, in the shape of Stripe's.

The rule: what is refused before its execution began is an exception, so that it can neither take effect nor be stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from local.gateway.fault_plan import Fault


@dataclass(frozen=True)
class Answer:
    """An HTTP status and its JSON body, and whether it was stored earlier under the same key."""

    status_code: int
    body: dict[str, Any]
    replayed: bool = False


@dataclass(frozen=True)
class Request:
    """One request as logged: `seq` is its global sequence number, `ref` is empty before there is one."""

    seq: int
    call: str
    payment_id: str
    ref: str
    key: str | None
    fingerprint: str
    body: dict[str, Any]
    fault: Fault | None
    # Whose API key the request came with.
    account: str


# Of a card that was refused.
CARD_CODES = ("card_declined", "authentication_required", "expired_card", "incorrect_cvc", "processing_error")


class RefusedError(Exception):
    """A request refused before its execution began: nothing took effect and nothing is stored under its key."""

    def __init__(self, status_code: int, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.answer = Answer(status_code, error(code, message, **more))


def error(code: str, message: str, **more: object) -> dict[str, Any]:
    """An error body as Stripe writes it."""
    kind = dict.fromkeys(CARD_CODES, "card_error") | {
        "idempotency_error": "idempotency_error",
        "api_error": "api_error",
    }
    return {"error": {"type": kind.get(code, "invalid_request_error"), "code": code, "message": message, **more}}


def injected_500(request: Request, kind: str) -> Answer | None:
    """The whole 500 that a request's fault asks for at this place, if it does."""
    if request.fault is None or request.fault.kind != kind:
        return None
    return Answer(500, error("api_error", "an error occurred inside the gateway"))


def read_object(body: bytes) -> dict[str, Any] | None:
    """A body's JSON object, an empty one for no body, None for anything else."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
