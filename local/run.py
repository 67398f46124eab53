"""`python -m local run`: a stream of payments through the whole system, with faults, and an audit of what became of it.

One rule: the exit code is the audit's. 0 means that every check passed, 1 that one failed (with its evidence) or that
the run could not be finished, which it says.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local import traffic
from local.approvals import Approvals, Link
from local.audit import audit
from local.evidence import QUEUE_COUNTS, Delivery, Evidence, Sent, collect
from local.faults import GATEWAY_FAULTS, GATEWAY_RATES, TABLE_FAULTS, THROTTLE_RATE, TableFaults, plan
from local.installation import ROOT, InstallationError
from local.ministack import ServicesError
from local.process_group import ProcessGroup
from local.resources import Times
from local.system import PROVISIONS, LocalSystem, new_directory

# The protocol's 30, 180, 5, 5 and 5 s by 15: a killed invocation's messages come back after 12 s instead of 3 minutes.
SCALE = 15
TIMES = Times(
    function_timeout_seconds=30 // SCALE,
    visibility_timeout_seconds=180 // SCALE,
    gateway_deadline_seconds=round(5 / SCALE, 3),
    safety_margin_seconds=round(5 / SCALE, 3),
    retry_delay_seconds=round(5 / SCALE, 3),
)
# Long enough to decide on every risky payment of a run, short enough to wait for the ones that nobody decides on.
APPROVAL_SECONDS = 20
APPROVER = "alice"
_EVIDENCE_LINES_MAX = 5


class RunError(RuntimeError):
    """The run cannot go on; the message says what happened, to what, and what to do."""


@dataclass(frozen=True)
class Result:
    """A finished run: the JSON's figures, the sentences against each check, and what the report shows besides."""

    figures: dict[str, Any]
    problems: dict[str, list[str]]
    evidence: Evidence
    warm_invocations: int
    directory: Path


def main(arguments: list[str]) -> int:
    """Run the stream; 0 if the audit passed, 1 if not or if the run could not be finished."""
    options = _options(arguments)
    console = Console(soft_wrap=True)
    try:
        result = run(options, console)
    except (RunError, ServicesError, InstallationError) as error:
        print(f"local run: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(result.figures, indent=2) + "\n")
    _report(console, result)
    return 1 if any(result.problems.values()) else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local run", description=__doc__)
    parser.add_argument("--payments", type=_positive, default=200, help="payments, 1 or more (%(default)s)")
    parser.add_argument("--groups", type=_positive, default=20, help="message groups, 1 or more (%(default)s)")
    parser.add_argument("--concurrency", type=_positive, default=4, help="execution environments at most (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="decides stream and faults (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--faults", type=_faults, default="on", metavar="on|off|NAMES", help="all, none, or some, comma between (on)"
    )
    parser.add_argument("--mapping", choices=("local", "ministack"), default="local", help="who polls the queue")
    parser.add_argument("--provision", choices=PROVISIONS, default="local", help="who makes queues, table and function")
    parser.add_argument(
        "--seconds-max", type=_positive, default=300, help="then the audit says what is left (%(default)s)"
    )
    parser.add_argument("--package", type=Path, help="an unpacked deployment package (built when not given)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _faults(text: str) -> str:
    unknown = sorted(set(text.split(",")) - {*GATEWAY_FAULTS, *TABLE_FAULTS}) if text not in ("on", "off") else []
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown)}: not one of {', '.join((*GATEWAY_FAULTS, *TABLE_FAULTS))}"
        )
    return text


