"""The items that the topics of `payments` are about: all that are open in a state.

The rule it keeps: an item that cannot be read is told of, hides no other, and makes the command end with 1.
"""

from __future__ import annotations

import sys
from typing import Literal

from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import Item
from handler.domain.ports import TransactionLog
from handler.domain.states import Status


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
