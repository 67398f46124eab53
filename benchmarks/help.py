"""What `payments --help` costs: CPU time of whole processes, each looked at for its answer.

`python -m benchmarks help`. An interpreter that does nothing stands beside it: what is above that is ours.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.measure import Bar, new_record, write_record

LIMIT_MS = 200.0
PROCESSES = 31
NOTHING = ("-c", "pass")
HELP = ("-m", "operations", "--help")


def cpu_ms(arguments: Sequence[str], expected: str) -> float:
    """User and system time of one process of this Python; SystemExit where it did not answer as it should."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or expected not in done.stdout:
        raise SystemExit(f"{' '.join(arguments)} answered {done.returncode}: {done.stdout}{done.stderr}")
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> int:
    """Print the bar and keep it; 1 when it was missed."""
    argparse.ArgumentParser(prog="python -m benchmarks help", description=__doc__).parse_args()
    samples: dict[str, list[float]] = {"nothing": [], "help": []}
    for _ in range(PROCESSES):
        samples["nothing"].append(cpu_ms(NOTHING, ""))
        samples["help"].append(cpu_ms(HELP, "Exit codes:"))
    bar = Bar("payments_help_cpu_ms", statistics.median(samples["help"]), LIMIT_MS)
    print(f"an interpreter that does nothing: {statistics.median(samples['nothing']):.4g} ms")
    print(bar)
    write_record(new_record("help.json"), {"bars": [bar.as_document()], "cpu_ms": samples})
    return 0 if bar.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
