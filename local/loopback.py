"""The HTTP server under everything here that stands for a service: on 127.0.0.1 only, one thread a connection.

The rule: a request is whole or none, an answer leaves in one piece, and only what is a fault in a server reaches the
terminal, not what befell a client.
"""

from __future__ import annotations

import http.client
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, BytesIO
from typing import Any

from local import threads

HOST = "127.0.0.1"
# http.client's own limits.
_LINE_BYTES_MAX = 65_537
_HEADERS_MAX = 100


class LoopbackServer(ThreadingHTTPServer):
    """`url` is known before it serves; `port` 0 takes any free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__((HOST, port), handler)
        self._serving: threading.Thread | None = None
        self._stopping = False

    @property
    def address(self) -> str:
        """Host and port, with a colon between."""
        return f"{HOST}:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self, name: str) -> None:
        """Serve from now on, in a thread of that name."""
        self._serving = threads.start(name, self._serve)

    def stop(self) -> None:
        """Take no more connections; those that are open end with their clients."""
        self._stopping = True
        if self._serving is not None and self._serving.is_alive():
            # `serve_forever` looks only twice a second whether it should end; a connection is seen at once.
            socket.create_connection((HOST, self.server_port)).close()
            self._serving.join()
        self.server_close()

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that give up or are killed are what these servers are for; anything else is a fault in them.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class LoopbackHandler(BaseHTTPRequestHandler):
    """One connection, kept open. It logs nothing: a service has a log of its own, and a query may be a secret."""

    protocol_version = "HTTP/1.1"
    # Small writes with Nagle's algorithm cost 40 ms a call (seen): whole answers, and TCP_NODELAY.
    disable_nagle_algorithm = True

    def parse_request(self) -> bool:
        """The base's, for a head that is whole: it takes one that was cut for a request without the other headers.

        Raises ConnectionAbortedError, which ends the connection without an answer.
        """
        head = [self.rfile.readline(_LINE_BYTES_MAX)]
        while head[-1] not in (b"\r\n", b"\n"):
            if not head[-1].endswith(b"\n") or len(head) > _HEADERS_MAX:
                raise ConnectionAbortedError(f"a request's head ended after {len(head)} lines")
            head.append(self.rfile.readline(_LINE_BYTES_MAX))
        connection, self.rfile = self.rfile, BufferedReader(BytesIO(b"".join(head)))
        try:
            return super().parse_request()
        finally:
            self.rfile = connection

    def body(self) -> bytes:
        """The request's body; libcurl sends large ones chunked.

        Raises ConnectionAbortedError, which ends the connection without an answer, where it is not whole.
        """
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self._exactly(self.content_length)
        chunks = []
        while size := _number(self.rfile.readline().split(b";")[0].strip().decode("latin-1"), 16):
            chunks.append(self._exactly(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    @property
    def content_length(self) -> int:
        """What the request says of its body, in bytes. Raises ConnectionAbortedError where that is no number."""
        return _number(self.headers.get("Content-Length") or "0", 10)

    def _exactly(self, size: int) -> bytes:
        found = self.rfile.read(size)
        if len(found) < size:
            raise ConnectionAbortedError(f"a body of {size} bytes was cut after {len(found)}")
        return found

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answer with head and body in one write; JSON where `headers` do not say otherwise."""
        self.wfile.write(self.head(status, len(body), headers) + (b"" if self.command == "HEAD" else body))

    def head(self, status: int, length: int, headers: Mapping[str, str] | None = None) -> bytes:
        """What comes before a body of `length` bytes."""
        given = dict(headers or {})
        if "content-type" not in map(str.lower, given):
            given["Content-Type"] = "application/json"
        given["Content-Length"] = str(length)
        lines = [f"HTTP/1.1 {int(status)} {http.client.responses.get(status, '')}"]
        lines += [f"{name}: {value}" for name, value in given.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def log_message(self, format: str, *arguments: object) -> None:
        return


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise ConnectionAbortedError(f"{text!r} is not the length of a body")
    return number


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """One request to a loopback service: status, body, headers. Raises OSError, also where the answer is cut."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=30)) as connection:
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        except http.client.HTTPException as cut:
            raise ConnectionAbortedError(f"port {port} ended its answer: {cut!r}") from cut
