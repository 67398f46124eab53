"""`payments conflicts list | show`: messages whose payment_id was taken by other content, which nobody charges.

What it costs: 16 queries of the index and a read of each conflict, however many payments the table holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from handler.domain.errors import ApprovalRefusedError
from handler.domain.item import Item, timestamp
from handler.domain.payment import transaction_id
from handler.domain.reasons import sentence
from handler.domain.states import CONFLICT
from operations.items import open_items, tell
from operations.options import NAME, Call, Topic, pass_call
from operations.output import age, amount, as_json


@click.group(cls=Topic, example="payments conflicts list")
def conflicts() -> None:
    """Messages whose payment_id was taken by other content."""


@conflicts.command("list", example="payments conflicts list --json")
@pass_call
def list_conflicts(call: Call) -> int:
    """All that are kept, the newest first; as JSON with the masked request."""
    found, code = open_items(call.decisions.log, CONFLICT)
    now_ms = call.decisions.clock.now_ms()
    return tell(
        call,
        (sorted(found, key=lambda item: -item.created_at), code),
        "No conflict is kept.",
        ("PAYMENT", "AMOUNT", "ORDER", "AGE", "CONFLICT"),
        lambda item: (item.payment_id, amount(item), item.order_id or "-", age(item, now_ms), item.transaction_id),
    )


@conflicts.command(example="payments conflicts show pay-001")
@click.argument("payment", type=NAME)
@pass_call
def show(call: Call, payment: str) -> int:
    """The conflicts of one payment, beside the payment: by payment id, or the transaction id of either."""
    log, code = call.decisions.log, 0
    if f"#{CONFLICT}#" in payment:
        found = [item for item in [log.get(payment)] if item is not None]
    else:
        names = {transaction_id(payment), payment}
        items, code = open_items(log, CONFLICT)
        found = [item for item in items if transaction_id(item.payment_id) in names]
    if not found:
        raise ApprovalRefusedError(
            "unknown", f"no conflict with {payment} is kept: `payments conflicts list` shows all"
        )
    for payment_id in sorted({item.payment_id for item in found}):
        standing = log.get(transaction_id(payment_id))
        kept = sorted((item for item in found if item.payment_id == payment_id), key=lambda item: item.created_at)
        if call.is_json:
            print(*map(as_json, [*([standing] if standing else []), *kept]), sep="\n")
            continue
        if standing is not None:
            print(*_lines("payment", standing), sep="\n")
        for item in kept:
            print("", *_lines(CONFLICT, item), sep="\n")
    return code


def _lines(kind: str, item: Item) -> Iterator[str]:
    values = {
        kind: item.transaction_id,
        "status": item.status if item.status != CONFLICT else "",
        "amount": amount(item),
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
