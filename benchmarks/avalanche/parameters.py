"""What is simulated: traffic, queue, mapping, function, table and gateway, and the quotas that hold for them.

One rule: what AWS, or the story, would refuse is refused here with the rule that it breaks; nothing is bent into shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from benchmarks.avalanche.distributions import Constant, Distribution, Exponential, LogNormal, Samples

_TEN_MS, _TABLE_MS, _GATEWAY_MS = Constant(10.0), Constant(5.0), LogNormal(300.0, 1200.0)
# The longest that a queue can be told to keep a message (AWS: "SQS message quotas").
_KEPT_SECONDS = 14 * 86_400.0
# AWS: "Troubleshooting SnapStart errors": what the function does in it takes no longer, or the restore times out.
_RESTORE_SECONDS_MAX = 10


class ImpossibleParametersError(ValueError):
    """Parameters that cannot be; the message says which rule they break, and every one that they break."""


@dataclass(frozen=True)
class Traffic:
    """Who sends what when. Seconds from the beginning.

    `ramp_seconds` is how long the rate grows from nothing to its greatest; 0 sends everything within `burst_seconds`, 0
    for at once. `trace_seconds` gives every message its own moment instead. `gaps` draws the time between two messages.
    `groups` are drawn evenly; `round_robin` gives message i group i mod `groups`, as the published script does.
    A duplicate repeats a message with its deduplication id, `duplicate_delay_seconds` later.
    """

    messages: int
    groups: int
    ramp_seconds: float = 0.0
    burst_seconds: float = 0.0
    trace_seconds: tuple[float, ...] = ()
    gaps: Distribution | None = None
    round_robin: bool = True
    duplicate_share: float = 0.0
    duplicate_delay_seconds: float = 5.0


@dataclass(frozen=True)
class Queue:
    """The FIFO queue. `sends_per_second` 0 is no limit."""

    visibility_timeout_seconds: float = 180.0
    max_receive_count: int = 1000
    in_flight_max: int = 120_000
    deduplication_seconds: float = 300.0
    sends_per_second: float = 70_000.0


@dataclass(frozen=True)
class Mapping:
    """The event source mapping.

    `maximum_concurrency` None leaves the mapping's own ceiling. `pollers_min` > 0 is provisioned mode. `growth` False
    has all its concurrency at once. A receive and a delete take `receive_ms` and `delete_ms` of a batch's slot.
    `shares_out` is the local system's mapping: one receive takes the oldest messages of all groups, and is shared out
    to the free slots, group by group.
    """

    batch_size: int = 10
    maximum_concurrency: int | None = None
    pollers_min: int = 0
    pollers_max: int = 0
    growth: bool = True
    receive_ms: Distribution = _TEN_MS
    delete_ms: Distribution = _TEN_MS
    shares_out: bool = False


@dataclass(frozen=True)
class Invocations:
    """What an invocation takes, without its waits for table and gateway.

    `init_ms` is at full CPU. `init_throttled_ms` is the same init under the memory size's quota, which an init beyond
    the limit is repeated under. `first_ms` and `warm_ms` are invocations of one message; each further one adds
    `message_ms`. `label` says where that comes from.
    """

    init_ms: Distribution
    init_throttled_ms: Distribution
    first_ms: Distribution
    warm_ms: Distribution
    message_ms: Distribution
    label: str = ""


@dataclass(frozen=True)
class Function:
    """The function, its concurrency, and what its payments meet.

    `reserved_concurrency` None leaves all that the account has. `snapstart_restore_ms` takes the place of init, and
    `snapstart_own_ms` of it are the function's own.
    `group_concurrency` is how many groups of a batch are at work at once. `crash_share` of the invocations die.
    `idle_seconds` is how long an unused environment stays; AWS does not say.
    """

    invocations: Invocations
    memory_size: int = 512
    architecture: str = "arm64"
    timeout_seconds: float = 30.0
    reserved_concurrency: int | None = None
    provisioned_concurrency: int = 0
    snapstart_restore_ms: Samples | None = None
    snapstart_own_ms: float = 0.0
    group_concurrency: int = 10
    idle_seconds: float = 300.0
    crash_share: float = 0.0
    init_seconds_max: float = 10.0


@dataclass(frozen=True)
class Payments:
    """What becomes of payments (docs/protocol.md). `failing_share` of them always fail for a cause of their own;
    `failure_share` of all tries fail so by chance; `declined_share` end as declined, with a cancel more.
    """

    failing_share: float = 0.0
    failure_share: float = 0.0
    declined_share: float = 0.0
    park_after_tries: int = 5
    first_delay_seconds: float = 5.0
    gateway_deadline_seconds: float = 5.0


@dataclass(frozen=True)
class Gateway:
    """Two calls a payment, prepare and charge. `calls_per_second` 0 is no limit."""

    call_ms: Distribution = _GATEWAY_MS
    calls_per_second: float = 0.0


@dataclass(frozen=True)
class Table:
    """`write_units` None is on demand, whose past peak was `peak_write_units`; else provisioned capacity a second.

    A write that is throttled is tried again for `patience_ms`; then its message comes back.
    """

    call_ms: Distribution = _TABLE_MS
    write_units: float | None = None
    peak_write_units: float = 0.0
    item_bytes: int = 900
    patience_ms: float = 1000.0


@dataclass(frozen=True)
class Quotas:
    """What an account has and AWS's limits of settings. Source: "Lambda quotas", and the pages in `rules`."""

    account_concurrency: int = 1_000
    unreserved_min: int = 100
    mapping_concurrency_min: int = 2
    mapping_concurrency_max: int = 1_000
    poller_concurrency_max: int = 20_000
    batch_size_max: int = 10
    memory_sizes: tuple[int, int] = (128, 10_240)
    table_write_units: int = 40_000


