"""The queue of wake-ups: what the webhook sends to it, and how reconcile reads what Lambda received from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.domain.errors import WakeUpNotQueuedError
from handler.domain.wake_up import WakeUp


class SqsWakeUps:
    """`WakeUpQueue`: a FIFO queue whose groups are references."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, wake_up: WakeUp, event_id: str) -> None:
        try:
            self._client.send_message(
                QueueUrl=self._queue_url,
                MessageBody=json.dumps(wake_up._asdict()),
                MessageGroupId=wake_up.gateway_ref,
                # By content, a second event within five minutes would be dropped with what it tells.
                MessageDeduplicationId=event_id,
            )
        except AwsError as error:
            raise WakeUpNotQueuedError(f"{event_id}: {error}") from error


def read_wake_up(record: Mapping[str, Any]) -> WakeUp:
    """The wake-up of one record of Lambda's event. Raises ValueError for a body that is none."""
    try:
        values = json.loads(record["body"])
        wake_up = WakeUp(**values)
    except TypeError as error:
        raise ValueError(f"message {record['messageId']} is no wake-up") from error
    if not wake_up.gateway_ref or not all(isinstance(value, str) for value in wake_up):
        raise ValueError(f"message {record['messageId']} is no wake-up")
    return wake_up
