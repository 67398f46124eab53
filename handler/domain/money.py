"""Money as integers of minor units; no float and no arithmetic on text ever touches an amount."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

# Bounded before any conversion: int(Decimal("1e3000000")) runs for minutes.
_AMOUNT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?")
AMOUNT_MINOR_MAX: Final = 10**14 - 1


def to_minor(text: str) -> int | None:
    """Minor units of a two-digit currency's amount (`25.9` -> 2590), or None where the text is not an amount."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def to_major(amount_minor: int) -> Decimal:
    """The amount as items have it, a decimal (2590 -> Decimal("25.90"))."""
    return Decimal(amount_minor).scaleb(-2)


def as_text(amount_minor: int) -> str:
    """For people and logs: always two decimals, which a stored number does not keep."""
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"
