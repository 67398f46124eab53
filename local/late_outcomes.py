"""What comes after a run's charges, done step by step: as senders do it, as people at the gateway, and as it tells.

The rule: a step begins when nothing of the one before is left, so that what it meets is known.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

from local import stream, webhook
from local.afterwards import Dashboard, Event, Step
from local.approvals.webhook import secret_name
from local.approvals.workflow import Approvals
from local.evidence import Sent
from local.loopback import ask
from local.system import LocalSystem
from local.traffic import Message

# A look at a payment is five calls of the gateway, which takes so many a second and no more.
_PAUSE_SECONDS = 0.25
# The stream's own last calls count for a second: a refund whose call is answered 429 waits for reconcile, a minute.
_FIRST_PAUSE_SECONDS = 1.25
_OLD_SECONDS = 3600


class LateOutcomes:
    """`told`: a row for each event, and each act in the dashboard, with the answer; status 0: not sent."""

    def __init__(
        self, steps: list[Step], system: LocalSystem, approvals: Approvals, gateway_url: str, sent: list[Sent]
    ) -> None:
        """`sent` gets the messages that are sent here, too."""
        self.told: list[dict[str, Any]] = []
        self._left = steps[::-1]
        self._system = system
        self._approvals = approvals
        self._gateway_port = urlsplit(gateway_url).port or 0
        self._sent = sent
        self._not_before: float | None = None

    @property
    def queue_urls(self) -> list[str]:
        """Where nothing may be left before the next step, beside the payment queue."""
        return [self._approvals.webhook.queue_url] if self._approvals.webhook else []

    def go_on(self) -> bool:
        """Do the next step, or wait for its time; False where there is none. Raises boto3's errors, OSError."""
        if self._not_before is None:
            self._not_before = time.monotonic() + _FIRST_PAUSE_SECONDS
        if not self._left:
            return time.monotonic() < self._not_before
        if time.monotonic() >= self._not_before and self._is_ready(self._left[-1]):
            step = self._left.pop()
            sqs, queue_url = self._system.clients["sqs"], self._system.resources.queue_url
            self._sent += stream.send(sqs, queue_url, [act for act in step if isinstance(act, Message)])
            for act in step:
                if isinstance(act, Dashboard):
                    self._use(act)
                elif isinstance(act, Event):
                    self._tell(act)
            self._not_before = time.monotonic() + _PAUSE_SECONDS
        return True

    def _is_ready(self, step: Step) -> bool:
        """Whether no refund is under way that the step tells of, but for one whose lost answer is what it tells."""
        about = {
            act.payment_id
            for act in step
            if isinstance(act, Dashboard) or (isinstance(act, Event) and act.type != "refund.created")
        }
        return not about or about.isdisjoint(self._pending())

    def _pending(self) -> set[str]:
        """The payments of which a refund is pending."""
        scan = self._system.clients["dynamodb"].get_paginator("scan")
        pages = scan.paginate(
            TableName=self._system.names.table,
            FilterExpression="attribute_exists(refund_id) AND #status = :pending",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":pending": {"S": "pending"}},
        )
        return {item["payment_id"]["S"] for page in pages for item in page["Items"]}

    def _use(self, act: Dashboard) -> None:
        order: dict[str, Any] = {"payment_id": act.payment_id, "status": act.status}
        if act.amount_minor is not None:
            order["amount"] = act.amount_minor
        else:
            name = act.kind.removesuffix("s")
            of_it = [each for each in self._log()[act.kind] if each["ref"] == self._ref(act.payment_id)]
            order[name] = of_it[-1][f"{name}_ref"] if of_it else ""
        status, answer, _ = ask(self._gateway_port, "POST", f"/_{act.kind}", json.dumps(order).encode())
        self._keep(act.payment_id, f"dashboard: {act.kind}", "", status, answer)

    def _tell(self, act: Event) -> None:
        environment, now = self._system.names.environment, int(time.time())
        if not (gateway_ref := self._ref(act.payment_id)):
            self._keep(act.payment_id, act.type, act.sending, 0, b"")
            return
        document = webhook.event(act.type, gateway_ref, act.payment_id, environment)
        if act.sending == "other_account":
            document["account"] = "acct_other"
        secret = self._system.clients["secretsmanager"].get_secret_value(SecretId=secret_name(environment))
        body = json.dumps(document).encode()
        signed_by = secret["SecretString"] if act.sending != "wrong_signature" else "whsec_of_somebody_else"
        header = webhook.signature(body, signed_by, now - (_OLD_SECONDS if act.sending == "old" else 0))
        url = urlsplit(self._approvals.webhook_url)
        for _ in range(act.times):
            status, answer, _ = ask(url.port or 0, "POST", url.path, body, {"Stripe-Signature": header})
            self._keep(act.payment_id, act.type, act.sending, status, answer)

    def _keep(self, payment_id: str, kind: str, sending: str, status: int, answer: bytes) -> None:
        said = json.loads(answer) if answer else {}
        row = {"payment_id": payment_id, "type": kind, "sending": sending, "status": status}
        self.told.append(row | {"outcome": said.get("outcome") or said.get("reason_code", "")})

    def _ref(self, payment_id: str) -> str:
        """What the gateway captured a payment under; "" where it did not."""
        captured = [each["ref"] for each in self._log()["captures"] if each["payment_id"] == payment_id]
        return str(captured[0]) if captured else ""

    def _log(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = json.loads(ask(self._gateway_port, "GET", "/_log")[1])
        return found
