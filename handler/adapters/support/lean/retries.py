"""Whether a call that failed goes again, and after how long: AWS's standard mode, as its own SDKs have it.

Source: "Retry behavior", AWS SDKs and Tools Reference Guide. The rule it keeps: a pause has full jitter, so that many
environments that failed together do not come back together, and a quota ends repeating where most of it fails.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Final

THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "KmsThrottled",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
# Those of statuses 500 to 504 go again whatever their code is.
_TRANSIENT: Final = frozenset({"RequestTimeout", "RequestTimeoutException", "ReplicatedWriteConflictException"})
_TRANSIENT_STATUSES: Final = frozenset({500, 502, 503, 504})
_THROTTLED_STATUS: Final = 429

_PAUSE_SECONDS: Final = 0.05
_PAUSE_SECONDS_OF: Final = {"dynamodb": 0.025}
_PAUSE_THROTTLED_SECONDS: Final = 1.0
_PAUSE_SECONDS_MAX: Final = 20.0
_COST, _COST_THROTTLED, _GAIN = 14, 5, 1
_QUOTA: Final = 500


def is_throttled(code: str, status_code: int) -> bool:
    return code in THROTTLED or status_code == _THROTTLED_STATUS


def may_go_again(code: str, status_code: int) -> bool:
    """Whether a refusal may be another answer the next time."""
    return is_throttled(code, status_code) or code in _TRANSIENT or status_code in _TRANSIENT_STATUSES


class Retries:
    """The quota of one client and its pauses; for any thread."""

    def __init__(self, service: str) -> None:
        self._pause_seconds = _PAUSE_SECONDS_OF.get(service, _PAUSE_SECONDS)
        self._left = _QUOTA
        self._lock = Lock()

    def take(self, *, throttled: bool) -> int:
        """What one more try costs, or 0 where the quota has not that much left."""
        cost = _COST_THROTTLED if throttled else _COST
        with self._lock:
            if cost > self._left:
                return 0
            self._left -= cost
            return cost

    def give_back(self, cost: int) -> None:
        """After a success: what its last try cost, and a little for one that needed no second."""
        if self._left < _QUOTA:
            with self._lock:
                self._left = min(_QUOTA, self._left + (cost or _GAIN))

    def pause(self, tries: int, *, throttled: bool, asked_ms: str = "") -> float:
        """Seconds before the next try after `tries`; at least what the service asked for, but for five seconds more."""
        base = _PAUSE_THROTTLED_SECONDS if throttled else self._pause_seconds
        # Not of `random`, whose state all environments of a snapshot would share.
        share = int.from_bytes(os.urandom(4)) / 2**32
        seconds = share * min(base * 2.0 ** (tries - 1), _PAUSE_SECONDS_MAX)
        if asked_ms.isascii() and asked_ms.isdigit() and len(asked_ms) <= 9:
            return max(seconds, min(int(asked_ms) / 1000, seconds + 5))
        return seconds
