"""What the benchmark of gateways compares, and its bars; what it measures is another matter."""

from __future__ import annotations

from benchmarks.coldstart.gateways import (
    AGAIN,
    ALL_ROOTS,
    BESIDE_PEPPER,
    IN_INIT,
    LATE,
    PEPPER,
    SIMULATED,
    GatewayPlan,
    bars_of,
    ratios,
    rows_of,
)
from benchmarks.coldstart.sample import Sample

PLAN = GatewayPlan(init=5, invocations=3, memory_sizes=(128,), kernels=("shani-2",))
INIT = {
    SIMULATED: 100.0,
    AGAIN: 101.0,
    IN_INIT: 104.0,
    LATE: 103.0,
    ALL_ROOTS: 102.0,
    PEPPER: 200.0,
    BESIDE_PEPPER: 208.0,
}


def run_of(init: dict[str, float]) -> list[Sample]:
    return [
        Sample(
            cell,
            init_cpu_ms=init[cell.variant] * (1 + number),
            init_ms=300.0,
            first_invocation_ms=10.0,
            round=number,
        )
        for cell, count in PLAN.cells()
        for number in range(count)
    ]


def test_every_way_stands_beside_the_simulated_gateway_with_the_same_engine_and_kernel():
    cells = [cell for cell, _ in PLAN.cells()]
    assert {cell.variant for cell in cells if cell.memory_size is None} == set(INIT)
    assert {cell.variant for cell in cells if cell.memory_size == 128} == set(INIT)
    assert {(cell.engine, cell.kernel) for cell in cells} == {("compiled", "shani-2")}
    assert {cell.variant for cell in cells if cell.gateway == "stripe"} == {
        IN_INIT,
        LATE,
        ALL_ROOTS,
        BESIDE_PEPPER,
    }


def test_a_bar_compares_samples_of_one_round_and_can_be_met_and_missed():
    assert all(bar.ok for bar in bars_of(run_of(INIT)))
    slow = {variant: value * (1 if variant in (SIMULATED, PEPPER) else 1.2) for variant, value in INIT.items()}
    missed = bars_of(run_of(slow))
    assert not any(bar.ok for bar in missed)
    assert str(missed[1]) == "bar init_stripe_key_in_init_to_simulated 1.248 <=1.05 missed"


def test_what_is_read_beside_a_pepper_is_compared_with_a_pepper_alone():
    found = ratios(run_of(INIT), "init_cpu_ms", None)
    assert (found[BESIDE_PEPPER].median, found[PEPPER].median) == (1.04, 2.0)
    assert SIMULATED not in found


def test_a_row_says_of_all_its_samples_the_median_and_the_outer_deciles():
    [row] = [row for row in rows_of(run_of(INIT), None) if row["variant"] == PEPPER]
    assert (row["samples"], row["init_cpu_ms"], row["init_cpu_ms_deciles"]) == (5, 600.0, [280.0, 920.0])
    assert not [key for key in row if key.startswith("first_invocation")]


def test_a_sample_that_failed_is_in_no_ratio_and_no_samples_miss_every_bar():
    samples = run_of(INIT)
    for one in samples:
        if one.cell.variant == LATE and one.round > 0:
            one.error, one.init_cpu_ms = "crashed", 1e9
    assert ratios(samples, "init_cpu_ms", None)[LATE].high == 1.03
    assert not any(bar.ok for bar in bars_of([]))
