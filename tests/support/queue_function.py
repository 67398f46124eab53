"""The queue function for tests: made over a world, given batches, and its metrics read back."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.system import RandomIds
from handler.adapters.workers import ThreadWorkers
from handler.composition import Services
from handler.domain.rules import Rules
from handler.queue_function import QueueFunction
from tests.support.payments import World


class Context:
    aws_request_id = "req-1"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def create_function(
    world: World, source_queue: MemorySourceQueue, logged: io.StringIO, rules: Rules, at_once: int = 1
) -> QueueFunction:
    """With one worker: what a test scripts is met in the batch's order."""
    services = Services(rules, world.ports, source_queue, RandomIds(), ThreadWorkers(at_once))
    metrics = Metrics(namespace="CloudCafe/Lambda", service="payment-processor")
    # A logger keeps the stream that it was first made with, for each service name.
    logger = Logger(service=f"test-{uuid.uuid4()}", stream=logged)
    metrics.set_default_dimensions(environment="dev")
    return QueueFunction(services, logger, metrics, 30.0)


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def metrics_of(output: str) -> dict[str, Any]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines() if '"_aws"' in line]
    [line] = lines
    return line
