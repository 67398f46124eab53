"""No card number and no verification data survives masking, wherever a sender puts it."""

import json

import pytest

from handler.domain.card_data import Masked, mask_documents, mask_texts, mask_unreadable, masked_body
from handler.domain.parse import NumberText, parse
from scoring import _pure
from tests.support.payments import CARD, body

MASKED = "************1111"


def found(text: str, id_shapes: str = "") -> Masked:
    return mask_documents([parse(text)], _pure.find_card_numbers, id_shapes)[0]


def masked(text: str) -> object:
    return found(text).document


def test_card_numbers_are_masked_in_strings_numbers_keys_and_unknown_fields():
    text = json.dumps({"note": f"card {CARD}!", "n": int(CARD), CARD: 1, "deep": [{"x": [CARD]}]})
    assert masked(text) == {"note": f"card {MASKED}!", "n": MASKED, MASKED: "1", "deep": [{"x": [MASKED]}]}


def test_separators_are_kept():
    assert masked('{"a": "4111-1111 1111-1111"}') == {"a": "****-**** ****-1111"}


def test_what_stays_shown_completes_no_other_number():
    # A card and three groups behind it, with which the shown 2347 would be a number: what is behind stars begins none.
    (once,) = mask_texts(["card 4883685957452347 0929 9809 5603"], _pure.find_card_numbers)
    assert once == "card ************2347 0929 9809 5603"
    assert mask_texts([once], _pure.find_card_numbers) == [once]


def test_a_text_that_shows_a_number_after_every_search_loses_its_digits():
    searches = []

    def find(texts):
        searches.append(texts)
        return [[(0, 16)] for _ in texts]

    assert mask_texts([f"{CARD} and 12"], find) == ["**************** and **"]
    assert len(searches) == 4


@pytest.mark.parametrize(
    "identifier",
    [
        "48215669-8059-4971-86fe-0de40701655f",
        "39221417-7625-418a-aafc-fb864cd4d5c0",
        "8741cc67-15d9-4764-9154-67473cc89c97",
        "c0ffee12-3456-4789-8123-456789012345",
        "8741cc6715d94111111111111111cc89",
    ],
)
def test_an_id_of_digits_and_letters_stays_as_it_is_wherever_it_stands(identifier):
    document = {"order_id": identifier, identifier: [identifier], "description": f"order {identifier}, please"}
    assert masked(json.dumps(document)) == document
    unreadable = json.dumps(document)[:-1]
    assert mask_unreadable(unreadable, _pure.find_card_numbers) == unreadable


def test_a_fraction_stays_a_number():
    document = masked('{"a": 0.5309136012499991, "b": 5309136012499991e-16, "c": 8.46786664623715e-47}')
    assert document == {"a": "0.5309136012499991", "b": "5309136012499991e-16", "c": "8.46786664623715e-47"}
    assert all(isinstance(value, NumberText) for value in document.values())


def test_escapes_do_not_hide_a_card_number():
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in CARD)
    assert masked(f'{{"a": "{escaped}"}}') == {"a": MASKED}


@pytest.mark.parametrize(
    "number",
    ["4.111111111111111e15", "4111111111111111e0", "4.111111111111111e015", "41111111111111110E-1", f"{CARD}.00"],
)
def test_numbers_that_spell_a_card_number_are_masked(number):
    assert CARD not in masked_body(masked(f'{{"a": {number}}}'))
    assert "1111111111" not in masked_body(masked(f'{{"a": {number}}}')).replace(".", "")


def test_ordinary_numbers_and_time_stamps_stay():
    document = masked('{"a": 25.90, "b": 1e300, "c": 1700000000003, "d": "1700000000003"}')
    assert document == {"a": "25.90", "b": "1e300", "c": "1700000000003", "d": "1700000000003"}
    assert isinstance(document["a"], NumberText)


@pytest.mark.parametrize(
    "text",
    [
        '{"card": "' + CARD + '"',
        "card=" + CARD,
        '{"card": "' + "".join(f"\\u{ord(digit):04x}" for digit in CARD) + '"',
        '{"a": 1, "a": "4111 1111 1111 1111"}',
        '{"note": "line\\n' + CARD + '"',
        '{"note": "line\\u000a' + CARD + '"',
        "a=1&note=card%3A" + CARD,
        # What an escape stands for ends another one, which takes the number's first digits into itself.
        "\\u00\\u0034" + CARD[1:],
        "\\u00\\u0034 " + CARD,
    ],
)
def test_an_unreadable_body_is_masked_as_text(text):
    result = mask_unreadable(text, _pure.find_card_numbers)
    assert CARD not in result.replace(" ", "")
    assert CARD[4:] not in result.replace(" ", "")
    assert "1111" in result
    assert mask_unreadable(result, _pure.find_card_numbers) == result


def test_escapes_of_escapes_end_after_a_few_rounds():
    text = "\\u005cu005cu005cu005cu005cu005cu005cu005cu0034" + CARD[1:]
    result = mask_unreadable(text, _pure.find_card_numbers)
    assert CARD[1:] not in result
    assert mask_unreadable(result, _pure.find_card_numbers) == result


@pytest.mark.parametrize(
    "text", ['{"cvv": "987"', "cvv=987&x", '{"card_cvc" : 987', '{"pin code":"987"', "track2: 987"]
)
def test_an_unreadable_body_loses_its_verification_data(text):
    masked = mask_unreadable(text, _pure.find_card_numbers)
    assert "987" not in masked
    assert mask_unreadable(masked, _pure.find_card_numbers) == masked


@pytest.mark.parametrize(
    "text",
    [
        '{"payment_token": ["pm_swordfish"]',
        "<payment_token>pm_swordfish</payment_token>",
        '{"paymentToken": "pm_swordfish"',
        '{"GATEWAY-CUSTOMER-ID": "cus_swordfish"',
        '{"payment_token_id": "pm_swordfish"',
        "payment_token => pm_swordfish",
        "payment_token pm_swordfish",
        "payment_token%22%3A%22pm_swordfish%22",
        '{\\"payment_token\\"\\n:\\r\\n\\t\\"pm_swordfish\\"',
        "payment_token\x00:\x00pm_swordfish",
        "{'payment_token': u'pm_swordfish'",
        'name="payment_token"\r\n\r\npm_swordfish\r\n',
        '{"payment_token": {"id": "pm_1SwordfishSwordfish"}, ',
        '{"instrument": "card_1SwordfishSwordfish", "payer": "cus_SwordfishSwordfish", ',
    ],
)
def test_an_unreadable_body_loses_its_instrument_however_it_is_spelled(text):
    assert "swordfish" not in mask_unreadable(text, _pure.find_card_numbers).lower()


def test_an_instruments_name_without_a_value_costs_no_more_than_its_length():
    text = "payment_token" * 10_000 + "-\\\\n%2" * 20_000
    assert "payment_token" in mask_unreadable(text, lambda texts: [[] for _ in texts])


def test_control_characters_and_surrogates_of_an_unreadable_body_stay_escaped():
    text = '{"a": "\\u0000\\ud800\\u0041"'
    assert mask_unreadable(text, _pure.find_card_numbers) == '{"a": "\\u0000\\ud800A"'


def test_a_masked_body_is_ascii_even_with_lone_surrogates():
    text = masked_body(masked(body(customer_name="Zoë \ud800")))
    assert text.isascii()
    assert json.loads(text)["customer_name"] == "Zoë \ud800"
