"""A payment gateway inside the process, for trying the function out and for measuring it; no money anywhere.

It approves every charge, and always with the same answer: the reference says all there is to know, so that any process
answers alike.
"""

from __future__ import annotations

import hashlib

from handler.domain.errors import GatewayAnswerError
from handler.domain.payment import GatewayResult, Payment


class SimulatedGateway:
    """`PaymentGateway` whose references are `sim_<amount in minor units>_<currency>_<hash of the key>`."""

    def __init__(self) -> None:
        self.captures: dict[str, int] = {}

    def prepare(self, payment: Payment, key: str) -> str:
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        return f"sim_{payment.amount_minor}_{payment.currency}_{digest}"

    def charge(self, gateway_ref: str, key: str) -> GatewayResult:
        amount_minor, currency = _read(gateway_ref)
        self.captures[gateway_ref] = amount_minor
        code = hashlib.sha256(f"{gateway_ref}:{key}".encode()).hexdigest()[:6].upper()
        return GatewayResult("approved", amount_minor, currency, f"AUTH{code}", "2024-01-01T12:00:00Z")

    def status(self, gateway_ref: str) -> GatewayResult:
        """`prepared` always: repeating a charge gives the same answer, and nothing else is remembered."""
        amount_minor, currency = _read(gateway_ref)
        return GatewayResult("prepared", amount_minor, currency)


def _read(gateway_ref: str) -> tuple[int, str]:
    match gateway_ref.split("_"):
        case ["sim", amount, currency, _] if amount.isdecimal():
            return int(amount), currency
    raise GatewayAnswerError(f"{gateway_ref} is not a reference of the simulated gateway")