def run(options: argparse.Namespace, console: Console) -> Result:
    """Send, wait, audit. Raises RunError, ServicesError, InstallationError."""
    messages = traffic.make(options.payments, options.groups, options.seed)
    planned = _plan(messages, options)
    directory = new_directory()
    database = directory / "gateway.sqlite"
    systems: list[LocalSystem] = []
    faults = TableFaults(
        planned,
        options.seed,
        kill=lambda payment_id: systems[0].kill_environment(working_on=payment_id),
        throttle_rate=THROTTLE_RATE if options.faults == "on" else 0.0,
    )
    with ExitStack() as stack:
        stack.callback(faults.stop)
        gateway, gateway_url = stack.enter_context(_gateway(database, options, planned))
        variables = {"SCORING_ENGINE": os.environ["SCORING_ENGINE"]} if "SCORING_ENGINE" in os.environ else {}
        approvals = Approvals(timeout_seconds=APPROVAL_SECONDS, approvers=(APPROVER,), gateway_url=gateway_url)
        system = stack.enter_context(
            LocalSystem(
                package=options.package,
                concurrency=options.concurrency,
                times=TIMES,
                gateway_url=gateway_url,
                variables=variables | approvals.variables,
                endpoints={"AWS_ENDPOINT_URL_DYNAMODB": faults.url, **approvals.endpoints},
                mapping=options.mapping,
                provision=options.provision,
                directory=directory,
            )
        )
        faults.upstream = urlsplit(system.endpoint_url).netloc
        systems.append(system)
        stack.enter_context(approvals.running(system))
        _introduce(console, options, messages, planned, directory)
        started = time.monotonic()
        with _services_watched(system):
            sent = _send(system, messages)
            _wait(
                system,
                gateway,
                sent,
                _Approver(approvals, messages),
                console=console,
                seconds_max=options.seconds_max,
            )
        evidence = collect(
            system.clients,
            environment=system.names.environment,
            sent=sent,
            table=system.names.table,
            queue_url=system.resources.queue_url,
            rejected_queue_url=system.resources.rejected_queue_url,
            dead_letter_queue_url=system.resources.dead_letter_queue_url,
            deliveries=_deliveries(system, options),
            gateway_database=database,
            logs=_logs(system),
            late_writes=faults.late_writes,
            planned=Counter(dict.fromkeys(planned, 1)),
            struck=faults.struck,
        )
        figures = _figures(evidence, system, time.monotonic() - started)
    problems = audit(evidence)
    problems["the_system_itself_had_no_errors"] = system.problems
    figures["audit"] = {name: not sentences for name, sentences in problems.items()}
    return Result(figures, problems, evidence, _invocations(evidence, system)[1], directory)


def _plan(messages: Sequence[traffic.Message], options: argparse.Namespace) -> dict[str, str]:
    if options.faults == "off":
        return {}
    planned = plan(messages, options.seed)
    if options.faults != "on":
        planned = {fault: planned[fault] for fault in options.faults.split(",") if fault in planned}
    if options.mapping == "ministack":
        # Its workers are its own: nobody else can end one, or knows when it gave up.
        for fault in ("killed_before_record", "late_record"):
            planned.pop(fault, None)
    return planned


@contextmanager
def _gateway(
    database: Path, options: argparse.Namespace, planned: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The gateway simulator as its own process, in a process group of its own, with its faults ordered."""
    rates = GATEWAY_RATES if options.faults == "on" else {"charge.decline": GATEWAY_RATES["charge.decline"]}
    command = [sys.executable, "-m", "local.gateway", "--database", str(database), "--seed", str(options.seed)]
    command += [f"--rate={name}={rate}" for name, rate in rates.items()]
    with ProcessGroup() as processes:
        started = processes.start(command, stdout=subprocess.PIPE, cwd=ROOT)
        assert started.stdout is not None
        with closing(started.stdout), _ended(started):
            line = started.stdout.readline()
            if not line:
                raise RunError(f"the payment gateway ended with {started.wait()} before it was ready: see above")
            url = json.loads(line)["url"]
            for fault, payment_id in planned.items():
                if fault in GATEWAY_FAULTS:
                    call, _, kind = fault.partition(".")
                    # A delay of three deadlines: the effect comes when nobody waits for it any more.
                    seconds = 3 * TIMES.gateway_deadline_seconds
                    _post(f"{url}/_faults", {"payment_id": payment_id, "call": call, "fault": kind, "seconds": seconds})
            yield started, url


@contextmanager
def _ended(started: subprocess.Popen[bytes]) -> Iterator[None]:
    """Everything that matters is in the gateway's file; it needs no farewell."""
    try:
        yield
    finally:
        started.kill()
        started.wait()


def _post(url: str, document: dict[str, Any]) -> None:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=10)) as connection:
        connection.request("POST", parts.path, json.dumps(document))
        answer = connection.getresponse()
        if answer.status != 200:
            raise RunError(f"the payment gateway refused {document}: {answer.read().decode()}")


@contextmanager
def _services_watched(system: LocalSystem) -> Iterator[None]:
    """A call that failed because the services died says so, with what was lost, instead of what the call noticed."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        # The death of the process is noticed by a thread of its own, perhaps a moment after the connection's.
        for _ in range(20):
            system.check()
            time.sleep(0.1)
        raise RunError(f"the loopback AWS services refused a call: {error}") from error


def _send(system: LocalSystem, messages: Sequence[traffic.Message]) -> list[Sent]:
    """Send in order, ten at a time; what the queue drops it answers with the first message's id."""
    sent: list[Sent] = []
    for start in range(0, len(messages), 10):
        part = messages[start : start + 10]
        now_ms = time.time_ns() // 1_000_000
        answer = system.clients["sqs"].send_message_batch(
            QueueUrl=system.resources.queue_url, Entries=[_entry(message) for message in part]
        )
        if answer.get("Failed"):
            raise RunError(f"the queue refused messages: {answer['Failed']}")
        taken = {entry["Id"]: entry for entry in answer["Successful"]}
        for message in part:
            entry = taken[str(message.number)]
            sent.append(Sent(message, entry["MessageId"], entry["SequenceNumber"], now_ms))
    return sent


