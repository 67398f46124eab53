"""For any text at all: reading never raises, nothing in the clear goes on, and money comes out as it went in."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from handler.domain.card_data import mask_texts, mask_unreadable, masked_body
from handler.domain.currencies import DIGITS
from handler.domain.money import as_text, to_major, to_minor
from handler.domain.parse import UnreadableBodyError, parse
from handler.domain.payment import Message
from handler.domain.process import read
from handler.domain.rules import Rules
from handler.domain.validate import Limits, from_canonical, validate
from scoring import _pure
from tests.support.payments import CARD, DOCUMENT, World, work

TEXT = st.text(st.characters(codec=None), max_size=40)
KEYS = st.sampled_from([*DOCUMENT, "currency", "customer_name", "description", "cvv", "x"]) | TEXT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(KEYS, JSON, max_size=6).map(lambda changes: {**DOCUMENT, **changes})
BODIES = DOCUMENTS.map(json.dumps) | TEXT | st.binary(max_size=60).map(lambda data: data.decode("latin-1"))


@given(st.lists(BODIES, min_size=1, max_size=4))
def test_any_batch_is_read_and_every_message_has_a_payment_or_a_fault(bodies):
    messages = [Message(f"m-{number}", text, "g") for number, text in enumerate(bodies)]
    readings = read(messages, Rules(), World().ports, lambda: 30_000)
    assert [reading.message.message_id for reading in readings] == [message.message_id for message in messages]
    for reading in readings:
        assert (reading.validation.payment is None) == bool(reading.validation.faults)
        assert (reading.assessment is None) == (reading.validation.payment is None)


@given(BODIES)
def test_any_message_is_settled_in_one_place(text):
    world = World()
    message = Message("m-1", text, "g")
    reading = read([message], world.rules, world.ports, lambda: 30_000)[0]
    from handler.domain.process import settle

    outcome = settle(reading, world.rules, world.ports, work())
    assert (outcome == "unusable") == (len(world.rejected.messages) == 1) == (not world.dynamodb.items)


CARDS = st.sampled_from([CARD, "5555555555554444", "378282246310005", "4111-1111-1111-1111", "3782 822463 10005"])


@given(TEXT, CARDS, TEXT, st.sampled_from([*DOCUMENT, "note"]), st.booleans())
def test_a_card_number_never_gets_past_reading(before, card, after, name, broken):
    # A digit or a letter beside the number would make it another number, or none.
    text = f"{before}\n{card}'{after}"
    body = json.dumps({**DOCUMENT, name: text, text: [text]}) + ("," if broken else "")
    reading = read([Message("m-1", body, text)], Rules(), World().ports, lambda: 30_000)[0]
    digits = card.replace("-", "").replace(" ", "")
    for seen in (repr(reading), reading.masked_body, json.dumps(reading.masked_body)):
        assert card not in seen
        assert digits not in seen


@given(
    st.lists(st.sampled_from([CARD, "4883685957452347", "0929", "980", "95603", "4", "5555", "-", "x"]), max_size=12)
)
def test_masking_what_is_masked_changes_nothing(parts):
    once = mask_texts([" ".join(parts)], _pure.find_card_numbers)
    assert _pure.find_card_numbers(once) == [[]]


@given(st.text(max_size=80))
def test_masking_text_keeps_its_length_and_all_but_digits(text):
    masked = mask_unreadable(text, _pure.find_card_numbers)
    if "\\u" not in text and "[removed]" not in masked:
        assert len(masked) == len(text)
        assert all(new in (old, "*") for old, new in zip(text, masked, strict=True))


@given(DOCUMENTS)
def test_equal_documents_have_equal_hashes_whatever_their_key_order(document):
    one = validate(parse(json.dumps(document)), Limits())
    other = validate(parse(json.dumps(dict(reversed(document.items())))), Limits())
    assert one == other
    if one.payment is not None:
        assert from_canonical(one.payment.canonical) == one.payment


# One of each number of digits.
CURRENCIES = st.sampled_from(["JPY", "USD", "KWD", "CLF"])


@given(st.integers(0, 10**12 - 1), CURRENCIES)
def test_money_survives_every_spelling(minor, currency):
    assert to_minor(as_text(minor, currency), currency) == minor
    assert to_major(minor, currency) * 10 ** DIGITS[currency] == minor
    assert Decimal(as_text(minor, currency)) == to_major(minor, currency)


@given(st.one_of(st.text(max_size=20), st.from_regex(r"[0-9]{1,13}(\.[0-9]{1,5})?", fullmatch=True)), CURRENCIES)
def test_what_is_an_amount_is_exact_and_the_rest_is_none(text, currency):
    minor = to_minor(text, currency)
    if minor is not None:
        assert Decimal(text) * 10 ** DIGITS[currency] == minor


@given(BODIES)
def test_a_parsed_document_is_the_one_the_standard_library_reads(text):
    try:
        document = parse(text)
    except UnreadableBodyError:
        return
    assert json.loads(masked_body(document)).keys() == json.loads(text).keys()
