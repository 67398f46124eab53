"""What is card verification data: security codes, PINs and track data, told by name, place and value.

The rule it keeps: where all three say so it is a fault, where they leave it open it is removed all the same, and only
what is plainly something else stays (protocol, "Verification data"). It does not ask the interpreter's Unicode tables,
as version 2 of the canonical text hangs on it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache, lru_cache
from typing import Final, Literal

from handler.domain.parse import Document, NumberText
from handler.domain.typed import NamedTuple

# certain: a fault, and removed. open: removed, and the payment goes on.
Judgement = Literal["certain", "open", ""]
Kind = Literal["strong code", "code", "card id", "check", "pin", "some pin", "pin block", "stripe", "track", ""]


class Place(NamedTuple):
    """Where a field stands: what the objects around it and the fields beside it are about."""

    is_card: bool = False
    is_address: bool = False


NOWHERE: Final = Place()

# Digits that people type: ASCII, full-width, Arabic-Indic in both forms, Devanagari, Bengali.
_DIGIT: Final = "0-9\uff10-\uff19\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\u09e6-\u09ef"
_BETWEEN_DIGITS: Final = re.compile("[ \t\n\u00a0\"'_-]")
_NOT_DIGITS: Final = re.compile(f"[^{_DIGIT}]")
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_CAMEL: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# One digit is a word's own, more are a word: else what masking leaves of a name would be another name.
_WORD: Final = re.compile("[a-z]+[0-9](?![0-9])|[a-z]+|[0-9]+")

# Words that say how a check ended, or are about a code and not it.
_ABOUT: Final = frozenset(
    _WORD.findall(
        "attempts check checked checks collected enabled entered error failed flag hint indicator label length "
        "match matched message passed policy presence present provided reason required response result results "
        "score status supported type valid validated verified"
    )
)
_CARD_WORDS: Final = frozenset(_WORD.findall("card cards cc creditcard debitcard paymentcard instrument amex"))
_CARD_FIELDS: Final = frozenset(_WORD.findall("pan cardnumber ccnumber expiry expiration exp cvv cvc"))
_ADDRESS_WORDS: Final = frozenset(_WORD.findall("address addresses addr shipto billto"))
_ADDRESS_FIELDS: Final = frozenset(
    _WORD.findall(
        "street city state zip postalcode postcode country district address addressline1 line1 town locality region"
    )
)
_PIN_WORDS: Final = frozenset(
    _WORD.findall("pin pins mpin upi atm card cc debit credit bank code number no num value data the")
)
# Of a longer name its end says what it is.
_NAME_MAX: Final = 64


@lru_cache(2048)
def _words(name: str) -> tuple[str, ...]:
    """`cvvNumber`, `CVV-number` and `cvv_number` are `cvv`, `number`; `track_2` is `track2`."""
    spelled = _CAMEL.sub(" ", name.translate(_FULL_WIDTH))
    words: list[str] = _WORD.findall("".join(c.lower() if c.isascii() else c for c in spelled))
    for at in range(len(words) - 1, 0, -1):
        if words[at].isdigit() and len(words[at]) == 1 and words[at - 1].isalpha():
            words[at - 1 : at + 1] = [words[at - 1] + words[at]]
    return tuple(words)


# Whatever a pattern of names finds has one of these in it. A name without any is asked no pattern, and none is compiled
# where all are so.
_SIGNS: Final = (
    *("cvv", "cvc", "ccv", "csc", "cvn", "cvd", "cve", "cvx", "cvp", "cav2", "cv2"),
    *("security", "cardsec", "verification", "validation", "cardcode", "cardidentification", "signaturepanel"),
    *("pinblock", "encryptedpin", "pindata", "strip", "swipedata", "track", "emvdata", "iccdata", "chipdata"),
)


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Of single words and of a whole name without its separators."""
    suffix = "(?:code|number|num|no|nr|value|val|data|digits?)?"
    return tuple(
        map(
            re.compile,
            (
                rf"[a-z]*cvv[a-z]*[0-9]?|[a-z]?cvc[0-9]?{suffix}|card(?:cvc|ccv)[0-9]?{suffix}|ccv[0-9]?{suffix}",
                rf"(?:card|cc)?(?:(?:csc|cvn|cvd|cve|cvx|cvp|cav2)[0-9]?|cv2){suffix}",
                "securitycode|cardsec(?:urity|code)|cardverification|verification(?:code|value|number|data)|"
                "cardvalidation|validation(?:code|value)|^security(?:number|num|no|value|digits)$|"
                "^(?:cc|credit|debit|payment)?cardcode(?:value|number)?$|"
                "cardidentification(?:code|number)|signaturepanelcode",
                "pinblock|encryptedpin|pindata",
                "mag(?:netic)?(?:stripe|strip)|swipedata|(?:full)?track[123]?(?:equivalent)?data|fulltrack|"
                "track[123]?equivalent|(?:emv|icc|chip)data",
            ),
        )
    )


