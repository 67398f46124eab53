"""Security codes, PINs and track data are told from other things by name, place and value, and kept nowhere."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handler.domain.card_data import VERIFICATION_FAULT, Masked, mask_documents, mask_texts, mask_unreadable
from handler.domain.parse import parse
from handler.domain.verification_data import _SIGNS, _kind, _patterns
from scoring import _pure
from tests.support.payments import ADDRESS, CARD

REMOVED = "[removed]"
TRACK_2 = f";{CARD}=29121011234567890?"


def found(document: object) -> Masked:
    return mask_documents([parse(json.dumps(document))], _pure.find_card_numbers)[0]


def masked(text: str) -> str:
    return mask_texts([text], _pure.find_card_numbers)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, "123") for name in ("cvv", "CVV2", "cvc", "card_cvc", "csc", "cvd", "cvn", "cav2", "iCVV", "CVC2")],
        *[
            (name, "123")
            for name in ("cvv_code", "cvvNumber", "cc_cvv", "cvv2_value", "cardCVV", "cvvnumber", "my-cvv")
        ],
        *[(name, "1234") for name in ("securityCode", "card_security_code", "card verification value", "cardCode")],
        *[(name, "1234") for name in ("verification_code", "card_verification", "cardVerificationNumber", "card_code")],
        *[(name, "4711") for name in ("pin", "PIN", "pincode", "card_pin", "pinNumber", "atm-pin")],
        *[(name, "0123456789ABCDEF") for name in ("pin_block", "pinBlock", "encrypted_pin", "pin")],
        *[(name, TRACK_2) for name in ("track", "track2", "track_1", "trackData", "track2_data", "magstripe")],
        *[("track2_equivalent_data", "D29121011234567890"), ("magnetic_stripe_data", "99"), ("fullTrack", "1234")],
        *[(name, "123") for name in ("ccv", "CCV2", "ccvCode", "card_ccv", "cv2", "card_cv2", "cv2_code")],
        *[(name, "123") for name in ("card_validation_code", "validation_value", "card_sec_code", "security_number")],
        *[(name, "4711") for name in ("mpin", "upi_mpin")],
        *[(name, "57114111111111111111D2912") for name in ("emv_data", "iccData", "chip_data")],
        ("cvv", 123),
        ("cvv", "\uff11\uff12\uff13"),
        ("\uff43\uff56\uff56", "123"),
        ("cvv", "12"),
        ("cvv", "eyJhbGciOi1"),
        ("cvv", {"value": "123"}),
        ("cvv", ["1234"]),
    ],
)
def test_a_field_that_is_named_so_and_holds_such_a_value_is_a_fault_and_removed(name, value):
    result = found({"x": [{name: value}]})
    assert result.document == {"x": [{name: REMOVED}]}
    assert result.faults == (VERIFICATION_FAULT,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("cid", "1234"), ("cvn", "12"), ("csc", "a1"), ("cvv", "abc"), ("cvv_result", "123"), ("cvvResponse", "100")],
        *[("pincode", "560001"), ("pin", "560001"), ("delivery_pin", "4711"), ("verification_code", "482913")],
        *[("pin", {"lat": 12.97, "lng": 77.59}), ("security_code", "98765"), ("track2_data", "none")],
    ],
)
def test_what_may_be_verification_data_is_removed_and_the_payment_goes_on(name, value):
    result = found({name: value})
    assert result.document == {name: REMOVED}
    assert result.faults == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("cvv_check", "pass"),
            ("cvv_result", "M"),
            ("cvcProvided", True),
            ("cvv", None),
            ("cvv", ""),
            ("cvv", "***"),
        ],
        *[("cvv", True), ("cvv", REMOVED), ("cid", "GA1.2.344"), ("cid", "cust-4711"), ("recvCount", "123")],
        *[("pinned", "1234"), ("spin", "1234"), ("pin", "x"), ("opinion", "1234"), ("shipping", "1234")],
        *[("track", "9400111899223197428490"), ("track1", "Wonderwall"), ("tracking_number", "1234567890")],
        *[("social_security_number", "078051120"), ("sec_code", "WEB"), ("cv", "2026"), ("validation", "123")],
        *[("track_2", "Intro 1"), ("description", "1234"), ("security_deposit", "100"), ("discount_code", "1234")],
    ],
)
def test_what_is_something_else_stays(name, value):
    result = found({name: value})
    assert json.loads(json.dumps(result.document)) == parse(json.dumps({name: value}))
    assert result.faults == ()


@pytest.mark.parametrize("name", ["pincode", "pin", "PinCode", "pin_code"])
@pytest.mark.parametrize(
    "place",
    [
        lambda field: {"billing_address": field},
        lambda field: {"shipping": {"address": [field]}},
        lambda field: {"to": {**ADDRESS, **field}},
        lambda field: {"city": "Pune", "state": "MH", **field},
    ],
)
@pytest.mark.parametrize("value", ["560001", 560001, "560 001"])
def test_an_indian_postal_code_in_an_address_stays(name, place, value):
    document = place({name: value})
    result = found(document)
    assert (result.document, result.faults) == (parse(json.dumps(document)), ())


def test_four_digits_are_a_pin_in_an_address_too():
    assert found({"billing_address": {"pin": "4711"}}).faults == (VERIFICATION_FAULT,)


@pytest.mark.parametrize(
    "document", [{"card": {"cid": "1234"}}, {"cid": 123, "expiry": "12/29"}, {"pan": "x", "CID": "123"}]
)
def test_a_cid_beside_or_in_a_card_is_a_fault(document):
    assert found(document).faults == (VERIFICATION_FAULT,)


def test_a_field_that_names_another_one_gives_it_its_name():
    result = found({"fields": [{"name": "cvv", "value": "123"}, {"name": "size", "value": "123"}]})
    assert result.document == {"fields": [{"name": "cvv", "value": REMOVED}, {"name": "size", "value": "123"}]}
    assert result.faults == (VERIFICATION_FAULT,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("card 4111111111111111 exp 12/29 cvv: 123 ok", "card ************1111 exp 12/29 cvv: *** ok"),
        ("cvc 9998", "cvc ****"),
        ("CVV is 123", "CVV is ***"),
        ("my cvv2 number is 0123", "my cvv2 number is ****"),
        ("cvv code: 123", "cvv code: ***"),
        ("cvv=123&x=1", "cvv=***&x=1"),
        ("cvv%3A123&x=1", "cvv%3A***&x=1"),
        ("card_cvv:123", "card_cvv:***"),
        ("cvv(123)", "cvv(***)"),
        ("cvv123", "cvv***"),
        ("cvv 1 2 3", "cvv * * *"),
        ("CVV: \uff11\uff12\uff13", "CVV: ***"),
        ('{"cvv": "123"}', '{"cvv": "***"}'),
        ("<cvv>123</cvv>", "<cvv>***</cvv>"),
        ("exp 12/29 123 cvv", "exp 12/29 *** cvv"),
        ("security code 123", "security code ***"),
        ("card verification value: 999", "card verification value: ***"),
        ("CCV: 123", "CCV: ***"),
        ("cv2 123", "cv2 ***"),
        ("c.v.v. 123", "c.v.v. ***"),
        ("card validation code 123", "card validation code ***"),
        ("sec. code 123", "sec. code ***"),
        ("cvv of the card is 123", "cvv of the card is ***"),
        ("CVV for my card: 123", "CVV for my card: ***"),
        ("123 is the cvv", "*** is the cvv"),
        *[(f"cvv{sign}123", f"cvv{sign}***") for sign in ("|", "~", "!", "? ", " -> ", "\u2192", "\u2026", "\u060c")],
        ("pin 4711", "pin ****"),
        ("PIN code is 47110", "PIN code is *****"),
        ("4012 8888 8888 1881 12/27 123", "**** **** **** 1881 12/27 ***"),
        ("4012-8888-8888-1881, exp. 12/2027, 1234", "****-****-****-1881, exp. 12/2027, ****"),
        (f"{CARD}|12|27|123", "************1111|12|27|***"),
        (f"{CARD} 123 12/27", "************1111 *** 12/27"),
        (f"{CARD} expires 0127 code 123.", "************1111 expires 0127 code ***."),
        ("amex, cid 1234", "amex, cid ****"),
        (TRACK_2, ";************1111=*****************?"),
        (f"%B{CARD}^DOE/JOHN^29121011234567890?", "%B************1111^DOE/JOHN^*****************?"),
    ],
)
def test_verification_data_in_free_text_becomes_stars(text, expected):
    assert masked(text) == expected
    assert found({"note": text, text: True}).document == {"note": expected, expected: True}
    assert found({"note": text}).faults == ()
    secrets = "".join(old if new == "*" else " " for old, new in zip(text, expected, strict=True)).split()
    unreadable = mask_unreadable(f'{{"note": {text}', _pure.find_card_numbers)
    assert [secret for secret in secrets if len(secret) > 2 and secret in unreadable] == []


@pytest.mark.parametrize(
    "text",
    [
        *["PIN: 560001", "Bengaluru, Pin code - 560001", "cid 1234", "CSC 101", "verification code 123456"],
        *["bowling pin 12", "pinned 1234", "spin 1234", "opinion 1234", "cvv 12345", "room 12, cvv not given"],
        *[
            "card *1111 2026-11-28",
            "*1111 paid 1234",
            "card *1111 exp 12/27",
            "*1111 13/27 123",
            "sector code 1",
            "cv 2026",
        ],
        *["cvv ok, 1234 pieces", "CVE-2021-44228", "order 1234", "2 pins, 1234 screws", "a=1234567"],
    ],
)
def test_free_text_about_something_else_stays(text):
    assert masked(text) == text


@pytest.mark.parametrize(
    "text", ['{"cvv": "987"', "cvv=987&x", '{"card_cvc" : 987', '{"pin code":"987"', "track2: 987", "<cid>987</cid>"]
)
def test_an_unreadable_body_loses_its_verification_data(text):
    assert "987" not in mask_unreadable(text, _pure.find_card_numbers)


PARTS = st.sampled_from(
    [
        "cvv",
        "cvc2",
        "pin",
        "pin code",
        "cid",
        "card",
        " ",
        " ",
        ":",
        "=",
        "123",
        "1234",
        "is",
        CARD,
        "*",
        "^A^",
        "D",
        "2",
    ]
)


@given(st.lists(PARTS, max_size=14).map("".join))
def test_masking_verification_data_twice_changes_nothing_and_keeps_the_length(text):
    once = masked(text)
    assert masked(once) == once
    assert len(once) == len(text)
    assert all(new in (old, "*") for old, new in zip(text, once, strict=True))


@example("pin4111111111111111", "cvc2")
@given(st.lists(PARTS, max_size=8).map("".join), st.lists(PARTS, max_size=8).map("".join))
def test_masking_a_masked_document_changes_nothing(name, value):
    once = found({name: value, "x": {"name": name, "value": value}})
    again = found(once.document)
    assert (again.document, again.faults) == (once.document, ())


@pytest.mark.parametrize("pattern", _patterns(), ids=lambda pattern: pattern.pattern[:20])
def test_whatever_a_pattern_of_names_finds_has_a_sign_in_it_without_which_no_pattern_is_asked(pattern):
    @given(st.from_regex(pattern, fullmatch=True))
    def has_a_sign(name: str) -> None:
        assert any(sign in name for sign in _SIGNS)

    has_a_sign()


def test_the_names_of_an_ordinary_payment_compile_no_pattern():
    _patterns.cache_clear()
    _kind.cache_clear()
    event = json.loads((Path(__file__).parents[3] / "events" / "low_risk.json").read_text())
    assert found(event | {"shipping_address": ADDRESS, "discount": "3"}).faults == ()
    assert _patterns.cache_info().currsize == 0
    found({"cvv": ""})
    assert _patterns.cache_info().currsize == 1
