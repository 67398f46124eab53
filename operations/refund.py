"""`payments refund`: give back what a payment captured, in full or in part.

The rule it keeps: it sends the message that anybody may send, and decides nothing: the function reserves, calls and
records. What is sent again under the same id takes effect once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import click

from handler.domain.approval.decision import find_item
from handler.domain.card_data import mask_group
from handler.domain.errors import ApprovalRefusedError
from handler.domain.item import Item
from handler.domain.money import as_text, to_minor
from handler.domain.reasons import sentence
from handler.domain.refund_item import RefundItem, refund_transaction_id
from handler.settings import read_settings
from operations.names import queue_url
from operations.options import NAME, Call, Command, confirmed, pass_call
from operations.story import Event, Now

_LISTING: Final = "a refund is of a payment that was charged"
# docs/refunds.md; of another one only a copy in the rejected queue would tell.
_REFUND_ID: Final = re.compile("[A-Za-z0-9_-]{1,48}")


@click.command(cls=Command, example="payments refund pay-001 --amount 10.00 --refund-id refund-1")
@click.argument("payment", type=NAME)
@click.option("--amount", type=NAME, help="As 10.00 in the payment's currency (default: all that is left).")
@click.option(
    "--refund-id", required=True, help="Yours, one of its payment's: what is sent again under it counts once."
)
@confirmed
@pass_call
def refund(call: Call, payment: str, amount: str | None, refund_id: str) -> int:
    """Give back what a payment captured, in full or in part.

    Sends the message to the queue, into its payment's group.
    """
    if not _REFUND_ID.fullmatch(refund_id):
        raise click.UsageError(f"{refund_id!r} is no refund id: 1 to 48 of A-Z a-z 0-9 _ -")
    if mask_group(refund_id, call.decisions.find_card_numbers, read_settings(call.variables).rules.id_shapes)[1]:
        # Sent, it would lie in the queue in the clear.
        raise click.UsageError("the refund id looks like a card number, and would be refused: give it another one")
    item = find_item(call.decisions.log, payment, _LISTING)
    captured = call.decisions.log.refunds().payment(item.transaction_id)
    if item.status != "completed" or captured is None:
        raise ApprovalRefusedError("refund_payment_not_completed", f"{item.transaction_id} is {item.status}: no refund")
    key = refund_transaction_id(item.payment_id, refund_id)
    stands = call.decisions.log.refunds().get(key)
    if stands is not None:
        return _standing(call, stands, stands.amount_minor if amount is None else to_minor(amount, item.currency))
    if captured.is_disputed:
        raise ApprovalRefusedError("refund_payment_disputed", f"{item.transaction_id} was disputed: no refund")
    left = max(0, captured.amount_minor - captured.refund_reserved - given_by_others(item))
    minor = left if amount is None else to_minor(amount, item.currency)
    if amount is not None and not minor:
        raise click.UsageError(f"{item.transaction_id}: {amount} is no amount in {item.currency}")
    if not minor or minor > left:
        raise ApprovalRefusedError(
            "refund_above_captured",
            f"{item.transaction_id} has {as_text(left, item.currency)} {item.currency} left to be given back",
        )
    value = as_text(minor, item.currency)
    call.confirm(f"{value} {item.currency} of {item.transaction_id} will be given back, as refund {refund_id}.")
    # By hand, as an amount is no float: its digits stand as they are.
    names = {"payment_id": item.payment_id, "refund_id": refund_id, "currency": item.currency}
    body = ", ".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in names.items())
    sent = call.client("sqs").send_message(
        QueueUrl=queue_url(call),
        MessageBody=f'{{"refund": {{{body}, "amount": {value}}}}}',
        MessageGroupId=item.message_group_id or item.payment_id,
    )
    call.say(f"{key} was sent: payments status '{key}'", transaction_id=key, message_id=sent["MessageId"])
    return 0


def _standing(call: Call, stands: RefundItem, minor: int | None) -> int:
    """Tell of a refund whose id is taken, so that nobody takes what is sent again for another refund."""
    key = stands.transaction_id
    value = f"{as_text(stands.amount_minor, stands.currency)} {stands.currency}"
    if stands.status == "failed" or minor != stands.amount_minor:
        reason_code = stands.reason_code or "exists_with_different_content"
        said = f"{key} over {value} is {stands.status} already: another refund needs another --refund-id"
        raise ApprovalRefusedError(reason_code, said)
    call.say(f"{key} over {value} is {stands.status} already: payments status '{key}'", transaction_id=key)
    return 0


def given_by_others(item: Item) -> int:
    """What the gateway's dashboard gave back, in minor units: no reservation has it, and the gateway counts it."""
    last = {row.refund_ref: row for row in item.refunded if not row.refund_id}
    return sum(row.amount_minor for row in last.values() if row.state != "failed")


def told(found: RefundItem) -> tuple[list[Event], Now]:
    """A refund's story, the oldest first, and where it is."""
    return list(_events(found)), _now(found)


def _events(found: RefundItem) -> Iterator[Event]:
    names: dict[str, str | int] = {"message_id": found.message_id, "message_group_id": found.message_group_id}
    yield Event(found.created_at, "its message was claimed", {name: each for name, each in names.items() if each})
    moments = {
        "it began to wait for its payment": found.waiting_at,
        "its amount was reserved": found.pending_at,
        "it was given back": found.refunded_at,
        f"it failed: {sentence(found.reason_code)} ({found.reason_code})" if found.reason_code else "": found.failed_at,
    }
    # Only one that failed has it: its code says why.
    said = found.gateway_response._replace(status="")._asdict() if found.gateway_response else {}
    for what, at in moments.items():
        if at is not None:
            names = {"gateway_ref": found.gateway_ref, "refund_ref": found.refund_ref}
            names |= said if what.startswith("it failed") else {}
            yield Event(at, what, {name: each for name, each in names.items() if each})


def _now(found: RefundItem) -> Now:
    if found.status == "waiting":
        return Now("it waits for its payment to be settled", [f"payments status {found.payment_id}"])
    if found.status == "pending":
        return Now("the gateway was told, or is about to be; reconcile brings it on", ["payments reconcile"])
    if found.status == "refunded":
        return Now("it was given back", [])
    return Now("nothing is given back", [f"payments refund {found.payment_id} --refund-id ANOTHER"])
