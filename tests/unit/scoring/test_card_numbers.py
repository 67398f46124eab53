"""Card numbers, both engines: docs/protocol.md, "Card numbers", sentence by sentence."""

import itertools
import unicodedata

import pytest

from scoring import cards
from scoring.cards import DIGIT_ZEROS, GROUPINGS, ISSUERS, SEPARATORS, UNSEEN
from scoring.kernel import Engine
from tests.support.engines import ENGINES

CARD = "4111111111111111"
MASKED = "************1111"


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


def masked(engine: Engine, text: str) -> str:
    """The text with a star for each character that has to be hidden."""
    characters = list(text)
    (spans,) = engine.find_card_numbers([text])
    for start, end in spans:
        characters[start:end] = "*" * (end - start)
    return "".join(characters)


def luhn_complete(digits: str) -> str:
    total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def grouped(number: str, grouping: tuple[int, ...], separator: str) -> str:
    ends = list(itertools.accumulate(grouping))
    assert ends[-1] == len(number)
    return separator.join(number[end - size : end] for end, size in zip(ends, grouping, strict=True))


def hidden_but_four(text: str) -> str:
    """What must come out where a text is one card number in ASCII digits."""
    digits = [index for index, character in enumerate(text) if character.isdigit()]
    return "".join("*" if index in digits[:-4] else character for index, character in enumerate(text))


# ---- issuers and groupings ----


def test_issuer_ranges_stand_in_order_and_do_not_overlap() -> None:
    assert all(before.high < after.low for before, after in itertools.pairwise(ISSUERS))
    assert all(100000 <= issuer.low <= issuer.high <= 999999 for issuer in ISSUERS)


def test_every_issuer_range_and_length_is_found_with_luhn_and_not_without(engine: Engine) -> None:
    for issuer in ISSUERS:
        for prefix, length in itertools.product((issuer.low, issuer.high), issuer.lengths):
            number = luhn_complete(f"{prefix}{'0' * (length - 7)}")
            wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
            expected = [] if issuer.grouped else [(0, length - 4)]
            assert engine.find_card_numbers([number, wrong]) == [expected, []], number


def test_no_other_length_or_prefix_is_found(engine: Engine) -> None:
    known = {(p, n) for issuer in ISSUERS for p in range(issuer.low, issuer.high + 1) for n in issuer.lengths}
    outside = [
        luhn_complete(f"{prefix}{'0' * (length - 7)}")
        for prefix in range(100000, 1000000, 997)
        for length in range(12, 21)
        if (prefix, length) not in known
    ]
    assert engine.find_card_numbers(outside) == [[]] * len(outside)


# Test numbers that networks and processors publish, and numbers of public reports of missed cards.
PUBLISHED = [
    "4111111111111111 4242424242424242 4012888888881881 4222222222222 5555555555554444 2223003122003222",
    "378282246310005 371449635398431 30569309025904 36227206271667 6011111111111117 3530111333300000 6200000000000005",
    "6205500000000000004 6304000000000000 6759649826438453 2200000000000004 5019717010103742 6362970000457013",
    "9792030394440796 6703444444444449 6771798021000008 5000550000000029 6062826786276634",
]


@pytest.mark.parametrize("number", " ".join(PUBLISHED).split())
def test_published_numbers_are_found_in_one_run_and_in_groups(engine: Engine, number: str) -> None:
    fours = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    pairs = "-".join(number[i : i + 2] for i in range(0, len(number), 2))
    for text in (number, fours, pairs, " ".join(number)):
        assert masked(engine, f"card: {text}.") == f"card: {hidden_but_four(text)}."


@pytest.mark.parametrize("grouping", sorted(GROUPINGS), ids=str)
def test_every_other_grouping_is_found_with_every_issuer_of_its_length(
    engine: Engine, grouping: tuple[int, ...]
) -> None:
    length = sum(grouping)
    for issuer in ISSUERS:
        if length in issuer.lengths:
            text = grouped(luhn_complete(f"{issuer.low}{'1234567890123'[: length - 7]}"), grouping, "-")
            assert masked(engine, text) == hidden_but_four(text)


def test_no_other_grouping_is_found(engine: Engine) -> None:
    for cuts in itertools.chain.from_iterable(itertools.combinations(range(1, 16), n) for n in range(1, 16)):
        grouping = tuple(b - a for a, b in itertools.pairwise((0, *cuts, 16)))
        first, last = grouping[0], grouping[-1]
        one_size = len(grouping) > 2 and first <= 6 and set(grouping[:-1]) == {first} and last <= first + 1
        text = grouped(CARD, grouping, "-")
        if one_size or grouping in GROUPINGS:
            assert masked(engine, text) == hidden_but_four(text), grouping
        else:
            assert engine.find_card_numbers([text]) == [[]], grouping


