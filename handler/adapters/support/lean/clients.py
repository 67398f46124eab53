"""AWS's services by their own JSON over HTTP: clients that are called as botocore's, with one deadline a call.

The rule it keeps: what goes out has botocore's body and signature to the byte, and what comes back is a whole answer of
the service or an AwsError.
"""

from __future__ import annotations

import json
import os
import time
from binascii import Error as NotBase64Error
from binascii import a2b_base64, crc32
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from handler.adapters.connection import (
    Answer,
    BadAnswerError,
    NoAnswerError,
    NotReachedError,
    Peer,
    Url,
    host_header,
    quoted,
    request_bytes,
)
from handler.adapters.support.endpoints import endpoint, read_roots, require_no_proxy
from handler.adapters.support.errors import AwsError
from handler.adapters.support.lean.credentials import find_credentials
from handler.adapters.support.lean.retries import Retries, is_throttled, may_go_again
from handler.adapters.support.lean.signing import Keys, Signer
from handler.domain.typed import NamedTuple

if TYPE_CHECKING:
    import ssl

# One slow answer must not eat the invocation; a lost one is decided from the stored item.
_TRIES: Final = 3
_CONNECT_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 1.0
_DEADLINE_SECONDS: Final = 5.0
# DynamoDB answers a query with 1 MB at most, which JSON may write as more.
_ANSWER_BYTES_MAX: Final = 1 << 24
_SKEWED: Final = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
# A signature is good for five minutes on either side; a wrong key is refused with the same code and the right time.
_SKEW_SECONDS: Final = 60.0
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"


class _Service(NamedTuple):
    """A service of AWS JSON, and what is called of it."""

    operations: tuple[str, ...]
    target: str = ""
    version: str = ""
    # Error codes by their old names, as clients of its query protocol know them ("Amazon SQS ... AWS JSON protocol").
    has_query_mode: bool = False
    # Members of its answers that are bytes.
    blobs: tuple[str, ...] = ()


SERVICES: Final = {
    "dynamodb": _Service(
        ("GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem"), "DynamoDB_20120810", "1.0"
    ),
    "lambda": _Service(("Invoke",)),
    "secretsmanager": _Service(("GetSecretValue",), "secretsmanager", "1.1", blobs=("SecretBinary",)),
    "sqs": _Service(("ChangeMessageVisibilityBatch", "SendMessage"), "AmazonSQS", "1.0", has_query_mode=True),
}


def create_clients(region: str, ca_file: str | None) -> Callable[[str], Any]:
    """What makes and keeps one client a service, by the service's name at AWS, as the reference's function does."""
    environment = os.environ
    urls = {service: endpoint(environment, service, region) for service in SERVICES}
    require_no_proxy(environment, urls.values())
    # Now, and not at the first call of a service that needs them: a file that is none must fail init.
    needs_roots = any(url.scheme == "https" for url in urls.values())
    roots = read_roots(environment, ca_file) if needs_roots else None
    caller = _Caller(find_credentials(environment))
    lock = Lock()
    clients: dict[str, Client] = {}

    def client(service: str) -> Client:
        with lock:
            if service not in clients:
                url = urls[service]
                clients[service] = Client(service, region, url, roots if url.scheme == "https" else None, caller)
            return clients[service]

    return client


class _Caller:
    """Who signs, and the time as AWS has it, once AWS has said that ours is another: seconds since 1970."""

    def __init__(self, keys: Callable[[], Keys]) -> None:
        self.keys = keys
        self.skew_seconds = 0.0

    def now(self) -> float:
        return time.time() + self.skew_seconds

    def learns(self, answer: Answer, signed_at: float) -> bool:
        """Whether the answer's date is far from `signed_at`; from now on, the signature's is nearer.

        Not from `now()`: of requests that were under way at once, another one may have learned the time already.
        """
        sent_at = _seconds(answer.headers.get("date", ""))
        if sent_at is None or abs(sent_at - signed_at) < _SKEW_SECONDS:
            return False
        self.skew_seconds = sent_at - time.time()
        return True


