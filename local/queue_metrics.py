"""The metrics of queues as SQS puts them into CloudWatch, which the loopback services do not.

The rule: asking takes a twentieth of the time at most, however many messages wait.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from local import threads
from local.loopback import ask

#: SQS does so once a minute.
SAMPLE_SECONDS = 5.0
_SHARE = 20
# What GetQueueAttributes calls it, and what CloudWatch does.
_COUNTS = {
    "ApproximateNumberOfMessages": "ApproximateNumberOfMessagesVisible",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed": "ApproximateNumberOfMessagesDelayed",
}


class QueueMetrics:
    """`put` is called, from a thread, with namespace, name, unit, value and dimension of each metric, until `stop`."""

    def __init__(
        self,
        sqs: Any,
        queue_urls: Sequence[str],
        put: Callable[[str, str, str, float, tuple[str, str]], None],
        problem: Callable[[str], None],
    ) -> None:
        """`problem` is told, from the same thread, what went wrong."""
        self._sqs = sqs
        self._queue_urls = queue_urls
        self._put = put
        self._problem = problem
        self._stopping = threading.Event()
        #: In seconds, of the first queue; None before it was asked.
        self.oldest_seconds: int | None = None
        self._thread = threads.start("queue-metrics", self._sample, problem)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _sample(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            began = time.monotonic()
            for number, url in enumerate(self._queue_urls):
                try:
                    oldest_seconds = self._sample_queue(url)
                    if number == 0:
                        self.oldest_seconds = oldest_seconds
                # The services may be dead; that is reported by who watches them.
                except Exception as error:  # noqa: BLE001
                    if not self._stopping.is_set():
                        self._problem(f"metrics of {url}: {type(error).__name__}: {error}")
            wait = max(SAMPLE_SECONDS, _SHARE * (time.monotonic() - began))

    def _sample_queue(self, url: str) -> int:
        name = url.rsplit("/", 1)[1]
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
        for attribute, metric in _COUNTS.items():
            self._put("AWS/SQS", metric, "Count", float(found[attribute]), ("QueueName", name))
        oldest = _oldest_seconds(url) if any(found[attribute] != "0" for attribute in _COUNTS) else 0
        self._put("AWS/SQS", "ApproximateAgeOfOldestMessage", "Seconds", float(oldest), ("QueueName", name))
        return oldest


def _oldest_seconds(url: str) -> int:
    """By the services' own look into a queue, which receives nothing. Raises OSError, ValueError."""
    status, answer, _ = ask(urlsplit(url).port or 0, "GET", f"/_ministack/sqs/messages?QueueUrl={quote(url, safe='')}")
    if status != 200:
        raise ValueError(f"{status} {answer[:200]!r}")
    accounts = json.loads(answer)["messages"]
    sent = [
        message["SentTimestamp"]
        for regions in accounts.values()
        for queues in regions.values()
        for messages in queues.values()
        for message in messages
    ]
    return max(0, int(time.time()) - min(sent)) if sent else 0
