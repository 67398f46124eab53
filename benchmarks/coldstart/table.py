"""What is behind a sample: the table from memory, the gateway's secret, and Stripe's dialect of the gateway.

Over TLS because plain HTTP would hide what a first request costs on AWS; from memory because a slow table would be
measured instead of the function: how long an answer takes is the lab's choice. In a process of its own,
`python -m benchmarks.coldstart.table CERTIFICATE KEY DATABASE TABLE_MS GATEWAY_MS` prints the port of tables and
secret, and that of the gateway, which writes to DATABASE.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from collections import defaultdict
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


class _Table(LoopbackServer):
    """Tables by name, each answer after `answer_seconds`."""

    def __init__(self, answer_seconds: float) -> None:
        super().__init__(_Handler)
        self.answer_seconds = answer_seconds
        self.tables: dict[str, MemoryDynamoDb] = defaultdict(MemoryDynamoDb)
        # The stand-in is for one thread; the wait is outside.
        self.lock = threading.Lock()


class _Handler(LoopbackHandler):
    server: _Table

    def do_POST(self) -> None:
        operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
        request = json.loads(self.body())
        if operation == "GetSecretValue":
            return self._answer(HTTPStatus.OK, {"SecretString": API_KEY, "VersionId": "1"})
        time.sleep(self.server.answer_seconds)
        table = self.server.tables[request["TableName"]]
        call: dict[str, Callable[..., Any]] = {
            "GetItem": table.get_item,
            "PutItem": table.put_item,
            "UpdateItem": table.update_item,
        }
        try:
            with self.server.lock:
                answer = call[operation](**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            return self._answer(
                HTTPStatus.BAD_REQUEST,
                {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "Item": error.response.get("Item", {})},
            )
        return self._answer(HTTPStatus.OK, answer)

    def do_GET(self) -> None:
        """The items of the keys behind the question mark, for the lab's own check."""
        with self.server.lock:
            items = {
                key: table.items[key]
                for table in self.server.tables.values()
                for key in self.path.partition("?")[2].split(",")
                if key in table.items
            }
        self._answer(HTTPStatus.OK, items)

    def _answer(self, status: HTTPStatus, document: Any) -> None:
        body = json.dumps(document).encode()
        self.reply(status, body, {"Content-Type": "application/x-amz-json-1.0"})


def main(certificate: str, key: str, database: str, table_ms: str, gateway_ms: str) -> None:
    """Serve on 127.0.0.1 until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = _Table(float(table_ms) / 1000)
    payments = Gateway(Path(database), api_keys={API_KEY: "test"})
    gateway = GatewayServer(payments, answer_seconds=float(gateway_ms) / 1000)
    for one in (server, gateway):
        # The handshake in the connection's own thread: one slow client must not stop the accept loop.
        one.socket = context.wrap_socket(one.socket, server_side=True, do_handshake_on_connect=False)
    gateway.start("gateway")
    print(server.server_port, gateway.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
