"""Which currencies a deployment may have: the table of ISO 4217, and that function and Terraform refuse the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handler.domain.currencies import CODES, TWO_DIGITS
from handler.domain.errors import ConfigurationError
from handler.queue_function import create
from handler.settings import read_settings

LISTED = [code for codes in CODES.values() for code in codes.split()]


def test_every_code_is_three_capital_letters_and_stands_once():
    assert all(re.fullmatch("[A-Z]{3}", code) for code in LISTED)
    assert len(set(LISTED)) == len(LISTED)


def test_the_table_has_as_many_codes_as_the_published_list():
    assert {digits: len(codes.split()) for digits, codes in CODES.items()} == {0: 17, 2: 139, 3: 7, 4: 2, None: 13}


@pytest.mark.parametrize(
    ("code", "digits"),
    [("JPY", 0), ("ISK", 0), ("USD", 2), ("EUR", 2), ("HUF", 2), ("MGA", 2), ("KWD", 3), ("CLF", 4), ("XXX", None)],
)
def test_digits_are_the_standards_and_not_a_payment_companys(code, digits):
    assert code in CODES[digits].split()


@pytest.mark.parametrize("code", ["BGN", "HRK", "ANG", "DEM", "usd", "US", "USDX", "ABC", "U D"])
def test_a_code_that_is_not_current_fails_init_by_name(code):
    with pytest.raises(ConfigurationError, match="PAYMENT_CURRENCY"):
        create({"PAYMENT_CURRENCY": code, "SCORING_ENGINE": "pure"})


@pytest.mark.parametrize("code", [code for code in LISTED if code not in CODES[2].split()])
def test_a_currency_of_other_than_two_digits_fails_init_by_name(code):
    with pytest.raises(ConfigurationError, match="PAYMENT_CURRENCY"):
        create({"PAYMENT_CURRENCY": code, "SCORING_ENGINE": "pure"})


@pytest.mark.parametrize("code", CODES[2].split())
def test_a_currency_of_two_digits_is_taken(code):
    assert read_settings({"PAYMENT_CURRENCY": code}).rules.limits.currency == code


def test_terraform_takes_the_same_currencies_at_plan():
    text = (Path(__file__).parents[3] / "terraform" / "variables.tf").read_text()
    block = re.search(r'^variable "payment_currency" \{\n(.*?)^\}', text, re.DOTALL | re.MULTILINE)
    assert block
    lines = re.findall(r'^ +"([A-Z ]+)",$', block.group(1), re.MULTILINE)
    assert sorted(" ".join(lines).split()) == sorted(TWO_DIGITS)
