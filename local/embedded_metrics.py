"""CloudWatch metrics from what functions print (AWS: "Specification: Embedded metric format").

On AWS the log agent turns such lines into metrics; the loopback services do not, so this does, and adds the few
`AWS/Lambda` metrics that the Lambda service itself publishes.
"""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from local import threads
from local.execution_environment import THROTTLED, Outcome

DATA_PER_CALL_MAX = 1000
#: Datapoints wait this long for company: one call for many invocations.
GATHER_SECONDS = 0.5


def metric_data(line: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(namespace, datum of PutMetricData) for each metric and dimension set of a log line; nothing for other lines."""
    if '"_aws"' not in line:
        return
    try:
        document = json.loads(line)
        header = document["_aws"]
        timestamp = datetime.fromtimestamp(header["Timestamp"] / 1000, UTC)
        for directive in header["CloudWatchMetrics"]:
            for names in directive.get("Dimensions") or [[]]:
                dimensions = [{"Name": name, "Value": str(document[name])} for name in names]
                for metric in directive["Metrics"]:
                    value = document[metric["Name"]]
                    yield (
                        directive["Namespace"],
                        {
                            "MetricName": metric["Name"],
                            "Dimensions": dimensions,
                            "Timestamp": timestamp,
                            "Unit": metric.get("Unit", "None"),
                            **({"Values": [float(each) for each in value]} if isinstance(value, list) else {}),
                            **({} if isinstance(value, list) else {"Value": float(value)}),
                        },
                    )
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError):
        # CloudWatch drops a line that is not valid EMF; it stays in the log.
        return


class MetricForwarder:
    """Send metrics to CloudWatch from a thread of its own."""

    def __init__(self, cloudwatch: Any, problem: Callable[[str], None]) -> None:
        self._cloudwatch = cloudwatch
        self._problem = problem
        self._data: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threads.start("metrics", self._forward, problem)

    def line(self, line: str) -> None:
        """Take the metrics of one log line."""
        for datum in metric_data(line):
            self._data.put(datum)

    def put(self, namespace: str, name: str, unit: str, value: float, dimension: tuple[str, str]) -> None:
        """Take one metric that a service of AWS publishes of itself."""
        datum = {
            "MetricName": name,
            "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}],
            "Timestamp": datetime.now(UTC),
            "Unit": unit,
            "Value": value,
        }
        self._data.put((namespace, datum))

    def invoked(self, function: str, outcome: Outcome, concurrent: int) -> None:
        """Take Lambda's own metrics of one finished invocation; `concurrent` counts those under way, it included.

        One that was throttled never began, and counts as a throttle alone.
        """
        throttled = outcome.error_type == THROTTLED
        own = [("Throttles", "Count", float(throttled))]
        if not throttled:
            own += [
                ("Invocations", "Count", 1.0),
                ("Errors", "Count", float(outcome.error_type is not None)),
                ("Duration", "Milliseconds", outcome.duration_ms),
                ("ConcurrentExecutions", "Count", float(concurrent)),
            ]
        for name, unit, value in own:
            self.put("AWS/Lambda", name, unit, value, ("FunctionName", function))

    def stop(self) -> None:
        """Send what is queued, then end."""
        self._stopping.set()
        self._data.put(None)
        self._thread.join(timeout=10)

    def _forward(self) -> None:
        while not self._stopping.is_set() or not self._data.empty():
            waiting = [self._data.get()]
            self._stopping.wait(GATHER_SECONDS)
            while not self._data.empty():
                waiting.append(self._data.get())
            by_namespace: dict[str, list[dict[str, Any]]] = {}
            for each in waiting:
                if each is not None:
                    by_namespace.setdefault(each[0], []).append(each[1])
            for namespace, data in by_namespace.items():
                for start in range(0, len(data), DATA_PER_CALL_MAX):
                    try:
                        self._cloudwatch.put_metric_data(
                            Namespace=namespace, MetricData=data[start : start + DATA_PER_CALL_MAX]
                        )
                    # A metric that is lost must not take the system with it; it is reported.
                    except Exception as error:  # noqa: BLE001
                        self._problem(f"metrics of {namespace} lost: {type(error).__name__}: {error}")
