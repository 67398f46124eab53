"""Screening against its peers: `python -m benchmarks screening [--sizes 100,10000] [--all-peers] [--quick]`.

Ten payments of eight fields of about 100 bytes a sample; samples of all candidates are taken side by side in every
round, in CPU time of the thread, because the machine is shared. What a candidate is charged with is what a function
would do per batch: joining, scanning, collecting (field, literal) pairs. All pairs are verified against ahocorasick-rs;
`re` and google-re2 report less than all pairs, so of them the fields with any hit are. Our engines get texts as they
are, and make the screening view; their peers get views that were made before, uncharged, and literals in the same view.
"""

import argparse
import importlib.util
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from benchmarks.measure import Bar, new_record, paired_ratio, write_record
from benchmarks.screening.candidates import PEER, Candidate, Pairs, candidates, timed
from benchmarks.screening.corpus import HOSTILE, PAYMENTS, Corpus, Fields
from benchmarks.screening.view import compare_with, measure_worst_texts
from scoring import _compiled
from scoring.kernel import load_engine
from scoring.model import FIELDS, Payment, Rule
from scoring.screening_view import literal_view, screening_view, words_of
from scoring.table import BUILT_IN, open_table

ROOT = Path(__file__).resolve().parents[2]
SIZES = (100, 10_000, 100_000)
BATCHES = 12
LIMITS = {100: 1.7, 10_000: 1.0, 100_000: 1.0}


def rule_compiler() -> tuple[ModuleType, ModuleType]:
    """The compiler's modules for texts and tables; build/ is no package, so its folder is loaded by path."""
    spec = importlib.util.spec_from_file_location("rule_compiler", ROOT / "build" / "rule_compiler" / "__init__.py")
    if spec is None:
        raise FileNotFoundError("build/rule_compiler")
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    return importlib.import_module("rule_compiler.texts"), importlib.import_module("rule_compiler.compiler")


class Batch(NamedTuple):
    """Fields as they are, and as rules see them, which is what a peer gets."""

    fields: Fields
    seen: Fields

    def for_(self, candidate: Candidate) -> Fields:
        return self.fields if candidate.is_ours else self.seen


def batch(fields: Fields) -> Batch:
    return Batch(fields, [words_of(screening_view(field.encode())).decode() for field in fields])


def sample(candidate: Candidate, batch: Batch) -> float:
    """CPU nanoseconds per 100 bytes of text."""
    fields = batch.for_(candidate)
    start = time.thread_time_ns()
    candidate.search(fields)
    return 100 * (time.thread_time_ns() - start) / sum(map(len, fields))


def verify(name: str, candidate: Candidate, batches: list[Batch], expected: list[Pairs]) -> int:
    """Compare what was found; the number of (field, literal) pairs. Raises ValueError where it differs."""
    found = [candidate.pairs(candidate.search(batch.for_(candidate))) for batch in batches]
    if not candidate.all_pairs:
        found = [{(field, 0) for field, _ in pairs} for pairs in found]
        expected = [{(field, 0) for field, _ in pairs} for pairs in expected]
    if found != expected:
        raise ValueError(f"{name} finds {sum(map(len, found))} pairs where {sum(map(len, expected))} are expected")
    return sum(map(len, found))


def load_ms(code: str) -> float:
    """Median milliseconds that `code` prints, each time from a fresh process; files are in the page cache."""
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout)
        for _ in range(11)
    ]
    return statistics.median(runs)


LOAD_OURS = """
import time
from scoring import _compiled, table
start = time.perf_counter()
_compiled.screen(table.open_table({path!r}), [["a field of a payment"] * 8])
print((time.perf_counter() - start) * 1e3)
"""
LOAD_HYPERSCAN = """
import time
start = time.perf_counter()
import hyperscan
data = open({path!r}, "rb").read()
database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
database.scratch = hyperscan.Scratch(database)
database.scan(b"a field of a payment", match_event_handler=lambda *_: None)
print((time.perf_counter() - start) * 1e3)
"""


