"""Where alias `live` of a function stands, before a script moves it and where it could not.

The rule it keeps: what a script has done before it failed is told with the failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from packager.live import Live, MoveError


class InPartError(Exception):
    """A part was done, and stands. The message says which, and why no more."""


class Standing(NamedTuple):
    """`version` has `live` but for `shares`, by version; `newest` was published last."""

    version: str
    shares: Mapping[str, float]
    newest: str

    def __str__(self) -> str:
        shares = "".join(f", but for {100 * share:g} % at version {other}" for other, share in self.shares.items())
        return f"live is version {self.version}{shares}; version {self.newest} is the newest that is published"


def standing(live: Live) -> Standing:
    """Raises boto3's errors."""
    version, shares = live.point()
    return Standing(version, shares, live.newest())


@contextmanager
def told(live: Live) -> Iterator[dict[str, str]]:
    """Yields what is filled, once what is inside is done, with where `live` was and is.

    Raises InPartError in place of an error that came after a part was done.
    """
    facts: dict[str, str] = {}
    before = standing(live)
    try:
        yield facts
    except (MoveError, ClientError, BotoCoreError, WaiterError) as error:
        try:
            after = standing(live)
        except (ClientError, BotoCoreError) as unknown:
            said = f"{error}. Where live of {live.function} is by now could not be asked: {unknown}"
            raise InPartError(said) from error
        if after == before:
            raise
        raise InPartError(f"{error}. What stands: {live.function}: {after}") from error
    facts |= {"function": live.function, "live_before": before.version, "live_after": live.version()}
