"""One refund from its message to what became of it: reserve, look, call, record.

Protocol, "Refunds". The rule it keeps: nothing is called for that is not reserved, nothing is called for again that the
gateway's list may still lack, and nothing is given up that the gateway may have done.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final, Literal

from handler.domain.claim import Work
from handler.domain.errors import (
    DamagedItemError,
    GatewayAnswerError,
    GatewayKeyRefusedError,
    GatewayReferenceUnknownError,
    GatewayRefusedError,
    OwnershipLostError,
    RetryableError,
    TableRefusedError,
)
from handler.domain.item import GatewayResponse, Item
from handler.domain.money import to_major
from handler.domain.payment import Message, Refund, transaction_id
from handler.domain.ports import Notifier, Ports, RefundGateway
from handler.domain.refund_item import Captured, RefundItem, RefundRequest, RefundStatus, new_refund
from handler.domain.refund_ports import RefundLog
from handler.domain.rules import Rules
from handler.domain.states import CONFLICT, OPEN, open_shard
from handler.domain.typed import NamedTuple

RefundOutcome = RefundStatus | Literal["duplicate", "conflict"]

# A refusal is decided anew each time; more of them than this means that somebody else is at work.
_DECISIONS_MAX: Final = 4
# What only people can mend.
_FOR_PEOPLE: Final = (GatewayKeyRefusedError, GatewayReferenceUnknownError, DamagedItemError, TableRefusedError)


class Verdict(NamedTuple):
    """What a payment makes of a refund: `pending` where it allows it, `waiting` where it may yet, else why it fails."""

    status: Literal["pending", "waiting", "failed"]
    reason_code: str = ""


class Giving(NamedTuple):
    """What giving money back needs, and who does it: `owner` is a message's or a run's."""

    rules: Rules
    log: RefundLog
    gateway: RefundGateway
    notifier: Notifier
    ports: Ports
    work: Work

    def now_ms(self) -> int:
        return self.ports.clock.now_ms()

    def require_time(self) -> None:
        self.work.require_time(self.rules.times)


def giving(rules: Rules, ports: Ports, work: Work) -> Giving:
    return Giving(rules, ports.log.refunds(), ports.gateway, ports.notifier, ports, work)


def judge(payment: Captured | None, amount_minor: int, currency: str, rules: Rules) -> Verdict:
    if payment is None and rules.restored_at_ms:
        # What the lost table had comes back as its messages do.
        return Verdict("waiting")
    if payment is None:
        return Verdict("failed", reason_code="refund_payment_unknown")
    if payment.status in OPEN:
        return Verdict("waiting")
    if payment.status != "completed":
        return Verdict("failed", reason_code="refund_payment_not_completed")
    if payment.currency != currency:
        return Verdict("failed", reason_code="refund_other_currency")
    if payment.is_disputed:
        return Verdict("failed", reason_code="refund_payment_disputed")
    if payment.refund_reserved + amount_minor > payment.amount_minor:
        # After a restore this may be what the gateway gave back, and another one took what the lost table had reserved.
        return Verdict("waiting") if rules.restored_at_ms else Verdict("failed", reason_code="refund_above_captured")
    return Verdict("pending")


def settle_refund(message: Message, request: RefundRequest, rules: Rules, ports: Ports, work: Work) -> RefundOutcome:
    """Bring one refund message to a recorded state. Returning acknowledges it; a RetryableError asks for redelivery."""
    work.require_time(rules.times)
    gives = giving(rules, ports, work)
    stands = _claim(message, request, gives)
    if (stands.amount_minor, stands.currency) != (request.amount_minor, request.currency):
        ports.log.put_new(_conflict(message, request, work.owner, gives.now_ms()))
        return "conflict"
    if (stands.owner, stands.attempt, stands.gateway_try) != (work.owner, 1, 0):
        return "duplicate"
    # Ours, of now, or of just before where the answer to the write was lost; of a spent key the request may be on its
    # way for an hour, so that the next one is reconcile's.
    return give_back(stands, gives)[0] if stands.status == "pending" else stands.status


def _claim(message: Message, request: RefundRequest, gives: Giving) -> RefundItem:
    """The refund's item, made now, or as it stands already."""
    payment = gives.log.payment(transaction_id(request.payment_id))
    for _ in range(_DECISIONS_MAX):
        status, reason_code = judge(payment, request.amount_minor, request.currency, gives.rules)
        made = new_refund(
            request,
            message,
            status,
            owner=gives.work.owner,
            now_ms=gives.now_ms(),
            reason_code=reason_code,
            gateway_ref=payment.gateway_ref if payment is not None and status == "pending" else "",
        )
        if payment is None or status != "pending":
            return gives.log.claim(made) or made
        in_the_way = gives.log.claim_reserved(made, captured_minor=payment.amount_minor)
        if in_the_way is None:
            return made
        if in_the_way.refund is not None:
            return in_the_way.refund
        payment = in_the_way.payment
    raise OwnershipLostError(f"{request.transaction_id} meets other refunds of its payment each time")


