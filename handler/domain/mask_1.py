"""What version 1 of the canonical text masks and refuses: as 0.1.1 did it, and never otherwise.

Frozen: stored hashes depend on every line of it. Nothing that it leaves in a text is stored or sent because of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

from handler.domain.card_numbers_1 import find_card_numbers_1
from handler.domain.parse import Document, NumberText
from handler.domain.payment import Fault

_SHOWN = 4
_SEARCHES_MAX = 4
_DIGITS = re.compile("[0-9]")
_REMOVED = "[removed]"
_FORBIDDEN = re.compile(
    r"(card)?(cvv2?|cvc2?|csc|cav2|cvn|pin|pinblock|pincode|(full)?track[123]?(data)?|"
    r"mag(netic)?stripe(data)?|securitycode|verification(code|value|number))"
)
_EXPONENT_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?0*[0-9]{1,2}")


def mask_1(document: Document) -> tuple[Document, tuple[Fault, ...]]:
    """The document as version 1 masks it, and its fault where a field has the name of verification data."""
    texts: list[str] = []
    is_forbidden = _collect(document, texts)
    masked = iter([None if after == before else after for before, after in zip(texts, _mask_texts(texts), strict=True)])
    return _rebuild(document, masked), (Fault("*", "sensitive_authentication_data"),) if is_forbidden else ()


@lru_cache(1024)
def _is_forbidden_name(name: str) -> bool:
    return _FORBIDDEN.fullmatch(re.sub(r"[\s_-]", "", name.lower())) is not None


def _mask_texts(texts: Sequence[str]) -> list[str]:
    masked = list(texts)
    left = list(range(len(masked)))
    for _ in range(_SEARCHES_MAX):
        found = find_card_numbers_1([masked[index] for index in left])
        spans = {index: each for index, each in zip(left, found, strict=True) if each}
        for index, each in spans.items():
            masked[index] = _hide(masked[index], each)
        left = list(spans)
        if not left:
            return masked
    for index in left:
        masked[index] = _DIGITS.sub("*", masked[index])
    return masked


def _hide(text: str, spans: Sequence[tuple[int, int]]) -> str:
    characters = list(text)
    for start, end in spans:
        digits = [index for index in range(start, end) if characters[index] in "0123456789"]
        for index in digits[:-_SHOWN]:
            characters[index] = "*"
    return "".join(characters)


def _collect(value: Document, texts: list[str]) -> bool:
    """Add every text, in order; whether a name among them is a forbidden one."""
    if isinstance(value, NumberText) and _EXPONENT_NUMBER.fullmatch(value):
        texts.append(format(Decimal(value), "f"))
    elif isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list):
        # Not a generator, which would leave out what stands behind the first.
        found = [_collect(element, texts) for element in value]
        return any(found)
    elif isinstance(value, dict):
        is_forbidden = False
        for key, element in value.items():
            texts.append(key)
            is_forbidden |= _is_forbidden_name(key)
            is_forbidden |= _collect(element, texts)
        return is_forbidden
    return False


def _rebuild(value: Document, masked: Iterator[str | None]) -> Document:
    if isinstance(value, str):
        text = next(masked)
        return value if text is None else text
    if isinstance(value, list):
        return [_rebuild(element, masked) for element in value]
    if isinstance(value, dict):
        result: dict[str, Document] = {}
        for key, element in value.items():
            name = next(masked)
            rebuilt = _rebuild(element, masked)
            result[key if name is None else name] = _REMOVED if _is_forbidden_name(key) else rebuilt
        return result
    return value
