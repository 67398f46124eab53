"""The secrets that Stripe signs with for one endpoint, from Secrets Manager: the current one and the one before.

The rule it keeps: the one before is good for a day after the current one came, as long as Stripe itself can keep it.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from handler.adapters.support.errors import AwsError
from handler.domain.errors import ConfigurationError
from handler.domain.ports import Clock

_LOG = logging.getLogger(__name__)

_SECRET: Final = re.compile("whsec_[A-Za-z0-9+/=_-]{16,128}")
# "Roll endpoint signing secrets": the old one may be kept for up to 24 hours.
_BEFORE_MS: Final = 24 * 60 * 60 * 1000
# What was replaced ends in environments that live on, too.
_READ_AGAIN_MS: Final = 60 * 60 * 1000
# Whoever sends what nobody signed must not have the secret read as often.
_REFUSED_AGAIN_MS: Final = 60 * 1000


class SigningSecrets:
    """Read at once. Raises ConfigurationError, which shows nothing of them, where the current one is none."""

    def __init__(self, client: Any, secret_arn: str, clock: Clock) -> None:
        self._client = client
        self._secret_arn = secret_arn
        self._clock = clock
        self._read()

    def now_good(self) -> list[str]:
        """Those that an event may be signed with now, the current one first."""
        if self._clock.now_ms() - self._read_at >= _READ_AGAIN_MS:
            self._read_again()
        is_before_good = self._clock.now_ms() - self._current_since < _BEFORE_MS
        return [self._current, self._before] if self._before and is_before_good else [self._current]

    def renewed(self) -> list[str]:
        """The same, read anew where that was not done in the last minute: of a secret that an event did not fit."""
        if self._clock.now_ms() - self._read_at >= _REFUSED_AGAIN_MS:
            self._read_again()
        return self.now_good()

    def _read_again(self) -> None:
        try:
            self._read()
        except ConfigurationError as error:
            # What is not signed by those that are known is refused, and comes again.
            self._read_at = self._clock.now_ms()
            _LOG.warning("the signing secret was not read again: %s", error)

    def _read(self) -> None:
        current = self._version("AWSCURRENT")
        before = self._version("AWSPREVIOUS")
        text = _text(current)
        if not _SECRET.fullmatch(text):
            allowed = "a signing secret whsec_... as the secret's whole text, no JSON and no line end"
            raise ConfigurationError("WEBHOOK_SECRET_ARN", "a secret that is no signing secret", allowed)
        self._current, self._current_since = text, round(1000 * current["CreatedDate"].timestamp())
        # The first value may have been a note of who made the secret.
        self._before = _text(before) if _SECRET.fullmatch(_text(before)) else ""
        self._read_at = self._clock.now_ms()

    def _version(self, stage: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.get_secret_value(SecretId=self._secret_arn, VersionStage=stage)
            return answer
        except AwsError as error:
            if error.code == "ResourceNotFoundException" and stage == "AWSPREVIOUS":
                return {}
            allowed = f"a secret that the function may read ({error})"
            raise ConfigurationError("WEBHOOK_SECRET_ARN", self._secret_arn, allowed) from error


def _text(version: dict[str, Any]) -> str:
    return str(version.get("SecretString", ""))
