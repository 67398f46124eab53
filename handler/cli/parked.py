"""`payments parked list | show | retry | cancel`: payments that kept failing and were taken out of the way.

Who retried or cancelled is the caller's AWS identity, never an argument.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any, Final
from uuid import uuid4

from handler.approval_composition import caller_identity, compose_end_finder, compose_gateway, compose_retries
from handler.cli.items import name, open_items
from handler.cli.output import as_json, table
from handler.domain.approval.decision import COMMENT_LENGTH_MAX, find_item
from handler.domain.approval.ports import Decisions
from handler.domain.claim import Work
from handler.domain.errors import PaymentError, RetryableError
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.parked import RetryQueue, cancel, in_order, retry
from handler.domain.reasons import sentence
from handler.domain.times import Times

_LISTING: Final = "`payments parked list` shows what is parked"
# What a retry of a workflow's payment needs at most, between taking it over and starting its execution.
_REMAINING_MS: Final = 30_000
_DONE: Final = {"sent": "was sent to its group again", "restarted": "was given to a new execution of its workflow"}


def add_topic(topics: Any) -> argparse.ArgumentParser:
    """The topic's parser, its commands among it; each takes Decisions and its options and returns the exit code."""
    topic: argparse.ArgumentParser = topics.add_parser("parked", help="payments that kept failing")
    commands = topic.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="all that are parked, group by group in their order")
    listing.add_argument("--json", action="store_true", help="one JSON document a line, with the masked request")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="one payment, why it was parked, and who retried it")
    show.add_argument("payment", type=name, help="payment id or transaction id")
    show.set_defaults(run=_show)
    again = commands.add_parser("retry", help="let one payment, or all of one reason, be charged again")
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("payment", type=name, nargs="?", help="payment id or transaction id")
    which.add_argument(
        "--reason", type=name, metavar="CODE", help="all that were parked for this reason, each group in its order"
    )
    again.set_defaults(run=_retry)
    end = commands.add_parser("cancel", help="give one payment up, at the gateway first where that knows it")
    end.add_argument("payment", type=name, help="payment id or transaction id")
    end.add_argument("--reason", required=True, help=f"why, at most {COMMENT_LENGTH_MAX} characters; is kept")
    end.set_defaults(run=_cancel)
    return topic


def _list(decisions: Decisions, options: argparse.Namespace) -> int:
    found, code = open_items(decisions.log, "parked")
    items = in_order(found)
    if options.json:
        for item in items:
            print(as_json(item))
        return code
    if not items:
        if not code:
            print("No payment is parked.")
        return code
    rows = [("TRANSACTION", "AMOUNT", "GROUP", "PARKED", "RETRIED BY", "AT THE GATEWAY", "REASON")]
    rows += [
        (
            item.transaction_id,
            _amount(item),
            item.message_group_id or "-",
            timestamp(item.parked_at or 0),
            _retried_by(item),
            item.gateway_ref or "never",
            item.parked_reason,
        )
        for item in items
    ]
    print(*table(rows), sep="\n")
    return code


def _show(decisions: Decisions, options: argparse.Namespace) -> int:
    item = find_item(decisions.log, options.payment, _LISTING)
    lines = {
        "transaction": item.transaction_id,
        "status": item.status,
        "amount": _amount(item),
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


def _retry(decisions: Decisions, options: argparse.Namespace) -> int:
    """0 where each was retried; one that was not holds back the later ones of its group, and no other.

    One that cannot be read holds nobody back: neither can its group be.
    """
    queue, times = compose_retries(options.variables)
    who = caller_identity()
    if options.payment:
        _retry_one(find_item(decisions.log, options.payment, _LISTING), who, queue, times, decisions)
        return 0
    found, code = open_items(decisions.log, "parked")
    items = in_order(found, options.reason)
    if not items and not code:
        print(f"No payment is parked for {options.reason}.")
    held: set[str] = set()
    for item in items:
        group = item.message_group_id or item.payment_id
        if group in held:
            print(
                f"payments: {item.transaction_id} was left: one before it in {group} was not retried", file=sys.stderr
            )
            continue
        try:
            _retry_one(item, who, queue, times, decisions)
        except PaymentError as error:
            held.add(group)
            print(f"payments: {item.transaction_id}: {error}", file=sys.stderr)
    return int(bool(held)) or code


def _retry_one(item: Item, who: str, queue: RetryQueue, times: Times, decisions: Decisions) -> None:
    work = Work(f"operator:{uuid4()}", lambda: _REMAINING_MS)
    done = retry(item, who, queue, decisions, times=times, work=work)
    print(f"{item.transaction_id} {_DONE[done]} by {who}")


def _cancel(decisions: Decisions, options: argparse.Namespace) -> int:
    item = find_item(decisions.log, options.payment, _LISTING)
    who = caller_identity()
    try:
        find_end = compose_end_finder(options.variables, decisions)
        gateway = partial(compose_gateway, options.variables)
        done = cancel(item, who, options.reason, decisions, gateway, find_end=find_end)
    except RetryableError as error:
        print(
            f"payments: {item.transaction_id} is still parked, as the gateway did not confirm that nothing can be "
            f"captured of it any more: {error}. Run this again; reconcile, too, records what becomes of it.",
            file=sys.stderr,
        )
        return 1
    if done == "completed":
        print(f"{item.transaction_id} is completed: the gateway had charged it before it could be cancelled")
        return 0
    if done == "declined":
        print(f"{item.transaction_id} is declined: so it had ended at the gateway before the table was restored")
        return 0
    print(f"{item.transaction_id} cancelled by {who}")
    return 0


def _retried_by(item: Item) -> str:
    """Who allowed the retry that is on its way; an earlier one is over."""
    return item.retried_by if item.retry_no and item.retry_no == item.park_no else "nobody"


def _amount(item: Item) -> str:
    return f"{as_text(item.amount_minor, item.currency)} {item.currency}" if item.amount_minor else "-"