def test_uatp_numbers_count_in_groups_only(engine: Engine) -> None:
    assert masked(engine, "135412345678911 1354-12345-678911") == "135412345678911 ****-*****-**8911"


# ---- digits and separators ----


@pytest.mark.parametrize("zero", [ord("0"), *DIGIT_ZEROS], ids=hex)
def test_digits_of_every_script_are_digits(engine: Engine, zero: int) -> None:
    number = "".join(chr(zero + int(digit)) for digit in CARD)
    assert masked(engine, f"é {number} é") == f"é {'*' * 12}{number[12:]} é"


def test_the_table_of_digits_has_all_that_this_python_knows() -> None:
    known = {zero + i for zero in (ord("0"), *DIGIT_ZEROS) for i in range(10)}
    assert {c for c in range(0x110000) if unicodedata.category(chr(c)) == "Nd"} <= known
    assert len(known) == 760  # as many as Unicode 16.0 has
    for zero in DIGIT_ZEROS:
        assert [unicodedata.decimal(chr(zero + i), i) for i in range(10)] == list(range(10))


def test_all_spaces_and_dashes_that_this_python_knows_are_separators() -> None:
    separators = {c for first, last in SEPARATORS for c in range(first, last + 1)}
    known = {c for c in range(0x110000) if unicodedata.category(chr(c)) in ("Zs", "Zl", "Zp", "Pd")}
    assert known <= separators
    kinds = cards.classes()
    assert all(before[1] < after[0] for before, after in itertools.pairwise(kinds))


@pytest.mark.parametrize("separator", [chr(c) for first, last in SEPARATORS for c in range(first, last + 1)], ids=ascii)
def test_one_to_four_separators_join_groups(engine: Engine, separator: str) -> None:
    for count in (1, 2, 4):
        text = (separator * count).join(["4111", "1111", "1111", "1111"])
        assert masked(engine, text) == (separator * count).join(["****", "****", "****", "1111"])
    assert engine.find_card_numbers([(separator * 5).join(["4111", "1111", "1111", "1111"])]) == [[]]


@pytest.mark.parametrize(
    "joint", ["|", " | ", "~", "\uff5c", "\u301c", "\u0387", "\u2024", "\u3002", "\uff61"], ids=ascii
)
def test_signs_that_stand_between_groups_in_other_scripts_and_in_tables_join_them(engine: Engine, joint: str) -> None:
    text = joint.join(["4111", "1111", "1111", "1111"])
    assert masked(engine, text) == hidden_but_four(text)


@pytest.mark.parametrize("joint", [" - ", ": ", ", ", ". ", "..", ";", "()", "a"])
def test_nothing_else_joins_groups_but_separators_in_a_row(engine: Engine, joint: str) -> None:
    text = joint.join(["4111", "1111", "1111", "1111"])
    assert masked(engine, text) == (hidden_but_four(text) if joint == " - " else text)


@pytest.mark.parametrize("unseen", [chr(first) for first, _ in UNSEEN] + ["\u200b\ufe0f\u20e3"], ids=ascii)
def test_what_shows_nothing_is_not_there(engine: Engine, unseen: str) -> None:
    expected = unseen.join(MASKED)
    assert masked(engine, unseen.join(CARD)) == expected
    assert masked(engine, f"4111{unseen} {unseen}1111 1111 1111") == f"****{unseen} {unseen}**** **** 1111"
    assert masked(engine, f"c{unseen}a{unseen}4111111111111111") == f"c{unseen}a{unseen}{MASKED}"


@pytest.mark.parametrize(
    ("escaped", "expected"),
    [
        ("4111%201111%2D1111%2f1111", "****%20****%2D****%2f1111"),
        ("4111%E2%80%891111%c2%a01111+1111", "****%E2%80%89****%c2%a0****+1111"),
        ("pan%3D4111111111111111&x", f"pan%3D{MASKED}&x"),
        ("a\\n4111\\t1111\\u20091111\\x201111", "a\\n****\\t****\\u2009****\\x201111"),
        ("4111\\/1111\\/1111\\/1111", "****\\/****\\/****\\/1111"),
        ("\\u0034111111111111111", "*****************1111"),
        ("%EF%BC%94111111111111111", f"{'*' * 20}1111"),
        ("%4111111111111111", "%************1111"),
        ("%B4111111111111111^DOE", f"%B{MASKED}^DOE"),
        ("\\cab4111111111111111", f"\\cab{MASKED}"),
        ("4111%C0%A01111%C0%A01111%C0%A01111", "4111%C0%A01111%C0%A01111%C0%A01111"),
        ("4111%E0%80%A01111%E0%80%A01111%E0%80%A01111", "4111%E0%80%A01111%E0%80%A01111%E0%80%A01111"),
    ],
)
def test_escapes_are_what_they_stand_for(engine: Engine, escaped: str, expected: str) -> None:
    assert masked(engine, escaped) == expected


