"""Card numbers in texts, for the pure engine: the specification of what both engines find, in time linear in the text.

Nothing asks the interpreter's Unicode tables: what a character is stands in scoring/cards.py.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise

from scoring.cards import (
    BEHIND_WORD_MAX,
    DIGITS_MIN,
    GROUPINGS,
    ISSUERS,
    JOINT_MAX,
    MASK_STARS,
    ONE_SIZE_MAX,
    PHONE_LENGTHS,
    SHOWN,
    WHOLE_DIGITS_MAX,
    Issuer,
    classes,
)

_REPRESENTATIVES = {"separator": " ", "point": ".", "comma": ",", "unseen": ""}
_OTHER = "\0"
# What stands in the view for a character beyond ASCII; for others _OTHER.
_SEEN = {
    character: str(character - first) if kind == "digit" else _REPRESENTATIVES[kind]
    for first, last, kind in classes()
    for character in range(max(first, 0x80), last + 1)
}
_HEX = "[0-9A-Fa-f]"
# What is one character of the view, or none, and another number of characters in the text or another character.
_SPECIAL = re.compile(
    rf"(?P<uuid>(?:(?<![0-9A-Za-z])|(?<=\\[bfnrtv])|(?<=%{_HEX}{{2}}))"
    rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}(?![0-9A-Za-z]))|"
    rf"(?P<escaped>\\u{_HEX}{{4}}|\\x{_HEX}{{2}})|(?P<space>\\[bfnrtv])|"
    r"(?i:(?P<encoded>%(?:[01][0-9a-f]|2[0-9a-f]|3[a-f]|40|5[b-f]|60|7[b-f]|"
    r"(?:c[2-9a-f]|d[0-9a-f]|(?:e0%[ab]|e[1-9a-cef]%[89ab]|ed%[89]|"
    r"(?:f0%[9ab]|f[1-3]%[89ab]|f4%8)[0-9a-f]%[89ab])[0-9a-f])%[89ab][0-9a-f])))|"
    r"(?P<beyond>[^\x00-\x7f])"
)
# Digits and separators share no character, so that it never goes back far. Possessive, Python 3.11.2 lost chains.
_CHAIN = re.compile(rf"[0-9]+(?:(?:[\t-\r +\-/\\_|~]{{1,{JOINT_MAX}}}|[.,])[0-9]+)*")
_JOINING = re.compile(r"[\t-\r +\-/\\_|~.,]")
_GROUP = re.compile("[0-9]+")
_WORD = re.compile("[A-Za-z]+")
_BEYOND_F = re.compile("[G-Zg-z]")
_DIGITS_BEHIND = re.compile(rf"[0-9]{{0,{BEHIND_WORD_MAX}}}")
_LOWS = [issuer.low for issuer in ISSUERS]
_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))


def find_card_numbers(fields: Iterable[str | bytes]) -> list[list[tuple[int, int]]]:
    """Return the digits of each field that have to be hidden, as [start, end) in characters of a str, bytes of bytes.

    They are all digits but the last four of each card number, whatever numbers overlap; a span holds digits alone (or
    escapes that stand for digits), in order, as long as can be. Bytes-like fields are read as UTF-8; what is none is no
    digit. Source: docs/protocol.md, "Card numbers".
    """
    return [_hidden(field) if isinstance(field, str) else _hidden_bytes(field) for field in fields]


def _hidden_bytes(field: bytes) -> list[tuple[int, int]]:
    text = memoryview(field).tobytes().decode("utf-8", "surrogateescape")
    spans = _hidden(text)
    if not spans or text.isascii():
        return spans
    sizes = (1 if c < "\x80" or "\udc80" <= c <= "\udcff" else 2 + (c > "\u07ff") + (c > "\uffff") for c in text)
    places = [0, *accumulate(sizes)]
    return [(places[start], places[end]) for start, end in spans]


def _hidden(text: str) -> list[tuple[int, int]]:
    if len(text) < DIGITS_MIN:
        return []
    view, spans_of = _view(text)
    spans: list[tuple[int, int]] = []
    for chain in _CHAIN.finditer(view):
        if chain.end() - chain.start() >= DIGITS_MIN:
            for place in _hidden_in_chain(view, chain.start(), chain.end()):
                start, end = spans_of(place)
                if spans and spans[-1][1] == start:
                    start = spans.pop()[0]
                spans.append((start, end))
    return spans


def _view(text: str) -> tuple[str, Callable[[int], tuple[int, int]]]:
    """The text as digits, separators, letters and others, and a function from a place in it to a span of the text."""
    match = _SPECIAL.search(text) if not text.isascii() or "\\" in text or "%" in text or "-" in text else None
    if match is None:
        return text, lambda place: (place, place + 1)
    parts: list[str] = []
    starts: list[int] = []
    ends: dict[int, int] = {}
    at = 0
    for match in _SPECIAL.finditer(text):
        seen = _seen(match)
        parts.append(text[at : match.start()])
        parts.append(seen)
        starts.extend(range(at, match.start()))
        if seen:
            ends[len(starts)] = match.end()
            starts.append(match.start())
        at = match.end()
    parts.append(text[at:])
    starts.extend(range(at, len(text)))
    return "".join(parts), lambda place: (starts[place], ends.get(place, starts[place] + 1))


def _seen(match: re.Match[str]) -> str:
    """What stands in the view for a match of _SPECIAL."""
    kind, written = match.lastgroup, match[0]
    if kind == "uuid":
        return _OTHER
    if kind == "space":
        return " "
    if kind == "encoded":
        code = ord(bytes.fromhex(written.replace("%", "")).decode("utf-8"))
    else:
        code = ord(written) if kind == "beyond" else int(written[2:], 16)
    return chr(code) if code < 0x80 else _SEEN.get(code, _OTHER)


def _hidden_in_chain(view: str, start: int, end: int) -> Iterable[int]:
    """The places of a chain's digits that have to be hidden, ascending."""
    groups = [(group.start(), group.end()) for group in _GROUP.finditer(view, start, end)]
    digits = "".join([view[first:last] for first, last in groups])
    if len(digits) < DIGITS_MIN:
        return ()
    firsts = [0, *accumulate([last - first for first, last in groups])]
    group_ending = {last: number for number, last in enumerate(firsts[1:])}
    sums = _luhn_sums(digits)
    hidden = bytearray(len(digits))
    for number, (first, last) in enumerate(groups):
        size = last - first if view[first] != "0" else len(view[first:last].lstrip("0"))
        begin = firsts[number + 1] - size
        if begin + DIGITS_MIN > len(digits):
            break
        issuer = _issuer(digits[begin : begin + 6]) if size else None
        if issuer is None or (number == 0 and _is_part_of_id_before(view, start)):
            continue
        for length in issuer.lengths:
            ending = group_ending.get(begin + length)
            sum_by_place = sums[(begin + length) % 2]
            if (
                ending is not None
                and (sum_by_place[begin + length] - sum_by_place[begin]) % 10 == 0
                and _is_written_so(
                    view, groups[number - 1] if number else None, groups[number : ending + 1], issuer, length
                )
                and not (ending == len(groups) - 1 and _is_part_of_id_behind(view, end))
            ):
                hidden[begin : begin + length - SHOWN] = b"\1" * (length - SHOWN)
    if not any(hidden):
        return ()
    places = [place for first, last in groups for place in range(first, last)]
    return [place for place, hide in zip(places, hidden, strict=True) if hide]


