"""The recorded long run: as many payments as asked for, written down as it goes, so that a run cut short says so.

The rule: the record names every commit that was played and from which seed on, and each seed that ever failed in it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Bar
from tests.simulation.simulation import STEPS_MAX, run
from tests.simulation.tally import CALLS_OF_A_PAYMENT, DIFFERENCES, KINDS
from tests.simulation.world import Cut

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests" / "simulation" / "record.json"
_WRITE_EVERY_SEEDS = 500
# Of what a run is for; each is met thousands of times in a million payments.
_MET_MIN = 1_000
# What a run depends on; writing the record does not change it.
_PLAYED = ("handler", "scoring", "tests/simulation", ":!tests/simulation/record.json")


@dataclass(frozen=True)
class Played:
    seed: int
    payments: int
    faults: int
    steps: int
    rule: str
    # tally.py: how often each kind of thing was met, and the calls of payments without faults, by name.
    counts: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)


def play(task: tuple[int, int]) -> Played:
    seed, steps_max = task
    world = run(seed, Cut(), steps_max)
    return Played(
        seed,
        world.payments,
        len(world.fired),
        world.steps,
        world.violations[0][0] if world.violations else "",
        world.tally,
        world.calls,
    )


def record(first: int, payments_wanted: int, jobs: int, *, resume: bool = False) -> int:
    """The long run and what CI plays, kept in record.json with their bars. Returns the exit code.

    `resume` goes on with the run that record.json holds, where it stopped.
    """
    kept = play_long(first, payments_wanted, jobs, RECORD, resume=resume)
    bars = [
        Bar("payments_of_the_long_run", kept["payments"], payments_wanted, at_least=True),
        Bar("failing_seeds_of_the_long_run", len(kept["failing"]), 0),
        *bars_of_what_came_after(kept),
        *_bars_of_the_targets(),
    ]
    _write(RECORD, {**kept, "bars": [bar.as_document() for bar in bars]})
    print(RECORD.read_text(), *bars, sep="\n")
    return int(not all(bar.ok for bar in bars))


def play_long(first: int, payments_wanted: int, jobs: int, path: Path, *, resume: bool = False) -> dict[str, Any]:
    """Play seeds from `first` until so many payments are done; `path` holds what was played, at any moment.

    `payments` counts distinct contents of payments, not deliveries. With `resume` the run in `path` goes on, and what
    failed in it is played again first: what holds now is `mended` since, and counted from then on. Raises ValueError
    for a record that counts other things, as one of an earlier release does.
    """
    before = json.loads(path.read_text()) if resume else {}
    counts, calls = Counter(before.get("counts", {})), Counter(before.get("calls_of_payments_without_faults", {}))
    if before and counts.keys() != {*KINDS}:
        raise ValueError(f"{path.name} counts other things than this code does: begin a new run, without RESUME")
    counts.update(dict.fromkeys(KINDS, 0))
    first, seeds = before.get("first_seed", first), before.get("seeds", 0)
    part = {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", *_PLAYED)),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "from_seed": first + seeds,
    }
    kept: dict[str, Any] = {
        "parts": [*before.get("parts", ()), part],
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jobs} used",
        "first_seed": first,
        "payments_wanted": payments_wanted,
    }
    started = time.monotonic() - before.get("seconds", 0)
    payments, faults, steps = (before.get(name, 0) for name in ("payments", "faults", "steps"))
    failing: list[dict[str, object]] = []

    def add(played: Played) -> None:
        if played.rule:
            failing.append({"seed": played.seed, "rule": played.rule, DIFFERENCES: played.counts[DIFFERENCES]})
        else:
            counts.update(played.counts)
            calls.update(played.calls)

    failed = before.get("failing", [])
    for each in failed:
        add(play((each["seed"], STEPS_MAX)))
    mended = [each for each in failed if each["seed"] not in {still["seed"] for still in failing}]
    kept |= {"mended": [*before.get("mended", ()), *mended], "seeds": seeds, "payments": payments, "faults": faults}
    kept |= {"steps": steps, "failing": failing, "seconds": before.get("seconds", 0)}
    kept |= {"counts": counts, "calls_of_payments_without_faults": calls}
    kept["complete"] = payments >= payments_wanted
    # Blocks rather than one long map: a pool takes all the tasks it is given at once.
    with ExitStack() as stack:
        # One job plays in this process, as its tests patch what is played.
        several = stack.enter_context(multiprocessing.Pool(jobs)) if jobs > 1 else None
        played_of = partial(several.imap, chunksize=16) if several else map
        while payments < payments_wanted:
            block = range(first + seeds, first + seeds + _WRITE_EVERY_SEEDS)
            for played in played_of(play, [(seed, STEPS_MAX) for seed in block]):
                seeds, payments = seeds + 1, payments + played.payments
                add(played)
                faults, steps = faults + played.faults, steps + played.steps
                if played.rule:
                    print(f"seed {played.seed} fails: `{played.rule}`", flush=True)
                if payments >= payments_wanted:
                    break
            kept |= {"seeds": seeds, "payments": payments, "faults": faults, "steps": steps, "failing": failing}
            kept |= {"seconds": round(time.monotonic() - started), "complete": payments >= payments_wanted}
            _write(path, kept)
            print(f"{payments:,} of {payments_wanted:,} payments, {len(failing)} failing seeds", flush=True)
    return kept


def bars_of_what_came_after(kept: Mapping[str, Any]) -> list[Bar]:
    """Whether events are what items are, no payment makes a call for what comes after it, and all of that was met.

    A payment makes five calls, as it did before there were refunds, events and wake-ups: none more is allowed.
    """
    counts, calls = kept["counts"], sum(kept["calls_of_payments_without_faults"].values())
    differences = sum(each[DIFFERENCES] for each in kept["failing"])
    return [
        Bar(DIFFERENCES, differences, 0),
        Bar("calls_beyond_the_five_of_a_payment", calls - CALLS_OF_A_PAYMENT * counts["payments_without_faults"], 0),
        Bar("times_that_the_rarest_kind_was_met", min(counts[kind] for kind in KINDS), _MET_MIN, at_least=True),
    ]


def _bars_of_the_targets() -> list[Bar]:
    """What CI plays, on all cores: the seeds, the mutations, the histories on every Python version found here."""
    started = time.monotonic()
    campaign, mutations = (_run(module) for module in ("tests.simulation", "tests.simulation.mutations"))
    seconds = time.monotonic() - started
    versions = _run("tests.simulation.versions").stdout.splitlines()
    return [
        Bar("failing_seeds_or_surviving_mutations", campaign.returncode + mutations.returncode, 0),
        Bar("seconds_of_2000_seeds_and_all_mutations", seconds, 480),
        Bar("python_versions_compared", len(versions), 2, at_least=True),
        Bar("python_versions_with_other_histories", sum("the committed" not in line for line in versions), 0),
    ]


def _run(module: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, flush=True)
    return done


def _write(path: Path, kept: dict[str, Any]) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(kept, indent=2) + "\n")
    beside.replace(path)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
