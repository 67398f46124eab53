"""Amounts as Stripe counts them: exact both ways, and refused where they cannot be said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.adapters.gateways.stripe_amounts import CURRENCIES, from_stripe, to_stripe
from handler.domain.currencies import DIGITS
from handler.domain.errors import GatewayAnswerError, GatewayRefusedError

# Stripe's own lists. UGX stands in the first one too, but its "Special cases" want two digits, and those count.
ZERO_DECIMAL = ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
THREE_DECIMAL = ("BHD", "JOD", "KWD", "OMR", "TND")


@pytest.mark.parametrize(
    ("currency", "amount_minor", "amount"),
    [
        ("USD", 2599, 2599),
        ("JPY", 500, 500),
        ("KWD", 1500, 1500),
        ("MGA", 500, 5),
        ("ISK", 500, 50_000),
        ("UGX", 1, 100),
    ],
)
def test_an_amount_is_said_in_stripes_own_smallest_unit(currency, amount_minor, amount):
    assert to_stripe(amount_minor, currency) == amount
    assert from_stripe(amount, currency) == amount_minor


@pytest.mark.parametrize(
    ("currency", "amount_minor"), [("KWD", 1505), ("BHD", 1), ("MGA", 501), ("CLF", 10_000), ("IQD", 1000), ("XXX", 1)]
)
def test_what_stripe_cannot_be_told_exactly_is_refused_for_good_and_never_rounded(currency, amount_minor):
    with pytest.raises(GatewayRefusedError, match=f"{amount_minor} minor units of {currency}") as caught:
        to_stripe(amount_minor, currency)
    assert caught.value.is_final


@pytest.mark.parametrize(("currency", "amount"), [("ISK", 50_001), ("UGX", 150)])
def test_an_answer_over_no_whole_minor_unit_is_no_amount(currency, amount):
    with pytest.raises(GatewayAnswerError, match="no whole minor unit"):
        from_stripe(amount, currency)


def test_every_currency_of_stripes_is_one_of_the_standards():
    assert set(DIGITS) >= CURRENCIES


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_one_whole_unit_of_each_currency_is_what_stripes_own_lists_make_of_it(currency):
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    assert to_stripe(10 ** DIGITS[currency], currency) == 10**digits


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(1, 10**12))
def test_what_can_be_said_comes_back_as_it_was(currency, amount_minor):
    try:
        amount = to_stripe(amount_minor, currency)
    except GatewayRefusedError:
        return
    assert from_stripe(amount, currency) == amount_minor
