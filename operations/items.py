"""The items that the topics of `payments` are about: all that are open in a state.

The rule it keeps: an item that cannot be read is told of, hides no other, and makes the command end with 1.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Literal

from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import Item
from handler.domain.ports import TransactionLog
from handler.domain.states import Status
from operations.options import Call
from operations.output import as_json, table


def open_items(log: TransactionLog, status: Status | Literal["conflict"]) -> tuple[list[Item], int]:
    """All of the index, as they stand now, and the exit code, 1 where one cannot be read.

    It takes 16 queries and a read of each.
    """
    items, code = [], 0
    for key in log.open_transaction_ids(status):
        try:
            item = log.get(key)
        except (DamagedItemError, UnknownItemError) as error:
            print(f"payments: {error}", file=sys.stderr)
            code = 1
            continue
        if item is not None:
            items.append(item)
    return items, code


def tell(
    call: Call,
    found: tuple[Sequence[Item], int],
    none: str,
    head: Sequence[str],
    row: Callable[[Item], Sequence[str]],
) -> int:
    """The list of a topic, as documents or as a table below `head`; returns the exit code that was `found` with it.

    `none` is said where there is none, unless one could not be read: that may be it.
    """
    items, code = found
    if call.is_json:
        print(*map(as_json, items), sep="\n", end="\n" if items else "")
    elif items:
        print(*table([head, *map(row, items)]), sep="\n")
    elif not code:
        print(none)
    return code
