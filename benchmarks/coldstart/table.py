"""What is behind a sample: the table from memory, the gateway's secret, and Stripe's dialect of the gateway.

Over TLS because plain HTTP would hide what a first request costs on AWS; from memory because a slow table would be
measured instead of the function. `python -m benchmarks.coldstart.table CERTIFICATE KEY DATABASE`, in a process of its
own, prints the port of table and secret, and that of the gateway, which writes to DATABASE.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from handler.adapters.table.memory import MemoryDynamoDb
from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer
from local.loopback import LoopbackHandler, LoopbackServer

API_KEY = "sk_test_simulator"


class _Handler(LoopbackHandler):
    table = MemoryDynamoDb()

    def do_POST(self) -> None:
        operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
        request = json.loads(self.body())
        call: dict[str, Callable[..., Any]] = {
            "GetItem": self.table.get_item,
            "PutItem": self.table.put_item,
            "UpdateItem": self.table.update_item,
            "GetSecretValue": lambda **_: {"SecretString": API_KEY, "VersionId": "1"},
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


def main(certificate: str, key: str, database: str) -> None:
    """Serve on 127.0.0.1 until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = LoopbackServer(_Handler)
    gateway = GatewayServer(Gateway(Path(database), api_keys={API_KEY: "test"}))
    for one in (server, gateway):
        # The handshake in the connection's own thread: one slow client must not stop the accept loop.
        one.socket = context.wrap_socket(one.socket, server_side=True, do_handshake_on_connect=False)
    gateway.start("gateway")
    print(server.server_port, gateway.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
