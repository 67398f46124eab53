"""Two records of the lab side by side: what changed, by how much, and whether that is more than noise.

The rule: a difference inside the noise of the two records' own A/A rows is printed as no difference.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Ratio, unpaired_ratio

_FIGURES = ("init_cpu_ms", "first_invocation_ms", "warm_ms")


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, Ratio, bool]]:
    """(row, figure, ratio after/before, beyond noise) of every row and figure that both records sampled."""
    noise = max(_noise(before), _noise(after))
    found = []
    one, other = _figures(before), _figures(after)
    for key in one.keys() & other.keys():
        ratio = unpaired_ratio(other[key], one[key])
        beyond = (ratio.low > 1 + noise) or (ratio.high < 1 - noise)
        found.append((*key, ratio, beyond))
    return sorted(found, key=lambda entry: (entry[0], entry[1]))


def _figures(record: dict[str, Any]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for sample in record["samples"]:
        if sample["error"]:
            continue
        cell = sample["cell"]
        size = f" {cell['memory_size']} MB" if cell["memory_size"] else ""
        name = f"{cell['variant']}{'' if cell['stress_mode'] == 'none' else ' stress'}{size}"
        for figure in _FIGURES:
            value = sample[figure]
            values = value if isinstance(value, list) else [value]
            # Invocations outside a quota are no figure of any memory size.
            if figure == "init_cpu_ms" or cell["memory_size"]:
                found.setdefault((name, figure), []).extend(one for one in values if one)
    return {key: values for key, values in found.items() if values}


def _noise(record: dict[str, Any]) -> float:
    """How far the medians of two equal variants lie apart, relative."""
    cells: dict[str, list[float]] = {"empty": [], "empty again (A/A)": []}
    for sample in record["samples"]:
        if sample["cell"]["variant"] in cells and not sample["error"]:
            cells[sample["cell"]["variant"]].append(sample["init_cpu_ms"])
    one, other = cells.values()
    return abs(statistics.median(one) / statistics.median(other) - 1) if one and other else 0.0


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
    for row, figure, ratio, beyond in found:
        worse = options.fail_above is not None and beyond and ratio.median > 1 + options.fail_above
        failed = failed or worse
        verdict = ("worse" if ratio.median > 1 else "better") if beyond else "no difference"
        print(f"{row:44} {figure:20} {ratio!s:24} {verdict}{' FAILED' if worse else ''}")
    return int(failed)


def _percent(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage, such as 10%") from error
