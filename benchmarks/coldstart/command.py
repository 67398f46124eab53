"""`python -m benchmarks coldstart`: plan, sample, report, recommend. An interrupted run goes on where it stopped."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.coldstart import matrix, profile_init, profile_payment, report
from benchmarks.coldstart.advice import advise, waited_ms
from benchmarks.coldstart.bars import bars_of
from benchmarks.coldstart.packages import FOLDER
from benchmarks.coldstart.plan import MEMORY_SIZES, Plan, expected_seconds, shipped
from benchmarks.coldstart.prices import read_prices
from benchmarks.coldstart.quota import CpuQuota, QuotaUnavailableError
from benchmarks.coldstart.recommend import Choice, choices
from benchmarks.coldstart.sample import LabError, Sample, read_event
from benchmarks.coldstart.sampling import GATEWAY_MS, TABLE_MS, Lab
from benchmarks.measure import RECORDS, machine, new_record, write_record
from local.installation import ROOT, InstallationError
from scoring.kernel import ENGINES

# What a sample's figures depend on: our code, and how it is packaged and measured.
_MEASURED = ("handler", "scoring", "build", "benchmarks/coldstart")
_METHOD = (
    "Fresh processes through AWS's own runtime client from a bare interpreter, on one pinned processor, variants "
    "interleaved and shuffled in every round; init at full speed as on Lambda, {quota}; tables, secret and gateway "
    "answer over TLS, in rows with waits after {gateway_ms:g} ms (gateway) and {table_ms:g} ms (table), else at once; "
    "every sample's response, items and captures are verified and counted."
)
_QUOTA = {
    True: "invocations under the CPU quota of the memory size",
    False: "invocations computed from their CPU time and the memory size's share of a processor, as no cgroup could be "
    "made here",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lab. 1 where a sample is not verified or, with `--strict`, a bar is missed; 2 without any sample."""
    options = _options(arguments)
    console = report.terminal()
    plan = _plan(options)
    try:
        options.base, options.kept = _base(plan, options)
    except (LabError, OSError, ValueError, KeyError, TypeError) as error:
        console.print(f"[red]{options.onto} is nothing to go on with:[/] {error}")
        return 2
    taken = Counter(sample.cell for sample in options.kept)
    left = [(cell, number - taken[cell]) for cell, number in plan.cells() if number > taken[cell]]
    options.expected = sum(expected_seconds(cell) * number for cell, number in left)
    count = sum(number for _, number in left)
    console.print(f"{count} samples of {len(left)} cells, about {options.expected / 60:.0f} minutes")
    for sentence in plan.lacking():
        console.print(f"[yellow]{sentence}[/]")
    if options.dry_run:
        for cell, number in left:
            size = f"{cell.memory_size} MB" if cell.memory_size else "init"
            waits = "waits" if cell.waits else ""
            console.print(
                f"  {number:4}  {cell.variant:44} {size:8} {'' if cell.stress_mode == 'none' else 'stress'}"
                f"{f'{cell.messages} messages, {cell.groups} groups ' if cell.messages > 1 else ''}{waits}"
            )
        return 0
    if not sys.platform.startswith("linux"):
        console.print("the cold-start lab needs Linux (CPU clocks and cgroups); `make benchmark-kernels` runs here")
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    journal = FOLDER / f"journal-{options.key}.jsonl"
    try:
        samples, extras = _measure(plan, options, journal, console)
    except (LabError, InstallationError) as error:
        console.print(f"[red]nothing was measured:[/] {error}")
        return 2
    record = _record(plan, samples, extras, options)
    # A first look is no record: it lies where the next one takes its place.
    path = FOLDER / "quick" / "coldstart.json" if options.quick else new_record("coldstart.json")
    path.parent.mkdir(exist_ok=True)
    write_record(path, record)
    record = json.loads(path.read_text())
    if options.json:
        options.json.write_text(path.read_text())
    advice = advise(record, options.balance, options.cold_share)
    found = _choices(record, options)
    path.with_name("coldstart.html").write_text(report.page(record, found, advice))
    journal.unlink()
    report.print_table(console, record["rows"])
    for sentence in (advice.answer, *(f"{one.choice}: {one.take}: {one.saves}" for one in advice.savings)):
        console.print(sentence)
    for note in advice.notes:
        console.print(note)
    for bar in record["bars"]:
        print(bar["row"])
    failed = [sample for sample in record["samples"] if sample["error"]]
    for sample in failed:
        print(f"error {sample['cell']['variant']}: {sample['error']}", file=sys.stderr)
    console.print(f"record: {path}\npage:   {path.with_name('coldstart.html')}")
    return int(bool(failed) or (options.strict and not all(bar["ok"] for bar in record["bars"])))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a few minutes: few samples, two memory sizes, no record")
    size.add_argument("--full", action="store_true", help="59 samples in every cell, 11 of those that wait")
    parser.add_argument("--memory", type=_memory_sizes, default=MEMORY_SIZES, help="MB, such as 128,512,1769")
    parser.add_argument(
        "--onto",
        type=Path,
        metavar="RECORD",
        help="keep this record's samples; take the cells that it lacks, and those that stand beside them",
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter of the version to measure")
    parser.add_argument(
        "--event", action="append", default=[], metavar="FILE[=WEIGHT]", help="draw invocations from these; repeatable"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gateway-ms", type=float, default=GATEWAY_MS, help="what the gateway takes for an answer")
    parser.add_argument("--table-ms", type=float, default=TABLE_MS, help="what the table takes for an answer")
    parser.add_argument("--strict", action="store_true", help="a missed bar is a failure")
    parser.add_argument("--json", type=Path, help="write the record there, too")
    parser.add_argument("--balance", type=float, default=0.5, help="0 recommends the cheapest, 1 the fastest")
    parser.add_argument("--cold-share", type=float, default=0.05, help="share of invocations that start cold, 0..1")
    parser.add_argument("--dry-run", action="store_true", help="print samples and expected time only")
    options = parser.parse_args(arguments)
    for name in ("balance", "cold_share"):
        if not 0 <= getattr(options, name) <= 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}: it must be within 0 and 1")
    for name in ("gateway_ms", "table_ms"):
        # The gateway's own deadline is 5 seconds, the table's 1.
        if not 0 <= getattr(options, name) <= 900:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name):g}: it must be within 0 and 900")
    mode = "quick" if options.quick else "full" if options.full else "default"
    # Samples of another plan, interpreter, mix or code are never taken up by mistake.
    code = [path.read_bytes() for folder in _MEASURED for path in sorted((ROOT / folder).rglob("*.py"))]
    asked = repr(
        (
            mode,
            options.memory,
            options.python,
            options.event,
            options.seed,
            options.gateway_ms,
            options.table_ms,
            options.onto,
            code,
        )
    )
    options.key = hashlib.sha256(asked.encode()).hexdigest()[:16]
    return options


