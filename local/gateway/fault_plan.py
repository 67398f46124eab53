"""Which fault strikes which call of the payment gateway simulator.

The rule: everything is drawn from seed, payment id and the number of the call, so that no interleaving changes what
finally becomes of a payment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

CALLS = ("prepare", "charge", "status", "search", "cancel", "refund", "charges", "refunds", "disputes")
# Where in a call a fault strikes. Before: nothing takes effect and nothing is stored under the key.
BEFORE = frozenset({"error_503", "error_429", "timeout_before", "reset_before"})
# Inside: part of the execution; the answer, a 500 included, is stored under the key and replayed.
# A refund that is `pending` is given back after the delay's length, one that `fails_later` has failed by then.
INSIDE = frozenset(
    {
        *("delay", "decline", "authentication_required", "pending", "fails_later"),
        *("error_500_before", "error_500_after"),
    }
)
# After: the effect stands and the stored answer is right, but what the client sees of it is not.
AFTER = frozenset(
    {
        *("timeout_after", "reset_after", "not_json", "truncated", "error_502_after"),
        *("wrong_amount", "wrong_currency", "unknown_state", "ends_early"),
    }
)
FAULTS = BEFORE | INSIDE | AFTER


@dataclass(frozen=True)
class Fault:
    """One fault of one call; `seconds` is the length of a delay."""

    kind: str
    seconds: float = 1.0


def draw(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class FaultPlan:
    """Which fault strikes the n-th call of a payment, by rate.

    rates: `<call>.<fault>` -> probability; `charge.decline` decides once for a payment, all others anew at each call.
    """

    def __init__(self, seed: int, rates: Mapping[str, float]) -> None:
        self._seed = seed
        self._decline = rates.get("charge.decline", 0.0)
        self._rates: dict[str, list[tuple[str, float]]] = {call: [] for call in CALLS}
        for name, rate in sorted(rates.items()):
            call, _, fault = name.partition(".")
            if call not in CALLS or fault not in FAULTS or not 0 <= rate <= 1:
                raise ValueError(
                    f"rate {name}={rate}: name a call ({', '.join(CALLS)}), a fault ({', '.join(sorted(FAULTS))}) "
                    "and a probability from 0 to 1, as in charge.timeout_after=0.02"
                )
            if fault != "decline":
                self._rates[call].append((fault, rate))

    def declines(self, payment_id: str) -> bool:
        return draw(self._seed, payment_id, "decline") < self._decline

    def fault(self, payment_id: str, call: str, number: int, delay_seconds: float) -> Fault | None:
        """The fault of this payment's call `number` (from 0), or None."""
        value = draw(self._seed, payment_id, call, number)
        for kind, rate in self._rates[call]:
            if value < rate:
                return Fault(kind, delay_seconds)
            value -= rate
        return None
