"""The SQS side: masked copies to the rejected queue, the wait before a returned message comes again, and retries.

The client is asked for when it is first needed: most execution environments never reject or return a message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.domain.errors import RejectedQueueUnavailableError, RetryNotSentError
from handler.domain.item import Item
from handler.domain.payment import Message

_LOG = logging.getLogger(__name__)

# ChangeMessageVisibilityBatch takes ten, as many as a FIFO batch has.
_BATCH_MAX = 10
# A masked copy can be larger than its original, which may have had the queue's whole limit (256 KiB by default).
_COPY_BYTES_MAX = 250_000


class SqsRejectedQueue:
    def __init__(self, client: Callable[[], Any], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, message: Message, masked_body: str, reason_code: str) -> None:
        # SQS takes no empty text.
        copy = masked_body.encode(errors="replace") or b"(empty)"
        attributes = {
            "reason_code": {"DataType": "String", "StringValue": reason_code},
            "original_message_id": {"DataType": "String", "StringValue": message.message_id},
        }
        if len(copy) > _COPY_BYTES_MAX:
            attributes["truncated_from_bytes"] = {"DataType": "Number", "StringValue": str(len(copy))}
        try:
            self._client().send_message(
                QueueUrl=self._queue_url,
                MessageBody=copy[:_COPY_BYTES_MAX].decode(errors="ignore"),
                MessageGroupId=message.group or message.message_id,
                MessageDeduplicationId=message.message_id,
                MessageAttributes=attributes,
            )
        except AwsError as error:
            raise RejectedQueueUnavailableError(f"message {message.message_id}: {error}") from error


class SqsSourceQueue:
    def __init__(self, client: Callable[[], Any], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def delay(self, waits: Sequence[tuple[Message, int]]) -> None:
        entries = [
            {"Id": str(index), "ReceiptHandle": message.receipt_handle, "VisibilityTimeout": seconds}
            for index, (message, seconds) in enumerate(waits[:_BATCH_MAX])
            if message.receipt_handle
        ]
        if not entries:
            return
        try:
            self._client().change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
        except AwsError as error:
            # The messages come back at the end of their visibility time-out instead.
            _LOG.warning("could not delay %d returned messages: %s", len(entries), type(error).__name__)


class SqsRetryQueue:
    """`RetryQueue`: the queue of payments, as an operator sends to it."""

    def __init__(self, client: Callable[[], Any], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, item: Item, deduplication_id: str) -> None:
        try:
            self._client().send_message(
                QueueUrl=self._queue_url,
                MessageBody=item.request,
                MessageGroupId=item.message_group_id or item.payment_id,
                # One by content would drop a second retry within five minutes silently.
                MessageDeduplicationId=deduplication_id,
            )
        except AwsError as error:
            raise RetryNotSentError(f"{deduplication_id}: {error}") from error
