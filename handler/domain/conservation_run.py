"""A run of the day's sums: begin the export, list the gateway hour by hour, and compare once both are whole.

Protocol, "Conservation". The rule it keeps: it may end anywhere and goes on from what is kept; a result is kept once,
and only from an export and lists that are whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from handler.domain.conservation import KINDS, Day, Owed, Sums, compare
from handler.domain.payment import Movement
from handler.domain.ports import Clock, ListingGateway, TransactionLog
from handler.domain.typed import NamedTuple, Protocol

HOUR_MS: Final = 3_600_000
# A charge of the evening before may be recorded in the day: from here on nobody has to be asked about it.
_MARGIN_HOURS: Final = 1
# Point-in-time recovery is up to five minutes behind, and what was under way at midnight has ended.
BEGINS_AFTER_MS: Final = HOUR_MS // 2
# An hour's list is kept once it is whole; of a million payments a day one takes some two minutes at 0.3 s a page.
_LISTING_MS: Final = 120_000
# To read a million items and to ask about what no list matched.
_COMPARING_MS: Final = 600_000


class ChangesError(Exception):
    """The items of a day cannot be had; the message says which, why, and what to do."""


class Changes(Protocol):
    def between(self, since_ms: int, until_ms: int) -> Iterator[Mapping[str, Any]] | None:
        """The items that were written from `since_ms` on and before `until_ms`, as they stood then, each once.

        None while they are being exported, which the first question begins. Raises ChangesError where they cannot be
        had, and where what is read turns out not to be whole.
        """


class Kept(Protocol):
    """What runs leave to each other. What is kept once is never changed."""

    def result(self, day: date) -> Sums | None: ...

    def keep_result(self, day: date, sums: Sums, made_at: int) -> None:
        """Keep it unless there is one."""

    def hour(self, day: date, hour: int) -> list[Movement] | None:
        """What the gateway listed of an hour, by its place in the day from -1 on."""

    def keep_hour(self, day: date, hour: int, listed: list[Movement]) -> None: ...


class ConservationPorts(NamedTuple):
    changes: Changes
    kept: Kept
    log: TransactionLog
    gateway: ListingGateway
    clock: Clock


def yesterday(now_ms: int) -> date:
    """The last day that has ended, in UTC, half an hour after its end."""
    return day_of(now_ms - BEGINS_AFTER_MS) - timedelta(days=1)


def day_of(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms // 1000, UTC).date()


def begin_of(day: date) -> int:
    """When a day begins in UTC, in milliseconds since the epoch."""
    return round(1000 * datetime.combine(day, time(), UTC).timestamp())


def result_of(day: date, ports: ConservationPorts, remaining_ms: Callable[[], int]) -> Sums | None:
    """The sums of a day that has ended, made as far as the time allows; None where there is more to do.

    Calling it again is safe at any time. Raises the retryable errors of gateway and log, GatewayAnswerError for a list
    that cannot be whole, and what `Changes` raises.
    """
    if (made := ports.kept.result(day)) is not None:
        return made
    start = begin_of(day)
    # First, as it goes on by itself.
    ports.changes.between(start, start + 24 * HOUR_MS)
    hours = range(-_MARGIN_HOURS, 24)
    for hour in hours:
        if ports.kept.hour(day, hour) is None:
            if remaining_ms() < _LISTING_MS:
                return None
            since = start + hour * HOUR_MS
            found = [each for kind in KINDS for each in ports.gateway.listed(kind, since, since + HOUR_MS)]
            ports.kept.keep_hour(day, hour, found)
    changes = ports.changes.between(start, start + 24 * HOUR_MS)
    if changes is None or remaining_ms() < _COMPARING_MS:
        return None
    before = ports.kept.result(day - timedelta(days=1))
    listed = (each for hour in hours for each in ports.kept.hour(day, hour) or ())
    window = Day(start, start + 24 * HOUR_MS, start - _MARGIN_HOURS * HOUR_MS)
    owed: tuple[Owed, ...] = before.owed if before is not None else ()
    sums = compare(window, listed, changes, owed, log=ports.log, gateway=ports.gateway)
    ports.kept.keep_result(day, sums, ports.clock.now_ms())
    # Where another run was quicker, its result stands.
    return ports.kept.result(day)
