"""What functions printed that ministack ran itself (`aws lambda invoke`, its own event source mapping).

Those lines are only in its CloudWatch Logs: they are copied to a file beside the environments' logs, where the audit
looks for card numbers, and their embedded metrics are forwarded like any other's.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local import threads

POLL_SECONDS = 2.0


class WorkerLogs:
    """Copy one function's log group to `path`, line by line, until stopped."""

    def __init__(
        self, logs: Any, group: str, path: Path, *, line: Callable[[str], None], problem: Callable[[str], None]
    ) -> None:
        """`line` is called with each new line, `problem` with an error, both from this object's thread."""
        self._logs = logs
        self._group = group
        self._path = path
        self._line = line
        self._problem = problem
        # ministack writes one stream an invocation, whole.
        self._seen: set[str] = set()
        self._since_ms = 0
        self._stopping = threading.Event()
        self._thread = threads.start("worker-logs", self._poll, problem)

    def stop(self) -> None:
        """Copy what is there now, then end."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _poll(self) -> None:
        while True:
            last = self._stopping.wait(POLL_SECONDS)
            try:
                self._copy()
            # The services may be dead; that is reported by who watches them, and must not end the copying quietly.
            except Exception as error:  # noqa: BLE001
                if not last:
                    self._problem(f"logs of ministack's own worker: {type(error).__name__}: {error}")
            if last:
                return

    def _copy(self) -> None:
        try:
            pages = list(
                self._logs.get_paginator("filter_log_events").paginate(
                    logGroupName=self._group, startTime=self._since_ms
                )
            )
        except self._logs.exceptions.ResourceNotFoundException:
            # Nothing has run there yet.
            return
        events = [event for page in pages for event in page["events"] if event["logStreamName"] not in self._seen]
        if not events:
            return
        with self._path.open("a") as copy:
            for event in events:
                copy.write(event["message"].rstrip("\n") + "\n")
                self._line(event["message"])
        self._since_ms = max(event["timestamp"] for event in events)
        self._seen = {event["logStreamName"] for page in pages for event in page["events"]}
