"""What every benchmark here shares: paired ratios with an interval, bars, the machine's description, records.

The rule: figures are ratios of samples taken side by side, with the noise that an A/A pair shows; no absolute time is
ever judged.
"""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import random
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

RECORDS = Path(__file__).resolve().parent / "record"
_RESAMPLES = 2000


class Ratio(NamedTuple):
    """Median of the rounds' ratios and its bootstrap 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def paired_ratio(values: Sequence[float], base: Sequence[float], seed: int = 1) -> Ratio:
    """`values[i] / base[i]` over rounds i; what one round lacks is left out. Raises ValueError where no pair is left.

    Source: percentile bootstrap of the median (Efron and Tibshirani, "An Introduction to the Bootstrap", ch. 13).
    """
    ratios = [value / other for value, other in zip(values, base, strict=False) if other]
    if not ratios:
        raise ValueError("no round has both samples")
    draw = random.Random(seed)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLES))
    return Ratio(statistics.median(ratios), medians[round(0.025 * _RESAMPLES)], medians[round(0.975 * _RESAMPLES) - 1])


def unpaired_ratio(values: Sequence[float], base: Sequence[float], level: float = 0.95) -> Ratio | None:
    """How many times as large one set of samples is as another that shares no rounds with it, with its exact interval.

    The median of all ratios of a sample to a sample, and those between which rank statistics put it at `level` whatever
    the distribution. None where there are too few samples for that level: six on each side for 0.997, two for none.
    Source: Hodges and Lehmann's shift with Mann and Whitney's distribution (Hollander and Wolfe, "Nonparametric
    Statistical Methods", 4.3), on logarithms.
    """
    ratios = sorted(value / other for value in values for other in base)
    outside = _rank_sum_quantile(len(values), len(base), (1 - level) / 2)
    if outside < 0:
        return None
    return Ratio(statistics.median(ratios), ratios[outside], ratios[-1 - outside])


@functools.cache
def _rank_sum_quantile(one: int, other: int, probability: float) -> int:
    """The largest u with P(U <= u) <= probability under Mann and Whitney's distribution; -1 where not even 0 has it."""
    pairs = one * other
    if pairs > 900:
        deviation = math.sqrt(pairs * (one + other + 1) / 12)
        return math.floor(pairs / 2 - 0.5 + statistics.NormalDist().inv_cdf(probability) * deviation)
    # How many of the orders of all samples have as many inversions: a product of polynomials, term by term.
    counts = [1] + [0] * pairs
    for size in range(1, one + 1):
        for place in range(pairs, other + size - 1, -1):
            counts[place] -= counts[place - other - size]
        for place in range(size, pairs + 1):
            counts[place] += counts[place - size]
    total, below = math.comb(one + other, one), 0
    for u, count in enumerate(counts):
        below += count
        if below > probability * total:
            return u - 1
    return -1


@dataclass(frozen=True)
class Bar:
    """One promise of an issue: what was measured against its limit. Prints as `bar NAME measured limit ok|missed`."""

    name: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def ok(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        relation = ">=" if self.at_least else "<="
        # A count is exact.
        shown = [f"{value}" if isinstance(value, int) else f"{value:.4g}" for value in (self.measured, self.limit)]
        return f"bar {self.name} {shown[0]} {relation}{shown[1]} {'ok' if self.ok else 'missed'}"

    def as_document(self) -> dict[str, Any]:
        # Nothing was measured where a ratio has no samples: JSON knows no infinity.
        measured = self.measured if math.isfinite(self.measured) else None
        return {"name": self.name, "measured": measured, "limit": self.limit, "ok": self.ok, "row": str(self)}


def machine() -> dict[str, Any]:
    """The processor, system and Python of this machine; no host name and no path."""
    model = platform.processor() or platform.machine()
    flags: list[str] = []
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    if found := re.search(r"model name\s*:\s*(.+)", text):
        model = found[1].strip()
    if found := re.search(r"(?:flags|Features)\s*:\s*(.+)", text):
        flags = [flag for flag in found[1].split() if flag in ("sha_ni", "avx2", "avx512f", "sha2", "asimd")]
    return {
        "processor": model,
        "instructions": flags,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
    }


def available_mb() -> int | None:
    """Memory that is not in use on this machine; None where it cannot be read."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) // 1024 for line in text.splitlines() if line.startswith("MemAvailable:"))


def new_record(name: str) -> Path:
    """A fresh folder `<date>-<processor>[-n]` with `name` still free in it; records are never overwritten."""
    slug = re.sub(r"[^a-z0-9]+", "-", machine()["processor"].lower()).strip("-")[:32]
    stem = f"{datetime.now(UTC):%Y-%m-%d}-{slug}"
    for number in range(1, 1000):
        folder = RECORDS / (stem if number == 1 else f"{stem}-{number}")
        if not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            return folder / name
    raise FileExistsError(f"{RECORDS} holds a thousand records named {name} of today: move them away")


def write_record(path: Path, document: dict[str, Any]) -> None:
    """Write one JSON record with the machine and the moment in it."""
    whole = {"machine": machine(), "at": datetime.now(UTC).isoformat(timespec="seconds"), **document}
    path.write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")
