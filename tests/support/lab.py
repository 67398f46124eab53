"""A made-up run of the cold-start lab: what each cell would show if the function were as quick as it shall be."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any

from benchmarks.coldstart import matrix
from benchmarks.coldstart.bars import bars_of
from benchmarks.coldstart.plan import Plan
from benchmarks.coldstart.prices import read_prices
from benchmarks.coldstart.quota import fraction
from benchmarks.coldstart.sample import Cell, Sample

PRICES = read_prices()
PLAN = Plan(init=59, stress=3, invocations=3, batches=3, memory_sizes=(128, 1769), kernels=("shani-2", "avx512-16"))
INIT_CPU_MS = {"empty": 50, "pip": 430, "naive": 450, "naive_no_pyc": 1200, "usual": 610, "lean": 110, "standard": 300}
WARM_CPU_MS = {"lean": 2.0, "standard": 8.0, "usual": 9.0, "empty": 0.1}
WAIT_MS = 610.0


def init_cpu_ms(cell: Cell) -> float:
    """A package's own, of the shipped ones their support's; ten million hashes where the stress mode asks for them."""
    hashes = {"compiled": 600, "pure": 8000}[cell.engine] if cell.stress_mode == "cold_start" else 0
    return INIT_CPU_MS.get(cell.package, INIT_CPU_MS.get(cell.support, 200)) + hashes


def warm_cpu_ms(cell: Cell) -> float:
    """Of a whole invocation."""
    one = WARM_CPU_MS.get(cell.package, WARM_CPU_MS.get(cell.support, 8.0))
    return cell.messages * (one + (5.0 if cell.engine == "pure" and cell.package != "empty" else 0.0))


def waited_ms(cell: Cell) -> float:
    """Two calls of the gateway a payment, one of them ahead, or one with the usual stack; groups at once wait once."""
    if not cell.waits:
        return 0.0
    one_after_another = cell.messages / min(cell.groups, max(1, cell.group_concurrency))
    return WAIT_MS * one_after_another / (2 if cell.package == "usual" or cell.prepares_ahead else 1)


def run_of(plan: Plan = PLAN, seed: int = 1) -> list[Sample]:
    """Every sample of the plan, each a percent quicker or slower than it should be."""
    noise = random.Random(seed)
    taken = []
    for cell, count in plan.cells():
        for number in range(count):
            cpu = init_cpu_ms(cell) * noise.uniform(0.99, 1.01)
            share = min(1.0, fraction(cell.memory_size)) if cell.memory_size else 1.0
            wall, first = warm_cpu_ms(cell) / share + waited_ms(cell), 4.0 if "no_read" in cell.package else 1.0
            is_ended = cell.stress_mode != "none" and cell.engine == "pure" and not cell.repeated
            taken.append(
                Sample(
                    cell,
                    init_cpu_ms=cpu,
                    init_ms=cpu * 1.1,
                    harness_cpu_ms=1.0,
                    init_timed_out=is_ended,
                    first_invocation_ms=None if is_ended else first * wall,
                    first_invocation_cpu_ms=first * warm_cpu_ms(cell),
                    warm_ms=[wall],
                    warm_cpu_ms=[warm_cpu_ms(cell)],
                    round=number,
                )
            )
    return taken


def record_of(plan: Plan = PLAN, **changed: Any) -> dict[str, Any]:
    """The record that such a run leaves."""
    samples = run_of(plan)
    return {
        "machine": {"processor": "made up", "cores": 2},
        "python": "3.13.0",
        "at": "2026-11-28T00:00:00+00:00",
        "method": "made up",
        "quota": "cgroup v1",
        "prices": PRICES,
        "rows": matrix.rows(plan, samples, PRICES, measured=True),
        "bars": [bar.as_document() for bar in bars_of(plan, samples)],
        "samples": [asdict(sample) for sample in samples],
        "support": plan.support,
        "lacking": plan.lacking(),
        "quick": False,
        "init_profile": [{"name": "ssl", "cpu_ms": 19.0}, {"name": "handler", "cpu_ms": 8.0}],
        "payment_profile": [{"name": "HTTP and TLS", "cpu_ms": 0.7}, {"name": "score", "cpu_ms": 0.25}],
        **changed,
    }
