"""The recorded long run: as many payments as asked for, written down as it goes, so that a run cut short says so."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.simulation import STEPS_MAX, run
from tests.simulation.world import Cut

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("record.json")
_WRITE_EVERY_SEEDS = 500


@dataclass(frozen=True)
class Played:
    seed: int
    payments: int
    faults: int
    steps: int
    rule: str


def play(task: tuple[int, int]) -> Played:
    seed, steps_max = task
    world = run(seed, Cut(), steps_max)
    return Played(
        seed,
        world.payments,
        len(world.fired),
        world.steps,
        world.violations[0][0] if world.violations else "",
    )


def record(first: int, payments_wanted: int, jobs: int) -> int:
    """Play seeds from `first` until so many payments are done; record.json holds what was played, at any moment.

    `payments` counts distinct contents of payments, not deliveries. Returns the exit code.
    """
    kept: dict[str, object] = {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "handler", "scoring", "tests/simulation")),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jobs} used",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "first_seed": first,
        "payments_wanted": payments_wanted,
    }
    started = time.monotonic()
    payments = faults = steps = seeds = 0
    failing: list[dict[str, object]] = []

    def write() -> None:
        done = {"seeds": seeds, "payments": payments, "faults": faults, "steps": steps, "failing": failing}
        seconds = {"seconds": round(time.monotonic() - started), "complete": payments >= payments_wanted}
        beside = RECORD.with_suffix(".part")
        beside.write_text(json.dumps({**kept, **done, **seconds}, indent=2) + "\n")
        beside.replace(RECORD)

    # Blocks rather than one long map: a pool takes all the tasks it is given at once.
    with multiprocessing.Pool(jobs) as pool:
        while payments < payments_wanted:
            block = range(first + seeds, first + seeds + _WRITE_EVERY_SEEDS)
            for played in pool.imap(play, [(seed, STEPS_MAX) for seed in block], chunksize=16):
                seeds, payments = seeds + 1, payments + played.payments
                faults, steps = faults + played.faults, steps + played.steps
                if played.rule:
                    failing.append({"seed": played.seed, "rule": played.rule})
                if payments >= payments_wanted:
                    break
            write()
    print(RECORD.read_text(), end="")
    return int(bool(failing))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
