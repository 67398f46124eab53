"""From measured rows to a memory size: the cheapest, the fastest, and the one between them that a person asks for.

The rule: a recommendation is computed from rows of one record and names the share of cold starts that it holds for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import tradeoff
from benchmarks.coldstart.prices import billed


@dataclass(frozen=True)
class Choice:
    """One memory size under a share of cold starts: mean latency in ms, USD a million payments by architecture."""

    memory_size: int
    latency_ms: float
    usd_per_million: dict[str, float]


def choices(
    rows: Sequence[dict[str, Any]],
    prices: dict[str, Any],
    *,
    engine: str,
    support: str,
    cold_share: float,
    waits_ms: float = 0.0,
) -> list[Choice]:
    """Every memory size that was measured for the packaged function of one engine and support, ascending.

    One payment an invocation, of which each waits for others `waits_ms` beside what the row took with answers at once.
    Raises ValueError where nothing was measured, or the share is not within 0..1.
    """
    if not 0 <= cold_share <= 1:
        raise ValueError(f"the share of cold starts is {cold_share}: it must be within 0 and 1")
    found = []
    for row in rows:
        wanted = (row["engine"], row["support"], row["package"]) == (engine, support, "packaged")
        plain = (row["stress_mode"], row["messages"], row["waits"]) == ("none", 1, False)
        if not wanted or not plain or row["memory_size"] is None or row["warm_ms"]["p50"] is None:
            continue
        waiting = {
            **row,
            "warm_ms": {"p50": row["warm_ms"]["p50"] + waits_ms},
            "first_invocation_ms": {"p50": row["first_invocation_ms"]["p50"] + waits_ms},
        }
        cold_ms = waiting["init_ms"]["p50"] + waiting["first_invocation_ms"]["p50"]
        latency_ms = cold_share * cold_ms + (1 - cold_share) * waiting["warm_ms"]["p50"]
        cold_billed, warm_billed = billed(waiting)
        billed_ms = cold_share * (cold_billed or 0) + (1 - cold_share) * (warm_billed or 0)
        gb = row["memory_size"] / 1024
        usd = {
            architecture: prices["lambda"]["requests_per_million"] + 1e6 * gb * price * billed_ms / 1000
            for architecture, price in prices["lambda"]["gb_second"].items()
        }
        found.append(Choice(row["memory_size"], latency_ms, usd))
    if not found:
        raise ValueError(f"no row of the {engine} engine has invocations: run the lab with --memory")
    return sorted(found, key=lambda choice: choice.memory_size)


def cheapest_by_waits(
    rows: Sequence[dict[str, Any]], prices: dict[str, Any], waits_ms: Sequence[int] = range(1_001), **of: Any
) -> list[tuple[int, int]]:
    """From how many milliseconds of waiting a payment on which memory size is the cheapest, by rising waits."""
    found: list[tuple[int, int]] = []
    for waits in waits_ms:
        choice = recommend(choices(rows, prices, waits_ms=waits, **of), 0.0)
        if not found or found[-1][1] != choice.memory_size:
            found.append((waits, choice.memory_size))
    return found


def recommend(found: Sequence[Choice], balance: float, architecture: str = "arm64") -> Choice:
    """`balance` 0 takes the cheapest, 1 the fastest; between, the least weighted distance from both.

    Cost and latency are each scaled to 0..1 over the choices, so that neither unit decides.
    """
    return tradeoff.balanced(found, _figures(architecture), balance)


def frontier(found: Sequence[Choice], architecture: str = "arm64") -> list[Choice]:
    """The choices that no other beats in both cost and latency, by rising cost."""
    return tradeoff.frontier(found, _figures(architecture))


def _figures(architecture: str) -> Callable[[Choice], tuple[float, float]]:
    return lambda choice: (choice.usd_per_million[architecture], choice.latency_ms)
