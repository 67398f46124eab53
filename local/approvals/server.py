"""What the approval page and Lambda's API have in common over HTTP: requests with their content read, and refusals.

The rule: nothing is larger than Lambda takes.
"""

import json
from collections.abc import Callable

from local.loopback import LoopbackHandler, LoopbackServer
from local.ministack import ServicesError

BODY_BYTES_MAX = 6 * 1024 * 1024


def _of_an_event(_path: str) -> int:
    return BODY_BYTES_MAX


class Server(LoopbackServer):
    """Calls `serve` with each request; `bytes_max` says how large one of a path may be."""

    def __init__(
        self, serve: "Callable[[Request], None]", port: int = 0, *, bytes_max: Callable[[str], int] = _of_an_event
    ) -> None:
        super().__init__(Request, port)
        self.serve = serve
        self.bytes_max = bytes_max


class Request(LoopbackHandler):
    """One request; `content` is its body."""

    server: Server
    content = b""

    def do_GET(self) -> None:
        if self.content_length > self.server.bytes_max(self.path):
            self.close_connection = True
            self.reply(413, b"")
            return
        self.content = self.body()
        try:
            self.server.serve(self)
        # Whoever asked is answered, and tries again or says what it heard; a closed connection would say nothing.
        except Exception as error:  # noqa: BLE001
            said = str(error) if isinstance(error, ServicesError | OSError) else f"{type(error).__name__}: {error}"
            refuse(self, 503, "ServiceException", said)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET


def refuse(request: Request, status: int, kind: str, message: str) -> None:
    """Answer as Lambda refuses a call."""
    request.reply(status, fault(kind, message), {"x-amzn-errortype": kind})


def fault(kind: str, message: str) -> bytes:
    return json.dumps({"Type": kind, "Message": message, "message": message}).encode()
