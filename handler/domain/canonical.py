"""One text for one payment, in versions: what a message is hashed in, now and when its item was written.

The rule it keeps: a version that was ever written never changes. It fixes all that the hash depends on, and the golden
file of hashes holds it still; what is to change becomes the next version (protocol, "Versions of the canonical text").
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from handler.domain.errors import UnknownItemError
from handler.domain.money import as_text, to_minor
from handler.domain.parse import Document, NumberText
from handler.domain.payment import Fault
from handler.domain.typed import NamedTuple

# Text fields and their longest length in characters.
REQUIRED_TEXTS: Final = {"order_id": 64, "customer_id": 64, "payment_method": 32}
_OPTIONAL_TEXTS_1: Final = {"customer_name": 128, "customer_email": 254, "description": 512}
_OPTIONAL_TEXTS_2: Final = {**_OPTIONAL_TEXTS_1, "payment_token": 255, "gateway_customer_id": 255}
ADDRESS_TEXTS: Final = {"street": 256, "city": 128, "state": 64, "zip": 16}

# What is charged, which nobody who charges nothing may see.
INSTRUMENT: Final = ("payment_token", "gateway_customer_id")
# Their names in any of the usual spellings.
INSTRUMENT_NAMES: Final = "|".join(name.replace("_", "[_-]?") for name in INSTRUMENT)
_INSTRUMENT_KEY: Final = re.compile(rf'(?i)[{{,]"(?:{INSTRUMENT_NAMES})":')

_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")
# Bounded before any conversion: int(Decimal("1e3000000")) runs for minutes.
_NUMBER: Final = re.compile(r"[0-9]{1,24}(?:\.[0-9]{1,24})?(?:[eE][+-]?[0-9]{1,2})?")


class Version(NamedTuple):
    """What a version fixes beyond the text's form: its fields, and which spellings are one payment.

    `flags` are fields that are true or false. `spelled` gives a masked document in the version's own spelling.
    `tells_faults`: the reasons against an invalid message are part of its text, so that it becomes other content with
    every rule that changes.
    """

    optional_texts: Mapping[str, int]
    flags: Sequence[str]
    spelled: Callable[[dict[str, Document]], dict[str, Document]]
    tells_faults: bool


def canonical_text(
    document: dict[str, Document],
    amount_minor: int,
    currency: str,
    faults: Sequence[Fault],
    version: int,
    *,
    absent: str,
) -> str:
    """The text of a spelled document: known fields only, sorted, ASCII, the amount in one spelling.

    `currency` is the one that the amount was read in, `absent` the one of messages that name none: a currency left out
    and that one are the same payment. `amount_minor` is 0 where it is not valid.
    """
    rules = version_rules(version)
    names = {
        "payment_id",
        "amount",
        "currency",
        "billing_address",
        *REQUIRED_TEXTS,
        *rules.optional_texts,
        *rules.flags,
    }
    known = {name: _tagged(value) for name, value in document.items() if name in names and value is not None}
    if isinstance(document.get("billing_address"), dict):
        known["billing_address"] = {
            name: value
            for name, value in known["billing_address"].items()
            if name in ADDRESS_TEXTS and value is not None
        }
    known.setdefault("currency", absent)
    known["v"] = version
    if rules.tells_faults:
        known |= {"faults": faults} if faults else {}
    elif isinstance(document.get("amount"), NumberText):
        # Also where it is beyond the limits of today.
        amount_minor = to_minor(document["amount"], currency) or 0
    if amount_minor:
        del known["amount"]
    text = json.dumps(known, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    # A number again, so that the text is a message that can be read like any other.
    return f'{{"amount":{as_text(amount_minor, currency)},{text[1:]}' if amount_minor else text


def text_hash(canonical: str) -> str:
    """SHA-256 of a canonical text, 64 hex digits."""
    return hashlib.sha256(canonical.encode()).hexdigest()


def without_instrument(text: str) -> str:
    """A canonical or masked text, JSON without spaces, with stars for the instrument, whatever type it has."""
    shown, at = [], 0
    # Inside of a string every quotation mark has a backslash in front.
    for key in _INSTRUMENT_KEY.finditer(text):
        if key.start() < at:
            continue
        shown.append(text[at : key.end()])
        at = json.JSONDecoder().raw_decode(text, key.end())[1]
    return '"***"'.join([*shown, text[at:]])


def version_rules(version: int) -> Version:
    """The rules of a version. Raises UnknownItemError where only newer code knows them."""
    rules = VERSIONS.get(version)
    if rules is None:
        raise UnknownItemError(f"version {version} of the canonical text is newer than this code")
    return rules


def newest_version() -> int:
    """The newest version that this code knows, written by default or not."""
    return max(VERSIONS)


def _tagged(value: Document) -> Document:
    """Numbers told apart from strings of the same spelling."""
    if isinstance(value, NumberText):
        return {"number": value}
    if isinstance(value, list):
        return [_tagged(element) for element in value]
    if isinstance(value, dict):
        return {key: _tagged(element) for key, element in value.items()}
    return value


def _as_sent(document: dict[str, Document]) -> dict[str, Document]:
    return document


def _unified(document: dict[str, Document]) -> dict[str, Document]:
    """Texts in NFC, the currency in capitals, the amount without exponent and needless zeros."""
    spelled = {name: _composed(value) for name, value in document.items()}
    address = document.get("billing_address")
    if isinstance(address, dict):
        spelled["billing_address"] = {name: _composed(value) for name, value in address.items()}
    currency, amount = document.get("currency"), document.get("amount")
    if isinstance(currency, str) and not isinstance(currency, NumberText) and _CURRENCY.fullmatch(currency):
        spelled["currency"] = currency.upper()
    if isinstance(amount, NumberText) and _NUMBER.fullmatch(amount):
        spelled["amount"] = NumberText(_plain(Decimal(amount)))
    return spelled


def _composed(value: Document) -> Document:
    if not isinstance(value, str) or isinstance(value, NumberText) or value.isascii():
        return value
    from itertools import groupby
    from unicodedata import ucd_3_2_0 as tables

    # Unicode 3.2's tables, which every Python has: those of the running Python change with it, and so would the hash.
    # Characters that 3.2 does not have stay as they are; its own `normalize` would compose them by newer rules.
    runs = [(known, "".join(run)) for known, run in groupby(value, lambda each: tables.category(each) != "Cn")]
    return "".join(tables.normalize("NFC", run) if known else run for known, run in runs)


def _plain(amount: Decimal) -> str:
    """As few decimals as say it all: how many a currency has is asked once the amount is read."""
    # No arithmetic: the default context has 28 digits, fewer than such a number can have.
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


VERSIONS: Final[Mapping[int, Version]] = {
    1: Version(_OPTIONAL_TEXTS_1, (), _as_sent, tells_faults=True),
    2: Version(_OPTIONAL_TEXTS_2, ("off_session",), _unified, tells_faults=False),
}
