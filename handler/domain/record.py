"""From an outcome to a final item: the first recorded outcome stands, and who lost the payment may not write it.

Protocol, queue function, steps 5 and 7.
"""

from __future__ import annotations

from handler.domain.claim import Claim
from handler.domain.errors import GatewayRefusedError, OwnershipLostError
from handler.domain.payment import GatewayResult
from handler.domain.ports import Ports
from handler.domain.states import Status


def record(claim: Claim, gateway_ref: str, result: GatewayResult, ports: Ports) -> Status:
    """Write the outcome and return the state that stands, `completed` or `declined`.

    Raises OwnershipLostError where another worker holds the payment. An outcome that contradicts the recorded one
    raises an alarm and changes nothing.
    """
    status: Status = "completed" if result.state == "approved" else "declined"
    write = ports.log.record_shown if claim.is_shown else ports.log.record
    stored = write(
        claim.transaction_id,
        owner=claim.owner,
        attempt=claim.attempt,
        status=status,
        gateway=result,
        now=ports.clock.now_ms(),
    )
    if stored is None:
        return status
    final_status = stored.final_status
    if final_status is None:
        raise OwnershipLostError(f"{claim.transaction_id} belongs to {stored.owner}, attempt {stored.attempt}")
    # Declined and cancelled are one to the money: an operator may have given up what a slow worker is told is declined.
    is_same_end = (final_status == "completed") == (status == "completed")
    if not is_same_end or stored.gateway_ref != gateway_ref:
        ports.notifier.alarm(
            "outcome_contradicts_record",
            claim.transaction_id,
            f"recorded {final_status} for {stored.gateway_ref}, gateway says {status} for {gateway_ref}",
        )
    return final_status


def refuse(claim: Claim, error: GatewayRefusedError, ports: Ports) -> Status:
    """End a payment that its gateway refused for good before there was a reference; return the state that stands.

    Raises the error itself where a reference is stored after all, and as `record` does.
    """
    write = ports.log.refuse_shown if claim.is_shown else ports.log.refuse
    stored = write(
        claim.transaction_id,
        owner=claim.owner,
        attempt=claim.attempt,
        code=error.code,
        request_id=error.request_id,
        now=ports.clock.now_ms(),
    )
    if stored is None:
        return "declined"
    if stored.final_status is not None:
        return stored.final_status
    if (stored.owner, stored.attempt) == (claim.owner, claim.attempt):
        raise error
    raise OwnershipLostError(f"{claim.transaction_id} belongs to {stored.owner}, attempt {stored.attempt}")
