"""The lean clients: what they make of an answer, when they ask again and when no more, and whose time they sign."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

import botocore.parsers
import pytest
from botocore.session import get_session
from hypothesis import given, strategies

from handler.adapters.connection import (
    Answer,
    BadAnswerError,
    NoAnswerError,
    NotReachedError,
    Url,
    read_answer,
)
from handler.adapters.support.errors import AwsError
from handler.adapters.support.lean import clients, retries
from handler.adapters.support.lean.clients import SERVICES, Client, _Caller, _snake
from tests.support.aws import KEYS

NOWHERE = Url("http", "127.0.0.1", 9)
GET = {"TableName": "t", "Key": {"transaction_id": {"S": "a"}}}
THROTTLED = "ProvisionedThroughputExceededException"


class Clock:
    """Time that passes while the client sleeps, and as much of it with each answer as is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_800_000_000.0
        self.answer_seconds = 0.0
        self.pauses: list[float] = []
        self.share = 1.0
        for name in ("time", "monotonic"):
            monkeypatch.setattr(time, name, lambda: self.seconds)
        monkeypatch.setattr(time, "sleep", self._sleep)
        monkeypatch.setattr(os, "urandom", lambda count: b"\xff" * count)

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


def failed(code: str, status_code: int = 400, **headers: str) -> Answer:
    document = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "because"}
    return Answer(status_code, named(headers), json.dumps(document).encode())


def succeeded(document: Any, **headers: str) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(200, named(headers), body)


def named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in headers.items()}


class Given:
    """A client of a service that is given these answers, one a request; the last one again and again."""

    def __init__(
        self, service: str, *answers: Answer | Exception, clock: Clock | None = None, caller: Any = None
    ) -> None:
        self.client: Any = Client(service, "us-east-1", NOWHERE, None, caller or _Caller(lambda: KEYS))
        self.client._peer.exchange = self._exchange
        self.requests: list[bytes] = []
        self.deadlines: list[float] = []
        self.meanwhile: list[Callable[[], object]] = []
        self._answers = list(answers)
        self._clock = clock

    def _exchange(self, request: bytes, deadline: float) -> Answer:
        self.requests.append(request)
        self.deadlines.append(deadline)
        while self.meanwhile:
            self.meanwhile.pop()()
        if self._clock is not None:
            self._clock.seconds += self._clock.answer_seconds
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fails(self, call: str = "get_item", **parameters: Any) -> AwsError:
        with pytest.raises(AwsError) as caught:
            getattr(self.client, call)(**(parameters or GET))
        return caught.value


# ---- answers --------------------------------------------------------------------------------------------------------


def test_an_answer_is_its_json_object():
    item = {"Item": {"a": {"S": "b"}}}
    assert Given("dynamodb", succeeded(item)).client.get_item(**GET) == item
    assert Given("sqs", succeeded(b"")).client.send_message(MessageBody="a") == {}


def test_a_secret_of_bytes_is_bytes():
    given_ = Given("secretsmanager", succeeded({"SecretBinary": "AP8=", "VersionId": "v"}))
    assert given_.client.get_secret_value(SecretId="s") == {"SecretBinary": b"\x00\xff", "VersionId": "v"}
    for wrong in ("AP8", 7):
        given_ = Given("secretsmanager", succeeded({"SecretBinary": wrong}))
        assert given_.fails("get_secret_value", SecretId="s").code == ""


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff", b"[" * 100_000, b"null", b"1" * 5000])
def test_a_success_that_is_no_json_object_is_no_answer(clock, body):
    given_ = Given("dynamodb", succeeded(body))
    assert given_.fails().code == ""
    assert len(given_.requests) == 3


def test_an_answer_whose_checksum_differs_is_asked_for_again(clock):
    body = json.dumps({"Item": {}}).encode()
    right = succeeded(body, x_amz_crc32=str(crc32(body)))
    given_ = Given("dynamodb", succeeded(body, x_amz_crc32="17"), right)
    assert given_.client.get_item(**GET) == {"Item": {}}
    assert len(given_.requests) == 2
    assert "checksum" in str(Given("dynamodb", failed("ValidationException", x_amz_crc32="17")).fails())


def test_a_refused_write_has_the_item_that_stands_in_its_way():
    document = {"__type": "x#ConditionalCheckFailedException", "Item": {"a": {"S": "b"}}, "message": "no"}
    error = Given("dynamodb", Answer(400, {}, json.dumps(document).encode())).fails("put_item", TableName="t", Item={})
    assert (error.code, error.document["Item"]) == ("ConditionalCheckFailedException", {"a": {"S": "b"}})


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (failed("ValidationException"), "ValidationException"),
        (Answer(400, {}, b'{"__type": "com.amazon.coral.service#Refused:http://internal/"}'), "Refused"),
        (Answer(403, {}, b"<html>no</html>"), "403"),
        (Answer(302, {}, b""), "302"),
        (Answer(400, {}, b'{"__type": 7, "message": ["text"]}'), "400"),
        (
            failed("QueueDoesNotExist", x_amzn_query_error="AWS.SimpleQueueService.NonExistentQueue;Sender"),
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        (
            Answer(400, {"x-amzn-errortype": "InvalidRequestContentException:http://x/"}, b"{}"),
            "InvalidRequestContentException",
        ),
    ],
)
def test_an_error_has_the_services_own_word(answer, code):
    given_ = Given("dynamodb", answer)
    assert given_.fails().code == code
    assert len(given_.requests) == 1


