"""Prices as data with their date, and what an invocation costs at them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

PRICES = Path(__file__).resolve().parent.parent / "prices.json"
INIT_MS_MAX = 10_000.0


def read_prices() -> dict[str, Any]:
    prices: dict[str, Any] = json.loads(PRICES.read_text())
    return prices


def billed(row: dict[str, Any]) -> tuple[float | None, float | None]:
    """Milliseconds that a cold and a warm invocation of a row are billed: whole ones, a cold one's with its init.

    What a REPORT line said (`billed_ms`) counts before what the durations make. Source: "AWS Lambda standardizes
    billing for INIT Phase", in force since 2025-08-01: the sum is rounded up, not its parts.
    """
    if "billed_ms" in row:
        return row["billed_ms"]["cold"], row["billed_ms"]["warm"]
    init, first, warm = (row[name]["p50"] for name in ("init_ms", "first_invocation_ms", "warm_ms"))
    cold = None if init is None or first is None else _whole(min(init, INIT_MS_MAX) + first)
    return cold, None if warm is None else _whole(warm)


def costs(row: dict[str, Any], prices: dict[str, Any], architecture: str = "arm64") -> dict[str, float | None]:
    """USD of a million payments in cold and in warm invocations, by billed time; of the latter what the duration is.

    A row without `messages` has one an invocation.
    """
    memory_size, messages = row["memory_size"], row.get("messages", 1)
    cold, warm = (_per_million(ms, memory_size, prices, architecture) for ms in billed(row))
    requests = prices["lambda"]["requests_per_million"]
    return {
        "usd_per_million_cold": None if cold is None else cold / messages,
        "usd_per_million_warm": None if warm is None else warm / messages,
        "usd_per_million_duration": None if warm is None else (warm - requests) / messages,
    }


def _whole(ms: float) -> int:
    """Rounded up, but for what is left of adding floats."""
    return math.ceil(round(ms, 6))


def _per_million(ms: float | None, memory_size: int | None, prices: dict[str, Any], architecture: str) -> float | None:
    if ms is None or memory_size is None:
        return None
    per_ms = prices["lambda"]["gb_second"][architecture] * memory_size / 1024 / 1000
    return float(prices["lambda"]["requests_per_million"] + 1e6 * per_ms * ms)
