"""Which currencies a deployment may have, and that each is read, shown, limited and scored by its own minor units.

Function and Terraform take the same ones: the table of ISO 4217.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from handler.adapters.fraud import TableFraudScoring
from handler.domain.canonical import VERSIONS
from handler.domain.currencies import CODES, DIGITS
from handler.domain.errors import ConfigurationError
from handler.domain.money import AMOUNT_MINOR_MAX, as_text, to_major, to_minor
from handler.domain.parse import parse
from handler.domain.payment import Fault, Payment
from handler.domain.process import read, settle
from handler.domain.rules import Rules
from handler.domain.score import Routing
from handler.domain.validate import Limits, from_canonical, validate
from handler.queue_function import create
from handler.settings import read_settings
from scoring.kernel import load_engine
from scoring.table import open_table
from tests.support.payments import World, body, message, work

ROOT = Path(__file__).parents[3]
LISTED = [code for codes in CODES.values() for code in codes.split()]
OTHERS = "EUR:9000.00:27/25,JPY:1500000:1/150:75000, KWD:3000.000:13/4"


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


@pytest.mark.parametrize("code", CODES[None].split())
def test_a_currency_without_a_minor_unit_fails_init_by_name(code):
    with pytest.raises(ConfigurationError, match="PAYMENT_CURRENCY"):
        create({"PAYMENT_CURRENCY": code, "SCORING_ENGINE": "pure"})
    with pytest.raises(ConfigurationError, match=f"OTHER_CURRENCIES is '{code}:1:1'"):
        create({"OTHER_CURRENCIES": f"{code}:1:1", "SCORING_ENGINE": "pure"})


@pytest.mark.parametrize("code", DIGITS)
def test_a_currency_with_a_minor_unit_is_taken_up_to_ten_thousand_of_it(code):
    limits = read_settings({"PAYMENT_CURRENCY": code}).rules.limits
    assert limits == Limits(code, 10_000 * 10 ** DIGITS[code])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("currency", "amount", "minor", "text"),
    [
        ("JPY", "500", 500, "500"),
        ("KRW", "1000", 1000, "1000"),
        ("KWD", "1.5", 1500, "1.500"),
        ("KWD", "1.505", 1505, "1.505"),
        ("CLF", "0.0001", 1, "0.0001"),
        ("USD", "25.9", 2590, "25.90"),
        ("MGA", "0.01", 1, "0.01"),
    ],
)
def test_an_amount_is_read_stored_and_shown_by_its_currencys_own_minor_unit(version, currency, amount, minor, text):
    named = validate(
        parse(body(amount=None)[:-1] + f', "amount": {amount}, "currency": "{currency}"}}'), LIMITS, version
    )
    unnamed = validate(parse(body(amount=None)[:-1] + f', "amount": {amount}}}'), Limits(currency), version)
    assert named.payment is not None
    assert named.payment == unnamed.payment
    assert (named.payment.amount_minor, named.payment.currency) == (minor, currency)
    assert named.payment.canonical.startswith(f'{{"amount":{text},')
    assert from_canonical(named.payment.canonical) == named.payment
    assert as_text(minor, currency) == text
    assert to_major(minor, currency) == Decimal(text)


LIMITS = Limits("USD", 1_000_000, dict.fromkeys(DIGITS, AMOUNT_MINOR_MAX))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("currency", "amount"), [("JPY", "500.5"), ("USD", "25.999"), ("KWD", "1.5051"), ("CLF", "1.23456")]
)
def test_an_amount_of_more_decimals_than_its_currency_has_is_refused_and_never_rounded(version, currency, amount):
    text = body(amount=None)[:-1] + f', "amount": {amount}, "currency": "{currency}"}}'
    result = validate(parse(text), LIMITS, version)
    assert result.faults == (Fault("amount", "malformed_amount"),)
    assert result.beyond_limits is None


def test_no_amount_that_an_item_cannot_hold_is_read_as_one():
    text = body(amount=None)[:-1] + ', "amount": 999999999999.999, "currency": "KWD"}'
    result = validate(parse(text), LIMITS)
    assert (result.faults, result.beyond_limits) == ((Fault("amount", "amount_too_large"),), None)


def test_in_version_2_needless_zeros_are_no_decimals_of_any_currency():
    texts = [body(amount=None, currency="JPY")[:-1] + f', "amount": {amount}}}' for amount in ("500", "500.00", "5e2")]
    one, *others = [validate(parse(text), LIMITS, 2) for text in texts]
    assert one.payment is not None
    assert all(other == one for other in others)


@pytest.mark.parametrize(
    "case",
    json.loads((ROOT / "tests" / "golden" / "currencies.json").read_text()),
    ids=lambda case: case["PAYMENT_CURRENCY"],
)
def test_published_cases_are_read_into_minor_units_or_refused(case):
    variables = {"PAYMENT_CURRENCY": case["PAYMENT_CURRENCY"]}
    if case["expected_minor"] < 0:
        with pytest.raises(ConfigurationError, match="PAYMENT_CURRENCY"):
            read_settings(variables)
        return
    world = World(rules=read_settings(variables).rules)
    [reading] = read([message(json.dumps(case["message"]))], world.rules, world.ports, lambda: 30_000)
    assert settle(reading, world.rules, world.ports, work()) == "completed"
    item = world.stored(f"txn-{case['message']['payment_id']}")
    assert (item.amount_minor, item.currency) == (case["expected_minor"], case["PAYMENT_CURRENCY"])
    assert world.gateway.captures == {item.gateway_ref: case["expected_minor"]}


# ---- several currencies -------------------------------------------------------------------------------------------


def test_each_currency_has_its_own_largest_amount_approval_amount_and_rate():
    settings = read_settings(
        {"OTHER_CURRENCIES": OTHERS, "APPROVAL_AMOUNT_MINOR": "50000", "PAYMENT_CURRENCY_RATE": "11/10"}
    )
    assert settings.rules.limits == Limits("USD", 1_000_000, {"EUR": 900_000, "JPY": 1_500_000, "KWD": 3_000_000})
    assert settings.rules.routing == Routing({"USD": 50_000, "JPY": 75_000})
    assert settings.rates == {"USD": (11, 10), "EUR": (27, 25), "JPY": (1, 150), "KWD": (13, 4)}


@pytest.mark.parametrize(
    "wrong",
    [
        *("EUR", "EUR:9000", "eur:9000:1", "EUR:9000.001:1", "EUR:0:1", "EUR:1,5:1", "EUR:1:1:", "EUR:1:1:1:1"),
        *("EUR:1:0", "EUR:1:0/1", "EUR:1:1/0", "EUR:1:-1", "EUR:1:1.08", "EUR:1:1:0", "EUR:1:1:1.5", "USD:1:1"),
        *("JPY:1.0:1", "KWD:999999999999:1", "XAU:1:1", "DEM:1:1", "EUR:1:1,EUR:2:1", "EUR:1:1,,JPY:1:1", ","),
    ],
)
def test_other_currencies_that_cannot_be_meant_fail_init_by_name(wrong):
    with pytest.raises(ConfigurationError, match=r"^OTHER_CURRENCIES is "):
        read_settings({"OTHER_CURRENCIES": wrong})


@pytest.mark.parametrize("rate", ["0", "0/1", "1/0", "1.08", "-1", "1/", "1/2/3"])
def test_a_rate_that_is_no_fraction_above_zero_fails_init_by_name(rate):
    with pytest.raises(ConfigurationError, match=r"^PAYMENT_CURRENCY_RATE is "):
        read_settings({"PAYMENT_CURRENCY_RATE": rate})


@pytest.mark.parametrize(
    ("variables", "value"),
    [({"PAYMENT_CURRENCY": "JPY"}, "0.5"), ({"PAYMENT_CURRENCY": "KWD"}, "999999999999"), ({}, "10.001")],
)
def test_a_largest_amount_that_its_currency_cannot_have_fails_init_by_name(variables, value):
    with pytest.raises(ConfigurationError, match=f"^PAYMENT_AMOUNT_MAX is '{value}'"):
        read_settings({**variables, "PAYMENT_AMOUNT_MAX": value})


@pytest.mark.parametrize(
    ("changes", "reason_code"),
    [
        ({"currency": "JPY", "amount": 1_500_001}, "amount_too_large"),
        ({"currency": "EUR", "amount": 9000.01}, "amount_too_large"),
        ({"amount": 10000.01}, "amount_too_large"),
        ({"currency": "GBP"}, "unsupported_currency"),
        ({"currency": None}, None),
        ({"currency": "JPY", "amount": 1_500_000}, None),
    ],
)
def test_a_message_is_held_to_the_limits_of_its_own_currency(changes, reason_code):
    limits = read_settings({"OTHER_CURRENCIES": OTHERS}).rules.limits
    assert [fault.reason_code for fault in validate(parse(body(**changes)), limits).faults] == (
        [reason_code] if reason_code else []
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("currency", "amount"), [("KWD", "1.505"), ("JPY", "1400000"), ("EUR", "5.5")])
def test_what_was_claimed_in_a_currency_is_the_same_payment_once_it_is_no_longer_taken(version, currency, amount):
    text = body(amount=None, currency=currency)[:-1] + f', "amount": {amount}}}'
    claimed = validate(parse(text), read_settings({"OTHER_CURRENCIES": OTHERS}).rules.limits, version)
    later = validate(parse(text), Limits(), version)
    assert claimed.payment is not None
    assert later.payment is None
    assert later.claimed == claimed.payment


def test_a_person_is_asked_from_the_approval_amount_of_the_payments_own_currency():
    world = World(rules=Rules(limits=LIMITS, routing=Routing({"JPY": 500})))
    for payment_id, currency, amount in (("a", "JPY", 499), ("b", "JPY", 500), ("c", "KRW", 500)):
        text = body(payment_id=payment_id, currency=currency, amount=amount)
        [reading] = read([message(text, f"m-{payment_id}")], world.rules, world.ports, lambda: 30_000)
        settle(reading, world.rules, world.ports, work(f"req-1:m-{payment_id}"))
    statuses = {name: world.stored(f"txn-{name}").status for name in "abc"}
    assert statuses == {"a": "completed", "b": "pending_approval", "c": "completed"}


@pytest.mark.parametrize("engine", ["pure", "compiled"])
@pytest.mark.parametrize(
    ("currency", "amount_minor", "dollar_cents"),
    [
        ("USD", 66_667, 66_667),
        ("EUR", 10_000, 10_800),
        ("EUR", 1, 2),
        ("JPY", 75_000, 50_000),
        ("JPY", 1, 1),
        ("KWD", 3_076, 1_000),
        ("CLF", 100, 1),
        ("GBP", 2_599, 2_599),
        ("KWD", AMOUNT_MINOR_MAX, 32_500_000_000_000),
    ],
)
def test_a_score_is_that_of_the_amount_in_the_reference_currency_rounded_up(
    engine, currency, amount_minor, dollar_cents
):
    rates = read_settings({"OTHER_CURRENCIES": OTHERS}).rates
    table = open_table(ROOT / "scoring" / "rules.table")
    scoring = TableFraudScoring(load_engine(engine), table, iterations=1, rates=rates)

    def risk(amount: int, code: str) -> tuple[int, int]:
        [assessment] = scoring.score_batch([Payment("p", "o", "c", amount, code, "card")])
        return assessment.risk, assessment.fraud_score

    assert scoring._amount(Payment("p", "o", "c", amount_minor, currency, "card")) == dollar_cents
    assert risk(amount_minor, currency) == risk(dollar_cents, "USD")


@pytest.mark.parametrize("currency", DIGITS)
def test_an_amounts_text_is_read_as_the_amount(currency):
    for minor in (1, 9, 10, 99, 100, 12_345, AMOUNT_MINOR_MAX // 100):
        assert to_minor(as_text(minor, currency), currency) == minor


def test_terraform_takes_the_same_currencies_at_plan():
    text = (ROOT / "terraform" / "currencies.tf").read_text()
    lists = re.findall(r'^    "(\d)" = \[\n(.*?)^    \]', text, re.DOTALL | re.MULTILINE)
    taken = {int(digits): " ".join(re.findall(r'"([A-Z ]+)"', lines)) for digits, lines in lists}
    assert taken == {digits: codes for digits, codes in CODES.items() if digits is not None}
