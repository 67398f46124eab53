"""Events of the gateway for tests: Stripe's shape, signed as Stripe signs, and a webhook in memory that takes them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.adapters.webhook.signing_secrets import SigningSecrets
from handler.domain.errors import WakeUpNotQueuedError
from handler.domain.wake_up import WakeUp
from handler.settings import WebhookSettings
from handler.webhook_function import Webhook
from tests.support.payments import FixedClock

SECRET, BEFORE, OTHER = (f"whsec_{word * 4}" for word in ("current0", "previous", "somebody"))
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:webhook-AbCdEf"
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/wake-ups.fifo"
INTENT = "pi_3Abc"
METADATA = {"payment_id": "pay-abc123", "environment": "dev"}
NOW = FixedClock().now_ms() // 1000


def intent(metadata: Any = METADATA, gateway_ref: str = INTENT) -> dict[str, Any]:
    return {"id": gateway_ref, "object": "payment_intent", "metadata": metadata}


def refund(metadata: Any = None, gateway_ref: Any = INTENT) -> dict[str, Any]:
    return {"id": "re_1", "object": "refund", "payment_intent": gateway_ref, "metadata": metadata or {}}


def event(kind: str = "payment_intent.succeeded", told: Any = None, **changes: Any) -> bytes:
    document = {
        "id": "evt_1Abc",
        "object": "event",
        "type": kind,
        "livemode": False,
        "data": {"object": intent() if told is None else told},
    }
    return json.dumps({**document, **changes}).encode()


def signature(body: bytes, secret: str = SECRET, now: int = NOW) -> str:
    return hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()


def header(body: bytes, *secrets: str, now: int = NOW) -> str:
    signed = [f"v1={signature(body, secret, now)}" for secret in secrets or (SECRET,)]
    return ",".join((f"t={now}", *signed))


class SecretsManager:
    """Secrets Manager with one secret: its values from the newest on, each with when it came, in seconds."""

    def __init__(self, *values: tuple[str, int]) -> None:
        self.values = list(values or [(SECRET, NOW - 10**6)])
        self.reads = 0
        self.fault: AwsError | None = None

    def get_secret_value(self, SecretId: str, VersionStage: str) -> dict[str, Any]:
        self.reads += VersionStage == "AWSCURRENT"
        if self.fault:
            raise self.fault
        place = ("AWSCURRENT", "AWSPREVIOUS").index(VersionStage)
        if place >= len(self.values):
            raise AwsError("GetSecretValue", "ResourceNotFoundException", VersionStage)
        text, since = self.values[place]
        return {"SecretString": text, "CreatedDate": datetime.fromtimestamp(since, UTC)}


class ListWakeUps:
    """`WakeUpQueue` that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, WakeUp]] = []
        self.is_down = False

    def send(self, wake_up: WakeUp, event_id: str) -> None:
        if self.is_down:
            raise WakeUpNotQueuedError(event_id)
        self.sent.append((event_id, wake_up))


class ListMetrics:
    def __init__(self) -> None:
        self.counted: list[str] = []

    def add_metric(self, name: str, unit: str, value: float) -> None:
        self.counted.append(name)

    def flush_metrics(self) -> None:
        pass


class Endpoint:
    """A webhook of environment `dev` in test mode, and what it did."""

    def __init__(self, *secrets: tuple[str, int], mode: str = "test") -> None:
        self.clock = FixedClock()
        self.secrets = SecretsManager(*secrets)
        self.queue = ListWakeUps()
        self.metrics = ListMetrics()
        self.function = Webhook(
            WebhookSettings("dev", mode, ARN, QUEUE),
            SigningSecrets(self.secrets, ARN, self.clock),
            self.queue,
            self.clock,
            self.metrics,
        )

    def post(self, body: str | None, signed: str | None, *, is_base64: bool = False) -> dict[str, Any]:
        """API Gateway's answer to its client, the body as an object."""
        headers = {} if signed is None else {"stripe-signature": signed}
        request = {"headers": headers, "isBase64Encoded": is_base64, **({} if body is None else {"body": body})}
        answer = self.function(request, None)
        return {**answer, "body": json.loads(answer["body"])}

    def send(self, body: bytes, secrets: Sequence[str] = (SECRET,), now: int | None = None) -> tuple[int, str]:
        """An event that is signed now; the status and the outcome, or the reason why it was refused."""
        at = self.clock.now_ms() // 1000 if now is None else now
        answer = self.post(body.decode(), header(body, *secrets, now=at))
        return answer["statusCode"], answer["body"].get("outcome") or answer["body"]["reason_code"]
