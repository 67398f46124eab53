"""The HTTP server under the approval page and Lambda's API, and one request to a loopback service.

The rule: it logs nothing, as a link's query is a secret.
"""

import http.client
import json
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.ministack import HOST, ServicesError

BODY_BYTES_MAX = 6 * 1024 * 1024


class Request(BaseHTTPRequestHandler):
    """One request with its body read; it logs nothing, as a link's query is a secret."""

    protocol_version = "HTTP/1.1"
    body = b""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            self.answer(413, b"")
            return
        self.body = self.rfile.read(length)
        try:
            self.server.serve(self)  # type: ignore[attr-defined]
        except (ServicesError, OSError) as error:
            refuse(self, 503, "ServiceException", str(error))

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        given = {"content-type": "application/json", **{name.lower(): value for name, value in (headers or {}).items()}}
        self.send_response(status)
        for name, value in given.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, serve: Any, port: int = 0) -> None:
        super().__init__((HOST, port), Request)
        self.serve = serve

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed leaves a broken connection, which is its own loss; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """One request to a loopback service: status, body, headers. Raises OSError."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=30)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def refuse(request: Request, status: int, kind: str, message: str) -> None:
    request.answer(status, fault(kind, message), {"x-amzn-errortype": kind})


def fault(kind: str, message: str) -> bytes:
    return json.dumps({"Type": kind, "Message": message, "message": message}).encode()
