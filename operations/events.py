"""`payments events replay`, which makes outcome events again from their items, and `payments tail`, which shows them.

What it costs: a read of each payment that is named; of a state, 16 queries of the index and a read of each item.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

import click

from handler.adapters.events.records import read_record
from handler.adapters.events.stream import TableStream
from handler.composition import aws_clients
from handler.domain.approval.decision import find_item
from handler.domain.errors import (
    ApprovalRefusedError,
    ConfigurationError,
    DamagedItemError,
    PaymentError,
    UnknownItemError,
)
from handler.domain.item import Item
from handler.domain.outcome_delivery import EventTarget, deliver
from handler.domain.outcome_event import EventTooLargeError, OutcomeEvent, is_outcome, outcome_event
from handler.domain.ports import TransactionLog
from handler.domain.refund_event import refund_event
from handler.domain.refund_item import RefundItem, is_refund
from handler.event_composition import compose_target
from handler.settings import read_settings
from handler.support import load_support
from operations.items import open_items
from operations.options import NAME, Call, Command, Time, Topic, one_of, pass_call

_LISTING: Final = "its payment id is what its sender gave it"
_POLL_SECONDS: Final = 1.0


@click.group(cls=Topic, example="payments events replay pay-abc123")
def events() -> None:
    """What was told of payments' outcomes."""


@events.command(example="payments events replay --state parked --since 2026-11-27T00:00:00Z")
@click.argument("payments", type=NAME, nargs=-1, metavar="[PAYMENT]...")
@click.option("--state", type=click.Choice(["parked", "conflict"]), help="All in a state that the index knows.")
@click.option("--since", type=Time(), help="Claimed then or later, as 2026-11-27T00:00:00Z; with --state.")
@click.option("--until", type=Time(), help="Claimed before; with --state.")
@pass_call
def replay(
    call: Call,
    payments: tuple[str, ...],
    state: Literal["parked", "conflict"] | None,
    since: int | None,
    until: int | None,
) -> int:
    """Send the present outcome of payments again, under its own id.

    Of a refund, too, by its transaction id: txn-PAYMENT#refund#REFUND.
    """
    one_of(PAYMENT=payments, state=state)
    if payments and (since is not None or until is not None):
        raise click.UsageError("--since and --until go with --state")
    log = call.decisions.log
    if state:
        found, code = open_items(log, state)
        first, last = since or 0, until or sys.maxsize
        items: list[Item | RefundItem] = [item for item in found if first <= item.created_at < last]
        items.sort(key=lambda item: item.created_at)
    else:
        items, code = [], 0
        for payment in payments:
            try:
                items.append(_find(log, payment))
            except PaymentError as error:
                if len(payments) == 1:
                    raise
                # Of many that are named, one that is gone holds up none.
                call.warn(str(error))
                code = 1
    if not items:
        if not code:
            call.say(f"No payment that is {state} was claimed then.", sent=0)
        return code
    environment, target = compose_replay(call.variables)
    return max(code, send_again(call, items, environment, target))


def _find(log: TransactionLog, name: str) -> Item | RefundItem:
    """The item that an id names, a refund's too. Raises ApprovalRefusedError where there is none."""
    if not is_refund(name):
        return find_item(log, name, _LISTING)
    found = log.refunds().get(name)
    if found is None:
        raise ApprovalRefusedError("unknown", f"there is no refund {name} in this table")
    return found


def send_again(call: Call, items: Sequence[Item | RefundItem], environment: str, target: EventTarget) -> int:
    """Send the events of items; tell what became of each, and 1 where one was not sent."""
    told = _Told(call)
    events: list[OutcomeEvent] = []
    for item in items:
        if isinstance(item, RefundItem):
            events.append(refund_event(item, environment))
            continue
        if not is_outcome(item):
            told.alarm("", item.transaction_id, f"is {item.status}, which is no outcome yet")
            continue
        try:
            events.append(outcome_event(item, environment))
        except EventTooLargeError as error:
            told.alarm("", item.transaction_id, str(error))
    again = deliver(events, target, told)
    for place, event in enumerate(events):
        if place in again:
            told.alarm("", event.transaction_id, "was not sent: the target took none. Run it again")
        elif event.transaction_id not in told.refused:
            call.say(
                f"{event.transaction_id} {event.status} sent", transaction_id=event.transaction_id, status=event.status
            )
    return int(bool(told.refused))


class _Told:
    """`Notifier`: a line on standard error for each payment that was not told."""

    def __init__(self, call: Call) -> None:
        self.refused: set[str] = set()
        self._call = call

    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        self.refused.add(transaction_id)
        self._call.warn(f"{transaction_id} {detail}")


def compose_replay(environment: Mapping[str, str]) -> tuple[str, EventTarget]:
    """The environment's name and where its events go; without EVENT_TARGET the queue of its name.

    Raises ConfigurationError and AwsError.
    """
    if environment.get("EVENT_TARGET"):
        return compose_target(environment)
    aws_client = aws_clients(read_settings(environment), load_support("standard"))
    queue = f"cloudcafe-payment-events-{environment['ENVIRONMENT']}.fifo"
    url = aws_client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    return compose_target({**environment, "EVENT_TARGET": url})


@click.command(cls=Command, example="payments tail")
@pass_call
def tail(call: Call) -> int:
    """Show outcome events as they happen, one a line.

    Until somebody stops it. It takes none away from anybody else.
    """
    settings = read_settings(call.variables)
    aws_client = aws_clients(settings, load_support("standard"))
    arn = aws_client("dynamodb").describe_table(TableName=settings.table_name)["Table"].get("LatestStreamArn")
    if not arn:
        raise ConfigurationError("DYNAMODB_TABLE", settings.table_name, "a table with a stream")
    stream = TableStream(aws_client("dynamodbstreams"), arn)
    with suppress(KeyboardInterrupt):
        follow(stream, settings.rules.environment, lambda: time.sleep(_POLL_SECONDS))
    return 0


def follow(stream: TableStream, environment: str, wait: Callable[[], None]) -> None:
    """Print the events of a stream's records as they come, calling `wait` where there are none."""
    while True:
        records = stream.read()
        for record in records:
            try:
                event = read_record(record, environment)
            except (DamagedItemError, UnknownItemError, EventTooLargeError) as error:
                print(f"payments: {error}", file=sys.stderr)
                continue
            if event is not None:
                print(event.text, flush=True)
        if not records:
            wait()
