"""What follows from a failed try: the payment is parked, or released for the next one; its group goes on either way.

Protocol, queue function, step 9, and parking. The rule it keeps: only what the payment itself causes counts against it.
"""

from __future__ import annotations

from typing import Final

from handler.domain.claim import Claim
from handler.domain.errors import (
    ChargeInProgressError,
    FoundOtherContentError,
    NotEnoughTimeError,
    OwnershipLostError,
    RestoreTooRecentError,
    RetryableError,
)
from handler.domain.payment import Payment
from handler.domain.ports import Ports
from handler.domain.rules import Parking

# From a payment's first try on: what is in progress at its gateway is no call that is still under way then.
CALLS_ENDED_AFTER_MS: Final = 15 * 60 * 1000


def park_or_release(
    claim: Claim, payment: Payment, error: RetryableError, parking: Parking, ports: Ports, *, is_own: bool
) -> bool:
    """Whether the payment is parked now. Otherwise its lease is ended, and the message has to come again.

    `is_own`: the cause of the error is the payment.
    """
    if _is_time(claim, error, is_own, parking, ports.clock.now_ms()):
        try:
            if park(claim, payment.canonical, payment.request_hash, error.reason_code, ports):
                return True
        except RetryableError:
            # It comes again with all its tries used, and is parked then.
            pass
    release(claim if is_own else claim._replace(tries=claim.tries - 1), ports)
    return False


def release(claim: Claim, ports: Ports) -> None:
    """End the lease so that the next delivery need not wait for it; best effort, as the lease ends by itself."""
    try:
        ports.log.release(
            claim.transaction_id,
            owner=claim.owner,
            attempt=claim.attempt,
            tries=claim.tries,
            now=ports.clock.now_ms(),
        )
    except RetryableError:
        return


def _is_time(claim: Claim, error: RetryableError, is_own: bool, parking: Parking, now_ms: int) -> bool:
    if isinstance(error, NotEnoughTimeError | OwnershipLostError | RestoreTooRecentError):
        # It was not tried to the end, or is another worker's to judge.
        return False
    if isinstance(error, FoundOtherContentError):
        # No delivery would change that.
        return True
    tried_for_ms = now_ms - claim.tried_since
    if isinstance(error, ChargeInProgressError) and (error.takes_days or tried_for_ms >= CALLS_ENDED_AFTER_MS):
        # No delivery would bring it on, and its group need not wait for days.
        return True
    is_spent = is_own and claim.tries >= parking.after_tries
    return is_spent or tried_for_ms >= round(1000 * parking.after_seconds)


def park(claim: Claim, request: str, request_hash: str, reason_code: str, ports: Ports) -> bool:
    """Whether it stands as parked by this claim; the client repeats a write whose answer was lost.

    `request` is the canonical text that a retry sends. Raises the log's retryable error.
    """
    stored = ports.log.park(
        claim.transaction_id,
        owner=claim.owner,
        attempt=claim.attempt,
        park_no=claim.park_no + 1,
        reason_code=reason_code,
        request=request,
        request_hash=request_hash,
        now=ports.clock.now_ms(),
    )
    return stored is None or (stored.status, stored.owner, stored.attempt) == ("parked", claim.owner, claim.attempt)
