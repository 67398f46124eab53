"""The local system's own cost: `python -m benchmarks.local_system [--idle-seconds 20]`.

What is measured is the host, not the function: a busy machine shows in every row, so run it alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Bar, new_record, write_record
from local.installation import ROOT
from local.process_group import processes_in_group
from local.runtime_api import usage
from local.system import LocalSystem

EMPTY = "def lambda_handler(event, context):\n    return event\n"
INVOCATIONS = 500
CONCURRENCY = 4


def warm_invocation_ms(system: LocalSystem) -> float:
    """Median time from handing an event over until its answer is in, the runtime client's own share included.

    So the Runtime API's own time is at most this.
    """
    times = []
    for number in range(INVOCATIONS):
        event = json.dumps({"number": number}).encode()
        begun = time.perf_counter_ns()
        outcome = system.invoke(event)
        times.append((time.perf_counter_ns() - begun) / 1e6)
        if outcome.payload != event:
            raise SystemExit(f"the function answered {outcome.payload!r} to {event!r}")
    return statistics.median(times)


def idle_cpu_percent(system: LocalSystem, seconds: float) -> float:
    """CPU time of every process of the system while nothing is sent, in % of one core."""

    def spent_ms() -> float:
        children = [usage(pid).cpu_ms or 0.0 for pid in processes_in_group(system.processes.group_id)]
        return sum(children) + time.process_time() * 1000

    before = spent_ms()
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        time.sleep(0.5)
        system.check()
    return (spent_ms() - before) / ((time.monotonic() - begun) * 10)


def environment_memory_mb(system: LocalSystem) -> float:
    """Peak resident memory of an environment of the real function after a full batch and some more."""
    payments = [
        {
            "payment_id": f"pay-{number}",
            "order_id": f"ord-{number}",
            "customer_id": "cust-1",
            "amount": 25.99,
            "payment_method": "credit_card",
        }
        for number in range(10)
    ]
    records = [
        {"messageId": f"m-{number}", "body": json.dumps(each), "attributes": {"MessageGroupId": "g"}}
        for number, each in enumerate(payments)
    ]
    outcomes = [system.invoke(json.dumps({"Records": records}).encode()) for _ in range(20)]
    answer = json.loads(outcomes[-1].payload)
    if answer["body"]["processed"] != 10:
        raise SystemExit(f"the function answered {answer}")
    return max(outcome.memory_peak_bytes or 0 for outcome in outcomes) / 2**20


def ready_seconds() -> float:
    """From typing `python -m local up` until its export lines, everything installed already, the package built anew."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    else:
        raise SystemExit("local up did not come up")
    seconds = time.monotonic() - begun
    process.terminate()
    process.communicate()
    return seconds


def main() -> int:
    """Measure, print the bars, write a record; 1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local_system", description=__doc__)
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="how long to watch the idle system")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "handler.py").write_text(EMPTY)
        with LocalSystem(package=Path(folder), concurrency=CONCURRENCY, mapping="none") as system:
            warm_ms = warm_invocation_ms(system)
    with LocalSystem(concurrency=CONCURRENCY) as system:
        memory_mb = environment_memory_mb(system)
        assert system.pool is not None
        system.pool.warm(CONCURRENCY)
        time.sleep(1.0)
        idle_percent = idle_cpu_percent(system, options.idle_seconds)
    bars = [
        Bar("local_warm_invocation_p50_ms", warm_ms, 2.0),
        Bar("local_idle_cpu_percent", idle_percent, 3.0),
        Bar("local_environment_memory_mb", memory_mb, 100.0),
        Bar("local_up_ready_seconds", ready_seconds(), 10.0),
    ]
    for bar in bars:
        print(bar)
    record = new_record("local_system.json")
    write_record(record, {"bars": [bar.as_document() for bar in bars]})
    print(f"recorded in {record.relative_to(ROOT)}")
    return 0 if all(bar.ok for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