class Client:
    """One service, with a method an operation, such as `get_item`, which takes its parameters by name.

    A method returns the answer's JSON object and raises AwsError; its tries and their pauses end by one deadline.
    """

    def __init__(self, service: str, region: str, url: Url, tls: ssl.SSLContext | None, caller: _Caller) -> None:
        self._service = SERVICES[service]
        self._peer = Peer(
            url,
            tls,
            body_bytes_max=_ANSWER_BYTES_MAX,
            connect_seconds=_CONNECT_SECONDS,
            answer_seconds=_ANSWER_SECONDS,
        )
        self._host = host_header(url)
        self._caller = caller
        self._signer = Signer(service, region)
        self._retries = Retries(service)
        if service == "lambda":
            self.invoke = self._invoke
        else:
            for operation in self._service.operations:
                setattr(self, _snake(operation), partial(self._call, operation))

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        service = self._service
        headers = {
            "x-amz-target": f"{service.target}.{operation}",
            "content-type": f"application/x-amz-json-{service.version}",
        }
        if service.has_query_mode:
            headers["x-amzn-query-mode"] = "true"
        document = self._send(operation, "/", headers, json.dumps(parameters).encode())
        try:
            return document | {name: a2b_base64(document[name]) for name in service.blobs if name in document}
        except (TypeError, ValueError, NotBase64Error) as error:
            raise AwsError(operation, "", "the answer's bytes are not base64") from error

    def _invoke(
        self, *, FunctionName: str, InvocationType: str, DurableExecutionName: str, Payload: bytes
    ) -> dict[str, Any]:
        """An asynchronous invocation, whose answer is empty. Source: "Invoke", Lambda API Reference."""
        path = f"/2015-03-31/functions/{quoted(FunctionName)}/invocations"
        headers = {"x-amz-invocation-type": InvocationType, "x-amz-durable-execution-name": DurableExecutionName}
        return self._send("Invoke", path, headers, Payload)

    def _send(self, operation: str, path: str, headers: Mapping[str, str], payload: bytes) -> dict[str, Any]:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        tries = cost = 0
        while True:
            tries += 1
            answer, throttled = None, False
            try:
                signed_at = self._caller.now()
                answer = self._peer.exchange(self._signed(path, headers, payload, signed_at), deadline)
                document = _document(answer)
                if 200 <= answer.status_code < 300:
                    self._retries.give_back(cost)
                    return document
                code = _code(answer, document)
                failure = AwsError(operation, code, _text(document), document)
                throttled = is_throttled(code, answer.status_code)
                if code in _SKEWED and self._caller.learns(answer, signed_at):
                    answer = None
                elif not may_go_again(code, answer.status_code):
                    raise failure
            except (NotReachedError, NoAnswerError, BadAnswerError) as error:
                failure = AwsError(operation, "", str(error))
                failure.__cause__ = error
            asked_ms = answer.headers.get("x-amz-retry-after", "") if answer else ""
            pause = self._retries.pause(tries, throttled=throttled, asked_ms=asked_ms)
            if tries >= _TRIES or time.monotonic() + pause >= deadline:
                raise failure
            cost = self._retries.take(throttled=throttled)
            if not cost:
                raise failure
            time.sleep(pause)

    def _signed(self, path: str, headers: Mapping[str, str], payload: bytes, signed_at: float) -> bytes:
        keys = self._caller.keys()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(signed_at))
        signed = {**headers, "host": self._host, "x-amz-date": stamp}
        if keys.token:
            signed["x-amz-security-token"] = keys.token
        sent = {name.title(): value for name, value in signed.items()}
        sent["Authorization"] = self._signer.authorization("POST", path, signed, payload, keys=keys, stamp=stamp)
        sent |= {"Accept-Encoding": "identity", "User-Agent": "payment-processor"}
        trace_id = os.environ.get("_X_AMZN_TRACE_ID", "")
        if trace_id and os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
            # By it Lambda finds a function that ends in calling itself ("Use Lambda recursive loop detection").
            sent["X-Amzn-Trace-Id"] = quoted(trace_id, "=;:+&[]{}\"',")
        return request_bytes("POST", path, sent, payload)


def _snake(operation: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]


def _document(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer, empty where there is none; an error may be somebody else's page.

    Raises BadAnswerError where its checksum differs, or where a success is no object.
    """
    said = answer.headers.get("x-amz-crc32")
    if said is not None and said != str(crc32(answer.body)):
        raise BadAnswerError("the answer's checksum differs", answer.status_code)
    if not answer.body:
        return {}
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    if answer.status_code < 300:
        raise BadAnswerError("the answer is no JSON object", answer.status_code)
    return {}


def _code(answer: Answer, document: Mapping[str, Any]) -> str:
    """The error's name in any of the places that AWS's JSON protocols have for it, else the status."""
    old_name, *whose = answer.headers.get("x-amzn-query-error", "").split(";")
    if old_name and len(whose) == 1:
        return old_name
    for said in (answer.headers.get("x-amzn-errortype"), document.get("__type"), document.get("code")):
        if isinstance(said, str) and (code := said.partition(":")[0].rpartition("#")[2]):
            return code
    return str(answer.status_code)


def _text(document: Mapping[str, Any]) -> str:
    said = document.get("message", document.get("Message", ""))
    return said if isinstance(said, str) else ""


def _seconds(date: str) -> float | None:
    """A date as in `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970, or None."""
    from datetime import UTC, datetime

    try:
        _, day, month, year, clock, _ = date.split(" ")
        number = _MONTHS.index(month) // 3 + 1
        hour, minute, second = map(int, clock.split(":"))
        return datetime(int(year), number, int(day), hour, minute, second, tzinfo=UTC).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
