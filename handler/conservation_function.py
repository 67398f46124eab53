"""The conservation function, every half hour: the sums of each day that ended, made once, and told for a day.

The rule it keeps: what fails ends the run and not the sums: the next one goes on, with the oldest day that lacks them.
That they are late is an alarm.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from handler import lazy_entry
from handler.adapters.support.errors import AwsError
from handler.domain.conservation import Sums
from handler.domain.conservation_run import ChangesError, ConservationPorts, begin_of, result_of, yesterday
from handler.domain.errors import RetryableError

if TYPE_CHECKING:
    from handler.adapters.approval.support import Handler
    from handler.support import Metrics

_LOG = logging.getLogger(__name__)

NAMESPACE: Final = "CloudCafe/Lambda"
DIFFERENCES: Final = "ConservationDifferences"
LATE: Final = "ConservationLate"
# What each metric says of one run. docs/metrics.md is made from it.
METRICS: Final = {
    DIFFERENCES: "Movements of money on which the items and the gateway's list of yesterday do not agree.",
    LATE: "1 where the sums of yesterday, or of a day before it, are not made eight hours after its end, else 0.",
}
_UNIT: Final = "None"
_DAY_MS: Final = 24 * 3_600_000
_LATE_AFTER_MS: Final = 8 * 3_600_000
# So many days are made behind the last one that has sums; before the first sums nobody owes any.
_MISSED_MAX: Final = 7
# Log lines of one result; the result itself has the first thousand.
_LOGGED_MAX: Final = 20


class ConservationFunction:
    """One run a call: of yesterday and what was missed before it, or of `{"day": "2026-11-27"}` alone."""

    def __init__(self, ports: ConservationPorts, metrics: Metrics) -> None:
        self._ports = ports
        self._metrics = metrics

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Raises ValueError for a day that is none, or has not ended."""
        last = yesterday(self._ports.clock.now_ms())
        asked = event.get("day") if isinstance(event, dict) else None
        if asked is not None:
            day = date.fromisoformat(asked)
            if day > last:
                raise ValueError(f"{day} has not ended half an hour ago")
            return _answer(day, self._sums(day, context))
        difference_count = 0
        for day in self._due(last):
            sums = self._sums(day, context)
            if sums is None:
                # The next day's sums ask what this one's still owe.
                break
            difference_count += sums.difference_count
        ended_ms = self._ports.clock.now_ms() - begin_of(day) - _DAY_MS
        self._metrics.add_metric(LATE, _UNIT, int(sums is None and ended_ms > _LATE_AFTER_MS))
        self._metrics.add_metric(DIFFERENCES, _UNIT, difference_count)
        self._metrics.flush_metrics()
        return _answer(day, sums)

    def _due(self, last: date) -> list[date]:
        """The days since the last one before `last` that has sums, the oldest first; `last` alone where none has."""
        try:
            for missed in range(_MISSED_MAX):
                if self._ports.kept.result(last - timedelta(days=missed + 1)) is not None:
                    return [last - timedelta(days=back) for back in range(missed, -1, -1)]
        except AwsError as error:
            _LOG.warning("whether a day was missed cannot be read: %s", error)
        return [last]

    def _sums(self, day: date, context: Any) -> Sums | None:
        try:
            if (stands := self._ports.kept.result(day)) is not None:
                return stands
            sums = result_of(day, self._ports, context.get_remaining_time_in_millis)
        except (RetryableError, ChangesError, AwsError) as error:
            _LOG.warning("the sums of %s are not made yet: %s", day, error)
            return None
        if sums is None:
            _LOG.info("the sums of %s go on with the next run", day)
            return None
        for each in sums.differences[:_LOGGED_MAX]:
            _LOG.warning("%s %s: %s %s %s", day, each.why, each.kind, each.transaction_id, each.ref)
        _LOG.info("the sums of %s are made, with %s differences", day, sums.difference_count)
        return sums


def _answer(day: date, sums: Sums | None) -> dict[str, Any]:
    return {"day": str(day), "is_made": sums is not None, "differences": sums.difference_count if sums else None}


def _create(environment: Mapping[str, str]) -> Handler:
    from handler.adapters.approval import support
    from handler.conservation_composition import compose_conservation
    from handler.settings import read_settings

    observed = support.observe("payment-conservation", environment)
    metrics = support.create_metrics(NAMESPACE, "", read_settings(environment).rules.environment)
    return observed(ConservationFunction(compose_conservation(environment, support), metrics))


__getattr__ = lazy_entry(globals(), _create)
