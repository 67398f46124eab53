"""From a claim to what the gateway says: a reference is stored before money moves, and an unknown outcome is looked up.

Protocol, queue function, steps 5 and 6: never a second reference once one is stored, never a repeat in the dark.
"""

from __future__ import annotations

from handler.domain.claim import Claim, Work
from handler.domain.errors import GatewayAnswerError, OwnershipLostError, UnknownOutcomeError
from handler.domain.payment import GatewayResult, Payment
from handler.domain.ports import PaymentGateway, Ports
from handler.domain.rules import Rules
from handler.domain.times import Times


def idempotency_key(environment: str, payment_id: str) -> str:
    """One key a payment and environment, whoever works on it and however often."""
    return f"{environment}:{payment_id}"


def charge(claim: Claim, payment: Payment, rules: Rules, ports: Ports, work: Work) -> tuple[str, GatewayResult]:
    """Return the payment's reference and its outcome: `approved`, `declined` or `cancelled`.

    Raises UnknownOutcomeError where the gateway is still at work or cannot be asked, GatewayAnswerError where its
    answer is not about this payment, and the retryable errors of gateway and log.
    """
    gateway, times = ports.gateway, rules.times
    key = idempotency_key(rules.environment, payment.payment_id)
    gateway_ref, is_new = claim.gateway_ref, False
    if not gateway_ref:
        work.require_time(times)
        gateway_ref, is_new = _store(gateway.prepare(payment, key), claim, ports)
    if not is_new:
        result = _ask(gateway_ref, gateway, times, work)
        if result.state != "prepared":
            return gateway_ref, settled(result, payment.amount_minor, payment.currency)
    try:
        work.require_time(times)
        result = gateway.charge(gateway_ref, key, payment.off_session)
    except UnknownOutcomeError:
        result = _ask(gateway_ref, gateway, times, work)
        if result.state == "prepared":
            work.require_time(times)
            result = gateway.charge(gateway_ref, key, payment.off_session)
    return gateway_ref, settled(result, payment.amount_minor, payment.currency)


def _ask(gateway_ref: str, gateway: PaymentGateway, times: Times, work: Work) -> GatewayResult:
    work.require_time(times)
    return gateway.status(gateway_ref)


def _store(gateway_ref: str, claim: Claim, ports: Ports) -> tuple[str, bool]:
    """Store the reference and return it with True; with False the one that stands there, if the payment is still ours.

    A worker before us may have stored it after we read the item and before we took it over, and charged it.
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
    still_mine = (stored.status, stored.owner, stored.attempt) == ("processing", claim.owner, claim.attempt)
    if still_mine and stored.gateway_ref:
        return stored.gateway_ref, False
    raise OwnershipLostError(f"{claim.transaction_id} belongs to {stored.owner}, attempt {stored.attempt}")


def settled(result: GatewayResult, amount_minor: int, currency: str) -> GatewayResult:
    """The result if it is final and about this amount (minor units); raises as `charge` does."""
    if result.state not in ("approved", "declined", "cancelled"):
        raise UnknownOutcomeError(f"the gateway reports {result.state}")
    if (result.amount_minor, result.currency) != (amount_minor, currency):
        raise GatewayAnswerError(
            f"the gateway answered for {result.amount_minor} {result.currency}, "
            f"the payment is {amount_minor} {currency}"
        )
    return result