def measure_size(size: int, rounds: int, all_peers: bool) -> tuple[list[dict[str, Any]], list[Bar]]:
    texts, compiler = rule_compiler()
    corpus = Corpus(size)
    literals = list(dict.fromkeys(literal_view(literal.encode(), "substring") for literal in corpus.literals))
    sources = [
        texts.Source(Rule(i, "substring", FIELDS, 100, "score", "benchmark", literal), str(i))
        for i, literal in enumerate(literals, 1)
    ]
    data, seconds, _ = timed(lambda: compiler.compile_rules(sources))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.table"
        path.write_bytes(data)
        table = open_table(path)
        rows = list(candidates([literal.decode() for literal in literals], table, seconds, all_peers))
        batches = [batch(corpus.typical()) for _ in range(BATCHES)]
        hostile = {name: [batch(getattr(corpus, name)()) for _ in range(BATCHES)] for name in HOSTILE}
        by_name = dict(rows)
        reference = by_name["ahocorasick-rs"]
        kinds = {"typical": batches, **hostile}
        expected = {kind: [reference.pairs(reference.search(b.seen)) for b in each] for kind, each in kinds.items()}
        counts = {
            name: {kind: verify(f"{name}, {kind}", candidate, fields, expected[kind]) for kind, fields in kinds.items()}
            for name, candidate in rows
            if name != "pure"
        }
        counts["pure"] = {"typical": verify("pure", by_name["pure"], batches[:1], expected["typical"][:1])}

        times: dict[str, list[float]] = {name: [] for name, _ in rows}
        worst: dict[str, dict[str, list[float]]] = {kind: {"compiled": [], PEER: []} for kind in kinds}
        shuffled = random.Random(1)
        for round_ in range(rounds):
            # Each batch once a round, as one alone would stay in the nearest cache; and in another order each round, as
            # whoever runs behind the largest finds the caches emptied.
            for name, candidate in shuffled.sample(rows, len(rows)):
                few = name in ("pure", "re", "google-re2 set", "pyahocorasick")
                chosen = batches[round_ % BATCHES :][:1] if few else batches
                times[name].append(statistics.fmean(sample(candidate, fields) for fields in chosen))
            # Typical input once more: what hostile input is compared with must find the caches as that does.
            for kind in shuffled.sample(list(worst), len(worst)):
                for name in worst[kind]:
                    worst[kind][name].append(statistics.fmean(sample(by_name[name], fields) for fields in kinds[kind]))

        result = []
        for name, candidate in rows:
            ratio = paired_ratio(times[name], times["compiled"])
            median = statistics.median(times[name])
            print(
                f"  {name:20} {median:>12,.0f} ns/100 B  {ratio!s:>24} x compiled  "
                f"build {candidate.build_seconds:7.2f} s  memory {candidate.memory_bytes / 1e6:6.1f} MB  "
                f"{counts[name]['typical']} pairs"
            )
            result.append(
                {
                    "literals": size,
                    "name": name,
                    "ns_per_100_bytes": median,
                    "ratio_to_compiled": ratio._asdict(),
                    "build_seconds": candidate.build_seconds,
                    "memory_bytes": candidate.memory_bytes,
                    "pairs": counts[name],
                }
            )
        typical = worst.pop("typical")["compiled"]
        ratios = {kind: paired_ratio(results["compiled"], typical) for kind, results in worst.items()}
        for kind, results in worst.items():
            against = paired_ratio(results["compiled"], results[PEER])
            print(
                f"  input {kind:14} {statistics.median(results['compiled']):>12,.0f} ns/100 B  "
                f"{ratios[kind]!s:>24} x typical   {against} x {PEER}"
            )
            result.append(
                {
                    "literals": size,
                    "name": f"input {kind}",
                    "ratio_to_typical": ratios[kind]._asdict(),
                    "ratio_to_peer": against._asdict(),
                }
            )
        ours = load_ms(LOAD_OURS.format(path=str(path)))
        import hyperscan

        dumped = Path(folder) / "hyperscan.db"
        dumped.write_bytes(hyperscan.dumpb(by_name[PEER].database))
        theirs = load_ms(LOAD_HYPERSCAN.format(path=str(dumped)))
        print(f"  load from a fresh process: compiled {ours:.2f} ms, hyperscan with its import {theirs:.1f} ms")
        result.append({"literals": size, "name": "load", "compiled_ms": ours, "hyperscan_ms": theirs})
        bars = [
            Bar(f"screening_{size}_to_hyperscan", paired_ratio(times["compiled"], times[PEER]).median, LIMITS[size]),
            Bar(f"screening_{size}_worst_to_typical", max(ratio.median for ratio in ratios.values()), 3.0),
        ]
        if size == 100_000:
            bars += [
                Bar("screening_100000_usable_ms", ours, 1.0),
                Bar("screening_100000_table_mb", len(data) / 1e6, 25.0),
            ]
    return result, bars


