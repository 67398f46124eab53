"""The metrics that SQS and Lambda publish of themselves, and that the emulator does not."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from local import queue_metrics
from local.embedded_metrics import MetricForwarder
from local.execution_environment import THROTTLED, Outcome
from local.loopback import LoopbackHandler, LoopbackServer
from local.queue_metrics import QueueMetrics


@pytest.fixture
def services() -> Any:
    """Answers for a queue with two messages, the older one of a minute ago."""

    class Handler(LoopbackHandler):
        def do_GET(self) -> None:
            now = int(time.time())
            messages = [{"SentTimestamp": now - 5}, {"SentTimestamp": now - 60}]
            self.reply(200, json.dumps({"messages": {"0": {"us-east-1": {"q": messages}}}}).encode())

    server = LoopbackServer(Handler)
    server.start("services")
    yield server
    server.stop()


def sampled(url: str, counts: tuple[str, str, str]) -> tuple[dict[str, float], QueueMetrics]:
    attributes = dict(zip(queue_metrics._COUNTS, counts, strict=True))
    found: dict[str, float] = {}
    done = threading.Event()

    def put(namespace: str, name: str, unit: str, value: float, dimension: tuple[str, str]) -> None:
        assert (namespace, dimension) == ("AWS/SQS", ("QueueName", "q.fifo"))
        assert unit == ("Seconds" if "Age" in name else "Count")
        found[name] = value
        if len(found) == 4:
            done.set()

    sqs = SimpleNamespace(get_queue_attributes=lambda **_: {"Attributes": attributes})
    metrics = QueueMetrics(sqs, [url], put, pytest.fail)
    assert done.wait(30)
    metrics.stop()
    return found, metrics


def test_a_queue_has_the_metrics_that_its_alarms_and_the_dashboard_read(services: LoopbackServer) -> None:
    found, metrics = sampled(f"{services.url}/0/q.fifo", ("2", "1", "0"))
    oldest = found.pop("ApproximateAgeOfOldestMessage")
    assert 60 <= oldest < 90
    assert metrics.oldest_seconds == oldest
    assert found == {
        "ApproximateNumberOfMessagesVisible": 2.0,
        "ApproximateNumberOfMessagesNotVisible": 1.0,
        "ApproximateNumberOfMessagesDelayed": 0.0,
    }


def test_an_empty_queue_is_not_looked_into() -> None:
    found, _ = sampled("http://127.0.0.1:1/0/q.fifo", ("0", "0", "0"))
    assert set(found.values()) == {0.0}


def test_a_queue_that_cannot_be_asked_is_told() -> None:
    problems: list[str] = []

    def fail(**_: Any) -> None:
        raise ConnectionError("gone")

    metrics = QueueMetrics(SimpleNamespace(get_queue_attributes=fail), ["http://h/0/q"], pytest.fail, problems.append)
    while not problems:
        time.sleep(0.01)
    metrics.stop()
    assert problems == ["metrics of http://h/0/q: ConnectionError: gone"]


class CloudWatch:
    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:
        assert Namespace == "AWS/Lambda"
        self.data += MetricData


@pytest.mark.parametrize(
    ("error_type", "expected"),
    [
        (None, {"Throttles": 0, "Invocations": 1, "Errors": 0, "Duration": 12.5, "ConcurrentExecutions": 3}),
        ("ValueError", {"Throttles": 0, "Invocations": 1, "Errors": 1, "Duration": 12.5, "ConcurrentExecutions": 3}),
        (THROTTLED, {"Throttles": 1}),
    ],
)
def test_an_invocation_has_lambdas_own_metrics(error_type: str | None, expected: dict[str, float]) -> None:
    cloudwatch = CloudWatch()
    forwarder = MetricForwarder(cloudwatch, pytest.fail)
    forwarder.invoked("f", Outcome("r", b"", error_type, 12.5, None, None), 3)
    forwarder.stop()
    assert {datum["MetricName"]: datum["Value"] for datum in cloudwatch.data} == expected
    assert {datum["Dimensions"][0]["Value"] for datum in cloudwatch.data} == {"f"}
