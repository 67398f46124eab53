"""From documents to documents that may be hashed, stored and logged: card numbers show their last four digits only.

Card verification data (PCI DSS 4.0.1, requirement 3.3) is removed outright, and its presence is a fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from handler.domain.parse import Document, NumberText
from handler.domain.ports import FindCardNumbers

# A text made to show a new number after every search costs no more than this, and loses all of its digits.
_SEARCHES_MAX = 4
_DIGITS = re.compile("[0-9]")
_REMOVED = "[removed]"
# Names are compared without case, spaces, dashes and underscores.
_FORBIDDEN = re.compile(
    r"(card)?(cvv2?|cvc2?|csc|cav2|cvn|pin|pinblock|pincode|(full)?track[123]?(data)?|"
    r"mag(netic)?stripe(data)?|securitycode|verification(code|value|number))"
)
_FORBIDDEN_PAIR = re.compile(
    r"(?i)(\b(?:card[\s_-]?)?(?:cvv2?|cvc2?|csc|cav2|cvn|pin(?:[\s_-]?(?:code|block))?|"
    r"(?:full[\s_-]?)?track[\s_-]?[123]?(?:[\s_-]?data)?|mag(?:netic)?[\s_-]?stripe(?:[\s_-]?data)?|"
    r"security[\s_-]?code|verification[\s_-]?(?:code|value|number))"
    r"[\"'\\\s]*[:=][\"'\\\s]*)[^\"',}\]]+"
)
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
# Larger exponents spell no card number and would only make long texts.
_EXPONENT_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?0*[0-9]{1,2}")


def is_forbidden_name(name: str) -> bool:
    """Whether a field of this name holds sensitive authentication data (cvv, pin, track and the like)."""
    return _FORBIDDEN.fullmatch(re.sub(r"[\s_-]", "", name.lower())) is not None


def mask_texts(texts: Sequence[str], find_card_numbers: FindCardNumbers) -> list[str]:
    """Replace all but the last four digits of each card number by `*`, keeping separators and length.

    The search goes on until it finds none, so that masking a masked text changes nothing whatever finds the numbers.
    """
    masked = list(texts)
    left = list(range(len(masked)))
    for _ in range(_SEARCHES_MAX):
        found = find_card_numbers([masked[index] for index in left])
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
        characters[start:end] = "*" * (end - start)
    return "".join(characters)


def mask(documents: Sequence[Document], find_card_numbers: FindCardNumbers) -> list[Document]:
    """Masked copies of JSON documents, whatever their depth: strings, numbers, keys and unknown fields alike.

    All texts of all documents go to `find_card_numbers` at once. A number that holds a card number becomes a string,
    so it can never be an amount afterwards.
    """
    texts: list[str] = []
    for document in documents:
        _collect(document, texts)
    masked = iter(
        [
            None if after == before else after
            for before, after in zip(texts, mask_texts(texts, find_card_numbers), strict=True)
        ]
    )
    return [_rebuild(document, masked) for document in documents]


def masked_body(document: Document) -> str:
    """The text of a masked document for the rejected queue; ASCII only, so that lone surrogates survive."""
    return json.dumps(document, ensure_ascii=True, separators=(",", ":"))


def mask_unreadable(body: str, find_card_numbers: FindCardNumbers) -> str:
    """Mask a body that is no document: escapes are decoded first, as they could hide digits from the scan.

    Such a body has no fields, so whatever follows the name of verification data goes up to the next delimiter.
    """
    text = _FORBIDDEN_PAIR.sub(rf"\1{_REMOVED}", _ESCAPED.sub(_decode_printable, body))
    return mask_texts([text], find_card_numbers)[0]


def _decode_printable(match: re.Match[str]) -> str:
    """Others stay escaped: SQS refuses control characters, and UTF-8 lone surrogates."""
    code = int(match[1], 16)
    return chr(code) if 0x20 <= code < 0x7F else match[0]


def _collect(value: Document, texts: list[str]) -> None:
    if isinstance(value, NumberText) and _EXPONENT_NUMBER.fullmatch(value):
        texts.append(format(Decimal(value), "f"))
    elif isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list):
        for element in value:
            _collect(element, texts)
    elif isinstance(value, dict):
        for key, element in value.items():
            texts.append(key)
            _collect(element, texts)


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
            result[key if name is None else name] = _REMOVED if is_forbidden_name(key) else rebuilt
        return result
    return value