CODES = strategies.text(strategies.sampled_from("ABxyz#:.;/"), max_size=12)
ERROR_DOCUMENTS = strategies.fixed_dictionaries(
    {}, optional={"__type": CODES, "message": strategies.text(max_size=9), "Message": strategies.text(max_size=9)}
)


@given(ERROR_DOCUMENTS, strategies.one_of(strategies.none(), CODES), strategies.integers(400, 499))
def test_an_error_is_read_as_botocore_reads_it(document, query_error, status_code):
    headers = {} if query_error is None else {"x-amzn-query-error": query_error}
    body = json.dumps(document).encode()
    response = {"status_code": status_code, "headers": headers, "body": body}
    judged = botocore.parsers.JSONParser().parse(response, None)["Error"]
    answer = Answer(status_code, headers, body)
    code = clients._code(answer, document)
    # Where botocore has an empty word, ours is the status: a word that is empty means that no answer came.
    assert code == (judged["Code"] or str(status_code))
    assert clients._text(document) == judged["Message"]


HEADS = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.1 400 \r\n\r\n"]


@given(strategies.binary(max_size=300), strategies.sampled_from(HEADS))
def test_whatever_bytes_come_a_call_ends_in_an_answer_or_an_aws_error(data, head):
    given_ = Given("dynamodb", succeeded({}))
    given_.client._retries._left = 0

    def exchange(request: bytes, deadline: float) -> Answer:
        parts = iter([head, data])
        return read_answer(lambda: next(parts, b""), 1000)[0]

    given_.client._peer.exchange = exchange
    try:
        assert isinstance(given_.client.get_item(**GET), dict)
    except AwsError:
        return


# ---- tries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        *(NotReachedError("no"), NoAnswerError("no"), BadAnswerError("no")),
        *(failed("InternalServerError", 500), Answer(502, {}, b"<html>"), Answer(503, {}, b""), failed("X", 504)),
        *(failed("RequestTimeout"), failed(THROTTLED), failed("X", 429), failed("TransactionInProgressException")),
    ],
    ids=str,
)
def test_what_may_be_another_answer_is_asked_again_and_at_most_three_times(clock, fault):
    given_ = Given("dynamodb", fault, fault, succeeded({"Item": {}}))
    assert given_.client.get_item(**GET) == {"Item": {}}
    given_ = Given("dynamodb", fault)
    given_.fails()
    assert len(given_.requests) == 3


@pytest.mark.parametrize("status_code", [400, 403, 404, 413, 501])
def test_what_stays_wrong_is_asked_once(clock, status_code):
    given_ = Given("dynamodb", failed("ValidationException", status_code))
    assert given_.fails().code == "ValidationException"
    assert len(given_.requests) == 1


def test_all_that_the_services_say_may_be_asked_again_is():
    for service, known in SERVICES.items():
        model = get_session().get_service_model(service)
        for operation in known.operations:
            for shape in model.operation_model(operation).error_shapes:
                marked = shape.metadata.get("retryable")
                if marked is not None:
                    code = shape.metadata.get("error", {}).get("code") or shape.name
                    status_code = shape.metadata.get("error", {}).get("httpStatusCode", 400)
                    assert retries.may_go_again(code, status_code), code
                    assert retries.is_throttled(code, status_code) or not marked.get("throttling"), code


def test_throttles_and_transient_errors_are_those_of_the_reference():
    from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

    assert set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) <= retries.THROTTLED
    assert all(retries.may_go_again(code, 400) for code in TransientRetryableChecker._TRANSIENT_ERROR_CODES)
    assert all(retries.may_go_again("X", status) for status in TransientRetryableChecker._TRANSIENT_STATUS_CODES)


@pytest.mark.parametrize(
    ("service", "call", "fault", "pauses"),
    [
        ("dynamodb", "get_item", failed("X", 500), [0.025, 0.05]),
        ("sqs", "send_message", failed("X", 500), [0.05, 0.1]),
        ("sqs", "send_message", NoAnswerError("no"), [0.05, 0.1]),
        ("dynamodb", "get_item", failed(THROTTLED), [1.0, 2.0]),
    ],
    ids=str,
)
def test_a_pause_doubles_and_is_longer_after_a_throttle(clock, service, call, fault, pauses):
    Given(service, fault).fails(call)
    assert clock.pauses == pytest.approx(pauses)


def test_a_pause_has_full_jitter(clock, monkeypatch):
    monkeypatch.setattr(os, "urandom", lambda count: b"\x40" + bytes(count - 1))
    Given("sqs", failed("X", 500)).fails("send_message")
    assert clock.pauses == pytest.approx([0.0125, 0.025])


