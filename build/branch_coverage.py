"""Which branches of the domain and of the batch contract the unit tests take: a `bar` row each, and what is missing.

The rule it keeps: both ways of every `if` and loop count, lines do not; what leaves a function by an error counts too.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".build" / "coverage"
TESTS = "tests/unit/handler"
LIMIT_PERCENT = 95.0
PARTS = {
    "domain": ("handler/domain/*",),
    "batch_contract": ("handler/queue_function.py", "handler/batch.py", "handler/ahead.py"),
}


def main() -> int:
    """Run the tests under coverage and print the rows; 1 where the tests failed or a bar was missed."""
    DATA.parent.mkdir(exist_ok=True)
    included = ",".join(pattern for patterns in PARTS.values() for pattern in patterns)
    tests = ["run", "--branch", f"--include={included}", "-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS]
    if _coverage(*tests):
        return 1
    missed = False
    for name, patterns in PARTS.items():
        report = DATA.with_suffix(f".{name}.json")
        if code := _coverage("json", "--quiet", f"--include={','.join(patterns)}", "-o", str(report)):
            return code
        document = json.loads(report.read_text())
        percent = branch_percent(document)
        missed = missed or percent < LIMIT_PERCENT
        for line in missing(document):
            print(line)
        said = "ok" if percent >= LIMIT_PERCENT else "missed"
        print(f"bar branch_coverage_{name} {percent:.1f} >={LIMIT_PERCENT:g} {said}")
    return 1 if missed else 0


def branch_percent(document: dict[str, Any]) -> float:
    """The share of branches taken, in per cent, of a report of coverage's (`coverage json`)."""
    totals = document["totals"]
    return 100.0 * float(totals["covered_branches"]) / float(totals["num_branches"])


def missing(document: dict[str, Any]) -> list[str]:
    """`file: from->to ...` of every file with a branch that no test takes; -n is the end of a function at line n."""
    return [
        f"{name}: " + " ".join(f"{start}->{end}" for start, end in found["missing_branches"])
        for name, found in sorted(document["files"].items())
        if found["missing_branches"]
    ]


def _coverage(command: str, *arguments: str) -> int:
    whole = [sys.executable, "-m", "coverage", command, f"--data-file={DATA}", *arguments]
    return subprocess.run(whole, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
