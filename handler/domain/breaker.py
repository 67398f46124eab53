"""Whether the gateway fails for everybody: then an execution environment asks with one message at a time.

Protocol, "Parking", "The breaker". The rule it keeps: what it holds back is returned unclaimed, and no try is counted.
"""

from __future__ import annotations

from typing import Final

from handler.domain.errors import (
    BreakerOpenError,
    ChargeFailedError,
    ChargeInProgressError,
    GatewayAnswerError,
    GatewayFailedError,
    GatewayKeyRefusedError,
    GatewayNotReachedError,
    GatewayRefusedError,
    GatewayUnavailableError,
    RetryableError,
    UnknownOutcomeError,
)

# In a row: tries that no connection was had for or whose key was refused; payments that the gateway failed for.
UNREACHED_MAX: Final = 5
FAILING_PAYMENTS_MAX: Final = 2
# Payments whose last 5xx is remembered: an environment lives for hours, and many of them end in another one.
_REMEMBERED_MAX: Final = 1000


class Breaker:
    """One environment's; it opens and closes by how its tries end, and knows no time."""

    def __init__(self) -> None:
        self.is_open = False
        self._unreached = 0
        self._failing: set[str] = set()
        self._has_asked = False
        self._answers = 0
        # By payment: how many answers had come at its last 5xx.
        self._answers_before: dict[str, int] = {}

    def begin_batch(self) -> None:
        self._has_asked = False

    def require(self) -> None:
        """Raise BreakerOpenError where it is open and a message of this batch has asked in vain."""
        if self.is_open and self._has_asked:
            raise BreakerOpenError("the gateway fails for every payment, and one message of the batch has asked it")

    def looked_in_vain(self, error: RetryableError) -> None:
        """Take in how a look-up before a claim failed: it asked, and is no try."""
        if isinstance(error, GatewayUnavailableError) and not isinstance(error, GatewayRefusedError):
            self._has_asked = True

    def answered(self) -> None:
        """The gateway has said something of use about a payment."""
        self.is_open = False
        self._answers += 1
        self._unreached = 0
        self._failing.clear()

    def failed(self, transaction_id: str, error: RetryableError) -> bool:
        """Take in how a try ended; whether that opens it. What says nothing of the gateway changes nothing."""
        if isinstance(error, GatewayAnswerError | GatewayRefusedError | ChargeInProgressError):
            self.answered()
            return False
        if isinstance(error, GatewayUnavailableError | UnknownOutcomeError):
            self._has_asked = True
        if isinstance(error, GatewayNotReachedError | GatewayKeyRefusedError):
            self._unreached += 1
        elif isinstance(error, GatewayFailedError | ChargeFailedError):
            self._failing.add(transaction_id)
        was_open = self.is_open
        is_everybody = self._unreached >= UNREACHED_MAX or len(self._failing) >= FAILING_PAYMENTS_MAX
        self.is_open = was_open or is_everybody
        return self.is_open and not was_open

    def blames(self, transaction_id: str, error: RetryableError) -> bool:
        """Whether a 5xx is the payment's own failure: the gateway has answered others since its last one.

        Never while the breaker is open.
        """
        if not isinstance(error, GatewayFailedError | ChargeFailedError):
            return False
        answers_before = self._answers_before.get(transaction_id, self._answers)
        # The oldest is forgotten first: put behind the others anew at each 5xx.
        self._answers_before.pop(transaction_id, None)
        self._answers_before[transaction_id] = self._answers
        if len(self._answers_before) > _REMEMBERED_MAX:
            del self._answers_before[next(iter(self._answers_before))]
        return self._answers > answers_before and not self.is_open

    def forget(self, transaction_id: str) -> None:
        """A payment was parked, so that its failures were its own; the next one's are not added to them."""
        self._failing.discard(transaction_id)
        self._answers_before.pop(transaction_id, None)
