"""`python -m tests.faults campaign | overload | curve | memory`: the running local system under fire, and audited.

One rule: the exit code is the audits' and the bars'. 0 means that every check passed, 1 that one failed, with its
evidence, or that it could not be finished, which it says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from local.gateway.process import GatewayError
from local.installation import InstallationError
from local.ministack import ServicesError
from local.options import package, positive
from local.report import tell_audit
from local.stream import RunError
from tests.faults import campaign, memory, overload, record

# Groups of the curve, as many messages each.
CURVE_GROUPS, CURVE_MESSAGES = (1, 10, 100, 1000, 2000), 2000


def main(arguments: list[str]) -> int:
    """Play what was named; 0 if every check passed."""
    options = _options(arguments)
    console = Console(soft_wrap=True)
    played = {"campaign": _campaign, "overload": _overload, "curve": _curve, "memory": _memory}
    try:
        failed = played[options.what](options, console)
    except (RunError, GatewayError, ServicesError, InstallationError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    console.print(f"{options.what}: {'FAILED: ' + ', '.join(failed) if failed else 'passed'}", highlight=False)
    if options.record:
        for bar in record.bars(record.read()):
            console.print(str(bar), highlight=False)
    return 1 if failed else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("what", choices=("campaign", "overload", "curve", "memory"))
    parser.add_argument("--seeds", type=_seeds, default=[1], metavar="1,2,3", help="a campaign each (1)")
    parser.add_argument("--payments", type=positive, default=2000, help="of a campaign (%(default)s)")
    parser.add_argument("--faults", type=positive, default=300, help="from outside at most (%(default)s)")
    parser.add_argument("--mean-seconds", type=float, default=1.0, help="between two of them, on average (%(default)s)")
    parser.add_argument("--messages", type=positive, default=10_000, help="of an overload (%(default)s)")
    parser.add_argument("--groups", type=positive, help="message groups (campaign 100, overload 1000)")
    parser.add_argument("--concurrency", type=positive, default=4, help="execution environments at most (%(default)s)")
    parser.add_argument(
        "--seconds-max", type=positive, default=1800, help="then the audit says what is left (%(default)s)"
    )
    parser.add_argument("--record", action="store_true", help="keep the rows in tests/faults/record.json")
    parser.add_argument("--package", type=package, help="an unpacked deployment package (built when not given)")
    return parser.parse_args(arguments)


def _seeds(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _campaign(options: argparse.Namespace, console: Console) -> list[str]:
    """The seeds whose audit failed."""
    failed = []
    for seed in options.seeds:
        played = campaign.Campaign(
            payments=options.payments,
            groups=options.groups or 100,
            concurrency=options.concurrency,
            seed=seed,
            faults=options.faults,
            mean_seconds=options.mean_seconds,
            seconds_max=options.seconds_max,
        )
        console.print(
            f"seed {seed}: {played.payments} payments in {played.groups} groups, up to {played.faults} faults from "
            f"outside, one in {played.mean_seconds:g} s, beside the planned ones. The gateway is simulated.",
            highlight=False,
        )
        commit = record.commit()
        result = campaign.run(played, console, options.package)
        for name in ("faults_by_kind", "restarts", "services_ended_with", "final"):
            told = ", ".join(f"{kind} {count}" for kind, count in result.row[name].items())
            console.print(f"{name.replace('_', ' ')}: {told}", highlight=False)
        tell_audit(console, result.problems, result.directory)
        if any(result.problems.values()):
            failed.append(f"seed {seed}")
        if options.record:
            record.keep(campaigns=[result.row | {"commit": commit}])
    return failed


def _overload(options: argparse.Namespace, console: Console) -> list[str]:
    groups = options.groups or 1000
    # Few groups have no head to spare.
    played = overload.Overload(
        options.messages,
        groups,
        options.concurrency,
        options.seeds[0],
        hot_share=0.5,
        poison_share=0.3,
        parked_heads=min(overload.PARKED_HEADS, groups // 10),
    )
    console.print(
        f"{played.messages} messages at once in {groups} groups: half of them in one, three in ten can never succeed, "
        f"{played.parked_heads} payments park. The gateway is simulated.",
        highlight=False,
    )
    result = overload.run(played, console, options.seconds_max, options.package)
    _tell(console, "Overload", [result.row])
    tell_audit(console, result.problems, result.directory)
    if options.record:
        record.keep(overload=result.row | {"commit": record.commit()})
    return [name for name, sentences in result.problems.items() if sentences]


def _curve(options: argparse.Namespace, console: Console) -> list[str]:
    """The checks that failed, of each number of groups."""
    rows, failed = [], []
    for groups in (options.groups,) if options.groups else CURVE_GROUPS:
        played = overload.Overload(min(options.messages, CURVE_MESSAGES), groups, options.concurrency, options.seeds[0])
        result = overload.run(played, console, options.seconds_max, options.package)
        rows.append(result.row | {"commit": record.commit()})
        failed += [f"{name} of {groups} groups" for name, sentences in result.problems.items() if sentences]
    _tell(console, "Throughput by groups", rows)
    if options.record:
        record.keep(curve=rows)
    return failed


def _tell(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("groups", "messages a second", "a batch", "CPU ms a message", "share of each", "peak MB"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            str(row["groups"]),
            f"{row['messages_per_second']}",
            f"{row['messages_a_batch']}",
            f"{sum(row['cpu_ms_a_message'].values()):.1f}",
            _shares(row["cpu_share"]),
            f"environment {row['environment_peak_mb']}, emulator {row['services_peak_mb']}",
        )
    console.print(table)


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {share:.0%}" for part, share in shares.items())


def _memory(options: argparse.Namespace, console: Console) -> list[str]:
    rows = memory.measure(options.package)
    table = Table(title=f"Batches in an environment of {memory.MEMORY_MB} MB", title_justify="left")
    for name in ("batch", "MB", "ended", "returned", "CPU ms", "s at 128 MB", "peak MB", "limited by"):
        table.add_column(name)
    for row in rows:
        ended = "killed" if row["killed"] else "answered"
        values = ("event_mb", "returned", "cpu_ms", "seconds_at_128_mb", "peak_mb", "limited_by")
        shown = [str(row[name]) for name in values]
        table.add_row(row["batch"], shown[0], ended, *shown[1:])
    console.print(table)
    if options.record:
        record.keep(memory=[row | {"commit": record.commit()} for row in rows])
    return [bar.name for bar in record.bars({"campaigns": [], "overload": {}, "memory": rows}) if not bar.ok]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
