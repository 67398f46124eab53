"""Card numbers: both engines find the same in every text, all of each card number, and nothing in a masked text."""

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring import _compiled, _pure
from scoring.cards import DIGIT_ZEROS, GROUPINGS, ISSUERS, SEPARATORS

SEPARATOR = st.sampled_from([chr(first) for first, _ in SEPARATORS])


@st.composite
def cards(draw: st.DrawFn) -> tuple[str, list[int]]:
    """A card number as somebody may write it, and the places of its digits."""
    issuer = draw(st.sampled_from(ISSUERS))
    length = draw(st.sampled_from(issuer.lengths))
    digits = f"{draw(st.integers(issuer.low, issuer.high))}{draw(st.integers(0, 10 ** (length - 7) - 1)):0{length - 7}}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    number = digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)
    sizes = [tuple([size] * (length // size) + [length % size] * (length % size > 0)) for size in (1, 2, 3, 4, 5)]
    sizes += [grouping for grouping in sorted(GROUPINGS) if sum(grouping) == length]
    sizes += [] if issuer.grouped else [(length,)]
    joint = draw(st.one_of(SEPARATOR, st.text(SEPARATOR, min_size=1, max_size=4), st.sampled_from(["%20", "\\t"])))
    zero = draw(st.sampled_from([0x30, 0x30, 0x30, *DIGIT_ZEROS]))
    unseen = draw(st.sampled_from(["", "", "\u200b", "\u00ad"]))
    text, places, left = "", [], iter(number)
    for group in draw(st.sampled_from(sizes)):
        text += joint if text else ""
        for _ in range(group):
            places.append(len(text))
            text += chr(zero + int(next(left))) + unseen
    return text, places


BEFORE_A_CARD = st.sampled_from(
    [
        "",
        "card ",
        "card:",
        "card_",
        "visa",
        "cc",
        "a.",
        "-",
        "\n",
        "a\\n",
        "pan%3D",
        "%B",
        "卡号",
        "'",
        "é",
        "1; ",
        "00",
    ]
)
BEHIND_A_CARD = st.sampled_from(
    ["", ".", ", 12/27", "^DOE", "_x", "-", " exp", "exp1227", "\\n", "é", "/1", "'", " 12"]
)


@given(before=BEFORE_A_CARD, card=cards(), behind=BEHIND_A_CARD)
@settings(max_examples=1500, deadline=None)
def test_every_digit_of_a_card_number_but_the_last_four_is_hidden(
    before: str, card: tuple[str, list[int]], behind: str
) -> None:
    if before == "00":  # in front of 13 or 14 digits, a phone number
        before = "000" if card[0][0].isascii() else ""
    text = f"{before}{card[0]}{behind}"
    expected = {len(before) + place for place in card[1][:-4]}
    for engine in (_pure, _compiled):
        (spans,) = engine.find_card_numbers([text])
        hidden = {place for start, end in spans for place in range(start, end)}
        assert expected <= hidden, ascii(text)


# What stands in and around card numbers, and numbers in each other's way.
PIECES = st.one_of(
    cards().map(lambda card: card[0]),
    st.sampled_from(
        ["4111111111111111", "4111 1111 1111 1111", "4111", "1111", "4222", "222", "3782", "822463", "10005"]
    ),
    st.sampled_from(["620550", "0000000000004", "000", "0", "00", "5", "1227", "4 1 1 1 1 1 1", "+4915123456789"]),
    st.sampled_from(
        ["6003 4111 1111 1111 1111", "48215669-8059-4971-86fe-0de40701655f", "12345678-", "abcdef01", "8-4"]
    ),
    st.sampled_from(["41111111-1111-1111-1111-111111111111", "a", "cab", "visa", "exp", "x", "Z", "é", "\ud800", "\0"]),
    st.sampled_from(
        [
            " ",
            "-",
            "  ",
            "     ",
            ".",
            ",",
            "_",
            "/",
            "\\",
            "+",
            "%",
            "*",
            "********",
            "(",
            "\u200b",
            "\u00ad",
            "\u2009",
        ]
    ),
    st.sampled_from(
        ["%20", "%2E", "%4", "%E2%80%89", "%EF%BC%94", "%C0%A0", "%E0%80%80", "%F0%9D%9F%92", "%F4%90%80%80"]
    ),
    st.sampled_from(
        ["\\n", "\\u0034", "\\u2009", "\\ud800", "\\x20", "\\x", "\\u00", "\uff14", "\u0661", "\U0001d7d3"]
    ),
)
TEXTS = st.lists(st.one_of(st.lists(PIECES, max_size=16).map("".join), st.text(max_size=60)), max_size=4)


@given(TEXTS)
@example([" ".join([*"10000000123982", "01", *"00000000000009"])])
@example(["%E0%80%80123456-1111-1111-1111-111111111111 %41234567-1111-1111-1111-111111111111"])
@settings(max_examples=1500, deadline=None)
def test_engines_find_the_same_card_numbers_and_none_in_a_masked_text(texts: list[str]) -> None:
    found = _pure.find_card_numbers(texts)
    assert _compiled.find_card_numbers(texts) == found
    for text, spans in zip(texts, found, strict=True):
        assert all(end > start for start, end in spans)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))
        masked = list(text)
        for start, end in spans:
            masked[start:end] = "*" * (end - start)
        assert _pure.find_card_numbers(["".join(masked)]) == [[]], ascii(text)


@given(st.lists(PIECES, max_size=16).map("".join), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255))))
@settings(max_examples=1000, deadline=None)
def test_engines_find_the_same_card_numbers_in_damaged_bytes(text: str, damage: list[tuple[int, int]]) -> None:
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for place, byte in damage:
        if place < len(raw):
            raw[place] = byte
    assert _compiled.find_card_numbers([bytes(raw)]) == _pure.find_card_numbers([bytes(raw)])
    for cut in (1, 2, 3):
        assert _compiled.find_card_numbers([raw[cut:], raw[:-cut]]) == _pure.find_card_numbers([raw[cut:], raw[:-cut]])
