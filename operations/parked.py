"""`payments parked list | show | retry | cancel`: payments that kept failing and were taken out of the way.

Who retried or cancelled is the caller's AWS identity, never an argument.
"""

from __future__ import annotations

from functools import partial
from typing import Final
from uuid import uuid4

import click

from handler import approval_composition as composition
from handler.domain.approval.decision import COMMENT_LENGTH_MAX, find_item
from handler.domain.approval.ports import Decisions
from handler.domain.claim import Work
from handler.domain.errors import ApprovalStartError, PaymentError, RetryableError, RetryNotSentError
from handler.domain.item import Item, timestamp
from handler.domain.parked import RetryQueue, in_order
from handler.domain.parked import cancel as cancel_parked
from handler.domain.parked import retry as retry_parked
from handler.domain.reasons import sentence
from handler.domain.times import Times
from operations.items import open_items, tell
from operations.options import NAME, Call, Topic, confirmed, one_of, pass_call
from operations.output import amount, as_json

_LISTING: Final = "`payments parked list` shows what is parked"
# What a retry of a workflow's payment needs at most, between taking it over and starting its execution.
_REMAINING_MS: Final = 30_000
_DONE: Final = {"sent": "was sent to its group again", "restarted": "was given to a new execution of its workflow"}


@click.group(cls=Topic, example="payments parked list")
def parked() -> None:
    """Payments that kept failing."""


@parked.command("list", example="payments parked list")
@pass_call
def list_parked(call: Call) -> int:
    """All that are parked, group by group in their order; as JSON with the masked request."""
    found, code = open_items(call.decisions.log, "parked")
    head = ("TRANSACTION", "AMOUNT", "GROUP", "PARKED", "RETRIED BY", "AT THE GATEWAY", "REASON")
    return tell(
        call,
        (in_order(found), code),
        "No payment is parked.",
        head,
        lambda item: (
            item.transaction_id,
            amount(item),
            item.message_group_id or "-",
            timestamp(item.parked_at or 0),
            _retried_by(item),
            item.gateway_ref or "never",
            item.parked_reason,
        ),
    )


@parked.command(example="payments parked show pay-001")
@click.argument("payment", type=NAME)
@pass_call
def show(call: Call, payment: str) -> int:
    """One payment, why it was parked, and who retried it; by payment id or transaction id."""
    item = find_item(call.decisions.log, payment, _LISTING)
    if call.is_json:
        print(as_json(item))
        return 0
    lines = {
        "transaction": item.transaction_id,
        "status": item.status,
        "amount": amount(item),
        "customer": item.customer_id or "-",
        "order": item.order_id or "-",
        "group": item.message_group_id or "-",
        "at the gateway": item.gateway_ref or "never",
        "times parked": str(item.park_no),
    }
    if item.park_no:
        lines |= {
            "parked last": timestamp(item.parked_at or 0),
            "because": f"{sentence(item.parked_reason)} ({item.parked_reason})",
            "retried by": _retried_by(item),
        }
    if item.cancelled_by:
        lines["cancelled by"] = f"{item.cancelled_by}: {item.cancel_reason}"
    for label, value in lines.items():
        print(f"{label:<16}{value}")
    return 0


