"""Refunds that are sent, drawn from the seed: full and partial, too much together, twice, at fault, before the charge.

As in traffic.py, the code under test reads only the body, and the auditor never parses one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.world import HOUR, MINUTE, SECOND, World

# A published test number, as traffic.py has it.
_CARD = "4111111111111111"


@dataclass(frozen=True)
class Asked:
    """What a refund message asks for; `is_valid`: whether it is one at all."""

    payment_id: str
    refund_id: str
    amount_minor: int
    currency: str = "USD"
    is_valid: bool = True

    @property
    def key(self) -> str:
        return f"txn-{self.payment_id}#refund#{self.refund_id}"

    @property
    def body(self) -> str:
        amount = f"{self.amount_minor // 100}.{self.amount_minor % 100:02d}"
        if not self.is_valid:
            amount = f'"{amount}", "note": "{_CARD}"'
        ids = f'"payment_id": "{self.payment_id}", "refund_id": "{self.refund_id}"'
        return f'{{"refund": {{{ids}, "amount": {amount}, "currency": "{self.currency}"}}}}'


def has_refunds(world: World) -> bool:
    """Most seeds have none: what they are known to meet of payments stays as it is."""
    return world.draw(REFUNDS) < 0.3


# Of this name no seed has refunds that mutations.py or a regression names for a race which few seeds meet.
REFUNDS = "refunds/60164"


def refunds(world: World, payments: dict[str, tuple[int, int]], send: Callable[[int, str, Asked], None]) -> None:
    """Refunds of payments, which are by id their amount and when they are sent; `send(at, name, asked)`."""
    if not has_refunds(world):
        return
    for payment_id, (amount_minor, sent_at) in payments.items():
        drawn = f"refunds/{payment_id}"
        if world.draw(drawn) < 0.4:
            continue
        for number in range(world.between(drawn, 1, 4)):
            name = f"{drawn}/{number}"
            share = world.pick(f"{name}/share", (1, 2, 3, 3, 5))
            asked = Asked(payment_id, f"r{number}", max(1, amount_minor // share))
            # Before the charge, soon after it, and when the gateway has forgotten its keys.
            within = world.pick(f"{name}/within", (5 * SECOND, MINUTE, 20 * MINUTE, 20 * MINUTE, 26 * HOUR))
            at = sent_at + int(world.draw(f"{name}/at") * within)
            if number and world.draw(f"{name}/together") < 0.5:
                at = sent_at + int(world.draw(f"{drawn}/0/at") * 20 * MINUTE) + world.between(f"{name}/after", 0, 30)
            kind = world.draw(f"{name}/kind")
            if kind < 0.05:
                asked = Asked(payment_id, f"r{number}", asked.amount_minor, "EUR")
            elif kind < 0.1:
                asked = Asked(f"{payment_id}-unknown", f"r{number}", asked.amount_minor)
            elif kind < 0.15:
                asked = Asked(payment_id, f"r{number}", asked.amount_minor, is_valid=False)
            elif kind < 0.2:
                asked = Asked(payment_id, f"r{number}", 2 * amount_minor)
            send(at, name, asked)
            again = world.draw(f"{name}/again")
            later = at + int(world.draw(f"{name}/later") * world.pick(f"{name}/until", (100, MINUTE, HOUR)))
            if again < 0.25:
                send(later, name, asked)
            elif again < 0.32 and asked.is_valid:
                send(later, name, Asked(asked.payment_id, asked.refund_id, asked.amount_minor + 1))
