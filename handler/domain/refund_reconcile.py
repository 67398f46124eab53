"""Refunds that wait or were left half-way, and what the gateway tells of refunds later.

Protocol, "Reconcile and refunds". The rule it keeps: a refund is called for again only where the gateway's list, read
at least 15 minutes after the last call, does not have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from handler.domain.claim import Work
from handler.domain.errors import GatewayAnswerError, RetryableError
from handler.domain.payment import Refund, transaction_id
from handler.domain.ports import Notifier, Ports
from handler.domain.process import alarm_of_gateway, alarmed
from handler.domain.reconcile import in_turn
from handler.domain.refund_item import REFUND_OPEN, RefundItem, RefundStatus, refund_transaction_id
from handler.domain.refund_process import (
    Giving,
    call,
    give_back,
    giving,
    judge,
    look_for,
    of_refund,
    record_listed,
)
from handler.domain.rules import Rules
from handler.domain.typed import NamedTuple

_DECISIONS_MAX: Final = 4
# A call leaves within the invocation that wrote before it, which lasts as long as a payment is not yet stuck at most.
_SINCE_WRITE: Final = 2
# After a key was given up, its own request may still be on its way, and the next key is no protection against that.
_SINCE_WRITE_AFTER_A_KEY: Final = 5


class RefundFinding(NamedTuple):
    """What became of one open refund; `unsettled`: the reason code in `detail` says why, the next run tries again."""

    transaction_id: str
    outcome: RefundStatus | Literal["unsettled"]
    detail: str = ""


def settle_refunds(rules: Rules, ports: Ports, work: Work, stuck_after_ms: int) -> Iterator[RefundFinding]:
    """Start every refund whose payment is settled by now, and bring on those that are pending; one finding each.

    Ends early, without an error, when the invocation has too little time left for another refund.
    Raises TransactionLogUnavailableError where the open refunds cannot be listed.
    """
    gives = giving(rules, ports, work)
    for key in in_turn(gives.log.open_transaction_ids(), ports.clock.now_ms()):
        if work.remaining_ms() < rules.times.least_remaining_ms:
            return
        try:
            with alarmed(ports.notifier):
                refund = gives.log.get(key)
                if refund is None or refund.status not in REFUND_OPEN:
                    continue
                is_waiting = refund.status == "waiting"
                outcome, left = _start(refund, gives) if is_waiting else _mend(refund, gives, stuck_after_ms)
        except RetryableError as error:
            alarm_of_gateway(error, key, ports.notifier)
            yield RefundFinding(key, "unsettled", error.reason_code)
            continue
        yield RefundFinding(key, "unsettled" if left else outcome, left)


def _start(refund: RefundItem, gives: Giving) -> tuple[RefundStatus, str]:
    """Reserve a waiting refund's amount and give it back, refuse it, or leave it waiting."""
    payment = gives.log.payment(transaction_id(refund.payment_id))
    for _ in range(_DECISIONS_MAX):
        status, reason_code = judge(payment, refund.amount_minor, refund.currency, gives.rules)
        now_ms = gives.now_ms()
        if status == "waiting":
            break
        if status == "failed" or payment is None:
            stands = gives.log.refuse(refund.transaction_id, reason_code=reason_code, now=now_ms)
            return ("failed" if stands is None else stands.status), ""
        owner = gives.work.owner
        in_the_way = gives.log.begin(
            refund,
            owner=owner,
            gateway_ref=payment.gateway_ref,
            captured_minor=payment.amount_minor,
            now=now_ms,
        )
        begun = refund._replace(
            status="pending", owner=owner, attempt=refund.attempt + 1, gateway_ref=payment.gateway_ref
        )
        if in_the_way is None:
            return give_back(begun, gives)
        if in_the_way.refund is not None:
            stands = in_the_way.refund
            # The answer to this very write was lost and the client sent it again.
            is_own = (stands.status, stands.owner, stands.attempt) == ("pending", owner, begun.attempt)
            return give_back(stands, gives) if is_own else (stands.status, "")
        payment = in_the_way.payment
    return "waiting", ""


def _mend(refund: RefundItem, gives: Giving, stuck_after_ms: int) -> tuple[RefundStatus, str]:
    """Record what the gateway has of a pending refund; else call for it again where its last call is long over."""
    stale = gives.now_ms() - stuck_after_ms * (_SINCE_WRITE_AFTER_A_KEY if refund.gateway_try else _SINCE_WRITE)
    if not refund.refund_ref and refund.updated_at >= stale:
        return "pending", ""
    gives.require_time()
    found = look_for(refund, gives)
    if found is not None:
        return record_listed(refund, found, gives), ""
    if refund.refund_ref:
        raise GatewayAnswerError(f"the gateway lists no {refund.refund_ref}, which it made for {refund.transaction_id}")
    owner, following = gives.work.owner, refund.attempt + 1
    stands = gives.log.take_over(
        refund.transaction_id, owner=owner, attempt_seen=refund.attempt, stale=stale, now=gives.now_ms()
    )
    if stands is not None and (stands.owner, stands.attempt) != (owner, following):
        return stands.status, ""
    taken = refund._replace(owner=owner, attempt=following) if stands is None else stands
    return call(taken, gives), ""


def see_refunds(payment_id: str, listed: list[Refund], rules: Rules, ports: Ports, work: Work) -> list[RefundFinding]:
    """Record what the gateway's list, just read, says of every refund of a payment that is ours.

    One finding for each that came to another state. Raises the retryable errors of the log, and GatewayAnswerError;
    calling again is safe.
    """
    gives = giving(rules, ports, work)
    found = []
    for refund_id in dict.fromkeys(each.refund_id for each in listed if each.refund_id):
        with alarmed(ports.notifier):
            refund = gives.log.get(refund_transaction_id(payment_id, refund_id))
            said = of_refund(refund, listed, gives) if refund is not None else None
            if refund is None or said is None or refund.status == "waiting":
                continue
            if refund.reason_code == "refund_found_with_different_content":
                # The other content's, as people were told.
                continue
            if refund.status == "failed":
                _require_failed(refund, said, ports.notifier)
                continue
            status = record_listed(refund, said, gives)
        if status != refund.status:
            found.append(RefundFinding(refund.transaction_id, status))
    return found


def _require_failed(refund: RefundItem, said: Refund, notifier: Notifier) -> None:
    """Its amount is free again, so that only people can say what becomes of one that was given back nevertheless."""
    if said.state != "failed":
        detail = f"recorded failed, gateway says {said.state}: {said.refund_ref}"
        notifier.alarm("outcome_contradicts_record", refund.transaction_id, detail)
