"""`payments status`: one payment's whole story.

What it costs: one read where the id is a payment's, two where it begins as a transaction's, and where nothing is found
one look at the two queues in which its message may still be; with `--logs` as many more as the log groups have pages.
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
from operations.names import log_groups, queue_url
from operations.options import NAME, Call, Command, pass_call
from operations.output import amount, as_document
from operations.story import Event, now, story

_LISTING: Final = "a message that no function has taken up has no item yet"
# Lines of the invocation that claimed it, before the item's own moment.
_BEFORE_MS: Final = 60_000


@click.command(cls=Command, example="payments status pay-001 --logs")
@click.argument("payment", type=NAME)
@click.option("--logs", is_flag=True, help="The functions' log lines about it, too: a search for each log group.")
@pass_call
def status(call: Call, payment: str, logs: bool) -> int:
    """Tell one payment's whole story.

    In order of time: message, score, approvals, tries, gateway references and request ids, its end; then where it is
    now, and what can be done. By payment id or transaction id.
    """
    try:
        item = find_item(call.decisions.log, payment, _LISTING)
    except ApprovalRefusedError as error:
        if error.reason_code == "unknown":
            raise ApprovalRefusedError("unknown", f"{error}; {_waiting(call)}") from error
        raise
    events = story(item)
    if logs:
        events = sorted([*_timed(events, item), *_log_lines(call, item)], key=lambda event: (event.at or 0) // 1000)
    where, can_be_done = now(item, call.decisions.clock.now_ms())
    call.say(
        "\n".join(_lines(item, events, where, can_be_done)),
        transaction_id=item.transaction_id,
        status=item.status,
        story=[event.as_document() for event in events],
        now=where,
        can_be_done=can_be_done,
        item=as_document(item),
    )
    return 0


def _lines(item: Item, events: list[Event], where: str, can_be_done: list[str]) -> Iterator[str]:
    who = f"customer {item.customer_id or '-'}, order {item.order_id or '-'}"
    yield f"{item.transaction_id}  {item.status}  {amount(item)}  {who}"
    for event in events:
        when = timestamp(event.at) if event.at is not None else " " * 20
        names = "".join(f"  {name}={value}" for name, value in event.names.items())
        yield f"  {when}  {event.what}{names}"
    yield f"now: {where}"
    for command in can_be_done:
        yield f"can be done: {command}"


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
    return f"in the payment queue {waiting} messages wait and {taken} are being worked on"


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