def test_a_service_is_given_the_pause_that_it_asks_for(clock):
    Given("sqs", failed("X", 500, x_amz_retry_after="700")).fails("send_message")
    assert clock.pauses == pytest.approx([0.7, 0.7])
    clock.pauses.clear()
    Given("sqs", failed("X", 500, x_amz_retry_after="soon")).fails("send_message")
    assert clock.pauses == pytest.approx([0.05, 0.1])


def test_no_try_begins_and_no_pause_is_made_past_the_deadline(clock):
    clock.answer_seconds = 2.6
    given_ = Given("dynamodb", failed("X", 500), clock=clock)
    begun = clock.seconds
    given_.fails()
    assert len(given_.requests) == 2
    assert clock.seconds - begun < 5.3
    clock.pauses.clear()
    Given("sqs", failed("X", 500, x_amz_retry_after="4900"), clock=clock).fails("send_message")
    assert clock.pauses == []


def test_each_try_has_what_is_left_of_one_deadline(clock):
    clock.answer_seconds = 1.0
    given_ = Given("dynamodb", failed("X", 500), clock=clock)
    begun = clock.seconds
    given_.fails()
    assert given_.deadlines == [begun + 5.0] * 3


def test_a_quota_ends_repeating_where_all_fails_and_fills_again_with_what_succeeds(clock):
    given_ = Given("dynamodb", failed("X", 500))
    tries = []
    for _ in range(30):
        before = len(given_.requests)
        given_.fails()
        tries.append(len(given_.requests) - before)
    # 500 of it, 14 a try: 35 tries beside the first ones.
    assert tries == [3] * 17 + [2] + [1] * 12
    given_._answers = [succeeded({})]
    for _ in range(4):
        given_.client.get_item(**GET)
    given_._answers = [failed("X", 500)]
    given_.fails()
    assert len(given_.requests) - sum(tries) == 4 + 2


def test_a_throttle_takes_less_of_the_quota(clock):
    given_ = Given("dynamodb", failed(THROTTLED))
    for _ in range(60):
        given_.fails()
    assert len(given_.requests) == 60 + 100


def test_what_the_last_try_took_is_given_back_by_its_success(clock):
    given_ = Given("dynamodb", succeeded({}))
    for _ in range(100):
        given_._answers = [failed("X", 500), succeeded({})]
        given_.client.get_item(**GET)
    assert len(given_.requests) == 200


# ---- time and what else is sent -------------------------------------------------------------------------------------


def header(request: bytes, name: str) -> Any:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines).get(name)


def date(seconds: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


@pytest.mark.parametrize("ahead", [-7 * 3600, -301, 301, 400 * 86_400])
def test_a_clock_that_is_wrong_is_corrected_by_what_the_service_says_for_all_clients(clock, ahead):
    caller = _Caller(lambda: KEYS)
    refused = failed("InvalidSignatureException", date=date(clock.seconds + ahead))
    given_ = Given("dynamodb", refused, succeeded({}), caller=caller)
    assert given_.client.get_item(**GET) == {}
    other = Given("sqs", succeeded({}), caller=caller)
    other.client.send_message(MessageBody="a")
    stamps = [header(request, "X-Amz-Date") for request in (*given_.requests, *other.requests)]
    right = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.seconds + ahead))
    assert stamps[0] != right
    assert stamps[2] == right
    assert abs(int(stamps[1][9:15]) - int(right[9:15])) <= 1


def test_what_was_signed_before_another_one_learned_the_time_is_signed_anew(clock):
    caller = _Caller(lambda: KEYS)
    refused = failed("InvalidSignatureException", date=date(clock.seconds + 3600))
    other = Given("sqs", refused, succeeded({}), caller=caller)
    given_ = Given("dynamodb", refused, succeeded({}), caller=caller)
    given_.meanwhile.append(lambda: other.client.send_message(MessageBody="a"))
    assert given_.client.get_item(**GET) == {}
    assert len(other.requests) == len(given_.requests) == 2


@pytest.mark.parametrize(
    "said", [0, 30, None, "yesterday", "Mon, 40 Foo 2026 10:00:00 GMT", "a, 1 Jan 99999 0:0:0 GMT"]
)
def test_a_signature_that_is_wrong_at_the_right_time_is_refused_once(clock, said):
    headers = {} if said is None else {"date": date(clock.seconds + said) if isinstance(said, int) else said}
    given_ = Given("dynamodb", failed("InvalidSignatureException", **headers))
    assert given_.fails().code == "InvalidSignatureException"
    assert len(given_.requests) == 1


def test_a_trace_goes_on_from_lambda_alone(monkeypatch):
    given_ = Given("dynamodb", succeeded({}))
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1\r\nX: y")
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    given_.client.get_item(**GET)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    given_.client.get_item(**GET)
    sent = [header(request, "X-Amzn-Trace-Id") for request in given_.requests]
    assert sent == [None, "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1%0D%0AX:%20y"]


def test_the_clients_have_the_operations_in_use_and_no_other():
    for service, known in SERVICES.items():
        client = Client(service, "us-east-1", NOWHERE, None, _Caller(lambda: KEYS))
        assert {name for name in vars(client) if not name.startswith("_")} == {
            _snake(each) for each in known.operations
        }
