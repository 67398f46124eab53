"""Where credentials come from, when they are renewed, and that none is ever shown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given, strategies

from handler.adapters.connection import Answer, NoAnswerError, Peer
from handler.adapters.support.errors import AwsError
from handler.adapters.support.lean import credentials
from handler.adapters.support.lean.credentials import find_credentials
from handler.adapters.support.lean.signing import Keys
from handler.domain.errors import ConfigurationError

URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
VARIABLES = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "swordfish", "AWS_SESSION_TOKEN": "t=="}
LONG = 60.0


class Endpoint:
    """Gives the next of `answers` (status, document) a request, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str | None]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers["Authorization"]))
                outer.may_answer.wait(LONG)
                status, document = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing on the test's output."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.uri = f"http://127.0.0.1:{self._server.server_port}/v1/keys?x=1"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as endpoint:
        yield endpoint


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def passes(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    real = time.monotonic
    monkeypatch.setattr(time, "time", lambda: clock.seconds)
    # Deadlines of sockets go on; only how long ago something was asked is the test's.
    monkeypatch.setattr(time, "monotonic", lambda: real() + clock.seconds)
    return clock


def keys_of(number: int, ends_at: float, **changed: Any) -> dict[str, Any]:
    ends = datetime.fromtimestamp(ends_at, UTC).isoformat().replace("+00:00", "Z")
    given_ = {"AccessKeyId": f"AKID{number}", "SecretAccessKey": "swordfish", "Token": f"t{number}", "Expiration": ends}
    return {**given_, **changed}


def test_variables_are_taken_as_they_are():
    assert find_credentials(VARIABLES)() == Keys("AKIDEXAMPLE", "swordfish", "t==")
    assert find_credentials({**VARIABLES, "AWS_SESSION_TOKEN": ""})().token == ""
    assert find_credentials({**VARIABLES, URI: "http://127.0.0.1:1/"})().key_id == "AKIDEXAMPLE"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "AWS_ACCESS_KEY_ID is not set"),
        ({"AWS_PROFILE": "dev"}, "AWS_PROFILE is 'dev'; .*SUPPORT=standard"),
        # Its keys would not be used, but its region's, its certificates' and its endpoints' settings would.
        ({**VARIABLES, "AWS_PROFILE": "dev"}, "AWS_PROFILE is 'dev'"),
        ({**VARIABLES, "AWS_DEFAULT_PROFILE": "dev"}, "AWS_DEFAULT_PROFILE is 'dev'"),
        ({"AWS_SECRET_ACCESS_KEY": "swordfish"}, "AWS_ACCESS_KEY_ID is not set"),
        ({"AWS_ACCESS_KEY_ID": "AKID"}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({**VARIABLES, "AWS_ACCESS_KEY_ID": "AKID EXAMPLE"}, "AWS_ACCESS_KEY_ID is"),
        ({**VARIABLES, "AWS_SECRET_ACCESS_KEY": "swordfish\n"}, "AWS_SECRET_ACCESS_KEY is"),
        ({**VARIABLES, "AWS_SESSION_TOKEN": "sword\r\nfish: 1"}, "AWS_SESSION_TOKEN is"),
        ({**VARIABLES, "AWS_SESSION_TOKEN": "swordf\u00efsh"}, "AWS_SESSION_TOKEN is"),
        ({URI: "ftp://127.0.0.1/keys"}, URI),
        ({URI: "127.0.0.1/keys"}, URI),
        ({URI: "http://127.0.0.1:x/keys"}, URI),
        ({URI: "http://127.0.0.1/ke ys"}, URI),
        ({URI: "http://example.com/keys"}, f"{URI} is .*http on this machine"),
        ({URI: "http://127.0.0.1.example.com/keys"}, URI),
        ({URI: "http://a:swordfish@127.0.0.1/keys"}, URI),
    ],
)
def test_what_is_missing_or_none_fails_by_the_name_of_its_variable_and_shows_no_secret(variables, named):
    with pytest.raises(ConfigurationError, match=f"^{named}") as caught:
        find_credentials(variables)
    assert "sword" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "127.9.0.1", "[::1]"]
)
def test_near_hosts_are_asked_without_tls(host, monkeypatch):
    asked = []
    monkeypatch.setattr(
        Peer, "exchange", lambda self, request, deadline: asked.append(request) or Answer(200, {}, b"{}")
    )
    with pytest.raises(ConfigurationError, match="no AccessKeyId"):
        find_credentials({URI: f"http://{host}/keys"})
    assert asked[0].startswith(f"GET /keys HTTP/1.1\r\nHost: {host}\r\n".encode())


