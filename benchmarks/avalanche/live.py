"""`make avalanche`: the published avalanche, really, through the local system, and the audit of what became of it.

The rule: the exit code is the audit's. 0 means that every check passed; 1 that one failed or the run could not be
finished, which it says; 2 that the parameters are impossible.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.avalanche import against, published, view
from benchmarks.avalanche.parameters import ImpossibleParametersError, Traffic
from benchmarks.avalanche.play import one_round
from benchmarks.avalanche.seen import Round, figures, impact
from benchmarks.avalanche.traffic import check_memory
from benchmarks.coldstart.report import terminal
from benchmarks.measure import Bar, available_mb, new_record, write_record
from local import stream
from local.audit import audit
from local.evidence import Delivery, Sent, collect, logs_of
from local.gateway import process
from local.gateway.process import GatewayError
from local.installation import InstallationError
from local.ministack import ServicesError
from local.options import package
from local.report import shown, tell_audit
from local.run_folder import new_directory
from local.stream import RunError
from local.system import SUPPORTS, LocalSystem
from scoring.kernel import CHOICES

# A compressed ramp: long enough to see environments come one by one.
RAMP_SECONDS = 15.0
CONCURRENCY = 10
# What an environment of the real function takes here at the most (`make benchmark-local`).
ENVIRONMENT_MB = 100
CLEAN_MESSAGES = 1_000


@dataclass(frozen=True)
class Played:
    """All rounds, each with its number of groups; the sentences against each check; where logs and ledger lie."""

    rounds: list[tuple[int, Round]]
    problems: dict[str, list[str]]
    directory: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, audit, compare; the audit's exit code."""
    options = _options(arguments)
    console = terminal()
    try:
        check(options)
        check_memory(options.messages * options.rounds * len(options.groups), available_mb())
        check_environments(options.concurrency, available_mb())
    except ImpossibleParametersError as error:
        print(f"avalanche: {error}", file=sys.stderr)
        return 2
    console.print(
        f"{options.messages} messages along {options.ramp_seconds:g} s, at most {options.concurrency} environments; an "
        f"init sleeps {options.stress_delay_seconds:g} s and hashes {options.stress_operations:,} times. The gateway "
        "is simulated: no money moves.",
        highlight=False,
    )
    try:
        played = play(options, console)
    except (RunError, GatewayError, ServicesError, InstallationError) as error:
        print(f"avalanche: {error}", file=sys.stderr)
        return 1
    _report(options, console, played)
    return 1 if any(played.problems.values()) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make avalanche", description=__doc__)
    add = parser.add_argument
    add("--messages", type=int, default=published.MESSAGES, help="payments a round (%(default)s)")
    add(
        "--groups",
        type=_groups,
        default=[published.GROUPS],
        metavar="N[,N]",
        help="message groups, a round for each: 10 as published, 10,1000 compares (10)",
    )
    add("--concurrency", type=int, default=CONCURRENCY, help="execution environments at most (%(default)s)")
    add(
        "--ramp-seconds",
        type=published.seconds,
        default=RAMP_SECONDS,
        help="published: 300 to 600; 0: all at once (%(default)s)",
    )
    add("--engine", choices=CHOICES, default="auto", help="what scores and hashes (%(default)s)")
    add("--stress-operations", type=int, default=10_000_000, help="SHA-256 operations in each init (%(default)s)")
    add("--stress-delay-seconds", type=float, default=3.0, help="the delay in each init (%(default)s)")
    add("--support", choices=SUPPORTS, default="lean", help="what the function stands on (%(default)s)")
    add("--rounds", type=int, default=1, help="how often each is played, to see its noise (%(default)s)")
    add("--seed", type=int, default=1, help="decides the amounts (%(default)s)")
    add(
        "--seconds-max",
        type=published.seconds,
        default=600.0,
        help="after its ramp; then the audit says what is left (%(default)s)",
    )
    add("--package", type=package, help="an unpacked deployment package (built when not given)")
    add("--record", action="store_true", help="keep the record in benchmarks/record, too")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: 1 or more")
    return options


def _groups(text: str) -> list[int]:
    try:
        # A number said twice would send its payments twice.
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of groups, nor several with commas between") from error


def check(options: argparse.Namespace) -> None:
    """Raises ImpossibleParametersError for what the simulator refuses, or the function's init would."""
    for name, most in (("stress_operations", 10**10), ("stress_delay_seconds", 999_999)):
        if not 0 <= getattr(options, name) <= most:
            raise ImpossibleParametersError(f"{name} is {getattr(options, name)}: the function takes 0 to {most:,}")
    for groups in options.groups:
        traffic = Traffic(options.messages, groups, ramp_seconds=options.ramp_seconds)
        against.local_parameters(traffic, options.concurrency, against.UNMEASURED)


def check_environments(environments: int, available: int | None) -> None:
    """Raises ImpossibleParametersError where this machine cannot hold so many environments."""
    if available is not None and environments * ENVIRONMENT_MB > available:
        raise ImpossibleParametersError(
            f"{environments} execution environments of {ENVIRONMENT_MB} MB: this machine has {available} MB free, "
            f"which hold {available // ENVIRONMENT_MB}"
        )


