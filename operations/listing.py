"""`payments list`: what is open, by the index of open payments.

What it costs: 16 queries of the index for each state and a read of each payment that is open, however many the table
holds. What is settled has left the index: it is found by its id (`payments status`) or by date (`payments export`).
"""

from __future__ import annotations

from typing import Final, Literal

import click

from handler.domain.item import Item
from operations.items import open_items, tell
from operations.options import NAME, Call, Command, pass_call
from operations.output import age, amount

_STATES: Final[tuple[Literal["processing", "pending_approval", "parked"], ...]] = (
    "processing",
    "pending_approval",
    "parked",
)


@click.command(cls=Command, example="payments list --customer cust-456")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state (default: all that are open).")
@click.option("--customer", type=NAME, help="Only this customer's.")
@pass_call
def list_open(
    call: Call, state: Literal["processing", "pending_approval", "parked"] | None, customer: str | None
) -> int:
    """List open payments, those of a state or of one customer.

    The oldest first. What is settled has left the index: `payments status` finds it by its id, and `payments export`
    by its date.
    """
    items: list[Item] = []
    code = 0
    for each in [state] if state else _STATES:
        found, unread = open_items(call.decisions.log, each)
        items += [item for item in found if customer in (None, item.customer_id)]
        code = max(code, unread)
    # One that moved while it was listed stands in two states' answers.
    items = sorted({item.transaction_id: item for item in items}.values(), key=lambda item: item.created_at)
    now_ms = call.decisions.clock.now_ms()
    return tell(
        call,
        (items, code),
        "No payment is open.",
        ("TRANSACTION", "STATUS", "AMOUNT", "CUSTOMER", "ORDER", "GROUP", "AGE"),
        lambda item: (
            item.transaction_id,
            item.status,
            amount(item),
            item.customer_id or "-",
            item.order_id or "-",
            item.message_group_id or "-",
            age(item, now_ms),
        ),
    )