def _memory_sizes(text: str) -> tuple[int, ...]:
    sizes = []
    for part in text.split(","):
        if not part.isdecimal() or not 128 <= int(part) <= 10_240:
            raise argparse.ArgumentTypeError(f"{part!r} is no memory size of Lambda's: 128 to 10240 MB")
        sizes.append(int(part))
    return tuple(sorted(set(sizes)))


def _plan(options: argparse.Namespace) -> Plan:
    plan = shipped(memory_sizes=options.memory)
    if options.full:
        return replace(plan, stress=59, invocations=59, batches=11)
    if options.quick:
        ends = tuple(sorted({min(options.memory), plan.full_size}))
        return replace(plan, init=7, stress=1, invocations=2, batches=1, memory_sizes=ends, repeat_at_smallest=False)
    return plan


def _base(plan: Plan, options: argparse.Namespace) -> tuple[dict[str, Any], list[Sample]]:
    """The record that is gone on with and what is kept of it, or nothing. Raises LabError where it does not fit."""
    if options.onto is None:
        return {}, []
    record: dict[str, Any] = json.loads(options.onto.read_text())
    asked = {"gateway_ms": options.gateway_ms, "table_ms": options.table_ms, "events": options.event}
    other = [name for name, value in asked.items() if record[name] != value]
    if record["machine"]["processor"] != machine()["processor"]:
        other.append("processor")
    if other:
        raise LabError(f"it is of another {', '.join(other)}")
    return record, matrix.kept_of(plan, [Sample.read(document) for document in record["samples"]])