def play(options: argparse.Namespace, console: Console) -> Played:
    """All rounds, and the audit over all of them. Raises RunError, GatewayError, ServicesError, InstallationError."""
    directory = new_directory()
    database = directory / "gateway.sqlite"
    rounds: list[tuple[int, Round]] = []
    sent: list[Sent] = []
    with ExitStack() as stack:
        gateway, gateway_url = stack.enter_context(process.running(database, seed=options.seed, rates={}, planned={}))
        variables = {
            "STRESS_MODE": "cold_start",
            "STRESS_OPERATIONS": str(options.stress_operations),
            "STRESS_DELAY_SECONDS": f"{options.stress_delay_seconds:g}",
            "SCORING_ENGINE": options.engine,
        }
        system = stack.enter_context(
            LocalSystem(
                package=options.package,
                concurrency=options.concurrency,
                gateway_url=gateway_url,
                variables=variables,
                support=options.support,
                directory=directory,
            )
        )
        with stream.services_watched(system):
            for groups, number in product(options.groups, range(1, options.rounds + 1)):
                title = f"{options.messages} messages, {groups} groups, round {number} of {options.rounds}"
                with view.View(console, title) as shown:
                    seen, round_sent = one_round(
                        system,
                        gateway,
                        published.messages(options.messages, groups, f"g{groups}-r{number}", options.seed),
                        published.due_seconds(options.messages, options.ramp_seconds),
                        shown.show,
                        seconds_max=options.ramp_seconds + options.seconds_max,
                    )
                rounds.append((groups, seen))
                sent += round_sent
        evidence = collect(
            system.clients,
            environment=system.names.environment,
            sent=sent,
            table=system.names.table,
            queue_url=system.resources.queue_url,
            rejected_queue_url=system.resources.rejected_queue_url,
            dead_letter_queue_url=system.resources.dead_letter_queue_url,
            deliveries=[Delivery(each.message_ids, each.failed, each.outcome.error_type) for each in system.batches],
            gateway_database=database,
            logs=logs_of(directory, system.clients["logs"]),
            late_writes=(),
            planned={},
            struck={},
        )
    problems = {
        "every_message_was_sent": unsent(options.messages * len(rounds), len(sent)),
        **audit(evidence),
        "the_system_itself_had_no_errors": system.problems,
    }
    return Played(rounds, problems, directory)


def unsent(messages: int, sent: int) -> list[str]:
    """What is to be said where the time was up before all were sent: nothing else counts these."""
    return [f"{messages - sent} of {messages} messages were not sent before the time was up"] if sent < messages else []


def _report(options: argparse.Namespace, console: Console, played: Played) -> None:
    impacts = {
        str(groups): impact(
            next(seen for of, seen in reversed(played.rounds) if of == groups),
            groups=groups,
            environments_max=options.concurrency,
            ramp_seconds=options.ramp_seconds,
        )
        for groups in options.groups
    }
    tell_audit(console, played.problems, played.directory)
    for name, rows in impacts.items():
        console.print(view.impact_table(rows, name))
    console.print(view.figures_table([(f"{groups} groups", figures(seen)) for groups, seen in played.rounds]))
    comparisons = compare(options, played)
    for groups, comparison in comparisons.items():
        different = [one.what for one in comparison.exact if not one.same]
        print(
            f"beside the simulator, {groups} groups, given this run's inits and invocations: "
            f"{'differs in ' + ', '.join(different) if different else 'the same counts and order'}"
        )
        for row in comparison.times:
            print(row)
    bars = bars_of(options.messages, played)
    for bar in bars:
        print(bar)
    document = record(options, played, bars) | {
        # By groups: what was published, what their last round showed, and why they differ.
        "expected_impact": impacts,
        "simulated": {str(groups): comparison.as_document() for groups, comparison in comparisons.items()},
    }
    path = played.directory / "avalanche.json"
    write_record(path, document)
    if options.record:
        write_record(path := new_record("avalanche-live.json"), document)
    console.print(f"record: {shown(path)}", highlight=False)


def compare(options: argparse.Namespace, played: Played) -> dict[int, against.Comparison]:
    """By groups, where all of their rounds sent and settled everything: the simulator is given no other end."""
    found = {}
    for groups in options.groups:
        rounds = [seen for of, seen in played.rounds if of == groups]
        settled = [sum(payment.settled is not None for payment in seen.payments) for seen in rounds]
        if set(settled) == {options.messages}:
            found[groups] = against.compare(rounds, groups=groups, concurrency=options.concurrency)
    return found


def bars_of(messages: int, played: Played) -> list[Bar]:
    """How many messages of each round ended clean, 0 where a check failed; no bar for a run that is smaller than it."""
    if messages < CLEAN_MESSAGES:
        return []
    clean = min(sum(each.settled is not None for each in seen.payments) for _, seen in played.rounds)
    return [Bar("avalanche_live_audit", 0 if any(played.problems.values()) else clean, CLEAN_MESSAGES, at_least=True)]


def record(options: argparse.Namespace, played: Played, bars: Sequence[Bar]) -> dict[str, Any]:
    """What simulator and report read: settings, each round with its messages, invocations and moments, the audit."""
    names = (
        "messages",
        "concurrency",
        "ramp_seconds",
        "engine",
        "stress_operations",
        "stress_delay_seconds",
        "support",
    )
    return {
        "target": "local",
        "settings": {name: getattr(options, name) for name in names},
        "rounds": [{"groups": groups, **seen.as_document()} for groups, seen in played.rounds],
        "audit": played.problems,
        "bars": [bar.as_document() for bar in bars],
    }
