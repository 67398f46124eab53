"""Payments, messages and in-memory services that the handler's tests share; every value can be overridden."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from handler.adapters.gateways.simulated import SimulatedGateway
from handler.adapters.memory_queues import MemoryRejectedQueue
from handler.adapters.table.expressions import from_attributes
from handler.adapters.table.memory import MemoryDynamoDb
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.domain.approval.ports import Decisions
from handler.domain.claim import Work
from handler.domain.item import REQUIRED, REQUIRED_BESIDE, REQUIRED_BESIDE_OPEN, Item, from_stored
from handler.domain.payment import Assessment, GatewayResult, Message, Payment, Reason
from handler.domain.ports import Ports
from handler.domain.process import read, settle
from handler.domain.reading import Reading
from handler.domain.reconcile import Finding, settle_stuck
from handler.domain.rules import Rules
from handler.domain.states import OPEN
from scoring import _pure

# The test number of a real issuer range, as payment companies publish it.
CARD = "4111111111111111"
# The key of the item of DOCUMENT.
KEY = "txn-pay-abc123"
# When reconcile takes a payment for stuck, as docs/protocol.md has it.
STUCK_AFTER_MS = 15 * 60 * 1000

ADDRESS = {"street": "123 Main St", "city": "Seattle", "state": "WA", "zip": "98101"}
DOCUMENT: dict[str, Any] = {
    "payment_id": "pay-abc123",
    "order_id": "ord-123",
    "customer_id": "cust-456",
    "amount": 25.99,
    "payment_method": "credit_card",
    "billing_address": ADDRESS,
}


def body(**changes: Any) -> str:
    """The published message as JSON with some fields changed; None leaves a field out."""
    return json.dumps({name: value for name, value in {**DOCUMENT, **changes}.items() if value is not None})


def message(text: str | None = None, message_id: str = "m-1", group: str = "group-1", **changes: Any) -> Message:
    return Message(message_id, body() if text is None else text, group, "1001", 1, f"receipt-{message_id}", **changes)


def record(text: str, message_id: str = "m-1", group: str = "group-1", receives: int = 1) -> dict[str, Any]:
    """A record of an SQS FIFO event, as Lambda passes it."""
    return {
        "messageId": message_id,
        "receiptHandle": f"receipt-{message_id}",
        "body": text,
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SequenceNumber": "18849496460467696128",
            "MessageGroupId": group,
            "MessageDeduplicationId": message_id,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:cloudcafe-payment-processing-dev.fifo",
        "awsRegion": "us-east-1",
    }


_ANYTHING: dict[str, Any] = {
    "transaction_id": "txn-pay-abc123",
    "payment_id": "pay-abc123",
    "status": "processing",
    "owner": "req-0:m-0",
    "request_hash": "0" * 64,
    "created_at": 1,
    "updated_at": 1,
    "attempt": 1,
    "order_id": "ord-123",
    "customer_id": "cust-456",
    "amount_minor": 2599,
    "currency": "USD",
    "payment_method": "credit_card",
    "request": "{}",
    "generation": 1,
    "approval_name": "dev-pay-abc123-1",
    "approval_expires_at": 1,
    "approval_reasons": ["risk"],
    "decided_by": "alice",
    "decided_at": 1,
    "comment": "looked at",
    "gateway_ref": "sim_2599_USD_1",
    "gateway_response": {"status": "approved"},
    "processed_at": "2024-01-01T12:00:00Z",
    "reason_code": "malformed",
    "fraud_score": 0,
    "park_no": 1,
    "retry_hash": "0" * 64,
    "parked_reason": "gateway_answer_invalid",
    "parked_at": 1,
    "retried_by": "alice",
    "cancelled_by": "alice",
    "cancel_reason": "sent twice",
    "later_no": 1,
}


def whole_item(given: Mapping[str, Any], /, **more: Any) -> dict[str, Any]:
    """An item of the given attributes, with anything for the others that its state requires; None leaves one out."""
    attributes = {"status": "processing", **given, **more}
    status = attributes["status"]
    names = [*REQUIRED[status], *attributes]
    for name in names:
        names += REQUIRED_BESIDE.get(name, ())
        if status in OPEN:
            names += REQUIRED_BESIDE_OPEN.get(name, ())
    item = {name: _ANYTHING[name] for name in names if name != "open_shard" and name not in attributes}
    if "open_shard" in REQUIRED[status]:
        item["open_shard"] = f"{status}#0"
    return {name: value for name, value in {**item, **attributes}.items() if value is not None}


class FixedClock:
    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms


class AmountScoring:
    """Scores by amount alone: `review_from` and `decline_from` are minor units."""

    def __init__(self, review_from: int = 66_667, decline_from: int = 10**9) -> None:
        self.review_from = review_from
        self.decline_from = decline_from

    def score_batch(self, payments: Sequence[Payment]) -> list[Assessment]:
        return [self._score(payment) for payment in payments]

    def _score(self, payment: Payment) -> Assessment:
        risk = 7 * 10**8 if payment.amount_minor >= self.review_from else 10**8
        action: Literal["score", "decline"] = "decline" if payment.amount_minor >= self.decline_from else "score"
        return Assessment(risk, risk // 10**7, action, (Reason(0, "amount", risk),), "f" * 64)


class ListNotifier:
    def __init__(self) -> None:
        self.alarms: list[tuple[str, str, str]] = []

    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        self.alarms.append((reason_code, transaction_id, detail))


class ListApprovals:
    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []

    def start(self, item: Item, request: str) -> None:
        self.started.append((item.approval_name, request))


class ScriptedGateway(SimulatedGateway):
    """Plays a list of answers a call: an exception is raised, a result returned, None goes on as the simulated one."""

    def __init__(self, **scripts: list[Any]) -> None:
        super().__init__()
        self.scripts = scripts
        self.calls: list[str] = []
        self.keys: list[str] = []

    def prepare(self, payment: Payment, key: str) -> str:
        self.keys.append(key)
        self._play("prepare")
        return super().prepare(payment, key)

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
        self.keys.append(key)
        return self._play("charge") or super().charge(gateway_ref, key, off_session)

    def status(self, gateway_ref: str) -> GatewayResult:
        return self._play("status") or super().status(gateway_ref)

    def find(self, payment_id: str) -> list[str]:
        """A script's list of references; without one, none."""
        found: Any = self._play("find")
        return found or []

    def cancel(self, gateway_ref: str) -> GatewayResult:
        return self._play("cancel") or super().cancel(gateway_ref)

    def _play(self, call: str) -> GatewayResult | None:
        self.calls.append(call)
        script = self.scripts.get(call) or [None]
        answer = script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


