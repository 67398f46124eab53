"""What the simulator itself takes and whether it is right: its bars, `make avalanche-simulation OPTIONS=--bars`.

One rule: the curves, the peers and the known queues are of one run; times are CPU time, as all of it runs on one core
and waits for nothing, and the clock's stand beside them in the record.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.avalanche.comparisons import PUBLISHED, beside_simfaas, heap_beside_simpy
from benchmarks.avalanche.known_queues import QUEUES, REPLICATIONS, observed
from benchmarks.avalanche.parameters import Parameters
from benchmarks.avalanche.simulation import simulate
from benchmarks.measure import Bar

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
CUSTOMERS_A_GROUP = 10
# A table that was here before takes every size at once, so that each payment is tried once: the simulator's own time.
# A new one throttles the great sizes, and what comes back is simulated again: shown beside it.
WARMED = 20_000.0
NEW_TABLE_SIZES = (SIZES[0], 300_000, SIZES[-1])
SECONDS_10K, SECONDS_1M, MEMORY_MB, PER_PAYMENT_X, SIMFAAS_X = 5.0, 240.0, 2048.0, 1.5, 5.0
# How often the small sizes are run: theirs is a tenth of a second.
_REPEATS = {10_000: 5, 30_000: 3}
_QUICK = 100_000
_MESSAGES, _REQUESTS, _BATCHES, _ROUNDS = 20_000, 40_000, 50_000, 5


def measure(story: Parameters, seed: int, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The curve over sizes of one story, the peers and the known queues; without the great sizes where `quick`."""
    kept = story.table.peak_write_units
    warmed = replace(story, table=replace(story.table, peak_write_units=max(WARMED, kept)))
    # The first run in a process makes the interpreter's caches.
    simulate(_sized(warmed, 1_000), seed)
    curves: dict[str, list[dict[str, Any]]] = {"curve": [], "curve_of_a_new_table": []}
    for name, one, sizes in (("curve", warmed, SIZES), ("curve_of_a_new_table", story, NEW_TABLE_SIZES)):
        say(name)
        for size in sizes:
            if not quick or size <= _QUICK:
                curves[name].append(_point(one, size, seed, with_memory=name == "curve"))
                say(_line(curves[name][-1]))
    simfaas = beside_simfaas(_REQUESTS, _ROUNDS)
    simpy = heap_beside_simpy(_BATCHES, _ROUNDS)
    say(f"us a request: {simfaas['us_a_request']}; us a batch: {simpy['us_a_batch']}")
    return {
        **curves,
        "groups": f"one for {CUSTOMERS_A_GROUP} customers",
        "known_queues": _known(say),
        "simfaas": simfaas,
        "simpy": simpy,
    }


def _sized(story: Parameters, size: int) -> Parameters:
    traffic = replace(story.traffic, messages=size, groups=max(1, size // CUSTOMERS_A_GROUP), trace_seconds=())
    return replace(story, traffic=traffic)


def _point(story: Parameters, size: int, seed: int, *, with_memory: bool) -> dict[str, Any]:
    parameters = _sized(story, size)
    seconds, cpu = [], []
    for _ in range(_REPEATS.get(size, 1)):
        begun, spent = time.perf_counter(), time.process_time()
        result = simulate(parameters, seed)
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - spent)
    return {
        "customers": size,
        "seconds": statistics.median(seconds),
        "cpu_seconds": statistics.median(cpu),
        "us_a_payment": 1e6 * statistics.median(cpu) / size,
        # Of the process so far, which is of this size where sizes grow, as in the first curve alone.
        **({"memory_mb": _memory_mb()} if with_memory else {}),
        "digest": result.digest(),
        "completion_seconds": result.completion_seconds,
        "invocations": result.invocations,
        "table_throttles": result.table_throttles,
        "settled": result.completed + result.declined,
    }


def _memory_mb() -> float:
    # KiB on Linux, bytes on macOS ("getrusage", both manuals).
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def _line(point: dict[str, Any]) -> str:
    return (
        f"{point['customers']:>9,} customers in {point['cpu_seconds']:.2f} CPU-s, {point['seconds']:.2f} s, "
        f"{point['us_a_payment']:.1f} us a payment" + (f", {point['memory_mb']:.0f} MB" if "memory_mb" in point else "")
    )


def _known(say: Callable[[str], None]) -> list[dict[str, Any]]:
    found = []
    for queue in QUEUES:
        interval = observed(queue, _MESSAGES)
        found.append(
            {
                "name": queue.name,
                "utilisation": queue.utilisation,
                "messages": _MESSAGES,
                "replications": REPLICATIONS,
                "answer_ms": queue.answer_ms,
                "observed_ms": interval.mean,
                "half_ms": interval.half,
                "outside": not interval.holds(queue.answer_ms),
            }
        )
        say(f"{queue.name}: {queue.answer_ms:.1f} ms, observed {interval.mean:.1f} +- {interval.half:.1f}")
    return found


def bars(found: dict[str, Any]) -> list[Bar]:
    """What `measure` found against its limits; the great sizes only where they were measured."""
    curve = {point["customers"]: point for point in found["curve"]}
    per_payment = [point["us_a_payment"] for point in found["curve"]]
    rows = [Bar("simulate_10k_seconds", curve[SIZES[0]]["cpu_seconds"], SECONDS_10K)]
    if SIZES[-1] in curve:
        largest = curve[SIZES[-1]]
        rows += [
            Bar("simulate_1m_seconds", largest["cpu_seconds"], SECONDS_1M),
            Bar("simulate_1m_memory_mb", largest["memory_mb"], MEMORY_MB),
        ]
    return [
        *rows,
        Bar("simulate_payment_x_10k", max(per_payment) / per_payment[0], PER_PAYMENT_X),
        Bar("simulate_request_x_simfaas", found["simfaas"]["ratio"]["p50"], SIMFAAS_X),
        Bar("simfaas_figures_outside", sum(found["simfaas"][figure]["outside"] for figure in PUBLISHED), 0),
        Bar("known_queues_outside", sum(queue["outside"] for queue in found["known_queues"]), 0),
    ]
