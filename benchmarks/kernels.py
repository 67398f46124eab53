"""SHA-256 by kernel against this processor's SHA unit and against its peers: `python -m benchmarks kernels [--quick]`.

Every candidate is run by pytest-benchmark, and before each of its rounds what it is compared with runs too: a ratio is
the median over rounds of two samples taken side by side. Times are CPU time of the thread, because the machine is
shared. Every sample's output is verified. The row "hashlib loop, again" is the noise floor. A loop over hashlib takes
250 to 920 ns a hash, by machine and by minute: what is held against it, the pure engine too, has no limit.
"""

import argparse
import functools
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import sha_unit
from benchmarks.measure import Bar, Ratio, machine, new_record, paired_ratio, write_record
from scoring import _compiled, _pure
from scoring.kernel import Engine, load_engine
from scoring.model import Payment
from scoring.table import open_table

ROOT = Path(__file__).resolve().parents[1]
ITERATIONS = 10_000  # FRAUD_ITERATIONS' default
PRESENT = _compiled.kernels_present()
MESSAGE = b"\x01" * 32


class Work(NamedTuple):
    """A call that does `hashes` hashes (or other equal pieces) and returns `expected`."""

    call: Callable[[], object]
    hashes: int
    expected: object


# ---- what is compared -------------------------------------------------------------------------------------------


def hashlib_loop(message: bytes, rounds: int) -> bytes:
    digest = sha256(message).digest()
    for _ in range(rounds):
        digest = sha256(digest).digest()
    return digest


def messages(count: int) -> list[bytes]:
    return [bytes([number]) * 32 for number in range(count)]


def stringzilla_loop(rounds: int) -> bytes:
    import stringzilla

    digest: bytes = stringzilla.sha256(MESSAGE)
    for _ in range(rounds):
        digest = stringzilla.sha256(digest)
    return digest


def stringzilla_batch(lanes: int, rounds: int) -> list[bytes]:
    import stringzilla

    batch = stringzilla.Sha256s(lanes)
    digests: list[bytes] = batch.update(messages(lanes)).digest()
    for _ in range(rounds):
        digests = batch.reset().update(digests).digest()
    return digests


def one(hasher: Callable[[bytes, int], bytes], rounds: int) -> Work:
    return Work(lambda: hasher(MESSAGE, rounds), rounds + 1, hashlib_loop(MESSAGE, rounds))


def many(lanes: int, rounds: int) -> Work:
    expected = [hashlib_loop(message, rounds) for message in messages(lanes)]
    return Work(lambda: _compiled.sha256_chains(messages(lanes), rounds), lanes * (rounds + 1), expected)


BASE = {"hashlib": one(hashlib_loop, 4_000)}
UNIT_KERNELS = tuple(name for name in PRESENT if name.startswith(("shani", "armv8")))
ONE_CHAIN, MANY_CHAINS, A_CYCLE = "the SHA unit, one chain", "the SHA unit, six chains", "a cycle"


def unit(name: str, hashes: int) -> Work:
    """The rounds of as many hashes in each of its chains, and nothing else of a hash."""
    groups = sha_unit.GROUPS_A_HASH * hashes
    starts = sha_unit.states(sha_unit.CHAINS[name])
    expected = sha_unit.as_bytes([sha_unit.rounds(state, 4 * groups) for state in starts])
    return Work(sha_unit.chains(name, groups), hashes * len(starts), expected)


@functools.cache
def limits() -> dict[str, Work]:
    """What the processor allows, where it has a SHA unit; as long a sample as the kernels', about two milliseconds."""
    return {
        ONE_CHAIN: unit("one_chain", 60_000),
        MANY_CHAINS: unit("six_chains", 20_000),
        A_CYCLE: Work(lambda: sha_unit.cycles(150_000), 150_000 * sha_unit.CYCLES_A_STEP, 1),
    }