@lru_cache(2048)
def _kind(name: str) -> Kind:
    """What a field of this name may hold."""
    words = _words(name)
    joined = "".join(words)
    if any(sign in joined for sign in _SIGNS) and (kind := _kind_by_pattern(words, joined)):
        return kind
    if "cid" in words or joined == "cardcid":
        return "card id"
    if {"pin", "mpin"} & set(words) or joined in ("pincode", "cardpin", "pinnumber"):
        return "pin" if set(words) <= {*_PIN_WORDS, "pincode", "cardpin", "pinnumber"} else "some pin"
    return "track" if "track" in joined and re.fullmatch("(?:full)?tracks?[123]?", joined) else ""


def _kind_by_pattern(words: Collection[str], joined: str) -> Kind:
    strong, code, phrase, block, stripe = _patterns()
    if any(strong.fullmatch(word) for word in words) or strong.fullmatch(joined):
        return "check" if _ABOUT & set(words) else "strong code"
    if any(code.fullmatch(word) for word in words) or phrase.search(joined):
        return "check" if _ABOUT & set(words) else "code"
    if block.search(joined):
        return "pin block"
    if stripe.search(joined):
        return "stripe"
    return ""


def judge(name: str, value: Document, place: Place) -> Judgement:
    """Whether a field holds verification data, from its name, its whole value and its place."""
    kind = _kind(name[-_NAME_MAX:])
    if not kind:
        return ""
    if isinstance(value, dict | list):
        # Verification data in parts, or its name as the name of a group.
        inside = [judge(name, each, place) for each in (value.values() if isinstance(value, dict) else value)]
        return "certain" if "certain" in inside else "open" if "open" in inside else ""
    if not isinstance(value, str) or value == REMOVED:
        return ""
    digits = _NOT_DIGITS.sub("", value)
    # Without a point: 12.97 is a place on a map and no PIN.
    is_number = bool(digits) and len(digits) == len(_BETWEEN_DIGITS.sub("", value))
    return _judge(kind, value, digits if is_number else "", bool(digits), place)


def _judge(kind: Kind, value: str, number: str, has_digit: bool, place: Place) -> Judgement:
    is_code = 3 <= len(number) <= 4
    if kind == "check":
        return "open" if is_code else ""
    if kind in ("strong code", "code"):
        is_certain = is_code or (kind == "strong code" and has_digit)
        return "certain" if is_certain else "open" if re.search("[A-Za-z0-9]", value) else ""
    if kind == "card id":
        return ("certain" if place.is_card else "open") if is_code else ""
    if kind in ("pin", "some pin"):
        return _judge_pin(kind, value, number, has_digit, place)
    if kind == "pin block":
        return "certain" if has_digit else ""
    if kind == "stripe":
        return "certain" if has_digit else "open" if re.search("[!-~]", value) else ""
    is_track = re.search(r"[0-9]{8,}[=^D][0-9]{3,}|^[;%][A-Za-z]?[0-9]{8,}|[=^][0-9]{7,}", value)
    return "certain" if is_track else ""


def _judge_pin(kind: Kind, value: str, number: str, has_digit: bool, place: Place) -> Judgement:
    if len(number) == 6 and number[0] != "0" and place.is_address:
        return ""  # an Indian postal code
    is_block = re.fullmatch("[0-9A-Fa-f]{16,32}", value) is not None and has_digit
    if kind == "pin" and (is_block or (4 <= len(number) <= 12 and len(number) != 6)):
        return "certain"
    if kind == "pin" and len(number) == 6:
        return "certain" if place.is_card else "open"
    return "open" if has_digit else ""


def place_of(name: str, fields: Mapping[str, Document], around: Place) -> Place:
    """The place of the fields of an object with this name."""
    words = set(_words(name))
    beside = {"".join(_words(field)) for field in fields}
    return Place(
        around.is_card or bool(words & _CARD_WORDS) or bool(beside & _CARD_FIELDS),
        around.is_address or bool(words & _ADDRESS_WORDS) or len(beside & _ADDRESS_FIELDS) > 1,
    )


def named_inside(fields: Mapping[str, Document]) -> str:
    """The name that an object of the form {"name": "cvv", "value": "123"} gives its value; empty for another."""
    for key in ("name", "key", "field", "label", "id", "type"):
        name = fields.get(key)
        if isinstance(name, str) and not isinstance(name, NumberText) and _kind(name[-_NAME_MAX:]):
            return name
    return ""


REMOVED: Final = "[removed]"
VALUE_KEYS: Final[Collection[str]] = frozenset(("value", "val", "content", "text", "data", "answer"))


# ---- free text --------------------------------------------------------------------------------------------------

_HINT: Final = re.compile(
    r"(?i)cv[cdnv2]|ccv|c\.v|cav2|csc|code|security|validation|verif|pin|cid|\*[0-9]{0,4}[=^D]|"
    rf"\*[ ./_-]?[{_DIGIT}]{{4}}|[\uff21-\uff5a]"
)


