"""The lab on AWS: what Lambda's own reports say, which functions may be measured, and rows of hashing inside init."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.coldstart import aws, lambda_report
from benchmarks.coldstart.prices import read_prices

PRICES = read_prices()


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
