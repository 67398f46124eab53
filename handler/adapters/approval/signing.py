"""The key that signs links to the approval page: in KMS, which never gives it away, or in a file on this machine."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any, Final

from handler.adapters.support.errors import AwsError
from handler.domain.errors import ConfigurationError, NoticeError

_ALGORITHM: Final = "HMAC_SHA_256"
_KEY_SIZE_BYTES: Final = 32


class KmsSigner:
    """`Signer` over a KMS key of usage GENERATE_VERIFY_MAC."""

    def __init__(self, client: Any, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    @property
    def key_id(self) -> str:
        # An ARN's last part: the same key under any account's spelling.
        return self._key_id.rpartition(":key/")[2]

    def write_mac(self, message: bytes) -> bytes:
        try:
            answer = self._client.generate_mac(KeyId=self._key_id, MacAlgorithm=_ALGORITHM, Message=message)
        except AwsError as error:
            raise NoticeError(f"{self._key_id} does not sign: {error}") from error
        return answer["Mac"]  # type: ignore[no-any-return]

    def check_mac(self, message: bytes, mac: bytes) -> bool:
        if len(mac) != _KEY_SIZE_BYTES:
            return False
        try:
            answer = self._client.verify_mac(KeyId=self._key_id, MacAlgorithm=_ALGORITHM, Message=message, Mac=mac)
        except AwsError as error:
            if error.code == "KMSInvalidMacException":
                return False
            raise NoticeError(f"{self._key_id} does not verify: {error}") from error
        return bool(answer["MacValid"])


class FileSigner:
    """`Signer` with a key of 32 bytes or more in a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        try:
            self._key = path.read_bytes()
            mode = path.stat().st_mode
        except OSError as error:
            raise ConfigurationError(
                "APPROVAL_KEY_ID", f"file:{path}", f"a key file that can be read ({error})"
            ) from error
        if len(self._key) < _KEY_SIZE_BYTES:
            raise ConfigurationError("APPROVAL_KEY_ID", f"file:{path}", f"a file of {_KEY_SIZE_BYTES} random bytes")
        if mode & 0o077:
            raise ConfigurationError("APPROVAL_KEY_ID", f"file:{path}", "a file of its owner alone: chmod 600")
        self.key_id = f"file-{hashlib.sha256(self._key).hexdigest()[:8]}"

    def write_mac(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")

    def check_mac(self, message: bytes, mac: bytes) -> bool:
        return hmac.compare_digest(self.write_mac(message), mac)
