"""The lab's own arithmetic and its refusals; what it measures is another matter."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from benchmarks.coldstart import compare, gateways, matrix, plan, report
from benchmarks.coldstart.bars import bars_of
from benchmarks.coldstart.command import main
from benchmarks.coldstart.packages import Package
from benchmarks.coldstart.prices import billed, costs
from benchmarks.coldstart.quota import CpuQuota, QuotaUnavailableError
from benchmarks.coldstart.sample import Cell, LabError, Sample, read_event, read_journal
from benchmarks.coldstart.sampling import refuse_a_loaded_interpreter
from benchmarks.measure import Bar, paired_ratio
from handler.settings import SETTINGS
from tests.support.lab import INIT_CPU_MS, PLAN, PRICES, WAIT_MS, run_of


def row(rows: list[dict[str, Any]], variant: str, memory_size: int | None, stress_mode: str = "none") -> dict[str, Any]:
    [found] = [
        one
        for one in rows
        if (one["variant"], one["memory_size"], one["stress_mode"]) == (variant, memory_size, stress_mode)
    ]
    return found


def sample(cell: Cell, init_cpu_ms: float, **figures: Any) -> Sample:
    return Sample(cell, init_cpu_ms=init_cpu_ms, init_ms=init_cpu_ms * 1.1, harness_cpu_ms=1.0, **figures)


def test_the_plan_takes_every_engine_package_support_and_memory_size():
    cells = [cell for cell, _ in PLAN.cells()]
    assert len(set(cells)) == len(cells)
    of_gateways = {cell.package for cell, _ in gateways.GatewayPlan().cells()}
    assert {cell.package for cell in cells} | of_gateways == set(get_args(Package))
    plain = [cell for cell in cells if (cell.package, cell.messages, cell.stress_mode) == ("packaged", 1, "none")]
    for memory_size in (None, 128, 1769):
        found = {(cell.engine, cell.support) for cell in plain if cell.memory_size == memory_size}
        assert found == {("compiled", "lean"), ("pure", "lean"), ("compiled", "standard")}
    assert {cell.kernel for cell in plain} == {"shani-2", ""}
    assert [cell.variant for cell in cells if cell.kernel == "avx512-16"] == ["lean, AVX-512 (not on arm64)"]
    # No two rows of a record have one name, which is what two records are compared by.
    names = [compare.name_of(asdict(cell)) for cell in cells]
    assert len(set(names)) == len(names)


def test_batches_of_ten_run_with_groups_at_once_and_not_and_beside_what_one_would_write():
    batches = {
        (cell.variant, cell.groups, cell.group_concurrency, cell.prepares_ahead)
        for cell, _ in PLAN.cells()
        if cell.waits and cell.messages == 10
    }
    assert batches == {
        ("lean, ten groups at once", 10, 10, False),
        ("lean, one group", 1, 10, False),
        ("lean, one group, prepares ahead", 1, 10, True),
        ("standard, one by one", 10, 1, False),
        ("what one would write", 10, 0, False),
    }


def test_everything_but_the_floor_charges_through_a_real_gateway():
    assert {cell.gateway for cell, _ in PLAN.cells() if cell.package != "empty"} == {"stripe"}


def test_every_support_starts_under_stress_and_wakes_from_a_snapshot():
    cells = [cell for cell, _ in PLAN.cells() if cell.memory_size is None]
    assert {cell.support for cell in cells if cell.stress_mode == "cold_start"} == {"lean", "standard"}
    woken = {(cell.engine, cell.support) for cell in cells if cell.restored}
    assert woken == {("compiled", "lean"), ("compiled", "standard"), ("pure", "lean")}


def test_what_is_left_of_init_after_a_snapshot_is_no_init():
    samples = run_of(PLAN)
    for one in samples:
        if one.cell.restored:
            one.init_cpu_ms = one.init_ms = 1.0
    rows = matrix.rows(PLAN, samples, PRICES, measured=True)
    assert row(rows, f"lean, {plan.WOKEN}", None)["init_cpu_ms"] == {"p50": 1.0, "min": 1.0}
    assert row(rows, "lean", None)["init_cpu_ms"]["min"] > 100
    assert row(rows, "lean", 128)["init_cpu_ms"]["min"] > 100


def test_the_charts_of_stress_are_of_one_support():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    other = [one for one in rows if (one["stress_mode"], one["support"]) == ("cold_start", "standard")]
    drawn = report._stress(rows, "lean")
    for one in other:
        one["init_ms"]["p50"] *= 2
    assert other
    assert report._stress(rows, "lean") == drawn
    assert report._stress(rows, "standard") != drawn


def test_what_a_record_lacks_is_taken_with_all_that_stands_beside_it():
    cells = {cell for cell, _ in PLAN.cells()}
    lacking = next(cell for cell in cells if (cell.stress_mode, cell.support) == ("cold_start", "standard"))
    before = [one for one in run_of(PLAN) if one.cell != lacking]
    before.append(sample(Cell("of before", "compiled", "packaged"), 1.0))
    kept = {one.cell for one in matrix.kept_of(PLAN, before)}
    anew = {cell for cell in cells if cell.stress_mode == "cold_start" and cell.memory_size is None}
    assert lacking in anew
    assert len(anew) > 2
    assert kept == cells - anew
    assert matrix.kept_of(PLAN, run_of(PLAN)) == run_of(PLAN)


def test_what_is_kept_is_not_taken_again_and_shares_no_round_with_what_is(tmp_path, monkeypatch):
    few = replace(PLAN, init=1, stress=2, invocations=1, batches=1)
    kept = [one for one in run_of(few) if one.cell.stress_mode == "none"]
    built, taken = [], []
    monkeypatch.setattr(matrix, "build", lambda *what: built.append(what))
    lab = SimpleNamespace(sample=lambda cell, built, warm: sample(cell, 1.0))
    arguments = {"seed": 1, "journal": tmp_path / "journal", "progress": lambda one, seconds: taken.append(one)}
    samples = matrix.run(few, lab, "python", **arguments, kept=kept)
    assert {one.cell.stress_mode for one in taken} == {"cold_start"}
    assert len(samples) == len(run_of(few))
    assert {one.round for one in kept} == {0}
    assert {one.round for one in taken} == {1, 2}
    assert {package for package, *_ in built} == {"packaged"}
    # Interrupted, it goes on: nothing is taken a second time.
    taken.clear()
    assert len(matrix.run(few, lab, "python", **arguments, kept=kept)) == len(samples)
    assert taken == []


def test_what_the_code_lacks_is_no_row_and_a_sentence():
    poor = replace(PLAN, supports=("standard",), groups_at_once=False, prepares_ahead=False)
    assert PLAN.lacking() == []
    assert [sentence.partition(" are refused")[0] for sentence in poor.lacking()] == [
        "rows of SUPPORT=lean",
        "rows of groups at once",
        "rows of prepares sent ahead",
    ]
    cells = [cell for cell, _ in poor.cells()]
    assert {cell.support for cell in cells} == {"standard", ""}
    assert {cell.group_concurrency for cell in cells} == {0}
    assert not any(cell.prepares_ahead or plan.TEN_AT_ONCE in cell.variant for cell in cells)
    lean = replace(PLAN, supports=("lean",))
    assert not {"pip", "naive", "naive_no_pyc"} & {cell.package for cell, _ in lean.cells()}


def test_the_plan_asks_the_code_what_it_has():
    has = plan.shipped()
    names = {setting.name for setting in SETTINGS}
    assert has.groups_at_once == ("GROUP_CONCURRENCY" in names)
    assert "standard" in has.supports


def test_init_is_pooled_over_memory_sizes_and_percentiles_need_their_samples():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    one, other = row(rows, "lean", 128), row(rows, "lean", 1769)
    assert one["init_cpu_ms"] == other["init_cpu_ms"]
    assert one["samples"] == {"init": 59, "invocations": 3}
    assert one["init_ms"]["p95"] is not None
    assert one["first_invocation_ms"]["p95"] is None
    assert one["source"] == "quota"
    assert one["ratio_to_empty"]["p50"] == pytest.approx(INIT_CPU_MS["lean"] / INIT_CPU_MS["empty"], rel=0.05)


def test_without_a_quota_rows_are_computed_and_say_so():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=False)
    found = row(rows, "lean", 128)
    assert found["source"] == "computed"
    assert found["warm_ms"]["p50"] == pytest.approx(2 * 1769 / 128)
    # Waiting for others takes no share of a processor.
    ten = next(one for one in rows if one["variant"] == "lean, ten groups at once" and one["waits"])
    assert ten["warm_ms"]["p50"] == pytest.approx(20 * 1769 / 128 + 20 * 1769 / 128 + WAIT_MS - 20)


def test_an_init_that_takes_too_long_is_followed_by_its_repeat():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    pure = row(rows, "lean, pure engine", 128, "cold_start")
    assert pure["init_timed_out_share"] == 1.0
    # The repeat under quota is what the first invocation took; between the sizes it is computed.
    assert (pure["source"], pure["first_invocation_ms"]["p50"]) == ("quota", pytest.approx(7 * 1769 / 128))
    three = replace(PLAN, init=5, stress=2, invocations=2, memory_sizes=(128, 512, 1769))
    between = row(matrix.rows(three, run_of(three), PRICES, measured=True), "lean, pure engine", 512, "cold_start")
    assert between["source"] == "computed"
    assert between["first_invocation_ms"]["p50"] == between["init_if_throttled_ms"]
    assert row(rows, "lean", 128, "cold_start")["init_timed_out_share"] == 0.0
    throttled = row(rows, "lean", 128, "cold_start")["init_if_throttled_ms"]
    assert throttled == pytest.approx(710 * 1769 / 128 + 3000, rel=0.02)


def test_a_sample_that_failed_its_verification_is_in_no_figure():
    samples = run_of(PLAN)
    cell = next(cell for cell, _ in PLAN.cells() if cell.variant == "lean")
    samples.append(sample(cell, 10**9, error="the function answered nothing"))
    rows = matrix.rows(PLAN, samples, PRICES, measured=True)
    assert row(rows, "lean", None)["init_cpu_ms"]["p50"] < 400


def test_every_bar_can_be_met_and_missed():
    bars = {bar.name: bar for bar in bars_of(PLAN, run_of(PLAN))}
    assert [bar.name for bar in bars.values() if not bar.ok] == []
    slow = run_of(PLAN)
    for one in slow:
        cell = one.cell
        if cell.package == "packaged" and (cell.support == "lean" or not cell.memory_size):
            one.init_cpu_ms *= 5
            one.init_timed_out = cell.stress_mode != "none"
            one.first_invocation_ms = 10_000
            one.warm_ms, one.warm_cpu_ms = [100_000.0], [1_000.0]
        if cell.variant == "empty":
            one.init_cpu_ms *= 1.5
            one.harness_cpu_ms = 10
    missed = {bar.name for bar in bars_of(PLAN, slow) if not bar.ok}
    assert missed == set(bars)
    crashed = run_of(PLAN)
    for one in crashed:
        one.error = "crashed"
    assert not any(bar.ok for bar in bars_of(PLAN, crashed))


def test_a_bar_without_samples_is_missed_and_a_record_of_it_is_json():
    poor = replace(PLAN, supports=("standard",), groups_at_once=False, prepares_ahead=False)
    bars = {bar.name: bar for bar in bars_of(poor, run_of(poor))}
    missed = [name for name, bar in bars.items() if not bar.ok]
    assert "init_to_empty" in missed
    assert "payments_a_second_ten_groups_to_what_one_would_write" in missed
    json.dumps([bar.as_document() for bar in bars.values()], allow_nan=False)
    assert "init_standard_to_pip" not in missed


def test_a_row_of_a_batch_counts_payments():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    ten, one_by_one = row(rows, "lean, ten groups at once", 1769), row(rows, "standard, one by one", 1769)
    assert ten["payments_per_second"] == pytest.approx(10_000 / (20 + WAIT_MS))
    assert one_by_one["payments_per_second"] == pytest.approx(10_000 / (80 + 10 * WAIT_MS))
    assert ten["usd_per_million_duration"] == pytest.approx(0.0133334 * 630 / 10 * 1769 / 1024)
    assert ten["usd_per_million_warm"] == pytest.approx(0.02 + ten["usd_per_million_duration"])


def test_a_ratio_pairs_samples_of_one_round_whatever_is_missing():
    cell, floor = Cell("compiled", "compiled", "packaged"), Cell("empty", "pure", "empty")
    base = [sample(floor, 10.0 * (number + 1), round=number) for number in range(5)]
    values = [sample(cell, 70.0 * (number + 1), round=number) for number in (1, 3, 4)]
    found = matrix.init_ratio(values, base)
    assert found is not None
    assert (found.median, found.low, found.high) == (7, 7, 7)
    assert matrix.init_ratio([], base) is None


def test_a_record_without_its_repeat_has_no_figure_and_is_still_json():
    samples = [one for one in run_of(PLAN) if not one.cell.repeated]
    rows = matrix.rows(PLAN, samples, PRICES, measured=True)
    assert row(rows, "lean, pure engine", 128, "cold_start")["init_if_throttled_ms"] is None
    json.dumps(rows, allow_nan=False)


def test_bars_print_their_limit_and_verdict():
    assert str(Bar("size", 4.0, 5.0)) == "bar size 4 <=5 ok"
    assert str(Bar("gain", 4.0, 5.0, at_least=True)) == "bar gain 4 >=5 missed"


def test_a_ratio_of_equal_samples_has_one_in_its_interval():
    noise = random.Random(2)
    base = [noise.gauss(100, 5) for _ in range(59)]
    ratio = paired_ratio(base[::-1], base)
    assert ratio.low <= 1 <= ratio.high
    assert paired_ratio([2 * value for value in base], base).low == pytest.approx(2)


def test_costs_bill_init_up_to_its_limit():
    cheap = {"memory_size": 1024, "init_ms": {"p50": 500}, "first_invocation_ms": {"p50": 500}, "warm_ms": {"p50": 100}}
    cost = costs(cheap, PRICES)
    assert cost["usd_per_million_cold"] == pytest.approx(0.2 + 13.3334)
    assert cost["usd_per_million_warm"] == pytest.approx(0.2 + 1.33334)
    late = {**cheap, "init_ms": {"p50": 60_000}}
    assert costs(late, PRICES)["usd_per_million_cold"] == pytest.approx(0.2 + 13.3334 * 10.5)


def test_costs_bill_whole_milliseconds_of_the_sum_with_init():
    row = {
        "memory_size": 1024,
        "init_ms": {"p50": 200.2},
        "first_invocation_ms": {"p50": 3.1},
        "warm_ms": {"p50": 3.1},
    }
    assert billed(row) == (204, 4)
    assert costs(row, PRICES)["usd_per_million_warm"] == pytest.approx(0.2 + 0.0133334 * 4)
    # In floats that is 3.0000000000000004.
    assert billed({**row, "init_ms": {"p50": 0.1}, "first_invocation_ms": {"p50": 2.2 + 0.7}})[0] == 3
    assert billed({**row, "init_ms": {"p50": None}, "warm_ms": {"p50": None}}) == (None, None)


def test_what_lambda_itself_says_that_it_bills_counts():
    row = {"memory_size": 1024, "billed_ms": {"cold": 7, "warm": None}}
    assert billed(row) == (7, None)
    assert costs(row, PRICES)["usd_per_million_cold"] == pytest.approx(0.2 + 0.0133334 * 7)


def test_a_quota_writes_cgroup_v2_under_a_delegated_controller(tmp_path):
    # cgroup v2 as a tree of plain files: what is written where, not what a kernel does with it.
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    quota = CpuQuota(tmp_path)
    assert quota.kind == "cgroup v2"
    group = quota._group
    group.mkdir()
    quota.limit(42, 128)
    assert (group / "cpu.max").read_text() == "1447 20000"
    assert (group / "cgroup.procs").read_text() == "42"
    quota.limit(42, 1)
    assert (group / "cpu.max").read_text() == "1000 20000"


def test_a_quota_that_does_not_limit_is_refused(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("")
    with pytest.raises(QuotaUnavailableError, match="no cpu controller"), CpuQuota(tmp_path):
        pass
    with pytest.raises(QuotaUnavailableError, match="Run as root"), CpuQuota(tmp_path / "none"):
        pass


@pytest.mark.parametrize("memory", ["64", "20000", "half", "128,", "-128"])
def test_an_unknown_memory_size_is_refused(memory, capsys):
    with pytest.raises(SystemExit):
        main(["--memory", memory, "--dry-run"])
    assert "128 to 10240 MB" in capsys.readouterr().err


def test_a_dry_run_says_what_it_would_take(capsys):
    assert main(["--memory", "128", "--dry-run"]) == 0
    assert "minutes" in capsys.readouterr().out


def test_events_are_messages_or_batches_with_a_weight(tmp_path):
    root = Path(__file__).parents[3] / "events"
    bodies, weight = read_event(f"{root / 'sqs_batch.json'}=0.5")
    assert (len(bodies), weight) == (4, 0.5)
    (tmp_path / "no_id.json").write_text("{}")
    for text in (
        f"{tmp_path}/none.json",
        f"{tmp_path}/no_id.json",
        f"{root}/low_risk.json=0",
        f"{root}/low_risk.json=x",
    ):
        with pytest.raises(LabError):
            read_event(text)


def test_an_interpreter_that_imports_from_site_packages_is_refused(tmp_path):
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho /usr/lib/python3/site-packages/certifi.py\n")
    interpreter.chmod(0o755)
    with pytest.raises(LabError, match=r"certifi\.py when it starts"):
        refuse_a_loaded_interpreter(interpreter)


def test_an_interrupted_run_is_taken_up_from_its_journal(tmp_path):
    journal = tmp_path / "journal.jsonl"
    taken = run_of(replace(PLAN, init=1, stress=1, invocations=1, batches=1))
    journal.write_text("".join(json.dumps(one.as_document()) + "\n" for one in taken) + '{"cell": {"var')
    assert list(read_journal(journal)) == taken
    assert list(read_journal(tmp_path / "none.jsonl")) == []


@pytest.mark.parametrize("option", ["--gateway-ms=-1", "--gateway-ms=5000", "--table-ms=1000"])
def test_a_wait_beyond_the_functions_deadlines_is_refused(option, capsys):
    with pytest.raises(SystemExit):
        main([option, "--dry-run"])
    assert "within 0 and 900" in capsys.readouterr().err
