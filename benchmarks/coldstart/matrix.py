"""Which samples are taken, in which order, and the rows that come out of them.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.coldstart.packages import Built, build
from benchmarks.coldstart.prices import costs
from benchmarks.coldstart.quota import fraction
from benchmarks.coldstart.sampling import WARM_INVOCATIONS, Cell, Lab, Sample
from benchmarks.measure import Ratio, paired_ratio

MEMORY_SIZES = (128, 256, 512, 1024, 1769, 3008)
# One chain a payment would flatter nobody: the nearest stand-in of Graviton's SHA2 instructions on x86.
HEADLINE_KERNEL = "shani-2"
# Below these counts a percentile is not a statement about the distribution.
SAMPLES_P95 = 59

# Rough seconds of one sample, for the plan only; measured on two shared cores.
_SECONDS = {
    "empty": 0.15,
    "packaged": 0.6,
    "naive": 0.8,
    "pip": 0.7,
    "naive_no_pyc": 1.6,
    "thin": 0.5,
    "no_read": 0.6,
    "no_read_all_roots": 0.6,
    "key_late": 0.6,
    "all_roots": 0.6,
    "pepper": 0.6,
}
STRESS_SECONDS = {"compiled": 4.5, "pure": 10.5}


@dataclass(frozen=True)
class Plan:
    """How many samples of what. `init` and `stress` are samples a variant, `invocations` a variant and memory size."""

    init: int = 59
    stress: int = 11
    invocations: int = 11
    memory_sizes: tuple[int, ...] = MEMORY_SIZES
    kernels: tuple[str, ...] = ()
    # Lambda's second try of an init that took too long, at the smallest size: minutes, and otherwise computed.
    repeat_at_smallest: bool = True

    @property
    def headline_kernel(self) -> str:
        return HEADLINE_KERNEL if HEADLINE_KERNEL in self.kernels else ""

    def cells(self) -> list[tuple[Cell, int]]:
        """Every cell with its number of samples."""
        kernel = self.headline_kernel
        cells: list[tuple[Cell, int]] = [
            (Cell("empty", "pure", "empty"), self.init),
            (Cell("empty again (A/A)", "pure", "empty"), self.init),
            (Cell("compiled", "compiled", "packaged", kernel=kernel), self.init),
            (Cell("pure", "pure", "packaged"), self.init),
            (Cell("pip", "compiled", "pip", kernel=kernel), self.init),
            (Cell("naive", "compiled", "naive", kernel=kernel), self.init),
            # Their ratios are so large that fewer samples show them.
            (Cell("naive_no_pyc", "compiled", "naive_no_pyc", kernel=kernel), min(self.init, 21)),
            (Cell("thin client (not shipped)", "compiled", "thin", kernel=kernel), min(self.init, 21)),
        ]
        stressed = [
            Cell("compiled", "compiled", "packaged", "cold_start", kernel),
            Cell("pure", "pure", "packaged", "cold_start"),
        ]
        if "avx512-16" in self.kernels:
            stressed.append(Cell("compiled, AVX-512 (not on arm64)", "compiled", "packaged", "cold_start", "avx512-16"))
        cells += [(cell, self.stress) for cell in stressed]
        for memory_size in self.memory_sizes:
            cells += [
                (Cell("compiled", "compiled", "packaged", kernel=kernel, memory_size=memory_size), self.invocations),
                (Cell("pure", "pure", "packaged", memory_size=memory_size), self.invocations),
            ]
        # What one read in init saves the first invocation: shown where it hurts most.
        smallest = min(self.memory_sizes)
        cells += [
            (Cell(variant, "compiled", package, kernel=kernel, memory_size=smallest), self.invocations)
            for variant, package in (
                ("compiled, no read in init", "no_read"),
                ("compiled, no read, the SDK's whole list of authorities", "no_read_all_roots"),
            )
        ]
        # The second try of an init that takes too long, once at either end.
        for memory_size in sorted({*([smallest] if self.repeat_at_smallest else []), max(self.memory_sizes)}):
            cells.append((Cell("pure", "pure", "packaged", "cold_start", "", memory_size, True), 1))
        return cells

    def seconds(self) -> float:
        """Expected duration, builds left out."""
        return sum(_expected_seconds(cell) * count for cell, count in self.cells())


def _expected_seconds(cell: Cell) -> float:
    if cell.repeated and cell.memory_size:
        return 3.0 + 9.0 / min(1.0, fraction(cell.memory_size))
    if cell.stress_mode != "none":
        return STRESS_SECONDS[cell.engine]
    throttled = 0.12 / min(1.0, fraction(cell.memory_size)) if cell.memory_size else 0.0
    return _SECONDS[cell.package] + throttled


def run(
    plan: Plan,
    lab: Lab,
    python: str,
    *,
    seed: int,
    journal: Path,
    progress: Callable[[Sample, float], None],
) -> list[Sample]:
    """Take all samples of a plan, each written to `journal` at once; samples that stand there are not taken again.

    `progress` gets each new sample and the expected seconds that it stood for.
    """
    taken = _read_journal(journal)
    counts: dict[Cell, int] = defaultdict(int)
    for sample in taken:
        counts[sample.cell] += 1
    built: dict[tuple[str, str], Built] = {}
    for cell, _ in plan.cells():
        key = (cell.package, cell.engine)
        if key not in built:
            built[key] = build(cell.package, cell.engine, python)  # type: ignore[arg-type]
    order = random.Random(seed)
    rounds = max(count for _, count in plan.cells())
    samples = list(taken)
    with journal.open("a") as lines:
        for number in range(rounds):
            cells = [cell for cell, count in plan.cells() if number < count]
            order.shuffle(cells)
            for cell in cells:
                if counts[cell] > number:
                    continue
                warm = WARM_INVOCATIONS if cell.memory_size else 1
                sample = lab.sample(cell, built[cell.package, cell.engine], warm)
                sample.round = number
                samples.append(sample)
                lines.write(json.dumps(sample.as_document()) + "\n")
                lines.flush()
                progress(sample, _expected_seconds(cell))
    return samples


def _read_journal(journal: Path) -> list[Sample]:
    if not journal.exists():
        return []
    samples = []
    for line in journal.read_text().splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            # The last line of a run that was killed while it wrote.
            continue
        cell = document.pop("cell")
        samples.append(Sample(Cell(**cell), **document))
    return samples


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
    pooled = by_cell[Cell(cell.variant, cell.engine, cell.package, cell.stress_mode, cell.kernel)] or by_cell[cell]
    init_cpu = [sample.init_cpu_ms for sample in pooled]
    init = [sample.init_ms for sample in pooled]
    timed_out = sum(sample.init_timed_out for sample in pooled)
    invoked = by_cell[cell] if cell.memory_size else pooled
    source = "quota" if cell.memory_size and measured else "computed"
    share = min(1.0, fraction(memory_size)) if memory_size else 1.0
    first = [sample.first_invocation_ms for sample in invoked if sample.first_invocation_ms is not None]
    first_cpu = [sample.first_invocation_cpu_ms for sample in invoked if sample.first_invocation_cpu_ms is not None]
    warm = [value for sample in invoked for value in sample.warm_ms]
    if source == "computed" and memory_size:
        warm = [value / share for sample in invoked for value in sample.warm_cpu_ms]
        first = [value / share for value in first_cpu]
    throttled = _throttled_init_ms(cell, memory_size, pooled, by_cell, share)
    if timed_out and memory_size:
        repeated = by_cell[
            Cell(cell.variant, cell.engine, cell.package, cell.stress_mode, cell.kernel, memory_size, True)
        ]
        repeats = [sample.first_invocation_ms for sample in repeated if sample.first_invocation_ms is not None]
        source = "quota" if repeats and measured else "computed"
        first = repeats or ([] if throttled is None else [throttled])
    ratio = init_ratio(pooled, floor)
    return {
        "variant": cell.variant,
        "engine": cell.engine,
        "kernel": cell.kernel or (pooled[0].scoring.get("kernel", "") if pooled else ""),
        "package": cell.package,
        "memory_size": memory_size,
        "stress_mode": cell.stress_mode,
        "samples": {"init": len(pooled), "invocations": len(first)},
        "init_cpu_ms": {"p50": _median(init_cpu), "min": min(init_cpu, default=None)},
        "init_ms": {"p50": _median(init), "p95": _p95(init)},
        "first_invocation_ms": {"p50": _median(first), "p95": _p95(first)},
        "warm_ms": {"p50": _median(warm)},
        "ratio_to_empty": None if ratio is None else {"p50": ratio.median, "low": ratio.low, "high": ratio.high},
        "max_rss_mb": max((sample.max_rss_mb for sample in invoked), default=None),
        "init_timed_out_share": timed_out / len(pooled) if pooled else None,
        "init_if_throttled_ms": throttled,
        "source": source,
    }


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
