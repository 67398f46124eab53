"""One seed: the shipped queue function and reconcile over the models, through traffic, faults, calm and the audit."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger

from handler.adapters.fraud import TableFraudScoring
from handler.adapters.queues import SqsRejectedQueue, SqsRetryQueue, SqsSourceQueue
from handler.adapters.system import RandomIds
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.composition import Services
from handler.domain.claim import Work
from handler.domain.errors import ApprovalRefusedError, ApprovalStartError, RetryableError
from handler.domain.forget import forget_due
from handler.domain.item import Item
from handler.domain.parked import cancel, in_order, retry
from handler.domain.payment import Assessment, Payment, Reason
from handler.domain.ports import Ports
from handler.domain.reconcile import ends_found_by, reconcile_pending, settle_parked, settle_stuck
from handler.domain.refund_reconcile import settle_refunds
from handler.domain.rules import Parking, Rules
from handler.domain.score import Routing
from handler.domain.validate import Limits
from handler.queue_function import QueueFunction
from scoring.kernel import load_engine
from scoring.table import open_table
from tests.simulation.auditor import ENVIRONMENT, NEWER_RULE, Auditor
from tests.simulation.functions import Context, Metrics
from tests.simulation.gateway import Gateway
from tests.simulation.gateway_client import GatewayClient
from tests.simulation.queue import BATCH_MAX, FifoQueue, Message, QueueClient
from tests.simulation.releases import Alias, Deployment, Release
from tests.simulation.restore import Restore
from tests.simulation.table import ObservedLog, Table, TableClient
from tests.simulation.tally import count_calls, count_history
from tests.simulation.traffic import BLOCKLISTED, Sent, traffic
from tests.simulation.wake_ups import WakeUps
from tests.simulation.workflow import Engine
from tests.simulation.world import (
    EPOCH_MS,
    HOUR,
    MINUTE,
    SECOND,
    Cut,
    Environment,
    Invocation,
    NoAnswerError,
    RefusedError,
    World,
)

# A run that has not come to rest by then hangs. The longest seen took 113,501: four days of rollbacks to a release that
# cannot read what was written.
STEPS_MAX = 200_000
RULES = Rules(environment=ENVIRONMENT)
_FUNCTION_TIMEOUT_MS = round(1000 * RULES.times.function_timeout_seconds)
_ENVIRONMENTS = 3
# About half of the ordinary payments are above it, and all that wait for a person.
_LOWERED_TO = 20_000


class Scoring:
    """The shipped scoring with few iterations, and one blocklisted description."""

    def __init__(self) -> None:
        self._scoring = TableFraudScoring(load_engine(), open_table(), iterations=1)

    def score_batch(self, payments: Sequence[Payment]) -> list[Assessment]:
        return [
            score._replace(action="decline", risk=10**9) if payment.description == BLOCKLISTED else score
            for payment, score in zip(payments, self._scoring.score_batch(payments), strict=True)
        ]


class NewerScoring(Scoring):
    """What the workflow scores with: rules changed since the queue function scored, and everything is riskier."""

    def score_batch(self, payments: Sequence[Payment]) -> list[Assessment]:
        return [
            score._replace(
                risk=score.risk + 1,
                fraud_score=score.fraud_score + 1,
                reasons=(*score.reasons, Reason(NEWER_RULE, "newer rules", 1)),
            )
            for score in super().score_batch(payments)
        ]


class Approvals:
    """`ApprovalStarter`: the asynchronous invoke of the workflow, idempotent by its name."""

    def __init__(self, auditor: Auditor, engine: Engine, environment: Environment) -> None:
        self._auditor = auditor
        self._engine = engine
        self._environment = environment

    def start(self, item: Item, request: str) -> None:
        name, era = item.approval_name, self._auditor.table.era
        try:
            self._environment.invocation.request(
                "start approval",
                name,
                lambda: self._started(name, request, era),
                deadline=1_000,
                latency=(5, 40),
            )
        except (RefusedError, NoAnswerError) as error:
            raise ApprovalStartError(f"{name}: {error.fault}") from None

    def _started(self, name: str, request: str, era: int) -> None:
        if self._auditor.approval_started(name, request, is_of_lost=self._auditor.table.era != era):
            self._engine.start(name, request)


class Notifier:
    """Of the alarms only five have a cause here: the gateway never contradicts itself."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor

    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        self._auditor.texts.append(detail)
        if reason_code == "found_with_different_content":
            self._auditor.is_other_content(transaction_id)
        elif reason_code == "refund_found_with_different_content":
            self._auditor.refunds.is_other_content(transaction_id)
        elif reason_code not in ("notice_failed", "callback_without_decision", "breaker_open"):
            self._auditor.fail("no alarm", f"{reason_code} {transaction_id}: {detail}")


