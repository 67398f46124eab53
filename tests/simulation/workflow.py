"""Durable executions of the shipped workflow, and the people who decide.

As AWS's engine: a step's result is kept once it ended, an invocation that dies runs the workflow again from its
beginning with the kept results, a wait ends with a callback or its time-out, and a name starts one execution.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aws_durable_execution_sdk_python import CallbackError, CallbackTimeoutError, StepError
from aws_durable_execution_sdk_python.config import JitterStrategy

from handler.adapters.approval.evidence import TableEvidence
from handler.domain.approval.decision import Answer, decide
from handler.domain.approval.ports import Decisions
from handler.domain.approval.steps import ApprovalPorts, ApprovalRules
from handler.domain.errors import ApprovalRefusedError, ApprovalWakeError, ItemChangedError, NoticeError, PaymentError
from handler.domain.item import Item
from handler.domain.ports import Ports
from handler.domain.rules import Rules
from handler.workflow import Workflow
from scoring.kernel import load_engine
from scoring.table import open_table
from tests.simulation.auditor import ENVIRONMENT, Auditor
from tests.simulation.releases import Alias, Release
from tests.simulation.traffic import Sent
from tests.simulation.world import MINUTE, SECOND, Environment, Invocation, NoAnswerError, RefusedError, World

_EVIDENCE = TableEvidence(load_engine(), open_table())
_FUNCTION_TIMEOUT_MS = 60 * SECOND
_EXECUTION_TIMEOUT_MS = 3 * 60 * MINUTE
_RESTART_MS = 2 * SECOND


class Suspended(BaseException):
    """The workflow waits; its invocation ends. No Exception, as the SDK's own is none."""


@dataclass(eq=False)
class Execution:
    name: str
    arn: str
    text: str
    # Its version of the function, from its beginning to its end, whatever is deployed since.
    release: Release
    journal: dict[str, tuple[str, Any]] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    callbacks: dict[str, str] = field(default_factory=dict)
    closed: bool = False
    invocation: Invocation | None = None
    wanted: bool = False
    # What it was invoked with directly; None where the queue function or reconcile started it.
    sent: Sent | None = None
    # What it ended with; "" as long as it runs, or if it never told.
    outcome: str = ""


