"""The table behind a sample: DynamoDB's wire protocol over TLS, from memory, in a process of its own.

Over TLS because plain HTTP would hide what a first request costs on AWS; from memory because a slow table would be
measured instead of the function. `python -m benchmarks.coldstart.table CERTIFICATE KEY` prints its port.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from handler.adapters.table.memory import MemoryDynamoDb
from local.loopback import LoopbackHandler, LoopbackServer


class _Handler(LoopbackHandler):
    table = MemoryDynamoDb()

    def do_POST(self) -> None:
        operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
        request = json.loads(self.body())
        call: dict[str, Callable[..., Any]] = {
            "GetItem": self.table.get_item,
            "PutItem": self.table.put_item,
            "UpdateItem": self.table.update_item,
        }
        try:
            self._answer(HTTPStatus.OK, call[operation](**request))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            self._answer(
                HTTPStatus.BAD_REQUEST,
                {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "Item": error.response.get("Item", {})},
            )

    def do_GET(self) -> None:
        """All items by key, for the lab's own check."""
        self._answer(HTTPStatus.OK, self.table.items)

    def _answer(self, status: HTTPStatus, document: Any) -> None:
        body = json.dumps(document).encode()
        self.reply(status, body, {"Content-Type": "application/x-amz-json-1.0"})


def main(certificate: str, key: str) -> None:
    """Serve on 127.0.0.1 until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = LoopbackServer(_Handler)
    # The handshake in the connection's own thread: one slow client must not stop the accept loop.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