@dataclass(frozen=True)
class Parameters:
    """All of it. Raises ImpossibleParametersError where it cannot be."""

    traffic: Traffic
    function: Function
    queue: Queue = field(default_factory=Queue)
    mapping: Mapping = field(default_factory=Mapping)
    payments: Payments = field(default_factory=Payments)
    gateway: Gateway = field(default_factory=Gateway)
    table: Table = field(default_factory=Table)
    quotas: Quotas = field(default_factory=Quotas)
    # What is not settled by then is counted as unsettled.
    horizon_seconds: float = 4 * 3600.0

    def __post_init__(self) -> None:
        # Comparisons with what is no number say nothing, so that these rules go first and alone.
        broken = list(_numbers(self)) or [rule for rules in _RULES for rule in rules(self)]
        if broken:
            raise ImpossibleParametersError("; ".join(broken))


def _numbers(part: Any) -> Iterator[str]:
    for name, value in vars(part).items():
        if isinstance(value, float | tuple):
            bad = next(
                (one for one in (value if isinstance(value, tuple) else (value,)) if not math.isfinite(one)), None
            )
            if bad is not None:
                yield f"{name} is {bad}: a finite number"
        elif is_dataclass(value):
            yield from _numbers(value)


def _durations(part: Any) -> Iterator[str]:
    for name, value in vars(part).items():
        match value:
            case LogNormal(median_ms=median, p99_ms=p99):
                if not 0 < median <= p99:
                    yield f"{name} of {median} and {p99} ms: a median is above 0, and its p99 not below it"
                yield from _kept(f"{name} of {p99} ms", p99 / 1000)
            case Constant(ms=ms) | Exponential(mean_ms=ms):
                yield from _span(name, ms, ms)
            case Samples(ms=several):
                if several:
                    yield from _span(name, min(several), max(several))
                else:
                    yield f"{name} of no sample: a distribution has at least one"
            case _ if is_dataclass(value):
                yield from _durations(value)


