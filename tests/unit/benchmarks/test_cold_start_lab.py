"""The lab's own arithmetic and its refusals; what it measures is another matter."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, get_args

import pytest

from benchmarks.coldstart import aws, gateways, lambda_report, matrix, recommend
from benchmarks.coldstart.command import bars_of, main
from benchmarks.coldstart.packages import Package
from benchmarks.coldstart.prices import billed, costs, read_prices
from benchmarks.coldstart.quota import CpuQuota, QuotaUnavailableError, fraction
from benchmarks.coldstart.sampling import Cell, LabError, Sample, read_event, refuse_a_loaded_interpreter
from benchmarks.measure import Bar, paired_ratio

PRICES = read_prices()


def sample(cell: Cell, init_cpu_ms: float, **figures: Any) -> Sample:
    return Sample(cell, init_cpu_ms=init_cpu_ms, init_ms=init_cpu_ms * 1.1, harness_cpu_ms=1.0, **figures)


def run_of(plan: matrix.Plan, scale: float = 1.0, seed: int = 1) -> list[Sample]:
    """A made-up run in which compiled init costs 300 CPU-ms, pure 310, and an invocation 10 or 15."""
    noise = random.Random(seed)
    init = {
        "empty": 50,
        "empty again (A/A)": 50,
        "compiled": 300,
        "pure": 310,
        "pip": 430,
        "naive": 450,
        "naive_no_pyc": 1200,
    }
    taken = []
    for cell, count in plan.cells():
        for number in range(count):
            cpu = init.get(cell.variant, 200) * noise.uniform(0.99, 1.01)
            if cell.stress_mode == "cold_start":
                cpu += {"compiled": 600, "pure": 8000}[cell.engine]
            invocation = {"compiled": 10.0, "pure": 15.0}[cell.engine]
            share = min(1.0, fraction(cell.memory_size)) if cell.memory_size else 1.0
            first = 4 * invocation if "no read" in cell.variant else invocation
            taken.append(
                sample(
                    cell,
                    cpu * scale,
                    init_timed_out=cell.stress_mode != "none" and cell.engine == "pure" and not cell.repeated,
                    first_invocation_ms=None
                    if cell.stress_mode != "none" and cell.engine == "pure" and not cell.repeated
                    else first / share * scale,
                    first_invocation_cpu_ms=first,
                    warm_ms=[invocation / share * scale],
                    warm_cpu_ms=[invocation],
                    round=number,
                )
            )
    return taken


PLAN = matrix.Plan(init=59, stress=3, invocations=3, memory_sizes=(128, 1769), kernels=("shani-2", "avx512-16"))


def row(rows: list[dict[str, Any]], variant: str, memory_size: int | None, stress_mode: str = "none") -> dict[str, Any]:
    [found] = [
        one
        for one in rows
        if (one["variant"], one["memory_size"], one["stress_mode"]) == (variant, memory_size, stress_mode)
    ]
    return found


def test_the_plan_takes_every_engine_package_and_memory_size():
    cells = [cell for cell, _ in PLAN.cells()]
    assert len(set(cells)) == len(cells)
    of_gateways = {cell.package for cell, _ in gateways.GatewayPlan().cells()}
    assert {cell.package for cell in cells} | of_gateways == set(get_args(Package))
    assert {(cell.engine, cell.memory_size) for cell in cells if cell.variant in ("compiled", "pure")} >= {
        ("compiled", 128),
        ("compiled", 1769),
        ("pure", 128),
        ("pure", 1769),
    }
    headline = [cell for cell in cells if cell.variant == "compiled"]
    assert {cell.kernel for cell in headline} == {"shani-2"}
    assert [cell.variant for cell in cells if cell.kernel == "avx512-16"] == ["compiled, AVX-512 (not on arm64)"]


def test_init_is_pooled_over_memory_sizes_and_percentiles_need_their_samples():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    one, other = row(rows, "compiled", 128), row(rows, "compiled", 1769)
    assert one["init_cpu_ms"] == other["init_cpu_ms"]
    assert one["samples"] == {"init": 59, "invocations": 3}
    assert one["init_ms"]["p95"] is not None
    assert one["first_invocation_ms"]["p95"] is None
    assert one["source"] == "quota"
    assert one["ratio_to_empty"]["p50"] == pytest.approx(6, rel=0.05)


def test_without_a_quota_rows_are_computed_and_say_so():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=False)
    found = row(rows, "compiled", 128)
    assert found["source"] == "computed"
    assert found["warm_ms"]["p50"] == pytest.approx(10 * 1769 / 128)


def test_an_init_that_takes_too_long_is_followed_by_its_repeat():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    pure = row(rows, "pure", 128, "cold_start")
    assert pure["init_timed_out_share"] == 1.0
    # The repeat under quota is what the first invocation took; between the sizes it is computed.
    assert (pure["source"], pure["first_invocation_ms"]["p50"]) == ("quota", pytest.approx(15 * 1769 / 128))
    three = matrix.Plan(init=5, stress=2, invocations=2, memory_sizes=(128, 512, 1769))
    between = row(matrix.rows(three, run_of(three), PRICES, measured=True), "pure", 512, "cold_start")
    assert between["source"] == "computed"
    assert between["first_invocation_ms"]["p50"] == between["init_if_throttled_ms"]
    assert row(rows, "compiled", 128, "cold_start")["init_timed_out_share"] == 0.0
    throttled = row(rows, "compiled", 128, "cold_start")["init_if_throttled_ms"]
    assert throttled == pytest.approx(900 * 1769 / 128 + 3000, rel=0.02)


def test_a_sample_that_failed_its_verification_is_in_no_figure():
    samples = run_of(PLAN)
    cell = next(cell for cell, _ in PLAN.cells() if cell.variant == "compiled")
    samples.append(sample(cell, 10**9, error="the function answered nothing"))
    rows = matrix.rows(PLAN, samples, PRICES, measured=True)
    assert row(rows, "compiled", None)["init_cpu_ms"]["p50"] < 400


def test_every_bar_can_be_met_and_missed():
    bars = {bar.name: bar for bar in bars_of(PLAN, run_of(PLAN))}
    assert all(bar.ok for bar in bars.values())
    slow = run_of(PLAN)
    for one in slow:
        if one.cell.variant == "compiled":
            one.init_cpu_ms *= 2
            one.init_timed_out = one.cell.stress_mode != "none"
            one.first_invocation_ms = 10_000
        if one.cell.variant == "empty":
            one.init_cpu_ms *= 1.5
            one.harness_cpu_ms = 10
    missed = {bar.name for bar in bars_of(PLAN, slow) if not bar.ok}
    assert missed == set(bars)
    for one in slow:
        one.error = "crashed"
    assert not any(bar.ok for bar in bars_of(PLAN, slow))


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
    assert row(rows, "pure", 128, "cold_start")["init_if_throttled_ms"] is None
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


CHOICES = [
    recommend.Choice(128, 200.0, {"arm64": 0.5, "x86_64": 0.6}),
    recommend.Choice(512, 60.0, {"arm64": 0.6, "x86_64": 0.7}),
    recommend.Choice(1024, 59.0, {"arm64": 1.1, "x86_64": 1.3}),
    recommend.Choice(2048, 59.0, {"arm64": 2.0, "x86_64": 2.4}),
]


@pytest.mark.parametrize(("balance", "memory_size"), [(0.0, 128), (0.5, 512), (1.0, 1024)])
def test_the_recommendation_follows_the_balance(balance, memory_size):
    assert recommend.recommend(CHOICES, balance).memory_size == memory_size


def test_the_frontier_leaves_out_what_another_beats():
    assert [choice.memory_size for choice in recommend.frontier(CHOICES)] == [128, 512, 1024]


def test_choices_weigh_cold_and_warm_and_refuse_what_was_not_measured():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    warm, cold = (recommend.choices(rows, PRICES, engine="compiled", cold_share=share) for share in (0.0, 1.0))
    assert [choice.memory_size for choice in warm] == [128, 1769]
    assert warm[1].latency_ms == pytest.approx(10)
    begun = [{**row, "warm_ms": {"p50": 3.1}} for row in rows]
    [_, choice] = recommend.choices(begun, PRICES, engine="compiled", cold_share=0.0)
    assert choice.usd_per_million["arm64"] == pytest.approx(0.2 + 0.0133334 * 4 * 1769 / 1024)
    assert cold[1].latency_ms == pytest.approx(340, rel=0.05)
    with pytest.raises(ValueError, match="share of cold starts"):
        recommend.choices(rows, PRICES, engine="compiled", cold_share=2)
    with pytest.raises(ValueError, match="no row"):
        recommend.choices([], PRICES, engine="compiled", cold_share=0)


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


# Lines in the forms that AWS documents ("Understanding Lambda logs", "Lambda Telemetry API event schema reference",
# "Lambda SnapStart: monitoring"), with made-up ids.
def report_line(billed: int, more: str = "") -> str:
    figures = f"Billed Duration: {billed} ms\tMemory Size: 128 MB\tMax Memory Used: 64 MB"
    return f"REPORT RequestId: 6f747a29 Duration: 21.5 ms\t{figures}\t{more}\n"


TRACE = "XRAY TraceId: 1-5e34a614-10bdxmplf1fb44f07bc535a1\tSegmentId: 07f5xmpl2d1f6f85\tSampled: true"
TIMED_OUT = "INIT_REPORT Init Duration: 10008.16 ms\tPhase: init\tStatus: timeout\n"
RESTORE = "RESTORE_START Runtime Version: python:3.13.v30\nRESTORE_REPORT Restore Duration: 258.48 ms\n"
# name -> log tail, init ms, restore ms, status of a failed init
LOGS = {
    "warm": ("START RequestId: 6f747a29 Version: 1\nEND RequestId: 6f747a29\n" + report_line(22), None, None, ""),
    "cold": (report_line(392, "Init Duration: 369.33 ms\t"), 369.33, None, ""),
    "traced": (report_line(22) + TRACE, None, None, ""),
    "timed out init": (TIMED_OUT + report_line(22), 10008.16, None, "timeout"),
    "restored": (
        RESTORE + report_line(23, "Restore Duration: 258.48 ms\tBilled Restore Duration: 259 ms\t"),
        None,
        258.48,
        "",
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_every_documented_form_of_a_report_is_read(name):
    log, init_ms, restore_ms, status = LOGS[name]
    report = lambda_report.parse_report(log)
    assert (report.duration_ms, report.memory_size, report.max_memory_mb) == (21.5, 128, 64)
    assert (report.init_ms, report.restore_ms, report.init_status) == (init_ms, restore_ms, status)
    assert report.billed_ms in (22, 23, 392)


def test_a_report_in_json_is_read():
    lines: list[dict[str, Any]] = [
        {"type": "platform.initReport", "record": {"status": "timeout", "metrics": {"durationMs": 10000.1}}},
        {"type": "platform.restoreReport", "record": {"status": "success", "metrics": {"durationMs": 70.87}}},
        {
            "type": "platform.report",
            "record": {
                "requestId": "6f747a29",
                "metrics": {
                    "durationMs": 21.5, "billedDurationMs": 22, "memorySizeMB": 128, "maxMemoryUsedMB": 64,
                    "initDurationMs": 116.67,
                },
                "status": "success",
            },
        },
    ]  # fmt: skip
    report = lambda_report.parse_report("not json\n" + "\n".join(map(json.dumps, lines)))
    assert report == lambda_report.Report(21.5, 22, 128, 64, 116.67, 70.87, "timeout")
    del lines[2]["record"]["metrics"]["initDurationMs"]
    assert lambda_report.parse_report("\n".join(map(json.dumps, lines))).init_ms == 10000.1


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("platform.initReport", {"status": "error"}),
        ("platform.initReport", {"status": "timeout", "metrics": None}),
        ("platform.initReport", {"status": "timeout", "metrics": {"durationMs": None}}),
        ("platform.restoreReport", {"status": "failure", "errorType": "Runtime.Unknown"}),
        ("platform.restoreReport", None),
        ("platform.report", {"status": "error"}),
        ("platform.report", {"metrics": {"durationMs": 1.5, "billedDurationMs": "2"}}),
    ],
)
def test_a_report_without_its_metrics_is_an_error_that_says_so(kind, record):
    with pytest.raises(ValueError, match=f"the {kind} has no"):
        lambda_report.parse_report(json.dumps({"type": kind, "record": record}))


class Failing(aws.Target):
    """A function whose init fails, so that its report has no metrics."""

    def start_cold(self, **_: str) -> None: ...

    def restore(self) -> None: ...

    def invoke(self) -> lambda_report.Report:
        return lambda_report.parse_report(json.dumps({"type": "platform.initReport", "record": {"status": "error"}}))


def test_a_report_without_metrics_is_an_error_row_and_the_lab_goes_on():
    target = Failing(None, None, configuration())
    taken = aws.measure(target, cold=2, warm=1, stress=1, hashing=False)
    assert ["no durationMs" in one["error"] for one in taken] == [True] * 3
    assert aws.rows([target], taken, PRICES) == []


@pytest.mark.parametrize("log", ["", "START RequestId: x\n", "REPORT RequestId: x Duration: fast\n"])
def test_a_log_without_a_report_is_an_error(log):
    with pytest.raises(ValueError, match="REPORT"):
        lambda_report.parse_report(log)


def configuration(**changes: Any) -> dict[str, Any]:
    return {
        "FunctionName": "cloudcafe-payment-processor-dev-bench-compiled-128",
        "MemorySize": 128,
        "Architectures": ["arm64"],
        "Environment": {"Variables": {"ENVIRONMENT": "dev", "GATEWAY": "simulated", "GATEWAY_URL": ""}},
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"FunctionName": "cloudcafe-payment-processor-dev"},
        {"FunctionName": "cloudcafe-payment-processor-prod-bench-compiled-128"},
        {"Environment": {"Variables": {"GATEWAY_URL": "https://user:swordfish@gateway.example"}}},
        {"Environment": {"Variables": {"ENVIRONMENT": "dev", "GATEWAY": "stripe"}}},
        {"Environment": {"Variables": {"ENVIRONMENT": "dev"}}},
        {"Environment": {"Variables": {"ENVIRONMENT": "prod", "GATEWAY": "simulated"}}},
    ],
)
def test_a_target_that_is_no_benchmark_function_is_refused(changes):
    aws.Target(None, None, configuration())
    with pytest.raises(aws.RefusedError) as refused:
        aws.Target(None, None, configuration(**changes))
    assert "swordfish" not in str(refused.value)


def test_an_estimate_grows_with_memory_and_samples():
    small = aws.Target(None, None, configuration())
    large = aws.Target(None, None, configuration(MemorySize=1024))
    assert aws.estimate_usd([large], 10, 5, 3, PRICES) > 7 * aws.estimate_usd([small], 10, 5, 3, PRICES)
    assert aws.estimate_usd([small], 20, 5, 3, PRICES) > aws.estimate_usd([small], 10, 5, 3, PRICES)


def hashed(target: aws.Target, kernel: str, operations: int, init_ms: float) -> dict[str, Any]:
    variables = {"SCORING_KERNEL": kernel, "STRESS_OPERATIONS": str(operations)}
    first = {"init_ms": init_ms}
    return {"function": target.name, "stress_mode": "hashing", "variables": variables, "first": first, "error": ""}


def test_hashing_inside_init_is_a_row_a_kernel_and_shows_whether_init_is_throttled():
    small = aws.Target(None, None, configuration())
    large = aws.Target(
        None, None, configuration(FunctionName="cloudcafe-payment-processor-dev-bench-compiled-1769", MemorySize=1769)
    )
    samples = [
        hashed(target, kernel, operations, 400 + operations * ns / 1e6 * slower)
        for target, slower in ((small, 1.1), (large, 1.0))
        for kernel, ns in (("armv8-2", 50), ("portable-1", 400))
        for operations in (0, 2_000_000)
    ]
    rows = aws.hashing_rows([small, large], samples)
    assert [(row["kernel"], row["memory_size"], round(row["ns_per_hash"])) for row in rows] == [
        ("armv8-2", 128, 55),
        ("portable-1", 128, 440),
        ("armv8-2", 1769, 50),
        ("portable-1", 1769, 400),
    ]
    bar = aws.unthrottled_bar(rows)
    assert bar is not None
    assert bar.ok
    throttled = [{**row, "ns_per_hash": row["ns_per_hash"] * (14 if row["memory_size"] == 128 else 1)} for row in rows]
    assert not aws.unthrottled_bar(throttled).ok  # type: ignore[union-attr]
    assert aws.unthrottled_bar(rows[:2]) is None
