"""What no account can have is refused with the rule that it breaks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.avalanche.distributions import Constant, Exponential, LogNormal, Samples
from benchmarks.avalanche.parameters import (
    Function,
    Gateway,
    ImpossibleParametersError,
    Invocations,
    Mapping,
    Parameters,
    Payments,
    Queue,
    Quotas,
    Table,
    Traffic,
)

WORK = Invocations(Constant(300.0), Constant(900.0), Constant(40.0), Constant(20.0), Constant(10.0))
STORY = Parameters(Traffic(messages=100, groups=10), Function(WORK))


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"traffic": Traffic(10, 11)}, "11 groups for 10 messages: a group has at least one message"),
        ({"traffic": Traffic(0, 0)}, "both are at least 1"),
        ({"traffic": Traffic(10, 1, ramp_seconds=-1.0)}, "ramp_seconds is -1.0: time does not run backwards"),
        ({"traffic": Traffic(10, 1, burst_seconds=-1.0)}, "burst_seconds is -1.0"),
        ({"traffic": Traffic(10, 1, ramp_seconds=1.0, burst_seconds=1.0)}, "traffic has one shape"),
        ({"traffic": Traffic(3, 1, trace_seconds=(0.0, 2.0, 1.0))}, "moment 3 of the trace, 1.0, is before"),
        ({"traffic": Traffic(3, 1, trace_seconds=(0.0, 2.0))}, "a trace of 2 moments for 3 messages"),
        ({"traffic": Traffic(1, 1, trace_seconds=(-2.0,))}, "the trace begins at -2.0"),
        ({"traffic": Traffic(10, 1, duplicate_share=1.1)}, "duplicate_share is 1.1"),
        ({"queue": Queue(visibility_timeout_seconds=29.0)}, "Lambda refuses such a mapping"),
        ({"queue": Queue(max_receive_count=0)}, "max_receive_count and in_flight_max are at least 1"),
        ({"queue": Queue(sends_per_second=-1.0)}, "not below 0"),
        ({"mapping": Mapping(batch_size=11)}, "a FIFO queue gives 1 to 10"),
        ({"mapping": Mapping(maximum_concurrency=1)}, "its quota is 2 to 1000"),
        ({"mapping": Mapping(maximum_concurrency=1001)}, "its quota is 2 to 1000"),
        ({"mapping": Mapping(pollers_min=1, pollers_max=10)}, "pollers_min 1: its quota is 2 to 200"),
        ({"mapping": Mapping(pollers_min=20, pollers_max=10)}, "pollers_max 10: its quota is pollers_min to 2000"),
        ({"mapping": Mapping(pollers_min=2, pollers_max=10, maximum_concurrency=5)}, "exclude each other"),
        ({"function": Function(WORK, memory_size=64)}, "its quota is 128 to 10240 MB"),
        ({"function": Function(WORK, architecture="mips")}, "arm64 or x86_64"),
        ({"function": Function(WORK, timeout_seconds=901.0)}, "its quota is 900"),
        ({"function": Function(WORK, reserved_concurrency=901)}, "the account's 1000 less 100"),
        ({"function": Function(WORK, provisioned_concurrency=901)}, "the account's 1000 less 100"),
        (
            {"function": Function(WORK, reserved_concurrency=5, provisioned_concurrency=6)},
            "above the function's reserved concurrency",
        ),
        (
            {"function": Function(WORK, reserved_concurrency=5), "mapping": Mapping(maximum_concurrency=6)},
            "maximum_concurrency 6 above reserved_concurrency 5",
        ),
        (
            {"function": Function(WORK, provisioned_concurrency=1, snapstart_restore_ms=Samples((1.0,)))},
            "SnapStart and provisioned concurrency exclude each other",
        ),
        ({"function": Function(WORK, snapstart_restore_ms=Samples(()))}, "snapstart_restore_ms of no sample"),
        ({"function": Function(WORK, snapstart_restore_ms=Samples((10_001.0,)))}, "SnapStart ends what takes more"),
        ({"function": Function(WORK, group_concurrency=0)}, "group_concurrency 0: 1 to 10"),
        ({"function": Function(WORK, group_concurrency=11)}, "group_concurrency 11: 1 to 10, as a batch has no more"),
        ({"function": Function(WORK, crash_share=1.0)}, "crash_share 1.0"),
        ({"payments": Payments(failing_share=-0.1)}, "failing_share is -0.1"),
        ({"payments": Payments(park_after_tries=0)}, "park_after_tries 0"),
        ({"table": Table(write_units=0.5)}, "provisioned capacity is at least 1"),
        ({"table": Table(peak_write_units=-1.0)}, "peak_write_units -1.0: not below 0"),
        ({"table": Table(write_units=40_001.0)}, "write_units 40001.0 above its quota: a table has 40000"),
        ({"table": Table(peak_write_units=40_001.0)}, "peak_write_units 40001.0 above its quota"),
        ({"gateway": Gateway(calls_per_second=-1.0)}, "calls_per_second -1.0: 0, for no limit, or at least 1"),
        ({"gateway": Gateway(calls_per_second=0.4)}, "calls_per_second 0.4"),
        ({"gateway": Gateway(LogNormal(0.0, 5.0))}, "call_ms of 0.0 and 5.0 ms: a median is above 0"),
        ({"gateway": Gateway(LogNormal(300.0, 100.0))}, "its p99 not below it"),
        ({"function": Function(replace(WORK, warm_ms=Samples((3.0, -1.0))))}, "warm_ms of -1.0 ms: time does not run"),
        ({"function": Function(WORK, snapstart_restore_ms=Samples((-5.0,)))}, "snapstart_restore_ms of -5.0 ms"),
        ({"function": Function(replace(WORK, first_ms=Samples(())))}, "first_ms of no sample: a distribution has at"),
        # More microseconds than an array's number has.
        ({"function": Function(replace(WORK, init_ms=Samples((1e300,))))}, "init_ms of 1e+300 ms is more than 14 days"),
        ({"gateway": Gateway(LogNormal(300.0, 1.3e9))}, "call_ms of 1300000000.0 ms is more than 14 days"),
        ({"mapping": Mapping(delete_ms=Constant(1.3e9))}, "delete_ms of 1300000000.0 ms is more than 14 days"),
        ({"horizon_seconds": 1e30}, "horizon_seconds 1e+30 is more than 14 days: a queue keeps no message longer"),
        ({"mapping": Mapping(receive_ms=Constant(-1.0))}, "receive_ms of -1.0 ms"),
        ({"quotas": Quotas(account_concurrency=0)}, "account_concurrency 0: at least 1"),
        ({"horizon_seconds": 0.0}, "horizon_seconds 0.0"),
        ({"horizon_seconds": math.inf}, "horizon_seconds is inf: a finite number"),
        ({"traffic": Traffic(10, 1, ramp_seconds=math.nan)}, "ramp_seconds is nan: a finite number"),
        ({"traffic": Traffic(2, 1, trace_seconds=(0.0, math.nan))}, "trace_seconds is nan"),
        ({"traffic": Traffic(10, 1, gaps=Exponential(math.nan))}, "mean_ms is nan"),
        ({"table": Table(peak_write_units=math.nan)}, "peak_write_units is nan"),
        # Seconds since 1970, as a log has them.
        ({"traffic": Traffic(2, 1, trace_seconds=(1.7e9, 1.7e9))}, "moments are seconds from the beginning"),
        ({"traffic": Traffic(2, 1, ramp_seconds=14_400.0)}, "sent until second 14400.0, beyond the horizon of 14400.0"),
    ],
)
def test_what_cannot_be_is_refused_with_the_rule_that_it_breaks(changed, rule) -> None:
    with pytest.raises(ImpossibleParametersError) as refused:
        replace(STORY, **changed)
    assert rule in str(refused.value)


def test_all_broken_rules_are_named_at_once() -> None:
    with pytest.raises(ImpossibleParametersError, match=r"11 groups .*; a batch of 0"):
        replace(STORY, traffic=Traffic(10, 11), mapping=Mapping(batch_size=0))
