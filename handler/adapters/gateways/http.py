"""The payment gateway over HTTP: three calls, one total deadline each, and never a second try behind the caller's back.

What no complete and believable answer settles is an unknown outcome for a charge, and nothing else.
"""

from __future__ import annotations

import http.client
import io
import json
import re
import select
import socket
import ssl
import time
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from handler.domain.errors import ConfigurationError, GatewayAnswerError, GatewayUnavailableError, UnknownOutcomeError
from handler.domain.payment import GatewayResult, Payment

# An answer is a few hundred bytes; more is not from this gateway.
_ANSWER_BYTES_MAX: Final = 65_536
_REF: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATES: Final[dict[str, Literal["prepared", "in_progress", "approved", "declined"]]] = {
    "requires_confirmation": "prepared",
    "processing": "in_progress",
    "succeeded": "approved",
    "declined": "declined",
}


class HttpPaymentGateway:
    """PaymentGateway over one connection that is kept alive between calls; for one thread.

    url: `http[s]://host[:port]`. deadline_seconds: total of one call, over connecting, sending and reading (name
    resolution alone has no deadline of its own in Python).
    """

    def __init__(self, url: str, deadline_seconds: float = 5.0) -> None:
        scheme, host, port = _address(url) or ("", "", 0)
        # Outside of any handler: what `urlsplit` raises may hold a password, and a traceback would print it.
        if not host:
            raise ConfigurationError(
                "GATEWAY_URL", url or None, "http://host:port or https://host, without path or user information"
            )
        self._host = host
        self._port = port
        self._tls = ssl.create_default_context() if scheme == "https" else None
        self._deadline_seconds = deadline_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._socket: _DeadlineSocket | None = None

    def prepare(self, payment: Payment, key: str) -> str:
        """Create an unconfirmed payment intent; no money moves, so no failure here leaves a doubt about any.

        Raises GatewayUnavailableError, GatewayAnswerError.
        """
        body = {
            "amount": payment.amount_minor,
            "currency": payment.currency.lower(),
            "metadata": {"payment_id": payment.payment_id},
        }
        try:
            status_code, answer = self._call("POST", "/v1/payment_intents", f"{key}:prepare", body)
        except UnknownOutcomeError as error:
            raise GatewayUnavailableError(f"nothing was charged: {error}") from error
        if status_code != 200:
            raise GatewayUnavailableError(
                f"the gateway refused to prepare the payment: {_refusal(status_code, answer)}"
            )
        gateway_ref = answer.get("id")
        if not isinstance(gateway_ref, str) or not _REF.fullmatch(gateway_ref):
            raise GatewayAnswerError("the gateway's answer names no payment intent")
        result = _result(answer, gateway_ref)
        if (result.amount_minor, result.currency) != (payment.amount_minor, payment.currency):
            raise GatewayAnswerError(
                f"{gateway_ref} was prepared over {result.amount_minor} {result.currency}, "
                f"the payment is {payment.amount_minor} {payment.currency}"
            )
        return gateway_ref

    def charge(self, gateway_ref: str, key: str) -> GatewayResult:
        """Confirm a payment intent.

        Raises GatewayUnavailableError where the gateway was not reached or refused the request, UnknownOutcomeError
        where it may have charged (time-out, reset, 5xx, 409), GatewayAnswerError where its answer is unbelievable.
        """
        status_code, answer = self._call("POST", f"/v1/payment_intents/{gateway_ref}/confirm", key, {})
        if status_code == 200:
            return _result(answer, gateway_ref)
        error = answer.get("error")
        if status_code == 402 and isinstance(error, dict):
            return _result(error.get("payment_intent"), gateway_ref)
        # 400 unexpected state: this intent was settled by an earlier request, whose outcome `status` knows.
        settled = isinstance(error, dict) and error.get("code") == "payment_intent_unexpected_state"
        if settled or status_code == 409 or status_code >= 500:
            raise UnknownOutcomeError(f"the charge of {gateway_ref} is open: {_refusal(status_code, answer)}")
        raise GatewayUnavailableError(f"the gateway refused to charge {gateway_ref}: {_refusal(status_code, answer)}")

    def status(self, gateway_ref: str) -> GatewayResult:
        """Read a payment intent by id. Raises GatewayUnavailableError, GatewayAnswerError."""
        try:
            status_code, answer = self._call("GET", f"/v1/payment_intents/{gateway_ref}", None, None)
        except UnknownOutcomeError as error:
            raise GatewayUnavailableError(f"the status of {gateway_ref} could not be read: {error}") from error
        if status_code != 200:
            raise GatewayUnavailableError(
                f"the status of {gateway_ref} could not be read: {_refusal(status_code, answer)}"
            )
        return _result(answer, gateway_ref)

    def _call(self, method: str, path: str, key: str | None, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """One request and its answer, within the deadline.

        Raises GatewayUnavailableError where no connection was had, UnknownOutcomeError where the answer did not come,
        GatewayAnswerError where it is not a whole JSON object.
        """
        deadline = time.monotonic() + self._deadline_seconds
        connection = self._connected(deadline)
        headers = {"Accept": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        payload = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            payload = json.dumps(body).encode()
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            data = response.read(_ANSWER_BYTES_MAX + 1)
        except TimeoutError as error:
            self.close()
            raise UnknownOutcomeError(f"no answer to {method} within {self._deadline_seconds:g} s") from error
        except OSError as error:
            self.close()
            raise UnknownOutcomeError(f"connection lost during {method}: {error}") from error
        except http.client.HTTPException as error:
            self.close()
            raise GatewayAnswerError(f"the gateway's answer to {method} is not HTTP: {type(error).__name__}") from error
        if response.will_close or not response.isclosed():
            self.close()
        try:
            return response.status, _document(response, data)
        except GatewayAnswerError:
            # Whatever stands between us and the gateway writes its own pages for these; the status says enough.
            if response.status >= 500:
                return response.status, {}
            raise

    def _connected(self, deadline: float) -> http.client.HTTPConnection:
        """The kept connection, or a new one where there is none or the gateway has ended it."""
        if self._connection is not None and self._socket is not None and self._socket.is_idle():
            self._socket.deadline = deadline
            return self._connection
        self.close()
        try:
            self._socket = _DeadlineSocket(self._open(deadline), deadline)
        except OSError as error:
            raise GatewayUnavailableError(
                f"the gateway at {self._host}:{self._port} was not reached: {error}"
            ) from error
        self._connection = http.client.HTTPConnection(self._host, self._port)
        self._connection.sock = self._socket
        return self._connection

    def _open(self, deadline: float) -> socket.socket:
        failure: OSError = TimeoutError("the deadline passed")
        for family, kind, protocol, _, address in socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(_left(deadline))
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is None:
                    return opened
                opened = self._tls.wrap_socket(opened, server_hostname=self._host, do_handshake_on_connect=False)
                opened.settimeout(_left(deadline))
                opened.do_handshake()
                return opened
            except OSError as error:
                opened.close()
                failure = error
        raise failure

    def close(self) -> None:
        """End the kept connection; the next call opens a new one."""
        if self._socket is not None:
            self._socket.end()
        self._connection = self._socket = None


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
    except ValueError as error:
        raise GatewayAnswerError(f"the gateway's answer (HTTP {response.status}) is not JSON") from error
    if not isinstance(document, dict):
        raise GatewayAnswerError(f"the gateway's answer (HTTP {response.status}) is not a JSON object")
    return document


def _result(intent: object, gateway_ref: str) -> GatewayResult:
    """A payment intent as a result; raises GatewayAnswerError unless it is complete and about `gateway_ref`."""
    if not isinstance(intent, dict) or intent.get("id") != gateway_ref:
        raise GatewayAnswerError(f"the gateway's answer is not about {gateway_ref}")
    state = _STATES.get(str(intent.get("status")))
    amount, currency = intent.get("amount"), intent.get("currency")
    if state is None or not isinstance(amount, int) or isinstance(amount, bool) or not isinstance(currency, str):
        raise GatewayAnswerError(f"the gateway's answer about {gateway_ref} has no known status, amount or currency")
    return GatewayResult(
        state=state,
        amount_minor=amount,
        currency=currency.upper(),
        authorization_code=str(intent.get("authorization_code") or ""),
        timestamp=str(intent.get("timestamp") or ""),
    )


def _refusal(status_code: int, answer: dict[str, Any]) -> str:
    """Status and error code only: a gateway's message may repeat what it was sent."""
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return f"HTTP {status_code} {code}" if isinstance(code, str) else f"HTTP {status_code}"
