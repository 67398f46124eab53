"""Approvals in memory that several tests share: a world, payments that wait in it, the SDK's own runner, the page."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aws_durable_execution_sdk_python.config import JitterStrategy
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

from handler.adapters.approval.decision_api import DecisionApi
from handler.adapters.approval.evidence import TableEvidence
from handler.adapters.table.memory import MemoryDynamoDb
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.approval_page import ApprovalPage
from handler.domain.approval.decision import Answer, decide
from handler.domain.approval.evidence import CUSTOMER
from handler.domain.approval.ports import Decisions, Evidence
from handler.domain.approval.steps import ApprovalPorts, ApprovalRules, Checks, Execution, Next, ask, begin
from handler.domain.approval.token import ListInvitation, invite, write_token
from handler.domain.item import Item
from handler.domain.payment import Assessment, GatewayResult, Reason
from handler.domain.process import read, settle
from handler.domain.reading import Reading
from handler.domain.reconcile import reconcile_pending
from handler.domain.states import FINAL
from handler.workflow import Workflow
from scoring.kernel import load_engine
from scoring.table import open_table
from tests.support.payments import KEY, ScriptedGateway, World, body, message, no_end, work

DAY_MS = 86_400_000
RISKY = body(amount=9999.99)
ARN = "arn:aws:lambda:us-east-1:123456789012:function:payment-processor-dev:7/durable-execution/dev-pay-abc123-1/x1"
EXECUTION = Execution(ARN, "dev-pay-abc123-1")
CALLBACK = "Y2FsbGJhY2s="
SCORED_70 = Assessment(7 * 10**8, 70, "score", (Reason(0, "amount", 7 * 10**8),), "f" * 64)
TOPIC = "arn:aws:sns:us-east-1:123456789012:payment-approvals-dev"


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

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
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
    evidence: Evidence = field(default_factory=lambda: TableEvidence(load_engine(), open_table()))
    timeout_ms: int = DAY_MS
    shows: frozenset[str] = frozenset(CUSTOMER)

    @property
    def log(self) -> DynamoDbParkingLog:
        return DynamoDbParkingLog(self.dynamodb, "transactions")

    @property
    def approval_rules(self) -> ApprovalRules:
        return ApprovalRules(self.rules, self.timeout_ms, self.shows)

    @property
    def approval_ports(self) -> ApprovalPorts:
        return ApprovalPorts(self.ports, self.log, self.notices, self.evidence)

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
        engine.close()  # type: ignore[no-untyped-call]
        # The runner stops its event loop and leaves it open; pytest counts that as an error.
        scheduler = engine._scheduler
        scheduler._thread.join(timeout=10)
        scheduler._loop.close()


def status(result: Any) -> str:
    """What an execution that succeeded says its payment came to."""
    assert result.status.value == "SUCCEEDED", result.error
    return str(json.loads(result.result)["status"])


def until(condition: Callable[[], Any]) -> None:
    """Wait for another thread; the bound is for a broken test only."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition never held")


def queued() -> ApprovalWorld:
    """A risky payment of the queue that no workflow has taken up."""
    world = ApprovalWorld()
    settle(read([message(RISKY)], world.rules, world.ports, lambda: 30_000)[0], world.rules, world.ports, work())
    return world


def pending(world: ApprovalWorld | None = None, execution: Execution = EXECUTION, risky: str = RISKY) -> ApprovalWorld:
    """A risky payment of the queue, adopted and asked about."""
    world = world or ApprovalWorld()
    reading = read([message(risky)], world.rules, world.ports, lambda: 30_000)[0]
    settle(reading, world.rules, world.ports, work())
    return taken_up(world, reading, Checks(SCORED_70, True), execution)


def unscored() -> ApprovalWorld:
    """A payment that no queue has seen, while the fraud check did not answer."""
    world = ApprovalWorld()
    reading = read([message(RISKY)], world.rules, world.ports, lambda: 30_000)[0]
    return taken_up(world, reading, Checks(None, True), EXECUTION)


def taken_up(world: ApprovalWorld, reading: Reading, checks: Checks, execution: Execution) -> ApprovalWorld:
    """The world after a workflow has begun with the payment and asked."""
    assert reading.validation.payment is not None
    step = begin(
        reading.validation.payment,
        reading.in_version,
        checks,
        execution,
        rules=world.approval_rules,
        ports=world.approval_ports,
        work=work(execution.arn),
    )
    assert step == Next("ask", ask_seconds=86_400)
    ask(KEY, CALLBACK, execution, world.approval_ports)
    return world


