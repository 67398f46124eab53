"""The simulator beside others: SimFaaS on SimFaaS's own example, and SimPy beside our heap on one small model.

One rule: each round runs all of them one after the other, on fresh seeds, and what they found is compared before how
long they took.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.avalanche import peers
from benchmarks.avalanche.distributions import Exponential
from benchmarks.avalanche.known_queues import FREE_QUOTAS, FREE_TABLE, NOTHING, bare_function
from benchmarks.avalanche.parameters import Gateway, Mapping, Parameters, Queue, Traffic
from benchmarks.avalanche.simulation import simulate
from benchmarks.measure import Ratio, paired_ratio
from local.installation import ROOT

PEERS = ROOT / ".build" / "avalanche-peers"
# SimFaaS's README: 1,213 cold starts of 898,469 requests, and 1.7879 instances at work on the average.
PUBLISHED = {"cold_share": 1213 / 898_469, "running": 1.7879}
_MS = 1000.0
# Student's t, two-sided, 99 %, by the number of pairs.
_T99 = {3: 9.925, 5: 4.604, 10: 3.250}


class PeersMissingError(RuntimeError):
    """The peers are not installed."""


def peer(name: str, count: int, seed: int) -> dict[str, Any]:
    """What one peer found and how long it took, in a process of its own. Raises PeersMissingError."""
    if not (PEERS / "simfaas").exists():
        raise PeersMissingError("SimFaaS and SimPy are not there: make avalanche-simulation installs them")
    done = subprocess.run(
        [sys.executable, Path(peers.__file__), name, str(count), str(seed)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PEERS)},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def simfaas_example(requests: int) -> Parameters:
    """SimFaaS's example: requests at random moments, one an environment, cold where none is idle."""
    function = bare_function(Exponential(_MS * peers.COLD), Exponential(_MS * peers.WARM))
    return Parameters(
        Traffic(requests, requests, gaps=Exponential(_MS / peers.RATE)),
        replace(function, idle_seconds=peers.IDLE),
        Queue(visibility_timeout_seconds=900.0, sends_per_second=0.0),
        Mapping(batch_size=1, growth=False, receive_ms=NOTHING, delete_ms=NOTHING),
        gateway=Gateway(NOTHING),
        table=FREE_TABLE,
        quotas=FREE_QUOTAS,
        horizon_seconds=10 * requests / peers.RATE,
    )


def ours(requests: int, seed: int) -> dict[str, Any]:
    """The same example through our core; the same figures as `peer`."""
    parameters = simfaas_example(requests)
    begun = time.process_time()
    result = simulate(parameters, seed)
    seconds = time.process_time() - begun
    return {
        "requests": requests,
        "cpu_seconds": seconds,
        "cold_share": result.cold_share,
        "running": float(result.arrays.duration.sum()) / 1e6 / result.completion_seconds,
    }


def beside_simfaas(requests: int, rounds: int) -> dict[str, Any]:
    """Rounds of both, the ratio of their CPU times a request, and by how much what they found differs."""
    pairs = [(ours(requests, seed), peer("simfaas", requests, seed)) for seed in range(1, rounds + 1)]
    mine, theirs = ([one["cpu_seconds"] / one["requests"] for one in side] for side in zip(*pairs, strict=True))
    document: dict[str, Any] = {
        "requests": requests,
        "rounds": rounds,
        "version": pairs[0][1]["version"],
        "published": PUBLISHED,
        "us_a_request": {"ours": 1e6 * statistics.median(mine), "simfaas": 1e6 * statistics.median(theirs)},
        "ratio": _ratio(paired_ratio(mine, theirs)),
    }
    for figure in PUBLISHED:
        values = [[one[figure] for one in side] for side in zip(*pairs, strict=True)]
        document[figure] = {
            "ours": statistics.mean(values[0]),
            "simfaas": statistics.mean(values[1]),
            "outside": outside(values[0], values[1]),
        }
    return document


def outside(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the 99 % confidence interval of the mean difference of paired rounds leaves 0 out."""
    differences = [a - b for a, b in zip(one, other, strict=True)]
    half = _T99[len(differences)] * statistics.stdev(differences) / math.sqrt(len(differences))
    return abs(statistics.mean(differences)) > half


def heap_beside_simpy(batches: int, rounds: int) -> dict[str, Any]:
    """One small model on both, which must end at the same moment, and the ratio of their CPU times."""
    pairs = [(peer("simpy", batches, seed), peer("heap", batches, seed)) for seed in range(1, rounds + 1)]
    if any(simpy["ended"] != heap["ended"] for simpy, heap in pairs):
        raise AssertionError(f"one model, two ends: {pairs}")
    theirs, mine = ([1e6 * one["cpu_seconds"] / one["batches"] for one in side] for side in zip(*pairs, strict=True))
    return {
        "batches": batches,
        "rounds": rounds,
        "version": pairs[0][0]["version"],
        "us_a_batch": {"simpy": statistics.median(theirs), "heap": statistics.median(mine)},
        "ratio": _ratio(paired_ratio(theirs, mine)),
    }


def _ratio(ratio: Ratio) -> dict[str, float]:
    return {"p50": ratio.median, "low": ratio.low, "high": ratio.high}
