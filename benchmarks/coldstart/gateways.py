"""`python -m benchmarks gateways`: what Stripe adds to a cold start, with its key read in init or with a charge.

The rule: all that is compared is interleaved in one run, and beside it stands the same variant under another name,
whose interval is the noise. The gateway, its key and the table answer on 127.0.0.1 over TLS.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.coldstart import matrix
from benchmarks.coldstart.packages import FOLDER
from benchmarks.coldstart.plan import Plan, shipped
from benchmarks.coldstart.quota import CpuQuota, QuotaUnavailableError
from benchmarks.coldstart.sample import Cell, LabError, Sample
from benchmarks.coldstart.sampling import Lab
from benchmarks.measure import Bar, Ratio, new_record, paired_ratio, write_record
from local.installation import InstallationError

SIMULATED, AGAIN = "simulated", "simulated again (A/A)"
IN_INIT, LATE = "stripe, key read in init", "stripe, key read with the first charge"
ALL_ROOTS = "stripe, key read in init, all of the system's roots"
PEPPER, BESIDE_PEPPER = "simulated, with a pepper", "stripe, with a pepper, key read in init"
MEMORY_SIZE = 128
# What the gateway may add to init.
LIMIT = 1.05
_FIGURES = ("init_cpu_ms", "init_ms", "first_invocation_ms", "first_invocation_cpu_ms")


@dataclass(frozen=True)
class GatewayPlan(Plan):
    """Each variant's init, and its first invocation at the smallest memory size."""

    def cells(self) -> list[tuple[Cell, int]]:
        stripe = self.function(self.support)
        cells = [
            replace(stripe, variant=SIMULATED, gateway="simulated"),
            replace(stripe, variant=AGAIN, gateway="simulated"),
            replace(stripe, variant=IN_INIT),
            replace(stripe, variant=LATE, package="key_late"),
            replace(stripe, variant=ALL_ROOTS, package="all_roots"),
            replace(stripe, variant=PEPPER, package="pepper", gateway="simulated"),
            replace(stripe, variant=BESIDE_PEPPER, package="pepper"),
        ]
        invoked = [(replace(cell, memory_size=MEMORY_SIZE), self.invocations) for cell in cells]
        return [(cell, self.init) for cell in cells] + invoked


def ratios(samples: Sequence[Sample], figure: str, memory_size: int | None) -> dict[str, Ratio]:
    """A figure of each variant against the simulated gateway's in the same round, with a pepper where it has one."""
    rounds: dict[str, dict[int, float]] = {}
    for sample in samples:
        value = getattr(sample, figure)
        if not sample.error and sample.cell.memory_size == memory_size and value is not None:
            rounds.setdefault(sample.cell.variant, {})[sample.round] = value
    found = {}
    for variant, values in rounds.items():
        base = rounds.get(PEPPER if variant == BESIDE_PEPPER else SIMULATED, {})
        both = sorted(values.keys() & base.keys()) if variant != SIMULATED else []
        if both:
            found[variant] = paired_ratio([values[one] for one in both], [base[one] for one in both])
    return found


def bars_of(samples: Sequence[Sample]) -> list[Bar]:
    """Init CPU time of each way against the simulated gateway's; without samples, missed."""
    found = ratios(samples, "init_cpu_ms", None)
    return [
        Bar(name, found[variant].median if variant in found else math.inf, LIMIT)
        for name, variant in (
            ("init_a_a_to_simulated", AGAIN),
            ("init_stripe_key_in_init_to_simulated", IN_INIT),
            ("init_stripe_key_with_first_charge_to_simulated", LATE),
            ("init_stripe_all_roots_to_simulated", ALL_ROOTS),
            ("init_stripe_with_pepper_to_simulated_with_pepper", BESIDE_PEPPER),
        )
    ]


def rows_of(samples: Sequence[Sample], memory_size: int | None) -> list[dict[str, object]]:
    """What is kept of the samples: medians in ms, the first and the last decile, and ratios with their interval."""
    rows: list[dict[str, object]] = []
    for variant in (SIMULATED, AGAIN, IN_INIT, LATE, ALL_ROOTS, PEPPER, BESIDE_PEPPER):
        wanted = (variant, memory_size, "")
        mine = [one for one in samples if (one.cell.variant, one.cell.memory_size, one.error) == wanted]
        row: dict[str, object] = {"variant": variant, "memory_size": memory_size, "samples": len(mine)}
        for figure in _FIGURES if memory_size else _FIGURES[:2]:
            values = [value for one in mine if (value := getattr(one, figure)) is not None]
            row[figure] = round(statistics.median(values), 1) if values else None
            if len(values) > 1:
                deciles = statistics.quantiles(values, n=10, method="inclusive")
                row[f"{figure}_deciles"] = [round(deciles[0], 1), round(deciles[-1], 1)]
            if ratio := ratios(samples, figure, memory_size).get(variant):
                row[f"{figure}_ratio"] = [round(ratio.median, 3), round(ratio.low, 3), round(ratio.high, 3)]
        rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. 1 where a sample is not verified or, with `--strict`, a bar is missed; 2 without any sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples, no record")
    parser.add_argument("--strict", action="store_true", help="a missed bar is a failure")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the version to measure")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    plan = GatewayPlan(**{**vars(shipped()), "memory_sizes": (MEMORY_SIZE,), "invocations": 21})
    if options.quick:
        plan = replace(plan, init=5, invocations=2)
    FOLDER.mkdir(parents=True, exist_ok=True)
    journal = FOLDER / "journal-gateways.jsonl"
    journal.unlink(missing_ok=True)
    try:
        samples, quota = _measure(plan, options.python, options.seed, journal)
    except (LabError, InstallationError) as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 2
    bars = bars_of(samples)
    rows = [row for size in (None, MEMORY_SIZE) for row in rows_of(samples, size)]
    path = FOLDER / "quick" / "gateways.json" if options.quick else new_record("gateways.json")
    path.parent.mkdir(exist_ok=True)
    write_record(
        path,
        {
            "method": "Fresh processes, interleaved and shuffled in every round, on one pinned processor; init at full "
            f"speed, invocations at {MEMORY_SIZE} MB by {quota}; every payment verified in the table.",
            "seed": options.seed,
            "quota": quota,
            "rows": rows,
            "bars": [bar.as_document() for bar in bars],
        },
    )
    for row in rows:
        print(*(f"{name} {value}" for name, value in row.items()), sep=", ")
    for bar in bars:
        print(bar)
    failed = [sample for sample in samples if sample.error]
    for sample in failed:
        print(f"error {sample.cell.variant}: {sample.error}", file=sys.stderr)
    print(f"record: {path}")
    return int(bool(failed) or (options.strict and not all(bar.ok for bar in bars)))


def _measure(plan: GatewayPlan, python: str, seed: int, journal: Path) -> tuple[list[Sample], str]:
    with contextlib.ExitStack() as stack:
        quota: CpuQuota | None = None
        try:
            quota = stack.enter_context(CpuQuota())
        except QuotaUnavailableError as error:
            print(error, file=sys.stderr)
        lab = stack.enter_context(Lab(python, quota, seed=seed))
        samples = matrix.run(plan, lab, python, seed=seed, journal=journal, progress=lambda *_: None)
        return samples, quota.kind if quota is not None else "no quota (CPU time alone counts)"


if __name__ == "__main__":
    sys.exit(main())
