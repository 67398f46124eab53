"""The reading of HTTP answers, whatever bytes come, and the connections that are kept between calls."""

from __future__ import annotations

import http.client
import io
import itertools
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote, urlencode

import pytest
import trustme
from hypothesis import example, given, strategies

from handler.adapters import connection
from handler.adapters.connection import (
    Answer,
    BadAnswerError,
    NoAnswerError,
    NotReachedError,
    Peer,
    Url,
    form,
    host_header,
    quoted,
    read_answer,
    read_url,
    request_bytes,
)

BODY_BYTES_MAX = 1000
OK = b"HTTP/1.1 200 OK\r\n"
LONG = 60.0


def pieces(data: bytes, cuts: list[int]) -> Callable[[], bytes]:
    """A receiver that gives the data cut at these places, and then the end, as often as it is asked."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    parts = iter([data[start:end] for start, end in itertools.pairwise(places) if start < end])
    return lambda: next(parts, b"")


def read(data: bytes, *cuts: int) -> tuple[Answer, bool]:
    return read_answer(pieces(data, list(cuts)), BODY_BYTES_MAX)


CUTS = strategies.lists(strategies.integers(0, 10_000), max_size=6)
GRAMMAR = [
    *(
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 502 Bad Gateway\r\n",
        b"HTTP/1.1 204 \r\n",
        b"\r\n",
        b"\r\n\r\n",
    ),
    *(b"Content-Length: 3\r\n", b"content-length:-1\r\n", b"Content-Length: 99999999999999999999\r\n", b"a: b\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"{}",
        b"abc",
        b"0\r\n\r\n",
        b"3\r\nabc\r\n",
        b"5;x=y\r\n",
    ),
    *(b"ffffffffffffffffffff\r\n", b"\x00", b"\xff" * 70, b" folded\r\n", b": none\r\n", b"a" * 70_000),
]


@given(
    strategies.one_of(
        strategies.binary(max_size=400), strategies.lists(strategies.sampled_from(GRAMMAR)).map(b"".join)
    ),
    CUTS,
)
@example(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 300, [])
@example(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, [1, 2])
@example(OK + b"Content-Length: \xb2\r\n\r\n", [])
def test_any_bytes_are_an_answer_or_one_of_two_errors(data, cuts):
    try:
        answer, _ = read(data, *cuts)
    except (NoAnswerError, BadAnswerError):
        return
    assert 200 <= answer.status_code <= 999
    assert len(answer.body) <= BODY_BYTES_MAX


@given(strategies.binary(max_size=300), strategies.lists(strategies.integers(1, 40)), CUTS)
def test_a_body_is_read_the_same_however_it_is_sent_and_as_the_standard_library_reads_it(body, sizes, cuts):
    chunks, left = b"", body
    for size in [*sizes, len(body)]:
        if left:
            chunks += b"%x\r\n" % len(left[:size]) + left[:size] + b"\r\n"
            left = left[size:]
    head = OK + b"X-One: 1\r\nx-one: 2\r\n"
    sent = [
        (head + b"Content-Length: %d\r\n\r\n" % len(body) + body, True),
        (head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nTrailer: t\r\n\r\n", True),
        (head + b"\r\n" + body, False),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
            True,
        ),
    ]
    for data, may_keep in sent:
        answer, keeps = read(data, *cuts)
        assert (answer.status_code, answer.body, answer.headers["x-one"], keeps) == (200, body, "1, 2", may_keep)
        if not data.startswith(b"HTTP/1.1 103"):
            judge = http.client.HTTPResponse(_Socket(data))  # type: ignore[arg-type]
            judge.begin()
            assert (judge.status, judge.read()) == (200, body)


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 \xb2\xb2\xb2\r\n\r\n",
        ),
        *(b"HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\na", b"HTTP/1.1 200 O\rK\r\n\r\n", b"HTTP/1.1 200 O\0K\r\n\r\n"),
        *(OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", OK + b"Content-Length: +1\r\n\r\na"),
        OK + b"C\xefntent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        *(OK + b"a(b): c\r\n\r\n", OK + b"a\x01: c\r\n\r\n"),
        *(OK + b"Content-Length : 1\r\n\r\na", OK + b"a: b\r\n c\r\n\r\n", OK + b"a: b\nContent-Length: 1\r\n\r\na"),
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        *(
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXY0\r\n\r\n",
        ),
        *(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n"),
        *(
            OK + b"Content-Length: 1001\r\n\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n",
            OK + b"\r\n" + b"a" * 1001,
        ),
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK + b"\r\n",
        OK + b"a: " + b"b" * 140_000,
    ],
)
def test_what_could_be_read_in_two_ways_or_has_no_end_is_refused(data):
    with pytest.raises(BadAnswerError):
        read(data, *range(0, len(data), 60_000))


def test_white_space_around_a_value_is_none_of_it():
    assert read(OK + b"Transfer-Encoding: \t chunked \t\r\n\r\n1\r\na\r\n0\r\n\r\n")[0].body == b"a"
    assert read(OK + b"Content-Length:1 \r\n\r\na")[0].body == b"a"


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 3\r\n\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
    ],
)
def test_a_truncated_answer_says_what_its_status_was(data):
    with pytest.raises(BadAnswerError, match="truncated") as caught:
        read(data)
    assert caught.value.status_code == 200


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", OK + b"Content-Length: 3\r\n"])
def test_an_end_within_the_head_is_no_answer(data):
    with pytest.raises(NoAnswerError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 0\r\nConnection: Close\r\n\r\n",
        OK + b"Content-Length: 0\r\nConnection: keep-alive, close\r\n\r\n",
        OK + b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_that_is_to_end_or_has_more_to_say_is_not_used_again(data):
    assert read(data) == (Answer(200, read(data)[0].headers, b""), False)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://sqs.us-east-1.amazonaws.com", Url("https", "sqs.us-east-1.amazonaws.com", 443)),
        ("http://127.0.0.1:4566/", Url("http", "127.0.0.1", 4566)),
        ("http://[::1]:80", Url("http", "::1", 80)),
        ("https://[fd00:ec2::23]", Url("https", "fd00:ec2::23", 443)),
    ],
)
def test_a_url_is_read_into_its_parts(text, url):
    assert read_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "http://",
            "https:///",
            "http:/host",
            "HTTP://host",
            "ftp://host",
            "host:80",
            "http://host:",
            "http://host:0",
        ),
        *(
            "http://host:65536",
            "http://host:\u0663",
            "http://host/path",
            "http://host?a",
            "http://host#a",
            "http://a b",
        ),
        *(
            "http://user@host",
            "http://user:word@host:80",
            "http://[::1",
            "http://[::1]80",
            "http://[host]",
            "http://h\u00f6st",
        ),
        *("http://host\r\nx: y", "http://host//", "http://::1"),
    ],
)
def test_what_is_more_or_less_than_scheme_host_and_port_is_no_url(text):
    assert read_url(text) is None


def test_the_host_header_has_the_port_only_where_it_is_not_the_schemes_own():
    assert host_header(Url("https", "a.example", 443)) == "a.example"
    assert host_header(Url("http", "a.example", 443)) == "a.example:443"
    assert host_header(Url("http", "::1", 8080)) == "[::1]:8080"


@given(strategies.text(max_size=20), strategies.sampled_from(["", "/", "=;:+&[]{}\"',"]))
def test_a_text_is_quoted_as_the_standard_library_quotes_it(text, kept):
    assert quoted(text, kept) == quote(text, safe=kept)


@given(strategies.lists(strategies.tuples(strategies.text(max_size=9), strategies.text(max_size=9))))
def test_a_form_is_written_as_the_standard_library_writes_it(fields):
    assert form(fields) == urlencode(fields)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb"])
def test_a_header_never_becomes_two(value):
    with pytest.raises(ValueError, match="more than one line"):
        request_bytes("GET", "/", {"a": value}, None)


class Server:
    """Answers each request of each connection with `answer`, in a thread a connection; counts the connections."""

    def __init__(self, answer: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._answer, self._tls = answer, tls
        self.url = Url("https" if tls else "http", "127.0.0.1", self._listening.getsockname()[1])
        self.connections: list[socket.socket] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            self.connections.append(accepted)
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        try:
            if self._tls is not None:
                accepted = self.connections[-1] = self._tls.wrap_socket(accepted, server_side=True)
            while accepted.recv(65_536):
                self.asked.release()
                self.may_answer.wait(LONG)
                accepted.sendall(self._answer)
        except OSError:
            return

    def close(self) -> None:
        self._listening.close()
        for accepted in self.connections:
            accepted.close()


ANSWER = OK + b"Content-Length: 2\r\n\r\nok"
GET = request_bytes("GET", "/", {"Host": "a"}, None)


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server(ANSWER)) as server:
        yield server


def soon() -> float:
    return time.monotonic() + LONG


def test_one_connection_serves_calls_that_follow_each_other(server):
    with closing(Peer(server.url, None, body_bytes_max=10)) as peer:
        assert [peer.exchange(GET, soon()).body for _ in range(3)] == [b"ok"] * 3
    assert len(server.connections) == 1


def test_calls_at_once_have_a_connection_each_and_all_of_them_are_kept(server):
    with closing(Peer(server.url, None, body_bytes_max=10)) as peer:
        for _ in range(2):
            server.may_answer.clear()
            threads = [threading.Thread(target=peer.exchange, args=(GET, soon())) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in threads:
                server.asked.acquire(timeout=LONG)
            server.may_answer.set()
            for thread in threads:
                thread.join()
    assert len(server.connections) == 3


def test_a_connection_that_its_peer_ended_or_that_is_old_is_not_used_again(server, monkeypatch):
    with closing(Peer(server.url, None, body_bytes_max=10)) as peer:
        peer.exchange(GET, soon())
        server.connections[0].shutdown(socket.SHUT_RDWR)
        peer.exchange(GET, soon())
        assert len(server.connections) == 2
        monkeypatch.setattr(connection, "_KEPT_SECONDS_MAX", 0.0)
        peer.exchange(GET, soon())
        assert len(server.connections) == 3


def test_the_tickets_of_tls_do_not_end_a_connection_that_was_opened_ahead():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with closing(Server(ANSWER, context)) as server, closing(Peer(server.url, trusting, body_bytes_max=10)) as peer:
        peer.open(soon())
        # The tickets have come once there is something to read.
        assert select.select([peer._idle[0][0]], [], [], LONG)[0]
        peer.exchange(GET, soon())
        peer.exchange(GET, soon())
        assert len(server.connections) == 1


def test_bytes_that_trickle_in_do_not_outlast_the_time_of_an_answer():
    def trickle(accepted: socket.socket) -> None:
        try:
            accepted.sendall(OK + b"Content-Length: 900\r\n\r\n")
            while True:
                accepted.sendall(b" ")
                time.sleep(0.005)
        except OSError:
            accepted.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = Url("http", "127.0.0.1", listening.getsockname()[1])
        peer = Peer(url, None, body_bytes_max=1000, answer_seconds=0.2)
        thread = threading.Thread(target=lambda: trickle(listening.accept()[0]))
        thread.start()
        with pytest.raises(NoAnswerError, match=r"within 0\.2 s"):
            peer.exchange(GET, soon())
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_host_that_is_not_reached_was_sent_nothing(host):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(NotReachedError, match=host):
        Peer(Url("http", host, port), None, body_bytes_max=10).exchange(GET, soon())
