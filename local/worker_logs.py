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
# Of FilterLogEvents.
_STREAMS_PER_CALL_MAX = 100


class WorkerLogs:
    """Copy one function's log group to `path`, line by line, until stopped."""

    def __init__(
        self,
        logs: Any,
        group: str,
        path: Path,
        *,
        line: Callable[[str], None],
        ours: Callable[[str], bool],
        problem: Callable[[str], None],
    ) -> None:
        """`line` is called with each new line, `problem` with an error, both from this object's thread.

        `ours` tells the streams of our own environments, whose lines came from there.
        """
        self._logs = logs
        self._group = group
        self._path = path
        self._line = line
        self._ours = ours
        self._problem = problem
        # ministack writes one stream an invocation, whole.
        self._seen: set[str] = set()
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
            names = self._new_streams()
        except self._logs.exceptions.ResourceNotFoundException:
            # Nothing has run there yet.
            return
        for start in range(0, len(names), _STREAMS_PER_CALL_MAX):
            pages = self._logs.get_paginator("filter_log_events").paginate(
                logGroupName=self._group, logStreamNames=names[start : start + _STREAMS_PER_CALL_MAX]
            )
            messages = [event["message"].rstrip("\n") for page in pages for event in page["events"]]
            with self._path.open("a") as copy:
                copy.writelines(f"{message}\n" for message in messages)
            for message in messages:
                self._line(message)
        self._seen.update(names)

    def _new_streams(self) -> list[str]:
        """Those of the services' worker that were not copied, the oldest first."""
        found: list[str] = []
        pages = self._logs.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group, orderBy="LastEventTime", descending=True
        )
        for page in pages:
            names = [
                stream["logStreamName"] for stream in page["logStreams"] if not self._ours(stream["logStreamName"])
            ]
            new = [name for name in names if name not in self._seen]
            found += new
            if names and not new:
                # What comes behind is older.
                break
        return found[::-1]
