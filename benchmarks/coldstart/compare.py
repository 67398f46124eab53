"""Two records of the lab side by side: what changed, by how much, and whether that is more than noise.

The rule: a process is one sample, whatever was measured in it; all verdicts of a comparison together are wrong once in
twenty times; and a difference that what cannot have changed, the empty handler, shows too is no difference.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import Ratio, unpaired_ratio

_FIGURES = ("init_cpu_ms", "first_invocation_ms", "warm_ms")
# One handler under two names.
_EMPTY = ("empty", "empty again (A/A)")
_WRONG_ONCE_IN = 20


class Difference(NamedTuple):
    """A figure of a row in two records: after/before, None where the samples are too few to tell; `beyond` noise."""

    row: str
    figure: str
    samples: tuple[int, int]
    ratio: Ratio | None
    beyond: bool

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return "too few samples to tell"
        if not self.beyond:
            return "no difference"
        return "worse" if self.ratio.median > 1 else "better"


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    """Every row and figure that both records sampled."""
    one, other = _figures(before), _figures(after)
    both = sorted(one.keys() & other.keys())
    noise = _noise(one, other)
    # A verdict may be wrong on either side of its interval, and there is one for each of them.
    level = 1 - 1 / (_WRONG_ONCE_IN * max(1, len(both)))
    found = []
    for row, figure in both:
        values, base = other[row, figure], one[row, figure]
        ratio = unpaired_ratio(values, base, level)
        beyond = ratio is not None and (ratio.low > 1 + noise or ratio.high < 1 / (1 + noise))
        found.append(Difference(row, figure, (len(base), len(values)), ratio, beyond))
    return found


def _figures(record: dict[str, Any]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for sample in record["samples"]:
        if sample["error"]:
            continue
        cell = sample["cell"]
        name = name_of(cell)
        for figure in _FIGURES:
            value = sample[figure]
            # The warm invocations of a process share whatever befell it.
            one = statistics.median(value) if value and isinstance(value, list) else value
            # Invocations outside a quota are no figure of any memory size.
            if one and (figure == "init_cpu_ms" or cell["memory_size"]):
                found.setdefault((name, figure), []).append(one)
    return found


def name_of(cell: dict[str, Any]) -> str:
    """What a row is called; records of before have neither batches nor waits."""
    parts = [
        cell["variant"],
        "" if cell["stress_mode"] == "none" else "stress",
        f"{cell['memory_size']} MB" if cell["memory_size"] else "",
        "repeated" if cell.get("repeated") else "",
        f"{cell['messages']} messages" if cell.get("messages", 1) > 1 else "",
        "waiting" if cell.get("waits") else "",
    ]
    return " ".join(part for part in parts if part)


def _noise(*records: dict[tuple[str, str], list[float]]) -> float:
    """How far the empty handler may lie from itself, within a record and between them, relative."""
    pairs = [[record.get((name, "init_cpu_ms"), []) for name in _EMPTY] for record in records]
    pairs.append([one + other for one, other in pairs])
    ratios = [unpaired_ratio(one, other) for one, other in pairs]
    return max((max(ratio.high, 1 / ratio.low) - 1 for ratio in ratios if ratio is not None), default=0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the differences; 1 where one that is beyond noise is worse than `--fail-above`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--fail-above", type=_percent, default=None, help="such as 10%%")
    options = parser.parse_args(arguments)
    try:
        before, after = (json.loads(path.read_text()) for path in (options.before, options.after))
        found = differences(before, after)
    except (OSError, ValueError, KeyError) as error:
        print(f"not two records of the lab: {error!r}", file=sys.stderr)
        return 2
    if before["machine"]["processor"] != after["machine"]["processor"]:
        print(
            f"other processors: {before['machine']['processor']} and {after['machine']['processor']}", file=sys.stderr
        )
    failed = False
    for one in found:
        by = one.ratio.median - 1 if one.ratio is not None and one.verdict == "worse" else 0.0
        worse = options.fail_above is not None and by > options.fail_above
        failed = failed or worse
        samples = f"{one.samples[0]}/{one.samples[1]}"
        ratio = "" if one.ratio is None else str(one.ratio)
        print(f"{one.row:44} {one.figure:20} {samples:>7} {ratio:24} {one.verdict}{' FAILED' if worse else ''}")
    return int(failed)


def _percent(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage, such as 10%") from error
