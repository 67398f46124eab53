"""HTTP/1.1 to one host over kept connections: a request and its whole answer by a deadline, and never a second try.

What comes back is whole, or an error that says whether the request was sent. Written here because `http.client` brings
the standard library's e-mail package, and has time-outs for each read but no deadline.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from handler.domain.typed import NamedTuple

if TYPE_CHECKING:
    import ssl

_HEAD_BYTES_MAX: Final = 65_536
_LINE_BYTES_MAX: Final = 4_096
# A server may say "go on" before its answer; more than a few times is not from one that will answer.
_INTERIM_MAX: Final = 8
# Whatever stands between may forget a silent connection without a word: a NAT gateway after 350 s, a balancer after 60.
_KEPT_SECONDS_MAX: Final = 50.0
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
_UNRESERVED: Final = _HOST_CHARACTERS | {"~"}
# RFC 9110, section 5.6.2: what the name of a header is made of.
_NAME_CHARACTERS: Final = _UNRESERVED | set("!#$%&'*+^`|")
_NEVER_IN_LINES: Final = frozenset("\r\n\0")


class Answer(NamedTuple):
    """A whole answer; the names of its headers are in lower case, and a repeated one has its values in one text."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


class NotReachedError(Exception):
    """No connection was had: nothing was sent."""


class NoAnswerError(Exception):
    """The request may have been taken, and its answer did not come within the deadline or at all."""


