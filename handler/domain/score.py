"""From payments to routes: the whole batch is scored in one call, and the score decides the first state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from handler.domain.errors import ScoringError
from handler.domain.payment import Assessment, Payment
from handler.domain.ports import FraudScoring
from handler.domain.states import Status

RISK_SCALE: Final = 10**9
APPROVAL_RISK: Final = 7 * 10**8


class Routing(NamedTuple):
    """`approval_amount_minor` asks a person from that amount on, whatever the risk; None: risk alone decides.

    Where nobody `asks` a person, what needs one is declined: it would wait for ever.
    """

    approval_amount_minor: int | None = None
    asks: bool = True

    def route(self, payment: Payment, assessment: Assessment) -> Status:
        """The state in which a scored payment is first written (protocol: "Risk, exactly")."""
        if assessment.action == "decline":
            return "declined"
        forced = self.approval_amount_minor is not None and payment.amount_minor >= self.approval_amount_minor
        if not forced and assessment.risk < APPROVAL_RISK:
            return "processing"
        return "pending_approval" if self.asks else "declined"


def score(payments: Sequence[Payment], scoring: FraudScoring) -> list[Assessment | ScoringError]:
    """One assessment a payment; a payment that cannot be scored gets its own error and the others go on."""
    if not payments:
        return []
    try:
        return list(scoring.score_batch(payments))
    except ScoringError as error:
        if len(payments) == 1:
            return [error]
    return [result for payment in payments for result in score([payment], scoring)]


def identity(payment: Payment) -> bytes:
    """The canonical billing identity that the fingerprint links: name and address, or the customer where none is given.

    ASCII case and runs of white space are folded and nothing else, because Unicode tables differ between Python
    versions and a fingerprint must not.
    """
    address = payment.billing_address
    if address is None:
        parts = ["customer", payment.customer_id]
    else:
        parts = ["address", payment.customer_name, address.street, address.city, address.state, address.zip]
    return "\x1f".join(_fold(part) for part in parts).encode()


def _fold(text: str) -> str:
    folded = "".join(chr(ord(character) + 32) if "A" <= character <= "Z" else character for character in text)
    return " ".join(part for part in folded.split(" ") if part)