class GreenletLock:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._is_taken = False

    def acquire(self, blocking: bool = True) -> bool:
        while self._is_taken and blocking:
            self._environment.invocation.sleep(10)
        is_free, self._is_taken = not self._is_taken, True
        return is_free

    def release(self) -> None:
        self._is_taken = False


class GreenletWorkers:
    """`Workers` of an environment: each is a greenlet of the invocation that is under way in it."""

    def __init__(self, environment: Environment, at_once: int) -> None:
        self.at_once = at_once
        self._environment = environment

    def new_lock(self) -> GreenletLock:
        return GreenletLock(self._environment)

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        self._environment.invocation.run_at_once(jobs, self.at_once)


class _Sink(io.StringIO):
    """Where the process's logger writes; each run takes what it wrote."""

    def take(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


_SINK = _Sink()
_LOGGER = Logger(service="simulation", stream=_SINK, level="INFO")
logging.getLogger("handler").addHandler(logging.StreamHandler(_SINK))
logging.getLogger("handler").propagate = False
_ENGINE = load_engine()
_SCORING = Scoring()
_NEWER_SCORING = NewerScoring()


class Simulation:
    """A seed's world; `run` plays it to the end and `world.violations` says what the auditor found."""

    def __init__(
        self, seed: int, cut: Cut | None = None, steps_max: int = STEPS_MAX, *, counterfactual: bool = True
    ) -> None:
        self.world = World(seed, cut or Cut(), steps_max)
        self.auditor = Auditor(self.world, counterfactual)
        self.table = Table(self.auditor.wrote)
        self.queue = FifoQueue(self.world)
        self.gateway = Gateway(self.world, self.auditor)
        self.auditor.queue, self.auditor.table, self.auditor.gateway = self.queue, self.table, self.gateway
        self.auditor.refunds.table, self.auditor.refunds.gateway = self.table, self.gateway
        self.wake_ups = WakeUps(self)
        self.gateway.refunds.woken, self.gateway.ended = self.wake_ups.came_back, self.wake_ups.ended
        self.engine = Engine(self.world, self.auditor, self._rules, self.ports, self._environment)
        self.alias = self.engine.alias = Alias(self.world)
        self.auditor.engine = self.engine
        self.queue.dead_lettered = self.auditor.dead_lettered
        self.auditor.parking.parked = self._parked
        self._operators = 0
        self.queue.changed = self._queue_changed
        self.sent = traffic(self.world)
        self.world.numbers = [sent.number for sent in self.sent]
        contents = {(sent.payment_id, sent.read(2).content) for sent in self.sent if sent.refund is None}
        self.world.payments = len(contents)
        self._idle = _ENVIRONMENTS
        self._invoked = 0
        self._environments = 0
        self._current: set[Environment] = set()
        self._warm: list[tuple[Environment, QueueFunction]] = []
        self._wakes: set[int] = set()
        self.restore = Restore(self)

    def _environment(self, name: str, release: Release) -> Environment:
        skew = int((2 * self.world.draw(f"skew/{name}") - 1) * self.world.profile.skew_ms)
        return Environment(name, skew, Invocation(self.world, name, release, skew))

    def environment_of(self, name: str) -> Environment:
        """A new one of the newest deployment, for what never charges."""
        environment = self._environment(name, self.alias.new)
        environment.invocation.charges = False
        return environment

    def _log(self, environment: Environment) -> Any:
        client = TableClient(self.world, self.table, environment, self.auditor.write_sent, self.auditor.write_answered)
        return ObservedLog(DynamoDbParkingLog(client, "transactions"), environment)

    def _function(self, environment: Environment) -> QueueFunction:
        sqs = self._sqs(environment)
        services = Services(
            self._rules(environment.release),
            self.ports(environment),
            SqsSourceQueue(lambda: sqs, "payments"),
            RandomIds(),
            GreenletWorkers(
                environment, self.world.profile.group_concurrency if environment.release.has_workers else 1
            ),
            prepares_ahead=self.world.profile.prepare_ahead,
        )
        return QueueFunction(services, _LOGGER, Metrics(), _FUNCTION_TIMEOUT_MS / 1000)

    def _rules(self, release: Release) -> Rules:
        """What an environment that starts now is deployed with."""
        routing = Routing(asks=self.world.profile.workflow)
        parking = Parking(self.world.profile.park_after_tries, self.world.profile.park_after_seconds)
        rules = self.restored(RULES._replace(routing=routing, canonical_version=release.writes, parking=parking))
        lowered_to = self.world.lowered_to
        return rules._replace(limits=Limits(amount_max_minor=lowered_to)) if lowered_to else rules

    def restored(self, rules: Rules = RULES) -> Rules:
        restored_at = self.world.restored_at
        return rules._replace(restored_at_ms=EPOCH_MS + restored_at) if restored_at else rules

    def _deploy(self, deployment: Deployment) -> None:
        """Environments and executions that are under way end in the release that they began in."""
        # Drawn like a fault, and counted as one, so that a failing history can be shrunk to those that matter.
        if self.world.restored_at or not self.world.fault(f"deployment/{deployment.release.name}", [("deployed", 1.0)]):
            return
        self.alias.begin(deployment)
        self.world.at(self.world.now + deployment.together, lambda: self._deployed(deployment))

    def _deployed(self, deployment: Deployment) -> None:
        self.alias.finish(deployment)
        self._warm = [warm for warm in self._warm if self.alias.has(warm[0].release)]

    def _limit(self, lowered_to: int) -> None:
        """New environments take smaller amounts only, or all again; invocations that are under way end in old ones."""
        if self.world.restored_at:
            return
        self.world.tell(f"operator: the largest amount is {'lowered' if lowered_to else 'raised again'}")
        self.world.lowered_to = lowered_to
        self.world.was_lowered_to = self.world.was_lowered_to or lowered_to
        self.replace_environments()

    def replace_environments(self) -> None:
        """What starts from now on is configured as it is now; what is at work ends as it is."""
        self._current.clear()
        self._warm.clear()

    def ports(self, environment: Environment) -> Ports:
        """The shipped adapters; only what they talk to is a model."""
        sqs = self._sqs(environment)
        return Ports(
            log=self._log(environment),
            gateway=GatewayClient(self.gateway, environment),
            scoring=_NEWER_SCORING if environment.name.startswith("w") else _SCORING,
            find_card_numbers=_ENGINE.find_card_numbers,
            approvals=Approvals(self.auditor, self.engine, environment),
            rejected=SqsRejectedQueue(lambda: sqs, "rejected"),
            notifier=Notifier(self.auditor),
            clock=environment,
        )

    def run(self) -> World:
        world = self.world
        for sent in self.sent:
            world.at(sent.at, lambda sent=sent: self.send(sent))  # type: ignore[misc]
        faulty_until = world.pick("acts/faults", (2, 10, 40)) * MINUTE
        for index in range(world.between("acts/reconciles", 0, 8)):
            world.at(int(world.draw(f"acts/reconcile/{index}") * faulty_until), self._reconcile)
        if world.draw("acts/redrive") < 0.3:
            world.at(int(world.draw("acts/redrive at") * faulty_until), self._redrive)
        if world.draw("acts/lower limits") < 0.2:
            lowered_at = int(world.draw("acts/lowered at") * 2 * MINUTE)
            world.at(lowered_at, lambda: self._limit(_LOWERED_TO))
            if world.draw("acts/raise limits") < 0.5:
                world.at(lowered_at + int(world.draw("acts/raised after") * 2 * MINUTE), lambda: self._limit(0))
        for deployment in self.alias.plan(faulty_until):
            world.at(deployment.at, lambda deployment=deployment: self._deploy(deployment))  # type: ignore[misc]
        self.wake_ups.plan(faulty_until)
        fault = world.fault("outage", [("an hour", world.profile.outage / 2), ("nine hours", world.profile.outage)])
        if fault:
            begin = int(world.draw("acts/outage at") * MINUTE)
            self.gateway.out_until = begin + (1 if fault == "an hour" else 9) * HOUR
            faulty_until = max(faulty_until, self.gateway.out_until + 10 * MINUTE)
            self.gateway.out_with_503 = world.draw("acts/outage with 503") < 0.5
            how = "answers 503" if self.gateway.out_with_503 else "cannot be reached"
            world.tell(f"gateway: {how} for {fault}")
        restore = self.restore.plan()
        if restore is not None:
            # What is looked for is looked for an hour later: with faults, too.
            faulty_until = max(faulty_until, restore.lost + 2 * HOUR)
        world.run(faulty_until)
        if world.draw("acts/next day") < 0.25 and not world.violations:
            # Idempotency keys are forgotten by now, and faults go on.
            world.run(world.now + 25 * HOUR, self._at_rest)
            self._redrive()
            world.run(world.now + faulty_until)
        world.run(max(world.now, self.restore.over_at + 10 * MINUTE))
        if not world.violations:
            world.faults_on = False
            world.tell("faults stop")
            self.alias.calm()
            self._warm.clear()
            self._settle_all()
            self._come_back()
        if not world.violations:
            self.auditor.logged(_SINK.take())
            self.auditor.at_the_end(self.sent)
        count_history(self)
        world.end()
        _SINK.take()
        return world

    def _settle_all(self) -> None:
        """Calm: the queue empties, reconcile runs, dead letters are redriven, and at last keys are forgotten."""
        world = self.world
        self.wake_ups.redrive()
        # What code that knows no refunds has set aside.
        for sent in self.auditor.refunds.to_send_again:
            self.send(sent)
        # The first wait: reconcile's 15 minutes, a lease, and clocks that are 20 minutes off to either side. After a
        # restore the names of a payment's executions may be used up, and reconcile goes one further with each run.
        more = (1 * HOUR,) * 9 if world.restored_at else ()
        for wait in (*more, 1 * HOUR, 5 * HOUR, 26 * HOUR, 26 * HOUR):
            world.run(world.now + 6 * HOUR, self._at_rest)
            world.run(world.now + wait)
            began = world.now
            self._reconcile()
            world.run(world.now + 10 * MINUTE)
            if world.violations:
                return
            self.auditor.after_reconcile(began)
            if self.alias.new.gives_back:
                self.auditor.nothing_is_kept(began)
            if not self.queue.dead and not self.queue.messages() and self.auditor.nothing_open():
                return
            self._redrive()
            self.wake_ups.redrive()
            self._operate("retry all")
        world.run(world.now + 6 * HOUR, self._at_rest)

    def _come_back(self) -> None:
        """Money comes back for hours, and the gateway's last event of each reference is answered."""
        # A refund that is sent later than that comes back, too.
        last = max((sent.at for sent in self.sent), default=0)
        self.world.run(max(self.world.now + 5 * HOUR, last + 10 * MINUTE))
        for gateway_ref in self.gateway.later.touched():
            self.wake_ups.came_back(gateway_ref)
        for _ in range(24 * 60):
            if not self.auditor.refunds.untold:
                break
            self.world.run(self.world.now + MINUTE)

    def _at_rest(self) -> bool:
        return not self.queue.messages() and self._idle == _ENVIRONMENTS and self.engine.at_rest()

    def send(self, sent: Sent) -> None:
        if sent.direct:
            self.engine.invoke(sent)
        else:
            self.auditor.sent(self.queue.send(sent))

    def _redrive(self) -> None:
        if self.queue.dead:
            self.world.tell("operator: redrive")
        for message in self.queue.dead:
            self.auditor.dead.discard(message.message_id)
            self.auditor.redriven[message.message_id] = self.auditor.messages.pop(message.message_id)
        dead, self.queue.dead = self.queue.dead, []
        for message in dead:
            self.send(message.sent)

    # ---- operators ----
    def _parked(self, key: str) -> None:
        """Somebody sees it, or nobody; one or two act on it, early or late."""
        world, name = self.world, f"operators/{key}"
        kind = world.draw_next(name)
        when = world.now + int(world.draw_next(name) * world.pick(f"{name}/within", (1, 30, 600, 3_600)) * SECOND)
        acts = [] if kind < 0.2 else ["retry"] if kind < 0.45 else ["cancel"] if kind < 0.55 else ["retry all"]
        if kind >= 0.65:
            acts = ["retry", "cancel"] if kind < 0.8 else ["cancel", "cancel"] if kind < 0.85 else ["retry", "retry"]
        if kind >= 0.9:
            acts = ["retry", "reconcile", "reconcile"]
        for act in acts:
            at = when + world.between(f"{name}/race", 0, 40)
            doing = self._reconcile if act == "reconcile" else partial(self._operate, act, key)
            world.at(at, doing)

    def _operate(self, act: str, key: str = "") -> None:
        world = self.world
        self._operators += 1
        environment = self._environment(f"op{self._operators}", self.alias.new)
        invocation = environment.invocation
        invocation.charges = False
        ports = self.ports(environment)
        decisions = self.engine.decisions(ports, environment)
        log: Any = ports.log
        work = Work(f"{invocation.name}:find", invocation.remaining_ms)
        find_end = ends_found_by(self.restored(), ports, decisions, work)
        queue = SqsRetryQueue(lambda: self._sqs(environment), "payments")
        world.tell(f"{invocation.name}: {act} {key}")

        def body() -> None:
            try:
                keys = [key] if key else log.open_transaction_ids("parked")
                for item in in_order(filter(None, map(log.get, keys)), reason_code=""):
                    if act == "cancel":
                        found = cancel(
                            item, invocation.name, "given up", decisions, lambda: ports.gateway, find_end=find_end
                        )
                        world.tell(f"{invocation.name} is told that {item.transaction_id} is {found}")
                    else:
                        work = Work(f"{invocation.name}:{item.transaction_id}", invocation.remaining_ms)
                        done = retry(item, invocation.name, queue, decisions, times=RULES.times, work=work)
                        world.tell(f"{invocation.name} is told that {item.transaction_id} is {done}")
            except ApprovalRefusedError as error:
                world.tell(f"{invocation.name} is refused: {error.reason_code}")
            except RetryableError as error:
                world.tell(f"{invocation.name} has no answer ({error.reason_code})")
                # Who is told that the gateway is at work has nothing to run again.
                is_told = error.reason_code == "charge_in_progress"
                if not is_told and (world.draw_next(f"again/{act}") < 0.5 or not world.faults_on):
                    world.at(world.now + 5 * SECOND, lambda: self._operate(act, key))

        world.start(invocation, body, lambda _: None)

    def _retried(self, request: dict[str, Any], era: int) -> None:
        """An operator's message arrives at the queue; it is the payment's own text, which reads as it was claimed."""
        name = request["MessageDeduplicationId"]
        if self.table.era != era:
            # Sent for the table that was lost since: it goes as those that were queued then (restore.py).
            self.world.tell(f"queue: {name} is for the lost table")
            return
        if self.queue.is_duplicate(name):
            self.world.tell(f"queue: {name} was sent before")
            return
        payment_id, _, park_no = name.partition("#retry#")
        original = next(sent for sent in self.sent if self.auditor.is_claimed_content(sent, payment_id))
        changes = {"body": request["MessageBody"], "group": request["MessageGroupId"], "direct": ""}
        again = replace(original, **changes, retry=int(park_no))
        self.auditor.retry_arrived(again)
        self.send(again)

    def _sqs(self, environment: Environment) -> QueueClient:
        # No environment outlives a restore, so that what one sends is for the table of now.
        era = self.table.era
        return QueueClient(
            self.queue, environment, self.auditor.rejected_copy, lambda request: self._retried(request, era)
        )

    # ---- the event source mapping ----
    def _queue_changed(self, when: int) -> None:
        """Something may be deliverable at that time: poll then, once however many ask for it."""
        if when not in self._wakes:
            self._wakes.add(when)
            # One millisecond later, as a message is visible from the end of its time-out on.
            self.world.at(when + 1, lambda: self._poll(when))

    def _poll(self, when: int) -> None:
        self._wakes.discard(when)
        while self._idle:
            batch = self.queue.receive(self.world.between("batch", 1, BATCH_MAX))
            if not batch:
                return
            self._idle -= 1
            self._invoke(batch)

    def _invoke(self, batch: list[Message]) -> None:
        world = self.world
        self._invoked += 1
        if self._warm and world.draw_next("warm") < 0.8:
            environment, function = self._warm.pop()
        else:
            self._environments += 1
            name = f"e{self._environments}"
            environment = self._environment(name, self.alias.pick(name))
            self._current.add(environment)
            function = self._function(environment)
        invocation = Invocation(world, f"i{self._invoked}", environment.release, environment.skew, _FUNCTION_TIMEOUT_MS)
        invocation.place = environment.name
        environment.invocation = invocation
        where = f"{environment.name} ({environment.release.name})"
        world.tell(f"{invocation.name} in {where}: {', '.join(message.name for message in batch)}")
        firsts = {message.message_id: message.sent for message in batch if message.receives == 1}
        self.auditor.ahead.received(invocation, firsts)
        event = {"Records": [_record(message) for message in batch]}

        receipts = [record["receiptHandle"] for record in event["Records"]]
        world.start(
            invocation,
            lambda: function(event, Context(invocation)),
            self._done(batch, receipts, environment, function),
        )

    def _done(
        self, batch: list[Message], receipts: list[str], environment: Environment, function: QueueFunction
    ) -> Callable[[dict[str, Any] | None], None]:
        def done(response: dict[str, Any] | None) -> None:
            if response is not None:
                if environment in self._current and self.alias.has(environment.release):
                    self._warm.append((environment, function))
                count_calls(self, environment.invocation, batch)
                self._acknowledge(environment.invocation, batch, receipts, response)
            self._idle += 1
            self._queue_changed(self.world.now)

        return done

    def _acknowledge(
        self, invocation: Invocation, batch: list[Message], receipts: list[str], response: dict[str, Any]
    ) -> None:
        """The mapping deletes what did not fail; its own failures bring messages back that were settled."""
        acknowledged = self.auditor.responded(
            invocation, batch, {name: int(count) for name, count in (each.split("/") for each in receipts)}, response
        )
        fault = self.world.fault("poller", [("response lost", self.world.profile.poller)])
        if fault:
            self.world.tell("mapping: the response is lost")
            return
        for message, receipt in zip(batch, receipts, strict=True):
            if message in acknowledged:
                if self.world.fault(f"delete/{message.message_id}", [("lost", self.world.profile.poller)]):
                    self.world.tell(f"mapping: {message.name} is not deleted")
                else:
                    self.queue.delete(receipt)

    # ---- reconcile ----
    def _reconcile(self) -> None:
        self._invoked += 1
        environment = self.environment_of(f"r{self._invoked}")
        invocation = environment.invocation
        self.world.tell(f"{invocation.name}: reconcile")

        def body() -> bool:
            ports = self.ports(environment)
            for finding in settle_stuck(
                self.restored(),
                ports,
                self.engine.decisions(ports, environment),
                Work(f"{invocation.name}:reconcile", invocation.remaining_ms),
            ):
                self.world.tell(f"{invocation.name} found {finding.transaction_id} {finding.outcome} {finding.detail}")
            decisions = self.engine.decisions(ports, environment)
            work = Work(f"{invocation.name}:reconcile", invocation.remaining_ms)
            for finding in settle_parked(self.restored(), ports, decisions, work):
                self.world.tell(f"{invocation.name} found {finding.transaction_id} {finding.outcome} {finding.detail}")
            if invocation.release.gives_back:
                for refund in settle_refunds(self.restored(), ports, work, decisions.stuck_after_ms):
                    self.world.tell(f"{invocation.name} found {refund.transaction_id} {refund.outcome} {refund.detail}")
            self._reconcile_pending(environment)
            # What knows no refunds knows no retention either.
            forgotten = forget_due(RULES.times, ports.notifier, decisions, work)
            for each in forgotten if invocation.release.gives_back else ():
                self.world.tell(f"{invocation.name} forgets {each.transaction_id} {each.detail}")
            return True

        self.world.start(invocation, body, lambda ended: self.auditor.ended(invocation) if ended else None)

    def _reconcile_pending(self, environment: Environment) -> None:
        ports = self.ports(environment)
        decisions = self.engine.decisions(ports, environment)
        work = Work(f"{environment.invocation.name}:reconcile", environment.invocation.remaining_ms)
        find_end = ends_found_by(self.restored(), ports, decisions, work)
        log: Any = ports.log
        for transaction_id in log.open_transaction_ids("pending_approval"):
            try:
                item = log.get(transaction_id)
                if item is None or item.status != "pending_approval":
                    continue
                found = reconcile_pending(item, decisions, find_end)
            except RetryableError as error:
                found = error.reason_code  # type: ignore[assignment]
            self.world.tell(f"{environment.invocation.name} found {transaction_id} {found}")


def _record(message: Message) -> Mapping[str, Any]:
    """As Lambda passes it; the receipt handle is of this very delivery."""
    return {
        "messageId": message.message_id,
        "receiptHandle": f"{message.message_id}/{message.receipt}",
        "body": message.sent.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "SequenceNumber": f"{message.sequence:020d}",
            "MessageGroupId": message.sent.group,
        },
    }


def run(seed: int, cut: Cut | None = None, steps_max: int = STEPS_MAX, *, counterfactual: bool = True) -> World:
    """Play one seed. The world that is returned holds its history and its violations.

    Without `counterfactual` only what happened counts, and not what a write's condition would have let happen.
    """
    return Simulation(seed, cut, steps_max, counterfactual=counterfactual).run()