def share_of_score_batch(rounds: int) -> list[Bar]:
    """Screening's share of score_batch: built-in rules, default iterations, ten payments.

    The bar is for two chains of SHA instructions, which is what arm64 has; sixteen lanes of AVX-512 are for context.
    """
    table = open_table()
    fields = Corpus(100).typical()
    payments = [Payment(b"identity-%d" % i, 2599, (*fields[8 * i : 8 * i + 8], "WA", "98101")) for i in range(PAYMENTS)]
    screened = [payment.fields for payment in payments]
    present = _compiled.kernels_present()
    bars: list[Bar] = []
    for kernel in [name for name in ("shani-2", "armv8-2", "avx512-16", "portable-1") if name in present]:
        load_engine("compiled", kernel)
        alone, whole = [], []
        for _ in range(rounds):
            start = time.thread_time_ns()
            for _ in range(20):
                _compiled.screen(table, screened)
            alone.append((time.thread_time_ns() - start) / 20)
            start = time.thread_time_ns()
            _compiled.score_batch(table, payments, iterations=10_000, pepper=b"")
            whole.append(float(time.thread_time_ns() - start))
        share = paired_ratio(alone, whole)
        percent = f"{100 * share.median:.2f} % ({100 * share.low:.2f}-{100 * share.high:.2f})"
        print(f"screening's share of score_batch with {kernel}: {percent}")
        if not bars:
            bars.append(Bar(f"screening_share_of_score_batch_percent_{kernel}", 100 * share.median, 2.0))
    load_engine("auto", "auto")
    return [*bars, Bar("built_in_table_kb", Path(BUILT_IN).stat().st_size / 1e3, 200.0)]


def main() -> int:
    """Measure, print rows and bars, keep a record; 1 where a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks screening", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="literals: 100, 10000, 100000")
    parser.add_argument("--rounds", type=int, default=401)
    parser.add_argument(
        "--all-peers", action="store_true", help="also re, google-re2, pyahocorasick, hyperscan a field"
    )
    parser.add_argument(
        "--before", type=Path, help="a checkout with its extension built: a typical payment is compared with it, too"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, 100 and 10000 literals, no record")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if set(sizes) - set(SIZES):
        parser.error(f"sizes are {', '.join(map(str, SIZES))}")
    if options.quick:
        sizes, options.rounds = [size for size in sizes if size < 100_000], 5
    rows, bars = [], []
    for size in sizes:
        print(f"{size} literals")
        more_rows, more_bars = measure_size(size, options.rounds, options.all_peers)
        rows += more_rows
        bars += more_bars
    bars += share_of_score_batch(options.rounds)
    bars += measure_worst_texts(11)
    if options.before:
        bars += compare_with(options.before, options.rounds)
    for bar in bars:
        print(bar)
    if not options.quick:
        path = new_record("screening.json")
        write_record(path, {"rows": rows, "bars": [bar.as_document() for bar in bars]})
        print(f"record: {path.relative_to(ROOT)}")
    return 0 if all(bar.ok for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
