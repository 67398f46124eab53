"""Connections to a payment gateway: a request and its whole answer within one deadline, and never a second try.

What comes back is whole or an error that says whether the request can have taken effect.
"""

from __future__ import annotations

import http.client
import io
import json
import select
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from handler.domain.errors import ConfigurationError, GatewayAnswerError, GatewayNotReachedError, UnknownOutcomeError

# An answer is a few kilobytes; more is not from a gateway.
_ANSWER_BYTES_MAX: Final = 65_536


class Answer(NamedTuple):
    """A whole answer: its HTTP status, its JSON object (empty for an error that has none), its headers."""

    status_code: int
    document: dict[str, Any]
    headers: http.client.HTTPMessage


class DeadlineConnection:
    """As many connections as calls are under way at a time, each kept alive for the next call; for any threads.

    url: `http[s]://host[:port]`. deadline_seconds: total of one call, over connecting, sending and reading (name
    resolution alone has no deadline of its own in Python). ca_file: a PEM file of the roots that an https host is
    trusted by; empty: all of the system's. Raises ConfigurationError for another URL or file.
    """

    def __init__(self, url: str, deadline_seconds: float = 5.0, ca_file: str = "") -> None:
        scheme, host, port = _address(url) or ("", "", 0)
        # Outside of any handler: what `urlsplit` raises may hold a password, and a traceback would print it.
        if not host:
            raise ConfigurationError(
                "GATEWAY_URL", url or None, "http://host:port or https://host, without path or user information"
            )
        self._host = host
        self._port = port
        if ca_file and scheme != "https":
            raise ConfigurationError("GATEWAY_CA_FILE", ca_file, "no value, as GATEWAY_URL is without TLS")
        self._tls = _trusting(ca_file) if scheme == "https" else None
        self.deadline_seconds = deadline_seconds
        # Those that no call has; the one that was used last goes first, and the others may end. Both ends of a list
        # are safe between threads.
        self._idle: list[_Kept] = []

    def call(
        self, method: str, path: str, headers: Mapping[str, str], payload: bytes | None, deadline: float | None = None
    ) -> Answer:
        """One request and its answer, by `deadline` (of time.monotonic) or within this connection's own.

        Raises GatewayNotReachedError where no connection was had, UnknownOutcomeError where the answer did not come,
        GatewayAnswerError where it is neither an error nor a whole JSON object.
        """
        kept = self._borrowed(deadline or time.monotonic() + self.deadline_seconds)
        connection = kept.connection
        try:
            connection.request(method, path, payload, dict(headers))
            response = connection.getresponse()
            data = response.read(_ANSWER_BYTES_MAX + 1)
        except TimeoutError as error:
            kept.socket.end()
            raise UnknownOutcomeError(f"no answer to {method} within {self.deadline_seconds:g} s") from error
        except OSError as error:
            kept.socket.end()
            raise UnknownOutcomeError(f"connection lost during {method}: {error}") from error
        except http.client.HTTPException as error:
            kept.socket.end()
            raise GatewayAnswerError(f"the gateway's answer to {method} is not HTTP: {type(error).__name__}") from error
        if response.will_close or not response.isclosed():
            kept.socket.end()
        else:
            self._idle.append(kept)
        try:
            return Answer(response.status, _document(response, data), response.headers)
        except GatewayAnswerError:
            # Whatever stands between us and the gateway writes its own pages for these; the status says enough.
            if response.status >= 400:
                return Answer(response.status, {}, response.headers)
            raise

    def connect(self) -> None:
        """Have a connection ready for the next call. Raises GatewayNotReachedError."""
        self._idle.append(self._borrowed(time.monotonic() + self.deadline_seconds))

    def _borrowed(self, deadline: float) -> _Kept:
        """A kept connection that no other call has, or a new one where the gateway has ended them all."""
        while self._idle:
            try:
                kept = self._idle.pop()
            except IndexError:
                # Another thread took the last one.
                break
            if kept.socket.is_idle():
                kept.socket.deadline = deadline
                return kept
            kept.socket.end()
        try:
            opened = _DeadlineSocket(self._open(deadline), deadline)
        except OSError as error:
            raise GatewayNotReachedError(
                f"the gateway at {self._host}:{self._port} was not reached: {error}"
            ) from error
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = opened
        return _Kept(connection, opened)

    def _open(self, deadline: float) -> socket.socket:
        failure: OSError = TimeoutError("the deadline passed")
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for place, (family, kind, protocol, _, address) in enumerate(found):
            opened = socket.socket(family, kind, protocol)
            try:
                # A share of what is left, so that an address that is silent leaves time for the next one, be it before
                # it is connected or in the middle of TLS.
                share = _left(deadline) / (len(found) - place)
                its_deadline = time.monotonic() + share
                opened.settimeout(share)
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is None:
                    return opened
                opened = self._tls.wrap_socket(opened, server_hostname=self._host, do_handshake_on_connect=False)
                opened.settimeout(_left(its_deadline))
                opened.do_handshake()
                return opened
            except OSError as error:
                opened.close()
                failure = error
        raise failure

    def close(self) -> None:
        """End the connections that no call has; the next call opens a new one."""
        while self._idle:
            self._idle.pop().socket.end()


