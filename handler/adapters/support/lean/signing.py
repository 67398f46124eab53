"""Signature Version 4: the Authorization header of a request to AWS.

Source: "AWS Signature Version 4 for API requests", IAM User Guide. All headers that it is given are signed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from handler.adapters.connection import quoted
from handler.domain.typed import NamedTuple

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Keys(NamedTuple):
    """Credentials as they sign; `token` is empty for those that last."""

    key_id: str
    secret: str
    token: str


class Signer:
    """Signs for one service of one region, whose key of the day is made once; for any thread."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._kept: tuple[str, str, bytes] = ("", "", b"")

    def authorization(
        self, method: str, path: str, headers: Mapping[str, str], payload: bytes, *, keys: Keys, stamp: str
    ) -> str:
        """`path` as it is sent, without a query; `headers` by names in lower case; `stamp` as in 20150830T123600Z."""
        day = stamp[:8]
        names = sorted(headers)
        signed = ";".join(names)
        canonical = "\n".join(
            (
                method,
                # Once more over what is quoted already, as all services but S3 ask.
                quoted(path, "/"),
                "",
                *(f"{name}:{' '.join(headers[name].split())}" for name in names),
                "",
                signed,
                hashlib.sha256(payload).hexdigest(),
            )
        )
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        signature = hmac.digest(self._key(keys.secret, day), text.encode(), "sha256").hex()
        return f"{_ALGORITHM} Credential={keys.key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"

    def _key(self, secret: str, day: str) -> bytes:
        kept_secret, kept_day, key = self._kept
        if (kept_secret, kept_day) != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._kept = secret, day, key
        return key