def _measure(
    plan: Plan, options: argparse.Namespace, journal: Path, console: Console
) -> tuple[list[Sample], dict[str, Any]]:
    events = [read_event(text) for text in options.event]
    quota = CpuQuota()
    try:
        quota.__enter__()
    except QuotaUnavailableError as error:
        console.print(f"[yellow]{error}[/]")
        quota = None  # type: ignore[assignment]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    try:
        waits = {"gateway_ms": options.gateway_ms, "table_ms": options.table_ms}
        lab_here = Lab(options.python, quota, events, options.seed, **waits)
        with lab_here as lab, Progress(*columns, console=console) as progress:
            task = progress.add_task("sampling", total=options.expected)

            def taken(sample: Sample, seconds: float) -> None:
                progress.update(task, advance=seconds, description=sample.cell.variant)

            extras = {
                "quota": quota.kind if quota is not None else "computed",
                "python": lab.python_version,
                **waits,
            }
            other = [name for name, value in extras.items() if options.base.get(name, value) != value]
            if other:
                raise LabError(f"{options.onto} is of another {', '.join(other)}")
            samples = matrix.run(
                plan, lab, options.python, seed=options.seed, journal=journal, progress=taken, kept=options.kept
            )
            for name, profile in (("init_profile", profile_init), ("payment_profile", profile_payment)):
                extras[name] = options.base.get(name) or profile.profile(lab, options.python)
    finally:
        if quota is not None:
            quota.__exit__(None, None, None)
    return samples, extras


def _record(plan: Plan, samples: list[Sample], extras: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    prices = read_prices()
    rows = matrix.rows(plan, samples, prices, measured=extras["quota"] != "computed")
    bars = bars_of(plan, samples)
    method = _METHOD.format(**{**extras, "quota": _QUOTA[extras["quota"] != "computed"]})
    if options.kept:
        method += (
            f" Of {len(samples)} samples {len(options.kept)} are kept from the record of {options.base['at']}; the "
            "others were taken since, all that stand beside each other in one session."
        )
    return {
        "method": method,
        "support": plan.support,
        "lacking": plan.lacking(),
        "quick": options.quick,
        "seed": options.seed,
        "events": options.event,
        "prices": prices,
        "rows": rows,
        "bars": [bar.as_document() for bar in bars],
        "samples": [sample.as_document() for sample in samples],
        "kernels": _last_kernels(),
        **extras,
    }


def _choices(record: dict[str, Any], options: argparse.Namespace) -> dict[str, Sequence[Choice]]:
    """What the page's chart shows: every memory size by engine, with the record's own waits."""
    rows, support = record["rows"], record["support"]
    of = {"support": support, "cold_share": options.cold_share, "waits_ms": waited_ms(rows, support)}
    return {engine: choices(rows, record["prices"], engine=engine, **of) for engine in ENGINES}


def _last_kernels() -> dict[str, Any] | None:
    """The newest record of the kernels on this kind of processor, to stand beside what they do to a cold start."""
    found = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*/kernels.json"))]
    mine = [record for record in found if record.get("machine", {}).get("processor") == machine()["processor"]]
    return max(mine, key=lambda record: record["at"]) if mine else None
