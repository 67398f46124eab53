"""From payments to routes: the whole batch is scored in one call, and the score decides the first state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from handler.domain.errors import ScoringError
from handler.domain.payment import Assessment, Payment
from handler.domain.ports import FraudScoring
from handler.domain.states import Status
from handler.domain.typed import NamedTuple

RISK_SCALE: Final = 10**9
APPROVAL_RISK: Final = 7 * 10**8
_ASCII_LOWER: Final = {code: code + 32 for code in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


class Routing(NamedTuple):
    """`approval_amounts` has by currency, in minor units, from where on a person is asked whatever the risk.

    A currency that is not in it has the risk alone. Where nobody `asks` a person, what needs one is declined: it would
    wait for ever.
    """

    approval_amounts: Mapping[str, int] = MappingProxyType({})
    asks: bool = True

    def is_forced(self, amount_minor: int, currency: str) -> bool:
        """Whether the amount alone needs a person."""
        least = self.approval_amounts.get(currency)
        return least is not None and amount_minor >= least

    def route(self, payment: Payment, assessment: Assessment) -> Status:
        """The state in which a scored payment is first written (protocol: "Risk, exactly")."""
        if assessment.action == "decline":
            return "declined"
        if assessment.risk < APPROVAL_RISK and not self.is_forced(payment.amount_minor, payment.currency):
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
    return " ".join([part for part in text.translate(_ASCII_LOWER).split(" ") if part])
