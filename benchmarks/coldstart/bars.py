"""The lab's promises, from the samples of one run that passed their verification.

The rule: a bar for which nothing was measured is missed, whatever the reason.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from benchmarks.coldstart import plan as names
from benchmarks.coldstart.matrix import init_ratio
from benchmarks.coldstart.plan import Plan
from benchmarks.coldstart.sample import BATCH, Cell, Sample
from benchmarks.measure import Bar, Ratio, paired_ratio

LEAN, STANDARD, USUAL = *names.SUPPORTS, names.USUAL


def bars_of(plan: Plan, samples: Sequence[Sample]) -> list[Bar]:
    """Every bar of the lab, met or missed."""
    passed = [sample for sample in samples if not sample.error]

    def chosen(variant: str, memory_size: int | None, *, waits: bool = False, messages: int = 1) -> list[Sample]:
        def wanted(cell: Cell) -> bool:
            found = (cell.variant, cell.memory_size, cell.waits, cell.messages, cell.stress_mode)
            return found == (variant, memory_size, waits, messages, "none")

        return [one for one in passed if wanted(one.cell)]

    def init(variant: str, base: str) -> float:
        found = init_ratio(chosen(variant, None), chosen(base, None))
        return math.inf if found is None else found.median

    def batch(variant: str, size: int) -> list[Sample]:
        return chosen(variant, size, waits=True, messages=BATCH)

    full, smallest = plan.full_size, plan.smallest
    ten, usual = f"{LEAN}, {names.TEN_AT_ONCE}", batch(USUAL, full)
    one_by_one = f"{STANDARD}, {names.ONE_BY_ONE}"
    stress = [one for one in passed if (one.cell.variant, one.cell.stress_mode) == (plan.support, "cold_start")]
    harness = [one.harness_cpu_ms / one.init_cpu_ms for one in chosen(names.EMPTY, None) if one.init_cpu_ms]
    same = init_ratio(chosen(names.AGAIN, None), chosen(names.EMPTY, None))
    return [
        Bar("init_to_empty", init(LEAN, names.EMPTY), 2.6),
        Bar("init_lean_to_what_one_would_write", init(LEAN, USUAL), 0.22),
        Bar("init_standard_to_pip", init(STANDARD, "pip"), 0.75),
        Bar("init_standard_to_naive_no_pyc", init(STANDARD, "naive_no_pyc"), 0.30),
        Bar(f"first_invocation_{smallest}_mb_ms", _median(chosen(LEAN, smallest), _first), 70.0),
        # Alone in its invocation, and in a full batch: both under the one limit that was promised for a payment.
        Bar("warm_cpu_lean_to_standard", _paired(chosen(LEAN, full), chosen(STANDARD, full), _warm_cpu), 0.30),
        Bar(
            "warm_cpu_lean_to_standard_full_batch", _paired(batch(ten, full), batch(one_by_one, full), _warm_cpu), 0.30
        ),
        Bar(
            "payments_a_second_ten_groups_to_what_one_would_write",
            _at_least(_paired(usual, batch(ten, full), _warm)),
            4.5,
            True,
        ),
        Bar(
            "payments_a_second_one_group_prepares_ahead_to_what_one_would_write",
            _at_least(_paired(usual, batch(f"{LEAN}, {names.AHEAD}", full), _warm)),
            0.9,
            True,
        ),
        Bar(
            f"duration_usd_{smallest}_mb_lean_to_standard",
            _paired(batch(ten, smallest), batch(one_by_one, smallest), _warm),
            0.16,
        ),
        Bar(
            "init_timed_out_share_compiled_stress",
            sum(one.init_timed_out for one in stress) / len(stress) if stress else math.inf,
            0.0,
        ),
        Bar("a_a_interval_excludes_1", float(same is None or not _contains_one(same)), 0.0),
        Bar("harness_cpu_to_empty_init_cpu", statistics.median(harness) if harness else math.inf, 0.05),
    ]


def _first(sample: Sample) -> float | None:
    return sample.first_invocation_ms


def _warm(sample: Sample) -> float | None:
    return statistics.median(sample.warm_ms) if sample.warm_ms else None


def _warm_cpu(sample: Sample) -> float | None:
    return statistics.median(sample.warm_cpu_ms) if sample.warm_cpu_ms else None


_Figure = Callable[[Sample], float | None]


def _median(samples: Sequence[Sample], figure: _Figure) -> float:
    values = [value for one in samples if (value := figure(one)) is not None]
    return statistics.median(values) if values else math.inf


def _paired(samples: Sequence[Sample], base: Sequence[Sample], figure: _Figure) -> float:
    """Median over rounds of a figure against the base's in the same round; infinite where no round has both."""
    rounds = {one.round: value for one in base if (value := figure(one))}
    both = [(value, rounds[one.round]) for one in samples if (value := figure(one)) and one.round in rounds]
    return paired_ratio([one for one, _ in both], [other for _, other in both]).median if both else math.inf


def _at_least(ratio: float) -> float:
    """For a bar that must be reached, nothing measured is nothing."""
    return ratio if math.isfinite(ratio) else 0.0


def _contains_one(ratio: Ratio) -> bool:
    return ratio.low <= 1 <= ratio.high
