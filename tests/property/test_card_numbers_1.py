"""Version 1 masks for ever what 0.1.1 found: the frozen search finds what 0.1.1's own code finds, kept here."""

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from handler.domain import card_numbers_1
from handler.domain.card_numbers_1 import find_card_numbers_1

RANGES = card_numbers_1._RANGES
GROUPINGS = ((4, 4, 5), (4, 3, 3, 3), (4, 6, 4), (4, 6, 5), (6, 13))
GROUPINGS += ((4, 4, 4, 1), (4, 4, 4, 2), (4, 4, 4, 3), (4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3))


def is_card(digits: Sequence[int]) -> bool:
    if not 13 <= len(digits) <= 19:
        return False
    issuer = int("".join(map(str, digits[:6])))
    if not any(low <= issuer <= high and len(digits) in lengths for low, high, lengths in RANGES):
        return False
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (doubled + sum(digits[-1::-2])) % 10 == 0


def is_digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39


def is_letter(byte: int) -> bool:
    return 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A


def continues_token(text: Sequence[int], start: int) -> bool:
    if start == 0 or not is_letter(text[start - 1]):
        return False
    for byte in text[max(0, start - 6) : start - 1][::-1]:
        if byte in b"\\%":
            return False
        if not (is_letter(byte) or is_digit(byte)):
            return True
    return True


def is_fraction(text: Sequence[int], start: int) -> bool:
    if start == 0 or text[start - 1] != 0x2E:
        return False
    whole = 0
    for byte in text[max(0, start - 6) : start - 1][::-1]:
        if not is_digit(byte):
            break
        whole += 1
    return 1 <= whole <= 4


def card_end(text: Sequence[int], start: int) -> int:
    if continues_token(text, start):
        return 0
    digits: list[int] = []
    groups: list[int] = []
    end, at = 0, start
    while len(groups) < 5:
        first = at
        while at < len(text) and is_digit(text[at]):
            if len(digits) == 19:
                return end
            digits.append(text[at] - 0x30)
            at += 1
        if at < len(text) and is_letter(text[at]):
            return end
        groups.append(at - first)
        as_cards_are = tuple(groups) in GROUPINGS if len(groups) > 1 else not is_fraction(text, start)
        if as_cards_are and is_card(digits):
            end = at
        if not (at + 1 < len(text) and text[at] in b" -" and is_digit(text[at + 1])):
            return end
        at += 1
    return end


def found_by_0_1_1(given_text: str) -> list[tuple[int, int]]:
    text = [min(ord(c), 0xFF) for c in given_text]
    spans = []
    at = 0
    while at < len(text):
        if not is_digit(text[at]):
            at += 1
            continue
        end = card_end(text, at)
        if end:
            spans.append((at, end))
            at = end
        while at < len(text) and is_digit(text[at]):
            at += 1
    return spans


@st.composite
def cards(draw: st.DrawFn) -> str:
    """A number of any range and length, right by Luhn nine times in ten, in one run or in groups of every kind."""
    low, high, lengths = draw(st.sampled_from(RANGES))
    length = draw(st.sampled_from(lengths))
    digits = f"{draw(st.integers(low, high))}{draw(st.integers(0, 10 ** (length - 7) - 1)):0{length - 7}}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    check = -(doubled + sum(map(int, digits[-2::-2]))) % 10
    number = digits + str((check + draw(st.integers(0, 9)) // 9) % 10)
    fitting = [(length,), (4, length - 4), *(each for each in GROUPINGS if sum(each) == length)]
    groups, at = [], 0
    for size in draw(st.sampled_from(fitting)):
        groups.append(number[at : at + size])
        at += size
    return draw(st.sampled_from(" -")).join(groups)


PIECES = st.one_of(
    cards(),
    st.sampled_from(["4111", "1111", "4222", "222", "3782", "822463", "10005", "620550", "0000000000004", "0.", "a"]),
    st.sampled_from(["4111111111111111", "5 0 1 8 ", "12345.", "\\n", "\\u000a", "%3A", "%B", "é", "\ud800"]),
    st.sampled_from([" ", "-", "  ", ".", "Z", "\u0664", "\\", "%", "9"]),
)


@given(st.lists(PIECES, max_size=14).map("".join))
@example("4001 4111 1111 1100 0009")  # two that overlap: the first is the one
@example("1.4111111111111111 1234.4111111111111111 12345.4111111111111111 x.4111111111111111")
@settings(max_examples=3000, deadline=None)
def test_the_frozen_search_finds_what_0_1_1_finds(text: str) -> None:
    assert find_card_numbers_1([text]) == [found_by_0_1_1(text)]


@given(st.text(st.sampled_from("0123456789012345678901234567894455 --.x\\"), max_size=90))
@settings(max_examples=1000, deadline=None)
def test_the_frozen_search_finds_what_0_1_1_finds_in_digits_and_separators(text: str) -> None:
    assert find_card_numbers_1([text]) == [found_by_0_1_1(text)]
