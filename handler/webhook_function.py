"""The webhook: an event of the gateway wakes one look at one payment, and nothing else.

The rule it keeps: it reads nothing that is not signed, answers 200 only once the wake-up is queued, or there is none to
queue, and neither logs nor repeats what was sent.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from handler import lazy_entry
from handler.adapters.webhook.stripe_events import check_signature, read_event
from handler.domain.errors import WakeUpNotQueuedError, WebhookRefusedError
from handler.domain.ports import Clock
from handler.domain.reasons import CATALOGUE
from handler.domain.wake_up import WakeUpQueue

if TYPE_CHECKING:
    from handler.adapters.approval.support import Handler
    from handler.adapters.webhook.signing_secrets import SigningSecrets
    from handler.settings import WebhookSettings
    from handler.support import Metrics

_LOG = logging.getLogger(__name__)

NAMESPACE: Final = "CloudCafe/Lambda"
# A dispute has up to 150,000 characters of evidence; nothing else comes near it.
BODY_BYTES_MAX: Final = 512 * 1024
_UNIT: Final = "Count"
WOKEN: Final = "WebhookWakeUps"
IGNORED: Final = "WebhookIgnored"
REFUSED: Final = "WebhookRefused"
UNAVAILABLE: Final = "WebhookUnavailable"
# What each metric says of one request. docs/metrics.md is made from it.
METRICS: Final = {
    WOKEN: "Events that led to a look at a payment.",
    IGNORED: "Events that are not ours: of another mode, account or environment, or about no payment intent.",
    REFUSED: "Requests that no secret of ours has signed lately, that are too large, or that are no event.",
    UNAVAILABLE: "Events whose wake-up could not be queued; the gateway sends them again.",
}


class Webhook:
    """The function behind an API Gateway HTTP API (payload format 2.0)."""

    def __init__(
        self, settings: WebhookSettings, secrets: SigningSecrets, queue: WakeUpQueue, clock: Clock, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._queue = queue
        self._clock = clock
        self._metrics = metrics

    def __call__(self, request: Mapping[str, Any], _context: Any) -> dict[str, Any]:
        """One request in, one answer in JSON out; it raises for nothing that anybody can send."""
        try:
            return _answer(200, {"outcome": self._take(request)})
        except WebhookRefusedError as error:
            _LOG.info("refused: %s", error.reason_code)
            self._count(REFUSED)
            refusal = {"reason_code": error.reason_code, "message": str(error)}
            return _answer(CATALOGUE[error.reason_code].status, refusal)
        except WakeUpNotQueuedError as error:
            _LOG.warning("%s", error)
            self._count(UNAVAILABLE)
            reason = CATALOGUE[error.reason_code]
            return _answer(reason.status, {"reason_code": error.reason_code, "message": reason.sentence})

    def _take(self, request: Mapping[str, Any]) -> str:
        body = _body(request)
        self._check(str(request.get("headers", {}).get("stripe-signature", "")), body)
        event = read_event(body, self._settings.environment, self._settings.mode)
        if event.wake_up is None:
            if event.ignored != "type":
                _LOG.info("%s ignored: its %s is not ours", event.event_id, event.ignored)
                self._count(IGNORED)
            return "ignored"
        self._queue.send(event.wake_up, event.event_id)
        _LOG.info("%s wakes %s", event.event_id, event.wake_up.gateway_ref)
        self._count(WOKEN)
        return "queued"

    def _check(self, header: str, body: bytes) -> None:
        now_seconds = self._clock.now_ms() // 1000
        try:
            check_signature(header, body, self._secrets.now_good(), now_seconds)
        except WebhookRefusedError as error:
            if error.reason_code != "signature_wrong":
                raise
            # It may have been changed since it was read.
            check_signature(header, body, self._secrets.renewed(), now_seconds)

    def _count(self, name: str) -> None:
        self._metrics.add_metric(name, _UNIT, 1)
        self._metrics.flush_metrics()


def _body(request: Mapping[str, Any]) -> bytes:
    """The bytes that were sent, as API Gateway tells them: as text, or in base64."""
    body, is_base64 = request.get("body") or "", bool(request.get("isBase64Encoded"))
    try:
        content = base64.b64decode(body, validate=True) if is_base64 else body.encode()
    except ValueError as error:
        raise WebhookRefusedError("event_malformed") from error
    if len(content) > BODY_BYTES_MAX:
        raise WebhookRefusedError("event_too_large")
    return content


def _answer(status_code: int, document: Mapping[str, str]) -> dict[str, Any]:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": status_code, "headers": headers, "body": json.dumps(document)}


def _create(environment: Mapping[str, str]) -> Handler:
    from handler.adapters.approval import support
    from handler.adapters.system import SystemClock
    from handler.webhook_composition import compose_webhook

    observed = support.observe("payment-webhook", environment)
    clock = SystemClock()
    settings, secrets, queue = compose_webhook(environment, support, clock)
    metrics = support.create_metrics(NAMESPACE, "", settings.environment)
    return observed(Webhook(settings, secrets, queue, clock, metrics))


__getattr__ = lazy_entry(globals(), _create)
