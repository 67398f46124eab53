"""Lambda's Runtime API for one execution environment (AWS: "Using the Lambda runtime API").

It moves bytes and measures the process at each `/next` and each answer; it decides nothing about limits or lifetimes.
"""

import ctypes
import json
import queue
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local.loopback import LoopbackHandler, LoopbackServer

_LIBC = ctypes.CDLL(None)
_VERSION = "/2018-06-01/runtime"
_ANSWER = re.compile(rf"{_VERSION}/invocation/([^/]+)/(response|error)")


@dataclass(frozen=True)
class Usage:
    """What a process had used at one moment: CPU time in ms, peak resident memory in bytes; None where unknown."""

    at_ns: int
    cpu_ms: float | None
    memory_peak_bytes: int | None


def usage(pid: int) -> Usage:
    """Measure a running process from outside.

    CPU is the process's own clock: `/proc/<pid>/task/*` forgets threads that have ended. Linux only; elsewhere both
    figures are None.
    """
    now = time.monotonic_ns()
    clock = ctypes.c_int()
    try:
        if _LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
            return Usage(now, None, None)
        cpu_ms = time.clock_gettime_ns(clock.value) / 1e6
        status = Path(f"/proc/{pid}/status").read_text()
    except (AttributeError, OSError):
        return Usage(now, None, None)
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return Usage(now, cpu_ms, int(peak[1]) * 1024 if peak else None)


@dataclass(frozen=True)
class Invocation:
    """One event on its way to the function; times are epoch milliseconds."""

    request_id: str
    event: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str
    client_context: str = ""


@dataclass(frozen=True)
class Answer:
    """What the runtime posted: `kind` is `response`, `error` or `init_error`; `request_id` is empty for the last."""

    kind: str
    request_id: str
    body: bytes
    usage: Usage


class RuntimeApi:
    """The HTTP server of one environment.

    `on_next` is called at each `/next` before the runtime waits, `on_answer` at each response, error or init error,
    after the runtime has its 202; both from the server's threads. `on_snapshot` is called when a function under
    SnapStart is ready for its snapshot, which it then wakes up from at once; without it there is no SnapStart.
    """

    def __init__(
        self,
        on_next: Callable[[Usage], None],
        on_answer: Callable[[Answer], None],
        on_snapshot: Callable[[Usage], None] | None = None,
    ) -> None:
        self._on_next = on_next
        self._on_answer = on_answer
        self._on_snapshot = on_snapshot
        self._invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._pending: str | None = None
        self.pid = 0
        self._server = _Server(_Handler)
        self._server.api = self
        self.address = self._server.address
        self._server.start("runtime-api")

    def submit(self, invocation: Invocation) -> None:
        """Hand the runtime its next event: at once if it waits in `/next`, else when it asks."""
        self._invocations.put(invocation)

    def close(self) -> None:
        """Stop serving. A runtime that waits in `/next` sees its connection end."""
        self._invocations.put(None)
        self._server.stop()

    def next(self) -> Invocation | None:
        self._on_next(usage(self.pid))
        invocation = self._invocations.get()
        if invocation is not None:
            self._pending = invocation.request_id
        return invocation

    def wakes_up(self) -> bool:
        """Whether a process that asks for its restore is to go on, which is measured before."""
        if self._on_snapshot is None:
            return False
        self._on_snapshot(usage(self.pid))
        return True

    def accept(self, kind: str, request_id: str, body: bytes) -> bool:
        """Take an answer; False if no such invocation is pending."""
        if kind != "init_error":
            if request_id != self._pending:
                return False
            self._pending = None
        self._on_answer(Answer(kind, request_id, body, usage(self.pid)))
        return True


class _Server(LoopbackServer):
    api: RuntimeApi


class _Handler(LoopbackHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path == f"{_VERSION}/restore/next" and self.server.api.wakes_up():
            self.reply(HTTPStatus.OK, b"")
            return
        if self.path != f"{_VERSION}/invocation/next":
            self.reply(HTTPStatus.NOT_FOUND, b'{"errorMessage":"not found","errorType":"NotFound"}')
            return
        invocation = self.server.api.next()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        if invocation.client_context:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        self.reply(HTTPStatus.OK, invocation.event, headers)

    def do_POST(self) -> None:
        body = self.body()
        if self.path == f"{_VERSION}/init/error":
            kind, request_id = "init_error", ""
        elif answer := _ANSWER.fullmatch(self.path):
            request_id, kind = answer.groups()
        else:
            self.reply(HTTPStatus.NOT_FOUND, b'{"errorMessage":"not found","errorType":"NotFound"}')
            return
        if self.server.api.accept(kind, request_id, body):
            self.reply(HTTPStatus.ACCEPTED, b'{"status":"OK"}')
        else:
            self.reply(
                HTTPStatus.BAD_REQUEST,
                b'{"errorMessage":"no such invocation is pending","errorType":"InvalidRequestID"}',
            )


def error_document(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def type_of_error(body: bytes) -> str:
    """What an error says that it is; `Unknown` where it says nothing."""
    return str(_document(body).get("errorType", "Unknown"))


def error_text(body: bytes) -> str:
    """An error in one line, for a person."""
    document = _document(body)
    return f"{document.get('errorType', 'Unknown')}: {document.get('errorMessage', '')}".replace("\n", " ")


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