@parked.command(example="payments parked retry pay-001")
@click.argument("payment", type=NAME, required=False)
@click.option("--reason", type=NAME, metavar="CODE", help="All that were parked for it, each group in its order.")
@confirmed
@pass_call
def retry(call: Call, payment: str | None, reason: str | None) -> int:
    """Let one payment, or all of one reason, be charged again.

    One that was not retried holds back the later ones of its group, and no other.
    """
    one_of(PAYMENT=payment, reason=reason)
    if payment:
        item = find_item(call.decisions.log, payment, _LISTING)
        call.confirm(f"{item.transaction_id}, {amount(item)}, may be charged again.")
        queue, times = composition.compose_retries(call.variables)
        _retry_one(call, item, composition.caller_identity(), queue, times)
        return 0
    # One that cannot be read holds nobody back: neither can its group be.
    found, code = open_items(call.decisions.log, "parked")
    items = in_order(found, str(reason))
    if not items:
        if not code:
            call.say(f"No payment is parked for {reason}.", retried=0)
        return code
    call.confirm(f"{len(items)} payments parked for {reason} may be charged again.")
    queue, times = composition.compose_retries(call.variables)
    who = composition.caller_identity()
    held: set[str] = set()
    for item in items:
        group = item.message_group_id or item.payment_id
        if group in held:
            call.warn(f"{item.transaction_id} was left: one before it in {group} was not retried")
            continue
        try:
            _retry_one(call, item, who, queue, times)
        except PaymentError as error:
            held.add(group)
            stands, call.stands = call.stands, ""
            call.warn(f"{item.transaction_id}: {error}{f'. {stands}' if stands else ''}")
    return int(bool(held)) or code


def _retry_one(call: Call, item: Item, who: str, queue: RetryQueue, times: Times) -> None:
    work = Work(f"operator:{uuid4()}", lambda: _REMAINING_MS)
    try:
        done = retry_parked(item, who, queue, call.decisions, times=times, work=work)
    except (RetryNotSentError, ApprovalStartError):
        call.stands = _stands(call, item)
        raise
    call.say(f"{item.transaction_id} {_DONE[done]} by {who}", transaction_id=item.transaction_id, done=done, by=who)


def _stands(call: Call, before: Item) -> str:
    """What a retry that failed has written of a payment, and what to do; nothing where that is nothing."""
    try:
        item = call.decisions.log.get(before.transaction_id)
    except PaymentError as error:
        return f"whether its retry is allowed could not be read ({error}): run this again, which is always safe"
    if item is None or (item.status == "parked" and item.retry_no != item.park_no):
        return ""
    if item.status == "parked":
        return f"{item.transaction_id} may be retried, which stands, and its message was not sent: run this again"
    return f"{item.transaction_id} was taken up, which stands, and no execution was started: reconcile starts one"


@parked.command(example='payments parked cancel pay-001 --reason "sent twice"')
@click.argument("payment", type=NAME)
@click.option("--reason", required=True, help=f"Why, at most {COMMENT_LENGTH_MAX} characters; it is kept.")
@confirmed
@pass_call
def cancel(call: Call, payment: str, reason: str) -> int:
    """Give one payment up, at the gateway first where that knows it."""
    item = find_item(call.decisions.log, payment, _LISTING)
    call.confirm(f"{item.transaction_id}, {amount(item)}, will never be charged.")
    return give_up(call, item, reason)


def give_up(call: Call, item: Item, reason: str) -> int:
    """Cancel a parked payment; 1 where the gateway did not confirm it."""
    decisions: Decisions = call.decisions
    who = composition.caller_identity()
    try:
        find_end = composition.compose_end_finder(call.variables, decisions)
        gateway = partial(composition.compose_gateway, call.variables)
        done = cancel_parked(item, who, reason, decisions, gateway, find_end=find_end)
    except RetryableError as error:
        call.warn(
            f"{item.transaction_id} is still parked, as the gateway did not confirm that nothing can be "
            f"captured of it any more: {error}. Run this again; reconcile, too, records what becomes of it."
        )
        return 1
    said = {
        "completed": "is completed: the gateway had charged it before it could be cancelled",
        "declined": "is declined: so it had ended at the gateway before the table was restored",
    }
    call.say(
        f"{item.transaction_id} {said.get(done, f'cancelled by {who}')}",
        transaction_id=item.transaction_id,
        status=done,
        by=who,
    )
    return 0


def _retried_by(item: Item) -> str:
    """Who allowed the retry that is on its way; an earlier one is over."""
    return item.retried_by if item.retry_no and item.retry_no == item.park_no else "nobody"
