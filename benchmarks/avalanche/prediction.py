"""What the simulator expects of a deployed queue, in CloudWatch's own series.

The rule: a series has the name, the statistic and the minutes of the one that `cloudwatch` reads, so that one can be
laid over the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.avalanche.cloudwatch import PERIOD_SECONDS
from benchmarks.avalanche.deployed import Deployed, Function
from benchmarks.avalanche.distributions import Constant
from benchmarks.avalanche.lab import newest_record
from benchmarks.avalanche.parameters import Gateway, Mapping, Parameters, Quotas, Traffic
from benchmarks.avalanche.policies import Policy, parameters
from benchmarks.avalanche.result import Result
from benchmarks.avalanche.rules import SECOND
from benchmarks.avalanche.seen import quantile

Series = dict[str, dict[str, Any]]


def parameters_of(target: Deployed, function: Function, traffic: Traffic) -> Parameters:
    """Terraform's limits and the function behind `live`, with durations of the cold-start lab's newest record.

    The gateway is the function's own simulated one, which answers at once. Raises ImpossibleParametersError, also for
    traffic that cannot be.
    """
    variables = function.variables
    engine = variables.get("SCORING_ENGINE", "auto")
    policy = Policy(
        "as deployed",
        engine="compiled" if engine == "auto" else engine,
        support=variables.get("SUPPORT", ""),
        memory_size=function.memory_size,
        stress_mode=variables.get("STRESS_MODE", "none"),
        snapstart=function.snap_start,
        pollers=function.pollers,
    )
    found = parameters(policy, traffic, newest_record())
    mapping = found.mapping if function.pollers else Mapping(maximum_concurrency=target.concurrency)
    return Parameters(
        traffic,
        replace(found.function, architecture=function.architecture),
        mapping=mapping,
        gateway=Gateway(call_ms=Constant(0.0)),
        # A reservation may be of 1, which no mapping's maximum is.
        quotas=Quotas(account_concurrency=target.account_concurrency, mapping_concurrency_min=1),
    )


def series_of(result: Result, second_of_minute: float) -> Series:
    """By the minute; the avalanche began at that second of its first one."""
    arrays = result.arrays
    ended = (arrays.began + arrays.init + arrays.duration) / SECOND
    deleted = arrays.deleted[arrays.deleted >= 0] / SECOND
    settled = arrays.settled[arrays.settled >= 0] / SECOND
    seconds = np.arange(len(result.series.concurrency), dtype=np.float64)
    counted = {
        "sent": arrays.accepted / SECOND,
        "deleted": deleted,
        "processed": settled,
        "invocations": ended,
        "cold_starts": ended[arrays.cold == 1],
    }
    whole: Series = {
        name: {"statistic": "Sum", "points": _by_minute(at, np.ones(at.size), second_of_minute, sum)}
        for name, at in counted.items()
    }
    greatest = {"concurrency": result.series.concurrency, "oldest_seconds": result.series.message_age_seconds}
    for name, values in greatest.items():
        whole[name] = {
            "statistic": "Maximum",
            "points": _by_minute(seconds, np.array(values, dtype=np.float64), second_of_minute, max),
        }
    # As CloudWatch has it: without init.
    duration_ms = arrays.duration / 1000
    for name, share in (("duration_p50_ms", 0.5), ("duration_p99_ms", 0.99), ("duration_max_ms", 1.0)):
        points = _by_minute(ended, duration_ms, second_of_minute, partial(quantile, share=share))
        whole[name] = {"statistic": "Maximum" if share == 1.0 else f"p{100 * share:g}", "points": points}
    return whole


def _by_minute(
    at: NDArray[np.float64],
    values: NDArray[np.float64],
    second_of_minute: float,
    statistic: Callable[[Sequence[float]], float | None],
) -> list[tuple[float, float]]:
    minutes: dict[int, list[float]] = {}
    for moment, value in zip(at.tolist(), values.tolist(), strict=True):
        minutes.setdefault(int((moment + second_of_minute) // PERIOD_SECONDS), []).append(value)
    return [
        (round(minute * PERIOD_SECONDS - second_of_minute, 3), float(statistic(found) or 0.0))
        for minute, found in sorted(minutes.items())
    ]
