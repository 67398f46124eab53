"""The events function: what the table's stream says becomes outcome events, sent in order for each payment.

The rule it keeps: a record is done once its event was taken, or people were told that there will be none. From the
first one that is not, all come again, and each event under its own id.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from handler import lazy_entry
from handler.adapters.events.records import read_record
from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.outcome_delivery import EventTarget, deliver
from handler.domain.outcome_event import EventTooLargeError, OutcomeEvent
from handler.domain.ports import Notifier

if TYPE_CHECKING:
    from handler.adapters.approval.support import Handler

# A call of the target may take three attempts of two seconds each.
_LEAST_REMAINING_MS: Final = 8_000


class EventsFunction:
    """One batch of the stream a call; the answer names the first record from which all come again, if any."""

    def __init__(self, environment: str, target: EventTarget, notifier: Notifier) -> None:
        self._environment = environment
        self._target = target
        self._notifier = notifier

    def __call__(self, event: Mapping[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
        records = event["Records"]
        made = [(record, told) for record in records if (told := self._read(record)) is not None]
        again = deliver(
            [told for _, told in made],
            self._target,
            self._notifier,
            lambda: context.get_remaining_time_in_millis() >= _LEAST_REMAINING_MS,
        )
        first = [{"itemIdentifier": made[place][0]["dynamodb"]["SequenceNumber"]} for place in again[:1]]
        return {"batchItemFailures": first}

    def _read(self, record: Mapping[str, Any]) -> OutcomeEvent | None:
        """The record's event. What cannot be one ever would hold up all others until the stream forgets them."""
        try:
            return read_record(record, self._environment)
        except (DamagedItemError, UnknownItemError, EventTooLargeError) as error:
            key = record["dynamodb"]["Keys"]["transaction_id"]["S"]
            self._notifier.alarm("outcome_event_not_made", key, str(error))
            return None


def _create(environment: Mapping[str, str]) -> Handler:
    from handler.adapters.approval import support
    from handler.adapters.system import LoggingNotifier
    from handler.event_composition import compose_target

    observed = support.observe("payment-events", environment)
    name, target = compose_target(environment, support)
    return observed(EventsFunction(name, target, LoggingNotifier(logging.getLogger(__name__))))


__getattr__ = lazy_entry(globals(), _create)