@dataclass
class World:
    """In-memory ports with everything that they were given."""

    rules: Rules = field(default_factory=Rules)
    dynamodb: MemoryDynamoDb = field(default_factory=MemoryDynamoDb)
    gateway: ScriptedGateway = field(default_factory=ScriptedGateway)
    scoring: AmountScoring = field(default_factory=AmountScoring)
    approvals: ListApprovals = field(default_factory=ListApprovals)
    rejected: MemoryRejectedQueue = field(default_factory=MemoryRejectedQueue)
    notifier: ListNotifier = field(default_factory=ListNotifier)
    clock: FixedClock = field(default_factory=FixedClock)

    @property
    def ports(self) -> Ports:
        log = DynamoDbParkingLog(self.dynamodb, "transactions")
        return Ports(
            log,
            self.gateway,
            self.scoring,
            _pure.find_card_numbers,
            self.approvals,
            self.rejected,
            self.notifier,
            self.clock,
        )

    def item(self, key: str = "txn-pay-abc123") -> dict[str, Any]:
        return from_attributes(self.dynamodb.items[key])

    def stored(self, key: str = "txn-pay-abc123") -> Item:
        """The item as the handler reads it."""
        return from_stored(self.item(key))

    def change(self, key: str = "txn-pay-abc123", **attributes: Any) -> None:
        """Change the stored item by hand; None removes an attribute."""
        from handler.adapters.table.expressions import to_attributes

        item = {**self.item(key), **attributes}
        self.dynamodb.items[key] = to_attributes({name: value for name, value in item.items() if value is not None})


def no_end(_: Item) -> None:
    """`FindEnd` where no table was restored."""


def work(owner: str = "req-1:m-1", remaining_ms: int = 30_000) -> Work:
    return Work(owner, lambda: remaining_ms)


def reading(world: World, message: Message) -> Reading:
    return read([message], world.rules, world.ports, lambda: 30_000)[0]


def send(world: World, sent: Message | None = None, owner: str = "req-1:m-1", remaining_ms: int = 30_000) -> str:
    """Deliver a message once; what came of it."""
    return settle(reading(world, sent or message()), world.rules, world.ports, work(owner, remaining_ms))


class _Executions:
    def __init__(self, closed: bool = True) -> None:
        self.closed = closed

    def is_closed(self, execution_arn: str) -> bool:
        return self.closed


def reconcile(world: World, closed: bool = True, remaining_ms: int = 30_000) -> list[Finding]:
    """A run of reconcile over stuck payments, whose executions are closed or not."""
    ports = world.ports
    nobody: Any = None
    decisions = Decisions(
        ports.log,  # type: ignore[arg-type]
        nobody,
        _Executions(closed),
        ports.approvals,
        ports.clock,
        ports.find_card_numbers,
        "dev",
    )
    findings = settle_stuck(world.rules, ports, decisions, work("r-1:reconcile", remaining_ms))
    return list(findings)