def _span(name: str, least_ms: float, most_ms: float) -> Iterator[str]:
    if least_ms < 0:
        yield f"{name} of {least_ms} ms: time does not run backwards"
    yield from _kept(f"{name} of {most_ms} ms", most_ms / 1000)


def _kept(what: str, seconds: float) -> Iterator[str]:
    if seconds > _KEPT_SECONDS:
        yield f"{what} is more than 14 days: a queue keeps no message longer"


def memory_size_rules(memory_size: int, quotas: Quotas) -> Iterator[str]:
    """What of AWS's limits a memory size breaks."""
    least, most = quotas.memory_sizes
    if not least <= memory_size <= most:
        yield f"memory_size {memory_size}: its quota is {least} to {most} MB"


def _traffic(parameters: Parameters) -> Iterator[str]:
    traffic = parameters.traffic
    if traffic.messages < 1 or traffic.groups < 1:
        yield f"{traffic.messages} messages in {traffic.groups} groups: both are at least 1"
    if traffic.groups > traffic.messages:
        yield f"{traffic.groups} groups for {traffic.messages} messages: a group has at least one message"
    for name in ("ramp_seconds", "burst_seconds", "duplicate_delay_seconds"):
        if getattr(traffic, name) < 0:
            yield f"{name} is {getattr(traffic, name)}: time does not run backwards"
    if sum((traffic.ramp_seconds > 0, traffic.burst_seconds > 0, bool(traffic.trace_seconds), bool(traffic.gaps))) > 1:
        yield "a ramp, a burst, a trace and gaps exclude each other: traffic has one shape"
    trace = traffic.trace_seconds
    if trace and len(trace) != traffic.messages:
        yield f"a trace of {len(trace)} moments for {traffic.messages} messages: one each"
    if trace and trace[0] < 0:
        yield f"the trace begins at {trace[0]}: its moments are seconds from the beginning"
    late = next((place for place in range(1, len(trace)) if trace[place] < trace[place - 1]), None)
    if late is not None:
        yield f"moment {late + 1} of the trace, {trace[late]}, is before the one in front of it: a trace is in order"
    if not 0 <= traffic.duplicate_share <= 1:
        yield f"duplicate_share is {traffic.duplicate_share}: a share is from 0 to 1"
    lasts = trace[-1] if trace else max(traffic.ramp_seconds, traffic.burst_seconds)
    if lasts >= parameters.horizon_seconds > 0:
        yield (
            f"messages are sent until second {lasts}, beyond the horizon of {parameters.horizon_seconds}, where "
            "the simulation ends; moments are seconds from the beginning"
        )


def _queue(parameters: Parameters) -> Iterator[str]:
    queue, function = parameters.queue, parameters.function
    if queue.visibility_timeout_seconds < function.timeout_seconds:
        yield (
            f"a visibility time-out of {queue.visibility_timeout_seconds} s below the function's "
            f"{function.timeout_seconds} s: Lambda refuses such a mapping"
        )
    if queue.max_receive_count < 1 or queue.in_flight_max < 1:
        yield "max_receive_count and in_flight_max are at least 1"
    if queue.sends_per_second < 0 or queue.deduplication_seconds < 0:
        yield "sends_per_second and deduplication_seconds are not below 0"


def _mapping(parameters: Parameters) -> Iterator[str]:
    mapping, quotas = parameters.mapping, parameters.quotas
    if not 1 <= mapping.batch_size <= quotas.batch_size_max:
        yield f"a batch of {mapping.batch_size}: a FIFO queue gives 1 to {quotas.batch_size_max}"
    most = mapping.maximum_concurrency
    if most is not None and not quotas.mapping_concurrency_min <= most <= quotas.mapping_concurrency_max:
        least = quotas.mapping_concurrency_min
        yield f"maximum_concurrency {most}: its quota is {least} to {quotas.mapping_concurrency_max}"
    reserved = parameters.function.reserved_concurrency
    if most is not None and reserved is not None and most > reserved:
        yield f"maximum_concurrency {most} above reserved_concurrency {reserved}: the mapping would be throttled"
    if (mapping.pollers_min or mapping.pollers_max) and most is not None:
        yield "maximum_concurrency and provisioned pollers exclude each other"
    if mapping.pollers_min or mapping.pollers_max:
        if not 2 <= mapping.pollers_min <= 200:
            yield f"pollers_min {mapping.pollers_min}: its quota is 2 to 200"
        if not max(2, mapping.pollers_min) <= mapping.pollers_max <= 2000:
            yield f"pollers_max {mapping.pollers_max}: its quota is pollers_min to 2000"


