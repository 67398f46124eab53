"""`payments events replay`, which makes outcome events again from their items, and `payments tail`, which shows them.

What it costs: a read of each payment that is named; of a state, 16 queries of the index and a read of each item.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from handler.adapters.events.records import read_record
from handler.adapters.events.stream import TableStream
from handler.cli.items import name, open_items
from handler.composition import aws_clients
from handler.domain.approval.decision import find_item
from handler.domain.approval.ports import Decisions
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
from handler.event_composition import compose_target
from handler.settings import read_settings
from handler.support import load_support

_LISTING: Final = "its payment id is what its sender gave it"
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_POLL_SECONDS: Final = 1.0


def add_topic(topics: Any) -> argparse.ArgumentParser:
    """The topic's parser, its commands among it; each takes Decisions and its options and returns the exit code."""
    topic: argparse.ArgumentParser = topics.add_parser("events", help="what was told of payments' outcomes")
    commands = topic.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="send the present outcome of payments again, under its own id")
    replay.add_argument("payments", nargs="*", type=name, metavar="PAYMENT", help="payment id or transaction id")
    replay.add_argument("--state", choices=("parked", "conflict"), help="all in a state that the index knows")
    replay.add_argument("--since", type=_time, help="claimed then or later, as 2026-11-27T00:00:00Z; with --state")
    replay.add_argument("--until", type=_time, help="claimed before; with --state")
    replay.set_defaults(run=_replay)
    return topic


def add_tail(topics: Any) -> argparse.ArgumentParser:
    """`payments tail`."""
    tail: argparse.ArgumentParser = topics.add_parser("tail", help="outcome events as they happen, one a line")
    tail.set_defaults(run=_tail)
    return tail


def _time(text: str) -> int:
    """A time as items and events have it, in milliseconds."""
    if not re.fullmatch(_TIME, text):
        raise argparse.ArgumentTypeError("must be as 2026-11-27T00:00:00Z")
    try:
        return int(1000 * datetime.fromisoformat(text).timestamp())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _replay(decisions: Decisions, options: argparse.Namespace) -> int:
    """0 where every payment that was asked for was told."""
    if bool(options.payments) == bool(options.state):
        raise ApprovalRefusedError("unknown", "name payments, or a --state")
    if options.payments and (options.since is not None or options.until is not None):
        raise ApprovalRefusedError("unknown", "--since and --until go with --state")
    if options.state:
        found, code = open_items(decisions.log, options.state)
        since, until = options.since or 0, options.until or sys.maxsize
        items = sorted((item for item in found if since <= item.created_at < until), key=lambda item: item.created_at)
    else:
        items, code = [], 0
        for payment in options.payments:
            try:
                items.append(find_item(decisions.log, payment, _LISTING))
            except PaymentError as error:
                # Of many that are named, one that is gone holds up none.
                print(f"payments: {error}", file=sys.stderr)
                code = 1
    environment, target = compose_replay(options.variables)
    return max(code, replay(items, environment, target))


def replay(items: list[Item], environment: str, target: EventTarget) -> int:
    """Send the events of items; tell what became of each, and 1 where one was not sent."""
    told = _Told()
    events: list[OutcomeEvent] = []
    for item in items:
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
            print(f"{event.transaction_id} {event.status} sent")
    return int(bool(told.refused))


class _Told:
    """`Notifier`: a line on standard error for each payment that was not told."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        self.refused.add(transaction_id)
        print(f"payments: {transaction_id} {detail}", file=sys.stderr)


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


def _tail(_: Decisions, options: argparse.Namespace) -> int:
    """Until somebody stops it."""
    settings = read_settings(options.variables)
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
