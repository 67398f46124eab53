"""One batch of an SQS queue: what its event must be, in which order its messages are settled, and which come back.

The rule it keeps: a record is known by its place in the batch, never by its id, and nothing that is no batch is passed
over as an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from handler.domain.payment import Message


class NotABatchError(ValueError):
    """The event is no batch of an SQS queue. Says why, by places and types alone: a payment's text is not repeated."""


def messages_of(event: Any, new_id: Callable[[], str]) -> list[Message]:
    """The messages of an event, in its order; `{}` is an empty batch. `new_id` names a message without an id.

    Raises NotABatchError, so that whoever sent the event learns that nothing of it was processed.
    """
    if not isinstance(event, Mapping):
        raise NotABatchError(f"the event is no SQS batch: it is {_type(event)} and not an object")
    if not event:
        return []
    if "Records" not in event:
        raise NotABatchError("the event is no SQS batch: it has no Records (a payment goes into the body of one)")
    records = event["Records"]
    if not isinstance(records, list):
        raise NotABatchError(f"the event is no SQS batch: its Records are {_type(records)} and not a list")
    return [_message(record, place, new_id) for place, record in enumerate(records)]


def told_apart(messages: Sequence[Message]) -> list[Message]:
    """The messages with an id of its own each: of one id, the later ones get their place behind it.

    Else one of two would count as the other: as the worker that holds the payment, or as the copy that is kept.
    """
    seen: set[str] = set()
    distinct = []
    for place, message in enumerate(messages):
        distinct.append(
            message._replace(message_id=f"{message.message_id}#{place}") if message.message_id in seen else message
        )
        seen.add(message.message_id)
    return distinct


def settle_in_order(messages: Sequence[Message], settle: Callable[[int], object]) -> list[int]:
    """Settle each message by its place; returns the places of those that must come back.

    Where `settle` raises, the message comes back, and so do the later ones of its group, untried. Other groups go on.
    """
    returned: list[int] = []
    failed_groups: set[str] = set()
    for place, message in enumerate(messages):
        if message.group not in failed_groups:
            try:
                settle(place)
                continue
            except Exception:  # noqa: BLE001
                # Whatever it is: acknowledging the message would lose the payment. `settle` has logged it.
                failed_groups.add(message.group)
        returned.append(place)
    return returned


def _message(record: Any, place: int, new_id: Callable[[], str]) -> Message:
    if not isinstance(record, Mapping):
        raise NotABatchError(f"the event is no SQS batch: record {place} is {_type(record)} and not an object")
    source = record.get("eventSource", "aws:sqs")
    if source != "aws:sqs":
        raise NotABatchError(f"the event is no SQS batch: record {place} has another source than aws:sqs")
    body = record.get("body")
    if not isinstance(body, str):
        raise NotABatchError(f"the event is no SQS batch: the body of record {place} is {_type(body)} and not text")
    attributes = record.get("attributes")
    if not isinstance(attributes, Mapping):
        attributes = {}
    return Message(
        message_id=_text(record, "messageId") or new_id(),
        body=body,
        group=_text(attributes, "MessageGroupId"),
        sequence_number=_text(attributes, "SequenceNumber"),
        receives=_count(attributes.get("ApproximateReceiveCount")),
        receipt_handle=_text(record, "receiptHandle"),
    )


def _text(source: Mapping[str, Any], name: str) -> str:
    """A published sample has few of SQS's attributes, and a hand-written one anything in them."""
    value = source.get(name)
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    text = str(value)
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _type(value: Any) -> str:
    return "missing" if value is None else type(value).__name__