class BadAnswerError(Exception):
    """What came back is not a whole HTTP answer; `status_code` and `headers` where that much could be read, else 0."""

    def __init__(self, message: str, status_code: int = 0, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers or {}


class Url(NamedTuple):
    """`http[s]://host[:port]` in its parts; the port is given or the scheme's own."""

    scheme: str
    host: str
    port: int


def read_url(text: str) -> Url | None:
    """The parts of a URL that is nothing beyond scheme, host and port, or None. For `urllib.parse` takes 5 CPU-ms."""
    scheme, separator, rest = text.partition("://")
    authority = rest.removesuffix("/")
    host, bracket, port_text = authority.removeprefix("[").partition("]")
    if authority.startswith("["):
        is_host = bool(bracket) and ":" in host and set(host) <= set("0123456789abcdefABCDEF:.")
        colon, port_text = port_text[:1], port_text[1:]
    else:
        host, colon, port_text = authority.partition(":")
        is_host = bool(host) and set(host) <= _HOST_CHARACTERS
    if scheme not in ("http", "https") or not separator or not is_host or colon not in ("", ":"):
        return None
    if not colon:
        return Url(scheme, host, 443 if scheme == "https" else 80)
    is_port = port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and 0 < int(port_text) < 65_536
    return Url(scheme, host, int(port_text)) if is_port else None


def host_header(url: Url) -> str:
    """The value of `Host`: the port only where it is not the scheme's own."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port == (443 if url.scheme == "https" else 80) else f"{host}:{url.port}"


def quoted(text: str, kept: str = "") -> str:
    """Percent-encoded but for unreserved characters and those of `kept`."""
    if _UNRESERVED.union(kept).issuperset(text):
        return text
    return "".join(
        each if each in _UNRESERVED or each in kept else "".join(f"%{byte:02X}" for byte in each.encode())
        for each in text
    )


def form(fields: Sequence[tuple[str, str]]) -> str:
    """Names and values as `application/x-www-form-urlencoded`."""
    return "&".join("=".join(quoted(each, " ").replace(" ", "+") for each in field) for field in fields)


def request_bytes(method: str, target: str, headers: Mapping[str, str], payload: bytes | None) -> bytes:
    """A request as it goes out. Raises ValueError for a header that would be more than one line."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if payload is not None or method == "POST":
        lines.append(f"Content-Length: {len(payload or b'')}")
    if any("\r" in line or "\n" in line for line in (method, target, *lines)):
        raise ValueError("a header of more than one line")
    head = "\r\n".join((f"{method} {target} HTTP/1.1", *lines, "", ""))
    return head.encode("latin-1") + (payload or b"")


class Peer:
    """One host and the connections to it that are kept between calls, each for one call at a time; for any thread.

    `connect_seconds` and `answer_seconds` limit the two parts of a call beside its deadline. Name resolution alone has
    no time limit in Python.
    """

    def __init__(
        self,
        url: Url,
        tls: ssl.SSLContext | None,
        *,
        body_bytes_max: int,
        connect_seconds: float = float("inf"),
        answer_seconds: float = float("inf"),
    ) -> None:
        self._url = url
        # As bytes: a text would go through the codec `idna`, which is another import.
        self._host = url.host.encode("ascii")
        self._tls = tls
        self._body_bytes_max = body_bytes_max
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        # Those that nobody uses, and since when; taken and given back by operations that are atomic.
        self._idle: list[tuple[socket.socket, float]] = []
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            # Whoever wakes up from a snapshot is another one, whose clock may not say how long it slept ("Lambda
            # SnapStart": network connections).
            import_module("snapshot_restore_py").register_before_snapshot(self.close)

    def exchange(self, request: bytes, deadline: float) -> Answer:
        """Send a request and read its answer, by `deadline` (of time.monotonic).

        Raises NotReachedError, NoAnswerError, BadAnswerError.
        """
        begun = time.monotonic()
        connected = self._kept() or self._open(deadline)
        until = min(deadline, time.monotonic() + self._answer_seconds)
        try:
            connected.settimeout(_left(until))
            connected.sendall(request)
            answer, may_keep = read_answer(lambda: _receive(connected, until), self._body_bytes_max)
        except TimeoutError as error:
            connected.close()
            raise NoAnswerError(f"no answer within {until - begun:.3g} s") from error
        except OSError as error:
            connected.close()
            raise NoAnswerError(f"connection lost: {error}") from error
        except BaseException:
            connected.close()
            raise
        if may_keep:
            self._idle.append((connected, time.monotonic()))
        else:
            connected.close()
        return answer

    def open(self, deadline: float) -> None:
        """Have a connection before the first request needs one. Raises NotReachedError."""
        self._idle.append((self._kept() or self._open(deadline), time.monotonic()))

    def close(self) -> None:
        """End the connections that are kept; the next call opens a new one."""
        while self._idle:
            self._idle.pop()[0].close()

    def _kept(self) -> socket.socket | None:
        while True:
            try:
                kept, since = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < _KEPT_SECONDS_MAX and self._is_silent(kept):
                return kept
            kept.close()

    def _is_silent(self, kept: socket.socket) -> bool:
        """Open, with nothing to read: an ended or talking peer cannot be trusted with a request."""
        readable, _, _ = select.select([kept], [], [], 0)
        if not readable:
            return True
        if self._tls is None:
            return False
        # In TLS 1.3 tickets come after the handshake, and are no answer to anything.
        from ssl import SSLWantReadError

        try:
            kept.settimeout(0)
            kept.recv(1)
        except SSLWantReadError:
            return True
        except OSError:
            return False
        return False

    def _open(self, deadline: float) -> socket.socket:
        until = min(deadline, time.monotonic() + self._connect_seconds)
        failure: OSError = TimeoutError("the deadline passed")
        try:
            found = socket.getaddrinfo(self._host, self._url.port, type=socket.SOCK_STREAM)
        except OSError as error:
            found, failure = [], error
        for place, (family, kind, protocol, _, address) in enumerate(found):
            opened = socket.socket(family, kind, protocol)
            try:
                # A share of what is left, so that an address that is silent leaves time for the next one, be it before
                # it is connected or in the middle of TLS.
                share = _left(until) / (len(found) - place)
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
        raise NotReachedError(f"{self._url.host}:{self._url.port} was not reached: {failure}") from failure


def read_answer(receive: Callable[[], bytes], body_bytes_max: int) -> tuple[Answer, bool]:
    """An answer from what `receive` gives, b"" at its end, and whether the connection may be used again after it.

    Source: RFC 9112, sections 4 to 7; stricter than it where an answer could be cut in two ways. Raises NoAnswerError,
    BadAnswerError, and what `receive` raises.
    """
    source = _Source(receive)
    status_code, headers, is_current = 100, {"": ""}, False
    for _ in range(_INTERIM_MAX):
        if status_code >= 200:
            break
        try:
            status_code, headers, is_current = _head(source.line(b"\r\n\r\n", _HEAD_BYTES_MAX))
        except EOFError as error:
            raise NoAnswerError("the connection ended before the answer") from error
    if status_code < 200:
        raise BadAnswerError("the answer is still to come after eight interim ones")
    try:
        body, is_delimited = _body(source, status_code, headers, body_bytes_max)
    except EOFError as error:
        raise BadAnswerError("the answer is truncated", status_code, headers) from error
    except (ValueError, BadAnswerError) as error:
        raise BadAnswerError(str(error), status_code, headers) from error
    closes = "close" in headers.get("connection", "").lower()
    return Answer(status_code, headers, body), is_current and is_delimited and not closes and source.is_used_up


class _Source:
    """What has come and was not read yet. Its methods raise EOFError where the end comes too early."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._data = bytearray()

    @property
    def is_used_up(self) -> bool:
        return not self._data

    def line(self, end: bytes, bytes_max: int) -> bytes:
        """All before the next `end`. Raises BadAnswerError where it does not come within `bytes_max`."""
        searched = 0
        while (place := self._data.find(end, searched)) < 0:
            searched = max(0, len(self._data) - len(end) + 1)
            if len(self._data) > bytes_max:
                raise BadAnswerError(f"a line or head of more than {bytes_max} bytes")
            self._more()
        return self._take(place, len(end))

    def exactly(self, count: int) -> bytes:
        while len(self._data) < count:
            self._more()
        return self._take(count, 0)

    def to_the_end(self, bytes_max: int) -> bytes:
        """All that still comes, or more than `bytes_max` of it."""
        try:
            while len(self._data) <= bytes_max:
                self._more()
        except EOFError:
            pass
        return self._take(len(self._data), 0)

    def _take(self, count: int, ending: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[: count + ending]
        return taken

    def _more(self) -> None:
        data = self._receive()
        if not data:
            raise EOFError
        self._data += data


def _head(head: bytes) -> tuple[int, dict[str, str], bool]:
    """Status, headers, and whether it is of HTTP/1.1."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    code = rest[:3]
    is_status = len(code) == 3 and code.isascii() and code.isdigit() and code[0] != "0" and rest[3:4] in ("", " ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not is_status:
        raise BadAnswerError("no HTTP/1.1 status line")
    # Others take a line end alone for one too, and what follows it for headers.
    if not _NEVER_IN_LINES.isdisjoint("".join((status_line, *lines))):
        raise BadAnswerError("a line end within a line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not _NAME_CHARACTERS.issuperset(name):
            raise BadAnswerError("a header that is none")
        name, value = name.lower(), value.strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in ("content-length", "transfer-encoding"):
            raise BadAnswerError(f"{name} twice")
        else:
            headers[name] += f", {value}"
    return int(code), headers, version == "HTTP/1.1"


def _body(source: _Source, status_code: int, headers: Mapping[str, str], bytes_max: int) -> tuple[bytes, bool]:
    """The body, and whether its end was said and not only the connection's. Raises ValueError, EOFError."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise ValueError("a transfer-encoding beside a content-length, or other than chunked")
        return _chunks(source, bytes_max), True
    if status_code in (204, 304):
        return b"", True
    if length is None:
        body = source.to_the_end(bytes_max)
        if len(body) > bytes_max:
            raise ValueError(f"an answer longer than {bytes_max} bytes")
        return body, False
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        raise ValueError("a content-length that is no number")
    if int(length) > bytes_max:
        raise ValueError(f"an answer longer than {bytes_max} bytes")
    return source.exactly(int(length)), True


def _chunks(source: _Source, bytes_max: int) -> bytes:
    body = bytearray()
    while True:
        digits = source.line(b"\r\n", _LINE_BYTES_MAX).partition(b";")[0].rstrip(b" \t")
        if not digits or len(digits) > 16 or not _HEX_DIGITS.issuperset(digits):
            raise ValueError("a chunk without its size")
        size = int(digits, 16)
        if not size:
            break
        if len(body) + size > bytes_max:
            raise ValueError(f"an answer longer than {bytes_max} bytes")
        body += source.exactly(size)
        if source.exactly(2) != b"\r\n":
            raise ValueError("a chunk longer than its size")
    trailing_bytes = 0
    while trailer := source.line(b"\r\n", _LINE_BYTES_MAX):
        trailing_bytes += len(trailer)
        if trailing_bytes > _HEAD_BYTES_MAX:
            raise ValueError("trailers without an end")
    return bytes(body)


def _receive(connected: socket.socket, deadline: float) -> bytes:
    connected.settimeout(_left(deadline))
    return connected.recv(65_536)


def _left(deadline: float) -> float:
    """Seconds to the deadline, as a socket's time-out; 0 would mean non-blocking."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline passed")
    return left