def _is_written_so(
    view: str, before: tuple[int, int] | None, groups: Sequence[tuple[int, int]], issuer: Issuer, length: int
) -> bool:
    """Tell whether groups of a chain, behind the group `before`, are written as card numbers of `length` digits are."""
    first, last = groups[0]
    size = length - sum([last - first for first, last in groups[1:]])  # without the zeros in front
    if length in PHONE_LENGTHS and (last - first == size + 2 or _is_behind_plus(view, first)):
        return False
    if len(groups) == 1:
        fraction = before and view[before[1] : first] == "." and before[1] - before[0] <= WHOLE_DIGITS_MAX
        return not fraction and not issuer.grouped
    joints = {view[end:start] for (_, end), (start, _) in pairwise(groups)}
    joints = {joint if joint in (".", ",") else " " for joint in joints}
    if joints != {" "} and (len(joints) > 1 or len(groups) == 2):
        return False
    sizes = (size, *[last - first for first, last in groups[1:]])
    one_size = len(sizes) > 2 and size <= ONE_SIZE_MAX and sizes[:-1] == (size,) * (len(sizes) - 1)
    return (one_size and sizes[-1] <= size + 1) or sizes in GROUPINGS


def _is_behind_plus(view: str, start: int) -> bool:
    before = view[max(0, start - 2) : start]
    return before[-1:] == "+" and not before[-2:-1].isalnum()


def _is_part_of_id_before(view: str, start: int) -> bool:
    """Tell whether what touches a chain that begins at `start` makes its first group a part of an id or of a mask."""
    at = start
    while at and view[at - 1].isalpha():
        at -= 1
    if at == start:
        return _is_masked(view, range(start - 1, -1, -1))
    before = view[at - 1] if at else ""
    is_word = start - at <= 2 or before in ("\\", "%") or _BEYOND_F.search(view, at, start)
    return before.isdigit() or not is_word


def _is_masked(view: str, places: range) -> bool:
    """Tell whether MASK_STARS stars stand at these places, one at the first, with nothing but joints between."""
    stars = 0
    for place in places:
        if view[place] == "*":
            stars += 1
        elif not stars or not _JOINING.match(view, place):
            return False
        if stars == MASK_STARS:
            return True
    return False


def _is_part_of_id_behind(view: str, end: int) -> bool:
    """Tell whether what touches a chain that ends at `end` makes its last group a part of an id."""
    word = _WORD.match(view, end)
    if word is None:
        return _is_masked(view, range(end, len(view)))
    behind = _DIGITS_BEHIND.match(view, word.end())
    digits = behind[0] if behind else ""
    at = word.end() + len(digits)
    after = view[at : at + 1]
    return after.isalnum() or not (_BEYOND_F.search(word[0]) or (len(word[0]) <= 2 and not digits))


def _issuer(first_six: str) -> Issuer | None:
    number = int(first_six)
    at = bisect_right(_LOWS, number) - 1
    return ISSUERS[at] if at >= 0 and number <= ISSUERS[at].high else None


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """The sums of all digits before a place where those at even places count twice, and where those at odd ones do.

    The first is for numbers that end before an even place: their last digit counts once (ISO/IEC 7812-1, annex B).
    """
    once, twice = list(map(int, digits)), [_DOUBLED[digit] for digit in digits]
    odd = list(once)
    once[::2] = twice[::2]
    odd[1::2] = twice[1::2]
    return [0, *accumulate(once)], [0, *accumulate(odd)]
