"""Lambda's event source mapping for an SQS FIFO queue, through the SQS API (AWS: "Using Lambda with Amazon SQS").

The rule: a message leaves the queue only when the function's answer says so. What failed is neither deleted nor made
visible: it returns when its visibility time-out ends.
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from local import threads
from local.execution_environment import Outcome

BATCH_SIZE_MAX = 10
#: AWS: "Lambda quotas", synchronous invocation payload.
EVENT_BYTES_MAX = 6 * 1024 * 1024
POLL_SECONDS = 5
_SWITCHED_SECONDS = 0.5


@dataclass(frozen=True)
class Batch:
    """One finished batch: message ids as received, those that failed, and how the invocation ended.

    From `begun_ms`, when an environment was asked for, until `ended_ms`, when what was done had left the queue; both in
    milliseconds since the epoch.
    """

    message_ids: tuple[str, ...]
    failed: tuple[str, ...]
    outcome: Outcome
    begun_ms: int
    ended_ms: int


def failed_ids(message_ids: list[str], outcome: Outcome) -> list[str]:
    """Which messages of a batch stay on the queue, by Lambda's reading of a partial batch response.

    Everything fails when the function failed, when the answer is not JSON, or when an entry of `batchItemFailures`
    has no `itemIdentifier`, an empty or null one, or one that is not in the batch; nothing fails when the answer or
    the list is null or empty (AWS: "Implementing partial batch responses", success and failure conditions).
    """
    if outcome.error_type is not None:
        return message_ids
    try:
        named = _named(outcome.payload)
    except ValueError:
        return message_ids
    if any(name not in message_ids for name in named):
        return message_ids
    return [each for each in message_ids if each in named]


def _named(payload: bytes) -> list[Any]:
    """What an answer names as failed, None for an entry without a name. Raises ValueError for a malformed answer."""
    answer = json.loads(payload or b"null")
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else answer
    if failures is None:
        return []
    if not isinstance(answer, dict) or not isinstance(failures, list):
        raise ValueError("not an object with a list of failures")
    return [entry.get("itemIdentifier") if isinstance(entry, dict) else None for entry in failures]


def by_groups(messages: list[dict[str, Any]], slots: int) -> list[list[dict[str, Any]]]:
    """Share received messages out to `slots` batches, each group whole and in order; slots <= groups.

    SQS prefers messages of one group in one receive, and Lambda's concurrency is the number of groups; the loopback
    queue mixes as many groups as it can into each receive, which would leave the other environments without work.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        groups.setdefault(_group(message), []).append(message)
    batches: list[list[dict[str, Any]]] = [[] for _ in range(slots)]
    for group in sorted(groups.values(), key=len, reverse=True):
        min(batches, key=len).extend(group)
    return batches


def _group(message: dict[str, Any]) -> str:
    return str(message["Attributes"]["MessageGroupId"])


