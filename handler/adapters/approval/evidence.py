"""What rules found in a payment's texts, as an approver reads it: each rule's own weight, and the words that hit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handler.adapters.fraud import screened_fields
from handler.domain.errors import ScoringError
from handler.domain.payment import Payment, RuleHit
from scoring.model import AMOUNT_RULE_ID, FIELDS, Rule
from scoring.table import RuleTableError, Table

if TYPE_CHECKING:
    from scoring.kernel import Engine


class TableEvidence:
    """`Evidence` over the deployment's rule table; `engine` has read it."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        self._table = table

    def hits(self, payment: Payment, rule_ids: Sequence[int]) -> list[RuleHit]:
        fields = screened_fields(payment)
        try:
            found = self._engine.screen(self._table, [fields])[0]
            known = [rule for rule in map(self._rule, rule_ids) if rule is not None]
            return [self._hit(rule, fields, found) for rule in known]
        except (ValueError, OverflowError, MemoryError, RuleTableError) as error:
            raise ScoringError(f"{payment.payment_id}: {error}") from error

    def _rule(self, rule_id: int) -> Rule | None:
        """None for the amount, which is no rule, and for what an older table had."""
        try:
            return None if rule_id == AMOUNT_RULE_ID else self._table.rule(rule_id)
        except KeyError:
            return None

    def _hit(self, rule: Rule, fields: Sequence[str], found: Sequence[Sequence[int]]) -> RuleHit:
        at = next((at for at, hits in enumerate(found) if rule.id in hits), None)
        if at is None:
            # The fingerprint is no text of the payment.
            field = "fingerprint" if "fingerprint" in rule.fields else ""
            return RuleHit(rule.id, rule.weight, field, "")
        text = fields[at] if rule.mode == "value" else self._words(rule, at, fields[at])
        return RuleHit(rule.id, rule.weight, FIELDS[at], text)

    def _words(self, rule: Rule, at: int, text: str) -> str:
        """The fewest whole words of a text that the rule hits: with more words around them it hits as well."""
        words = text.split(" ")
        least, end = 1, len(words)
        while least < end:
            middle = (least + end) // 2
            least, end = (least, middle) if self._is_hit(rule, at, words[:middle]) else (middle + 1, end)
        start, most = 0, end - 1
        while start < most:
            middle = (start + most + 1) // 2
            start, most = (middle, most) if self._is_hit(rule, at, words[middle:end]) else (start, middle - 1)
        return " ".join(words[start:end])

    def _is_hit(self, rule: Rule, at: int, words: Sequence[str]) -> bool:
        return rule.id in self._engine.screen(self._table, [(*[""] * at, " ".join(words))])[0][at]
