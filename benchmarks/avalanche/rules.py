"""AWS's rules, a small function each, with the page that has it.

One rule: whole microseconds in, whole microseconds or counts out; no state but a bucket's, no randomness. Where AWS
publishes no figure the docstring says "assumed".
"""

from __future__ import annotations

import math
from typing import NamedTuple

SECOND = 1_000_000
_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/"
_SQS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
_DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"

# Rule -> its page. Every function below is here, and a test asks for its hand-computed cases.
PAGES = {
    "deduplicated": _SQS + "using-messagededuplicationid-property.html",
    "groups_at_once": _LAMBDA + "services-sqs-scaling.html",
    "mapping_growth": _LAMBDA + "services-sqs-scaling.html",
    "provisioned_mapping_growth": _LAMBDA + "services-sqs-scaling.html",
    "polled_again": _LAMBDA + "services-sqs-scaling.html",
    "receivable": _SQS + "quotas-fifo.html",
    "sent_at": _SQS + "quotas-messages.html",
    "dead_lettered": _SQS + "sqs-dead-letter-queues.html",
    "visible_again": _SQS + "sqs-visibility-timeout.html",
    "throttle_retry": _LAMBDA + "services-sqs-errorhandling.html",
    "function_concurrency": _LAMBDA + "configuration-concurrency.html",
    "scaling_bucket": _LAMBDA + "scaling-behavior.html",
    "begin": _LAMBDA + "lambda-runtime-environment.html",
    "billed_restore": _LAMBDA + "snapstart-monitoring.html",
    "billed_ms": "https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/",
    "on_demand_write_units": _DYNAMODB + "on-demand-capacity-mode.html",
    "provisioned_write_bucket": _DYNAMODB + "burst-adaptive-capacity.html",
    "write_units": _DYNAMODB + "read-write-operations.html",
}

# "Lambda starts processing five batches at a time ... by up to 300 more concurrent invokes per minute ... 1,250".
MAPPING_BEGIN, MAPPING_PER_MINUTE, MAPPING_MAX = 5, 300, 1_250
# "Each poller can handle up to ... 10 concurrent invokes, or up to 10 SQS polling API calls per second"; they grow by
# 1,000 concurrent invokes a minute. Its third limit, 1 MB a second, is left out: ten batches of payments are far below.
POLLER_CONCURRENCY, POLLER_POLLS, POLLERS_PER_MINUTE = 10, 10, 1_000
ENVIRONMENTS, ENVIRONMENTS_SECONDS = 1_000, 10
ON_DEMAND_WRITE_UNITS = 4_000
BURST_SECONDS = 300
ITEM_UNIT_BYTES = 1_024