def test_the_endpoint_is_asked_with_its_token_and_its_path(endpoint, tmp_path):
    endpoint.answers = [(200, keys_of(1, time.time() + 3600))]
    find = find_credentials({URI: endpoint.uri, TOKEN: "Basic abc"})
    assert find() == find() == Keys("AKID1", "swordfish", "t1")
    (tmp_path / "token").write_text("from a file")
    find_credentials({URI: endpoint.uri, TOKEN: "Basic abc", TOKEN_FILE: str(tmp_path / "token")})
    find_credentials({URI: endpoint.uri})
    assert endpoint.asked == [("/v1/keys?x=1", token) for token in ("Basic abc", "from a file", None)]


def test_a_token_file_is_read_anew_at_each_renewal(endpoint, tmp_path, clock):
    path = tmp_path / "token"
    path.write_text("first")
    endpoint.answers = [(200, keys_of(1, clock.seconds + 3600)), (200, keys_of(2, clock.seconds + 7200))]
    find = find_credentials({URI: endpoint.uri, TOKEN_FILE: str(path)})
    path.write_text("second")
    clock.passes(3500)
    assert find().key_id == "AKID2"
    assert [token for _, token in endpoint.asked] == ["first", "second"]


@pytest.mark.parametrize("content", [None, b"two\nlines", b"\xff"])
def test_a_token_file_that_cannot_be_used_fails_init(endpoint, tmp_path, content):
    endpoint.answers = [(200, keys_of(1, time.time() + 3600))]
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=TOKEN_FILE) as caught:
        find_credentials({URI: endpoint.uri, TOKEN_FILE: str(path)})
    assert "lines" not in str(caught.value)


@pytest.mark.parametrize(
    "ends", ["2027-01-15T09:00:00Z", "2027-01-15T09:00:00.123456Z", "2027-01-15T10:00:00+01:00", "2027-01-15T09:00:00"]
)
def test_an_end_is_read_in_every_spelling_of_its_standard(endpoint, clock, ends):
    endpoint.answers = [(200, keys_of(1, 0, Expiration=ends)), (200, keys_of(2, clock.seconds + 7200))]
    find = find_credentials({URI: endpoint.uri})
    clock.seconds = datetime(2027, 1, 15, 8, 49, 59, tzinfo=UTC).timestamp()
    assert find().key_id == "AKID1"
    clock.passes(3)
    assert find().key_id == "AKID2"


@pytest.mark.parametrize(
    "answer",
    [
        *((404, {}), (400, {"message": "swordfish"}), (200, b"swordfish"), (200, []), (200, {}), (200, b"[" * 60_000)),
        (200, keys_of(1, 2e9, AccessKeyId="")),
        (200, keys_of(1, 2e9, SecretAccessKey="sword\nfish")),
        (200, keys_of(1, 2e9, Token=7)),
        (200, keys_of(1, 2e9, Expiration="swordfish")),
        (200, keys_of(1, 2e9, Expiration=None)),
    ],
    ids=str,
)
def test_an_endpoint_that_gives_none_fails_init_and_shows_nothing_of_its_answer(endpoint, answer):
    endpoint.answers = [answer]
    with pytest.raises(ConfigurationError, match=f"^{URI} is 'http://127") as caught:
        find_credentials({URI: endpoint.uri})
    assert "sword" not in str(caught.value)
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_fails_once_is_asked_again(endpoint):
    endpoint.answers = [(500, {}), (429, {}), (200, keys_of(1, time.time() + 3600))]
    assert find_credentials({URI: endpoint.uri})().key_id == "AKID1"


def test_credentials_are_renewed_before_they_end_and_used_until_they_nearly_have(endpoint, clock, caplog):
    endpoint.answers = [(200, keys_of(1, clock.seconds + 3600)), (500, {})]
    find = find_credentials({URI: endpoint.uri})
    clock.passes(2990)
    assert find().key_id == "AKID1"
    assert len(endpoint.asked) == 1
    clock.passes(20)
    for _ in range(5):
        assert find().key_id == "AKID1"
    # Three tries, and no more before every request.
    assert len(endpoint.asked) == 4
    assert "not renewed yet" in caplog.text
    clock.passes(575)
    with pytest.raises(AwsError, match=r"^credentials: HTTP 500"):
        find()
    endpoint.answers = [(200, keys_of(2, clock.seconds + 3600))]
    assert find().key_id == "AKID2"


