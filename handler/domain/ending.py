"""Nothing is recorded as ended that could still be charged: what did not succeed is cancelled at the gateway first.

Protocol, "Ending a payment". The rule it keeps: a decline leaves here only once nothing can be captured under its
reference any more, whoever else has a charge of it under way.
"""

from __future__ import annotations

from collections.abc import Callable

from handler.domain.charge import settled
from handler.domain.errors import UnknownOutcomeError
from handler.domain.payment import GatewayResult
from handler.domain.ports import PaymentGateway


def end(
    gateway_ref: str, result: GatewayResult, gateway: PaymentGateway, require_time: Callable[[], None]
) -> GatewayResult:
    """What may be recorded of a reference of which the gateway said `result`: `approved`, `declined` or `cancelled`.

    Raises UnknownOutcomeError or ChargeInProgressError where it can neither be cancelled nor has succeeded; the errors
    of `cancel`; and what `require_time` raises, which is asked before that call.
    """
    if result.state in ("approved", "cancelled"):
        return result
    require_time()
    stands = settled(gateway.cancel(gateway_ref), result.amount_minor, result.currency)
    if stands.state == "cancelled":
        # Why it was declined is what was said before; a cancelled reference may say less.
        code = result.state if result.state == "requires_action" else ""
        return result._replace(state="declined", code=result.code or code)
    if stands.state == "approved":
        return stands
    raise UnknownOutcomeError(f"{gateway_ref} is {stands.state} and could not be cancelled")
