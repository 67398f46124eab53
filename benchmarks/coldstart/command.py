"""`python -m benchmarks coldstart`: plan, sample, report, recommend. An interrupted run goes on where it stopped."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.coldstart import matrix, profile_init, report
from benchmarks.coldstart.packages import FOLDER, build
from benchmarks.coldstart.prices import read_prices
from benchmarks.coldstart.quota import CpuQuota, QuotaUnavailableError
from benchmarks.coldstart.recommend import Choice, choices, recommend
from benchmarks.coldstart.sampling import Lab, LabError, Sample, read_event
from benchmarks.measure import RECORDS, Bar, Ratio, machine, new_record, write_record
from local.installation import ROOT, InstallationError
from scoring._compiled import kernels_present
from scoring.kernel import ENGINES

# What a sample's figures depend on: our code, and how it is packaged and measured.
_MEASURED = ("handler", "scoring", "build", "benchmarks/coldstart")
_METHOD = (
    "Fresh processes through AWS's own runtime client from a bare interpreter, on one pinned processor, variants "
    "interleaved and shuffled in every round; init at full speed as on Lambda, {quota}; the table answers over TLS; "
    "every sample's response and item are verified."
)
_QUOTA = {
    True: "invocations under the CPU quota of the memory size",
    False: "invocations computed from their CPU time and the memory size's share of a processor, as no cgroup could be "
    "made here",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lab. 1 where a bar is missed or a sample failed its verification, 2 where nothing could be measured."""
    options = _options(arguments)
    console = report.terminal()
    plan = _plan(options)
    expected = plan.seconds()
    count = sum(number for _, number in plan.cells())
    console.print(f"{count} samples of {len(plan.cells())} cells, about {expected / 60:.0f} minutes")
    if options.dry_run:
        for cell, number in plan.cells():
            size = f"{cell.memory_size} MB" if cell.memory_size else "init"
            console.print(f"  {number:4}  {cell.variant:34} {size:8} {'' if cell.stress_mode == 'none' else 'stress'}")
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
    path = new_record("coldstart.json")
    write_record(path, record)
    record = json.loads(path.read_text())
    if options.json:
        options.json.write_text(path.read_text())
    found = _choices(record, options)
    advice = _advice(found, options)
    path.with_name("coldstart.html").write_text(report.page(record, found, advice))
    journal.unlink()
    report.print_table(console, record["rows"])
    for sentence in advice:
        console.print(sentence)
    for bar in record["bars"]:
        print(bar["row"])
    failed = [sample for sample in record["samples"] if sample["error"]]
    for sample in failed:
        print(f"error {sample['cell']['variant']}: {sample['error']}", file=sys.stderr)
    console.print(f"record: {path}\npage:   {path.with_name('coldstart.html')}")
    return int(bool(failed) or not all(bar["ok"] for bar in record["bars"]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="under 2 minutes: few samples, two memory sizes")
    size.add_argument("--full", action="store_true", help="59 samples in every cell")
    parser.add_argument("--memory", type=_memory_sizes, default=matrix.MEMORY_SIZES, help="MB, such as 128,512,1769")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the version to measure")
    parser.add_argument(
        "--event", action="append", default=[], metavar="FILE[=WEIGHT]", help="draw invocations from these; repeatable"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the record there, too")
    parser.add_argument("--balance", type=float, default=0.5, help="0 recommends the cheapest, 1 the fastest")
    parser.add_argument("--cold-share", type=float, default=0.05, help="share of invocations that start cold, 0..1")
    parser.add_argument("--dry-run", action="store_true", help="print samples and expected time only")
    options = parser.parse_args(arguments)
    for name in ("balance", "cold_share"):
        if not 0 <= getattr(options, name) <= 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}: it must be within 0 and 1")
    mode = "quick" if options.quick else "full" if options.full else "default"
    # Samples of another plan, interpreter, mix or code are never taken up by mistake.
    code = [path.read_bytes() for folder in _MEASURED for path in sorted((ROOT / folder).rglob("*.py"))]
    asked = repr((mode, options.memory, options.python, options.event, options.seed, code))
    options.key = hashlib.sha256(asked.encode()).hexdigest()[:16]
    return options


def _memory_sizes(text: str) -> tuple[int, ...]:
    sizes = []
    for part in text.split(","):
        if not part.isdecimal() or not 128 <= int(part) <= 10_240:
            raise argparse.ArgumentTypeError(f"{part!r} is no memory size of Lambda's: 128 to 10240 MB")
        sizes.append(int(part))
    return tuple(sorted(set(sizes)))


def _plan(options: argparse.Namespace) -> matrix.Plan:
    plan = matrix.Plan(memory_sizes=options.memory, kernels=tuple(kernels_present()))
    if options.full:
        return replace(plan, stress=59, invocations=59)
    if options.quick:
        ends = tuple(sorted({min(options.memory), max(options.memory)}))
        return replace(plan, init=7, stress=1, invocations=2, memory_sizes=ends, repeat_at_smallest=False)
    return plan


def _measure(
    plan: matrix.Plan, options: argparse.Namespace, journal: Path, console: Console
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
        with Lab(options.python, quota, events, options.seed) as lab, Progress(*columns, console=console) as progress:
            task = progress.add_task("sampling", total=plan.seconds())

            def taken(sample: Sample, seconds: float) -> None:
                progress.update(task, advance=seconds, description=sample.cell.variant)

            samples = matrix.run(plan, lab, options.python, seed=options.seed, journal=journal, progress=taken)
            packaged = build("packaged", "compiled", options.python)
            extras = {
                "quota": quota.kind if quota is not None else "computed",
                "python": lab.python_version,
                "init_profile": profile_init.profile(lab.runtime_python, packaged, lab.endpoint, lab.trusted(packaged)),
            }
    finally:
        if quota is not None:
            quota.__exit__(None, None, None)
    return samples, extras


def _record(
    plan: matrix.Plan, samples: list[Sample], extras: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    prices = read_prices()
    rows = matrix.rows(plan, samples, prices, measured=extras["quota"] != "computed")
    bars = bars_of(plan, samples)
    return {
        "method": _METHOD.format(quota=_QUOTA[extras["quota"] != "computed"]),
        "seed": options.seed,
        "events": options.event,
        "prices": prices,
        "rows": rows,
        "bars": [{**bar.as_document(), "row": str(bar)} for bar in bars],
        "samples": [sample.as_document() for sample in samples],
        "kernels": _last_kernels(),
        **extras,
    }


def bars_of(plan: matrix.Plan, samples: Sequence[Sample]) -> list[Bar]:
    """The lab's promises, from the samples of one run that passed their verification; none of them: missed."""
    passed = [sample for sample in samples if not sample.error]
    nothing = math.inf

    def init(variant: str) -> list[Sample]:
        wanted = (variant, "none", None)
        return [one for one in passed if (one.cell.variant, one.cell.stress_mode, one.cell.memory_size) == wanted]

    def ratio(variant: str, base: str) -> float:
        found = matrix.init_ratio(init(variant), init(base))
        return nothing if found is None else found.median

    def first(variant: str) -> float | None:
        wanted = (variant, min(plan.memory_sizes), "none")
        values = [
            one.first_invocation_ms
            for one in passed
            if (one.cell.variant, one.cell.memory_size, one.cell.stress_mode) == wanted
            and one.first_invocation_ms is not None
        ]
        return statistics.median(values) if values else None

    same = matrix.init_ratio(init("empty again (A/A)"), init("empty"))
    stress = [one for one in passed if (one.cell.variant, one.cell.stress_mode) == ("compiled", "cold_start")]
    harness = [one.harness_cpu_ms / one.init_cpu_ms for one in init("empty") if one.init_cpu_ms]
    without, read = first("compiled, no read in init"), first("compiled")
    return [
        Bar("init_packaged_to_empty", ratio("compiled", "empty"), 7.0),
        Bar("init_packaged_to_pip", ratio("compiled", "pip"), 0.75),
        Bar("init_packaged_to_naive", ratio("compiled", "naive"), 0.75),
        Bar("init_packaged_to_naive_no_pyc", ratio("compiled", "naive_no_pyc"), 0.30),
        Bar("first_invocation_gain_of_read_in_init", without / read if without and read else 0.0, 3.0, True),
        Bar(
            "init_timed_out_share_compiled_stress",
            sum(one.init_timed_out for one in stress) / len(stress) if stress else nothing,
            0.0,
        ),
        Bar("a_a_interval_excludes_1", float(same is None or not _contains_one(same)), 0.0),
        Bar("harness_cpu_to_empty_init_cpu", statistics.median(harness) if harness else nothing, 0.05),
    ]


def _contains_one(ratio: Ratio) -> bool:
    return ratio.low <= 1 <= ratio.high


def _choices(record: dict[str, Any], options: argparse.Namespace) -> dict[str, Sequence[Choice]]:
    return {
        engine: choices(record["rows"], record["prices"], engine=engine, cold_share=options.cold_share)
        for engine in ENGINES
    }


def _advice(found: dict[str, Sequence[Choice]], options: argparse.Namespace) -> list[str]:
    """The recommendation as sentences, each of which names what it holds for."""
    sentences = []
    for engine, all_choices in found.items():
        for name, balance in (
            ("cheapest", 0.0),
            ("fastest", 1.0),
            (f"balanced ({options.balance:g})", options.balance),
        ):
            choice = recommend(all_choices, balance)
            usd = choice.usd_per_million
            sentences.append(
                f"{engine}, {name} with {options.cold_share:.0%} cold starts: {choice.memory_size} MB, "
                f"{choice.latency_ms:.0f} ms, ${usd['arm64']:.2f} a million payments on arm64 (${usd['x86_64']:.2f} on "
                f"x86_64): make apply MEMORY_SIZE={choice.memory_size}"
            )
    return sentences


def _last_kernels() -> dict[str, Any] | None:
    """The newest record of the kernels on this kind of processor, to stand beside what they do to a cold start."""
    found = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*/kernels.json"))]
    mine = [record for record in found if record.get("machine", {}).get("processor") == machine()["processor"]]
    return max(mine, key=lambda record: record["at"]) if mine else None
