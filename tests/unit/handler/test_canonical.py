"""Versions of the canonical text: what was written is held still, and what a version calls one payment is one."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.domain.canonical import VERSIONS, text_hash
from handler.domain.errors import UnknownItemError
from handler.domain.parse import parse
from handler.domain.payment import Fault, Payment
from handler.domain.validate import Limits, Validation, from_canonical, validate
from tests.golden.generate_canonical import MESSAGES, VECTORS, rows
from tests.support.payments import body


def check(text: str, version: int, limits: Limits | None = None) -> Validation:
    return validate(parse(text), limits or Limits(), version)


def payment(text: str, version: int) -> Payment:
    result = check(text, version)
    assert result.payment is not None, result.faults
    return result.payment


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_version_makes_of_a_message_never_changes(version):
    assert rows(version) == json.loads(VECTORS.read_text())[str(version)]


def test_every_version_has_its_golden_rows():
    stored = json.loads(VECTORS.read_text())
    assert list(map(int, stored)) == list(VERSIONS)
    assert all(set(made) == set(MESSAGES) for made in stored.values())


@pytest.mark.parametrize("version", [version for version in VERSIONS if version > 1])
def test_the_protocol_names_the_fields_that_a_version_brings(version):
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| {version} |"))
    new = VERSIONS[version].optional_texts.keys() - VERSIONS[version - 1].optional_texts.keys()
    assert {name for name in new if f"`{name}`" not in row} == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("plain", "trailing zero"),
        ("plain", "exponent"),
        ("plain", "lower currency"),
        ("composed", "decomposed"),
    ],
)
def test_version_2_knows_other_spellings_of_a_payment(one, other):
    assert payment(MESSAGES[one], 2) == payment(MESSAGES[other], 2)
    assert check(MESSAGES[one], 1).request_hash != check(MESSAGES[other], 1).request_hash


def test_version_2_covers_the_instrument_and_version_1_takes_it_as_absent():
    assert (payment(MESSAGES["token"], 2).payment_token, payment(MESSAGES["token"], 2).gateway_customer_id) == (
        "pm_1",
        "cus_1",
    )
    assert payment(MESSAGES["token"], 2).request_hash != payment(MESSAGES["another token"], 2).request_hash
    assert payment(MESSAGES["token"], 1) == payment(MESSAGES["plain"], 1)
    assert payment(MESSAGES["token"], 1).payment_token == ""


def test_version_2_covers_what_the_card_networks_are_told_and_version_1_takes_it_as_absent():
    asked = [payment(MESSAGES[name], 2) for name in ("token", "customer is there", "customer is not there")]
    assert [each.off_session for each in asked] == [None, False, True]
    assert len({each.request_hash for each in asked}) == 3
    assert check(MESSAGES["off_session is a text"], 2).faults == (Fault("off_session", "wrong_type"),)
    assert payment(MESSAGES["off_session is a text"], 1) == payment(MESSAGES["plain"], 1)
    assert payment(MESSAGES["customer is there"], 1).off_session is None


def test_an_invalid_message_of_version_2_is_what_was_sent_whatever_is_against_it():
    text = body(amount=500.01, currency="USD")
    narrow, narrower = Limits(amount_max_minor=50_000), Limits(amount_max_minor=1)
    assert check(text, 2, narrow).faults
    assert {check(text, 2, limits).request_hash for limits in (narrow, narrower)} == {payment(text, 2).request_hash}
    assert check(text, 1, narrow).request_hash != payment(text, 1).request_hash


@pytest.mark.parametrize("version", VERSIONS)
@given(
    name=st.text(max_size=20), cents=st.integers(1, 1_000_000), token=st.text(st.characters(codec="ascii"), max_size=9)
)
def test_canonical_text_is_read_as_the_payment_that_it_was_made_from(version, name, cents, token):
    amount = f"{cents // 100}.{cents % 100:02d}"
    result = check(body(customer_name=name, payment_token=token).replace("25.99", amount), version)
    if result.payment is None:
        return
    assert from_canonical(result.payment.canonical) == result.payment
    assert result.payment.request_hash == text_hash(result.payment.canonical)
    # As a workflow reads it: a message like any other.
    assert check(result.payment.canonical, version).request_hash == result.payment.request_hash


def test_stored_text_is_hashed_as_its_bytes():
    text = payment(MESSAGES["every text"], 1).canonical.replace(",", ", ")
    assert from_canonical(text).request_hash == text_hash(text)


def test_nfc_does_not_depend_on_the_running_python():
    """Characters that Unicode 3.2 does not have stay as they were sent; Python's own tables know more of them."""
    name = "\U00011935\U00011930"
    assert unicodedata.normalize("NFC", name) != name or unicodedata.unidata_version < "13"
    assert payment(body(customer_name=name), 2).customer_name == name


@pytest.mark.parametrize("version", [0, 3])
def test_a_version_of_newer_code_is_refused_and_never_guessed(version):
    with pytest.raises(UnknownItemError, match=f"version {version} "):
        check(body(), version)
    with pytest.raises(UnknownItemError):
        from_canonical(payment(body(), 1).canonical.replace('"v":1', f'"v":{version}'))
