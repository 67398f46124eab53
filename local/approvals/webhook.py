"""The webhook on this machine: its secret, its queue, and what Lambda does between that queue and reconcile.

The rule: it is there where a gateway is met as Stripe is, and its events are signed by whoever knows this secret.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from local.environment_pool import EnvironmentPool
from local.event_source_mapping import EventSourceMapping
from local.resources import make_queue
from local.system import LocalSystem, client

# What Terraform's queue has is six times reconcile's time-out; here nobody waits half an hour for a second look, which
# is five calls of the gateway.
_DEADLINES = 6
_VISIBILITY_SECONDS_MIN = 2
_RECEIVE_COUNT_MAX = 96


def secret_name(environment: str) -> str:
    return f"cloudcafe-payment-webhook-{environment}"


class Webhook:
    """Its `variables` are the function's; from `start` until `stop` its wake-ups reach reconcile."""

    def __init__(self, system: LocalSystem) -> None:
        self._system = system
        environment, sqs = system.names.environment, system.clients["sqs"]
        name = f"cloudcafe-payment-wake-ups-{environment}"
        _, dead_letter_arn = make_queue(sqs, f"{name}-dlq.fifo", {})
        redrive = json.dumps({"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": str(_RECEIVE_COUNT_MAX)})
        visibility = max(_VISIBILITY_SECONDS_MIN, round(_DEADLINES * system.times.gateway_deadline_seconds))
        attributes = {"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
        self.queue_url, self._queue_arn = make_queue(sqs, f"{name}.fifo", attributes)
        secret = system.clients["secretsmanager"].create_secret(
            Name=secret_name(environment), SecretString=f"whsec_{secrets.token_hex(32)}"
        )
        self._mapping: EventSourceMapping | None = None
        self.variables: dict[str, str] = {
            "ENVIRONMENT": environment,
            "GATEWAY_MODE": system.gateway_variables["GATEWAY_MODE"],
            "WEBHOOK_SECRET_ARN": secret["ARN"],
            "WAKE_UP_QUEUE_URL": self.queue_url,
        }

    def start(self, reconcile: EnvironmentPool) -> EventSourceMapping:
        sqs: Any = client("sqs", self._system.endpoint_url, read_timeout=30)
        self._mapping = EventSourceMapping(
            sqs, self.queue_url, self._queue_arn, reconcile.invoke, concurrency=1, failed=self._failed
        )
        return self._mapping

    def stop(self) -> None:
        if self._mapping is not None:
            self._mapping.stop()

    def _failed(self, error: BaseException) -> None:
        self._system.note(f"wake-ups: {type(error).__name__}: {error}")
