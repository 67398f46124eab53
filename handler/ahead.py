"""The prepares of one batch that are sent before their messages' turns, and what became of each.

The rule it keeps: once a message's turn has come nothing is sent ahead for it, and what is under way is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from handler.domain.claim import Ahead

if TYPE_CHECKING:
    from handler.adapters.workers import Workers


class PreparesAhead:
    """One for each place of a batch; `prepare` gives a place's reference, or "", and never raises."""

    def __init__(self, places: int, workers: Workers, prepare: Callable[[int], str]) -> None:
        self._prepare = prepare
        self._locks = [workers.new_lock() for _ in range(places)]
        self._prepared = [Ahead() for _ in range(places)]

    def send(self, place: int) -> None:
        """Prepare, unless the message's turn has come."""
        if self._locks[place].acquire(blocking=False):
            try:
                self._prepared[place].gateway_ref = self._prepare(place)
            finally:
                self._locks[place].release()

    def take(self, place: int) -> Ahead:
        """What was prepared; the message's turn has come, and the lock is never given back."""
        self._locks[place].acquire()
        return self._prepared[place]

    def in_vain(self) -> list[int]:
        """The places whose reference nobody used."""
        return [place for place, each in enumerate(self._prepared) if each.gateway_ref and not each.is_used]

    def gateway_ref(self, place: int) -> str:
        return self._prepared[place].gateway_ref