class EventSourceMapping:
    """Poll a queue and invoke a function with batches, at most `concurrency` at a time.

    Groups stay in order because SQS gives no message of a group while another of it is in flight: concurrency is
    therefore also at most the number of groups.
    """

    def __init__(
        self,
        sqs: Any,
        queue_url: str,
        queue_arn: str,
        invoke: Callable[[bytes], Outcome],
        *,
        concurrency: int,
        batch_size: int = BATCH_SIZE_MAX,
        finished: Callable[[Batch], None] = lambda batch: None,
        failed: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """`finished` is called with each batch after its deletes; `failed` with an error of the mapping itself."""
        self._sqs = sqs
        self._queue_url = queue_url
        self.queue_arn = queue_arn
        self._invoke = invoke
        self.batch_size = batch_size
        self.concurrency = concurrency
        self._finished = finished
        self._failed = failed
        self._stopping = threading.Event()
        self._on = threading.Event()
        self._on.set()
        self._is_idle = False
        self._free = threading.Semaphore(concurrency)
        self._workers = ThreadPoolExecutor(concurrency, thread_name_prefix="mapping")
        self._in_flight: set[str] = set()
        self._poller = threads.start("mapping-poll", self._poll, lambda sentence: failed(RuntimeError(sentence)))

    @property
    def in_flight(self) -> list[str]:
        """Message ids that an invocation works on now."""
        return sorted(self._in_flight)

    @property
    def state(self) -> str:
        """As Lambda says it: Enabled, Disabling while a receive may still begin something, Disabled."""
        return "Enabled" if self._on.is_set() else "Disabled" if self._is_idle else "Disabling"

    def switch(self, *, on: bool) -> None:
        """Take messages or not; what is under way goes on."""
        if on:
            self._is_idle = False
            self._on.set()
        else:
            self._on.clear()

    def stop(self) -> None:
        """Start no more invocations. Those under way go on; messages not deleted return to the queue."""
        self._stopping.set()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            if not self._on.is_set():
                self._is_idle = True
                self._on.wait(_SWITCHED_SECONDS)
                continue
            self._free.acquire()
            messages = self._receive()
            if not messages or self._stopping.is_set():
                self._free.release()
                continue
            slots = 1
            groups = len({_group(message) for message in messages})
            while slots < groups and self._free.acquire(blocking=False):
                slots += 1
            try:
                for batch in by_groups(messages, slots):
                    self._workers.submit(self._run, batch)
            except RuntimeError:
                # Stopped just now: what is not begun returns to the queue.
                if not self._stopping.is_set():
                    raise

    def _receive(self) -> list[dict[str, Any]]:
        try:
            return list(
                self._sqs.receive_message(
                    QueueUrl=self._queue_url,
                    MaxNumberOfMessages=self.batch_size,
                    WaitTimeSeconds=POLL_SECONDS,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                ).get("Messages", [])
            )
        # Whatever goes wrong with the queue must not end the poller without a word.
        except Exception as error:  # noqa: BLE001
            if not self._stopping.is_set():
                self._failed(error)
                self._stopping.wait(1.0)
            return []

    def _run(self, messages: list[dict[str, Any]]) -> None:
        begun_ms = time.time_ns() // 10**6
        ids = [message["MessageId"] for message in messages]
        self._in_flight.update(ids)
        try:
            messages, event = self._event(messages)
            ids = [message["MessageId"] for message in messages]
            outcome = self._invoke(event)
            failed = failed_ids(ids, outcome)
            try:
                self._delete([message for message in messages if message["MessageId"] not in failed])
            finally:
                # Where the queue did not answer, its function ran all the same; what was not deleted comes back.
                self._finished(Batch(tuple(ids), tuple(failed), outcome, begun_ms, time.time_ns() // 10**6))
        except Exception as error:  # noqa: BLE001
            if not self._stopping.is_set():
                self._failed(error)
        finally:
            self._in_flight.difference_update(message["MessageId"] for message in messages)
            self._free.release()

    def _event(self, messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bytes]:
        """The event for as many messages as fit into one invocation; the rest goes back to the queue at once."""
        kept = len(messages)
        while True:
            event = json.dumps({"Records": [self._record(message) for message in messages[:kept]]}).encode()
            if len(event) <= EVENT_BYTES_MAX or kept == 1:
                break
            kept = max(1, kept * EVENT_BYTES_MAX // len(event))
        if messages[kept:]:
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                    for number, message in enumerate(messages[kept:])
                ],
            )
            self._in_flight.difference_update(message["MessageId"] for message in messages[kept:])
        return messages[:kept], event

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        attributes = {
            name: {
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in message.get("MessageAttributes", {}).items()
        }
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": attributes,
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue_arn,
            "awsRegion": self.queue_arn.split(":")[3],
        }

    def _delete(self, messages: list[dict[str, Any]]) -> None:
        if messages:
            self._sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )
