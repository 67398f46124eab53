"""The rule table: one file, built before deployment, mapped at start; nothing is built in a cold start.

`open_table` trusts only what it checked (header, sizes, bounds, alignment, header checksum) and reads nothing else, so
that it stays far below a millisecond at any size. The bytes behind the header may be anything: readers bound every
index at use. `Table.verify` checks the whole file, when packaging and on request.

This module and the numbers in scoring/model.py are the only description of the format. What C has to know of it stands
in scoring/c/table_format.h, which build/table_header.py makes from here. Whoever changes what a table's bytes mean
raises FORMAT_VERSION.

Format, version 4, all numbers little-endian, each section at a multiple of 64 bytes, in this order:

    header    384 bytes: HEADER, then a (offset, size) pair of u64 for each section, then the passes, then zeros. A pass
              looks through texts of some fields for grams of one size: u8 size, u8 stride, u16 fields as bits
    classes   256 x u8: byte -> class; upper case ASCII shares its lower case's class, the dash the space's; class 0
              occurs in no literal
    dense     rows of (classes + 1) x u32, one for each of the first states in breadth-first order: the next state for
              each class, then the state's output node. A next state below rows * (classes + 1) is the offset of a
              dense row, any other is that number plus the index of a tail state; bit 31: the next state has output.
    tail      first the branches, 16 bytes a state: u32 state to go on from when no child fits (encoded as in dense),
              u32 children | output node << 8, u32 first child (tail index; bits 28 to 31: which of the first four
              children have output), 4 x u8 classes of the first four children (0xFF: none). Then the chains, 8 bytes
              a state with one child at most, which is the next: u32 state to go on from (bit 31: the child has
              output), u32 class of the child (0xFF: none) | output node << 8. Then 8 zero bytes
    labels    u8 a branch: the class that leads to it; children of one state are neighbours, classes ascending
    outputs   OUTPUT, a node: rule index, next node; node 0 is "none"
    filter    u64 words, a power of two many (or none: every text is the automaton's): a Bloom filter of grams, two bits
              of one word each. It holds as many neighbouring grams of each scanned literal as its pass has strides, so
              that a literal is in a text only if one of them stands at a place that the stride divides
    grams     GRAM: rule index + 1 (0: empty; ASK_THE_AUTOMATON: of too many literals), tag, place of the gram in the
              rule's literal (MORE: an entry with the same tag follows before the next empty one); found by the gram's
              hash, linear probing
    slots     SLOT: upper half of hash_value, rule index + 1 (0: empty); a power of two many, linear probing
    rules     RULE, ids ascending
    strings   literals (their screening views, scoring/screening_view.py) and reasons (UTF-8)
"""

import binascii
import mmap
import os
import struct
from typing import NamedTuple

from scoring.model import ACTION_NUMBERS, FIELD_NUMBERS, MODE_NUMBERS, WEIGHT_FULL, Rule

MAGIC = b"PAYRULES"
FORMAT_VERSION = 4
HEADER_SIZE = 384
ALIGNMENT = 64
# magic, version, header size, file size, header checksum (CRC-32 with this field zero), sections, SHA-256 of all bytes
# behind the header; then the counts, by the names of COUNTS: longest whole value in bytes, longest probe in the slots,
# longest chain of output nodes, fields (as bits) that whole-value rules look at and that scanned rules look at
HEADER_START = struct.Struct("<8sIIQII32s")
COUNTS = (
    "classes",
    "dense_rows",
    "branches",
    "chain_states",
    "output_nodes",
    "slots",
    "rules",
    "value_length_max",
    "probe_length_max",
    "output_chain_max",
    "filter_words",
    "gram_slots",
    "value_fields",
    "scanned_fields",
)
HEADER = struct.Struct(f"{HEADER_START.format}{len(COUNTS)}I8x")
VERSION = struct.Struct("<8sI")  # the header's first two, which every version has

# Records by the names and struct codes of their members.
RECORDS = {
    "output": (("rule", "I"), ("next", "I")),
    "gram": (("rule_plus_1", "I"), ("tag", "H"), ("place", "H")),
    "slot": (("tag", "I"), ("rule_plus_1", "I")),
    "rule": (
        ("id", "I"),
        ("fields", "H"),  # bits by FIELD_NUMBERS
        ("weight", "H"),
        ("mode", "B"),
        ("action", "B"),
        ("zero", "H"),
        ("literal_at", "I"),
        ("literal_length", "H"),
        ("reason_length", "H"),
        ("reason_at", "I"),
    ),
}
OUTPUT, GRAM, SLOT, RULE = (struct.Struct("<" + "".join([code for _, code in record])) for record in RECORDS.values())
BRANCH_SIZE = 16
CHAIN_SIZE = 8
# The sections in order, and how many bytes each has for every one of a count. "dense_cells" is dense_rows *
# (classes + 1); "" counts one; strings are as long as they are.
SECTION_SIZES: dict[str, tuple[tuple[int, str], ...]] = {
    "classes": ((256, ""),),
    "dense": ((4, "dense_cells"),),
    "tail": ((BRANCH_SIZE, "branches"), (CHAIN_SIZE, "chain_states"), (CHAIN_SIZE, "")),
    "labels": ((1, "branches"),),
    "outputs": ((OUTPUT.size, "output_nodes"),),
    "filter": ((8, "filter_words"),),
    "grams": ((GRAM.size, "gram_slots"),),
    "slots": ((SLOT.size, "slots"),),
    "rules": ((RULE.size, "rules"),),
    "strings": (),
}
SECTIONS = tuple(SECTION_SIZES)
SECTION_TABLE = struct.Struct(f"<{2 * len(SECTIONS)}Q")
PASSES_MAX = 8
PASSES = struct.Struct("<" + PASSES_MAX * "BBH")
CLASSES_MAX = 256
OUTPUT_BIT = 0x8000_0000
OUTPUT_NODES_MAX = 1 << 24
CHILDREN_IN_RECORD = 4
CHILD_BITS = 28
NO_LABEL = 0xFF
GRAM_BIT_SHIFTS = (41, 35)  # of the hash, six bits each: a gram's bits in its word
GRAM_WORD_SHIFT = 47  # hash >> this: its word
GRAM_TAG_SHIFT = 32  # hash >> this, 16 bits: its tag; the upper half times the slots, upper half of that: its slot
GRAM_SIZE_MIN = 2  # a table with a shorter literal has no filter
GRAM_SIZE_MAX = 12
GRAM_STRIDES = (1, 2, 4)
GRAM_RULES_MAX = 8  # a gram of more rules' literals is the automaton's
ASK_THE_AUTOMATON = 0xFFFF_FFFF
MORE = 0x8000
GRAM_HIGH_HASH = 0xD6E8FEB86659FD93  # of the bytes from the ninth on (an odd constant of good spread)
GRAM_HASH = 0x9E3779B97F4A7C15  # 2**64 / golden ratio (Knuth, TAOCP 3, 6.4)
VALUE_HASH_START, VALUE_HASH_PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bits
LITERAL_LENGTH_MAX = 1000  # bytes
CHAIN_LENGTH_MAX = 64  # literals that end in one another: what one input byte may cost at most

BUILT_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.table")

_CHECKSUM_AT = 24
_MODES = {number: mode for mode, number in MODE_NUMBERS.items()}
_ACTIONS = {number: action for action, number in ACTION_NUMBERS.items()}


class RuleTableError(Exception):
    """A rule table that is damaged, truncated, foreign or missing; the message names the file and what to do."""


class Header(NamedTuple):
    """The checked header: counts by the names of COUNTS, sections as name -> (offset, size), passes as
    (gram size, stride, field bits)."""

    version: int
    file_size: int
    body_sha256: bytes
    counts: dict[str, int]
    sections: dict[str, tuple[int, int]]
    passes: tuple[tuple[int, int, int], ...]


def section_sizes(counts: dict[str, int], strings_size: int) -> dict[str, int]:
    """Return the size in bytes that each section must have for these counts."""
    numbers = counts | {"": 1, "dense_cells": counts["dense_rows"] * (counts["classes"] + 1)}
    sizes = {name: sum([size * numbers[count] for size, count in terms]) for name, terms in SECTION_SIZES.items()}
    return sizes | {"strings": strings_size}


def header_checksum(header: bytes) -> int:
    """Return the CRC-32 of a header whose checksum field counts as zero."""
    return binascii.crc32(header[:_CHECKSUM_AT] + bytes(4) + header[_CHECKSUM_AT + 4 :])


def compile_anew(name: str) -> str:
    """What to do about the table at `name`, as the end of a sentence."""
    options = "" if name == BUILT_IN else f' RULES="..." TABLE={name}'
    return f"compile it anew: make rules{options}"


def parse_header(data: memoryview, name: str) -> Header:  # noqa: C901 - a list of refusals
    """Check everything that `open_table` promises about `data`, a whole table file.

    Raises RuleTableError. `name` is for the message.
    """

    def refuse(fault: str) -> RuleTableError:
        return RuleTableError(f"{name}: {fault}; {compile_anew(name)}")

    head = bytes(data[:HEADER_SIZE])
    if len(head) < VERSION.size or not head.startswith(MAGIC):
        raise refuse(f"not a rule table ({len(data)} bytes)")
    version = VERSION.unpack_from(head)[1]
    if version != FORMAT_VERSION:
        age = "older" if version < FORMAT_VERSION else "newer"
        raise refuse(f"format version {version} is {age} than version {FORMAT_VERSION}, which this code reads")
    if len(head) < HEADER_SIZE:
        raise refuse(f"{len(data)} bytes, the file is truncated")
    _, _, header_size, file_size, checksum, section_count, body_sha256, *numbers = HEADER.unpack_from(head)
    if checksum != header_checksum(head):
        raise refuse("the header's checksum does not fit, the file is damaged")
    if header_size != HEADER_SIZE or section_count != len(SECTIONS):
        raise refuse(f"the header has another shape than version {FORMAT_VERSION}")
    if file_size != len(data):
        raise refuse(f"{len(data)} bytes where the header says {file_size}, the file is truncated or has grown")
    counts = dict(zip(COUNTS, numbers, strict=True))
    pairs = SECTION_TABLE.unpack_from(head, HEADER.size)
    sections = {name: (pairs[2 * i], pairs[2 * i + 1]) for i, name in enumerate(SECTIONS)}
    sizes = section_sizes(counts, sections["strings"][1])
    end = HEADER_SIZE
    for section, (offset, size) in sections.items():
        if offset % ALIGNMENT or offset < end or size != sizes[section] or offset + size > file_size:
            raise refuse(f"section {section} lies outside its bounds")
        end = offset + size
    slots, words = counts["slots"], counts["filter_words"]
    if (
        counts["dense_rows"] < 1
        or not 1 <= counts["classes"] <= CLASSES_MAX
        or slots & (slots - 1)
        or words & (words - 1)
        or not counts["output_nodes"]
    ):
        raise refuse("the counts in the header cannot be")
    cells = counts["dense_rows"] * (counts["classes"] + 1)
    tail_states = counts["branches"] + counts["chain_states"]
    nodes = counts["output_nodes"]
    if cells + tail_states >= OUTPUT_BIT or tail_states >= 1 << CHILD_BITS or nodes >= OUTPUT_NODES_MAX:
        raise refuse("more states than 31 bits can number")
    packed = PASSES.unpack_from(head, HEADER.size + SECTION_TABLE.size)
    passes = tuple(each for each in zip(packed[::3], packed[1::3], packed[2::3], strict=True) if any(each))
    if any(not GRAM_SIZE_MIN <= size <= GRAM_SIZE_MAX or stride not in GRAM_STRIDES for size, stride, _ in passes):
        raise refuse("the passes in the header cannot be")
    return Header(version, file_size, body_sha256, counts, sections, passes)


