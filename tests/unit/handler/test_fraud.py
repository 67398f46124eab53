"""The fraud scoring adapter: every field that scoring knows is the payment's own text, or there is no adapter."""

from types import SimpleNamespace
from typing import Any

import pytest

from handler.adapters import fraud
from handler.domain.payment import Address, Payment
from handler.domain.score import identity
from scoring.model import FIELDS

TEXTS = {name: f"the {name}" for name in FIELDS}
ADDRESS = Address(**{name: TEXTS[name] for name in Address._fields})
OTHERS = {name: text for name, text in TEXTS.items() if name not in Address._fields}
PAYMENT = Payment(payment_id="pay-1", amount_minor=100, currency="USD", billing_address=ADDRESS, **OTHERS)


def screened(payment: Payment) -> tuple[str, ...]:
    """The texts that reach the engine."""
    batches: list[Any] = []

    def score_batch(table: object, payments: list[Any], **_: object) -> list[Any]:
        batches.append(payments)
        return []

    fraud.TableFraudScoring(SimpleNamespace(score_batch=score_batch), None, iterations=1).score_batch([payment])
    return batches[0][0].fields  # type: ignore[no-any-return]


def test_every_field_that_scoring_knows_is_the_payments_text_of_that_name() -> None:
    assert screened(PAYMENT) == tuple(TEXTS[name] for name in FIELDS)


def test_payment_without_an_address_has_empty_texts_for_it() -> None:
    expected = tuple("" if name in Address._fields else TEXTS[name] for name in FIELDS)
    assert screened(PAYMENT._replace(billing_address=None)) == expected


def test_field_that_scoring_knows_and_payments_lack_is_an_error_at_init(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fraud, "FIELDS", (*FIELDS, "shipping_note"))
    with pytest.raises(TypeError, match="scoring screens shipping_note, which handler"):
        fraud.TableFraudScoring(None, None, iterations=1)


def test_the_identity_folds_ascii_case_and_spaces_and_nothing_else():
    address = Address("1  MAIN Street ", "K\u00d6LN", "\u0130L", "[@`{AZ az]")
    payment = Payment("pay-1", "ord-1", "CUST-1", 2599, "USD", "credit_card", "Ada\tLovelace", billing_address=address)
    parts = ["address", "ada\tlovelace", "1 main street", "k\u00d6ln", "\u0130l", "[@`{az az]"]
    assert identity(payment) == "\x1f".join(parts).encode()
    assert identity(payment._replace(billing_address=None)) == b"customer\x1fcust-1"
