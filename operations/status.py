"""`payments status`: one payment's whole story.

What it costs: one read where the id is a payment's, two where it begins as a transaction's, one more of what was given
back where it was charged, or of the queue's mapping where a worker has it, and where nothing is found one look at the
payment queue and one at its mapping; with `--logs` as many more as the log groups have pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import click
from botocore.exceptions import ClientError

from handler.domain.approval.decision import find_item
from handler.domain.errors import ApprovalRefusedError
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.refund_item import Captured, RefundItem, is_refund, refund_to_stored
from operations.names import log_groups, mapping_states, queue_url
from operations.options import NAME, Call, Command, pass_call
from operations.output import amount, as_document
from operations.refund import given_by_others, told
from operations.story import Event, Now, now, story

_LISTING: Final = (
    "a message that no function has taken up has no item yet, and one whose id is unusable lies in the rejected queue"
)
# Lines of the invocation that claimed it, before the item's own moment.
_BEFORE_MS: Final = 60_000


@click.command(cls=Command, example="payments status pay-001 --logs")
@click.argument("payment", type=NAME)
@click.option("--logs", is_flag=True, help="The functions' log lines about it, too: a search for each log group.")
@pass_call
def status(call: Call, payment: str, logs: bool) -> int:
    """Tell one payment's whole story.

    In order of time: message, score, approvals, tries, gateway references and request ids, its end; then where it is
    now, and what can be done. By payment id or transaction id; a refund's is txn-PAYMENT#refund#REFUND.
    """
    log = call.decisions.log
    if is_refund(payment):
        found = log.refunds().get(payment)
        if found is None:
            raise ApprovalRefusedError("unknown", f"there is no refund {payment} in this table; {_waiting(call)}")
        amounts = f"{as_text(found.amount_minor, found.currency)} {found.currency} of {found.payment_transaction_id}"
        _tell(call, found, amounts, *told(found))
        return 0
    try:
        item = find_item(log, payment, _LISTING)
    except ApprovalRefusedError as error:
        if error.reason_code == "unknown":
            raise ApprovalRefusedError("unknown", f"{error}; {_waiting(call)}") from error
        raise
    events, where = story(item), now(item, call.decisions.clock.now_ms())
    # A read of its own.
    captured = log.refunds().payment(item.transaction_id) if item.status == "completed" else None
    if item.status == "processing":
        where = where._replace(where=where.where + _stopped(call))
    if captured is not None:
        events += _given_back(captured)
        if captured.refund_reserved + given_by_others(item) >= captured.amount_minor:
            where = where._replace(can_be_done=[])
    if logs:
        events = sorted([*_timed(events, item), *_log_lines(call, item)], key=lambda event: (event.at or 0) // 1000)
    whose = f"{amount(item)}  customer {item.customer_id or '-'}, order {item.order_id or '-'}"
    _tell(call, item, whose, events, where)
    return 0


def _tell(call: Call, item: Item | RefundItem, head: str, events: list[Event], where: Now) -> None:
    lines = [f"{item.transaction_id}  {item.status}  {head}"]
    for event in events:
        when = timestamp(event.at) if event.at is not None else " " * 20
        lines.append(f"  {when}  {event.what}{''.join(f'  {name}={value}' for name, value in event.names.items())}")
    lines += [f"now: {where.where}", *(f"can be done: {command}" for command in where.can_be_done)]
    call.say(
        "\n".join(lines),
        transaction_id=item.transaction_id,
        status=item.status,
        story=[event.as_document() for event in events],
        now=where.where,
        can_be_done=where.can_be_done,
        item=as_document(item) if isinstance(item, Item) else refund_to_stored(item),
    )


def _given_back(captured: Captured) -> Iterator[Event]:
    """What its refunds have reserved, and whether somebody disputed it."""
    if captured.refund_reserved:
        given = f"{as_text(captured.refund_reserved, captured.currency)} {captured.currency}"
        yield Event(None, f"of it {given} were given back, or are about to be", {})
    if captured.is_disputed:
        yield Event(None, "somebody disputed it", {})


def _timed(events: list[Event], item: Item) -> list[Event]:
    """Each with the moment that it stands at, so that other lines can be sorted in."""
    last, timed = item.created_at, []
    for event in events:
        last = event.at if event.at is not None else last
        timed.append(event._replace(at=last))
    return timed


def _waiting(call: Call) -> str:
    """What waits in the payment queue: one request."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    try:
        answer = call.client("sqs").get_queue_attributes(QueueUrl=queue_url(call), AttributeNames=names)
    except ClientError as error:
        return f"the payment queue could not be looked at ({error.response['Error'].get('Code', error)})"
    waiting, taken = (int(answer["Attributes"][name]) for name in names)
    # Three requests are the most: without its URL the queue took two.
    stopped = _stopped(call) if waiting and call.variables["PAYMENT_QUEUE_URL"] else ""
    return f"in the payment queue {waiting} messages wait and {taken} are being worked on{stopped}"


def _stopped(call: Call) -> str:
    """That the environment takes no messages, where it does not and who asks may know: one request."""
    try:
        states = mapping_states(call, "queue")
    except ClientError:
        return ""
    return "; the environment is stopped (`payments start`)" if set(states) & {"Disabled", "Disabling"} else ""


def _log_lines(call: Call, item: Item) -> Iterator[Event]:
    """What the functions wrote about it, from every page of every log group that is there."""
    logs = call.client("logs")
    # A filter finds it in longer ids, too: the queue function writes the payment's id, the others the transaction's.
    about = re.compile(rf"(?<![\w-])(txn-)?{re.escape(item.payment_id)}(?![\w-])")
    for group in log_groups(call):
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=f'"{item.payment_id}"', startTime=item.created_at - _BEFORE_MS
        )
        try:
            found: list[Any] = [event for page in pages for event in page["events"]]
        except ClientError as error:
            if error.response["Error"].get("Code") != "ResourceNotFoundException":
                raise
            call.warn(f"there is no log group {group}")
            continue
        for event in found:
            if about.search(event["message"]):
                yield Event(int(event["timestamp"]), event["message"].rstrip(), {"log_group": group})