def without_verification_data(text: str) -> str:
    """The text with stars in place of the digits of verification data, as long as before.

    Card numbers are masked before: what follows one on a track is told by its stars. Masking twice changes nothing.
    """
    if len(text) < 6 or not _HINT.search(text):
        return text
    *always, card_id, is_about_cards = _text_patterns()
    folded = text.translate(_FULL_WIDTH)
    spans = [found.span("value") for pattern in always for found in pattern.finditer(folded)]
    if is_about_cards.search(folded):
        spans += [found.span("value") for found in card_id.finditer(folded)]
    return _starred(text, spans)


def _starred(text: str, spans: list[tuple[int, int]]) -> str:
    if not spans:
        return text
    characters = list(text)
    for start, end in spans:
        characters[start:end] = _starred_digits(text[start:end])
    return "".join(characters)


def _starred_digits(text: str) -> Iterator[str]:
    digit = _digit()
    return ("*" if digit.match(character) else character for character in text)


@cache
def _digit() -> re.Pattern[str]:
    return re.compile(f"[{_DIGIT}]")


@cache
def _text_patterns() -> tuple[re.Pattern[str], ...]:
    d = f"[{_DIGIT}]"
    between = (
        r"[\s\u00a0\u2000-\u200b\u202f\u3000\"'\\:=#>()\[\]/,;|~!?\u060c\u2013\u2014\u2026\u2192_-]|%[23][0-9A-Fa-f]"
    )
    words = r"(?:code|number|num|no|nr|value|data|digits|is|was|are|of|for|on|the|my|this|card)"
    names = (
        r"(?:c?cvv|[id]?cvc|ccv|cvn|cvd)2?|cav2|cv2|c\.v\.[vc]|card[\s_-]?validation[\s_-]?(?:code|value)|"
        r"sec\.?[\s_-]?code|(?:card[\s_-]?)?security[\s_-]?(?:code|number|value)|"
        r"(?:card[\s_-]?)?verification[\s_-]?(?:code|number|value|data)|card[\s_-]?verification|card[\s_-]code"
    )
    gap = rf"(?:(?:{between}){{0,6}}\.?{words}\b){{0,5}}\.?(?:{between}){{0,6}}"
    code = f"{d}(?: ?{d}){{2,3}}"
    sign = r"[\s,;|/:.-]{1,3}"
    # What masking leaves of a card number, up to what is behind it.
    card = rf"\*[ ./_-]?{d}{{4}}{sign}(?:(?:exp(?:iry|ires|iration)?|valid|thru|date){sign}){{0,3}}"
    expiry = rf"(?:0{d}|1[0-2])[\s/.|-]{{0,2}}(?:20)?[2-4]{d}"
    texts = (
        rf"(?<![A-Za-z])(?:{names}){gap}(?P<value>{code})(?!{d})",
        # What is behind the name counts, if there is a code, and else what is before it.
        rf"(?<![0-9*.,/-])(?P<value>{code})[\s(\[\"']{{1,3}}(?:(?:is|was)\s(?:the|my)\s)?(?:cvv|cvc|ccv)2?(?![A-Za-z])"
        rf"(?!{gap}[*{_DIGIT}]{{3}})",
        # Six digits are a postal code more often than a PIN.
        rf"(?<![A-Za-z])pin(?:[\s_-]?(?:code|number|no|block))?\.?(?:(?:{between}|\s+is\s){{1,4}})"
        rf"(?P<value>{d}{{4,5}}|{d}{{7,12}})(?!{d})",
        r"\*{6}[*0-9]{0,13}(?:[=D]|\^[^^\n]{2,26}\^)(?P<value>[0-9][0-9*]{5,80})",
        # A card, its expiry and a code: nothing else is written so, but for groups of a longer number.
        rf"{card}{expiry}{sign}(?:code{sign})?(?P<value>{d}{{3,4}})(?![\s-]?{d})",
        rf"{card}(?!20{d}{{2}}{sign})(?P<value>{d}{{3,4}}){sign}{expiry}(?!{d})",
        rf"(?<![A-Za-z])(?:cid|csc){gap}(?P<value>{code})(?!{d})",
        r"\bcard\b|\bamex\b|american express|\*{6}|\bexp\b",
    )
    return tuple(re.compile(text, re.ASCII | re.IGNORECASE) for text in texts)


@cache
def _pair() -> re.Pattern[str]:
    return re.compile(
        r"(?P<name>[A-Za-z][A-Za-z0-9_. -]{0,40})"
        r"(?P<sign>[\"'\\\s]{0,8}(?:[:=>]|%3[ADad])[\"'\\\s]{0,8})"
        r"(?P<value>[^\"',}\]&<]+)"
    )


def without_verification_pairs(body: str) -> str:
    """The text of a body without fields: whatever follows such a name and a sign goes up to the next delimiter."""

    def left(pair: re.Match[str]) -> str:
        # The bracket that ends REMOVED is a delimiter itself.
        is_removed = pair["value"] == REMOVED[:-1]
        return pair["name"] + pair["sign"] + REMOVED if _kind(pair["name"]) and not is_removed else pair[0]

    return _pair().sub(left, body)
