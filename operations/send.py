"""`payments send`: payments onto the queue, one or a file of them.

The rule it keeps: what is sent is the text that was given, byte for byte, as its content is what a payment id stands
for; a message that was sent and is sent again is recognised by its payment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from operations.names import queue_url
from operations.options import NAME, Call, Command, confirmed, pass_call

# SendMessageBatch takes ten, and 1 MiB together; a body of ours has 32 KiB at most.
_BATCH_MAX: Final = 10
# "Message group ID": letters, digits and punctuation, 128 at most.
_GROUP_MAX: Final = 128


class Message(NamedTuple):
    """`line` is where it stands in its file, from 1."""

    line: int
    body: str
    payment_id: str
    group: str


@click.command(cls=Command, example="payments send payments.jsonl --yes")
@click.argument("source", type=NAME, metavar="FILE|JSON")
@click.option("--group", type=NAME, help="The message group of all (default: each payment's customer_id).")
@confirmed
@pass_call
def send(call: Call, source: str, group: str | None) -> int:
    """Send payments to the queue, one or a file of them.

    One payment as JSON, or a file of one or of JSON lines, where - is standard input.

    Payments of one group are claimed in their order, and groups at the same time: a customer's id is a good group. A
    line that is no JSON, or has no id or no group, is told before anything is sent; the rest is judged by the function,
    and `payments status` tells it. A payment that was sent already is recognised.
    """
    messages = list(_read(source, group))
    if not messages:
        raise click.UsageError(f"{source} has no payment")
    amounts = _amounts(messages)
    one = messages[0]
    what = f"{len(messages)} payments" if len(messages) > 1 else f"payment {one.payment_id} in group {one.group}"
    call.confirm(f"{what} ({amounts}) will be charged.")
    url, sent = queue_url(call), 0
    sqs = call.client("sqs")
    for first in range(0, len(messages), _BATCH_MAX):
        batch = messages[first : first + _BATCH_MAX]
        entries = [
            {"Id": str(place), "MessageBody": each.body, "MessageGroupId": each.group}
            for place, each in enumerate(batch)
        ]
        try:
            answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        except (Exception, KeyboardInterrupt):
            call.stands = _resume(batch[0], sent, len(messages)) if sent else ""
            raise
        taken = {int(each["Id"]): each["MessageId"] for each in answer.get("Successful", [])}
        for place, message in enumerate(batch):
            if place in taken:
                sent += 1
                call.say(
                    f"{message.payment_id} sent to group {message.group}",
                    payment_id=message.payment_id,
                    message_group_id=message.group,
                    message_id=taken[place],
                )
        if failed := answer.get("Failed"):
            # What follows it in its group must not overtake it.
            worst = min(failed, key=lambda each: int(each["Id"]))
            call.warn(f"{batch[int(worst['Id'])].payment_id}: {worst.get('Code')}: {worst.get('Message', '')}")
            call.warn(_resume(batch[int(worst["Id"])], sent, len(messages)))
            return 1
    return 0


def _resume(message: Message, sent: int, count: int) -> str:
    return (
        f"{sent} of {count} were sent; not from line {message.line} ({message.payment_id}) on. Send the file again: "
        "what was sent is recognised"
    )


def _read(source: str, group: str | None) -> Iterator[Message]:
    """Each payment of the source. Raises UsageError that names the line."""
    if source.lstrip().startswith("{"):
        yield _message(1, source, group, "the payment")
        return
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{source} cannot be read: {error}") from error
    # One payment over several lines, as the samples in events/ are.
    lines = [text] if _is_json(text) else text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _message(number, line, group, f"{source}, line {number}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _message(number: int, text: str, group: str | None, where: str) -> Message:
    try:
        document = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise click.UsageError(f"{where} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise click.UsageError(f"{where} is no JSON object")
    if "refund" in document and "payment_id" not in document:
        raise click.UsageError(f"{where} is a refund: `payments refund` sends it behind its payment")
    payment_id, customer = document.get("payment_id"), document.get("customer_id")
    if not isinstance(payment_id, str) or not payment_id:
        raise click.UsageError(f"{where} has no payment_id")
    chosen = group or customer
    if not isinstance(chosen, str) or not chosen:
        raise click.UsageError(f"{where} has no customer_id to be its group: name one with --group")
    if len(chosen) > _GROUP_MAX or not chosen.isascii() or not chosen.isprintable() or " " in chosen:
        raise click.UsageError(f"{where}: {chosen!r} is no message group: at most {_GROUP_MAX} letters, digits, marks")
    return Message(number, text.strip(), payment_id, chosen)


def _amounts(messages: list[Message]) -> str:
    """The sums by currency, as far as they can be read; the function judges them."""
    sums: dict[str, Decimal] = {}
    for message in messages:
        document: dict[str, Any] = json.loads(message.body, parse_float=Decimal, parse_int=Decimal)
        amount, currency = document.get("amount"), document.get("currency", "of the environment's own currency")
        if isinstance(amount, Decimal) and isinstance(currency, str):
            sums[currency] = sums.get(currency, Decimal()) + amount
    return ", ".join(f"{total} {currency}" for currency, total in sorted(sums.items())) or "no amount that can be read"
