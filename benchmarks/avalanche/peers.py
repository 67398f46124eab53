"""SimFaaS and SimPy, each on a small model, and that model on a heap of events as our simulator has one.

It runs in a process of its own, with the peers' folder on its path, and prints one JSON object. The rule it keeps: what
SimFaaS imports to draw pictures and tables (matplotlib, scipy, pandas: 300 MB) is left out, since no simulation uses
it; what it simulates with is as it is.
"""

import importlib.metadata
import json
import random
import sys
import time
from collections.abc import Iterator
from heapq import heappop, heappush
from types import ModuleType
from typing import Any

# SimFaaS's own example (its README): seconds of a warm and of a cold request, requests a second, idle seconds.
WARM, COLD, RATE, IDLE = 1.991, 2.244, 0.9, 600.0
_RECEIVE, _DELETE, _SLOTS = 0.010, 0.010, 50


def simfaas(requests: int, seed: int) -> dict[str, float]:
    """Its example over as many requests; CPU seconds, share of cold starts, running and living instances."""
    for name in ("matplotlib", "matplotlib.pyplot", "pandas", "scipy", "scipy.stats"):
        sys.modules[name] = ModuleType(name)
    stats: Any = sys.modules["scipy.stats"]
    stats.expon = stats.poisson = stats.norm = None
    import numpy
    from simfaas.ServerlessSimulator import ServerlessSimulator

    numpy.random.seed(seed)
    simulator = ServerlessSimulator(
        arrival_rate=RATE,
        warm_service_rate=1 / WARM,
        cold_service_rate=1 / COLD,
        expiration_threshold=IDLE,
        max_time=requests / RATE,
    )
    begun = time.process_time()
    simulator.generate_trace()
    seconds = time.process_time() - begun
    return {
        "requests": simulator.total_req_count,
        "cpu_seconds": seconds,
        "cold_share": simulator.total_cold_count / simulator.total_req_count,
        "running": float(simulator.get_average_server_running_count()),
        "instances": float(simulator.get_average_server_count()),
    }


def draws(batches: int, seed: int) -> list[float]:
    """How long each batch of the small model runs, the last one first."""
    draw = random.Random(seed)
    return [draw.expovariate(1.0) for _ in range(batches)]


def simpy(batches: int, seed: int) -> dict[str, float]:
    """Fifty pollers, each of which receives, runs and deletes a batch at a time, as SimPy's page would have it."""
    from simpy import Environment

    left = draws(batches, seed)
    environment = Environment()

    def poller() -> Iterator[Any]:
        while left:
            takes = left.pop()
            yield environment.timeout(_RECEIVE)
            yield environment.timeout(takes)
            yield environment.timeout(_DELETE)

    begun = time.process_time()
    for _ in range(_SLOTS):
        environment.process(poller())
    environment.run()
    return {"batches": batches, "cpu_seconds": time.process_time() - begun, "ended": environment.now}


def heap(batches: int, seed: int) -> dict[str, float]:
    """The same with one heap of (moment, number, what happens)."""
    left = draws(batches, seed)
    events: list[tuple[float, int, Any, float]] = []
    now, made = 0.0, 0

    def at(moment: float, happen: Any, takes: float) -> None:
        nonlocal made
        made += 1
        heappush(events, (moment, made, happen, takes))

    def receive(_: float) -> None:
        if left:
            at(now + _RECEIVE, run, left.pop())

    def run(takes: float) -> None:
        at(now + takes, delete, takes)

    def delete(_: float) -> None:
        at(now + _DELETE, receive, 0.0)

    begun = time.process_time()
    for _ in range(_SLOTS):
        receive(0.0)
    while events:
        now, _, happen, takes = heappop(events)
        happen(takes)
    return {"batches": batches, "cpu_seconds": time.process_time() - begun, "ended": now}


def main() -> None:
    """`NAME COUNT SEED`: one of the three."""
    name, count, seed = sys.argv[1:]
    found = {"simfaas": simfaas, "simpy": simpy, "heap": heap}[name](int(count), int(seed))
    version = {} if name == "heap" else {"version": importlib.metadata.version(name)}
    print(json.dumps(found | version))


if __name__ == "__main__":
    main()
