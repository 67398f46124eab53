"""SHA-256 in both engines and with every kernel of this processor: published vectors, golden vectors, edges of input.

Each test runs once for each engine and kernel (`hashing`). A kernel that this processor lacks the cross build tests.
"""

import json
import mmap
import re
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib import resources
from pathlib import Path

import numpy
import pytest

from scoring import _compiled
from scoring.kernel import Engine
from scoring.model import Payment
from scoring.table import BUILT_IN, open_table
from tests.golden import generate_scoring

GOLDEN = json.loads(generate_scoring.VECTORS.read_text(encoding="ascii"))
# Padding fits behind 55 bytes of a block's 64 and needs another block from 56 on.
EDGES = (0, 1, 31, 32, 33, 55, 56, 57, 63, 64, 65, 118, 119, 120, 127, 128, 129, 1_000_000)


def chain(message: bytes, rounds: int) -> bytes:
    digest = sha256(message).digest()
    for _ in range(rounds):
        digest = sha256(digest).digest()
    return digest


def cavp(name: str) -> str:
    """A file of NIST's CAVP, "SHA Test Vectors for Hashing Byte-Oriented Messages"."""
    return (resources.files("cryptography_vectors") / "hashes" / "SHA2" / name).read_text()


def messages(count: int) -> list[bytes]:
    return [bytes([7 * i % 256]) * (i * 9) for i in range(count)]


