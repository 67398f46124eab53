"""`python -m local run`: a stream of payments through the whole system, with faults, and an audit of what became of it.

One rule: the exit code is the audit's. 0 means that every check passed, 1 that one failed (with its evidence) or that
the run could not be finished, which it says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from local import afterwards, stream, traffic
from local.approvals.workflow import PATIENCE_SECONDS, Approvals
from local.audit import audit
from local.evidence import Delivery, collect, logs_of
from local.faults import (
    CALLS_PER_SECOND,
    FAULTS,
    GATEWAY_FAULTS,
    GATEWAY_RATES,
    POISON,
    POISON_TRIES,
    REFUND_FAULT,
    START_LOST,
    THROTTLE_RATE,
    TableFaults,
    plan,
)
from local.gateway import process
from local.gateway.fault_plan import FaultPlan
from local.gateway.process import GatewayError
from local.installation import InstallationError
from local.late_outcomes import LateOutcomes
from local.ministack import ServicesError
from local.options import output, package, positive
from local.report import Result, figures, invocations, report, shown
from local.resources import Times
from local.run_folder import new_directory
from local.stream import RunError
from local.system import PROVISIONS, SUPPORTS, LocalSystem

# The protocol's times by 15: a killed invocation's messages come back after 12 s instead of 3 minutes.
SCALE = 15
TIMES = Times(
    function_timeout_seconds=30 // SCALE,
    visibility_timeout_seconds=180 // SCALE,
    gateway_deadline_seconds=round(5 / SCALE, 3),
    safety_margin_seconds=round(5 / SCALE, 3),
    retry_delay_seconds=round(5 / SCALE, 3),
    park_after_seconds=6 * 3600 // SCALE,
)
# Long enough to decide on every risky payment of a run, short enough to wait for the ones that nobody decides on.
APPROVAL_SECONDS = 20
APPROVER = "alice"
# Oftener than ten minutes by 15 would be: how soon after its patience reconcile acts is all that this changes.
RECONCILE_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Run the stream; 0 if the audit passed, 1 if not or if the run could not be finished."""
    options = _options(arguments)
    console = Console(soft_wrap=True)
    try:
        result = run(options, console)
    except (RunError, GatewayError, ServicesError, InstallationError) as error:
        print(f"local run: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(result.figures, indent=2) + "\n")
    report(console, result)
    return 1 if any(result.problems.values()) else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local run", description=__doc__)
    parser.add_argument("--payments", type=positive, default=200, help="payments, 1 or more (%(default)s)")
    parser.add_argument("--groups", type=positive, default=20, help="message groups, 1 or more (%(default)s)")
    parser.add_argument("--concurrency", type=positive, default=4, help="execution environments at most (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="decides stream and faults (%(default)s)")
    parser.add_argument("--json", type=output, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--faults", type=_faults, default="on", metavar="on|off|NAMES", help="all, none, or some, comma between (on)"
    )
    parser.add_argument("--mapping", choices=("local", "ministack"), default="local", help="who polls the queue")
    parser.add_argument("--provision", choices=PROVISIONS, default="local", help="who makes queues, table and function")
    parser.add_argument(
        "--seconds-max", type=positive, default=300, help="then the audit says what is left (%(default)s)"
    )
    parser.add_argument("--support", choices=SUPPORTS, default="lean", help="what the function stands on (%(default)s)")
    parser.add_argument("--package", type=package, help="an unpacked deployment package (built when not given)")
    return parser.parse_args(arguments)


def _faults(text: str) -> str:
    unknown = sorted(set(text.split(",")) - set(FAULTS)) if text not in ("on", "off") else []
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(FAULTS)}")
    return text


def run(options: argparse.Namespace, console: Console) -> Result:
    """Send, wait, audit. Raises RunError, ServicesError, InstallationError."""
    messages = traffic.make(options.payments, options.groups, options.seed)
    planned = _plan(messages, options)
    messages = [
        replace(message, ends=traffic.PARKED) if message.payment_id == planned.get(POISON) else message
        for message in messages
    ]
    rates = GATEWAY_RATES if options.faults == "on" else {"charge.decline": GATEWAY_RATES["charge.decline"]}
    # A webhook is here where Terraform has not said what there is.
    after = afterwards.make(messages, planned, FaultPlan(options.seed, rates), has_events=options.provision == "local")
    if after.unanswered and (options.faults == "on" or REFUND_FAULT in options.faults.split(",")):
        planned[REFUND_FAULT] = after.unanswered
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
        gateway, gateway_url = stack.enter_context(
            process.running(
                database,
                seed=options.seed,
                rates=rates,
                planned={
                    fault: payment_id
                    for fault, payment_id in planned.items()
                    if fault in (*GATEWAY_FAULTS, REFUND_FAULT)
                },
                # Three deadlines: the effect comes when nobody waits for it any more.
                delay_seconds=3 * TIMES.gateway_deadline_seconds,
                calls_per_second=CALLS_PER_SECOND,
            )
        )
        variables = {name: os.environ[name] for name in ("SCORING_ENGINE", "SUPPORT") if name in os.environ}
        approvals = Approvals(
            timeout_seconds=APPROVAL_SECONDS,
            approvers=(APPROVER,),
            reconcile_seconds=RECONCILE_SECONDS,
            patience_seconds=PATIENCE_SECONDS / SCALE,
            loses_start_of=planned.get(START_LOST, ""),
        )
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
                support=options.support,
                directory=directory,
            )
        )
        faults.upstream = urlsplit(system.endpoint_url).netloc
        systems.append(system)
        stack.enter_context(approvals.running(system))
        _introduce(console, options, len(messages) + after.messages, planned, directory)
        started = time.monotonic()
        with stream.services_watched(system):
            sent = stream.send(system.clients["sqs"], system.resources.queue_url, messages)
            late = LateOutcomes(after.steps, system, approvals, gateway_url, sent)
            stream.wait(
                system,
                gateway,
                sent,
                stream.Approver(approvals, messages),
                late,
                console=console,
                seconds_max=options.seconds_max,
            )
        system.outcome_events.stop()
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
            logs=logs_of(system.directory, system.clients["logs"]),
            late_writes=faults.late_writes,
            planned={fault: POISON_TRIES if fault == POISON else 1 for fault in planned},
            struck=faults.struck | {START_LOST: approvals.starts_lost} if approvals.starts_lost else faults.struck,
            events=system.outcome_events.file,
            lost_starts=[planned[START_LOST]] if START_LOST in planned else [],
            gateway_events=late.told,
        )
        found = figures(evidence, system, time.monotonic() - started)
    problems = audit(evidence)
    problems["the_system_itself_had_no_errors"] = system.problems
    found["audit"] = {name: not sentences for name, sentences in problems.items()}
    return Result(found, problems, evidence, invocations(evidence, system)[1], directory)


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


def _deliveries(system: LocalSystem, options: argparse.Namespace) -> list[Delivery] | None:
    if options.mapping != "local":
        return None
    return [Delivery(batch.message_ids, batch.failed, batch.outcome.error_type) for batch in system.batches]


def _introduce(
    console: Console,
    options: argparse.Namespace,
    messages: int,
    planned: dict[str, str],
    directory: Path,
) -> None:
    console.print(
        f"{options.payments} payments, {messages} messages in {options.groups} groups, seed {options.seed}, "
        f"at most {options.concurrency} execution environments; everything is kept in {shown(directory)}",
        highlight=False,
    )
    console.print("The gateway is simulated: no money moves.", highlight=False)
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
