"""A payment gateway inside the process, for trying the function out and for measuring it; no money anywhere.

It approves every charge, and always with the same answer: the reference says all there is to know, so that any process
answers alike.
"""

from __future__ import annotations

import hashlib
import time
from typing import Literal

from handler.domain.errors import GatewayAnswerError, GatewayRefusedError, UnknownOutcomeError
from handler.domain.payment import Dispute, GatewayResult, Kind, Movement, Payment, Refund


class SimulatedGateway:
    """`PaymentGateway` whose references are `sim_<amount in minor units>_<currency>_<hash of the key>`."""

    def __init__(self) -> None:
        self.captures: dict[str, int] = {}
        self._cancelled: set[str] = set()
        # By reference and key.
        self._refunds: dict[tuple[str, str], Refund] = {}

    def prepare(self, payment: Payment, key: str) -> str:
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        return f"sim_{payment.amount_minor}_{payment.currency}_{digest}"

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
        amount_minor, currency = _read(gateway_ref)
        if gateway_ref in self._cancelled:
            raise UnknownOutcomeError(f"{gateway_ref} is cancelled and cannot be charged")
        self.captures[gateway_ref] = amount_minor
        code = hashlib.sha256(f"{gateway_ref}:{key}".encode()).hexdigest()[:6].upper()
        return GatewayResult("approved", amount_minor, currency, f"AUTH{code}", "2024-01-01T12:00:00Z")

    def status(self, gateway_ref: str) -> GatewayResult:
        """`prepared` unless this process cancelled it: repeating a charge gives the same answer."""
        amount_minor, currency = _read(gateway_ref)
        state: Literal["cancelled", "prepared"] = "cancelled" if gateway_ref in self._cancelled else "prepared"
        return GatewayResult(state, amount_minor, currency, refunded_minor=self._given_back(gateway_ref))

    def find(self, payment_id: str) -> list[str]:
        """None: the reference of a payment follows from its key alone."""
        return []

    def payment_id_of(self, gateway_ref: str) -> str:
        """Of nobody's payment: a reference here says only its amount."""
        return ""

    def cancel(self, gateway_ref: str) -> GatewayResult:
        """Of what this process captured it says `approved`; another process does not know."""
        amount_minor, currency = _read(gateway_ref)
        if gateway_ref in self.captures:
            return GatewayResult("approved", amount_minor, currency)
        self._cancelled.add(gateway_ref)
        return GatewayResult("cancelled", amount_minor, currency)

    def refund(self, gateway_ref: str, amount_minor: int, currency: str, refund_id: str, key: str) -> Refund:
        """Of what any process captured, as far as the reference says: another process's refunds are not known."""
        stands = self._refunds.get((gateway_ref, key))
        if stands is None:
            captured = 0 if gateway_ref in self._cancelled else _read(gateway_ref)[0]
            if amount_minor + self._given_back(gateway_ref) > captured:
                raise GatewayRefusedError(f"{gateway_ref} has captured less than {amount_minor}", is_final=True)
            created_at = time.time_ns() // 1_000_000
            stands = Refund(f"re_{refund_id}", refund_id, "refunded", amount_minor, currency, created_at)
            self._refunds[gateway_ref, key] = stands
        return stands

    def refunds(self, gateway_ref: str) -> list[Refund]:
        """Those of this process: there is no dashboard where others could be made."""
        _read(gateway_ref)
        return [refund for (of, _), refund in self._refunds.items() if of == gateway_ref]

    def disputes(self, gateway_ref: str) -> list[Dispute]:
        """None: no money moved that somebody could want back."""
        _read(gateway_ref)
        return []

    def listed(self, kind: Kind, since_ms: int, until_ms: int) -> list[Movement]:
        """Raises GatewayAnswerError: what other processes captured is known to nobody, so no list is whole."""
        raise GatewayAnswerError("the simulated gateway has no lists, as it keeps nothing")

    def _given_back(self, gateway_ref: str) -> int:
        return sum(refund.amount_minor for refund in self.refunds(gateway_ref))


def _read(gateway_ref: str) -> tuple[int, str]:
    match gateway_ref.split("_"):
        case ["sim", amount, currency, _] if amount.isdecimal():
            return int(amount), currency
    raise GatewayAnswerError(f"{gateway_ref} is not a reference of the simulated gateway")
