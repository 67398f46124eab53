"""Where a cold start goes: CPU time by step and by import, in a fresh bare interpreter with the packaged function.

`make profile-init` prints it; the lab keeps it with its record. Steps are in the order in which init takes them, so a
module that two steps need is charged to the first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.coldstart.packages import Built, build
from benchmarks.coldstart.sampling import Lab

_STEPS = """
import json, os, sys, time
spent, last = [], time.process_time()
def step(name, run):
    global last
    run()
    now = time.process_time()
    spent.append((name, (now - last) * 1000))
    last = time.process_time()
def module(name):
    step("import " + name, lambda: __import__(name))
import gc
gc.disable()
spent.append(("start of the interpreter", time.process_time() * 1000))
last = time.process_time()
module("aws_lambda_powertools.logging")
module("aws_lambda_powertools.metrics")
module("aws_lambda_powertools.utilities.batch")
module("urllib3")
module("botocore.session")
module("handler.domain.process")
module("handler.composition")
module("handler.queue_function")
from botocore.session import get_session
from botocore.config import Config
session = get_session()
def client():
    global dynamodb
    dynamodb = session.create_client("dynamodb", region_name="us-east-1", config=Config(connect_timeout=1))
step("create the DynamoDB client", client)
from scoring.kernel import load_engine
step("choose and test the scoring engine", lambda: load_engine("auto"))
import scoring
from pathlib import Path
from scoring.table import open_table
step("open the rule table", lambda: open_table(Path(scoring.__path__[0], "rules.table")))
def read():
    dynamodb.get_item(TableName="lab", Key={"transaction_id": {"S": "init"}})
step("one read over TLS", read)
print(json.dumps(spent))
"""


def profile(runtime_python: Path, built: Built, endpoint: str, trusted: Path, runs: int = 5) -> list[dict[str, Any]]:
    """Median CPU ms of each step over `runs` fresh processes, in init's order. Raises CalledProcessError."""
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(built.folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CA_BUNDLE": str(trusted),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    spent: dict[str, list[float]] = {}
    for _ in range(runs):
        done = subprocess.run(
            [str(runtime_python), "-c", _STEPS],
            cwd=built.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for name, cpu_ms in json.loads(done.stdout.splitlines()[-1]):
            spent.setdefault(name, []).append(cpu_ms)
    return [{"name": name, "cpu_ms": round(statistics.median(values), 2)} for name, values in spent.items()]


def by_import(runtime_python: Path, built: Built, top: int = 25) -> list[tuple[str, float]]:
    """The modules that took longest in themselves (wall ms, CPython's -X importtime), slowest first."""
    done = subprocess.run(
        [str(runtime_python), "-X", "importtime", "-c", "import handler.queue_function"],
        cwd=built.folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(built.folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = []
    for line in done.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdigit():
            found.append((fields[2].strip(), int(fields[0]) / 1000))
    return sorted(found, key=lambda entry: -entry[1])[:top]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both views of the packaged function's init on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args(arguments)
    with Lab(options.python, None) as lab:
        built = build("packaged", "compiled", options.python)
        steps = profile(lab.runtime_python, built, lab.endpoint, lab.trusted(built))
        modules = by_import(lab.runtime_python, built)
    whole = sum(step["cpu_ms"] for step in steps)
    print(f"init by step, {whole:.0f} CPU ms in all (Python {lab.python_version})")
    for step in steps:
        print(f"  {step['cpu_ms']:7.1f}  {step['cpu_ms'] / whole:4.0%}  {step['name']}")
    print("imports by their own time, wall ms")
    for name, ms in modules:
        print(f"  {ms:7.1f}  {name}")
    return 0