class Engine:
    def __init__(
        self,
        world: World,
        auditor: Auditor,
        rules: Callable[[Release], Rules],
        ports: Callable[[Environment], Ports],
        environment: Callable[[str, Release], Environment],
    ) -> None:
        self.world = world
        # What an execution starts in; set by whoever owns the deployments.
        self.alias: Alias
        self._auditor = auditor
        self._ports = ports
        self._environment = environment
        self.executions: dict[str, Execution] = {}
        self._by_arn: dict[str, Execution] = {}
        self._waiting: dict[str, tuple[Execution, str]] = {}
        self._invoked = 0
        self._people = 0
        # By which callback each person was asked.
        self.deciding: dict[str, str] = {}
        # A minute or an hour, so that decisions race the end of the time for them.
        self._timeout_ms = world.pick("approval/timeout", (1, 60)) * MINUTE
        self._rules = rules

    # ---- executions ----
    def start(self, name: str, text: str, sent: Sent | None = None) -> None:
        if name in self.executions:
            return
        arn = f"arn:sim:function:payment:1/durable-execution/{name}/1"
        execution = Execution(name, arn, text, self.alias.pick(f"execution/{name}"), sent=sent)
        self.executions[name] = self._by_arn[execution.arn] = execution
        self.world.at(self.world.now + _EXECUTION_TIMEOUT_MS, lambda: self._stop(execution, "is ended by its time-out"))
        self._wake(execution, 1)

    def invoke(self, sent: Sent) -> None:
        """Somebody starts the workflow with a payment of their own, past the queue."""
        self.world.tell(f"workflow: {sent.direct} is invoked with {sent.name}")
        self.start(sent.direct, sent.body, sent)

    def of(self, arn: str) -> Execution | None:
        return self._by_arn.get(arn)

    def is_closed(self, execution_arn: str) -> bool:
        return self._by_arn[execution_arn].closed

    def at_rest(self) -> bool:
        return all(execution.closed for execution in self.executions.values())

    def stop_all(self) -> None:
        """An operator stops whatever runs or waits."""
        for execution in self.executions.values():
            self._stop(execution, "is stopped by an operator")

    def _stop(self, execution: Execution, how: str) -> None:
        """It closes without an outcome, whatever is on its way by then."""
        if not execution.closed:
            execution.closed = True
            self.world.tell(f"workflow: {execution.name} {how}")
            if execution.invocation is not None:
                execution.invocation.kill("")

    def _wake(self, execution: Execution, after: int) -> None:
        self.world.at(self.world.now + after, lambda: self._invoke(execution))

    def _invoke(self, execution: Execution) -> None:
        if execution.closed:
            return
        if execution.invocation is not None and not execution.invocation.over:
            execution.wanted = True
            return
        world = self.world
        self._invoked += 1
        environment = self._environment(f"w{self._invoked}", execution.release)
        invocation = environment.invocation
        invocation.lasts, invocation.arn = _FUNCTION_TIMEOUT_MS, execution.arn
        execution.invocation, execution.wanted = invocation, False
        ports = self._ports(environment)
        notices = Notices(self, environment)
        rules = ApprovalRules(self._rules(execution.release), self._timeout_ms)
        workflow = Workflow(rules, ApprovalPorts(ports, ports.log, notices, _EVIDENCE), JitterStrategy.NONE)  # type: ignore[arg-type]
        context = Context(self, execution, environment)
        world.tell(f"{invocation.name} ({execution.release.name}) runs {execution.name}")
        fault = world.fault(f"execution/{execution.name}", [("stops", world.profile.execution)])
        if fault:
            after = world.between(f"execution/{execution.name}", 1, 150)
            world.at(world.now + after, lambda: self._stop(execution, "is stopped"))

        def body() -> str:
            try:
                ended = workflow.run(context)  # type: ignore[arg-type]
            except Suspended:
                return "suspended"
            except StepError as error:
                world.tell(f"{invocation.name}: {execution.name} fails: {error}")
                return "failed"
            world.tell(f"{invocation.name}: {execution.name} ends, {ended['status']}")
            execution.outcome = ended["status"]
            self._auditor.execution_ended(execution)
            return "ended"

        def done(how: str | None) -> None:
            if how in ("ended", "failed"):
                execution.closed = True
            elif how is None:
                self._wake(execution, _RESTART_MS)
            elif execution.wanted:
                self._wake(execution, 1)

        world.start(invocation, body, done)

    # ---- callbacks ----
    def wait(self, execution: Execution, key: str, seconds: int) -> str:
        callback_id = f"cb-{execution.name}-{key}"
        execution.callbacks[key] = callback_id
        self._waiting[callback_id] = (execution, key)
        self.world.at(self.world.now + seconds * SECOND, lambda: self._called(callback_id, ("timed out", None)))
        return callback_id

    def _called(self, callback_id: str, outcome: tuple[str, Any]) -> None:
        waiting = self._waiting.pop(callback_id, None)
        if waiting is None or waiting[0].closed:
            return
        execution, key = waiting
        execution.journal[key] = outcome
        self.world.tell(f"workflow: {execution.name} {'is called back' if outcome[0] == 'done' else 'waited in vain'}")
        self._wake(execution, 1)

    # ---- people ----
    def asked(self, item: Item, callback_id: str) -> None:
        """One notification: nobody, one person or two decide, in time or too late, or a callback decides nothing."""
        world, name = self.world, callback_id
        kind = world.draw_next(f"people/{name}")
        when = int(world.draw_next(f"people/{name}/when") * 1.2 * self._timeout_ms)
        if kind < 0.15:
            return
        if kind < 0.3:
            result = world.pick(f"people/{name}/result", ('{"approved": true}', '{"approved": false}', "yes!"))
            world.at(world.now + when, lambda: self._called(callback_id, ("done", result)))
            return
        self._decide_at(world.now + when, item, callback_id)
        if kind < 0.6:
            self._decide_at(world.now + when + world.between(f"people/{name}/race", 0, 20), item, callback_id)

    def decisions(self, ports: Ports, environment: Environment) -> Decisions:
        """What deciding and reconciling in an environment works with; its log is the one with the workflow's writes."""
        log: Any = ports.log
        return Decisions(
            log,
            Callbacks(self, environment),
            self,
            ports.approvals,
            environment,
            ports.find_card_numbers,
            ENVIRONMENT,
            retention_ms=self.world.retention_ms,
        )

    def _decide_at(self, when: int, item: Item, callback_id: str) -> None:
        self.world.at(when, lambda: self._decide(item, callback_id))

    def _decide(self, item: Item, callback_id: str) -> None:
        world = self.world
        self._people += 1
        environment = self._environment(f"person{self._people}", self.alias.new)
        invocation = environment.invocation
        self.deciding[invocation.name] = callback_id
        decision = world.pick(f"people/{callback_id}/decision", ("approve", "approve", "reject"))
        world.tell(f"{invocation.name} decides: {decision} {item.transaction_id}")
        ports = self._ports(environment)

        def body() -> None:
            try:
                answer = Answer(decision, invocation.name, "looked at", callback_id, item.request_hash)
                decide(item.transaction_id, answer, self.decisions(ports, environment))
                world.tell(f"{invocation.name} is told that the decision stands")
            except ApprovalRefusedError as error:
                world.tell(f"{invocation.name} is refused: {error.reason_code}")
            except PaymentError as error:
                world.tell(f"{invocation.name} has no answer ({error.reason_code}) and tries again")
                self._decide_at(world.now + 5 * SECOND, item, callback_id)

        world.start(invocation, body, lambda _: None)