def _conflict(message: Message, request: RefundRequest, owner: str, now_ms: int) -> Item:
    """The item that keeps other content under a known refund id, beside the refund, for people."""
    document = {"refund": {**request._asdict(), "amount_minor": request.amount_minor}}
    return Item(
        transaction_id=f"{request.transaction_id}#{CONFLICT}#{request.content_hash}",
        payment_id=request.payment_id,
        status="conflict",
        owner=owner,
        request_hash=request.content_hash,
        created_at=now_ms,
        updated_at=now_ms,
        canonical_version=1,
        version=1,
        message_id=message.message_id,
        message_group_id=message.group,
        sequence_number=message.sequence_number,
        amount=to_major(request.amount_minor, request.currency),
        amount_minor=request.amount_minor,
        currency=request.currency,
        reason_code="exists_with_different_content",
        open_shard=open_shard("conflict", request.content_hash),
        request=json.dumps(document, sort_keys=True, separators=(",", ":")),
    )


def give_back(refund: RefundItem, gives: Giving) -> tuple[RefundStatus, str]:
    """Look for a pending refund that is ours, call for it where the gateway lacks it, and record what it says.

    The state that stands, and the reason code of what left it pending; "" where nothing did. Never raises a
    RetryableError: what is left pending is reconcile's.
    """
    try:
        gives.require_time()
        found = look_for(refund, gives)
        return (call(refund, gives) if found is None else record_listed(refund, found, gives)), ""
    except RetryableError as error:
        if isinstance(error, _FOR_PEOPLE):
            gives.notifier.alarm(error.reason_code, refund.transaction_id, str(error))
        return "pending", error.reason_code


def look_for(refund: RefundItem, gives: Giving) -> Refund | None:
    """The refund as the gateway's list has it, None where it does not. Raises as `RefundGateway.refunds`."""
    return of_refund(refund, gives.gateway.refunds(refund.gateway_ref), gives)


def of_refund(refund: RefundItem, listed: list[Refund], gives: Giving) -> Refund | None:
    own = [each for each in listed if each.refund_id == refund.refund_id]
    done = [each for each in own if each.state != "failed"]
    if len(done) > 1:
        said = (
            f"the gateway gave {refund.refund_id} back {len(done)} times: {', '.join(each.refund_ref for each in done)}"
        )
        gives.notifier.alarm("refunded_twice", refund.transaction_id, said)
    return next(iter((*done, *own)), None)


def call(refund: RefundItem, gives: Giving) -> RefundStatus:
    """Call for a refund that the list, read before, does not have. Raises the gateway's and the log's errors."""
    gives.require_time()
    key = f"{gives.rules.environment}:{refund.payment_id}:refund:{refund.refund_id}:{refund.gateway_try}"
    try:
        given = gives.gateway.refund(refund.gateway_ref, refund.amount_minor, refund.currency, refund.refund_id, key)
    except GatewayRefusedError as error:
        gives.require_time()
        found = look_for(refund, gives)
        if found is not None:
            return record_listed(refund, found, gives)
        response = GatewayResponse("refused", code=error.code, request_id=error.request_id)
        return _fail(refund, response, gives, reason_code="refund_refused")
    except RetryableError as error:
        if error.spends_key:
            # Where this fails, the next call meets the same answer and gives the key up then.
            with suppress(RetryableError):
                gives.log.next_key(
                    refund.transaction_id,
                    attempt=refund.attempt,
                    gateway_try_seen=refund.gateway_try,
                    now=gives.now_ms(),
                )
        raise
    return record(refund, given, gives)


def record_listed(refund: RefundItem, said: Refund, gives: Giving) -> RefundStatus:
    """Write what the gateway's list has under a refund's id, as `record` does.

    While the table is restored that may be another content's, which had the id first and was lost.
    """
    may_be_lost = gives.rules.restored_at_ms and refund.status == "pending" and not refund.refund_ref
    if may_be_lost and not is_over(refund, said):
        detail = f"{said.refund_ref} gave {said.amount_minor} {said.currency} back under its id"
        gives.notifier.alarm("refund_found_with_different_content", refund.transaction_id, detail)
        return _fail(refund, GatewayResponse("refused"), gives, reason_code="refund_found_with_different_content")
    return record(refund, said, gives)


def is_over(refund: RefundItem, said: Refund) -> bool:
    return (said.amount_minor, said.currency) == (refund.amount_minor, refund.currency)


def record(refund: RefundItem, said: Refund, gives: Giving) -> RefundStatus:
    """Write what the gateway says of a refund that is pending or refunded; the state that stands.

    Raises GatewayAnswerError where it says another amount, and the log's errors.
    """
    if not is_over(refund, said):
        raise GatewayAnswerError(
            f"{said.refund_ref} gives {said.amount_minor} {said.currency} back, {refund.transaction_id} is over "
            f"{refund.amount_minor} {refund.currency}"
        )
    key = refund.transaction_id
    if said.state == "refunded":
        if refund.status == "refunded":
            return "refunded"
        stands = gives.log.record(key, refund_ref=said.refund_ref, now=gives.now_ms())
        return "refunded" if stands is None else stands.status
    if not refund.refund_ref:
        stands = gives.log.store_ref(key, refund_ref=said.refund_ref, now=gives.now_ms())
        if stands is not None and stands.status != "pending":
            return stands.status
    if said.state == "failed":
        return _fail(refund, GatewayResponse("failed"), gives, reason_code="refund_failed")
    return refund.status


def _fail(refund: RefundItem, response: GatewayResponse, gives: Giving, *, reason_code: str) -> RefundStatus:
    stands = gives.log.fail(
        refund,
        status_seen="refunded" if refund.status == "refunded" else "pending",
        reason_code=reason_code,
        response=response,
        now=gives.now_ms(),
    )
    return "failed" if stands is None else stands.status
