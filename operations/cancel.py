"""`payments cancel`: give one open payment up, wherever it is.

The rule it keeps: it adds no way of its own. A parked payment is cancelled as `payments parked cancel` does, one that
waits for a person is rejected as `payments approvals reject` does, and any other is refused with what stands.
"""

from __future__ import annotations

from typing import Final

import click

from handler.domain.approval.decision import COMMENT_LENGTH_MAX, find_item
from handler.domain.errors import ApprovalRefusedError
from operations.approvals import decide
from operations.options import NAME, Call, Command, confirmed, pass_call
from operations.output import amount
from operations.parked import give_up
from operations.story import now

_LISTING: Final = "`payments list` shows what is open"


@click.command(cls=Command, example='payments cancel pay-001 --reason "ordered twice"')
@click.argument("payment", type=NAME)
@click.option("--reason", required=True, help=f"Why, at most {COMMENT_LENGTH_MAX} characters; it is kept.")
@confirmed
@pass_call
def cancel(call: Call, payment: str, reason: str) -> int:
    """Give one open payment up, wherever it is.

    A parked one is cancelled, at the gateway first where that knows it; one that waits for a person is rejected, which
    an approver may do. What a worker has, or what has ended, stays as it is.
    """
    item = find_item(call.decisions.log, payment, _LISTING)
    if item.status not in ("parked", "pending_approval"):
        where, _ = now(item, call.decisions.clock.now_ms())
        raise ApprovalRefusedError(
            "not_pending", f"{item.transaction_id} is {item.status} and cannot be cancelled: {where}"
        )
    call.confirm(f"{item.transaction_id}, {amount(item)}, will never be charged.")
    return give_up(call, item, reason) if item.status == "parked" else decide(call, payment, "reject", reason)
