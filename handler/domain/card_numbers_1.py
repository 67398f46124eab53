"""The card numbers that version 1 of the canonical text masks: those that 0.1.1 found, and never others.

Frozen: stored hashes depend on every line of it. It has its own copy of all data, and finds what 0.1.1's search found
character by character, in time linear in the text.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable

# First six digits from, to, lengths.
_RANGES: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (220000, 220499, (16, 17, 18, 19)),
    (220500, 220599, (16,)),
    (222100, 272099, (16,)),
    (300000, 305999, (14, 15, 16, 17, 18, 19)),
    (309500, 309599, (14, 15, 16, 17, 18, 19)),
    (340000, 349999, (15,)),
    (352800, 358999, (16, 17, 18, 19)),
    (360000, 369999, (14, 15, 16, 17, 18, 19)),
    (370000, 379999, (15,)),
    (380000, 399999, (14, 15, 16, 17, 18, 19)),
    (400000, 499999, (13, 16, 19)),
    (501800, 501899, (13, 14, 15, 16, 17, 18, 19)),
    (501900, 501999, (16,)),
    (502000, 502099, (13, 14, 15, 16, 17, 18, 19)),
    (503800, 503899, (13, 14, 15, 16, 17, 18, 19)),
    (506099, 506198, (16, 18, 19)),
    (506699, 506778, (16,)),
    (507865, 507964, (16, 18, 19)),
    (508000, 508999, (16,)),
    (509000, 509999, (16,)),
    (510000, 559999, (16,)),
    (589300, 589399, (13, 14, 15, 16, 17, 18, 19)),
    (600000, 608999, (16, 17, 18, 19)),
    (620000, 629999, (16, 17, 18, 19)),
    (630400, 630499, (13, 14, 15, 16, 17, 18, 19)),
    (636000, 639999, (16, 17, 18, 19)),
    (644000, 659999, (16, 17, 18, 19)),
    (675900, 675999, (13, 14, 15, 16, 17, 18, 19)),
    (676100, 676399, (13, 14, 15, 16, 17, 18, 19)),
    (810000, 829999, (16, 17, 18, 19)),
    (860000, 860099, (16,)),
    (979200, 979299, (16,)),
    (986000, 986099, (16,)),
)
_LOWS = [low for low, _, _ in _RANGES]
_GROUPINGS = frozenset(
    [(4, 4, 5), (4, 3, 3, 3), (4, 6, 4), (4, 6, 5), (6, 13)]
    + [(4, 4, 4, rest) for rest in (1, 2, 3, 4)]
    + [(4, 4, 4, 4, rest) for rest in (1, 2, 3)]
)
# What every card number begins with; most texts have no such place, and this is the quickest way to know.
_BEGINNING = re.compile(
    r"(?<![0-9])(?:([0-9]{13,19})(?![0-9])|[0-9]{6}[ -][0-9]{13}(?![0-9])|"
    r"[0-9]{4}[ -](?:[0-9]{4}[ -](?:[0-9]{5}(?![0-9])|[0-9]{4}[ -][0-9])|"
    r"[0-9]{3}[ -][0-9]{3}[ -][0-9]{3}(?![0-9])|[0-9]{6}[ -][0-9]{4,5}(?![0-9])))"
)
_GROUP = re.compile(r"[0-9]{1,20}")
_GROUPS_MAX = 5
_LETTER = re.compile(r"[A-Za-z]")
_FRACTION_BEFORE = re.compile(r"(?:^|[^0-9])[0-9]{1,4}\.\Z")
_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))


def find_card_numbers_1(texts: Iterable[str]) -> list[list[tuple[int, int]]]:
    """Return the card numbers in each text as [start, end) in characters; what is shown of one is for the caller.

    Source: docs/protocol.md of 0.1.1, "Card numbers".
    """
    return [_card_numbers(text) for text in texts]


def _card_numbers(text: str) -> list[tuple[int, int]]:
    spans = []
    match = _BEGINNING.search(text)
    while match:
        start = match.start()
        end = 0 if _continues_token(text, start) else _card_end(text, start)
        if end:
            spans.append((start, end))
        match = _BEGINNING.search(text, end or start + 1)
    return spans


def _card_end(text: str, start: int) -> int:
    """The end of the longest card number that begins at `start`, the first of a run of digits; 0 for none."""
    digits = ""
    sizes: list[int] = []
    end, at = 0, start
    while len(sizes) < _GROUPS_MAX and (group := _GROUP.match(text, at)):
        digits += group[0]
        at = group.end()
        if len(digits) > 19 or _LETTER.match(text, at):
            break
        sizes.append(len(group[0]))
        as_cards_are = tuple(sizes) in _GROUPINGS if len(sizes) > 1 else not _is_fraction(text, start)
        if as_cards_are and _is_card(digits):
            end = at
        if text[at : at + 1] not in (" ", "-"):
            break
        at += 1
    return end


def _continues_token(text: str, start: int) -> bool:
    """Tell whether a letter stands directly before `start` that is not one of five at the end of an escape."""
    before = text[max(0, start - 6) : start]
    if not _LETTER.match(before[-1:]):
        return False
    for character in before[-2::-1]:
        if character in "\\%":
            return False
        if not (character.isascii() and character.isalnum()):
            return True
    return True


def _is_fraction(text: str, start: int) -> bool:
    before = text[max(0, start - 6) : start]
    return _FRACTION_BEFORE.search(before) is not None


def _is_card(digits: str) -> bool:
    if len(digits) < 13:
        return False
    issuer = int(digits[:6])
    at = bisect_right(_LOWS, issuer) - 1
    if at < 0 or issuer > _RANGES[at][1] or len(digits) not in _RANGES[at][2]:
        return False
    return (sum(map(int, digits[::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0
