"""Every fault is reported with its field; nothing but known fields goes on; equal payments hash alike."""

import json

import pytest

from handler.domain.card_data import mask_documents
from handler.domain.parse import parse
from handler.domain.payment import Fault
from handler.domain.validate import Limits, Validation, from_canonical, validate
from scoring import _pure
from tests.support.payments import CARD, body


def check(text: str, limits: Limits | None = None) -> Validation:
    (masked,) = mask_documents([parse(text)], _pure.find_card_numbers)
    return validate(masked.document, limits or Limits(), card_faults=masked.faults)


def faults(**changes: object) -> tuple[Fault, ...]:
    return check(body(**changes)).faults


def test_the_published_message_is_a_payment():
    result = check(body())
    assert result.faults == ()
    assert result.payment is not None
    assert result.payment.amount_minor == 2599
    assert result.payment.transaction_id == "txn-pay-abc123"
    assert result.payment.billing_address is not None
    assert result.payment.billing_address.complete


def test_the_billing_address_is_optional():
    assert faults(billing_address=None) == ()


@pytest.mark.parametrize("name", ["payment_id", "order_id", "customer_id", "amount", "payment_method"])
def test_a_missing_field_is_named(name):
    assert faults(**{name: None}) == (Fault(name, "missing"),)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"payment_id": 5}, Fault("payment_id", "malformed")),
        ({"payment_id": ""}, Fault("payment_id", "malformed")),
        ({"payment_id": "a" * 49}, Fault("payment_id", "malformed")),
        ({"payment_id": "pay abc"}, Fault("payment_id", "malformed")),
        ({"payment_id": "pay-é"}, Fault("payment_id", "malformed")),
        ({"order_id": 5}, Fault("order_id", "wrong_type")),
        ({"order_id": "  "}, Fault("order_id", "empty")),
        ({"order_id": "x" * 65}, Fault("order_id", "too_long")),
        ({"customer_id": ["c"]}, Fault("customer_id", "wrong_type")),
        ({"customer_id": "a\x07b"}, Fault("customer_id", "control_character")),
        ({"customer_name": "a\nb"}, Fault("customer_name", "control_character")),
        ({"customer_name": "\ud800"}, Fault("customer_name", "lone_surrogate")),
        ({"payment_method": "Credit Card"}, Fault("payment_method", "malformed")),
        ({"currency": "EUR"}, Fault("currency", "unsupported_currency")),
        ({"currency": 1}, Fault("currency", "unsupported_currency")),
        ({"billing_address": "123 Main St"}, Fault("billing_address", "wrong_type")),
        ({"billing_address": {"zip": 98101}}, Fault("billing_address.zip", "wrong_type")),
        ({"cvv": "123"}, Fault("*", "sensitive_authentication_data")),
        ({"card": [{"Track-2": f"{CARD}=2912101"}]}, Fault("*", "sensitive_authentication_data")),
        ({"order_id": CARD}, Fault("order_id", "card_number")),
        ({"payment_id": CARD}, Fault("payment_id", "card_number")),
    ],
)
def test_a_wrong_field_is_named_with_its_reason(changes, fault):
    assert faults(**changes) == (fault,)


@pytest.mark.parametrize(
    ("amount", "reason_code"),
    [
        ("-1", "negative_amount"),
        ("0", "zero_amount"),
        ("0.00", "zero_amount"),
        ("1.999", "malformed_amount"),
        ("1e2", "malformed_amount"),
        ("1E3000000", "malformed_amount"),
        ("9" * 40, "malformed_amount"),
        ("10000.01", "amount_too_large"),
        ('"25.99"', "wrong_type"),
        ("true", "wrong_type"),
        ("[25]", "wrong_type"),
    ],
)
def test_an_amount_that_is_not_one_is_refused(amount, reason_code):
    text = body().replace("25.99", amount)
    assert check(text).faults == (Fault("amount", reason_code),)


@pytest.mark.parametrize(("amount", "minor"), [("0.01", 1), ("25", 2500), ("25.9", 2590), ("10000.00", 1_000_000)])
def test_an_amount_becomes_minor_units_exactly(amount, minor):
    payment = check(body().replace("25.99", amount)).payment
    assert payment is not None
    assert payment.amount_minor == minor


def test_every_fault_is_reported_in_one_pass():
    assert {fault.field for fault in faults(order_id=None, amount=-1, currency="EUR", customer_id=3)} == {
        "order_id",
        "amount",
        "currency",
        "customer_id",
    }


def test_names_outside_ascii_are_welcome():
    assert faults(customer_name="Zoë Müller", billing_address={"city": "São Paulo", "street": "東京"}) == ()


def test_unknown_fields_are_neither_stored_nor_hashed():
    plain, extended = check(body()), check(body(loyalty={"points": 3}, trace="x"))
    assert plain == extended
    assert "loyalty" not in ((plain.payment and plain.payment.canonical) or "")


def test_equal_payments_hash_alike_however_they_are_spelled():
    one = check(body().replace("25.99", "25.90"))
    other = check(json.dumps(dict(reversed(list(json.loads(body(currency="USD")).items())))).replace("25.99", "25.9"))
    assert one.request_hash == other.request_hash


@pytest.mark.parametrize(
    "changes",
    [{"amount": 26.0}, {"order_id": "ord-124"}, {"customer_name": "A"}, {"billing_address": {"street": "124 Main St"}}],
)
def test_every_known_field_is_part_of_the_hash(changes):
    assert check(body(**changes)).request_hash != check(body()).request_hash


@pytest.mark.parametrize("changes", [{"cvv": "123"}, {"order_id": 123}, {"order_id": None}])
def test_a_corrected_message_is_other_content_than_the_rejected_one(changes):
    correct = check(body(order_id="123"))
    wrong = check(body(**{"order_id": "123", **changes}))
    assert wrong.payment is None
    assert wrong.request_hash != correct.request_hash


def test_the_canonical_text_reads_back_as_the_same_payment():
    payment = check(body(customer_name="Zoë", description="two lattes")).payment
    assert payment is not None
    assert from_canonical(payment.canonical) == payment


def test_a_canonical_text_of_something_else_is_refused():
    with pytest.raises(ValueError, match="not a canonical payment"):
        from_canonical('{"amount": -1, "v": 1}')
    for version in ("", ', "v": "1"', ', "v": 1.5', ', "v": null'):
        with pytest.raises(ValueError, match="no canonical text"):
            from_canonical(f'{{"amount": -1{version}}}')


def test_a_payment_cannot_be_changed():
    payment = check(body()).payment
    assert payment is not None
    with pytest.raises(AttributeError):
        payment.amount_minor = 1  # type: ignore[misc]
