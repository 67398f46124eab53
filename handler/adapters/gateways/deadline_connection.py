"""The calls of a payment gateway: a JSON object and its status within one deadline, and never a second try.

What comes back is whole or an error that says whether the request can have taken effect.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final

from handler.adapters.connection import (
    BadAnswerError,
    NoAnswerError,
    NotReachedError,
    Peer,
    host_header,
    read_url,
    request_bytes,
)
from handler.adapters.support.endpoints import proxy_of
from handler.domain.errors import ConfigurationError, GatewayAnswerError, GatewayNotReachedError, UnknownOutcomeError
from handler.domain.typed import NamedTuple

# A payment's answer is a few kilobytes, a page of a hundred disputes with their evidence some 400; more is not from a
# gateway.
_ANSWER_BYTES_MAX: Final = 1_048_576


class Answer(NamedTuple):
    """A whole answer: HTTP status, JSON object (empty for an error that has none), headers by names in lower case."""

    status_code: int
    document: dict[str, Any]
    headers: Mapping[str, str]


class DeadlineConnection:
    """A gateway and the connections to it that are kept alive between calls; for any thread.

    url: `http[s]://host[:port]`. deadline_seconds: total of one call, over connecting, sending and reading (name
    resolution alone has no deadline of its own in Python). ca_file: a PEM file of the roots that an https host is
    trusted by; empty: all of the system's. Raises ConfigurationError for another URL or file, and for an HTTP proxy.
    """

    def __init__(self, url: str, deadline_seconds: float = 5.0, ca_file: str = "") -> None:
        parts = read_url(url)
        if parts is None:
            raise ConfigurationError(
                "GATEWAY_URL", url or None, "http://host:port or https://host, without path or user information"
            )
        if ca_file and parts.scheme != "https":
            raise ConfigurationError("GATEWAY_CA_FILE", ca_file, "no value, as GATEWAY_URL is without TLS")
        if proxy := proxy_of(os.environ, parts):
            allowed = f"no value, or {host_header(parts)} in NO_PROXY, as the gateway is asked directly"
            raise ConfigurationError(proxy, "***", allowed)
        tls = _trusting(ca_file) if parts.scheme == "https" else None
        self._host = host_header(parts)
        self._peer = Peer(parts, tls, body_bytes_max=_ANSWER_BYTES_MAX)
        self.deadline_seconds = deadline_seconds

    def call(
        self, method: str, path: str, headers: Mapping[str, str], payload: bytes | None, deadline: float | None = None
    ) -> Answer:
        """One request and its answer, by `deadline` (of time.monotonic) or within this connection's own.

        Raises GatewayNotReachedError where no connection was had, UnknownOutcomeError where the answer did not come,
        GatewayAnswerError where it is neither an error nor a whole JSON object.
        """
        named = {"Host": self._host, "Accept-Encoding": "identity", **headers}
        request = request_bytes(method, path, named, payload)
        try:
            status_code, received, body = self._peer.exchange(
                request, deadline or time.monotonic() + self.deadline_seconds
            )
            return Answer(status_code, _document(status_code, body), received)
        except NotReachedError as error:
            raise GatewayNotReachedError(f"the gateway at {error}") from error
        except NoAnswerError as error:
            raise UnknownOutcomeError(f"{method}: {error}") from error
        except BadAnswerError as error:
            # Whatever stands between us and the gateway writes its own pages for these; the status says enough.
            if error.status_code >= 400:
                return Answer(error.status_code, {}, error.headers)
            raise GatewayAnswerError(f"the gateway's answer to {method}: {error}") from error

    def connect(self, seconds: float) -> None:
        """Have a connection within so many seconds, so that the next call need not wait for one.

        Raises GatewayNotReachedError.
        """
        try:
            self._peer.open(time.monotonic() + seconds)
        except NotReachedError as error:
            raise GatewayNotReachedError(f"the gateway at {error}") from error

    def close(self) -> None:
        """End the kept connections; the next call opens a new one."""
        self._peer.close()


def is_own(answer: Answer) -> bool:
    """Whether an error is the gateway's: a page without an error object comes from what stands in front of it."""
    return isinstance(answer.document.get("error"), dict)


def spends_key(answer: Answer) -> bool:
    """Whether a failure is the gateway's own whole answer to a call's key, which it would give again under that key.

    Behind what stands in front of it the call may still run.
    """
    is_whole = is_own(answer) and (answer.status_code == 400 or answer.status_code >= 500)
    return is_whole or answer.headers.get("idempotent-replayed") == "true"


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


def _document(status_code: int, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        document = error
    if isinstance(document, dict):
        return document
    if status_code >= 400:
        return {}
    kind = "is not JSON" if isinstance(document, Exception) else "is not a JSON object"
    raise GatewayAnswerError(f"the gateway's answer (HTTP {status_code}) {kind}")
