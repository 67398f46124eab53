"""The scanner for card numbers: both engines, on texts and on bytes.

The rule it keeps: the two engines are no oracle alone, as both follow one description. What a reader would call a card
number at first sight (`card_like`) is found whatever else stands around it. Input: UTF-8, damaged or not.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable

from handler.domain.card_data import mask_texts, mask_unreadable
from handler.domain.card_numbers_1 import find_card_numbers_1
from scoring import _compiled, _pure

WORDS = (
    *("4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005"),
    *(
        "5555555555554444",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
        "4222222222222",
        "6200000000000005",
    ),
    *("6003 4111 1111 1111 1111", "4111", "1111", "000", "00", "+49151", "0.", "1.", "cvv 123", "12/27", " 123"),
    *("%20", "%2E", "%E2%80%89", "%41", "\\n", "\\u0034", "\\u2009", "\\x20", "\\/", "%B", "^", "=", "visa", "exp1227"),
    *("\u200b", "\u00ad", "\u2009", "\u2013", "\uff14", "\u0661", "\U0001d7d3", "\u00b7", "_", "/", "|", "~", ",", "."),
    *("48215669-8059-4971-86fe-0de40701655f", "8741cc6715d94111111111111111cc89", "*********", "****", "a", "Z", "g1"),
)
# Visa alone, as one run with nothing but these around it: no rule of the protocol excuses that.
_AT_FIRST_SIGHT = re.compile(r"""(?:^|(?<=["':;=()<>&\n]))4[0-9]{15}(?=$|["':;=()<>&\n])""")


def card_like(text: str) -> list[str]:
    """What anybody would call a card number."""
    return [found for found in _AT_FIRST_SIGHT.findall(text) if _is_luhn(found)]


def _is_luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


def check(data: bytes) -> set[Hashable]:
    """Look through one text, as bytes and as characters; the shapes of what is hidden."""
    assert _compiled.find_card_numbers([data]) == _pure.find_card_numbers([data]), "the engines differ over bytes"
    # Longer ones are slow, and show nothing that a shorter one does not.
    text = data[:300].decode("utf-8", "surrogateescape")
    (spans,) = _pure.find_card_numbers([text])
    assert _compiled.find_card_numbers([text]) == [spans], "the engines differ"
    # Texts of one call are nothing to each other.
    assert _compiled.find_card_numbers(["4111", text, "1111 1111 1111", text]) == [[], spans, [], spans]
    for found in (spans, find_card_numbers_1([text])[0]):
        assert all(0 <= start < end <= len(text) for start, end in found)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))
    shown = "".join("*" if any(start <= at < end for start, end in spans) else text[at] for at in range(len(text)))
    assert _pure.find_card_numbers([shown]) == [[]], "a masked text holds a card number"
    assert not card_like(shown), "what anybody would call a card number is not found"
    for mask in (_masked, _masked_unreadable):
        once = mask(text)
        assert mask(once) == once, "masking a masked text changes it"
        assert not card_like(once), "what anybody would call a card number is kept"
    return {re.sub("[0-9]", "d", text[start - 1 : end + 5]) for start, end in spans} | {len(spans)}


def _masked(text: str) -> str:
    return mask_texts([text], _compiled.find_card_numbers)[0]


def _masked_unreadable(text: str) -> str:
    return mask_unreadable(text, _compiled.find_card_numbers)
