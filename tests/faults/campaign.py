"""One campaign: a stream of payments through the running local system under fire, and the audit of what became of it.

The rule: the audit comes after reconcile had its time, and what it finds is told with its evidence.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local import stream, threads, traffic
from local.approvals.mail import Link
from local.approvals.workflow import Approvals
from local.audit import audit
from local.evidence import QUEUE_COUNTS, Delivery, Evidence, Sent, collect, logs_of
from local.faults import (
    CALLS_PER_SECOND,
    GATEWAY_FAULTS,
    GATEWAY_RATES,
    POISON,
    POISON_TRIES,
    START_LOST,
    TableFaults,
    document_of,
    key_of,
    plan,
)
from local.run import APPROVAL_SECONDS, APPROVER, TIMES
from local.run_folder import new_directory
from local.runtime_api import usage
from local.stream import RunError
from local.system import LocalSystem
from tests.faults import checks
from tests.faults.chaos import LATER, Chaos, Targets, shift
from tests.faults.services import DurableServices, KeptGateway
from tests.faults.wire import Wire

# The protocol's times by 5 instead of 15: what strikes is to cost payments their time, not a busy machine.
CAMPAIGN_TIMES = replace(
    TIMES,
    function_timeout_seconds=6,
    visibility_timeout_seconds=36,
    gateway_deadline_seconds=1.0,
    safety_margin_seconds=1.0,
)
CLOCK_FOLDER = Path(__file__).parent / "clock"
# An answer of a service that is down for a moment.
_DOWN = (BotoCoreError, ClientError, OSError)
# After the last decision that could be made, what ends by itself has so long to do it. Then so much time passes at
# once, as reconcile waits for a quarter of an hour, and again where that was not enough.
_GRACE_SECONDS = 15
_PASSES_SECONDS = 16 * 60
_SETTLES_SECONDS = 90
_RECONCILE_SECONDS = 20.0
# A decision comes at once, or about when the time is up: before it or after.
_RACING_SECONDS = (APPROVAL_SECONDS - 2.0, APPROVAL_SECONDS + 1.0)


@dataclass(frozen=True)
class Campaign:
    """What is played: `faults` from outside, one in `mean_seconds` on average, while `payments` go through."""

    payments: int
    groups: int
    concurrency: int
    seed: int
    faults: int
    mean_seconds: float
    seconds_max: int


@dataclass(frozen=True)
class Result:
    """A row of the record, the sentences against each check, and where the rest is."""

    row: dict[str, Any]
    problems: dict[str, list[str]]
    directory: Path


class _WatchedTable(TableFaults):
    """The table's proxy, which remembers in which order claims came: payment id and the claim's own `created_at`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.claims: dict[tuple[str, int], int] = {}
        self._order = itertools.count(1)

    def serve(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        if headers.get("x-amz-target", "").endswith(".PutItem"):
            document = document_of(body)
            name = key_of(document)
            if name.startswith("txn-") and "#" not in name:
                # Which of them was carried out says the item; a claim that the client repeats is the same one.
                claim = (name.removeprefix("txn-"), int(document["Item"]["created_at"]["N"]))
                self.claims.setdefault(claim, next(self._order))
        return super().serve(body, headers)


class _StruckApprovals(Approvals):
    """The approvals, whose functions read clocks that jump and reach the table by the wire."""

    struck: dict[str, str]

    @property
    def endpoints(self) -> dict[str, str]:
        return super().endpoints | self.struck


class _WatchedSystem(LocalSystem):
    """The local system, which remembers whether anything struck it when it told of a problem."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.chaos: Chaos | None = None
        self.told: list[tuple[bool, str]] = []

    def note(self, sentence: str) -> None:
        self.told.append((self.chaos is None or self.chaos.is_quiet(), sentence))


class _Approver:
    """Who decides on the risky payments, at once or about when the time is up, and as often as it takes."""

    def __init__(self, approvals: Approvals, messages: Sequence[traffic.Message], seed: int) -> None:
        self._approvals = approvals
        self._decisions = {f"txn-{each.payment_id}": each.decision for each in messages if each.kind == "risky"}
        self._choose = random.Random(f"approver:{seed}")
        self._due: list[tuple[float, Link]] = []
        self.said: list[checks.Said] = []

    def decide(self) -> None:
        now = time.monotonic()
        for link in self._approvals.mail():
            if self._decisions.get(link.transaction_id):
                wait = self._choose.uniform(*_RACING_SECONDS) if self._choose.random() < 0.4 else 0.0
                self._due.append((now + wait, link))
        due = [each for each in self._due if each[0] <= now]
        self._due = [each for each in self._due if each[0] > now]
        for _, link in due:
            decision = self._decisions[link.transaction_id]
            status = 0
            with suppress(*_DOWN):
                status = self._approvals.decide(link, decision, "decided under fire")
            if status == 0 or status >= 500:
                self._due.append((now + 1.0, link))
            else:
                self.said.append(checks.Said(link.transaction_id.removeprefix("txn-"), decision, status))


def run(campaign: Campaign, console: Console, package: Path | None = None) -> Result:
    """Play it. Raises RunError, ServicesError, InstallationError, GatewayError."""
    messages = traffic.make(campaign.payments, campaign.groups, campaign.seed)
    planned = plan(messages, campaign.seed)
    messages = checks.raced(
        [replace(each, ends=traffic.PARKED) if each.payment_id == planned.get(POISON) else each for each in messages]
    )
    directory = new_directory()
    clocks = directory / "clocks"
    clocks.mkdir()
    (clocks / LATER).write_bytes(bytes(8))
    systems: list[_WatchedSystem] = []
    broken: list[str] = []
    started = time.monotonic()
    with ExitStack() as stack:
        gateway = KeptGateway(
            directory / "gateway.sqlite",
            seed=campaign.seed,
            rates=GATEWAY_RATES,
            calls_per_second=CALLS_PER_SECOND,
            problem=lambda sentence: systems[0].note(sentence) if systems else broken.append(sentence),
        )
        stack.callback(gateway.stop)
        gateway.start(
            {fault: payment_id for fault, payment_id in planned.items() if fault in GATEWAY_FAULTS},
            delay_seconds=3 * CAMPAIGN_TIMES.gateway_deadline_seconds,
        )
        table = _WatchedTable(
            planned, campaign.seed, kill=lambda payment_id: systems[0].kill_environment(working_on=payment_id)
        )
        stack.callback(table.stop)
        wires = (
            Wire("gateway", campaign.seed, broken.append),
            Wire("table", campaign.seed, broken.append),
        )
        for wire in wires:
            stack.callback(wire.stop)
        wires[0].upstream = ("127.0.0.1", gateway.port)
        wires[1].upstream = ("127.0.0.1", urlsplit(table.url).port or 0)
        approvals = _StruckApprovals(
            timeout_seconds=APPROVAL_SECONDS,
            approvers=(APPROVER,),
            reconcile_seconds=_RECONCILE_SECONDS,
            loses_start_of=planned.get(START_LOST, ""),
        )
        approvals.struck = {
            "AWS_ENDPOINT_URL_DYNAMODB": wires[1].url,
            "PYTHONPATH": str(CLOCK_FOLDER),
            "FAULTS_CLOCKS": str(clocks),
        }
        system = _WatchedSystem(
            package=package,
            concurrency=campaign.concurrency,
            times=CAMPAIGN_TIMES,
            gateway_url=wires[0].url,
            variables=approvals.variables,
            endpoints=approvals.endpoints,
            directory=directory,
            services=DurableServices,
        )
        stack.enter_context(system)
        services = system.services
        assert isinstance(services, DurableServices)
        table.upstream = urlsplit(system.endpoint_url).netloc
        systems.append(system)
        stack.enter_context(approvals.running(system))
        services.snapshot()
        chaos = Chaos(
            Targets(system, services, gateway, approvals, wires, clocks),
            campaign.seed,
            faults_max=campaign.faults,
            mean_seconds=campaign.mean_seconds,
        )
        system.chaos = chaos
        stack.callback(chaos.stop)
        chaos.start()
        approver = _Approver(approvals, messages, campaign.seed)
        sender = _Sender(system, messages)
        _wait(system, sender, approver, chaos, seconds_max=campaign.seconds_max, console=console)
        seconds = time.monotonic() - started
        memory = usage(services.pid).memory_peak_bytes or 0
        evidence = collect(
            system.clients,
            environment=system.names.environment,
            sent=checks.merge(sender.sent),
            table=system.names.table,
            queue_url=system.resources.queue_url,
            rejected_queue_url=system.resources.rejected_queue_url,
            dead_letter_queue_url=system.resources.dead_letter_queue_url,
            deliveries=[Delivery(each.message_ids, each.failed, each.outcome.error_type) for each in system.batches],
            gateway_database=gateway.database,
            logs=logs_of(directory, system.clients["logs"]),
            late_writes=table.late_writes,
            planned={fault: POISON_TRIES if fault == POISON else 1 for fault in planned},
            struck=table.struck | {START_LOST: approvals.starts_lost},
        )
    checks.in_order_of_claims(evidence, table.claims)
    problems = audit(evidence)
    problems["decisions_are_obeyed"] = list(checks.decisions_are_obeyed(evidence, approver.said))
    problems["nothing_sent_was_lost"] = list(checks.nothing_sent_was_lost(evidence, messages))
    problems["no_problem_without_a_fault"] = checks.outside_of_faults(system.told) + broken + chaos.errors
    restarts = {"gateway": gateway.starts - 1, "queue and table": services.starts - 1}
    restarts["durable engine"] = approvals.engine_starts - 1
    row = _row(campaign, evidence, chaos, problems) | {
        "seconds": round(seconds),
        "restarts": restarts,
        "services_ended_with": {str(code): services.ends.count(code) for code in sorted(set(services.ends))},
        "services_memory_mb": round(memory / 2**20),
        "decisions_in_time": sum(each.status == 200 for each in approver.said),
        "decisions_too_late": sum(each.status == 410 for each in approver.said),
    }
    return Result(row, problems, directory)


class _Sender:
    """Sends the stream from a thread, ten at a time, and again until they are taken: the queue knows a repetition."""

    def __init__(self, system: LocalSystem, messages: Sequence[traffic.Message]) -> None:
        self.sent: list[Sent] = []
        self.total = len(messages)
        self._thread = threads.start("sender", lambda: self._send(system, messages), system.note)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def _send(self, system: LocalSystem, messages: Sequence[traffic.Message]) -> None:
        for start in range(0, len(messages), 10):
            while True:
                try:
                    self.sent += stream.send(
                        system.clients["sqs"], system.resources.queue_url, messages[start : start + 10]
                    )
                    break
                except (*_DOWN, RunError):
                    time.sleep(0.2)


def _wait(
    system: LocalSystem, sender: _Sender, approver: _Approver, chaos: Chaos, *, seconds_max: int, console: Console
) -> None:
    """Until everything has ended; what is left when the time is up, the audit says.

    Faults strike until the queue is empty. Then time passes for every function at once, as reconcile takes up what
    nobody has touched for a quarter of an hour.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    deadline = time.monotonic() + seconds_max
    later, passes_at = 0, float("inf")
    with Progress(*columns, console=console, transient=True) as progress:
        settling = progress.add_task("messages settled", total=sender.total)
        striking = progress.add_task("faults from outside", total=None)
        while time.monotonic() < deadline:
            system.check()
            if chaos.errors:
                raise RunError(f"what strikes from outside broke: {chaos.errors[0]}")
            left = sender.total
            waits = True
            with suppress(*_DOWN):
                approver.decide()
                left = _left(system)
                chaos.progress = max(0, len(sender.sent) - left) / sender.total
                waits = not sender.done or left > 0 or _open(system) > 0
            progress.update(settling, completed=round(chaos.progress * sender.total))
            progress.update(striking, completed=chaos.struck.total())
            if not waits and not (system.mapping and system.mapping.in_flight):
                break
            if left == 0 and sender.done and later == 0:
                chaos.stop()
                passes_at = min(passes_at, time.monotonic() + APPROVAL_SECONDS + _GRACE_SECONDS)
            if time.monotonic() > passes_at:
                later += _PASSES_SECONDS
                shift(system.directory / "clocks" / LATER, later * 10**9)
                passes_at = time.monotonic() + _SETTLES_SECONDS
            time.sleep(1.0)
        chaos.stop()


def _left(system: LocalSystem) -> int:
    attributes = system.clients["sqs"].get_queue_attributes(
        QueueUrl=system.resources.queue_url, AttributeNames=list(QUEUE_COUNTS)
    )["Attributes"]
    return sum(int(attributes[name]) for name in QUEUE_COUNTS)


def _open(system: LocalSystem) -> int:
    """How many payments have not ended; a parked one waits for an operator."""
    pages = (
        system.clients["dynamodb"]
        .get_paginator("scan")
        .paginate(
            TableName=system.names.table,
            Select="COUNT",
            FilterExpression="#status IN (:pending, :processing)",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":pending": {"S": "pending_approval"}, ":processing": {"S": "processing"}},
        )
    )
    return sum(int(page["Count"]) for page in pages)


def _row(campaign: Campaign, evidence: Evidence, chaos: Chaos, problems: dict[str, list[str]]) -> dict[str, Any]:
    final: dict[str, int] = {}
    for item in evidence.payments.values():
        final[item["status"]] = final.get(item["status"], 0) + 1
    return {
        "seed": campaign.seed,
        "payments": campaign.payments,
        "messages": len(evidence.sent),
        "groups": campaign.groups,
        "faults_from_outside": chaos.struck.total(),
        "faults_by_kind": dict(sorted(chaos.struck.items())),
        "planned_faults": dict(sorted(evidence.struck.items())),
        "deliveries_returned_or_lost": sum(len(each.failed) for each in evidence.deliveries or []),
        "final": dict(sorted(final.items())),
        "charges": len(evidence.captures),
        "audit": {name: not sentences for name, sentences in problems.items()},
    }
