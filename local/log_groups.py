"""Log groups and streams in CloudWatch as Lambda keeps them, from what the execution environments write to their files.

The rule: an invocation waits for none of it. A thread reads the files again and again, and sends what is new at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import threads

POLL_SECONDS = 1.0
# PutLogEvents takes 10,000 events and 1 MiB, each event counted with 26 bytes more.
_EVENTS_MAX = 5_000
_BYTES_MAX = 1_000_000
_EVENT_BYTES = 26
_EVENT_BYTES_MAX = 250_000


@dataclass
class _Stream:
    group: str
    name: str
    path: Path
    offset: int = 0
    rest: bytes = b""
    made: bool = False


def group_of(function: str) -> str:
    return f"/aws/lambda/{function}"


class LogGroups:
    """`follow` an environment's file from its first line on, until `stop`."""

    def __init__(self, logs: Any, *, line: Callable[[str], None], problem: Callable[[str], None]) -> None:
        """`line` is called with each whole line, `problem` with an error, both from this object's thread."""
        self._logs = logs
        self._line = line
        self._problem = problem
        self._streams: list[_Stream] = []
        self._groups: set[str] = set()
        self._names: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threads.start("log-groups", self._send, problem)

    def follow(self, function: str, stream: str, path: Path) -> None:
        """Begin a function's stream with what is written to `path`, from any thread."""
        self._names.add(stream)
        self._streams.append(_Stream(group_of(function), stream, path))

    def has(self, stream: str) -> bool:
        """Whether a stream is one of ours; the others are of whoever else runs functions."""
        return stream in self._names

    def stop(self) -> None:
        """Send what is there now, then end."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _send(self) -> None:
        while True:
            last = self._stopping.wait(POLL_SECONDS)
            for stream in list(self._streams):
                try:
                    self._send_new(stream, last)
                # The services may be dead; that is reported by who watches them, and must not end the sending quietly.
                except Exception as error:  # noqa: BLE001
                    if not last:
                        self._problem(f"log stream of {stream.path.name}: {type(error).__name__}: {error}")
            if last:
                return

    def _send_new(self, stream: _Stream, last: bool) -> None:
        try:
            if stream.path.stat().st_size == stream.offset:
                return
        except FileNotFoundError:
            # Nothing has been written yet.
            return
        with stream.path.open("rb") as file:
            file.seek(stream.offset)
            read = file.read()
        stream.offset += len(read)
        *lines, stream.rest = (stream.rest + read).split(b"\n")
        if last and stream.rest:
            lines.append(stream.rest)
        now_ms = time.time_ns() // 1_000_000
        events: list[dict[str, Any]] = []
        size = 0
        for raw in lines:
            text = raw.decode(errors="replace")
            self._line(text)
            if not text:
                # An event has at least one character.
                continue
            message = raw[:_EVENT_BYTES_MAX].decode(errors="replace")
            size += len(message.encode()) + _EVENT_BYTES
            if events and (size > _BYTES_MAX or len(events) == _EVENTS_MAX):
                self._put(stream, events)
                events, size = [], len(message.encode()) + _EVENT_BYTES
            events.append({"timestamp": now_ms, "message": message})
        if events:
            self._put(stream, events)

    def _put(self, stream: _Stream, events: list[dict[str, Any]]) -> None:
        for forgotten in (False, True):
            try:
                if not stream.made:
                    self._make(stream)
                self._logs.put_log_events(logGroupName=stream.group, logStreamName=stream.name, logEvents=events)
                return
            except self._logs.exceptions.ResourceNotFoundException:
                if forgotten:
                    raise
                # The services were started again, and know neither any more.
                self._groups.discard(stream.group)
                stream.made = False

    def _make(self, stream: _Stream) -> None:
        if stream.group not in self._groups:
            # Terraform, or the services' own worker, may have made it.
            with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
                self._logs.create_log_group(logGroupName=stream.group)
            self._groups.add(stream.group)
        with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_stream(logGroupName=stream.group, logStreamName=stream.name)
        stream.made = True