@pytest.mark.parametrize("name", ["SHA256ShortMsg.rsp", "SHA256LongMsg.rsp"])
def test_nist_message_vectors(hashing: Engine, name: str) -> None:
    vectors = re.findall(r"Len = (\d+)\s+Msg = ([0-9a-f]+)\s+MD = ([0-9a-f]{64})", cavp(name))
    assert len(vectors) > 60
    contents = [bytes.fromhex(text)[: int(bits) // 8] for bits, text, _ in vectors]
    assert [hashing.sha256_chain(content, 0).hex() for content in contents] == [digest for _, _, digest in vectors]
    assert [digest.hex() for digest in hashing.sha256_chains(contents, 0)] == [digest for _, _, digest in vectors]


def test_nist_monte_carlo_vectors(hashing: Engine) -> None:
    text = cavp("SHA256Monte.rsp")
    seed = bytes.fromhex(re.findall(r"Seed = ([0-9a-f]{64})", text)[0])
    expected = re.findall(r"COUNT = \d+\s+MD = ([0-9a-f]{64})", text)
    assert len(expected) == 100
    for digest in expected:
        a = b = c = seed
        for _ in range(1000):
            a, b, c = b, c, hashing.sha256_chain(a + b + c, 0)
        assert c.hex() == digest
        seed = c


def test_golden_vectors(hashing: Engine) -> None:
    for message, rounds, digest in GOLDEN["chains"]:
        assert hashing.sha256_chain(bytes.fromhex(message), rounds).hex() == digest
    for operations, lanes, digest in GOLDEN["cold_start_work"]:
        assert hashing.cold_start_work(operations, lanes).hex() == digest


@pytest.mark.parametrize("size", EDGES)
def test_every_size_of_message_around_a_block(hashing: Engine, size: int) -> None:
    message = bytes(range(251)) * (size // 251 + 1)
    assert hashing.sha256_chain(message[:size], 2) == chain(message[:size], 2)


@pytest.mark.parametrize("count", [*range(40), 100])
def test_any_number_of_messages(hashing: Engine, count: int) -> None:
    assert hashing.sha256_chains(messages(count), 3) == [chain(message, 3) for message in messages(count)]


@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 1000])
def test_any_number_of_rounds(hashing: Engine, rounds: int) -> None:
    assert hashing.sha256_chains(messages(19), rounds) == [chain(message, rounds) for message in messages(19)]


@pytest.mark.parametrize(("operations", "lanes"), [(0, 1), (1, 1), (5, 16), (100, 7), (1000, 17), (999, 33), (3, 40)])
def test_cold_start_work_shares_its_operations_over_the_chains(hashing: Engine, operations: int, lanes: int) -> None:
    ends = [chain(i.to_bytes(4, "little"), operations // lanes + (i < operations % lanes)) for i in range(lanes)]
    assert hashing.cold_start_work(operations, lanes) == sha256(b"".join(ends)).digest()


def test_cold_start_work_takes_sixteen_lanes_unless_told(hashing: Engine) -> None:
    assert hashing.cold_start_work(50) == hashing.cold_start_work(50, 16) != hashing.cold_start_work(50, 15)


@pytest.mark.parametrize("offset", range(17))
def test_unaligned_buffers(hashing: Engine, offset: int) -> None:
    data = bytes(range(256))
    view = memoryview(data)[offset : offset + 150]
    assert hashing.sha256_chain(view, 1) == chain(data[offset : offset + 150], 1)


def test_every_kind_of_buffer(hashing: Engine) -> None:
    data = bytes(range(96))
    mapped = mmap.mmap(-1, 96)
    mapped[:] = data
    kinds = [
        data,
        bytearray(data),
        memoryview(data),
        mapped,
        array("I", data),
        numpy.frombuffer(data, dtype=numpy.uint8),
        numpy.frombuffer(data, dtype=numpy.uint32).reshape(4, 6),
        numpy.frombuffer(data, dtype=">f8"),
    ]
    assert hashing.sha256_chains(kinds, 1) == [chain(data, 1)] * len(kinds)
    assert hashing.sha256_chain(numpy.array([]), 0) == chain(b"", 0)
    assert hashing.sha256_chains((kind for kind in kinds[:3]), 1) == [chain(data, 1)] * 3
    mapped.close()


def test_buffers_are_free_again_after_the_call(hashing: Engine) -> None:
    data = bytearray(b"resized after the call")
    hashing.sha256_chains([data, data], 1000)
    data.extend(b"which a buffer still held would refuse")
    with pytest.raises(ValueError, match="contiguous"):
        hashing.sha256_chains([data, memoryview(data)[::2]], 1)
    data.extend(b"after an error too")


@pytest.mark.parametrize(
    "strided",
    [memoryview(b"abcdef")[::2], memoryview(b"abcdef")[::-1], numpy.zeros((4, 4))[:, 1], numpy.zeros((3, 4)).T],
)
def test_a_buffer_with_gaps_is_refused(hashing: Engine, strided: memoryview) -> None:
    with pytest.raises(ValueError, match="not contiguous: pass a copy"):
        hashing.sha256_chain(strided, 1)
    with pytest.raises(ValueError, match="not contiguous: pass a copy"):
        hashing.sha256_chains([b"", strided], 1)


@pytest.mark.parametrize("wrong", ["text", 3, None, [b"list"]])
def test_what_is_no_buffer_is_refused(hashing: Engine, wrong: object) -> None:
    with pytest.raises(TypeError):
        hashing.sha256_chain(wrong, 1)
    with pytest.raises(TypeError):
        hashing.sha256_chains([b"", wrong], 1)


def test_counts_that_are_none_are_refused(hashing: Engine) -> None:
    with pytest.raises(ValueError, match="rounds is -1"):
        hashing.sha256_chain(b"", -1)
    with pytest.raises(ValueError, match="rounds is -1"):
        hashing.sha256_chains([], -1)
    with pytest.raises(ValueError, match="operations is -1"):
        hashing.cold_start_work(-1)
    for lanes in (0, -1, 2**32 + 1):
        with pytest.raises(ValueError, match=f"lanes is {lanes}"):
            hashing.cold_start_work(1, lanes)
    for wrong in (1.0, "1", None):
        with pytest.raises(TypeError, match="must be an int"):
            hashing.sha256_chain(b"", wrong)
        with pytest.raises(TypeError, match="must be an int"):
            hashing.cold_start_work(wrong)


# ---- threads ----------------------------------------------------------------------------------------------------


def calls(engine: Engine) -> Iterator[Callable[[int], object]]:
    """Every public function with enough work to give up the GIL, on input that depends on a number."""
    table = open_table(BUILT_IN)
    text = ("order", "customer", "Ann", "ann@example.com", "4111111111111111 gift card", "card", "street", "", "", "")
    yield lambda i: engine.sha256_chain(b"%d" % i, 3000)
    yield lambda i: engine.sha256_chains([b"%d-%d" % (i, j) for j in range(20)], 500)
    yield lambda i: engine.cold_start_work(5000 + i, 16)
    yield lambda i: engine.screen(table, [text] * (i + 1))
    yield lambda i: engine.find_card_numbers(text * (i + 1))
    yield lambda i: engine.score_batch(table, [Payment(b"%d" % i, 1000, text)] * 3, iterations=500, pepper=b"")


def test_two_threads_on_every_function(hashing: Engine) -> None:
    with ThreadPoolExecutor(2) as pool:
        for call in calls(hashing):
            alone = [call(i) for i in range(6)]
            assert list(pool.map(call, range(6))) == alone


@pytest.mark.parametrize(
    "work",
    [
        lambda engine: engine.cold_start_work(2_000_000),
        lambda engine: engine.sha256_chain(b"", 1_000_000),
        lambda engine: engine.sha256_chains([b"a", b"b"], 500_000),
        lambda engine: engine.score_batch(
            open_table(BUILT_IN), [Payment(b"", 1, ("",) * 10)] * 2, iterations=500_000, pepper=b""
        ),
    ],
    ids=["cold_start_work", "sha256_chain", "sha256_chains", "score_batch"],
)
def test_other_threads_run_while_the_compiled_engine_hashes(compiled: Engine, work: Callable[[Engine], object]) -> None:
    begun = threading.Event()
    steps = 0
    during: list[int] = []

    def hash_away() -> None:
        begun.set()
        before = steps
        work(compiled)
        during.append(steps - before)

    interval = sys.getswitchinterval()
    # Nobody is made to give up the GIL: from one reading of `steps` to the next only the work itself can let go of it.
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=hash_away)
    try:
        thread.start()
        begun.wait()
        while thread.is_alive():
            steps += 1
            time.sleep(0)
    finally:
        sys.setswitchinterval(interval)
    assert during[0] > 0, "this thread did not run once while the other one hashed: the GIL was held"


def test_every_kernel_file_has_its_place_in_the_build() -> None:
    root = Path(__file__).parents[3]
    lines = re.findall(r"(?m)^ *INSTRUCTION_SETS.*$", (root / "setup.py").read_text())
    named = set(re.findall(r'"(\w+)": \[', "".join(lines)))
    assert {f"sha256_{name}.c" for name in named} | {"sha256.c"} == {
        p.name for p in (root / "scoring/c").glob("sha256*.c")
    }


def test_every_kernel_is_in_both_lists_and_in_the_page() -> None:
    known = set(_compiled.kernels_known())
    root = Path(__file__).parents[3]
    # Those of the other architecture too, which this build leaves out.
    assert set(re.findall(r'\{"(\w+-\d+)", "', (root / "scoring/c/sha256.c").read_text())) == known
    rows = [line for line in (root / "docs/kernels.md").read_text().splitlines() if line.startswith("|")]
    setting = [row for row in rows if row.startswith("| `SCORING_KERNEL` |")]
    described = [row.split("|")[1] for row in rows if re.match(r"\| `\w+-\d+`", row)]
    for place in (setting, described):
        assert set(re.findall(r"`(\w+-\d+)`", "".join(place))) == known
