"""The fraud scoring port over the `scoring` package, with a deployment's rule table, iterations and pepper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from handler.domain.currencies import minor_digits
from handler.domain.errors import FraudServiceUnavailableError, ScoringError
from handler.domain.payment import Address, Assessment, Payment, Reason
from handler.domain.ports import FraudScoring
from handler.domain.score import identity
from scoring.model import AMOUNT_RULE_ID, FIELDS, Score
from scoring.model import Payment as ScoredPayment
from scoring.table import RuleTableError, Table

if TYPE_CHECKING:
    from scoring.kernel import Engine

_AMOUNT_REASON = "amount"
# Beside the amount. A text can be made to hit any number of rules, and its item must stay below DynamoDB's 400 KB.
REASONS_MAX = 100
_NO_ADDRESS = Address()
_AS_IT_IS: Final = (1, 1)


class TableFraudScoring:
    """`table` is an open rule table that the engine has read; `pepper` may be empty.

    rates: by currency, how many of the reference currency one of it is, as (numerator, denominator), both above 0. The
    amount curve's reference currency has two digits; a currency without a rate is scored as if it were that one.

    Raises TypeError where scoring knows a field that payments lack: its rules would never hit, and nothing say so.
    """

    def __init__(
        self,
        engine: Engine,
        table: Table,
        *,
        iterations: int,
        pepper: bytes = b"",
        pepper_version: str = "",
        rates: Mapping[str, tuple[int, int]] = MappingProxyType({}),
    ) -> None:
        lacking = [name for name in FIELDS if name not in (*Payment._fields, *Address._fields)]
        if lacking:
            raise TypeError(
                f"scoring screens {', '.join(lacking)}, which handler.domain.payment does not have: "
                "add it to Payment or Address and read it from the message"
            )
        self._engine = engine
        self._table = table
        self._iterations = iterations
        self._pepper = pepper
        self._pepper_version = pepper_version
        self._rates = rates

    def score_batch(self, payments: Sequence[Payment]) -> list[Assessment]:
        scored = [
            ScoredPayment(identity(payment), self._amount(payment), screened_fields(payment)) for payment in payments
        ]
        try:
            scores = self._engine.score_batch(self._table, scored, iterations=self._iterations, pepper=self._pepper)
            return [self._assessment(score) for score in scores]
        except (ValueError, OverflowError, MemoryError, KeyError, RuleTableError) as error:
            # Whatever a damaged table or an odd payment does in either engine: it must not take the batch with it.
            raise ScoringError(f"{len(payments)} payments: {error}") from error

    def _amount(self, payment: Payment) -> int:
        """The amount in hundredths of the reference currency, rounded up: no rate makes a payment less risky or 0."""
        numerator, denominator = self._rates.get(payment.currency, _AS_IT_IS)
        scale: int = 10 ** minor_digits(payment.currency)
        return -(-payment.amount_minor * 100 * numerator // (denominator * scale))

    def _assessment(self, score: Score) -> Assessment:
        return Assessment(
            risk=score.risk,
            fraud_score=score.fraud_score,
            action=score.action,
            reasons=tuple(Reason(rule_id, self._reason(rule_id), parts) for rule_id, parts in _heaviest(score.reasons)),
            fingerprint=score.fingerprint,
            fingerprint_version=self._pepper_version,
        )

    def _reason(self, rule_id: int) -> str:
        return self._table.rule(rule_id).reason if rule_id else _AMOUNT_REASON


def _heaviest(reasons: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Those that took the most, the amount always among them, in their order; the score has counted all of them."""
    if len(reasons) <= REASONS_MAX + 1:
        return reasons
    kept = sorted(reasons, key=lambda reason: (reason[0] != AMOUNT_RULE_ID, -reason[1], reason[0]))
    return sorted(kept[: REASONS_MAX + 1])


class FailingFraudScoring:
    """The fraud check as a service that fails for a share of all calls, to show what the workflow does then."""

    def __init__(self, scoring: FraudScoring, failure_rate: float, random: Callable[[], float]) -> None:
        self._scoring = scoring
        self._failure_rate = failure_rate
        self._random = random

    def score_batch(self, payments: Sequence[Payment]) -> list[Assessment]:
        if self._random() < self._failure_rate:
            raise FraudServiceUnavailableError("the fraud service failed, as FRAUD_SERVICE_FAILURE_RATE asks it to")
        return self._scoring.score_batch(payments)


def screened_fields(payment: Payment) -> tuple[str, ...]:
    """The texts that rules look at, in the order of FIELDS."""
    address = payment.billing_address or _NO_ADDRESS
    return tuple(getattr(address if name in Address._fields else payment, name) for name in FIELDS)
