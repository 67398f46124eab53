"""Whatever a table's bytes are, screening ends, and reads nothing outside them: `make test-sanitize` watches.

Header checksums are repaired, so that the damage reaches the scanner. What a damaged table finds does not matter; the
corpus in tests/golden/damaged_tables.json holds one table for each way out of bounds that the format has.
"""

import json
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import _compiled
from scoring.model import Payment
from scoring.table import GRAM, HEADER_SIZE, MORE, RuleTableError, Table, header_checksum
from tests.golden.generate_scoring import HERE, TEXTS
from tests.support.rule_compiler import compile_files, compile_table

CORPUS = json.loads((HERE / "damaged_tables.json").read_text())
GOLDEN = compile_files([HERE / "golden.rules"], dense_bytes=400)
# One with a filter, which the golden rules are too short for, and with states of many children.
FILTERED = bytes(
    compile_table(
        [("substring", ("street",), b"prefix%c%c" % (i, j)) for i in range(97, 123) for j in range(97, 123, 3)],
        dense_bytes=300,
    ).data
)
ORIGINALS = [GOLDEN, FILTERED]
PAYMENTS = [
    *([text] * 10 for text in TEXTS),
    ["prefixab prefixzz prefiprefixaz prefix" * 30] * 10,
    ["x@mailinator.com" * 400, "ushers" * 1500],
]


def repaired(data: bytes) -> bytes:
    if len(data) < HEADER_SIZE:
        return data
    return data[:24] + header_checksum(data[:HEADER_SIZE]).to_bytes(4, "little") + data[28:]


def use(data: bytes) -> None:
    """Screen with a table as the scanner gets it, with and without what scoring/table.py would refuse."""
    try:
        _compiled.screen(SimpleNamespace(data=data, name="damaged", native=None), PAYMENTS)
    except ValueError as refused:
        assert "not a rule table" in str(refused)  # noqa: PT017
    try:
        table = Table(memoryview(repaired(data)), "damaged")
        payments = [Payment(b"blocked", 5000, tuple(fields)) for fields in PAYMENTS]
        _compiled.score_batch(table, payments, iterations=3, pepper=b"pepper")
    except RuleTableError:
        pass  # refused, which is what it should be


def damaged(data: bytes, entry: dict) -> bytes:
    sections = {"header": (0, HEADER_SIZE), **Table(memoryview(data), "original").header.sections}
    changed = bytearray(data)
    for section, at, patch in entry["patches"]:
        offset, size = sections[section]
        content = bytes.fromhex(patch)
        start = at if at >= 0 else size + at
        if start + len(content) <= size:
            changed[offset + start : offset + start + len(content)] = content
    return bytes(changed[: int(len(changed) * entry["cut"])] if "cut" in entry else changed)


@pytest.mark.parametrize("original", ORIGINALS, ids=["golden", "filtered"])
@pytest.mark.parametrize("entry", CORPUS, ids=[entry["why"] for entry in CORPUS])
def test_corpus(entry: dict, original: bytes) -> None:
    use(damaged(original, entry))


@pytest.mark.parametrize("original", ORIGINALS, ids=["golden", "filtered"])
def test_whole_sections_of_noise(original: bytes) -> None:
    sections = Table(memoryview(original), "original").header.sections
    for seed in range(40):
        noise = random.Random(seed)
        changed = bytearray(original)
        for offset, size in noise.sample(sorted(sections.values()), noise.randint(1, 4)):
            # Half of the numbers small, so that many are indices of something.
            words = [noise.choice((noise.getrandbits(32), noise.getrandbits(8))) for _ in range(size // 4 + 1)]
            changed[offset : offset + size] = b"".join(word.to_bytes(4, "little") for word in words)[:size]
        use(bytes(changed))


def test_grams_without_an_empty_slot_of_any_rule_at_any_place() -> None:
    sections = Table(memoryview(FILTERED), "original").header.sections
    offset, size = sections["grams"]
    filter_at, filter_size = sections["filter"]
    for seed in range(40):
        noise = random.Random(seed)
        changed = bytearray(FILTERED)
        if seed % 2:  # so that what is no gram goes round the slots
            changed[filter_at : filter_at + filter_size] = b"\xff" * filter_size
        for at in range(offset, offset + size, GRAM.size):
            tag = GRAM.unpack_from(FILTERED, at)[1]  # kept, so that the grams of texts are met
            rule = noise.choice((1, noise.randint(1, 300), 2**32 - 2, 2**32 - 1))
            GRAM.pack_into(changed, at, rule, tag, noise.choice((MORE, noise.getrandbits(16), noise.getrandbits(3))))
        use(bytes(changed))


@pytest.mark.parametrize("original", ORIGINALS, ids=["golden", "filtered"])
def test_every_truncation_at_a_multiple_of_64(original: bytes) -> None:
    for size in range(0, len(original), 64):
        use(original[:size])


@given(
    original=st.sampled_from(ORIGINALS),
    changes=st.lists(st.tuples(st.integers(0, 2**32), st.binary(min_size=1, max_size=8)), min_size=1, max_size=20),
)
@settings(max_examples=150, deadline=None)
def test_scattered_changes(original: bytes, changes: list[tuple[int, bytes]]) -> None:
    changed = bytearray(original)
    for at, content in changes:
        start = at % (len(original) - len(content))
        changed[start : start + len(content)] = content
    use(bytes(changed))


@given(data=st.binary(max_size=2000))
@settings(max_examples=100, deadline=None)
def test_random_bytes(data: bytes) -> None:
    use(data)
    use(GOLDEN[:HEADER_SIZE] + data)
