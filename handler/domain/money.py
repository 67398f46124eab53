"""Money as integers of minor units; no float and no arithmetic on text ever touches an amount."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from handler.domain.currencies import minor_digits
from handler.domain.parse import Document, NumberText
from handler.domain.payment import Fault

# Bounded before any conversion: int(Decimal("1e3000000")) runs for minutes.
_AMOUNT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,4}))?")
# Items hold no larger number, and no amount of any currency needs one.
AMOUNT_MINOR_MAX: Final = 10**14 - 1


def to_minor(text: str, currency: str) -> int | None:
    """Minor units of an amount by its currency's digits (USD `25.9` -> 2590, JPY `500` -> 500, KWD `1.5` -> 1500).

    None where the text is no amount, or has more decimals than the currency: nothing is ever rounded.
    """
    match, digits = _AMOUNT.fullmatch(text), minor_digits(currency)
    if match is None or len(fraction := match[2] or "") > digits:
        return None
    return int(match[1] + fraction.ljust(digits, "0"))


def read_amount(document: dict[str, Document], currency: str, amount_max: int, faults: list[Fault]) -> int:
    """Minor units of a message's `amount`, above zero and at most `amount_max`; 0, and its fault, where it has none."""
    value = document.get("amount")
    if value is None:
        reason_code = "missing"
    elif not isinstance(value, NumberText):
        reason_code = "wrong_type"
    elif (minor := to_minor(value, currency)) is None:
        reason_code = "negative_amount" if value.startswith("-") else "malformed_amount"
    elif minor == 0:
        reason_code = "zero_amount"
    elif minor > amount_max:
        reason_code = "amount_too_large"
    else:
        return minor
    faults.append(Fault("amount", reason_code))
    return 0


def to_major(amount_minor: int, currency: str) -> Decimal:
    """The amount as items have it, a decimal (USD 2590 -> Decimal("25.90"))."""
    return Decimal(amount_minor).scaleb(-minor_digits(currency))


def as_text(amount_minor: int, currency: str) -> str:
    """For people, logs and canonical text: all the decimals of the currency, which a stored number does not keep."""
    digits = minor_digits(currency)
    whole, fraction = divmod(amount_minor, 10**digits)
    return f"{whole}.{fraction:0{digits}d}" if digits else str(whole)