class Callbacks:
    """`ApprovalCallbacks` of one environment."""

    def __init__(self, engine: Engine, environment: Environment) -> None:
        self._engine = engine
        self._environment = environment

    def wake(self, callback_id: str, decision: str) -> None:
        result = json.dumps({"approved": decision == "approve"})
        try:
            self._environment.invocation.request(
                "wake",
                callback_id,
                lambda: self._engine._called(callback_id, ("done", result)),
                deadline=1_000,
                latency=(5, 40),
            )
        except (RefusedError, NoAnswerError) as error:
            raise ApprovalWakeError(f"{callback_id}: {error.fault}") from None


class Notices:
    """`ApprovalNotices` of one environment: what arrives is read by people."""

    def __init__(self, engine: Engine, environment: Environment) -> None:
        self._engine = engine
        self._environment = environment

    def ask(self, message_id: str, item: Item, callback_id: str) -> None:
        self._send("notice", message_id, lambda: self._engine.asked(item, callback_id))

    def settled(self, message_id: str, transaction_id: str, status: str) -> None:
        self._send("notice", message_id, lambda: None)

    def _send(self, call: str, what: str, effect: Callable[[], None]) -> None:
        try:
            self._environment.invocation.request(call, what, effect, deadline=1_000, latency=(5, 40))
        except (RefusedError, NoAnswerError) as error:
            raise NoticeError(f"{what}: {error.fault}") from None


@dataclass(frozen=True)
class _LambdaContext:
    environment: Environment

    def get_remaining_time_in_millis(self) -> int:
        return self.environment.invocation.remaining_ms()


class Context:
    """What the SDK hands to a workflow, as far as the shipped one uses it."""

    def __init__(self, engine: Engine, execution: Execution, environment: Environment, path: str = "") -> None:
        self._engine = engine
        self._execution = execution
        self._environment = environment
        self._path = path
        self.execution_context = self
        self.durable_execution_arn = execution.arn
        self.state = self
        self.lambda_context = _LambdaContext(environment)

    def get_input_payload(self) -> str:
        return self._execution.text

    def step(self, function: Callable[[Any], Any], name: str, config: Any) -> Any:
        key = f"{self._path}{name}"
        kept = self._execution.journal.get(key)
        if kept is None:
            try:
                kept = ("done", json.loads(json.dumps(function(None))))
            except Exception as error:  # noqa: BLE001 - which errors are tried again is the workflow's own choice
                self._try_again(key, error, config.retry_strategy)
                kept = ("failed", f"{key}: {type(error).__name__}: {error}")
            self._keep(key, kept)
        if kept[0] == "failed":
            raise StepError(kept[1], "StepError")
        return kept[1]

    def parallel(self, branches: list[Any], name: str) -> Results:
        return Results([branch.func(self._inside(f"{name}/{branch.name}/")) for branch in branches])

    def wait_for_callback(self, submitter: Callable[[str, Any], None], name: str, config: Any) -> str:
        execution = self._execution
        callback_id = execution.callbacks.get(name)
        if callback_id is None:
            callback_id = self._engine.wait(execution, name, config.timeout.to_seconds())
        try:
            # Also where the callback came before the notification was kept as sent: the SDK replays it likewise.
            if name not in execution.journal:
                self.step(lambda _: submitter(callback_id, None), f"{name} submitter", config)
        except StepError as error:
            raise CallbackError(str(error), "StepError") from None
        kept = execution.journal.get(name)
        if kept is None:
            raise Suspended
        if kept[0] == "timed out":
            raise CallbackTimeoutError("timed out", "CallbackTimeoutError")
        return str(kept[1])

    def _inside(self, path: str) -> Context:
        return Context(self._engine, self._execution, self._environment, f"{self._path}{path}")

    def _try_again(self, key: str, error: Exception, strategy: Any) -> None:
        execution = self._execution
        execution.attempts[key] += 1
        again = strategy(error, execution.attempts[key])
        if again.should_retry:
            name = self._environment.invocation.name
            self._engine.world.tell(f"{name} {key} will be tried again: {type(error).__name__}")
            self._engine._wake(execution, max(1, again.delay_seconds * SECOND))
            raise Suspended from None
        if isinstance(error, ItemChangedError):
            # Nobody edits items here, so that what an execution holds is what the table has.
            self._engine.world.violation("an execution charges what it holds", f"{key}: {error}")
        if not isinstance(error, PaymentError):
            self._engine.world.violation("no unexpected errors", f"{key} raised {type(error).__name__}: {error}")

    def _keep(self, key: str, kept: tuple[str, Any]) -> None:
        """The engine keeps a step's end; a crash before that makes the step run twice."""
        world, invocation = self._engine.world, self._environment.invocation
        crash = world.profile.crash
        fault = world.fault(f"keep/{self._execution.name}/{key}", [("before", 3 * crash), ("after", 3 * crash)])
        if fault == "before":
            invocation.kill(f"crashes before {key} is kept")
        self._execution.journal[key] = kept
        if fault == "after":
            invocation.kill(f"crashes once {key} is kept")


@dataclass(frozen=True)
class Results:
    results: list[Any]

    def throw_if_error(self) -> None:
        return

    def get_results(self) -> list[Any]:
        return self.results