@functools.cache
def hashing() -> dict[str, tuple[str, Work]]:
    """Row -> (kernel in use, work); about two milliseconds a sample."""
    rows = {
        "hashlib loop, again": ("auto", one(hashlib_loop, 4_000)),
        "pure engine": ("auto", one(_pure.sha256_chain, 4_000)),
        "StringZilla, one by one": (
            "auto",
            Work(lambda: stringzilla_loop(6_000), 6_001, hashlib_loop(MESSAGE, 6_000)),
        ),
        "StringZilla, 16 lanes": (
            "auto",
            Work(
                lambda: stringzilla_batch(16, 500), 16 * 501, [hashlib_loop(message, 500) for message in messages(16)]
            ),
        ),
        "StringZilla, 256 lanes": (
            "auto",
            Work(
                lambda: stringzilla_batch(256, 30), 256 * 31, [hashlib_loop(message, 30) for message in messages(256)]
            ),
        ),
        # For context: an iteration of HMAC is two hashes of one block, whose inner and outer start are kept.
        "pbkdf2_hmac, an iteration": (
            "auto",
            Work(
                lambda: pbkdf2_hmac("sha256", b"password", MESSAGE, 8_000),
                8_000,
                pbkdf2_hmac("sha256", b"password", MESSAGE, 8_000),
            ),
        ),
    }
    for kernel in PRESENT:
        lanes = int(kernel.rsplit("-", 1)[1])
        rounds = {1: 60_000, 2: 30_000}.get(lanes, 20_000)
        rows[f"{kernel}, {lanes} messages"] = (kernel, many(lanes, rounds))
    for lanes in (1, 2, 4, 7, 8, 10, 16, 17, 32):
        rows[f"auto, {lanes} messages"] = ("auto", many(lanes, 50_000 // lanes))
    return rows


def payments(count: int) -> list[Payment]:
    fields = (
        "order-1042",
        "customer-77",
        "Ann Example",
        "ann@example.com",
        "two coffees and a cake, to be picked up at noon, please ring twice at the side door",
        "credit_card",
        "12 Long Street, second floor",
        "Springfield",
        "IL",
        "62701",
    )
    return [Payment(b"identity-%d" % number, 2_599 + 1_000 * number, fields) for number in range(count)]


TABLE = open_table()


def scoring(engine: Engine, count: int) -> Work:
    batch = payments(count)
    return Work(
        lambda: engine.score_batch(TABLE, batch, iterations=ITERATIONS, pepper=b""),
        count,
        _pure.score_batch(TABLE, batch, iterations=ITERATIONS, pepper=b""),
    )


def bare_kernel(count: int) -> Work:
    """The hashing of as many payments, and nothing else of score_batch."""
    identities = [b"\x1f" + payment.identity for payment in payments(count)]
    digests = [hashlib_loop(identity, ITERATIONS) for identity in identities]
    return Work(lambda: _compiled.sha256_chains(identities, ITERATIONS), count, digests)


def rounds() -> int:
    return int(os.environ.get("KERNELS_ROUNDS", "61"))


# ---- measuring --------------------------------------------------------------------------------------------------


def measured(work: Work) -> float:
    """Nanoseconds a hash of one sample, verified."""
    begun = time.thread_time_ns()
    result = work.call()
    elapsed = time.thread_time_ns() - begun
    if result != work.expected:
        raise AssertionError("a benchmark's output is wrong")
    return elapsed / work.hashes


def compare(benchmark: BenchmarkFixture, work: Work, bases: dict[str, Work], count: int) -> None:
    """Run `work` for `count` rounds, each after one of every base in random order; ratios go to extra_info."""
    samples: dict[str, list[float]] = {name: [] for name in bases}
    order = random.Random(1)

    def run_bases() -> None:
        for name in order.sample(sorted(bases), len(bases)):
            samples[name].append(measured(bases[name]))

    measured(work)
    result = benchmark.pedantic(work.call, setup=run_bases, rounds=count, iterations=1)
    assert result == work.expected
    if benchmark.stats is None:
        # `--benchmark-disable`: verified, not measured.
        return
    own = [seconds * 1e9 / work.hashes for seconds in benchmark.stats.stats.data]
    benchmark.extra_info["ns"] = statistics.median(own)
    benchmark.extra_info["base_ns"] = {name: statistics.median(values) for name, values in samples.items()}
    benchmark.extra_info["ratios"] = {name: paired_ratio(values, own) for name, values in samples.items()}


@pytest.mark.benchmark(group="hashing")
@pytest.mark.parametrize("row", hashing())
def test_hashing(benchmark: BenchmarkFixture, row: str) -> None:
    kernel, work = hashing()[row]
    load_engine("compiled", kernel)
    bases = dict(BASE)
    if kernel in UNIT_KERNELS:
        bases |= limits()
    if row.startswith("avx512"):
        bases |= {name: hashing()[name][1] for name in ("StringZilla, 16 lanes", "StringZilla, 256 lanes")}
    compare(benchmark, work, bases, rounds())


@pytest.mark.benchmark(group="cold_start_work")
@pytest.mark.parametrize("row", ["pure engine", *PRESENT, "auto"])
def test_cold_start_work(benchmark: BenchmarkFixture, row: str) -> None:
    kernel = "auto" if row == "pure engine" else row
    engine = _pure if row == "pure engine" else load_engine("compiled", kernel)
    expected = bytes.fromhex("0d1eee4af4b89ba881ab1a5f53002b740b2c9f63e9761a729580117e20b93c61")
    work = Work(lambda: engine.cold_start_work(10_000_000), 10_000_000, expected)
    # A tenth of the operations: the pure engine takes seconds for all, which its own row does.
    base = Work(lambda: _pure.cold_start_work(1_000_000), 1_000_000, _pure.cold_start_work(1_000_000))
    compare(benchmark, work, {"pure engine": base}, max(3, rounds() // (30 if row == "pure engine" else 12)))


@pytest.mark.benchmark(group="score_batch")
@pytest.mark.parametrize("count", [1, 10, 100])
@pytest.mark.parametrize("kernel", [name for name in ("shani-2", "armv8-2") if name in PRESENT] + ["auto"])
def test_score_batch(benchmark: BenchmarkFixture, kernel: str, count: int) -> None:
    engine = load_engine("compiled", kernel)
    bases = {"pure engine": scoring(_pure, count), "bare kernel": bare_kernel(count)}
    compare(benchmark, scoring(engine, count), bases, max(3, rounds() // {1: 2, 10: 1, 100: 20}[count]))


@pytest.mark.benchmark(group="overhead")
@pytest.mark.parametrize("row", ["score_batch 10", "bare kernel, again"])
def test_overhead(benchmark: BenchmarkFixture, row: str) -> None:
    """By turns and often, because a few percent are asked for; the second row is what noise makes of none."""
    engine = load_engine("compiled", "auto")
    work = scoring(engine, 10) if row == "score_batch 10" else bare_kernel(10)
    compare(benchmark, work, {"bare kernel": bare_kernel(10)}, 5 * rounds())


# ---- the extension itself ---------------------------------------------------------------------------------------


def extension_size_kb() -> float:
    """Size of the stripped extension in units of 1000 bytes; as built where there is no `strip`."""
    built = Path(_compiled.__file__)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(built, folder))
        if shutil.which("strip"):
            subprocess.run(["strip", str(copy)], check=True)
        return copy.stat().st_size / 1000


def import_cpu_ms() -> float:
    """CPU time of importing the extension after what the function imports anyway; median of fresh processes."""
    code = (
        "import time, botocore.session, aws_lambda_powertools, scoring.model, scoring.table, scoring.kernel\n"
        "begun = time.process_time_ns()\n"
        "import scoring._compiled\n"
        "print(time.process_time_ns() - begun)"
    )
    command = [sys.executable, "-c", code]
    times = [int(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout) for _ in range(11)]
    return statistics.median(times) / 1e6


# ---- report -----------------------------------------------------------------------------------------------------

# Bar -> (row, what it is compared with, at least this many times faster).
SPEED_BARS = {
    "kernel_sixteen_chains_x_stringzilla_16": ("avx512-16, 16 messages", "StringZilla, 16 lanes", 4.0),
    "kernel_sixteen_chains_x_stringzilla_256": ("avx512-16, 16 messages", "StringZilla, 256 lanes", 4.0),
}
# Bar -> (row, the processor's limit, at most this many times its time); the unit's widest kernel has many chains.
LIMIT_BARS = (
    {
        "one_chain_to_limit": (f"{UNIT_KERNELS[-1]}, 1 messages", ONE_CHAIN, 1.05),
        "many_chains_to_limit": (f"{UNIT_KERNELS[0]}, {UNIT_KERNELS[0][-1]} messages", MANY_CHAINS, 1.25),
    }
    if UNIT_KERNELS
    else {}
)


class Report:
    """pytest plugin: takes pytest-benchmark's results, and keeps host name and paths out of them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def pytest_benchmark_generate_machine_info(self) -> dict[str, Any]:
        return machine()

    def pytest_benchmark_generate_commit_info(self) -> dict[str, Any]:
        return {}

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        for each in output_json["benchmarks"]:
            parameters = each["params"]
            name = parameters.get("row") or f"{parameters['kernel']} {parameters['count']}"
            row = name if each["group"] == "hashing" else f"{each['group']} {name}"
            self.rows[row] = {**each["extra_info"], "rounds": each["stats"]["rounds"]}


def bars(rows: dict[str, dict[str, Any]]) -> list[Bar]:
    """Every bar whose kernel this processor has."""
    found = [Bar(name, 1 / rows[row]["ratios"][limit][0], most) for name, (row, limit, most) in LIMIT_BARS.items()]
    found += [
        Bar(name, rows[row]["ratios"][base][0], limit, at_least=True)
        for name, (row, base, limit) in SPEED_BARS.items()
        if row in rows
    ]
    overhead = 100 * (1 / rows["overhead score_batch 10"]["ratios"]["bare kernel"][0] - 1)
    found.append(Bar("score_batch_10_overhead_percent", overhead, 5.0))
    found.append(Bar("extension_stripped_kb", extension_size_kb(), 400.0))
    found.append(Bar("extension_import_cpu_ms", import_cpu_ms(), 5.0))
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'row':36} {'ns each':>12} {'cycles':>8}  times as fast as ... (its ns each), 95 % interval"]
    for name, row in rows.items():
        ratios = ", ".join(
            f"{base} ({row['base_ns'][base]:,.1f}) {Ratio(*ratio)}"
            for base, ratio in row["ratios"].items()
            if base != A_CYCLE
        )
        cycles = f"{1 / row['ratios'][A_CYCLE][0]:8,.1f}" if A_CYCLE in row["ratios"] else ""
        lines.append(f"{name:36} {row['ns']:12,.1f} {cycles:8}  {ratios}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print rows and bars, write a record; 1 where a bar was missed and `--strict` asked for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no record")
    parser.add_argument("--strict", action="store_true", help="a missed bar is a failure")
    options = parser.parse_args()
    os.environ["KERNELS_ROUNDS"] = "21" if options.quick else "61"
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        status = pytest.main(
            [
                *("-q", "--no-header", "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"--confcutdir={folder}"),
                *("--benchmark-only", "--benchmark-timer=time.thread_time", "--benchmark-disable-gc"),
                *("--benchmark-columns=min,median,iqr,rounds", "--benchmark-sort=name"),
                f"--benchmark-json={folder}/results.json",
                str(Path(__file__)),
            ],
            plugins=[report],
        )
    if status != 0:
        return int(status)
    print(f"\n{machine()['processor']}, {', '.join(machine()['instructions'])}, Python {machine()['python']}\n")
    print(table(report.rows), end="\n\n")
    results = bars(report.rows)
    for bar in results:
        print(bar)
    if not options.quick:
        record = new_record("kernels.json")
        write_record(record, {"rows": report.rows, "bars": [bar.as_document() for bar in results]})
        print(f"recorded in {record.relative_to(ROOT)}")
    return int(options.strict and not all(bar.ok for bar in results))


if __name__ == "__main__":
    sys.exit(main())