class ListExecutions:
    """`Executions` and `ApprovalStarter` in one."""

    def __init__(self, closed: bool = False) -> None:
        self.closed = closed
        self.started: list[tuple[str, str]] = []

    def is_closed(self, execution_arn: str) -> bool:
        return self.closed

    def start(self, item: Item, request: str) -> None:
        self.started.append((item.approval_name, request))


def decisions(world: ApprovalWorld, executions: ListExecutions | None = None) -> Decisions:
    executions = executions or ListExecutions()
    return Decisions(
        world.log, world.callbacks, executions, executions, world.clock, world.ports.find_card_numbers, "dev"
    )


def reconcile(world: ApprovalWorld, executions: ListExecutions) -> str:
    """What reconcile does with the one payment that waits."""
    return reconcile_pending(world.stored(), decisions(world, executions), no_end)


def token(world: ApprovalWorld, approver: str = "alice", signer: TestSigner | None = None) -> str:
    return write_token(invite(world.stored(), world.stored().callback_id, approver), signer or TestSigner())


def list_token(world: ApprovalWorld, approver: str = "alice", signer: TestSigner | None = None) -> str:
    until = world.stored().approval_expires_at or 0
    return write_token(ListInvitation(approver, until), signer or TestSigner())


def _request(method: str = "GET", query: str = "", form: str | bytes = "") -> dict[str, Any]:
    event: dict[str, Any] = {"requestContext": {"http": {"method": method}}, "rawQueryString": query}
    if isinstance(form, bytes):
        return event | {"body": base64.b64encode(form).decode(), "isBase64Encoded": True}
    return event | {"body": form}


def visit(world: ApprovalWorld, *, approvers: Sequence[str] = ("alice", "bob"), **given: Any) -> dict[str, Any]:
    """The page's answer to a request of this `method`, `query` and `form`."""
    return ApprovalPage(decisions(world), TestSigner(), frozenset(approvers))(_request(**given), {})


def post(world: ApprovalWorld, **fields: str) -> dict[str, Any]:
    """The page's answer to its own form, approving unless `fields` say otherwise."""
    form = {"t": token(world), "decision": "approve", "comment": "checked", **fields}
    return visit(world, method="POST", form=urlencode(form).encode())


ALICE = "arn:aws:iam::123456789012:user/alice"
BOB = "arn:aws:sts::123456789012:assumed-role/payments-approver/bob"


def put(
    world: ApprovalWorld, document: object, arn: str | None = ALICE, approvers: Sequence[str] = (ALICE, BOB)
) -> Any:
    """The page's status and JSON to a decision of the command line that `arn` has signed."""
    event = _request("PUT", form=document if isinstance(document, str) else json.dumps(document))
    if arn is not None:
        event["requestContext"]["authorizer"] = {"iam": {"userArn": arn, "userId": "AIDA"}}
    answer = ApprovalPage(decisions(world), TestSigner(), frozenset(approvers))(event, {})
    return answer["statusCode"], json.loads(answer["body"])


def asking(**fields: object) -> dict[str, object]:
    """What the command line sends, approving unless `fields` say otherwise."""
    return {"environment": "dev", "payment": KEY, "decision": "approve", "comment": "checked", **fields}


class DirectApi(DecisionApi):
    """The command line's way to the page, without HTTP: whoever is `arn` has signed."""

    def __init__(self, world: ApprovalWorld, arn: str = ALICE) -> None:
        super().__init__("", "", "dev")
        self._world = world
        self._arn = arn

    def _send(self, body: bytes) -> tuple[int, dict[str, Any]]:
        status, document = put(self._world, body.decode(), self._arn)
        return status, document


class RecordingTopic:
    """An SNS client that keeps what it was given, or raises `fault`."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.published: list[dict[str, Any]] = []
        self.fault = fault

    def publish(self, **message: Any) -> None:
        if self.fault:
            raise self.fault
        self.published.append(message)


def opened(world: ApprovalWorld, sent: str) -> tuple[int, str]:
    """Status and text of the page behind a link."""
    answer = visit(world, query=urlencode({"t": sent}))
    return answer["statusCode"], answer["body"]


CHARGED = {"status": "completed", "processed_at": "2024-01-01T12:00:00Z", "gateway_ref": "ref", "gateway_response": {}}