def _entry(message: traffic.Message) -> dict[str, str]:
    entry = {"Id": str(message.number), "MessageBody": message.body, "MessageGroupId": message.group}
    return entry | ({"MessageDeduplicationId": message.deduplication_id} if message.deduplication_id else {})


def _wait(
    system: LocalSystem,
    gateway: subprocess.Popen[bytes],
    sent: Sequence[Sent],
    approver: _Approver,
    *,
    console: Console,
    seconds_max: int,
) -> None:
    """Until nothing is left on the queue or with a person; what is left when the time is up, the audit says."""
    total = len({each.message_id for each in sent})
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("messages settled", total=total)
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            system.check()
            if gateway.poll() is not None:
                raise RunError(
                    f"the payment gateway (pid {gateway.pid}) died under way with {gateway.returncode}; what it "
                    f"captured stands in {system.directory / 'gateway.sqlite'}. Run it again."
                )
            left = _left(system)
            progress.update(task, completed=total - left)
            approver.decide()
            if left == 0 and not (system.mapping and system.mapping.in_flight) and not _waiting(system):
                return
            time.sleep(0.1)


class _Approver:
    """Who decides on the risky payments, by the links in the mail; some are left until they expire."""

    def __init__(self, approvals: Approvals, messages: Sequence[traffic.Message]) -> None:
        self._approvals = approvals
        self._decisions = {f"txn-{each.payment_id}": each.decision for each in messages if each.kind == "risky"}
        self._links: list[Link] = []

    def decide(self) -> None:
        """Decide on all that came; a decision that did not get through is sent again the next time."""
        self._links += [link for link in self._approvals.mail() if self._decisions.get(link.transaction_id)]
        self._links = [link for link in self._links if not self._sent(link)]

    def _sent(self, link: Link) -> bool:
        return self._approvals.decide(link, self._decisions[link.transaction_id], "decided by this run") < 500


def _waiting(system: LocalSystem) -> int:
    """How many payments are with the approval workflow."""
    answer = system.clients["dynamodb"].scan(
        TableName=system.names.table,
        Select="COUNT",
        FilterExpression="attribute_exists(approval_name) AND #status IN (:pending, :processing)",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":pending": {"S": "pending_approval"}, ":processing": {"S": "processing"}},
    )
    return int(answer["Count"])


def _left(system: LocalSystem) -> int:
    attributes = system.clients["sqs"].get_queue_attributes(
        QueueUrl=system.resources.queue_url, AttributeNames=list(QUEUE_COUNTS)
    )["Attributes"]
    return sum(int(attributes[name]) for name in QUEUE_COUNTS)


def _deliveries(system: LocalSystem, options: argparse.Namespace) -> list[Delivery] | None:
    if options.mapping != "local":
        return None
    return [Delivery(batch.message_ids, batch.failed, batch.outcome.error_type) for batch in system.batches]


def _logs(system: LocalSystem) -> dict[str, str]:
    """Every log of this run by name, ministack's own and its workers' included."""
    files = sorted(system.directory.rglob("*.log"))
    # Each function numbers its environments from 1.
    logs = {str(path.relative_to(system.directory)): path.read_text(errors="replace") for path in files}
    for group in system.clients["logs"].describe_log_groups().get("logGroups", []):
        pages = system.clients["logs"].get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        logs[group["logGroupName"]] = "\n".join(event["message"] for page in pages for event in page["events"])
    return logs


def _figures(evidence: Evidence, system: LocalSystem, seconds: float) -> dict[str, Any]:
    """What the JSON holds; latency from sending to the settled state, by the clock of this machine."""
    settled_ms = {item.get("message_id"): int(item["updated_at"]) for item in evidence.items}
    settled_ms |= {copy["original_message_id"]: copy["sent_ms"] for copy in evidence.rejected}
    latencies = sorted(
        settled_ms[sent.message_id] - sent.sent_ms for sent in evidence.accepted if sent.message_id in settled_ms
    )
    return {
        "sent": len(evidence.sent),
        "final": dict(sorted(Counter(item["status"] for item in evidence.payments.values()).items())),
        "rejected_queue": len({copy["original_message_id"] for copy in evidence.rejected}),
        "dead_lettered": len(evidence.dead_lettered),
        "duplicates": len(evidence.duplicates) + len(evidence.dropped),
        "conflicts": len(evidence.conflicts),
        "charges": len(evidence.captures),
        "cold_starts": _invocations(evidence, system)[0],
        "latency_ms": {"p50": _quantile(latencies, 0.50), "p95": _quantile(latencies, 0.95)},
        "payments_per_second": round(len(evidence.sent) / seconds, 1),
        "audit": {},
        "engine": _engine(evidence),
    }