class Table:
    """A mapped rule table. `data` is the whole file; `native` is where the compiled engine keeps its view of it."""

    def __init__(self, data: memoryview, name: str) -> None:
        """Check `data`, the bytes of a table file. Raises RuleTableError."""
        self.name = name
        self.data = data
        self.header = parse_header(data, name)
        self.version = self.header.version
        self.rule_count = self.header.counts["rules"]
        self.native: object = None
        self.index: object = None

    @property
    def checksum(self) -> str:
        """SHA-256 of the body, 64 hex digits: which rules these are, for logs and records."""
        return self.header.body_sha256.hex()

    def verify(self) -> None:
        """Read the whole file and compare its checksum. Raises RuleTableError."""
        import hashlib  # only here: scoring a payment must not pay for this import

        if hashlib.sha256(self.data[HEADER_SIZE:]).digest() != self.header.body_sha256:
            raise RuleTableError(f"{self.name}: the file's checksum does not fit; {compile_anew(self.name)}")

    def rule_at(self, index: int) -> Rule:
        """Return the rule at `index`, 0 <= index < rule_count. Raises IndexError, and RuleTableError on damage."""
        if not 0 <= index < self.rule_count:
            raise IndexError(f"rule index {index} of {self.rule_count}")
        record = RULE.unpack_from(self.data, self.header.sections["rules"][0] + RULE.size * index)
        rule_id, field_bits, weight, mode, action, _, literal_at, literal_size, reason_size, reason_at = record
        offset, size = self.header.sections["strings"]
        if (
            mode not in _MODES
            or weight > WEIGHT_FULL
            or action not in _ACTIONS
            or literal_at + literal_size > size
            or reason_at + reason_size > size
        ):
            raise RuleTableError(f"{self.name}: rule at index {index} is damaged; {compile_anew(self.name)}")
        return Rule(
            rule_id,
            _MODES[mode],
            tuple(name for name, number in FIELD_NUMBERS.items() if field_bits >> number & 1),
            weight,
            _ACTIONS[action],
            str(self.data[offset + reason_at : offset + reason_at + reason_size], "utf-8", "replace"),
            bytes(self.data[offset + literal_at : offset + literal_at + literal_size]),
        )

    def rule(self, rule_id: int) -> Rule:
        """Return the rule with this id. Raises KeyError where there is none."""
        start = self.header.sections["rules"][0]
        low, high = 0, self.rule_count
        while low < high:
            middle = (low + high) // 2
            if RULE.unpack_from(self.data, start + RULE.size * middle)[0] < rule_id:
                low = middle + 1
            else:
                high = middle
        if low < self.rule_count:
            found = self.rule_at(low)
            if found.id == rule_id:
                return found
        raise KeyError(rule_id)


def hash_value(value: bytes) -> int:
    """Hash a folded whole value: FNV-1a, 64 bits, over the bytes from last to first.

    Backwards, so that one walk from the end of an e-mail address meets the hash of every parent domain.
    """
    state = VALUE_HASH_START
    for byte in reversed(value):
        state = (state ^ byte) * VALUE_HASH_PRIME & 0xFFFF_FFFF_FFFF_FFFF
    return state


def open_table(path: str | os.PathLike[str] = BUILT_IN) -> Table:
    """Map the table at `path`, header checks only. Raises RuleTableError, also where the file cannot be read."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    except OSError as error:
        raise RuleTableError(f"{name}: cannot be read ({error.strerror}); RULE_TABLE_PATH names the table") from error
    return Table(memoryview(data), name)
