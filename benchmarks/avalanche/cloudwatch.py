"""What CloudWatch has of an avalanche: the published scenario's metrics, read back by the minute.

The rule: a metric that CloudWatch does not have is an empty series, never a zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.avalanche.deployed import Deployed
from handler.queue_function import NAMESPACE

# The finest that Lambda's and SQS's own metrics have.
PERIOD_SECONDS = 60
_POLL_SECONDS = 15.0
# AWS: "GetMetricData", metric queries of one request.
_QUERIES_MAX = 500


@dataclass(frozen=True)
class Metric:
    """One series: what it is called in a record, where CloudWatch has it, and which statistic is asked for."""

    name: str
    namespace: str
    metric: str
    statistic: str
    dimensions: Mapping[str, str]


def metrics_of(deployed: Deployed) -> list[Metric]:
    """The series of one environment: the function's and the queue's, and what the function publishes itself."""
    function = {"FunctionName": deployed.function_name}
    queue = {"QueueName": deployed.queue_url.rpartition("/")[2]}
    # As the function writes them (docs/metrics.md).
    own = {"environment": deployed.environment, "service": "payment-processor"}
    return [
        Metric("concurrency", "AWS/Lambda", "ConcurrentExecutions", "Maximum", function),
        Metric("invocations", "AWS/Lambda", "Invocations", "Sum", function),
        Metric("errors", "AWS/Lambda", "Errors", "Sum", function),
        Metric("throttles", "AWS/Lambda", "Throttles", "Sum", function),
        Metric("duration_p50_ms", "AWS/Lambda", "Duration", "p50", function),
        Metric("duration_p99_ms", "AWS/Lambda", "Duration", "p99", function),
        Metric("duration_max_ms", "AWS/Lambda", "Duration", "Maximum", function),
        Metric("oldest_seconds", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", queue),
        Metric("visible", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", queue),
        Metric("in_flight", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "Maximum", queue),
        Metric("sent", "AWS/SQS", "NumberOfMessagesSent", "Sum", queue),
        Metric("deleted", "AWS/SQS", "NumberOfMessagesDeleted", "Sum", queue),
        Metric("processed", NAMESPACE, "ProcessedPayments", "Sum", own),
        Metric("failed", NAMESPACE, "FailedPayments", "Sum", own),
        Metric("cold_starts", NAMESPACE, "ColdStart", "Sum", own),
    ]


def read(cloudwatch: Any, metrics: list[Metric], begun: datetime, ended: datetime) -> dict[str, dict[str, Any]]:
    """Each metric's points between two moments, every page of them: {name: {statistic, points}}.

    A point is the second, since `begun`, at which its minute begins, and its value. Raises ClientError, BotoCoreError.
    """
    assert len(metrics) <= _QUERIES_MAX
    queries = [
        {
            "Id": metric.name,
            "MetricStat": {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.metric,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
                },
                "Period": PERIOD_SECONDS,
                "Stat": metric.statistic,
            },
        }
        for metric in metrics
    ]
    # CloudWatch counts whole periods from their beginning on.
    since = datetime.fromtimestamp(begun.timestamp() // PERIOD_SECONDS * PERIOD_SECONDS, UTC)
    points: dict[str, list[tuple[float, float]]] = {metric.name: [] for metric in metrics}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=since, EndTime=ended, ScanBy="TimestampAscending"
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            seconds = [round((each - begun).total_seconds(), 3) for each in result["Timestamps"]]
            points[result["Id"]] += zip(seconds, result["Values"], strict=True)
    return {metric.name: {"statistic": metric.statistic, "points": sorted(points[metric.name])} for metric in metrics}


def read_once_there(
    cloudwatch: Any,
    metrics: list[Metric],
    begun: datetime,
    messages: int,
    *,
    seconds_max: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, dict[str, Any]]:
    """The series, once the function's own metrics have every message, or when the time is up.

    Metrics come minutes after what they count. The end of what is read goes with the clock, so that nothing is cut off.
    """
    deadline = now().timestamp() + seconds_max
    while True:
        found = read(cloudwatch, metrics, begun, now())
        counted = sum(value for name in ("processed", "failed") for _, value in found[name]["points"])
        if counted >= messages or now().timestamp() >= deadline:
            return found
        sleep(_POLL_SECONDS)
