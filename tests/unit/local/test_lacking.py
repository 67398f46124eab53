"""Calls of services that the emulator lacks end in a sentence at its own port, as their callers read it."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import botocore.parsers
import pytest

from local.emulator.lacking import with_sentences

Answer = tuple[int, str, list[bytes]]


def answered(gives: Answer, asked: str = "application/json") -> Answer:
    """What a caller gets of an application that gives this: status, type, parts of its body."""
    status, kind, parts = gives
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"Content-Type", kind.encode()), (b"Content-Length", str(sum(map(len, parts))).encode())]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    async def send(message: Any) -> None:
        sent.append(message)

    receive: Any = None
    asyncio.run(with_sentences(app)({"type": "http", "headers": [(b"content-type", asked.encode())]}, receive, send))
    fields = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    bodies = [each["body"] for each in sent[1:]]
    assert fields["content-length"] == str(len(b"".join(bodies)))
    return sent[0]["status"], fields["content-type"], bodies


@pytest.mark.parametrize(
    ("service", "operation"),
    [("xray", "GetServiceGraph"), ("ce", "GetCostAndUsage"), ("redshift", "DescribeClusters")],
)
def test_a_service_that_is_not_there_is_named_to_its_client(service: str, operation: str) -> None:
    model = boto3.client(service, region_name="us-east-1").meta.service_model
    lacks = b'{"error": "Unsupported service: ' + service.encode() + b'"}'
    asked = "application/x-www-form-urlencoded; charset=utf-8" if service == "redshift" else "application/json"
    status, _, bodies = answered((400, "application/json", [lacks]), asked)
    answer = {"status_code": status, "headers": {"x-amzn-requestid": "r"}, "body": b"".join(bodies)}
    parser = botocore.parsers.create_parser(model.metadata["protocol"])
    error = parser.parse(answer, model.operation_model(operation).output_shape)["Error"]
    assert error["Message"] == f"the local system has no {service} (docs/local.md)"


@pytest.mark.parametrize(
    "gives",
    [
        (200, "application/json", [b'{"error": "Unsupported service: x"}']),
        (400, "application/x-amz-json-1.0", [b'{"__type":"x"}']),
        (400, "text/xml", [b"<a>", b"</a>"]),
        (400, "text/xml", [b""]),
        (404, "application/xml", [b"<Error/>"]),
    ],
)
def test_every_other_answer_stays_as_it_is(gives: Answer) -> None:
    assert answered(gives) == gives
