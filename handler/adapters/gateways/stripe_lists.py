"""Stripe's lists, page by page: of one payment intent, and of all that was made in a span of time.

The rule it keeps: a list is whole or an error; one that ends early, repeats itself or goes back tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from handler.adapters.connection import form
from handler.adapters.gateways.deadline_connection import Answer
from handler.adapters.gateways.stripe_answers import (
    Mode,
    amount_of,
    created_at,
    dispute_of,
    object_in,
    payment_id_of,
    refund_of,
    request_id,
    word,
)
from handler.domain.errors import GatewayAnswerError
from handler.domain.payment import Kind, Movement

# The most that a page holds ("Pagination", "Search PaymentIntents").
PAGE: Final = 100
_PATHS: Final[dict[Kind, str]] = {"captured": "charges", "refunded": "refunds", "disputed": "disputes"}
_STATES: Final[dict[str, Any]] = {"pending": "pending", "refunded": "done", "failed": "failed"}

# Reads a path, which is about something.
Ask = Callable[[str, str], Answer]


def objects(
    ask: Ask, kind: str, fields: Sequence[tuple[str, str]], what: str
) -> Iterator[tuple[dict[str, Any], Answer]]:
    """Each object of a list with the answer that it came in, the newest first.

    Raises what `ask` does, and GatewayAnswerError for a list that ends early or comes to an object again.
    """
    seen: set[str] = set()
    last, more = "", True
    while more:
        after = [("starting_after", last)] if last else []
        answer = ask(f"/v1/{kind}?{form([*fields, ('limit', str(PAGE)), *after])}", f"the {kind} of {what}")
        page, has_more = answer.document.get("data"), answer.document.get("has_more")
        if not isinstance(page, list) or not isinstance(has_more, bool) or (has_more and not page):
            raise GatewayAnswerError(f"Stripe's list of the {kind} of {what} ends early ({request_id(answer)})")
        for each in page:
            last = word(each.get("id")) if isinstance(each, dict) else ""
            # Whatever comes again, or has no name to go on from, would never end.
            if not last or last in seen:
                raise GatewayAnswerError(f"Stripe's list names no further one of {kind} ({request_id(answer)})")
            seen.add(last)
            yield each, answer
        more = has_more


def movements(
    ask: Ask, kind: Kind, since_ms: int, until_ms: int, *, mode: Mode, environment: str
) -> Iterator[Movement]:
    """What was captured, refunded or disputed of intents of ours, by when Stripe made the charge, refund or dispute.

    The intent's metadata says whose it is, so each comes with its intent. Raises as `objects`, and GatewayAnswerError
    for what is not complete, of another mode, or out of its order or its time.
    """
    since, until = since_ms // 1000, until_ms // 1000
    fields = [("created[gte]", str(since)), ("created[lt]", str(until)), ("expand[0]", "data.payment_intent")]
    what, latest = f"{since} to {until}", until_ms
    for each, answer in objects(ask, _PATHS[kind], fields, what):
        at = created_at(each, answer)
        if not since_ms <= at <= latest or at == until_ms:
            raise GatewayAnswerError(f"Stripe's list of {what} comes to {at // 1000} ({request_id(answer)})")
        latest = at
        intent = each.get("payment_intent")
        if not isinstance(intent, dict):
            if intent is None:
                # Of a charge that no intent made: we make none.
                continue
            raise GatewayAnswerError(f"Stripe's list of {what} does not say whose it is ({request_id(answer)})")
        if intent.get("livemode") is not (mode == "live"):
            raise GatewayAnswerError(f"Stripe's list of {what} is not of mode {mode} ({request_id(answer)})")
        if object_in(intent, "metadata").get("environment") != environment:
            continue
        movement = _movement(kind, {**each, "payment_intent": word(intent.get("id"))}, answer, mode, environment)
        if movement is not None:
            yield movement._replace(payment_id=payment_id_of(intent))


def _movement(kind: Kind, document: dict[str, Any], answer: Answer, mode: Mode, environment: str) -> Movement | None:
    """Of a document that names its intent; None for a charge that captured nothing."""
    gateway_ref = document["payment_intent"]
    if kind == "refunded":
        refund = refund_of(document, gateway_ref, answer, environment)
        amount = (refund.amount_minor, refund.currency)
        state = _STATES[refund.state]
        return Movement(kind, refund.refund_ref, gateway_ref, "", state, *amount, refund.created_at, refund.refund_id)
    if kind == "disputed":
        dispute = dispute_of(document, gateway_ref, answer, mode)
        amount = (dispute.amount_minor, dispute.currency)
        return Movement(kind, dispute.dispute_ref, gateway_ref, "", "done", *amount, dispute.created_at)
    if document.get("status") in ("pending", "failed"):
        return None
    if document.get("status") != "succeeded" or document.get("captured") is not True or not gateway_ref:
        raise GatewayAnswerError(f"Stripe's list has a charge that is in no known state ({request_id(answer)})")
    amount = amount_of({**document, "amount": document.get("amount_captured")}, answer)
    return Movement(kind, gateway_ref, gateway_ref, "", "done", *amount, created_at(document, answer))
