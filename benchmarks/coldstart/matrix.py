"""Takes the samples of a plan, and makes rows of them.

The rule: variants are interleaved and shuffled anew in every round, ratios are of samples of one round, and what was
not measured says so (`source` is `quota` where a cgroup limited the process, `computed` where CPU time was divided by
the share of a processor).
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.coldstart.packages import Built, build
from benchmarks.coldstart.plan import Plan, expected_seconds, warm_invocations
from benchmarks.coldstart.prices import costs
from benchmarks.coldstart.quota import fraction
from benchmarks.coldstart.sample import Cell, Sample, read_journal
from benchmarks.coldstart.sampling import Lab
from benchmarks.measure import Ratio, paired_ratio

# Below these counts a percentile is not a statement about the distribution.
SAMPLES_P95 = 59


def run(
    plan: Plan,
    lab: Lab,
    python: str,
    *,
    seed: int,
    journal: Path,
    progress: Callable[[Sample, float], None],
    kept: Sequence[Sample] = (),
) -> list[Sample]:
    """Take all samples of a plan, each written to `journal` at once; samples that stand there are not taken again.

    `progress` gets each new sample and the expected seconds that it stood for. Nor is a cell of `kept` taken again,
    with whose rounds a new sample shares none.
    """
    samples = [*kept, *read_journal(journal)]
    counts: dict[Cell, int] = defaultdict(int)
    for sample in samples:
        counts[sample.cell] += 1
    built: dict[tuple[str, str, str], Built] = {}
    for cell, count in plan.cells():
        key = (cell.package, cell.engine, cell.support)
        if key not in built and counts[cell] < count:
            built[key] = build(*key[:2], python, cell.support or "lean")  # type: ignore[arg-type]
    order = random.Random(seed)
    rounds = max(count for _, count in plan.cells())
    first = 1 + max((sample.round for sample in kept), default=-1)
    with journal.open("a") as lines:
        for number in range(rounds):
            cells = [cell for cell, count in plan.cells() if number < count]
            order.shuffle(cells)
            for cell in cells:
                if counts[cell] > number:
                    continue
                sample = lab.sample(cell, built[cell.package, cell.engine, cell.support], warm_invocations(cell))
                sample.round = first + number
                samples.append(sample)
                lines.write(json.dumps(sample.as_document()) + "\n")
                lines.flush()
                progress(sample, expected_seconds(cell))
    return samples


def kept_of(plan: Plan, samples: Sequence[Sample]) -> list[Sample]:
    """Of a record's samples those that a plan need not take again: of its cells, but not of a kind of which the record
    lacks one, so that what is compared is of one session.
    """
    planned = {cell for cell, _ in plan.cells()}
    anew = {_kind(cell) for cell in planned - {sample.cell for sample in samples}}
    return [one for one in samples if one.cell in planned and _kind(one.cell) not in anew and not one.error]


def _kind(cell: Cell) -> Hashable:
    """What cells that stand beside each other have in common."""
    return cell.stress_mode, cell.memory_size, cell.repeated, cell.restored, cell.messages, cell.waits


# ---- rows ---------------------------------------------------------------------------------------------------------


def rows(plan: Plan, samples: Sequence[Sample], prices: dict[str, Any], *, measured: bool) -> list[dict[str, Any]]:
    """One row a variant, stress mode and memory size; init, which is not throttled, is pooled over memory sizes.

    `measured` says whether samples with a memory size ran under a quota; else their CPU time is divided by its share.
    """
    by_cell: dict[Cell, list[Sample]] = defaultdict(list)
    for sample in samples:
        if not sample.error:
            by_cell[sample.cell].append(sample)
    floor = by_cell[plan.cells()[0][0]]
    result: list[dict[str, Any]] = []
    for cell, _ in plan.cells():
        if cell.memory_size is None:
            sizes: tuple[int | None, ...] = (None,) if cell.stress_mode == "none" else plan.memory_sizes
            result += [_row(cell, size, by_cell, floor, measured) for size in sizes]
        elif not cell.repeated:
            result.append(_row(cell, cell.memory_size, by_cell, floor, measured))
    return [row | costs(row, prices) for row in result]


def _row(
    cell: Cell,
    memory_size: int | None,
    by_cell: dict[Cell, list[Sample]],
    floor: Sequence[Sample],
    measured: bool,
) -> dict[str, Any]:
    pooled = of_init(cell, by_cell) or by_cell[cell]
    init_cpu = [sample.init_cpu_ms for sample in pooled]
    init = [sample.init_ms for sample in pooled]
    timed_out = sum(sample.init_timed_out for sample in pooled)
    invoked = by_cell[cell] if cell.memory_size else pooled
    source = "quota" if cell.memory_size and measured else "computed"
    share = min(1.0, fraction(memory_size)) if memory_size else 1.0
    begun = [
        (sample.first_invocation_ms, sample.first_invocation_cpu_ms)
        for sample in invoked
        if sample.first_invocation_ms is not None and sample.first_invocation_cpu_ms is not None
    ]
    later = [pair for sample in invoked for pair in zip(sample.warm_ms, sample.warm_cpu_ms, strict=True)]
    if source == "computed" and memory_size:
        # What others take is not stretched; where nobody waits, the rest of the time is this machine's other work.
        begun, later = (
            [(cpu / share + (wall - cpu if cell.waits else 0.0), cpu) for wall, cpu in pairs]
            for pairs in (begun, later)
        )
    first, warm = ([wall for wall, _ in pairs] for pairs in (begun, later))
    throttled = _throttled_init_ms(cell, memory_size, pooled, by_cell, share)
    if timed_out and memory_size:
        repeated = by_cell[replace(cell, memory_size=memory_size, repeated=True)]
        repeats = [sample.first_invocation_ms for sample in repeated if sample.first_invocation_ms is not None]
        source = "quota" if repeats and measured else "computed"
        first = repeats or ([] if throttled is None else [throttled])
    ratio = init_ratio(pooled, floor)
    warm_ms = _median(warm)
    return {
        "variant": cell.variant,
        "engine": cell.engine,
        "support": cell.support,
        "group_concurrency": cell.group_concurrency,
        "messages": cell.messages,
        "groups": cell.groups,
        "waits": cell.waits,
        "kernel": cell.kernel or (pooled[0].scoring.get("kernel", "") if pooled else ""),
        "package": cell.package,
        "memory_size": memory_size,
        "stress_mode": cell.stress_mode,
        "samples": {"init": len(pooled), "invocations": len(first)},
        "init_cpu_ms": {"p50": _median(init_cpu), "min": min(init_cpu, default=None)},
        "init_ms": {"p50": _median(init), "p95": _p95(init)},
        "first_invocation_ms": {"p50": _median(first), "p95": _p95(first)},
        "warm_ms": {"p50": warm_ms},
        "warm_cpu_ms": {"p50": _median([cpu for _, cpu in later])},
        "payments_per_second": cell.messages * 1000 / warm_ms if warm_ms and memory_size else None,
        "ratio_to_empty": None if ratio is None else {"p50": ratio.median, "low": ratio.low, "high": ratio.high},
        "max_rss_mb": max((sample.max_rss_mb for sample in invoked), default=None),
        "init_timed_out_share": timed_out / len(pooled) if pooled else None,
        "init_if_throttled_ms": throttled,
        "source": source,
    }


def of_init(cell: Cell, by_cell: dict[Cell, list[Sample]]) -> list[Sample]:
    """Every sample of the same init, of which nothing depends on what its invocations will be."""

    def key(one: Cell) -> Hashable:
        # The empty handler has two names, which are compared.
        name = one.variant if one.package == "empty" else ""
        return name, one.engine, one.package, one.stress_mode, one.kernel, one.gateway, one.support, one.restored

    return [
        sample
        for other, found in by_cell.items()
        if other.memory_size is None and key(other) == key(cell)
        for sample in found
    ]


def init_ratio(samples: Sequence[Sample], base: Sequence[Sample]) -> Ratio | None:
    """Init CPU time against that of the base in the same round; None where no round has both."""
    rounds = {sample.round: sample.init_cpu_ms for sample in base}
    both = [one for one in samples if one.round in rounds]
    return paired_ratio([one.init_cpu_ms for one in both], [rounds[one.round] for one in both]) if both else None


def _throttled_init_ms(
    cell: Cell, memory_size: int | None, pooled: Sequence[Sample], by_cell: dict[Cell, list[Sample]], share: float
) -> float | None:
    """Init under the memory size's quota: CPU time stretched, sleeps and waits as they are.

    An init that was cut off at 10 s did not show its whole CPU time; its measured repeat at full size does.
    """
    if not pooled or not memory_size:
        return None
    whole = [sample for sample in pooled if not sample.init_timed_out]
    if not whole:
        repeats = [
            sample
            for other, found in by_cell.items()
            if other.repeated and other.variant == cell.variant
            for sample in found
        ]
        whole = sorted(repeats, key=lambda sample: -(sample.cell.memory_size or 0))[:1]
    if not whole:
        return None
    cpu = statistics.median(sample.init_cpu_ms for sample in whole)
    slept = 3000.0 if cell.stress_mode == "cold_start" else 0.0
    return cpu / share + slept


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _p95(values: Sequence[float]) -> float | None:
    if len(values) < SAMPLES_P95:
        return None
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
