"""Which adapters stand behind the webhook: it is given one secret and one queue to send to, and no table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from handler.adapters.webhook.signing_secrets import SigningSecrets
from handler.adapters.webhook.wake_ups import SqsWakeUps
from handler.composition import aws_clients
from handler.domain.errors import ConfigurationError
from handler.domain.ports import Clock
from handler.domain.wake_up import WakeUpQueue
from handler.settings import WebhookSettings, read_settings, read_webhook_settings

if TYPE_CHECKING:
    from handler.support import Support


def compose_webhook(
    environment: Mapping[str, str], support: Support, clock: Clock
) -> tuple[WebhookSettings, SigningSecrets, WakeUpQueue]:
    """Raises ConfigurationError for what is missing or wrong, the secret itself among it."""
    settings = read_webhook_settings(environment)
    if not settings.mode:
        raise ConfigurationError("GATEWAY_MODE", None, "test | live, as the events are")
    if not settings.secret_arn:
        raise ConfigurationError("WEBHOOK_SECRET_ARN", None, "the secret that events are signed with")
    if not settings.queue_url:
        raise ConfigurationError("WAKE_UP_QUEUE_URL", None, "the FIFO queue of wake-ups")
    aws_client = aws_clients(read_settings(environment), support)
    secrets = SigningSecrets(aws_client("secretsmanager"), settings.secret_arn, clock)
    return settings, secrets, SqsWakeUps(aws_client("sqs"), settings.queue_url)
