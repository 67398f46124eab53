"""`payments conflicts list | show`: messages whose payment_id was taken by other content, which nobody charges.

What it costs: 16 queries of the index and a read of each conflict, however many payments the table holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from handler.cli.items import name, open_items
from handler.cli.output import age, as_json, table
from handler.domain.approval.ports import Decisions
from handler.domain.errors import ApprovalRefusedError
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.payment import transaction_id
from handler.domain.reasons import sentence
from handler.domain.states import CONFLICT


def add_topic(topics: Any) -> argparse.ArgumentParser:
    """The topic's parser, its commands among it; each takes Decisions and its options and returns the exit code."""
    topic: argparse.ArgumentParser = topics.add_parser(
        "conflicts", help="messages whose payment_id was taken by other content"
    )
    commands = topic.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="all that are kept, the newest first")
    listing.add_argument("--json", action="store_true", help="one JSON document a line, with the masked request")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="the conflicts of one payment, beside the payment")
    show.add_argument("payment", type=name, help="payment id, or the transaction id of a payment or of a conflict")
    show.set_defaults(run=_show)
    return topic


def _list(decisions: Decisions, options: argparse.Namespace) -> int:
    found, code = open_items(decisions.log, CONFLICT)
    items = sorted(found, key=lambda item: -item.created_at)
    if options.json:
        for item in items:
            print(as_json(item))
        return code
    if not items:
        if not code:
            print("No conflict is kept.")
        return code
    now_ms = decisions.clock.now_ms()
    rows = [("PAYMENT", "AMOUNT", "ORDER", "AGE", "CONFLICT")]
    rows += [
        (item.payment_id, _amount(item), item.order_id or "-", age(item, now_ms), item.transaction_id) for item in items
    ]
    print(*table(rows), sep="\n")
    return code


def _show(decisions: Decisions, options: argparse.Namespace) -> int:
    """0 where there is a conflict and all could be read; each is shown with what stands in its way."""
    payment, code = options.payment, 0
    if f"#{CONFLICT}#" in payment:
        found = [item for item in [decisions.log.get(payment)] if item is not None]
    else:
        names = {transaction_id(payment), payment}
        items, code = open_items(decisions.log, CONFLICT)
        found = [item for item in items if transaction_id(item.payment_id) in names]
    if not found:
        raise ApprovalRefusedError(
            "unknown", f"no conflict with {payment} is kept: `payments conflicts list` shows all"
        )
    for payment_id in sorted({item.payment_id for item in found}):
        standing = decisions.log.get(transaction_id(payment_id))
        if standing is not None:
            print(*_lines("payment", standing), sep="\n")
        for item in sorted(found, key=lambda item: item.created_at):
            if item.payment_id == payment_id:
                print("", *_lines(CONFLICT, item), sep="\n")
    return code


def _lines(kind: str, item: Item) -> Iterator[str]:
    values = {
        kind: item.transaction_id,
        "status": item.status if item.status != CONFLICT else "",
        "amount": _amount(item),
        "order": item.order_id or "-",
        "customer": item.customer_id,
        "received": timestamp(item.created_at),
        "message": item.message_id,
        "group": item.message_group_id,
        "faults": "; ".join(f"{fault.field or 'body'}: {sentence(fault.reason_code)}" for fault in item.faults),
        "request": item.request if item.status == CONFLICT else "",
    }
    for label, value in values.items():
        if value:
            yield f"{label:<14}{value}"


def _amount(item: Item) -> str:
    return f"{as_text(item.amount_minor, item.currency)} {item.currency}" if item.amount_minor else "-"
