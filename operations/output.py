"""What all topics of `payments` print alike: tables, items as JSON, amounts, ages, times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from handler.domain.canonical import without_instrument
from handler.domain.item import Item, to_stored
from handler.domain.money import as_text


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table, the first row its head; the last column is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])


def as_document(item: Item) -> dict[str, Any]:
    """The stored item without its instrument, for `Call.say`."""
    stored = to_stored(item._replace(request=without_instrument(item.request)))
    return {name: _named(value) for name, value in stored.items()}


def _named(value: Any) -> Any:
    """A record or a list of them with the names of its parts, as the table has it."""
    if hasattr(value, "_asdict"):
        return {name: part for name, part in value._asdict().items() if part != ""}
    return [_named(each) for each in value] if isinstance(value, tuple) else value


def as_json(item: Item) -> str:
    """The same as one line."""
    return to_json(as_document(item))


def to_json(document: Mapping[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(document, default=_plain, sort_keys=True)


def amount(item: Item) -> str:
    """In its currency's own digits, `25.99 USD`; `-` where none could be read."""
    return f"{as_text(item.amount_minor, item.currency)} {item.currency}" if item.amount_minor else "-"


def age(item: Item, now_ms: int) -> str:
    """How long ago it was claimed, or kept."""
    return str(timedelta(seconds=max(0, now_ms - item.created_at) // 1000))


def local_time(ms: int) -> str:
    """A time on the terminal's own clock, to stand behind the same in UTC; nothing where that is UTC."""
    here = datetime.fromtimestamp(ms // 1000).astimezone()
    return f" ({here:%a %d %b %H:%M %Z})" if here.utcoffset() else ""


def _plain(value: Any) -> Any:
    """A stored number that is not whole, for JSON: its own digits, as amounts are never floats."""
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not written as JSON")
