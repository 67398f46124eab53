"""Card data in messages by the newest rules: card numbers show their last four digits, verification data is removed.

The rule it keeps: one way for values, keys, unknown fields, groups, comments and bodies that cannot be read; only ids
are refused and not changed (protocol, "Ids"). Version 1 of the canonical text has rules of its own (`mask_1`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Final

from handler.domain.canonical import INSTRUMENT_NAMES, without_instrument
from handler.domain.parse import Document, NumberText
from handler.domain.payment import Fault
from handler.domain.ports import FindCardNumbers
from handler.domain.typed import NamedTuple
from handler.domain.verification_data import (
    NOWHERE,
    REMOVED,
    VALUE_KEYS,
    Place,
    judge,
    named_inside,
    place_of,
    without_verification_data,
    without_verification_pairs,
)

IDS: Final = ("payment_id", "order_id", "customer_id", "payment_token", "gateway_customer_id")
VERIFICATION_FAULT: Final = Fault("*", "sensitive_authentication_data")

# A text made to show a new number after every search costs no more than this, and loses all of its digits.
_SEARCHES_MAX: Final = 4
_ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
# Larger exponents spell no card number and would only make long texts.
_EXPONENT_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?0*[0-9]{1,2}")
_SHAPE_PART: Final = re.compile(r"([#@*])(?:\{([0-9]{1,2})(?:-([0-9]{1,2}))?\})?|(,)|([A-Za-z0-9_.:/ -])")
_SHAPE_CLASSES: Final = {"#": "[0-9]", "@": "[A-Za-z]", "*": "[0-9A-Za-z]"}

# The name, what may stand between it and its value, and the value to its next delimiter.
# No two parts begin alike and the name's rest is bounded: a body made to be slow costs no more than its length.
_INSTRUMENT_PAIR: Final = (
    rf"(?i)((?:{INSTRUMENT_NAMES})\w{{0,32}}(?:\\[nrt]|%[0-9a-f]{{2}}|\W)+(?:[ub](?=['\"]))?['\"]?)"
    r"\w[^\s\\'\",;&}\]<>%]*"
)
# What a gateway itself makes, under whatever name.
_TOKEN_SHAPE: Final = re.compile(r"(?:\b|(?<=\\[nrt]))(pm|card|src|tok|ctoken)_[A-Za-z0-9]{14,}")
_CUSTOMER_SHAPE: Final = r"\b(cus)_[A-Za-z0-9]{14,}"


class Masked(NamedTuple):
    """A document that may be kept. `faults`: its ids that hold a card number, and verification data in it.

    `as_declared` is the document as if its ids had been declared: never kept, only compared with what was claimed so.
    """

    document: dict[str, Document]
    faults: tuple[Fault, ...] = ()
    as_declared: dict[str, Document] | None = None


def mask_documents(
    documents: Sequence[dict[str, Document]], find_card_numbers: FindCardNumbers, id_shapes: str = ""
) -> list[Masked]:
    """Masked copies of JSON documents, whatever their depth: strings, numbers, keys and unknown fields alike.

    All texts of all documents are looked through at once. A number that holds a card number becomes a string, so it can
    never be an amount afterwards. `id_shapes`: see `is_declared`.
    """
    texts: list[str] = []
    for document in documents:
        _collect(document, texts)
    masked = iter(mask_texts(texts, find_card_numbers))
    # Numbers too: masked, one would become a text, and so a valid id.
    all_ids = [{name: document[name] for name in IDS if isinstance(document.get(name), str)} for document in documents]
    all_refused = _card_ids(all_ids, find_card_numbers, id_shapes)
    results = []
    for document, ids, refused in zip(documents, all_ids, all_refused, strict=True):
        copy = _Copy()
        whole = copy.of(document, masked)
        # Free text's rules are not for ids: `cvv-123` is an order like any other.
        kept = {**whole, **{name: value for name, value in ids.items() if name not in refused}}
        faults = tuple(Fault(name, "card_number") for name in refused)
        results.append(
            Masked(
                kept,
                faults + ((VERIFICATION_FAULT,) if copy.has_verification_data else ()),
                {**kept, **ids} if refused else None,
            )
        )
    return results


def mask_texts(texts: Sequence[str], find_card_numbers: FindCardNumbers) -> list[str]:
    """Texts of the same lengths, with stars for all but the last four digits of card numbers and for verification data.

    The search goes on until it finds none, so that masking a masked text changes nothing whatever finds the numbers.
    """
    masked = list(texts)
    left = list(range(len(masked)))
    for _ in range(_SEARCHES_MAX):
        found = find_card_numbers([masked[index] for index in left])
        changed = []
        for index, spans in zip(left, found, strict=True):
            before = masked[index]
            masked[index] = without_verification_data(_hide(before, spans) if spans else before)
            if spans or masked[index] != before:
                changed.append(index)
        left = changed
        if not left:
            return masked
    for index in left:
        masked[index] = "".join("*" if character.isdigit() else character for character in masked[index])
    return masked


def mask_unreadable(body: str, find_card_numbers: FindCardNumbers) -> str:
    """Mask a body that is no document: escapes are decoded first, as they could hide digits from the scan.

    Such a body has no fields, so whatever follows the name of verification data, or of an instrument, goes up to the
    next delimiter, and so does whatever looks like an instrument.
    """
    text = without_verification_pairs(_decoded(body, find_card_numbers))
    text = re.sub(_INSTRUMENT_PAIR, r"\1***", text)
    text = re.sub(_CUSTOMER_SHAPE, r"\1_***", _TOKEN_SHAPE.sub(r"\1_***", text))
    return mask_texts([text], find_card_numbers)[0]


def _decoded(body: str, find_card_numbers: FindCardNumbers) -> str:
    """A body without escapes of printable characters, whose card numbers are hidden as they stand before each round:
    what one escape stands for may end another one, which would take a number's first digits into itself.
    """
    text = body
    for _ in range(_SEARCHES_MAX):
        if not _ESCAPED.search(text):
            return text
        (masked,) = mask_texts([text], find_card_numbers)
        text = _ESCAPED.sub(_decode_printable, masked)
        if text == masked:
            return text
    # Escapes of escapes of escapes: nobody reads it, and nobody shall decode it any further.
    return "".join("*" if character.isdigit() or character == "\\" else character for character in text)


def masked_body(document: Document) -> str:
    """The text of a masked document for the rejected queue, without its instrument or what looks like a token; ASCII
    only, so that lone surrogates survive. What looks like the gateway's customer may be a sender's own id, and stays.
    """
    text = without_instrument(json.dumps(document, ensure_ascii=True, separators=(",", ":")))
    return _TOKEN_SHAPE.sub(r"\1_***", text)


def mask_group(group: str, find_card_numbers: FindCardNumbers, id_shapes: str = "") -> tuple[str, tuple[Fault, ...]]:
    """A message group as it may be kept, and its fault where it holds a card number."""
    if not group or not _card_ids([{"": group}], find_card_numbers, id_shapes)[0]:
        return group, ()
    return mask_texts([group], find_card_numbers)[0], (Fault("message_group_id", "card_number"),)


def is_declared(text: str, id_shapes: str) -> bool:
    """Whether an id has one of the shapes as a whole. Commas between shapes; `#` is a digit, `@` an ASCII letter, `*`
    either, `{n}` or `{n-m}` behind one says how many, and everything else stands for itself.

    Raises ValueError for shapes that are none.
    """
    return bool(id_shapes) and shapes_pattern(id_shapes).fullmatch(text) is not None


@cache
def shapes_pattern(id_shapes: str) -> re.Pattern[str]:
    """Raises ValueError for shapes that are none."""
    pattern, at = "", 0
    while at < len(id_shapes):
        part = _SHAPE_PART.match(id_shapes, at)
        if part is None:
            raise ValueError(f"{id_shapes[at:]} is no part of a shape")
        sign, least, most, comma, literal = part.groups()
        if most is not None and int(most) < int(least):
            raise ValueError(f"{part[0]} counts down")
        count = "" if least is None else f"{{{least},{most}}}" if most is not None else f"{{{least}}}"
        pattern += "|" if comma else _SHAPE_CLASSES[sign] + count if sign else re.escape(literal)
        at = part.end()
    if re.fullmatch(pattern, ""):
        raise ValueError("one of the shapes is empty")
    return re.compile(pattern)


def _card_ids(all_ids: Sequence[dict[str, str]], find_card_numbers: FindCardNumbers, id_shapes: str) -> list[list[str]]:
    """Of each document, the names of ids that hold a card number and are not declared."""
    asked = [
        (place, name, value)
        for place, ids in enumerate(all_ids)
        for name, value in ids.items()
        if not is_declared(value, id_shapes)
    ]
    found = find_card_numbers([_plain(value) for *_, value in asked]) if asked else []
    refused: list[list[str]] = [[] for _ in all_ids]
    for (place, name, _), spans in zip(asked, found, strict=True):
        if spans:
            refused[place].append(name)
    return refused


def _hide(text: str, spans: Sequence[tuple[int, int]]) -> str:
    characters = list(text)
    for start, end in spans:
        characters[start:end] = "*" * (end - start)
    return "".join(characters)


def _decode_printable(match: re.Match[str]) -> str:
    """Others stay escaped: SQS refuses control characters, and UTF-8 lone surrogates."""
    code = int(match[1], 16)
    return chr(code) if 0x20 <= code < 0x7F else match[0]


def _plain(value: str) -> str:
    """A number without its exponent, which could hide digits from the scan."""
    is_exponent = isinstance(value, NumberText) and _EXPONENT_NUMBER.fullmatch(value)
    return format(Decimal(value), "f") if is_exponent else value


def _collect(value: Document, texts: list[str]) -> None:
    if isinstance(value, str):
        texts.append(_plain(value))
    elif isinstance(value, list):
        for element in value:
            _collect(element, texts)
    elif isinstance(value, dict):
        for key, element in value.items():
            texts.append(key)
            _collect(element, texts)


class _Copy:
    """One document made anew from its masked texts, without its verification data."""

    def __init__(self) -> None:
        self.has_verification_data = False

    def of(self, value: Document, masked: Iterator[str], name: str = "", around: Place = NOWHERE) -> Document:
        if isinstance(value, str):
            text = next(masked)
            # As it was, also in its type, where nothing was found.
            return value if text == _plain(value) else text
        if isinstance(value, list):
            return [self.of(element, masked, name, around) for element in value]
        if isinstance(value, dict):
            return self._fields(value, masked, place_of(name, value, around))
        return value

    def _fields(self, fields: dict[str, Document], masked: Iterator[str], place: Place) -> Document:
        result: dict[str, Document] = {}
        named = named_inside(fields)
        for key, element in fields.items():
            name = next(masked)
            copy = self.of(element, masked, key, place)
            judgement = judge(key, element, place)
            if not judgement and named and key.lower() in VALUE_KEYS:
                judgement = judge(named, element, place)
            self.has_verification_data |= judgement == "certain"
            result[name] = REMOVED if judgement else copy
        return result
