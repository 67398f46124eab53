"""Two records side by side: which differences are more than chance, drift of the machine and too few samples."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from benchmarks.coldstart import compare
from benchmarks.measure import unpaired_ratio

VARIANTS = ("compiled", "pure", "pip", "naive", "naive_no_pyc", "thin")
SIZES = (128, 256, 512, 1024, 1769)


def record(seed: int, *, init: int = 59, invocations: int = 11, **changed: float) -> dict[str, Any]:
    """A made-up run: the machine is a few percent faster or slower than in another, each process by itself, too."""
    draw = random.Random(seed)
    machine = draw.uniform(0.96, 1.04)
    samples = []

    def add(variant: str, memory_size: int | None, count: int) -> None:
        for _ in range(count):
            process = machine * draw.lognormvariate(0, 0.05) * changed.get(variant, 1.0)
            warm = [40 * process * draw.lognormvariate(0, 0.005) for _ in range(5)]
            cell = {"variant": variant, "memory_size": memory_size, "stress_mode": "none"}
            figures = {"init_cpu_ms": 100 * process, "first_invocation_ms": 60 * process, "warm_ms": warm}
            samples.append({"cell": cell, "error": "", **figures})

    for variant in ("empty", "empty again (A/A)", *VARIANTS):
        add(variant, None, init)
    for size in SIZES:
        for variant in ("compiled", "pure"):
            add(variant, size, invocations)
    return {"samples": samples, "machine": {"processor": "made up"}}


@pytest.mark.parametrize(("init", "invocations"), [(59, 11), (7, 2), (59, 1)])
def test_two_runs_of_one_commit_do_not_differ(init: int, invocations: int) -> None:
    wrong, most = [], 40
    for seed in range(most):
        runs = [record(1000 * number + seed, init=init, invocations=invocations) for number in (1, 2)]
        found = compare.differences(*runs)
        # 8 rows of init, and init, first and warm invocations of 10 others.
        assert len(found) == 38
        wrong.append(any(one.verdict in ("better", "worse") for one in found))
    # One in twenty comparisons may have a wrong verdict, not one row in twenty.
    assert sum(wrong) <= most / 10


def test_a_real_difference_is_found_and_its_size_told() -> None:
    found = {(one.row, one.figure): one for one in compare.differences(record(1), record(2, compiled=1.3, thin=0.7))}
    assert {one.row for one in found.values() if one.verdict == "worse"} == {"compiled"} | {
        f"compiled {size} MB" for size in SIZES
    }
    assert {one.row for one in found.values() if one.verdict == "better"} == {"thin"}
    worse = found["compiled", "init_cpu_ms"].ratio
    assert worse is not None
    # With the few percent that the machine itself changed.
    assert 1.15 < worse.median < 1.45


@pytest.mark.parametrize("invocations", [1, 2, 5])
def test_rows_of_a_few_samples_have_no_interval_and_no_verdict(invocations: int) -> None:
    found = compare.differences(record(1, invocations=invocations), record(2, invocations=invocations, compiled=3.0))
    few = [one for one in found if one.row == "compiled 128 MB"]
    assert {one.samples for one in few} == {(invocations, invocations)}
    assert {(one.ratio, one.verdict) for one in few} == {(None, "too few samples to tell")}


def test_five_warm_invocations_of_one_process_are_one_sample() -> None:
    found = {(one.row, one.figure): one for one in compare.differences(record(1), record(2))}
    assert found["pure 512 MB", "warm_ms"].samples == (11, 11)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    draw = random.Random(5)
    inside = 0
    for _ in range(400):
        values, base = ([draw.lognormvariate(0, 0.3) for _ in range(7)] for _ in range(2))
        ratio = unpaired_ratio(values, base, 0.9)
        assert ratio is not None
        inside += ratio.low <= 1 <= ratio.high
    assert 0.88 <= inside / 400 <= 0.96


def test_the_normal_approximation_takes_over_where_the_exact_count_ends() -> None:
    base = [1.02**number for number in range(31)]
    for level in (0.95, 0.998):
        exact, close = (unpaired_ratio(base[:size], base[:size], level) for size in (30, 31))
        assert exact is not None
        assert close is not None
        assert abs(exact.high - close.high) < 0.03


def test_the_command_fails_above_its_limit_alone(tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, one in zip(paths, (record(1), record(2, compiled=1.5)), strict=True):
        path.write_text(json.dumps(one))
    same, other = map(str, paths)
    assert compare.main([same, same, "--fail-above", "10%"]) == 0
    assert compare.main([same, other]) == 0
    assert compare.main([same, other, "--fail-above", "90%"]) == 0
    assert compare.main([same, other, "--fail-above", "10%"]) == 1
    assert compare.main([other, same, "--fail-above", "10%"]) == 0
    assert compare.main([same, str(tmp_path / "none.json")]) == 2
    assert "FAILED" in capsys.readouterr().out
