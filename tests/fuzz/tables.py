"""Damaged rule tables: whatever the bytes are, screening ends and reads nothing outside them.

The rule it keeps: the address sanitizer is the oracle for C (`make fuzz` builds it in), the checked header the one for
Python. Input: the original's number, then patches of seven bytes: section, offset (u16), four bytes that go there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Hashable
from types import SimpleNamespace
from typing import Any

from scoring import _compiled, _pure
from scoring.model import Payment
from scoring.table import HEADER_SIZE, RuleTableError, Table, header_checksum
from tests.golden.generate_scoring import HERE
from tests.support.rule_compiler import compile_files, compile_table

WORDS = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\0\0\0\x80",
    b"\xff\xff\xff\x7f",
    b"\1\0\0\0",
    b"\xff\xff\0\0",
    b"\0\0\1\0",
)
ORIGINALS = (
    compile_files([HERE / "golden.rules"], dense_bytes=400),
    # One with a filter, which the golden rules are too short for, and with states of many children.
    bytes(
        compile_table(
            [("substring", ("street",), b"prefix%c%c" % (i, j)) for i in range(97, 123) for j in range(97, 123, 3)],
            dense_bytes=300,
        ).data
    ),
)
_PLACES = [[(0, HEADER_SIZE), *Table(memoryview(each), "original").header.sections.values()] for each in ORIGINALS]
_PATCH = struct.Struct("<BH4s")
_TEXTS = (b"prefixab prefixzz gift card x@mailinator.com", b"prefiprefixaz prefix" * 9, b"\xc3\xa9 a--b PO BOX 12 \xff")
# Ten fields are more than the lanes that run side by side; one text is as long as its budget of bytes.
_PAYMENTS = [[_TEXTS[place % 3] for place in range(10)], [_TEXTS[1] * 5, b"ushers" * 40]]


def check(data: bytes) -> set[Hashable]:
    """Screen and score with one damaged table, as the scanner gets it and as the function would; what refused it."""
    seen: set[Hashable] = set()
    number = data[0] % len(ORIGINALS) if data else 0
    table = damaged(number, data[1:])
    try:
        unchecked: Any = SimpleNamespace(data=table, name="damaged", native=None)
        found = _compiled.screen(unchecked, _PAYMENTS)
    except ValueError as refused:
        assert "not a rule table" in str(refused)  # noqa: PT017
        seen.add(str(refused))
    else:
        seen |= {(number, len(hits)) for each in found for hits in each}
        assert [len(each) for each in found] == [len(each) for each in _PAYMENTS]
    payments = [Payment(b"blocked", 5000, tuple(fields)) for fields in _PAYMENTS]
    try:
        opened = Table(memoryview(repaired(table)), "damaged")
    except RuleTableError as refused:
        return seen | {re.sub("[0-9]", "", str(refused))}
    try:
        scores = _compiled.score_batch(opened, payments, iterations=1, pepper=b"pepper")
    except RuleTableError as refused:
        return seen | {re.sub("[0-9]", "", str(refused))}
    assert all(0 <= score.risk <= 10**9 and 0 <= score.fraud_score <= 100 for score in scores)
    assert [score.fingerprint for score in scores] == _FINGERPRINTS
    if table == ORIGINALS[number]:
        assert scores == _pure.score_batch(opened, payments, iterations=1, pepper=b"pepper")
    return seen | {(number, len(score.reasons), score.action) for score in scores}


_FINGERPRINTS = [_pure.sha256_chain(b"pepper\x1fblocked", 1).hex()] * len(_PAYMENTS)


def damaged(number: int, patches: bytes) -> bytes:
    """A table with every whole patch in its place; one that begins behind its section cuts the file there."""
    table = bytearray(ORIGINALS[number])
    for section, at, content in _PATCH.iter_unpack(patches[: len(patches) // _PATCH.size * _PATCH.size]):
        offset, size = _PLACES[number][section % len(_PLACES[number])]
        if section >= 0xF0:
            del table[offset + at % (size + 1) :]
        elif size >= len(content) and (place := offset + at % (size - len(content) + 1)) + len(content) <= len(table):
            table[place : place + len(content)] = content
    return bytes(table)


def repaired(table: bytes) -> bytes:
    """With the header's checksum made to fit, so that the damage reaches what reads the rest."""
    if len(table) < HEADER_SIZE:
        return table
    return table[:24] + header_checksum(table[:HEADER_SIZE]).to_bytes(4, "little") + table[28:]
