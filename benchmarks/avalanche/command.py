"""`make avalanche-simulation`: one avalanche, or all policies on it, or the simulator's own bars.

One rule: what is printed is also what `--json` and a record hold, and parameters that cannot be end with their rule.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.avalanche import scale
from benchmarks.avalanche.bars import bars, measure
from benchmarks.avalanche.comparisons import PeersMissingError
from benchmarks.avalanche.distributions import LogNormal
from benchmarks.avalanche.lab import invocations_of, newest_record, read_record
from benchmarks.avalanche.parameters import (
    Function,
    Gateway,
    ImpossibleParametersError,
    Parameters,
    Payments,
    Queue,
    Quotas,
    Table,
    Traffic,
)
from benchmarks.avalanche.policies import Outcome, Policy, again, compare, parameters, policies
from benchmarks.avalanche.recommendation import recommend
from benchmarks.avalanche.report import document, page
from benchmarks.avalanche.result import Result
from benchmarks.avalanche.traffic import check_memory, read_trace
from benchmarks.measure import RECORDS, available_mb, new_record, write_record
from local.options import output

_RAMP_SECONDS = 300.0
_CUSTOMERS = 10_000
_GROUPS = 1_000
# How often the policies are drawn between which it is decided, the first time included.
SEEDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Print it; 1 where a bar is missed, 2 for what cannot be."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.html and not options.policies:
        parser.error("--html is the page of --policies")
    if options.record and not (options.policies or options.bars or options.scale):
        parser.error("--record keeps what --policies, --bars or --scale find")
    if options.json and (options.bars or options.scale):
        parser.error("--json is of one avalanche, or of --policies; --record keeps what --bars or --scale find")
    if options.quick and not options.bars:
        parser.error("--quick is a shorter --bars")
    try:
        return _run(options)
    except (ImpossibleParametersError, PeersMissingError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    record = read_record(options.lab_record) if options.lab_record else newest_record()
    traffic, policy = _traffic(options), _policy(options)
    base = _base(options, record, policy)
    if options.scale:
        return _scale(record, options)
    if options.bars:
        return _bars(parameters(policy, traffic, record, base), options)
    found = policies(policy, snapstart_restore_ms=policy.snapstart_restore_ms) if options.policies else [policy]
    outcomes = []
    print(" ".join(["".ljust(_NAME), *(name.rjust(_width(form)) for name, form, _ in _COLUMNS)]))
    for outcome in compare(found, traffic, record, options.seed, base):
        outcomes.append(outcome)
        print(_row(outcome), flush=True)
    if options.json:
        whole = {"seed": options.seed, "outcomes": [outcome.as_document() for outcome in outcomes]}
        options.json.write_text(json.dumps(whole, sort_keys=True) + "\n")
    played = [outcome.policy for outcome in outcomes if outcome.result]
    if options.policies and played:
        # What was asked for may be refused where another policy is not.
        of = document(parameters(played[0], traffic, record, base), outcomes, options.seed)
        decides = {*recommend(of).front, policy.name}
        drawn = range(options.seed + 1, options.seed + SEEDS)
        of["again"] = again([one for one in played if one.name in decides], traffic, record, drawn, base)
        _tell(of, options)
    return 0 if played else 2


def _tell(of: dict[str, Any], options: argparse.Namespace) -> None:
    """The recommendation with what it stands on, and the page where one is asked for; a record has its page beside."""
    found = recommend(of)
    print(found.answer)
    for line in ([f"To set: {found.how}."] if found.how else []) + of["story"]:
        print(line)
    if options.html:
        options.html.write_text(page(of))
    if options.record:
        path = new_record("avalanche.json")
        write_record(path, of)
        path.with_suffix(".html").write_text(page(of))
        print(f"recorded in benchmarks/record/{path.relative_to(RECORDS)}, for people beside it in {path.stem}.html")


def _bars(story: Parameters, options: argparse.Namespace) -> int:
    found = measure(story, options.seed, quick=options.quick, say=lambda line: print(line, flush=True))
    rows = bars(found)
    for row in rows:
        print(row)
    if options.record:
        path = new_record("avalanche_simulation.json")
        lab = story.function.invocations.label
        write_record(path, {**found, "seed": options.seed, "lab": lab, "bars": [row.as_document() for row in rows]})
        print(f"recorded in benchmarks/record/{path.relative_to(RECORDS)}")
    return int(not all(row.ok for row in rows))


def _scale(lab: dict[str, Any], options: argparse.Namespace) -> int:
    rows = []
    for row in scale.measure(lab, options.seed, scale.STEPS):
        rows.append(row)
        print(scale.table([row]).splitlines()[-1], flush=True)
    if options.record:
        path = new_record(scale.RECORD)
        write_record(path, {"seed": options.seed, "lab": lab["at"], "rows": rows})
        print(f"recorded in benchmarks/record/{path.relative_to(RECORDS)}; docs/scale.md has its table")
    return 0


_COLUMNS: tuple[tuple[str, str, Callable[[Result], Any]], ...] = (
    ("done s", "9.1f", lambda one: one.completion_seconds),
    ("p50 ms", "9.0f", lambda one: one.latency_p50_ms),
    ("p99 ms", "9.0f", lambda one: one.latency_p99_ms),
    ("oldest s", "8.1f", lambda one: one.oldest_message_seconds),
    ("cold %", "6.2f", lambda one: 100 * one.cold_share),
    ("at once", "7d", lambda one: one.concurrency_max),
    ("throttles", "9d", lambda one: one.throttles),
    ("table thr.", "10d", lambda one: one.table_throttles),
    ("parked", "6d", lambda one: one.parked),
    ("dead", "6d", lambda one: one.dead_lettered),
    ("unsettled", "9d", lambda one: one.unsettled),
    ("USD", "9.4f", lambda one: one.dollars["total"]),
)
_NAME = 24


def _row(outcome: Outcome) -> str:
    result = outcome.result
    name = outcome.policy.name.ljust(_NAME)
    if result is None:
        return f"{name} refused: {outcome.refusal}"
    return " ".join([name, *(_cell(value(result), form) for _, form, value in _COLUMNS)])


def _cell(value: Any, form: str) -> str:
    """A dash for what there is none of, as the latency where no payment was settled."""
    return format("-", f">{_width(form)}") if value is None else format(value, form)


def _width(form: str) -> int:
    return int(form.partition(".")[0].rstrip("d"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The cold-start avalanche, simulated.")
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--policies", action="store_true", help="the base and every other policy on the same traffic")
    what.add_argument("--bars", action="store_true", help="the simulator's own time, memory and correctness")
    what.add_argument("--scale", action="store_true", help="the figures of docs/scale.md, of their own traffic")
    add("--quick", action="store_true", help="with --bars: up to 100,000 customers")
    add("--record", action="store_true", help="with --bars, --scale or --policies: keep a record")
    add("--json", type=output, help="write every outcome there")
    add("--html", type=output, help="with --policies: write the page there")
    add("--seed", type=int, default=1, help="of everything drawn (%(default)s)")
    add("--lab-record", type=Path, help="a coldstart.json; the newest by default")
    add("--customers", type=int, help=f"messages ({_CUSTOMERS:,}, or as many as the trace has)")
    add("--groups", type=int, help=f"message groups ({_GROUPS:,}, or as many as customers)")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--ramp-seconds", type=float, help=f"until the rate is at its greatest ({_RAMP_SECONDS:.0f})")
    shape.add_argument("--burst-seconds", type=float, help="an even rate for as long; 0: all at once")
    shape.add_argument("--trace", type=Path, help="a file of moments in seconds, one a line, ascending")
    add("--engine", default="compiled", help="pure or compiled (%(default)s)")
    add("--support", default="", help="lean or standard (the lab record's own)")
    add("--memory-size", type=int, default=512, help="MB (%(default)s)")
    add("--stress-mode", default="cold_start", help="none or cold_start (%(default)s)")
    add("--batch-size", type=int, default=10, help="messages an invocation (%(default)s)")
    add("--group-concurrency", type=int, default=10, help="groups of a batch at once (%(default)s)")
    add("--provisioned-concurrency", type=int, default=0, help="environments kept initialised (%(default)s)")
    add("--pollers", type=_pollers, help="provisioned mode of the mapping, LEAST:MOST")
    add(
        "--snapstart",
        action="store_true",
        help="start from a snapshot: published restores, then what this function does",
    )
    add(
        "--snapstart-ms",
        type=_list,
        default=(),
        help="your own measured restores, comma-separated, in the place of those",
    )
    add(
        "--account-concurrency", type=_some, default=0, help="the account's quota (1,000, or what is provisioned needs)"
    )
    add("--table-write-units", type=float, help="provisioned capacity (on demand)")
    add("--table-peak-write-units", type=float, default=0.0, help="past peak of an on-demand table (a new table)")
    add("--gateway-ms", type=_pair, default=(300, 1200), help="MEDIAN:P99 of a call (300:1200)")
    add("--gateway-calls-per-second", type=float, default=0.0, help="its rate limit (none)")
    add("--failing-share", type=float, default=0.0, help="of payments that always fail (%(default)s)")
    add("--duplicate-share", type=float, default=0.0, help="of messages that are sent twice (%(default)s)")
    add("--horizon-seconds", type=float, default=4 * 3600.0, help="what is not settled then is counted (%(default)s)")
    return parser


def _traffic(options: argparse.Namespace) -> Traffic:
    trace = read_trace(options.trace) if options.trace else ()
    customers = options.customers if options.customers is not None else len(trace) or _CUSTOMERS
    check_memory(round(customers * (1 + min(1.0, max(0.0, options.duplicate_share)))), available_mb())
    ramp = options.ramp_seconds
    if ramp is None:
        ramp = 0.0 if trace or options.burst_seconds is not None else _RAMP_SECONDS
    return Traffic(
        customers,
        min(_GROUPS, customers) if options.groups is None else options.groups,
        ramp_seconds=ramp,
        burst_seconds=options.burst_seconds or 0.0,
        trace_seconds=trace,
        duplicate_share=options.duplicate_share,
    )


def _policy(options: argparse.Namespace) -> Policy:
    return Policy(
        "as asked",
        engine=options.engine,
        support=options.support,
        memory_size=options.memory_size,
        stress_mode=options.stress_mode,
        batch_size=options.batch_size,
        provisioned_concurrency=options.provisioned_concurrency,
        pollers=options.pollers,
        snapstart=options.snapstart or (bool(options.snapstart_ms) and not options.policies),
        snapstart_restore_ms=options.snapstart_ms,
        group_concurrency=options.group_concurrency,
        account_concurrency=options.account_concurrency,
    )


def _base(options: argparse.Namespace, record: dict[str, Any], policy: Policy) -> Parameters:
    """What no policy changes."""
    return Parameters(
        Traffic(1, 1),
        Function(invocations_of(record, engine=policy.engine, memory_size=512, support=policy.support)),
        Queue(),
        payments=Payments(failing_share=options.failing_share),
        gateway=Gateway(LogNormal(*options.gateway_ms), options.gateway_calls_per_second),
        table=Table(write_units=options.table_write_units, peak_write_units=options.table_peak_write_units),
        quotas=Quotas(),
        horizon_seconds=options.horizon_seconds,
    )


def _pair(text: str) -> tuple[int, int]:
    least, colon, most = text.partition(":")
    if not colon or not least.isdecimal() or not most.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no pair of numbers, such as 20:200")
    return int(least), int(most)


def _pollers(text: str) -> tuple[int, int]:
    # Of the parameters, 0 is a mapping without.
    if not any(pair := _pair(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no provisioned mode: leave it out")
    return pair


def _some(text: str) -> int:
    # Of a policy, 0 is what it needs.
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1: leave it out for the account's default")
    return int(text)


def _list(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers, such as 120,135,150") from error


if __name__ == "__main__":
    sys.exit(main())