# ---- what is no card number ----


@pytest.mark.parametrize("before", ["", " ", ":", "=", "_", ".", "(", '"', "@", "[", "`", "{", "/", "é", "卡号", "+"])
def test_what_is_no_letter_or_digit_may_stand_at_a_card_number(engine: Engine, before: str) -> None:
    for text in (CARD, "4111 1111 1111 1111"):
        assert masked(engine, f"{before}{text}") == f"{before}{hidden_but_four(text)}"
        assert masked(engine, f"{before}{text}{before}") == f"{before}{hidden_but_four(text)}{before}"


@pytest.mark.parametrize("before", ["visa", "Card", "pan", "A", "cc", "G", "order_cab_x"])
@pytest.mark.parametrize("behind", ["", "exp", "EXP1227", "x122027", "a", "ff", " 12/27", ",12,27"])
def test_one_word_may_touch_a_card_number_on_each_side(engine: Engine, before: str, behind: str) -> None:
    for text in (CARD, "4111 1111 1111 1111"):
        assert masked(engine, f"{before}{text}{behind}") == f"{before}{hidden_but_four(text)}{behind}"


@pytest.mark.parametrize(
    "text",
    [
        *("8741cc6715d94111111111111111cc89", "cab4111111111111111", "1visa4111111111111111"),
        *("4111111111111111cab", "4111111111111111a1", "4111111111111111exp1234567", "4111111111111111x1x"),
        *("01J4111111111111111ABCDEFG", "4111111111111111%", "41111111-1111-1111-1111-111111111111"),
    ],
)
def test_digits_in_an_id_of_letters_and_digits_are_no_card_number(engine: Engine, text: str) -> None:
    expected = hidden_but_four(text) if text.endswith("%") else text
    assert masked(engine, text) == expected
    assert masked(engine, f"pay-{text}_x") == f"pay-{expected}_x"


@pytest.mark.parametrize("before", ["", "pay-", "urn:uuid:", "%20", "\\n", "é", "x/"])
def test_no_digits_in_the_shape_of_a_uuid_are_a_card_number(engine: Engine, before: str) -> None:
    uuid = f"44444111-4111-4111-8111-{luhn_complete('81111111111111')[-12:]}"
    for text in (uuid, uuid.upper(), "41111111-1111-1111-1111-111111111111", "c0ffee12-3456-4789-8111-111111111117"):
        assert masked(engine, f"{before}{text}") == f"{before}{text}"
        assert masked(engine, f"{before}{text} {CARD}") == f"{before}{text} {MASKED}"
    assert masked(engine, "z41111111-1111-1111") == "z********-****-1111"
    longer = "41111111-1111-1111-1111-111111111111x"
    assert masked(engine, longer) == "********-****-1111-1111-111111111111x"


def test_the_fraction_of_a_number_is_no_card_number(engine: Engine) -> None:
    for text in ("0.5309136012499991", "-1234.5309136012499991", "1.4111111111111111", "8.46786664623715e-47"):
        assert masked(engine, text) == text
    assert masked(engine, "12345.5309136012499991") == "12345.************9991"
    assert masked(engine, "5309136012499991.00") == "************9991.00"
    assert masked(engine, "7,5309136012499991,12") == "7,************9991,12"


def test_points_and_commas_join_where_all_joints_are_the_same(engine: Engine) -> None:
    assert masked(engine, "4111.1111.1111.1111") == "****.****.****.1111"
    assert masked(engine, "4111,1111,1111,1111") == "****,****,****,1111"
    for text in ("4111.1111 1111.1111", "4111,1111.1111,1111", "4111.111111111111", "41111111,11111111"):
        assert masked(engine, text) == text


