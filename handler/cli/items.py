"""The items that the topics of `payments` are about: one by its id, or all that are open in a state.

The rule it keeps: an item that cannot be read is told of, hides no other, and makes the command end with 1.
"""

from __future__ import annotations

import argparse
import sys
from typing import Literal

from handler.domain.errors import ApprovalRefusedError, DamagedItemError, UnknownItemError
from handler.domain.item import Item
from handler.domain.payment import transaction_id
from handler.domain.ports import TransactionLog
from handler.domain.states import Status


def name(text: str) -> str:
    """An argument's type: what was forgotten, as a shell's variable that is not set, never means all."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


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


def find_item(log: TransactionLog, payment: str, listing: str) -> Item:
    """The item of a payment id or of a transaction id; a payment id may itself begin like a transaction's.

    Raises ApprovalRefusedError, which names the command `listing` where there is none.
    """
    names = [transaction_id(payment), *([payment] if payment.startswith("txn-") else [])]
    found = [item for item in map(log.get, names) if item is not None]
    if not found:
        raise ApprovalRefusedError("unknown", f"there is no payment {' or '.join(names)} in this table: {listing}")
    if len(found) > 1:
        raise ApprovalRefusedError(
            "ambiguous", f"{payment} names two payments: give {names[0]} or {payment.removeprefix('txn-')}"
        )
    return found[0]
