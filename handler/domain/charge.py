"""From a claim to what the gateway says: a reference is stored before money moves, and an unknown outcome is looked up.

Protocol, queue function, steps 5 and 6: never a second reference once one is stored, never a repeat in the dark, and
never another key while the one before may still do something.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

from handler.domain.claim import Claim, Standing, Work
from handler.domain.errors import (
    ChargeInProgressError,
    FoundOtherContentError,
    GatewayAnswerError,
    GatewayRefusedError,
    GatewayUnavailableError,
    OwnershipLostError,
    RetryableError,
    UnknownOutcomeError,
)
from handler.domain.item import Item
from handler.domain.payment import GatewayResult, Payment
from handler.domain.ports import PaymentGateway, Ports
from handler.domain.rules import Rules
from handler.domain.times import Times

if TYPE_CHECKING:
    from handler.domain.restored import Found


def idempotency_key(environment: str, payment_id: str, claim: Claim, call: Literal["prepare", "confirm"]) -> str:
    """The key of a call, the same whoever works on the payment and however often, until it is known to be spent.

    The hash in it is the item's, so that other content under the same id cannot spend it.
    """
    return f"{environment}:{payment_id}:{claim.request_hash[:16]}:{call}:{claim.gateway_try}"


def charge(claim: Claim, payment: Payment, rules: Rules, ports: Ports, work: Work) -> tuple[str, GatewayResult]:
    """Return the payment's reference and what the gateway says of it, as `settled` does: `end` makes an outcome of it.

    Raises ChargeInProgressError where the gateway is still at work, UnknownOutcomeError where it cannot be asked,
    GatewayAnswerError where its answer is not about this payment, and the retryable errors of gateway and log.
    """
    gateway, times = ports.gateway, rules.times
    gateway_ref, is_new = claim.gateway_ref or found_reference(claim, payment, rules, ports, work), False
    if not gateway_ref:
        work.require_time(times)
        prepared = _ahead(claim, work) or _prepare(claim, payment, rules.environment, ports)
        gateway_ref, is_new = _store(prepared, claim, ports, times, work)
    if not is_new:
        result = _ask(gateway_ref, gateway, times, work)
        if result.state != "prepared":
            return gateway_ref, settled(result, payment.amount_minor, payment.currency)
    try:
        result = _confirm(gateway_ref, claim, payment, rules, ports, work=work)
    except (UnknownOutcomeError, GatewayRefusedError) as error:
        result = _ask(gateway_ref, gateway, times, work)
        if result.state == "prepared":
            if error.spends_key:
                claim = _next_key(claim, ports)
            result = _confirm(gateway_ref, claim, payment, rules, ports, work=work)
    return gateway_ref, settled(result, payment.amount_minor, payment.currency)


def found_reference(claim: Claim, payment: Payment | Item, rules: Rules, ports: Ports, work: Work) -> str:
    """What the gateway has of a payment whose item lost it in a restore of the table, stored by now; "" for nothing.

    Raises as `restored.find` does, and the log's errors.
    """
    found = _find(payment, rules, ports, work)
    if found is None:
        return ""
    if work.found is not None:
        work.found.append(claim.transaction_id)
    return _store(found.gateway_ref, claim, ports, rules.times, work)[0]


def ended_reference(payment: Payment, rules: Rules, ports: Ports, work: Work) -> str:
    """The reference under which a payment was charged, or ended, before the table was restored; "" for none.

    The claim has to carry it: a later search may leave it out. Raises as `restored.find`.
    """
    try:
        found = _find(payment, rules, ports, work)
    except FoundOtherContentError:
        return ""
    return "" if found is None or found.result.state == "prepared" else found.gateway_ref


def _find(payment: Payment | Item, rules: Rules, ports: Ports, work: Work) -> Found | None:
    if not rules.restored_at_ms:
        return None
    # Here, as no other invocation has to pay for it.
    from handler.domain.restored import LookUp, find

    require_time = partial(work.require_time, rules.times)
    return find(payment, LookUp(rules, lambda: ports.gateway, ports.clock, ports.notifier, require_time))


def _ahead(claim: Claim, work: Work) -> str:
    """What was prepared for the claim that made the item; nobody who took it over or corrects it may use that."""
    if work.ahead is None or claim.attempt != 1:
        return ""
    work.ahead.is_used = True
    return work.ahead.gateway_ref


def _confirm(
    gateway_ref: str, claim: Claim, payment: Payment, rules: Rules, ports: Ports, *, work: Work
) -> GatewayResult:
    work.require_time(rules.times)
    key = idempotency_key(rules.environment, payment.payment_id, claim, "confirm")
    result = ports.gateway.charge(gateway_ref, key, payment.off_session)
    if result.state == "in_progress":
        _require_ours(result, payment.amount_minor, payment.currency)
        raise ChargeInProgressError(f"the charge of {gateway_ref} takes its method's days", takes_days=True)
    return result


def _prepare(claim: Claim, payment: Payment, environment: str, ports: Ports) -> str:
    try:
        return ports.gateway.prepare(payment, idempotency_key(environment, payment.payment_id, claim, "prepare"))
    except GatewayUnavailableError as error:
        if error.spends_key and not (isinstance(error, GatewayRefusedError) and error.is_final):
            # Where this fails, the next delivery meets the same answer and gives the key up then.
            with suppress(RetryableError):
                _next_key(claim, ports)
        raise


def _next_key(claim: Claim, ports: Ports) -> Claim:
    """Give up a key that is spent; the claim as it goes on. Raises OwnershipLostError and the log's errors."""
    following = claim._replace(gateway_try=claim.gateway_try + 1)
    stored = ports.log.next_key(
        claim.transaction_id,
        owner=claim.owner,
        attempt=claim.attempt,
        gateway_try_seen=claim.gateway_try,
        now=ports.clock.now_ms(),
    )
    if stored is None:
        return following
    # By this very write, whose answer was lost, or by a worker before us after we had read the item.
    _require_mine(stored, claim)
    return claim._replace(gateway_try=stored.gateway_try)


