"""The dead-letter queue: looking at what lies there, and sending it again in its order.

The rule it keeps: within a group nothing overtakes. SQS hides a whole group while one of its messages is in somebody's
hands ("Amazon SQS FIFO queue and message group IDs"), so of two people who redrive at once one has a group, and the
other the next one. What was sent and is sent again has the same deduplication id, and after five minutes its payment is
recognised.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

# A receive has ten of a group at most, and one is sent and deleted within a second.
HIDDEN_SECONDS: Final = 120
# After this of it nobody begins with what was received, as it may be somebody else's soon.
_FRESH_SECONDS: Final = 60.0
# Long polling asks every server: a short one may find nothing where there is something.
_WAIT_SECONDS: Final = 1
_BATCH_MAX: Final = 10
# Of an attribute; the rest is SQS's own.
_SENT: Final = ("DataType", "StringValue", "BinaryValue")


class Letter(NamedTuple):
    """One message of the dead-letter queue. `body` is raw: it is sent on and never shown."""

    group: str
    sequence: int
    message_id: str
    sent_at: int
    body: str
    attributes: dict[str, Any]
    receipt: str
    received_at: float

    @property
    def deduplication_id(self) -> str:
        """The same for the same letter, whoever sends it."""
        return f"redrive-{hashlib.sha256(self.body.encode(errors='surrogatepass')).hexdigest()[:40]}-{self.sequence}"


class DeadLetters:
    """The dead-letter queue at `url`, over a client of SQS; `monotonic` is a clock in seconds."""

    def __init__(self, sqs: Any, url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sqs = sqs
        self._url = url
        self._monotonic = monotonic
        self._held: dict[str, list[Letter]] = {}

    def count(self) -> tuple[int, int]:
        """How many lie there, and how many are in somebody's hands, both as SQS estimates them."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def look(self) -> list[Letter]:
        """The first ten at most of every group, in the order in which they came; nothing is taken away."""
        try:
            while self._receive():
                pass
            return sorted((each for group in self._held.values() for each in group), key=lambda each: each.sequence)
        finally:
            self.release()

    def next_of(self, group: str) -> list[Letter]:
        """The first of a group, in their order, for the caller to send; empty once nothing of it can be had."""
        while True:
            if fresh := self._fresh(group):
                return fresh
            if not self._receive():
                return []

    def send(self, letter: Letter, url: str) -> None:
        """Send one to the payment queue, as it was, and take it away here."""
        request = {"MessageAttributes": letter.attributes} if letter.attributes else {}
        self._sqs.send_message(
            QueueUrl=url,
            MessageBody=letter.body,
            MessageGroupId=letter.group,
            MessageDeduplicationId=letter.deduplication_id,
            **request,
        )
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)

    def release(self, letters: Sequence[Letter] = ()) -> None:
        """Let everybody have these, and what is held, at once and not when their time is over."""
        self._free([*letters, *(each for group in self._held.values() for each in group)])
        self._held = {}

    def _free(self, letters: Sequence[Letter]) -> None:
        for first in range(0, len(letters), _BATCH_MAX):
            entries = [
                {"Id": str(place), "ReceiptHandle": each.receipt, "VisibilityTimeout": 0}
                for place, each in enumerate(letters[first : first + _BATCH_MAX])
            ]
            # One that somebody else has by now is refused by itself, and is theirs.
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def _fresh(self, group: str) -> list[Letter]:
        letters = sorted(self._held.pop(group, []), key=lambda each: each.sequence)
        if all(self._monotonic() - each.received_at < _FRESH_SECONDS for each in letters):
            return letters
        # Still hidden, nobody would have them, and the group would look empty.
        self._free(letters)
        return []

    def _receive(self) -> bool:
        """Whether one more receive had something."""
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=_BATCH_MAX,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=_WAIT_SECONDS,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        for message in answer.get("Messages", []):
            letter = self._letter(message)
            self._held.setdefault(letter.group, []).append(letter)
        return bool(answer.get("Messages"))

    def _letter(self, message: dict[str, Any]) -> Letter:
        attributes = message["Attributes"]
        return Letter(
            group=attributes["MessageGroupId"],
            sequence=int(attributes.get("SequenceNumber") or 0),
            message_id=message["MessageId"],
            sent_at=int(attributes["SentTimestamp"]),
            body=message["Body"],
            attributes={
                name: {key: value for key, value in each.items() if key in _SENT}
                for name, each in message.get("MessageAttributes", {}).items()
            },
            receipt=message["ReceiptHandle"],
            received_at=self._monotonic(),
        )


def redrive(
    letters: DeadLetters, groups: Sequence[str], url: str, quiet: Callable[[str, list[Letter]], None]
) -> Iterator[Letter]:
    """Send the letters of each group in their order, one group after the other; each as it was sent.

    `quiet` is called with a group and what was sent of it, and returns when its payments are settled; it raises where
    they are not in time, and the next groups are left.
    """
    for group in groups:
        sent: list[Letter] = []
        while found := letters.next_of(group):
            try:
                while found:
                    letters.send(found[0], url)
                    sent.append(found.pop(0))
                    yield sent[-1]
            finally:
                # What was left in the middle of a group is everybody's again, in its order.
                letters.release(found)
        quiet(group, sent)
