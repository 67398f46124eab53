"""Where the CPU time of a warm payment goes, a row a step, in one process of the packaged function on the lean support.

`make profile-payment` prints it; the lab keeps it with its record. The rule: a step is charged with its own time and
not with that of the steps inside it, so that the rows add up to the whole; payments are verified like any sample's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.coldstart.packages import build
from benchmarks.coldstart.plan import shipped
from benchmarks.coldstart.sample import LabError
from benchmarks.coldstart.sampling import Lab

REST = "the rest: decisions, items, the batch"
# Each step by what it calls: a function of a module, or a method of a class of it.
STEPS = {
    "parse, mask, validate": ("handler.queue_function:read",),
    "score": ("handler.adapters.fraud:TableFraudScoring.score_batch",),
    "expressions and items of the table": (
        "handler.adapters.table.transaction_log:DynamoDbTransactionLog.put_new",
        "handler.adapters.table.transaction_log:DynamoDbTransactionLog.store_gateway_ref",
        "handler.adapters.table.transaction_log:DynamoDbTransactionLog.record",
    ),
    "AWS JSON": ("handler.adapters.support.lean.clients:Client._call",),
    "signatures": ("handler.adapters.support.lean.clients:Client._signed",),
    "forms and answers of the gateway": (
        "handler.adapters.gateways.stripe:StripeGateway.prepare",
        "handler.adapters.gateways.stripe:StripeGateway.charge",
    ),
    "HTTP and TLS": ("handler.adapters.connection:Peer.exchange",),
    "log lines": ("logging:Logger._log",),
    "metric lines": ("handler.adapters.support.lean.telemetry:EmbeddedMetrics.flush_metrics",),
}
# Payments of one process; those before them warm it up.
_PAYMENTS, _BEFORE = 100, 20
_PROGRAM = f"""
import importlib, json, sys, time
from collections import Counter
steps, before, batches = json.load(sys.stdin)
spent, inside = Counter(), []

def timed(step, call):
    def measured(*given, **named):
        begun = time.process_time()
        inside.append(0.0)
        try:
            return call(*given, **named)
        finally:
            took = time.process_time() - begun
            spent[step] += took - inside.pop()
            if inside:
                inside[-1] += took
    return measured

for step, calls in steps.items():
    for call in calls:
        module, _, path = call.partition(":")
        *owner, name = path.split(".")
        holder = importlib.import_module(module)
        for each in owner:
            holder = getattr(holder, each)
        setattr(holder, name, timed(step, getattr(holder, name)))
from handler import lambda_handler
work = timed({REST!r}, lambda_handler)
for number, batch in enumerate(batches):
    if number == before:
        spent.clear()
    assert not work(batch, {{}})["batchItemFailures"]
print("spent", json.dumps({{step: 1000 * seconds / (len(batches) - before) for step, seconds in spent.items()}}))
"""


def profile(lab: Lab, python: str, runs: int = 3) -> list[dict[str, Any]]:
    """Median CPU ms of each step of a payment over `runs` processes, slowest first. Raises LabError."""
    spent = [_of_one_process(lab, python) for _ in range(runs)]
    found = [{"name": step, "cpu_ms": round(statistics.median(one[step] for one in spent), 3)} for step in spent[0]]
    return sorted(found, key=lambda entry: -float(str(entry["cpu_ms"])))


def _of_one_process(lab: Lab, python: str) -> dict[str, float]:
    cell = shipped().function("lean")
    built = build("packaged", "compiled", python, "lean")
    events = [lab.invocation(cell) for _ in range(_BEFORE + _PAYMENTS)]
    done = subprocess.run(
        [str(lab.runtime_python), "-c", _PROGRAM],
        input=json.dumps([STEPS, _BEFORE, [json.loads(invocation.event) for invocation, *_ in events]]),
        cwd=built.folder,
        env={**lab.variables(cell, built, "127.0.0.1:1"), "PYTHONPATH": str(built.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"the payments of the profile failed: {done.stderr[-500:]}")
    captures = lab.services.verify(cell, {payment_id for _, ids, _ in events for payment_id in ids})
    if captures != len(events):
        raise LabError(f"of {len(events)} payments of the profile {captures} were captured")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("spent ")]
    spent: dict[str, float] = json.loads(line.partition(" ")[2])
    if spent.keys() != {*STEPS, REST}:
        raise LabError(f"steps that no payment takes: {', '.join({*STEPS, REST} - spent.keys())}")
    return spent


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the steps of a warm payment on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args(arguments)
    with Lab(options.python, None) as lab:
        steps = profile(lab, options.python)
    whole = sum(step["cpu_ms"] for step in steps)
    print(f"CPU of a warm payment, {whole:.2f} ms in all (Python {lab.python_version})")
    for step in steps:
        print(f"  {step['cpu_ms']:7.3f}  {step['cpu_ms'] / whole:4.0%}  {step['name']}")
    return 0
