"""Sending outcome events: ten at once, and one payment's in their order, whatever is not taken.

The rule it keeps: after an event that has to be sent again none of its payment is sent, and others are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from handler.domain.outcome_event import OutcomeEvent
from handler.domain.ports import Notifier
from handler.domain.typed import NamedTuple, Protocol

# What each target takes in one call.
AT_ONCE: Final = 10


class EventTargetError(Exception):
    """The target did not answer, or refused the whole call: which events it took is not known, and all come again."""


class Refusal(NamedTuple):
    """An event that was not taken. `is_for_good`: what is wrong with it stays wrong."""

    event_id: str
    is_for_good: bool
    detail: str


class EventTarget(Protocol):
    """Where outcome events go."""

    def send(self, events: Sequence[OutcomeEvent], /) -> list[Refusal]:
        """Send at most `AT_ONCE` events, no two of one payment; what was not taken. Raises EventTargetError."""


def deliver(
    events: Sequence[OutcomeEvent], target: EventTarget, notifier: Notifier, has_time: Callable[[], bool] = lambda: True
) -> list[int]:
    """Send events in their order; the places of those that have to be sent again, those behind them of a payment too.

    One that the target refuses for good is an alarm and does not come again: its item stands, and the event is made
    from it again once people know.
    """
    left, again = list(range(len(events))), []
    held: set[str] = set()
    while left and has_time():
        sending: list[int] = []
        for place in left:
            payment_id = events[place].payment_id
            if len(sending) < AT_ONCE and payment_id not in held | {events[each].payment_id for each in sending}:
                sending.append(place)
        if not sending:
            break
        left = [place for place in left if place not in sending]
        try:
            refusals = {refusal.event_id: refusal for refusal in target.send([events[place] for place in sending])}
        except EventTargetError:
            # The next call would most likely meet the same.
            again += sending
            break
        for place in sending:
            event = events[place]
            refusal = refusals.get(event.event_id)
            if refusal is None:
                continue
            if refusal.is_for_good:
                notifier.alarm("outcome_event_refused", event.transaction_id, refusal.detail)
                continue
            again.append(place)
            held.add(event.payment_id)
    return sorted(again + left)