def _ask(gateway_ref: str, gateway: PaymentGateway, times: Times, work: Work) -> GatewayResult:
    work.require_time(times)
    return gateway.status(gateway_ref)


def _store(gateway_ref: str, claim: Claim, ports: Ports, times: Times, work: Work) -> tuple[str, bool]:
    """Store the reference and return it with True; with False the one that stands there, if the payment is still ours.

    A worker before us may have stored it after we read the item and before we took it over, and charged it.
    Where ours can never stand there any more, it is cancelled as well as that goes.
    """
    stored = ports.log.store_gateway_ref(
        claim.transaction_id,
        owner=claim.owner,
        attempt=claim.attempt,
        gateway_ref=gateway_ref,
        now=ports.clock.now_ms(),
    )
    if stored is None:
        return gateway_ref, True
    if _is_lost(gateway_ref, stored):
        _cancel_lost(gateway_ref, ports, times, work)
    _require_mine(stored, claim)
    return stored.gateway_ref, False


def _is_lost(gateway_ref: str, stored: Item) -> bool:
    # Without another one there, whoever has the payment now may get this very reference under its key.
    return stored.gateway_ref != gateway_ref and bool(stored.gateway_ref or stored.final_status)


def _cancel_lost(gateway_ref: str, ports: Ports, times: Times, work: Work) -> None:
    with suppress(RetryableError):
        work.require_time(times)
        ports.gateway.cancel(gateway_ref)


def cancel_in_vain(standing: Standing, ports: Ports, times: Times, work: Work) -> None:
    """Cancel what was prepared ahead for a message that needs no charge, as well as that goes, if nobody can store it.

    A conflict's is under a key that the payment never has.
    """
    gateway_ref = work.ahead.gateway_ref if work.ahead is not None else ""
    if gateway_ref and (standing.outcome == "conflict" or _is_lost(gateway_ref, standing.item)):
        _cancel_lost(gateway_ref, ports, times, work)


def _require_mine(stored: Item, claim: Claim) -> None:
    """Raise OwnershipLostError where the item that stood in a write's way is no longer the claim's."""
    if (stored.status, stored.owner, stored.attempt) != ("processing", claim.owner, claim.attempt):
        raise OwnershipLostError(f"{claim.transaction_id} belongs to {stored.owner}, attempt {stored.attempt}")


def settled(result: GatewayResult, amount_minor: int, currency: str) -> GatewayResult:
    """The result if it is about this amount (minor units) and final, or final once it is cancelled (`end`).

    Raises as `charge` does.
    """
    _require_ours(result, amount_minor, currency)
    if result.state == "in_progress":
        raise ChargeInProgressError("the gateway is at work on the charge")
    if result.state not in ("approved", "declined", "cancelled", "requires_action"):
        raise UnknownOutcomeError(f"the gateway reports {result.state}")
    return result


def _require_ours(result: GatewayResult, amount_minor: int, currency: str) -> None:
    if (result.amount_minor, result.currency) != (amount_minor, currency):
        raise GatewayAnswerError(
            f"the gateway answered for {result.amount_minor} {result.currency}, "
            f"the payment is {amount_minor} {currency}"
        )
