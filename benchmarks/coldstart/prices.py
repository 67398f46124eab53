"""Prices as data with their date, and what an invocation costs at them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PRICES = Path(__file__).resolve().parent.parent / "prices.json"
INIT_MS_MAX = 10_000.0


def read_prices() -> dict[str, Any]:
    prices: dict[str, Any] = json.loads(PRICES.read_text())
    return prices


def costs(row: dict[str, Any], prices: dict[str, Any], architecture: str = "arm64") -> dict[str, float | None]:
    """USD of a million cold and a million warm invocations of one payment each; INIT is billed (since 2025-08-01)."""
    memory_size = row["memory_size"]
    init, first, warm = (row[name]["p50"] for name in ("init_ms", "first_invocation_ms", "warm_ms"))
    cold = None if init is None or first is None else min(init, INIT_MS_MAX) + first
    return {
        "usd_per_million_cold": _per_million(cold, memory_size, prices, architecture),
        "usd_per_million_warm": _per_million(warm, memory_size, prices, architecture),
    }


def _per_million(ms: float | None, memory_size: int | None, prices: dict[str, Any], architecture: str) -> float | None:
    if ms is None or memory_size is None:
        return None
    per_ms = prices["lambda"]["gb_second"][architecture] * memory_size / 1024 / 1000
    return float(prices["lambda"]["requests_per_million"] + 1e6 * per_ms * ms)