def test_phone_numbers_are_no_card_numbers(engine: Engine) -> None:
    visa = luhn_complete("491512345678")
    assert masked(engine, visa) == "*********" + visa[-4:]
    for text in (f"+{visa}", f"tel +{visa}", f"00{visa}", f"(+{visa})", f"12 +{visa}"):
        assert masked(engine, text) == text
    assert masked(engine, f"000{visa}") == f"000*********{visa[-4:]}"
    assert masked(engine, f"note=visa+{visa}") == f"note=visa+*********{visa[-4:]}"
    assert masked(engine, f"+{CARD}") == f"+{MASKED}"


def test_a_time_stamp_that_passes_luhn_is_no_card_number(engine: Engine) -> None:
    stamps = [luhn_complete(str(stamp)) for stamp in range(176_000_000_000, 176_000_001_000)]
    assert engine.find_card_numbers(stamps) == [[]] * len(stamps)
    nanoseconds = [luhn_complete(f"{stamp}000000") for stamp in range(176_000_000_000, 176_000_000_100)]
    assert engine.find_card_numbers(nanoseconds) == [[]] * len(nanoseconds)


# ---- what is hidden ----


def test_zeros_that_fill_a_number_are_no_part_of_it(engine: Engine) -> None:
    assert masked(engine, f"000{CARD}") == f"000{MASKED}"
    assert masked(engine, f"{'0' * 40}{CARD}") == f"{'0' * 40}{MASKED}"
    assert masked(engine, "004111 1111 1111 1111") == "00**** **** **** 1111"
    assert masked(engine, "0" * 60) == "0" * 60


def test_overlapping_numbers_hide_all_of_each_but_its_last_four_digits(engine: Engine) -> None:
    assert masked(engine, "6003 4111 1111 1111 1111") == "**** **** **** **** 1111"
    longer = luhn_complete(f"{CARD}12")
    assert masked(engine, f"{CARD} {longer[16:]}") == f"{MASKED} {longer[16:]}"
    nineteen = f"4111 1111 1111 1111 {longer[16:]}"
    assert masked(engine, nineteen) == f"**** **** **** ***1 {longer[16:]}"


def test_what_is_left_of_a_masked_number_begins_none(engine: Engine) -> None:
    text = "card 4883685957452347 0929 9809 5603"
    assert masked(engine, text) == "card ************2347 0929 9809 5603"
    assert engine.find_card_numbers([masked(engine, text)]) == [[]]
    assert engine.find_card_numbers(["2347 0929 9809 5603"]) != [[]]


def test_what_masking_parts_from_its_zeros_ends_none(engine: Engine) -> None:
    # The zero of `01` belongs to no number; once its 1 is a star, it would end one of 15 digits.
    text = " ".join([*"10000000123982", "01", *"00000000000009"])
    once = masked(engine, text)
    assert once != text
    assert engine.find_card_numbers([once]) == [[]]


@pytest.mark.parametrize("stars", ["*", "**", "* * ", "********"])
def test_fewer_than_nine_stars_are_ornament(engine: Engine, stars: str) -> None:
    for text in (CARD, "4111 1111 1111 1111", f"visa{CARD}"):
        assert masked(engine, f"{stars}{text}{stars}") == f"{stars}{hidden_but_four(text)}{stars}"


def test_spans_hold_digits_alone_and_count_characters_of_str_and_bytes_of_bytes(engine: Engine) -> None:
    text = "é\U0001f4b3 4111-1111-1111-1111 ß \uff14111111111111111\ud800"
    (spans,) = engine.find_card_numbers([text])
    assert [text[a:b] for a, b in spans] == ["4111", "1111", "1111", "\uff1411111111111"]
    raw = text.encode("utf-8", "surrogatepass")
    (spans,) = engine.find_card_numbers([raw])
    assert [raw[a:b].decode() for a, b in spans] == ["4111", "1111", "1111", "\uff1411111111111"]


@pytest.mark.parametrize(
    "damaged", [b"\xff", b"\xc0\xb4", b"\xe0\x80\xb4", b"\xed\xa0\x80", b"\xef\xbc", b"\xf4\x90\x80\x80", b"\x80"]
)
def test_bytes_that_are_no_utf_8_are_no_digits_and_join_nothing(engine: Engine, damaged: bytes) -> None:
    assert engine.find_card_numbers([b"4111" + damaged + b"111111111111"]) == [[]]
    raw = damaged + CARD.encode() + damaged
    assert engine.find_card_numbers([raw]) == [[(len(damaged), len(damaged) + 12)]]


def test_a_text_of_many_numbers_hides_each(engine: Engine) -> None:
    assert engine.find_card_numbers([f"{CARD};" * 1000]) == [[(17 * i, 17 * i + 12) for i in range(1000)]]