def _function(parameters: Parameters) -> Iterator[str]:
    function, quotas = parameters.function, parameters.quotas
    yield from memory_size_rules(function.memory_size, quotas)
    if function.architecture not in ("arm64", "x86_64"):
        yield f"architecture {function.architecture!r}: arm64 or x86_64"
    if not 0 < function.timeout_seconds <= 900:
        yield f"timeout_seconds {function.timeout_seconds}: its quota is 900"
    if quotas.account_concurrency < 1:
        yield f"account_concurrency {quotas.account_concurrency}: at least 1"
    # A new account has 10, of which nothing can be reserved.
    free = max(0, quotas.account_concurrency - quotas.unreserved_min)
    for name in ("reserved_concurrency", "provisioned_concurrency"):
        value = getattr(function, name)
        if value is not None and not 0 <= value <= free:
            account = f"the account's {quotas.account_concurrency} less {quotas.unreserved_min}"
            yield f"{name} {value} above its quota: {account}"
    if function.reserved_concurrency is not None and function.provisioned_concurrency > function.reserved_concurrency:
        yield f"provisioned_concurrency {function.provisioned_concurrency} above the function's reserved concurrency"
    if function.provisioned_concurrency and function.snapstart_restore_ms is not None:
        yield "SnapStart and provisioned concurrency exclude each other"
    restores = function.snapstart_restore_ms.ms if function.snapstart_restore_ms is not None else ()
    if max(restores, default=0.0) > 1000 * _RESTORE_SECONDS_MAX:
        yield f"a restore of {max(restores)} ms: SnapStart ends what takes more than {_RESTORE_SECONDS_MAX} s"
    if not 1 <= function.group_concurrency <= quotas.batch_size_max:
        yield f"group_concurrency {function.group_concurrency}: 1 to {quotas.batch_size_max}, as a batch has no more"
    if not 0 <= function.crash_share < 1:
        yield f"crash_share {function.crash_share}: from 0 to below 1"


def _others(parameters: Parameters) -> Iterator[str]:
    payments, table = parameters.payments, parameters.table
    for name in ("failing_share", "failure_share", "declined_share"):
        if not 0 <= getattr(payments, name) <= 1:
            yield f"{name} is {getattr(payments, name)}: a share is from 0 to 1"
    if payments.park_after_tries < 1:
        yield f"park_after_tries {payments.park_after_tries}: at least 1"
    if table.write_units is not None and table.write_units < 1:
        yield f"write_units {table.write_units}: provisioned capacity is at least 1"
    if table.peak_write_units < 0:
        yield f"peak_write_units {table.peak_write_units}: not below 0"
    most = parameters.quotas.table_write_units
    for name, units in (("write_units", table.write_units), ("peak_write_units", table.peak_write_units)):
        if units is not None and units > most:
            yield f"{name} {units} above its quota: a table has {most}"
    if parameters.gateway.calls_per_second and parameters.gateway.calls_per_second < 1:
        yield f"calls_per_second {parameters.gateway.calls_per_second}: 0, for no limit, or at least 1"
    if parameters.horizon_seconds <= 0:
        yield f"horizon_seconds {parameters.horizon_seconds}: above 0"
    yield from _kept(f"horizon_seconds {parameters.horizon_seconds}", parameters.horizon_seconds)


_RULES = (_durations, _traffic, _queue, _mapping, _function, _others)