def _invocations(evidence: Evidence, system: LocalSystem) -> tuple[int, int]:
    """Cold and warm ones; of somebody else's workers, as their own metrics tell it."""
    if evidence.deliveries is not None:
        cold = len([outcome for outcome in system.outcomes if outcome.cold_start])
        return cold, len(system.outcomes) - cold
    lines = evidence.logs.get(f"/aws/lambda/{system.names.function}", "").splitlines()
    starts = [json.loads(line)["ColdStart"] for line in lines if line.startswith("{") and '"ColdStart":[' in line]
    return starts.count([1.0]), starts.count([0.0])


def _quantile(values: Sequence[int], share: float) -> int | None:
    """Nearest rank."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _engine(evidence: Evidence) -> str:
    """The twin that the environments said they use."""
    for text in evidence.logs.values():
        for line in text.splitlines():
            if line.startswith("{") and '"ready"' in line:
                return str(json.loads(line).get("scoring", {}).get("engine", "unknown"))
    return "unknown"


def _introduce(
    console: Console,
    options: argparse.Namespace,
    messages: Sequence[traffic.Message],
    planned: dict[str, str],
    directory: Path,
) -> None:
    console.print(
        f"{options.payments} payments, {len(messages)} messages in {options.groups} groups, seed {options.seed}, "
        f"at most {options.concurrency} execution environments; everything is kept in {_shown(directory)}",
        highlight=False,
    )
    times = TIMES.variables()
    console.print(
        f"The protocol's times are divided by {SCALE} and keep their proportions: function time-out "
        f"{times['FUNCTION_TIMEOUT_SECONDS']} s, visibility {times['VISIBILITY_TIMEOUT_SECONDS']} s, gateway deadline "
        f"{times['GATEWAY_DEADLINE_SECONDS']} s, safety margin {times['SAFETY_MARGIN_SECONDS']} s.",
        highlight=False,
    )
    if planned:
        rates = ", more by seeded rate at the gateway and the table" if options.faults == "on" else ""
        console.print(
            f"Faults: {len(planned)} planned for one payment each{rates} (--faults off: none).", highlight=False
        )


def _shown(directory: Path) -> Path:
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory


def _report(console: Console, result: Result) -> None:
    figures, evidence = result.figures, result.evidence
    table = Table(title="What became of the messages", show_header=False, title_justify="left")
    rows = [("sent", figures["sent"])]
    rows += [(f"final: {status}", count) for status, count in figures["final"].items()]
    rows += [
        ("conflicts, kept as items of their own", figures["conflicts"]),
        ("rejected queue", figures["rejected_queue"]),
        ("dead-letter queue", figures["dead_lettered"]),
        ("duplicates dropped by the queue", len(evidence.dropped)),
        ("duplicates recognised by the function", len(evidence.duplicates)),
        ("charges at the gateway", figures["charges"]),
        ("invocations, cold", figures["cold_starts"]),
        ("invocations, warm", result.warm_invocations),
        ("deliveries returned or lost", sum(len(each.failed) for each in evidence.deliveries or [])),
        ("latency p50, ms", figures["latency_ms"]["p50"]),
        ("latency p95, ms", figures["latency_ms"]["p95"]),
        ("messages a second", figures["payments_per_second"]),
        ("scoring engine", figures["engine"]),
    ]
    for name, value in rows:
        table.add_row(name, str(value))
    console.print(table)
    if evidence.struck:
        struck = ", ".join(f"{fault} {times}" for fault, times in sorted(evidence.struck.items()))
        console.print(f"Faults that struck: {struck}", highlight=False)
    for name, sentences in result.problems.items():
        console.print(f"audit {'FAILED' if sentences else 'passed'}  {name}", highlight=False, markup=False)
        for sentence in sentences[:_EVIDENCE_LINES_MAX]:
            console.print(f"        {sentence}", highlight=False, markup=False)
        if len(sentences) > _EVIDENCE_LINES_MAX:
            console.print(f"        and {len(sentences) - _EVIDENCE_LINES_MAX} more", highlight=False)
    failed = sum(bool(sentences) for sentences in result.problems.values())
    if failed:
        console.print(
            f"{failed} of {len(result.problems)} checks failed; logs, gateway.sqlite and the rest are in "
            f"{_shown(result.directory)}",
            highlight=False,
        )
    else:
        console.print(f"all {len(result.problems)} checks passed", highlight=False)
