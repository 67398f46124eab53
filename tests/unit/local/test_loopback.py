"""The loopback server on its own: whole requests, whole answers, and a terminal that shows its own faults only."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from local.loopback import LoopbackHandler, LoopbackServer, ask


class Echo(LoopbackHandler):
    """Answers with the body that it got."""

    server: EchoServer

    def do_POST(self) -> None:
        body = self.body()
        self.server.bodies.append(body)
        if body == b"fault":
            raise KeyError("a fault of the server")
        self.reply(200, body, {"content-type": "text/plain", "X-More": "1"})

    do_GET = do_HEAD = do_POST


class EchoServer(LoopbackServer):
    def __init__(self) -> None:
        super().__init__(Echo)
        self.bodies: list[bytes] = []


@pytest.fixture
def server() -> Iterator[EchoServer]:
    server = EchoServer()
    server.start("echo")
    yield server
    server.stop()


def raw(server: LoopbackServer, request: bytes) -> bytes:
    """All that comes back for these bytes, sent to their end."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_an_answer_has_its_length_and_keeps_its_type(server: EchoServer) -> None:
    status, body, headers = ask(server.server_port, "POST", "/", b"abc")
    assert (status, body) == (200, b"abc")
    assert headers == {"content-type": "text/plain", "X-More": "1", "Content-Length": "3"}


@pytest.mark.parametrize(
    "cut", [b"POST / HT", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nIdempotency-Key: a\r\nContent-Le"]
)
def test_a_request_whose_head_was_cut_is_none(
    server: EchoServer, capfd: pytest.CaptureFixture[str], cut: bytes
) -> None:
    # Without the rest of its headers it would be carried out with no body and under no key.
    assert raw(server, cut) == b""
    assert server.bodies == []
    assert capfd.readouterr().err == ""


def test_a_connection_is_kept_for_the_next_request(server: EchoServer) -> None:
    one = b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n"
    assert raw(server, one + b"a" + one + b"b").count(b"HTTP/1.1 200 OK") == 2
    assert server.bodies == [b"a", b"b"]


def test_an_answer_to_head_has_no_body(server: EchoServer) -> None:
    found = raw(server, b"HEAD / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
    assert b"Content-Length: 3\r\n" in found
    assert found.endswith(b"\r\n\r\n")


def test_a_chunked_body_is_put_together(server: EchoServer) -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(server, head + b"3;x=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").endswith(b"\r\n\r\nabcde")


@pytest.mark.parametrize(
    "request_",
    [
        b"Content-Length: 5\r\n\r\nabcd",
        b"Content-Length: five\r\n\r\nabcde",
        b"Content-Length: -1\r\n\r\nabcde",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    ],
    ids=repr,
)
def test_a_body_that_is_not_whole_is_no_request_and_no_fault(
    server: EchoServer, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert raw(server, b"POST / HTTP/1.1\r\n" + request_) == b""
    server.stop()
    assert server.bodies == []
    assert capfd.readouterr().err == ""


def test_a_client_that_goes_away_is_no_fault_of_the_server(
    server: EchoServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask(server.server_port, "GET", "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_fault_of_the_server_is_shown(server: EchoServer, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConnectionError):
        ask(server.server_port, "POST", "/", b"fault")
    server.stop()
    assert "KeyError: 'a fault of the server'" in capfd.readouterr().err


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"what is this\r\n\r\n"])
def test_an_answer_that_is_cut_is_an_error_of_the_connection(answer: bytes) -> None:
    class Cut(LoopbackHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer)
            self.close_connection = True

    server = LoopbackServer(Cut)
    server.start("cut")
    with pytest.raises(ConnectionError):
        ask(server.server_port, "GET", "/")
    server.stop()


def test_a_stopped_server_has_no_thread_and_no_port(server: EchoServer) -> None:
    server.stop()
    assert "echo" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(ConnectionRefusedError):
        ask(server.server_port, "GET", "/")
