"""Clients of AWS for tests: stubs of both supports with planned answers, and servers that answer as a service does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from botocore.session import get_session
from botocore.stub import ANY, Stubber

from handler.adapters.connection import Answer, Url
from handler.adapters.support.lean.clients import Client, _Caller
from handler.adapters.support.lean.signing import Keys
from handler.adapters.support.standard import BotocoreClient

SUPPORTS = ("lean", "standard")
KEYS = Keys("AKIDEXAMPLE", "test", "")


@contextmanager
def stubbed(support: str, service: str) -> Iterator[tuple[Any, Stubber | LeanStub]]:
    """A client and the stub that answers for it; every planned answer must have been used."""
    if support == "lean":
        lean = LeanStub(service)
        yield lean.client, lean
        lean.assert_no_pending_responses()
        return
    client = get_session().create_client(
        service, region_name="us-east-1", aws_access_key_id=KEYS.key_id, aws_secret_access_key=KEYS.secret
    )
    with Stubber(client) as stubber:
        yield BotocoreClient(client), stubber
    stubber.assert_no_pending_responses()


class LeanStub:
    """Answers in place of a lean client's connections; what is planned is planned as with botocore's Stubber."""

    def __init__(self, service: str) -> None:
        self.client = Client(service, "us-east-1", Url("http", "127.0.0.1", 9), None, _Caller(lambda: KEYS))
        self.client._peer.exchange = self._exchange  # type: ignore[method-assign]
        # A planned answer is the last of a call, as it is with botocore's stub.
        self.client._retries._left = 0
        self.sent: list[dict[str, Any]] = []
        self._planned: list[tuple[Answer, Mapping[str, Any] | None]] = []

    def add_response(
        self, _method: str, document: Mapping[str, Any], expected: Mapping[str, Any] | None = None
    ) -> None:
        self._planned.append((Answer(200, {}, json.dumps(document).encode()), expected))

    def add_client_error(
        self,
        _method: str,
        service_error_code: str = "",
        service_message: str = "",
        http_status_code: int = 400,
        modeled_fields: Mapping[str, Any] | None = None,
    ) -> None:
        document = {"__type": service_error_code, "message": service_message, **(modeled_fields or {})}
        self._planned.append((Answer(http_status_code, {}, json.dumps(document).encode()), None))

    def assert_no_pending_responses(self) -> None:
        assert not self._planned

    def _exchange(self, request: bytes, deadline: float) -> Answer:
        self.sent.append(parameters_of(request))
        answer, expected = self._planned.pop(0)
        for name, value in (expected or {}).items():
            assert value == ANY or self.sent[-1][name] == value
        assert expected is None or expected.keys() == self.sent[-1].keys()
        return answer


def parameters_of(request: bytes) -> dict[str, Any]:
    """The parameters that a request of a lean client was made from."""
    head, _, payload = request.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    path = line.split(" ")[1]
    if path == "/":
        return dict(json.loads(payload))
    headers = dict(each.split(": ", 1) for each in lines)
    return {
        "FunctionName": unquote(path.split("/")[3]),
        "InvocationType": headers["X-Amz-Invocation-Type"],
        "DurableExecutionName": headers["X-Amz-Durable-Execution-Name"],
        "Payload": payload,
    }


def make_table(client: Any) -> str:
    """A table of payments of its own at a client of DynamoDB; its name."""
    name = f"transactions-{uuid.uuid4()}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "transaction_id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "transaction_id", "AttributeType": "S"},
            {"AttributeName": "open_shard", "AttributeType": "S"},
            {"AttributeName": "created_at", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open-shard-index",
                "KeySchema": [
                    {"AttributeName": "open_shard", "KeyType": "HASH"},
                    {"AttributeName": "created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    return name
