"""The connection to a gateway: its host's addresses, and what stands between it and us."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pytest

from handler.adapters.gateways.deadline_connection import DeadlineConnection
from handler.adapters.gateways.stripe import StripeGateway
from handler.domain.errors import (
    ConfigurationError,
    GatewayAnswerError,
    GatewayBusyError,
    GatewayKeyRefusedError,
    GatewayNotReachedError,
    GatewayUnavailableError,
    RetryableError,
    UnknownOutcomeError,
)
from handler.domain.payment import Payment

PAYMENT = Payment("pay-1", "ord-1", "cust-1", 2599, "USD", "credit_card", payment_token="pm_card_visa")


@contextmanager
def answering(status_code: int, page: bytes, **headers: str) -> Iterator[str]:
    """The URL of a server that answers everything with one page."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status_code)
            self.send_header("Content-Length", str(len(page)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def failed(url: str, call: str) -> RetryableError:
    gateway = StripeGateway(lambda: "sk_test_simulator", mode="test", environment="dev", url=url, deadline_seconds=60)
    calls: dict[str, Callable[[], object]] = {
        "prepare": lambda: gateway.prepare(PAYMENT, "key"),
        "charge": lambda: gateway.charge("pi_1", "key"),
        "status": lambda: gateway.status("pi_1"),
        "cancel": lambda: gateway.cancel("pi_1"),
        "refund": lambda: gateway.refund("pi_1", 2599, "USD", "ref-1", "key"),
    }
    with closing(gateway), pytest.raises(RetryableError) as caught:
        calls[call]()
    return caught.value


@pytest.mark.parametrize(("replayed", "spends_key"), [({}, False), ({"Idempotent_Replayed": "true"}, True)])
def test_a_refund_that_is_answered_402_again_under_its_key_spends_it(replayed, spends_key):
    with answering(402, b'{"error": {"type": "api_error"}}', **replayed) as url:
        error = failed(url, "refund")
    assert isinstance(error, UnknownOutcomeError)
    assert error.spends_key is spends_key


@pytest.mark.parametrize("page", [b"<html>", b'{"message": "Forbidden"}'])
@pytest.mark.parametrize("call", ["prepare", "charge", "status", "cancel", "refund"])
@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 407, 413, 429, 502])
def test_an_error_page_of_what_stands_in_front_is_no_failure_of_the_payment_and_spends_no_key(status_code, call, page):
    with answering(status_code, page) as url:
        error = failed(url, call)
    assert isinstance(error, GatewayUnavailableError | UnknownOutcomeError)
    assert not error.is_own_failure
    assert not error.spends_key
    if status_code in (401, 403):
        assert type(error) is GatewayKeyRefusedError
    if status_code == 429:
        assert type(error) is GatewayBusyError
    if status_code == 404:
        # People are told of a reference that the gateway itself does not know.
        assert type(error) is GatewayUnavailableError


def test_an_address_that_is_silent_in_tls_leaves_time_for_the_next_one(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as next_one:
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda *_, **named: real(*silent.getsockname(), **named) + real(*next_one.getsockname(), **named),
        )
        connection = DeadlineConnection("https://gateway.example", 0.5)
        with pytest.raises(GatewayNotReachedError):
            connection.call("GET", "/", {}, None)
        for listening in (silent, next_one):
            listening.settimeout(0)
            asked, _ = listening.accept()
            with asked:
                assert asked.recv(1) == b"\x16"


def test_an_answer_that_is_nested_too_deeply_to_be_read_is_an_invalid_one():
    with answering(200, b"[" * 60_000) as url:
        assert type(failed(url, "status")) is GatewayAnswerError


class Together:
    """A gateway that answers its first calls once so many are under way, each on a connection of its own."""

    def __init__(self, calls: int, refused_key: str = "another") -> None:
        self.connections: set[object] = set()
        self.keys: list[str] = []
        under_way = threading.Barrier(calls, timeout=60)
        left = list(range(calls))
        seen = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.connections.add(self.client_address)
                key = (self.headers["Authorization"] or "").removeprefix("Bearer ")
                seen.keys.append(key)
                with suppress(IndexError):
                    left.pop()
                    under_way.wait()
                page = b'{"error": {}}' if key == refused_key else b"{}"
                self.send_response(401 if key == refused_key else 200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Nothing on the test's output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def at_once(count: int, call: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_calls_at_once_have_a_connection_each_and_those_that_follow_take_them_again():
    with closing(Together(10)) as gateway, closing(DeadlineConnection(gateway.url, 60)) as connection:
        at_once(10, lambda: connection.call("GET", "/", {}, None))
        assert len(gateway.connections) == 10
        for _ in range(20):
            assert connection.call("GET", "/", {}, None).status_code == 200
        assert len(gateway.connections) == 10
        connection.close()
        connection.call("GET", "/", {}, None)
        assert len(gateway.connections) == 11


def test_of_calls_that_are_refused_with_one_key_at_once_one_reads_the_secret_and_all_take_its_new_one():
    secrets = ["sk_test_old_secret", "sk_test_new_secret"]
    read: list[str] = []

    def read_key() -> str:
        read.append(secrets[min(len(read), 1)])
        return read[-1]

    with closing(Together(5, "sk_test_old_secret")) as server:
        gateway = StripeGateway(read_key, mode="test", environment="dev", url=server.url, deadline_seconds=60)

        def ask() -> None:
            with suppress(GatewayAnswerError):
                gateway.status("pi_1")

        with closing(gateway):
            at_once(5, ask)
    assert sorted(server.keys) == ["sk_test_new_secret"] * 5 + ["sk_test_old_secret"] * 5
    assert read == secrets


def test_a_proxy_that_would_be_passed_over_is_refused(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)  # it comes before NO_PROXY, and a host may have it
    monkeypatch.setenv("HTTPS_PROXY", "http://user:swordfish@proxy:3128")
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    refused = r"^HTTPS_PROXY is '\*\*\*'; allowed: no value, or gateway\.example in NO_PROXY"
    with pytest.raises(ConfigurationError, match=refused):
        DeadlineConnection("https://gateway.example")
    DeadlineConnection("http://gateway.example")
    monkeypatch.setenv("NO_PROXY", "amazonaws.com,gateway.example")
    DeadlineConnection("https://gateway.example")
