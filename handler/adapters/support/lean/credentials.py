"""The credentials that sign, from Lambda's variables or from the endpoint that they name, renewed before they end.

The rule it keeps: what is missing or cannot be had at all fails init by the name of its variable, and nothing of a
secret is ever shown.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from threading import Lock
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
from handler.adapters.support.errors import AwsError
from handler.adapters.support.lean.signing import Keys
from handler.domain.errors import ConfigurationError

_LOG = logging.getLogger(__name__)

_URI: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_PROFILES: Final = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
# Where credentials may come from without TLS ("Container credential provider", AWS SDKs and Tools Reference Guide).
_PLAIN_HOSTS: Final = ("localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")
_RENEWED_SECONDS: Final = 600
# With less than this left, a request could arrive after its credentials have ended.
_USABLE_SECONDS: Final = 30
_ASKED_AGAIN_SECONDS: Final = 10.0
_TRIES: Final = 3
_ANSWER_SECONDS: Final = 2.0
# Of all tries: a call that waits for a renewal has five seconds in all.
_DEADLINE_SECONDS: Final = 3.0
_ANSWER_BYTES_MAX: Final = 65_536


def find_credentials(environment: Mapping[str, str]) -> Callable[[], Keys]:
    """What gives the keys for a request, of the variables or, without those, of the endpoint; for any thread.

    Its calls raise AwsError where credentials have ended and are not renewed. Raises ConfigurationError.
    """
    for variable in _PROFILES:
        if environment.get(variable):
            allowed = "no value, as a profile's settings are known with SUPPORT=standard alone"
            raise ConfigurationError(variable, environment[variable], allowed)
    key_id, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if key_id:
        if not secret:
            raise ConfigurationError("AWS_SECRET_ACCESS_KEY", None, "the secret of AWS_ACCESS_KEY_ID")
        keys = Keys(key_id, secret, environment.get("AWS_SESSION_TOKEN", ""))
        for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), keys, strict=True):
            if not _is_one_word(value):
                raise ConfigurationError(name, "***", "one word of printable ASCII, without spaces around it")
        return lambda: keys
    if environment.get(_URI):
        return _Endpoint(environment).keys
    raise ConfigurationError(
        "AWS_ACCESS_KEY_ID",
        None,
        f"credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the endpoint of {_URI}; profiles, roles of "
        "instances and of web identities are known with SUPPORT=standard alone",
    )


def _is_one_word(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


class _Endpoint:
    """The container credential provider, which Lambda has for functions with SnapStart."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        uri = environment[_URI]
        scheme, _, rest = uri.partition("://")
        authority, slash, path = rest.partition("/")
        url = read_url(f"{scheme}://{authority}")
        is_near = url is not None and (url.host in _PLAIN_HOSTS or _is_loopback(url.host))
        if url is None or not _is_one_word(path) or (url.scheme == "http" and not is_near):
            raise ConfigurationError(
                _URI, f"***@{uri.rpartition('@')[2]}" if "@" in uri else uri, "https://host/path, http on this machine"
            )
        tls = None
        if url.scheme == "https":
            from ssl import create_default_context

            tls = create_default_context()
        self._path = slash + path or "/"
        self._host = host_header(url)
        self._peer = Peer(url, tls, body_bytes_max=_ANSWER_BYTES_MAX)
        self._lock = Lock()
        self._asked_at = 0.0
        self._failed_at, self._failure = 0.0, ""
        try:
            self._keys, self._ends_at = self._asked()
        except AwsError as error:
            raise ConfigurationError(_URI, uri, f"an endpoint that gives credentials ({error})") from error

    def keys(self) -> Keys:
        left = self._ends_at - time.time()
        if left > _RENEWED_SECONDS:
            return self._keys
        is_usable, came_at = left > _USABLE_SECONDS, time.monotonic()
        # One thread renews; the others go on with what is still good, or wait for it.
        if not self._lock.acquire(blocking=not is_usable):
            return self._keys
        try:
            # Each asking for itself, one after the other, ten of them would outlast the invocation.
            if not is_usable and came_at < self._failed_at:
                raise AwsError("renewal", "", self._failure)
            self._renew(is_usable)
            return self._keys
        finally:
            self._lock.release()

    def _renew(self, is_usable: bool) -> None:
        # Another thread may have done so meanwhile; and an endpoint that is down is not asked before every request.
        is_new = self._ends_at - time.time() > _RENEWED_SECONDS
        if is_new or (is_usable and time.monotonic() - self._asked_at < _ASKED_AGAIN_SECONDS):
            return
        self._asked_at = time.monotonic()
        try:
            self._keys, self._ends_at = self._asked()
        except AwsError as error:
            self._failed_at, self._failure = time.monotonic(), str(error)
            if not is_usable:
                raise
            _LOG.warning("credentials are not renewed yet, the present ones are still good: %s", error)

    def _asked(self) -> tuple[Keys, float]:
        failure, deadline = "", time.monotonic() + _DEADLINE_SECONDS
        for _ in range(_TRIES):
            begun = time.monotonic()
            if begun >= deadline:
                break
            try:
                answer = self._peer.exchange(self._request(), min(deadline, begun + _ANSWER_SECONDS))
            except (NotReachedError, NoAnswerError, BadAnswerError) as error:
                failure = str(error)
                continue
            if answer.status_code == 200:
                keys, ends_at = _read(answer.body)
                if ends_at <= time.time():
                    raise AwsError("credentials", "", "those that the endpoint gives have ended")
                return keys, ends_at
            failure = f"HTTP {answer.status_code}"
            if answer.status_code < 500 and answer.status_code != 429:
                break
        raise AwsError("credentials", "", failure)

    def _request(self) -> bytes:
        headers = {"Host": self._host, "Accept": "application/json", "Accept-Encoding": "identity"}
        token, path = self._environment.get(_TOKEN, ""), self._environment.get(_TOKEN_FILE, "")
        if path:
            try:
                # Read each time: whoever issues it writes it anew.
                with open(path, encoding="ascii") as file:
                    token = file.read()
            except (OSError, ValueError) as error:
                raise AwsError("credentials", "", f"the file of {_TOKEN_FILE} cannot be read: {error}") from error
        if token:
            headers["Authorization"] = token
        try:
            return request_bytes("GET", self._path, headers, None)
        except ValueError as error:
            raise AwsError("credentials", "", f"{_TOKEN_FILE if path else _TOKEN} is not one line") from error


def _is_loopback(host: str) -> bool:
    parts = host.split(".")
    return parts[0] == "127" and len(parts) == 4 and all(part.isdigit() for part in parts)


def _read(body: bytes) -> tuple[Keys, float]:
    """The keys of an answer and when they end, in seconds since 1970; of one that is none, nothing is shown."""
    from datetime import UTC, datetime

    try:
        document: Any = json.loads(body)
        keys = Keys(document["AccessKeyId"], document["SecretAccessKey"], document["Token"])
        ends = datetime.fromisoformat(document["Expiration"])
        if not all(map(_is_one_word, keys)) or not keys.key_id or not keys.secret:
            raise ValueError
        return keys, (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp()
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise AwsError(
            "credentials", "", "the answer has no AccessKeyId, SecretAccessKey, Token and Expiration"
        ) from None