class Bucket:
    """A rate with a store, in whole millionths: `rate` a second flow in, up to `capacity`."""

    __slots__ = ("_at", "_capacity", "_rate", "_stored")

    def __init__(self, rate: float, capacity: float) -> None:
        self._rate = round(rate)
        self._capacity = round(capacity * SECOND)
        self._stored = self._capacity
        self._at = 0

    def _flow(self, now: int) -> int:
        stored = min(self._capacity, self._stored + (now - self._at) * self._rate)
        self._stored, self._at = stored, now
        return stored

    def take(self, now: int, count: int) -> bool:
        """Take `count` at `now` if they are there. Times never go back."""
        if self._flow(now) < count * SECOND:
            return False
        self._stored -= count * SECOND
        return True

    def wait(self, now: int, count: int, patience: int) -> int:
        """Microseconds until `count` are there, which are then taken; -1 where that is more than `patience`."""
        lacking = count * SECOND - self._flow(now)
        waited = max(0, -(-lacking // self._rate))
        if waited > patience:
            return -1
        self._stored -= count * SECOND
        return waited


def deduplicated(sent: int, accepted: int, interval: int) -> bool:
    """Whether a message is dropped: one with its deduplication id was accepted less than the interval before."""
    return sent - accepted < interval


def groups_at_once(groups: int, maximum_concurrency: int | None) -> int:
    """Invocations at once of a FIFO queue: its message groups, or the maximum, whichever is lower."""
    return groups if maximum_concurrency is None else min(groups, maximum_concurrency)


class Growth(NamedTuple):
    """Batches that a mapping may have under way at once: `begin`, and so many more a minute, up to `ceiling`.

    Assumed to grow evenly within a minute.
    """

    begin: int
    per_minute: int
    ceiling: int

    def at(self, elapsed: int) -> int:
        """How many, this long after the first message."""
        return min(self.ceiling, self.begin + elapsed * self.per_minute // (60 * SECOND))

    def reached(self, concurrency: int) -> int | None:
        """How long after the first message there may be so many; None for never."""
        if concurrency > self.ceiling or (concurrency > self.begin and not self.per_minute):
            return None
        return max(0, -(-(concurrency - self.begin) * 60 * SECOND // self.per_minute)) if self.per_minute else 0


def mapping_growth(maximum_concurrency: int | None = None) -> Growth:
    """Five batches at first, 300 more a minute, up to 1,250 or the maximum concurrency.

    AWS says this growth of standard queues and no other of FIFO queues; assumed to hold for them.
    """
    ceiling = MAPPING_MAX if maximum_concurrency is None else min(MAPPING_MAX, maximum_concurrency)
    return Growth(min(MAPPING_BEGIN, ceiling), MAPPING_PER_MINUTE, ceiling)


def provisioned_mapping_growth(pollers_min: int, pollers_max: int) -> Growth:
    """Provisioned mode: ten a poller at first, 1,000 more a minute, up to ten for each of the most pollers."""
    return Growth(pollers_min * POLLER_CONCURRENCY, POLLERS_PER_MINUTE, pollers_max * POLLER_CONCURRENCY)


def polled_again(polled: int, concurrency: int) -> int:
    """Provisioned mode: when the next receive may begin after one, with pollers for so many invocations at once.

    Each makes ten a second; assumed to take turns evenly.
    """
    pollers = max(1, concurrency // POLLER_CONCURRENCY)
    return polled + SECOND // (pollers * POLLER_POLLS)


def receivable(in_flight: int, limit: int, batch_size: int) -> int:
    """How many messages one receive may take: at the limit of messages in flight a FIFO queue gives none."""
    return max(0, min(batch_size, limit - in_flight))


def sent_at(offered: int, previous: int | None, per_second: float) -> int:
    """When a send is taken on: no sooner than its share of a second behind the one before."""
    if previous is None or not per_second:
        return offered
    return max(offered, previous + round(SECOND / per_second))


def dead_lettered(receives: int, max_receive_count: int) -> bool:
    """Whether a message that was received this often is moved instead of being received once more."""
    return receives >= max_receive_count


def visible_again(received: int, visibility_timeout: int) -> int:
    """When a message that was neither deleted nor changed can be received again."""
    return received + visibility_timeout


def throttle_retry(now: int, attempt: int, received: int, visibility_timeout: int) -> int | None:
    """When a throttled batch is tried again, None once its visibility time-out would be over: its messages return.

    AWS publishes no delays of this back-off; assumed: 1 s, doubled with each attempt, at most 60 s.
    """
    again = now + min(60, 1 << min(attempt, 6)) * SECOND
    return None if again >= received + visibility_timeout else again


def function_concurrency(account: int, reserved: int | None) -> int:
    """Invocations of the function at once: what is reserved for it, else all of the account's, with nothing beside."""
    return account if reserved is None else reserved


def scaling_bucket() -> Bucket:
    """New environments of a function: 1,000 every 10 s, refilled continuously, never more than 1,000 in store."""
    return Bucket(ENVIRONMENTS / ENVIRONMENTS_SECONDS, ENVIRONMENTS)


class Begin(NamedTuple):
    """A cold start: microseconds of init in front of the handler, and of init inside the first invocation."""

    init: int
    inside: int


def begin(init: int, throttled: int, limit: int) -> Begin:
    """An init of at most the limit stands in front; a longer one is cut off there and repeated in the invocation."""
    return Begin(init, 0) if init <= limit else Begin(limit, throttled)


def billed_restore(restore: int, own: int) -> int:
    """What of a restore under SnapStart is billed: what runtime and function do themselves, not the snapshot's part."""
    return min(restore, own)


def billed_ms(init: int, duration: int) -> int:
    """Milliseconds of one invocation: init and duration together, rounded up once."""
    return -(-(init + duration) // 1000)


def write_units(item_bytes: int) -> int:
    """Write units of an item: one for each KiB begun."""
    return max(1, math.ceil(item_bytes / ITEM_UNIT_BYTES))


def on_demand_write_units(peak: float, quota: float) -> float:
    """Write units a second that an on-demand table takes: twice its peak or what a new one takes, up to the quota.

    Traffic beyond that makes the table grow within half an hour; assumed not to grow within an avalanche.
    """
    return min(quota, max(ON_DEMAND_WRITE_UNITS, 2 * peak))


def provisioned_write_bucket(units: float) -> Bucket:
    """Provisioned capacity, with what was unused of the last 300 s in store."""
    return Bucket(units, units * BURST_SECONDS)