def test_of_many_threads_one_renews_and_the_others_wait_only_for_credentials_that_have_ended(endpoint, clock):
    endpoint.answers = [(200, keys_of(1, clock.seconds + 3600)), (200, keys_of(2, clock.seconds + 7200))]
    find = find_credentials({URI: endpoint.uri})
    found: list[str] = []

    def ask() -> None:
        found.append(find().key_id)

    clock.passes(3300)
    endpoint.may_answer.clear()
    renewing = threading.Thread(target=ask)
    renewing.start()
    while len(endpoint.asked) < 2:
        time.sleep(0.001)
    ask()
    assert found == ["AKID1"]
    endpoint.may_answer.set()
    renewing.join()
    assert found == ["AKID1", "AKID2"]
    clock.passes(7200)
    endpoint.answers = [(200, keys_of(3, clock.seconds + 3600))]
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[2:] == ["AKID3"] * 4
    assert len(endpoint.asked) == 3


def test_credentials_that_have_ended_when_they_are_given_are_none(endpoint, clock):
    endpoint.answers = [(200, keys_of(1, clock.seconds - 1))]
    with pytest.raises(ConfigurationError, match=f"^{URI} is .*have ended"):
        find_credentials({URI: endpoint.uri})
    endpoint.answers = [(200, keys_of(2, clock.seconds + 1))]
    find = find_credentials({URI: endpoint.uri})
    clock.passes(1)
    with pytest.raises(AwsError, match="have ended"):
        find()


class CountedLock:
    """A lock that says how many have come to it."""

    def __init__(self) -> None:
        self.came = 0
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool) -> bool:
        self.came += 1
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self._lock.release()


def test_those_that_waited_for_a_renewal_share_its_failure_and_ask_no_more(endpoint, clock, monkeypatch):
    lock = CountedLock()
    monkeypatch.setattr(credentials, "Lock", lambda: lock)
    endpoint.answers = [(200, keys_of(1, clock.seconds + 3600)), (404, {})]
    find = find_credentials({URI: endpoint.uri})
    clock.passes(3600)
    failures: list[str] = []

    def ask() -> None:
        with pytest.raises(AwsError, match="HTTP 404") as caught:
            find()
        failures.append(str(caught.value))

    endpoint.may_answer.clear()
    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    while lock.came < 10:
        time.sleep(0.001)
    endpoint.may_answer.set()
    for thread in threads:
        thread.join()
    assert len(failures) == 10
    assert len(endpoint.asked) == 2
    # Whoever comes later asks again.
    endpoint.answers = [(200, keys_of(2, clock.seconds + 3600))]
    assert find().key_id == "AKID2"


def test_all_tries_of_a_renewal_have_one_deadline(endpoint, clock, monkeypatch):
    endpoint.answers = [(200, keys_of(1, clock.seconds + 3600))]
    find = find_credentials({URI: endpoint.uri})
    clock.passes(3600)
    deadlines: list[float] = []

    def exchange(_peer: Peer, _request: bytes, deadline: float) -> Answer:
        deadlines.append(deadline)
        clock.passes(2)
        raise NoAnswerError("no answer within 2 s")

    monkeypatch.setattr(Peer, "exchange", exchange)
    with pytest.raises(AwsError, match="no answer within 2 s"):
        find()
    assert [round(each - deadlines[0], 3) for each in deadlines] == [0, 1]


NAMES = strategies.sampled_from(["AccessKeyId", "SecretAccessKey", "Token", "Expiration"])
VALUES = strategies.one_of(strategies.none(), strategies.text(max_size=30), strategies.just("2027-01-15"))
DOCUMENTS = strategies.dictionaries(NAMES, VALUES).map(lambda document: json.dumps(document).encode())


@given(strategies.one_of(strategies.binary(max_size=200), DOCUMENTS))
def test_any_answer_of_the_endpoint_is_keys_or_an_aws_error(body):
    try:
        keys, ends_at = credentials._read(body)
    except AwsError:
        return
    assert all(isinstance(each, str) for each in keys)
    assert isinstance(ends_at, float)
