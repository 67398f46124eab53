"""What the screening view costs: a typical payment against a build from before, and the worst texts by themselves.

The rule: both builds screen the same payments side by side in every round, each with its own built-in table.
"""

import importlib.util
import random
import statistics
import time
from pathlib import Path
from types import ModuleType

from benchmarks.measure import Bar, paired_ratio
from scoring import _compiled, _pure
from scoring import table as table_module
from scoring.kernel import Engine
from scoring.model import FIELDS
from scoring.screening_view_table import FOLDS
from scoring.table import open_table

# One payment in ten has letters with accents.
_NAMES = (
    *("John Smith", "Maria Garcia", "Wei Chen", "Olivia Brown", "Ahmed Hassan", "Anna Kowalska", "Liam O'Connor"),
    *("Priya Sharma", "Jean-Luc Martin", "José Núñez"),
)
TYPICAL = [
    (
        f"order-2026-{i:06d}",
        f"cust-{48_213 + i}",
        name,
        f"{name.split()[0].lower()}.{i}@example.com" if name.isascii() else "jose@example.com",
        f"{i + 1} x Wireless Mouse, 1 x Keyboard (UK), gift wrapping"
        if name.isascii()
        else "2 Cafés crème, 250 g, à emporter",
        "credit_card",
        f"{100 + i} Main Street, Apt. {i}",
        "Seattle",
        "WA",
        "98101-1234",
    )
    for i, name in enumerate(_NAMES)
]
CALLS = 30  # in a sample
WORST_BYTES = 250_000


def _build(folder: Path) -> tuple[ModuleType, ModuleType]:
    """The compiled engine and the table module of another checkout, beside this one's."""

    def load(name: str, path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None or not path.exists():
            raise FileNotFoundError(f"{path}: build that checkout's extension first (make setup)")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load("before._compiled", folder / "scoring" / "_compiled.abi3.so"), load(
        "before_table", folder / "scoring" / "table.py"
    )


def compare_with(folder: Path, rounds: int) -> list[Bar]:
    """Screening ten typical payments, as a ratio to the build in `folder`, a checkout of before."""
    before, before_table = _build(folder)
    ways = {
        "now": (_compiled, open_table()),
        "before": (before, before_table.open_table()),
        "before again": (before, before_table.open_table()),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    shuffled = random.Random(1)
    for _ in range(rounds):
        for name in shuffled.sample(list(ways), len(ways)):
            engine, table = ways[name]
            start = time.thread_time_ns()
            for _ in range(CALLS):
                engine.screen(table, TYPICAL)
            times[name].append((time.thread_time_ns() - start) / CALLS)
    ratio, same = paired_ratio(times["now"], times["before"]), paired_ratio(times["before again"], times["before"])
    print(
        f"ten typical payments: {statistics.median(times['now']):,.0f} ns, {ratio} x before (format "
        f"{before_table.FORMAT_VERSION}; now {table_module.FORMAT_VERSION}), A/A {same}"
    )
    return [Bar("screening_typical_payment_to_before", ratio.median, 1.15)]


def worst_texts() -> dict[str, bytes]:
    """Texts of WORST_BYTES: what costs each part of screening most, by name."""
    table = open_table()
    literals = [table.rule_at(i).literal for i in range(table.rule_count)]
    starts = [literal[:4] for literal in literals]
    patterns = {
        "one_letter": b"a",
        "commonest_start": max(starts, key=starts.count),
        "all_literals": b" ".join(literals),
        "one_literal": b"gift card ",
        "nearly_a_literal": b"gift car",
        "gaps": b" -\t",
        "look_alikes": "g\u0456ft c\u0430rd\u2003".encode(),
        "every_fold": "".join(chr(int(codes.split("-")[0].split()[0], 16)) for _, codes in FOLDS).encode(),
        "vanishing": "\u200b".encode(),
        "accents": "\u00e9".encode(),
        "emoji": "a\U0001f381".encode(),
        "no_utf8": b"\xff",
        "cut_utf8": b"\xe2\x80",
        "labels": b"a@" + b"a." * (WORST_BYTES // 2),
        "dots": b"a@" + b"." * WORST_BYTES,
        "ats": b"@a.",
    }
    return {name: (pattern * (WORST_BYTES // len(pattern) + 1))[:WORST_BYTES] for name, pattern in patterns.items()}


def measure_worst_texts(rounds: int) -> list[Bar]:
    """The slowest of the worst texts in the slowest field, CPU milliseconds at full speed, by engine."""
    table, bars = open_table(), []
    engines: tuple[tuple[str, Engine, float], ...] = (("compiled", _compiled, 100.0), ("pure", _pure, 1000.0))
    for name, engine, limit in engines:
        slowest = (0.0, "", "")
        for kind, text in worst_texts().items():
            for number, field in enumerate(FIELDS):
                payment = [b""] * number + [text]
                samples = []
                for _ in range(rounds if name == "compiled" else 1):
                    start = time.thread_time_ns()
                    engine.screen(table, [payment])
                    samples.append((time.thread_time_ns() - start) / 1e6)
                slowest = max(slowest, (statistics.median(samples), kind, field))
        print(f"{WORST_BYTES // 1000} KB of the worst text, {name}: {slowest[0]:.2f} ms ({slowest[1]} in {slowest[2]})")
        bars.append(Bar(f"screening_250kb_worst_{name}_ms", slowest[0], limit))
    return bars
