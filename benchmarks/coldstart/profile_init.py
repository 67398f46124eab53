"""Where a cold start goes, by what is imported, in a fresh bare interpreter with the packaged function.

`make profile-init` prints it; the lab keeps it with its record. A module is charged with its own time, its package with
that of its modules, and what init does besides (clients, TLS, the first read) is the rest.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.coldstart.packages import build
from benchmarks.coldstart.plan import shipped
from benchmarks.coldstart.sampling import Lab

REST = "besides imports: clients, TLS, first read"
_PROGRAM = "import time; from handler import lambda_handler; print('cpu', time.process_time() * 1000)"


def profile(lab: Lab, python: str, runs: int = 5) -> list[dict[str, Any]]:
    """Median ms of each package's imports over `runs` processes, slowest first. Raises CalledProcessError."""
    spent: dict[str, list[float]] = {}
    for _ in range(runs):
        modules, whole_ms = by_import(lab, python)
        packages: Counter[str] = Counter()
        for name, ms in modules:
            packages[name.partition(".")[0].lstrip("_")] += ms  # type: ignore[assignment]
        packages[REST] = max(0.0, whole_ms - sum(packages.values()))  # type: ignore[assignment]
        for name, ms in packages.items():
            spent.setdefault(name, []).append(ms)
    found = [{"name": name, "cpu_ms": round(statistics.median(values), 2)} for name, values in spent.items()]
    return sorted(found, key=lambda entry: -float(str(entry["cpu_ms"])))


def by_import(lab: Lab, python: str) -> tuple[list[tuple[str, float]], float]:
    """Modules by their own time (wall ms, CPython's -X importtime), slowest first, and the CPU ms of the whole init."""
    plan = shipped()
    built = build("packaged", "compiled", python, plan.support)
    variables = lab.variables(plan.function(plan.support), built, "127.0.0.1:1")
    done = subprocess.run(
        [str(lab.runtime_python), "-X", "importtime", "-c", _PROGRAM],
        cwd=built.folder,
        env={**variables, "PYTHONPATH": str(built.folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = []
    for line in done.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdigit():
            found.append((fields[2].strip(), int(fields[0]) / 1000))
    [whole] = [line for line in done.stdout.splitlines() if line.startswith("cpu ")]
    return sorted(found, key=lambda entry: -entry[1]), float(whole.split()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both views of the packaged function's init on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args(arguments)
    with Lab(options.python, None) as lab:
        packages = profile(lab, options.python)
        modules, _ = by_import(lab, options.python)
    whole = sum(package["cpu_ms"] for package in packages)
    print(f"init by package, {whole:.0f} ms in all (Python {lab.python_version})")
    for package in packages[:25]:
        print(f"  {package['cpu_ms']:7.1f}  {package['cpu_ms'] / whole:4.0%}  {package['name']}")
    print("modules by their own time, wall ms")
    for name, ms in modules[:25]:
        print(f"  {ms:7.1f}  {name}")
    return 0