def is_own(answer: Answer) -> bool:
    """Whether an error is the gateway's: a page without an error object comes from what stands in front of it."""
    return isinstance(answer.document.get("error"), dict)


def spends_key(answer: Answer) -> bool:
    """Whether a failure is the gateway's own whole answer to a call's key, which it would give again under that key.

    Behind what stands in front of it the call may still run.
    """
    is_whole = is_own(answer) and (answer.status_code == 400 or answer.status_code >= 500)
    return is_whole or answer.headers.get("Idempotent-Replayed") == "true"


def _address(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL that has nothing else, or None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    beside = "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment
    if beside or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def _trusting(ca_file: str) -> ssl.SSLContext:
    """A context that trusts a file's roots, or the system's."""
    try:
        # The system's 126 roots take 14 to 16 CPU ms, Stripe's twelve 1.4. A directory of hashed ones, which are read
        # when they are needed, takes 0.1, but there is none to count on in Lambda.
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ConfigurationError("GATEWAY_CA_FILE", ca_file or None, f"a PEM file with roots ({error})") from error
    # OpenSSL takes a file of revocations alone.
    if ca_file and not context.cert_store_stats()["x509"]:
        raise ConfigurationError("GATEWAY_CA_FILE", ca_file, "a PEM file with roots (it has no certificate)")
    return context


class _DeadlineSocket:
    """A socket whose sends and reads together end at `deadline` (of time.monotonic), however the bytes trickle in."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected = connected
        self.deadline = deadline

    def is_idle(self) -> bool:
        """Open, with nothing to read: an ended or talking peer cannot be trusted with a request."""
        readable, _, _ = select.select([self._connected], [], [], 0)
        return not readable

    def sendall(self, data: bytes) -> None:
        self._connected.settimeout(_left(self.deadline))
        self._connected.sendall(data)

    def recv_into(self, buffer: memoryview) -> int:
        self._connected.settimeout(_left(self.deadline))
        return self._connected.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """http.client calls this once it has seen `Connection: close`, with the body still to be read."""

    def end(self) -> None:
        self._connected.close()


class _Kept(NamedTuple):
    connection: http.client.HTTPConnection
    socket: _DeadlineSocket


class _Reader(io.RawIOBase):
    def __init__(self, source: _DeadlineSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.recv_into(buffer)


def _left(deadline: float) -> float:
    """Seconds to the deadline, as a socket's time-out; 0 would mean non-blocking."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline passed")
    return left


def _document(response: http.client.HTTPResponse, data: bytes) -> dict[str, Any]:
    length = response.getheader("Content-Length")
    if len(data) > _ANSWER_BYTES_MAX:
        raise GatewayAnswerError(f"the gateway's answer is longer than {_ANSWER_BYTES_MAX} bytes")
    if length is not None and length.strip() != str(len(data)):
        raise GatewayAnswerError(f"the gateway's answer is truncated: {len(data)} of {length} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GatewayAnswerError(f"the gateway's answer (HTTP {response.status}) is not JSON") from error
    if not isinstance(document, dict):
        raise GatewayAnswerError(f"the gateway's answer (HTTP {response.status}) is not a JSON object")
    return document
