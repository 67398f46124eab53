"""One batch of an SQS queue: what its event must be, when its messages are settled, and which of them come back.

The rule it keeps: a record is known by its place in the batch, never by its id, and nothing that is no batch is passed
over as an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from handler.domain.payment import Message

if TYPE_CHECKING:
    from handler.adapters.workers import Workers


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


def settle_groups(
    messages: Sequence[Message],
    settle: Callable[[int], object],
    workers: Workers,
    asks_alone: Callable[[], bool] = lambda: False,
    ahead: Callable[[int], None] | None = None,
) -> list[int]:
    """Settle each message by its place, groups at once and each in its order; the places of those that must come back.

    Where `settle` raises, the message comes back, and so do the later ones of its group, untried. Other groups go on.
    For as long as `asks_alone()` at the beginning, the messages are settled one after the other, in the batch's order.
    `ahead` is called, by workers that find no group to work on, for messages that wait behind another one of theirs; it
    never raises.
    """
    turns = _Turns(messages)

    def settle_next() -> bool:
        place = turns.begin()
        if place is None:
            return False
        is_settled = False
        try:
            settle(place)
            is_settled = True
        except Exception:  # noqa: BLE001
            # Whatever it is: acknowledging the message would lose the payment. `settle` has logged it.
            pass
        finally:
            turns.end(place, is_settled=is_settled)
        return True

    def settle_all() -> None:
        while settle_next():
            pass

    def go_ahead(place: int) -> None:
        if ahead is not None and turns.waits(place):
            ahead(place)

    while asks_alone() and settle_next():
        pass
    jobs: list[Callable[[], None]] = [settle_all] * min(workers.at_once, turns.groups_left())
    workers.run(jobs + [partial(go_ahead, place) for place in turns.behind_others()])
    return sorted(turns.returned)


class _Turns:
    """Whose turn it is: the first message that waits and whose group nobody is at work on.

    A worker that finds none may end: all that waits is behind what others are at work on, and they come to it.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._groups = [message.group for message in messages]
        self._waiting = list(range(len(messages)))
        self._at_work: set[str] = set()
        self._lock = Lock()
        self.returned: list[int] = []

    def groups_left(self) -> int:
        return len({self._groups[place] for place in self._waiting})

    def behind_others(self) -> list[int]:
        """The places that wait behind another one of their group."""
        firsts = {self._groups[place]: place for place in reversed(self._waiting)}
        return [place for place in self._waiting if place not in firsts.values()]

    def waits(self, place: int) -> bool:
        return place in self._waiting

    def begin(self) -> int | None:
        with self._lock:
            for place in self._waiting:
                if self._groups[place] not in self._at_work:
                    self._waiting.remove(place)
                    self._at_work.add(self._groups[place])
                    return place
            return None

    def end(self, place: int, *, is_settled: bool) -> None:
        with self._lock:
            group = self._groups[place]
            self._at_work.discard(group)
            if not is_settled:
                self.returned += [place, *self._take_back(group)]

    def _take_back(self, group: str) -> list[int]:
        behind = [place for place in self._waiting if self._groups[place] == group]
        self._waiting = [place for place in self._waiting if self._groups[place] != group]
        return behind


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
