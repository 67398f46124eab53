"""A workflow over in-memory ports under the SDK's own runner, which the approval tests share."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aws_durable_execution_sdk_python.config import JitterStrategy
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

from handler.adapters.table.approval_log import DynamoDbApprovalLog
from handler.adapters.table.memory import MemoryDynamoDb
from handler.domain.approval.decision import Answer, decide
from handler.domain.approval.ports import Decisions
from handler.domain.approval.steps import ApprovalPorts, ApprovalRules
from handler.domain.item import Item
from handler.domain.payment import GatewayResult
from handler.domain.states import FINAL
from handler.workflow import Workflow
from tests.support.payments import ScriptedGateway, World

DAY_MS = 86_400_000


@dataclass
class ListNotices:
    """`ApprovalNotices` that keeps what it was given; `fault` is raised instead, once a list entry."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    def ask(self, message_id: str, item: Item, callback_id: str) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.asked.append((item.transaction_id, callback_id))

    def settled(self, message_id: str, transaction_id: str, status: str) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.told.append((transaction_id, status))


@dataclass
class ListCallbacks:
    woken: list[tuple[str, str]] = field(default_factory=list)
    fault: Exception | None = None

    def wake(self, callback_id: str, decision: str) -> None:
        if self.fault:
            raise self.fault
        self.woken.append((callback_id, decision))


class TestSigner:
    """`Signer` with a key of this process."""

    __test__ = False

    def __init__(self, key: bytes = b"k" * 32, key_id: str = "test-key") -> None:
        self._key = key
        self.key_id = key_id

    def write_mac(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, hashlib.sha256)

    def check_mac(self, message: bytes, mac: bytes) -> bool:
        return hmac.compare_digest(self.write_mac(message), mac)


class CountingGateway(ScriptedGateway):
    """Keeps every reference that was ever charged, to tell a repeated charge from a second one."""

    def __init__(self, **scripts: list[Any]) -> None:
        super().__init__(**scripts)
        self.references: set[str] = set()

    def charge(self, gateway_ref: str, key: str) -> GatewayResult:
        self.references.add(gateway_ref)
        return super().charge(gateway_ref, key)


class CountingDynamoDb(MemoryDynamoDb):
    """Counts how often an item was written with a final state."""

    def __init__(self) -> None:
        super().__init__()
        self.finals: Counter[str] = Counter()

    def put_item(self, **parameters: Any) -> dict[str, Any]:
        answer = super().put_item(**parameters)
        self._count(parameters["Item"]["transaction_id"]["S"])
        return answer

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        answer = super().update_item(**parameters)
        self._count(parameters["Key"]["transaction_id"]["S"])
        return answer

    def _count(self, key: str) -> None:
        self.finals[key] += self.items[key]["status"]["S"] in FINAL


@dataclass
class ApprovalWorld(World):
    """The payment world with the workflow's ports; its clock stands still."""

    dynamodb: CountingDynamoDb = field(default_factory=CountingDynamoDb)
    gateway: CountingGateway = field(default_factory=CountingGateway)
    notices: ListNotices = field(default_factory=ListNotices)
    callbacks: ListCallbacks = field(default_factory=ListCallbacks)
    timeout_ms: int = DAY_MS

    @property
    def log(self) -> DynamoDbApprovalLog:
        return DynamoDbApprovalLog(self.dynamodb, "transactions")

    @property
    def approval_rules(self) -> ApprovalRules:
        return ApprovalRules(self.rules, self.timeout_ms)

    @property
    def approval_ports(self) -> ApprovalPorts:
        return ApprovalPorts(self.ports, self.log, self.notices)

    @property
    def workflow(self) -> Workflow:
        return Workflow(self.approval_rules, self.approval_ports, JitterStrategy.NONE)

    @property
    def decisions(self) -> Decisions:
        """For deciding; what reconcile needs beside it is missing."""
        engine: Any = None
        return Decisions(self.log, self.callbacks, engine, engine, self.clock, self.ports.find_card_numbers, "dev")

    def decide(self, decision: str, key: str = "txn-pay-abc123", approver: str = "alice", **changes: Any) -> Item:
        """Decide as a person who was shown the item as it stands; `changes` override what was shown."""
        item = self.item(key)
        shown = {"callback_id": item.get("callback_id", ""), "request_hash": item["request_hash"], **changes}
        shown.setdefault("comment", "checked with the customer")
        return decide(key, Answer(decision, approver, **shown), self.decisions)


class Runner:
    """One engine with one workflow; waits are real, retries are skipped."""

    def __init__(self, engine: DurableFunctionTestRunner) -> None:
        self.engine = engine

    def start(self, text: str) -> str:
        return self.engine.run_async(input=text, execution_timeout=60)

    def result(self, arn: str) -> Any:
        return self.engine.wait_for_result(arn, timeout=60)

    def run(self, text: str) -> Any:
        return self.result(self.start(text))

    def callback(self, arn: str, rounds: int = 1) -> str:
        name = "approval" if rounds == 1 else f"approval-{rounds}"
        return self.engine.wait_for_callback(arn, f"{name} create callback id", timeout=30)


@contextmanager
def running(workflow: Workflow) -> Iterator[Runner]:
    engine = DurableFunctionTestRunner(workflow.durable(), poll_interval=0.01, execution_timeout=60)
    try:
        yield Runner(engine)
    finally:
        engine.close()
        # The runner stops its event loop and leaves it open; pytest counts that as an error.
        scheduler = engine._scheduler
        scheduler._thread.join(timeout=10)
        scheduler._loop.close()
