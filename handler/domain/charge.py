"""From a claim to what the gateway says: a reference is stored before money moves, and an unknown outcome is looked up.

Protocol, queue function, steps 5 and 6: never a second reference once one is stored, never a repeat in the dark, and
never another key while the one before may still do something.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from handler.domain.claim import Claim, Work
from handler.domain.errors import (
    ChargeInProgressError,
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
    gateway_ref, is_new = claim.gateway_ref, False
    if not gateway_ref:
        work.require_time(times)
        gateway_ref, is_new = _store(_prepare(claim, payment, rules.environment, ports), claim, ports, times, work)
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
    # Without another one there, whoever has the payment now may get this very reference under its key.
    if stored.gateway_ref != gateway_ref and (stored.gateway_ref or stored.final_status):
        with suppress(RetryableError):
            work.require_time(times)
            ports.gateway.cancel(gateway_ref)
    _require_mine(stored, claim)
    return stored.gateway_ref, False


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
