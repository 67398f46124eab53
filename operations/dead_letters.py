"""`payments dead-letters list | show | redrive`: messages that were received so often that the queue gave up on them.

The rule it keeps: no body is shown but masked, as the function would keep it, and none leaves its group's order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import click

from handler.domain.errors import ApprovalRefusedError, DamagedItemError, UnknownItemError
from handler.domain.item import timestamp
from handler.domain.payment import Message, transaction_id
from handler.domain.reading import Reading, examine
from handler.settings import read_settings
from operations.letters import DeadLetters, Letter, redrive
from operations.names import beside, queue_url
from operations.options import NAME, Call, Topic, confirmed, one_of, pass_call
from operations.output import table

_POLL_SECONDS: Final = 1.0


@click.group("dead-letters", cls=Topic, example="payments dead-letters list")
def dead_letters() -> None:
    """Messages that were received too often."""


@dead_letters.command("list", example="payments dead-letters list")
@pass_call
def list_letters(call: Call) -> int:
    """The first ten at most of each group, in the order in which they came.

    SQS shows no more of a group while these are looked at. Nothing is taken away.
    """
    letters = _letters(call)
    lie, in_hands = letters.count()
    found = letters.look()
    if call.is_json:
        for letter, reading in zip(found, _read(call, found), strict=True):
            call.say("", **_document(letter, reading))
        return 0
    if in_hands:
        call.warn(f"{in_hands} are in somebody's hands, with whatever is behind them in their groups: not shown")
    if not found:
        print("No dead letter lies there." if not in_hands else "No other dead letter can be seen.")
        return 0
    rows = [("GROUP", "PAYMENT", "DEAD SINCE", "IN THE TABLE", "MESSAGE")]
    for letter, reading in zip(found, _read(call, found), strict=True):
        payment = reading.validation.payment_id or "-"
        since = timestamp(letter.sent_at)
        rows.append((reading.message.group, payment, since, _state(call, reading), letter.message_id))
    print(*table(rows), sep="\n")
    if lie > len(found):
        print(f"About {lie - len(found)} more lie behind these in their groups.")
    return 0


@dead_letters.command(example="payments dead-letters show pay-001")
@click.argument("name", type=NAME, metavar="PAYMENT|MESSAGE")
@pass_call
def show(call: Call, name: str) -> int:
    """One dead letter with its masked body, by payment id, transaction id or message id."""
    found = _letters(call).look()
    shown = [
        (letter, reading)
        for letter, reading in zip(found, _read(call, found), strict=True)
        if name in (letter.message_id, reading.validation.payment_id, transaction_id(reading.validation.payment_id))
    ]
    if not shown:
        raise ApprovalRefusedError("unknown", f"no dead letter of {name} can be seen: `payments dead-letters list`")
    for letter, reading in shown:
        lines = _document(letter, reading) | {"in_the_table": _state(call, reading)}
        call.say("\n".join(f"{label.replace('_', ' '):<18}{value}" for label, value in lines.items()), **lines)
    return 0


@dead_letters.command("redrive", example="payments dead-letters redrive --group cust-456")
@click.option("--group", "groups", type=NAME, multiple=True, help="This message group; may be given again.")
@click.option("--all", "everything", is_flag=True, help="Every group, in the order of their first letters.")
@click.option("--dry-run", is_flag=True, help="Tell what would be sent, and send nothing.")
@click.option("--wait", type=click.IntRange(1), default=300, show_default=True, help="Seconds for a group to be quiet.")
@confirmed
@pass_call
def redrive_letters(call: Call, groups: tuple[str, ...], everything: bool, dry_run: bool, wait: int) -> int:
    """Send dead letters again, group by group, each in its original order.

    After each group it waits until its payments are settled, parked or asked about, and stops where they are not. It
    may be interrupted, run again, and run by two people at once: nothing is charged twice, and nothing is lost.
    """
    one_of(group=groups, all=everything)
    letters = _letters(call)
    seen = [letter for letter in letters.look() if everything or letter.group in groups]
    chosen = list(dict.fromkeys(letter.group for letter in seen))
    for group in chosen:
        readings = _read(call, [letter for letter in seen if letter.group == group])
        payments = [reading.validation.payment_id or "-" for reading in readings]
        behind = " and what is behind them" if len(payments) >= 10 else ""
        call.say(
            f"group {readings[0].message.group}: {', '.join(payments)}{behind}",
            message_group_id=readings[0].message.group,
            payment_ids=payments,
            sent=False,
        )
    for group in set(groups) - set(chosen):
        call.warn(f"group {group}: no dead letter of it can be seen, or somebody has it in hands")
    if not chosen:
        raise ApprovalRefusedError(
            "unknown", "no dead letter can be seen: none lies there, or somebody has them in hands"
        )
    if dry_run:
        return 0
    call.confirm(f"The dead letters of {len(chosen)} groups will be sent again, and may be charged.")
    return _send(call, letters, chosen, wait)


def _send(call: Call, letters: DeadLetters, groups: Sequence[str], wait: int) -> int:
    count, at = 0, groups[0]

    def quiet(group: str, sent: list[Letter]) -> None:
        _wait_until_quiet(call, group, [reading.validation.payment_id for reading in _read(call, sent)], wait)

    try:
        for letter in redrive(letters, groups, queue_url(call), quiet):
            count, at = count + 1, letter.group
            (reading,) = _read(call, [letter])
            payment = reading.validation.payment_id
            call.say(
                f"{payment or letter.message_id} sent to group {letter.group}",
                payment_id=payment,
                message_group_id=letter.group,
                message_id=letter.message_id,
                sent=True,
            )
    except BaseException:
        if count:
            call.stands = (
                f"stopped at group {at}, {groups.index(at) + 1} of {len(groups)}, after {count} letters. What was not "
                "sent lies where it was; run it again, as what was sent is recognised"
            )
        raise
    finally:
        letters.release()
    return 0


def _wait_until_quiet(call: Call, group: str, payments: Sequence[str], seconds: int) -> None:
    """Until no payment of a group is on its way. Raises ClickException where one still is in the end.

    A message without a usable id becomes no item: nothing is waited for.
    """
    ends = time.monotonic() + seconds
    waiting = {transaction_id(payment) for payment in payments if payment}
    while waiting:
        waiting = {name for name in waiting if _is_on_its_way(call, name)}
        if waiting and time.monotonic() > ends:
            raise click.ClickException(
                f"group {group} is not quiet after {seconds} s: {', '.join(sorted(waiting))}. `payments status` says "
                "where each is; the groups behind it were left"
            )
        if waiting:
            time.sleep(_POLL_SECONDS)


def _is_on_its_way(call: Call, name: str) -> bool:
    """Whether a payment has no item yet, or a worker; one that cannot be read is in nobody's hands."""
    try:
        item = call.decisions.log.get(name)
    except (DamagedItemError, UnknownItemError) as error:
        call.warn(str(error))
        return False
    return item is None or item.status == "processing"


def _letters(call: Call) -> DeadLetters:
    return DeadLetters(call.client("sqs"), beside(queue_url(call), "dlq"))


def _read(call: Call, letters: Sequence[Letter]) -> list[Reading]:
    messages = [Message(letter.message_id, letter.body, letter.group, str(letter.sequence)) for letter in letters]
    return examine(messages, read_settings(call.variables).rules, call.decisions.find_card_numbers)


def _document(letter: Letter, reading: Reading) -> dict[str, object]:
    return {
        "payment_id": reading.validation.payment_id,
        "message_group_id": reading.message.group,
        "message_id": letter.message_id,
        "sequence_number": str(letter.sequence),
        "sent_at": timestamp(letter.sent_at),
        "faults": "; ".join(f"{fault.field or 'body'}: {fault.reason_code}" for fault in reading.validation.faults),
        "body": reading.masked_body,
    }


def _state(call: Call, reading: Reading) -> str:
    """What stands in the table under its id."""
    payment = reading.validation.payment_id
    if not payment:
        return "it has no usable id"
    try:
        item = call.decisions.log.get(transaction_id(payment))
    except (DamagedItemError, UnknownItemError) as error:
        return str(error)
    return item.status if item is not None else "nothing"
