"""The FIFO queue with its dead-letter queue, and the event source mapping that polls it.

A message is delivered only when every earlier one of its group is delivered with it or gone; what is not deleted comes
back when its visibility time-out ends, in the old order. Whether one message in flight holds back the visible ones
before it differs between descriptions of SQS, so both happen here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handler.adapters.support.errors import AwsError
from tests.simulation.traffic import Sent
from tests.simulation.world import SECOND, Environment, NoAnswerError, RefusedError, World

VISIBILITY_MS = 180 * SECOND
_DEDUPLICATED_MS = 300 * SECOND
BATCH_MAX = 10


@dataclass(eq=False)
class Message:
    """One message in the queue; `sent` says what it asks for, as the auditor knows it and the code does not."""

    message_id: str
    sent: Sent
    sequence: int
    receives: int = 0
    visible_at: int = 0
    receipt: int = 0

    @property
    def name(self) -> str:
        return f"{self.message_id} ({self.sent.name})"


class FifoQueue:
    def __init__(self, world: World) -> None:
        self.world = world
        self.groups: dict[str, list[Message]] = {}
        self.dead: list[Message] = []
        # What was asked for, whether or not it arrived: receipt handle -> seconds.
        self.delays: dict[str, int] = {}
        self.dead_lettered: Callable[[Message], None] = lambda message: None
        self.changed: Callable[[int], None] = lambda when: None
        self._sent = 0
        self._deduplicated: dict[str, int] = {}

    def send(self, sent: Sent) -> Message:
        self._sent += 1
        message = Message(f"m{self._sent}", sent, self._sent, visible_at=self.world.now)
        self.groups.setdefault(sent.group, []).append(message)
        self.world.tell(f"queue: {message.name} in {sent.group}")
        self.changed(self.world.now)
        return message

    def purge(self, is_purged: Callable[[Message], bool]) -> None:
        """Take messages away, delivered or not."""
        for group, messages in self.groups.items():
            self.groups[group] = [message for message in messages if not is_purged(message)]
        self.dead = [message for message in self.dead if not is_purged(message)]

    def is_duplicate(self, deduplication_id: str) -> bool:
        """Whether one with that id was sent within five minutes; SQS takes it and sends nothing."""
        last = self._deduplicated.get(deduplication_id)
        if last is not None and self.world.now - last < _DEDUPLICATED_MS:
            return True
        self._deduplicated[deduplication_id] = self.world.now
        return False

    def receive(self, size: int) -> list[Message]:
        """Up to `size` messages, groups in a drawn order; those received too often go to the dead-letter queue."""
        batch: list[Message] = []
        names = sorted(self.groups, key=lambda group: self.world.draw_next(f"receive/{group}"))
        for group in names:
            for message in self._deliverable(group):
                if len(batch) == size:
                    break
                if message.receives >= self.world.profile.max_receives:
                    self.groups[group].remove(message)
                    self.dead.append(message)
                    self.world.tell(f"queue: {message.name} is dead-lettered")
                    self.dead_lettered(message)
                    continue
                message.receives += 1
                message.receipt += 1
                message.visible_at = self.world.now + VISIBILITY_MS
                batch.append(message)
        if batch:
            self.changed(self.world.now + VISIBILITY_MS)
        return batch

    def _deliverable(self, group: str) -> list[Message]:
        now = self.world.now
        messages = self.groups[group]
        if self.world.profile.blocks_group_in_flight and any(message.visible_at > now for message in messages):
            return []
        prefix: list[Message] = []
        for message in messages:
            if message.visible_at > now:
                break
            prefix.append(message)
        return prefix

    def change_visibility(self, receipt_handle: str, seconds: int) -> bool:
        message = self._in_flight(receipt_handle)
        if message is None:
            return False
        message.visible_at = self.world.now + seconds * SECOND
        self.changed(message.visible_at)
        return True

    def delete(self, receipt_handle: str) -> bool:
        """A receipt handle is void once its message is visible again (FIFO queues)."""
        message = self._in_flight(receipt_handle)
        if message is None:
            return False
        self.groups[message.sent.group].remove(message)
        self.changed(self.world.now)
        return True

    def messages(self) -> list[Message]:
        return [message for messages in self.groups.values() for message in messages]

    def _in_flight(self, receipt_handle: str) -> Message | None:
        message_id, _, receipt = receipt_handle.partition("/")
        for message in self.messages():
            if message.message_id == message_id and str(message.receipt) == receipt:
                return message if message.visible_at > self.world.now else None
        return None


class QueueClient:
    """The SQS client behind the shipped adapters of all queues, in one environment."""

    def __init__(
        self,
        queue: FifoQueue,
        environment: Environment,
        rejected: Callable[[dict[str, Any]], None],
        retried: Callable[[dict[str, Any]], None],
    ) -> None:
        self._queue = queue
        self._environment = environment
        self._rejected = rejected
        self._retried = retried

    def send_message(self, **request: Any) -> dict[str, Any]:
        if request["QueueUrl"] == "payments":
            return self._send("retry", request["MessageDeduplicationId"], lambda: self._retried(request))
        return self._send("reject", request["MessageDeduplicationId"], lambda: self._rejected(request))

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self._queue.delays |= {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in Entries}

        def effect() -> None:
            for entry in Entries:
                self._queue.change_visibility(entry["ReceiptHandle"], entry["VisibilityTimeout"])
            hidden = ", ".join(f"{entry['ReceiptHandle']} for {entry['VisibilityTimeout']} s" for entry in Entries)
            self._queue.world.tell(f"queue: hidden {hidden}")

        return self._send("delay", Entries[0]["ReceiptHandle"].partition("/")[0], effect)

    def _send(self, call: str, what: str, effect: Callable[[], None]) -> dict[str, Any]:
        try:
            self._environment.invocation.request(call, what, effect, deadline=1_000, latency=(1, 8))
        except RefusedError:
            raise AwsError(call, "ServiceUnavailable", "slow down") from None
        except NoAnswerError:
            raise AwsError(call, "", "no answer") from None
        return {}
