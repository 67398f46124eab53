"""Calls that the services here lack, or take although AWS refuses them: each is answered with a sentence.

The rule: a refusal has the shape that the caller's protocol gives an error.
"""

from __future__ import annotations

import json
import re
from email.message import Message
from typing import NamedTuple
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

#: What `make up` prints beside AWS_ENDPOINT_URL, by the services whose calls come by here.
ENDPOINTS = (
    "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING",
    "AWS_ENDPOINT_URL_CLOUDWATCH",
    "AWS_ENDPOINT_URL_SCHEDULER",
    "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
)
# By the first part of X-Amz-Target.
_LACKING = {
    "AnyScaleFrontendService": "Application Auto Scaling, and needs none: the table is on demand",
    "ServiceQuotasV20190624": "Service Quotas: `--concurrency` is its only quota",
}
# `Statistics` beside `ExtendedStatistics`, in JSON, in a form and in CBOR; not in the operation's own name.
_STATISTICS = re.compile(rb"(?<!Extended)(?<!Metric)Statistics\b")
# Source: AWS Lambda, "Working with Lambda environment variables", reserved environment variables.
_RESERVED = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
}
_CONFIGURATION = re.compile(r"/2015-03-31/functions(?:/[^/]+/configuration)?")
_CBOR_PATH = re.compile(r"/service/\w+/operation/(\w+)")


class Refusal(NamedTuple):
    """An answer with status 400."""

    body: bytes
    headers: dict[str, str]


def refusal(path: str, headers: Message, body: bytes) -> Refusal | None:
    """None for a call that the services may answer."""
    service, _, operation = (headers.get("X-Amz-Target") or "").partition(".")
    cbor = _CBOR_PATH.fullmatch(path)
    form = "application/x-www-form-urlencoded" in (headers.get("Content-Type") or "")
    if service in _LACKING:
        sentence = f"{operation}: the local system has no {_LACKING[service]} (docs/local.md)"
        return _json("ValidationException", sentence)
    if _CONFIGURATION.fullmatch(path) and (reserved := _reserved_variables(body)):
        sentence = (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
            f"this request: {', '.join(reserved)}"
        )
        return _json("InvalidParameterValueException", sentence)
    if cbor:
        operation = cbor[1]
    elif form:
        operation = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    if operation == "GetMetricStatistics" and b"ExtendedStatistics" in body and _STATISTICS.search(body):
        sentence = "Specify either Statistics or ExtendedStatistics, but not both."
        kind = "InvalidParameterCombination"
        return _cbor(kind, sentence) if cbor else _xml(kind, sentence) if form else _json(kind, sentence)
    return None


def _reserved_variables(body: bytes) -> list[str]:
    try:
        variables = json.loads(body)["Environment"]["Variables"]
        return sorted(_RESERVED & variables.keys())
    except (ValueError, LookupError, TypeError, AttributeError):
        # What names no variables is the services' to judge.
        return []


def _json(kind: str, sentence: str) -> Refusal:
    body = json.dumps({"__type": kind, "message": sentence}).encode()
    return Refusal(body, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": kind})


def _xml(kind: str, sentence: str) -> Refusal:
    error = f"<Error><Type>Sender</Type><Code>{kind}</Code><Message>{escape(sentence)}</Message></Error>"
    body = f'<ErrorResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/">{error}</ErrorResponse>'
    return Refusal(body.encode(), {"Content-Type": "text/xml"})


def _cbor(kind: str, sentence: str) -> Refusal:
    # A map of two pairs of texts (RFC 8949, section 3.1).
    body = b"\xa2" + b"".join(map(_cbor_text, ("__type", kind, "message", sentence)))
    return Refusal(body, {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"})


def _cbor_text(text: str) -> bytes:
    """A text of less than 256 bytes."""
    raw = text.encode()
    return bytes([0x60 + len(raw)]) + raw if len(raw) < 24 else bytes([0x78, len(raw)]) + raw
