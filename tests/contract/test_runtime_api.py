"""The Runtime API's HTTP, spoken without a runtime (AWS: "Using the Lambda runtime API for custom runtimes")."""

import http.client
import threading
from collections.abc import Iterator

import pytest

from local.runtime_api import Answer, Invocation, RuntimeApi, Usage

INVOCATION = Invocation("r-1", b'{"a": 1}', 1_700_000_000_000, "arn:aws:lambda:x", "Root=1-2-3")


@pytest.fixture
def served() -> Iterator[tuple[RuntimeApi, list[Answer]]]:
    answers: list[Answer] = []
    api = RuntimeApi(on_next=lambda usage: None, on_answer=answers.append)
    yield api, answers
    api.close()


def request(api: RuntimeApi, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(api.address, timeout=10)
    try:
        connection.request(method, f"/2018-06-01/runtime{path}", body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_next_gives_the_event_with_its_headers(served: tuple[RuntimeApi, list[Answer]]) -> None:
    api, _ = served
    api.submit(INVOCATION)
    status, headers, body = request(api, "GET", "/invocation/next")
    assert (status, body) == (200, b'{"a": 1}')
    assert headers["Lambda-Runtime-Aws-Request-Id"] == "r-1"
    assert headers["Lambda-Runtime-Deadline-Ms"] == "1700000000000"
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn:aws:lambda:x"
    assert headers["Lambda-Runtime-Trace-Id"] == "Root=1-2-3"


def test_next_waits_for_an_event(served: tuple[RuntimeApi, list[Answer]]) -> None:
    api, _ = served
    got: list[bytes] = []
    waiting = threading.Thread(target=lambda: got.append(request(api, "GET", "/invocation/next")[2]))
    waiting.start()
    waiting.join(timeout=0.2)
    assert not got
    api.submit(INVOCATION)
    waiting.join(timeout=10)
    assert got == [b'{"a": 1}']


@pytest.mark.parametrize("kind", ["response", "error"])
def test_an_answer_is_accepted_once_and_only_for_the_pending_invocation(
    served: tuple[RuntimeApi, list[Answer]], kind: str
) -> None:
    api, answers = served
    assert request(api, "POST", f"/invocation/r-1/{kind}", b"{}")[0] == 400
    api.submit(INVOCATION)
    request(api, "GET", "/invocation/next")
    assert request(api, "POST", f"/invocation/another/{kind}", b"{}")[0] == 400
    assert request(api, "POST", f"/invocation/r-1/{kind}", b'{"x": 1}')[0] == 202
    assert request(api, "POST", f"/invocation/r-1/{kind}", b"{}")[0] == 400
    assert [(answer.kind, answer.request_id, answer.body) for answer in answers] == [(kind, "r-1", b'{"x": 1}')]


def test_an_init_error_is_accepted_without_an_invocation(served: tuple[RuntimeApi, list[Answer]]) -> None:
    api, answers = served
    assert request(api, "POST", "/init/error", b'{"errorType": "ImportError"}')[0] == 202
    assert answers[0].kind == "init_error"


def test_a_chunked_body_is_read_whole(served: tuple[RuntimeApi, list[Answer]]) -> None:
    api, answers = served
    api.submit(INVOCATION)
    request(api, "GET", "/invocation/next")
    connection = http.client.HTTPConnection(api.address, timeout=10)
    connection.request("POST", "/2018-06-01/runtime/invocation/r-1/response", iter([b'{"a"', b": 1}"]))
    assert connection.getresponse().status == 202
    connection.close()
    assert answers[0].body == b'{"a": 1}'


def test_a_function_wakes_up_from_its_snapshot_only_where_there_is_snapstart(
    served: tuple[RuntimeApi, list[Answer]],
) -> None:
    assert request(served[0], "GET", "/restore/next")[0] == 404
    moments: list[Usage] = []
    api = RuntimeApi(on_next=lambda usage: None, on_answer=lambda answer: None, on_snapshot=moments.append)
    assert request(api, "GET", "/restore/next")[0] == 200
    api.close()
    assert len(moments) == 1


def test_an_unknown_path_is_not_found(served: tuple[RuntimeApi, list[Answer]]) -> None:
    api, _ = served
    assert request(api, "GET", "/elsewhere")[0] == 404
    assert request(api, "POST", "/elsewhere", b"{}")[0] == 404


def test_closing_ends_what_waits_and_what_serves_and_refuses_the_next_connection() -> None:
    before = set(threading.enumerate())
    api = RuntimeApi(on_next=lambda usage: None, on_answer=lambda answer: None)
    (serving,) = [each for each in threading.enumerate() if each.name == "runtime-api" and each not in before]
    connection = http.client.HTTPConnection(api.address, timeout=10)
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    api.close()
    with pytest.raises(ConnectionError):
        connection.getresponse()
    connection.close()
    assert not serving.is_alive()
    with pytest.raises(ConnectionRefusedError):
        request(api, "GET", "/invocation/next")
