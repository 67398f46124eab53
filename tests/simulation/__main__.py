"""`python -m tests.simulation`: play seeds and report; a failing one is shrunk and told as a story.

The line `replay: ...` of a failure plays that very history again, on any Python version.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time

from tests.simulation.record import play, record
from tests.simulation.shrink import shrink
from tests.simulation.simulation import STEPS_MAX, run
from tests.simulation.world import Cut, World

# Enough to meet every kind of fault, few enough to be quick.
HISTORY_SEEDS = range(20)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="first seed; alone, it is played and told")
    parser.add_argument("--seeds", type=int, default=None, help="how many seeds (2000, or 1 with --seed)")
    parser.add_argument("--steps", type=int, default=STEPS_MAX, help="a run that takes more steps fails")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--messages", default=None, help="of a shrunk history: message numbers to keep")
    parser.add_argument("--faults", default=None, help="of a shrunk history: fault names to keep")
    parser.add_argument("--record", type=int, default=None, help="play that many payments and keep a record of them")
    parser.add_argument("--resume", action="store_true", help="--record goes on with the run that the record holds")
    parser.add_argument("--histories", action="store_true", help="print the committed seeds' history hashes")
    options = parser.parse_args(arguments)
    if options.histories:
        print(histories())
        return 0
    if options.record is not None:
        return record(options.seed or 0, options.record, options.jobs, resume=options.resume)
    if options.seed is not None and options.seeds is None:
        return _tell(options.seed, options.steps, _cut(options.messages, options.faults))
    return _campaign(options.seed or 0, options.seeds or 2_000, options.steps, options.jobs)


def histories() -> str:
    """The hashes of some seeds' histories as JSON, as histories.json has them."""
    return json.dumps({str(seed): run(seed).digest() for seed in HISTORY_SEEDS}, indent=2)


def _cut(messages: str | None, faults: str | None) -> Cut:
    return Cut(
        None if messages is None else frozenset(int(number) for number in messages.split(",") if number),
        None if faults is None else frozenset(fault for fault in faults.split(",") if fault),
    )


def _tell(seed: int, steps_max: int, cut: Cut) -> int:
    world = run(seed, cut, steps_max)
    if world.violations and cut == Cut():
        return _report_failure(seed, steps_max)
    print("\n".join(world.history()))
    print(f"seed {seed}: {_verdict(world)}, {world.steps} steps, history {world.digest()}")
    return int(bool(world.violations))


def _campaign(first: int, count: int, steps_max: int, jobs: int) -> int:
    started = time.monotonic()
    tasks = [(seed, steps_max) for seed in range(first, first + count)]
    failed: list[int] = []
    payments = faults = steps = 0
    with multiprocessing.Pool(jobs) as pool:
        for played in pool.imap_unordered(play, tasks, chunksize=16):
            payments, faults, steps = payments + played.payments, faults + played.faults, steps + played.steps
            if played.rule:
                failed.append(played.seed)
    print(
        f"{count} seeds from {first}: {payments} payments, {faults} faults, {steps} steps, "
        f"{len(failed)} failing, {time.monotonic() - started:.0f} s"
    )
    for seed in sorted(failed)[:3]:
        _report_failure(seed, steps_max)
    return int(bool(failed))


def _report_failure(seed: int, steps_max: int) -> int:
    cut, world = shrink(seed, steps_max)
    print(f"\nseed {seed} fails: {_verdict(world)}. Its history, shrunk:")
    print("\n".join(world.history()))
    print(f"replay: {replay_line(seed, cut)}\n")
    return 1


def replay_line(seed: int, cut: Cut) -> str:
    messages = "" if cut.messages is None else f" --messages={','.join(map(str, sorted(cut.messages)))}"
    faults = "" if cut.faults is None else f" --faults='{','.join(sorted(cut.faults))}'"
    return f"python -m tests.simulation --seed={seed}{messages}{faults}"


def _verdict(world: World) -> str:
    if not world.violations:
        return "every rule holds"
    rule, what = world.violations[0]
    return f"`{rule}`: {what}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
