"""The items that the topics of `payments` are about: one by its id, or all that are open in a state.

The rule it keeps: an item that cannot be read is told of, and hides no other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

from handler.domain.errors import ApprovalRefusedError, DamagedItemError, UnknownItemError
from handler.domain.item import Item
from handler.domain.payment import transaction_id
from handler.domain.ports import TransactionLog
from handler.domain.states import Status


def open_items(log: TransactionLog, status: Status | Literal["conflict"]) -> Iterator[Item]:
    """All of the index, as they stand now: 16 queries and a read of each."""
    for name in log.open_transaction_ids(status):
        try:
            item = log.get(name)
        except (DamagedItemError, UnknownItemError) as error:
            print(f"payments: {error}", file=sys.stderr)
            continue
        if item is not None:
            yield item


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
