"""Rules to the bytes of a table: identical rules give identical bytes, whatever the machine."""

import functools
import hashlib
import operator
from collections.abc import Iterable

import numpy as np

from rule_compiler.grams import pack_grams
from rule_compiler.states import pack_states
from rule_compiler.texts import Progress, Source
from rule_compiler.trie import build_trie, link, link_outputs
from scoring import table as fmt
from scoring.model import ACTION_NUMBERS, FIELD_NUMBERS, MODE_NUMBERS, Rule

# Dense rows are for the states that a scan is in most of the time; they are to stay in a core's second-level cache. Up
# to 2,000 states all get one, as a scan without a tail is quickest; beyond, a table of few states is to be small.
# (At most states, bytes of dense rows.)
DENSE_BYTES = ((2_000, 512 * 1024), (8_192, 96 * 1024), (2**31, 256 * 1024))


def compile_rules(sources: list[Source], progress: Progress = lambda *_: None, dense_bytes: int = 0) -> bytes:
    """Return the table file for rules in order of their ids. Raises RuleTextError where a limit is passed.

    `dense_bytes` is what dense rows may take; 0 chooses it by the number of states.
    """
    rules = [source.rule for source in sources]
    scanned: dict[bytes, list[int]] = {}
    for i, rule in enumerate(rules):
        if rule.mode != "value":
            scanned.setdefault(rule.literal, []).append(i)
    literals = sorted(scanned)
    progress("building states", 0, 1)
    trie = build_trie(literals)
    fail = link(trie, progress)
    outputs, nodes, chain_max = link_outputs(
        trie, fail, [scanned[literal] for literal in literals], [source.place for source in sources]
    )
    progress("packing", 0, 1)
    dense_bytes = dense_bytes or next(size for states, size in DENSE_BYTES if trie.keys.size <= states)
    (rows, branches, chain_states), dense, tail, labels = pack_states(trie, fail, outputs, dense_bytes)
    fields_of = [sum(1 << FIELD_NUMBERS[name] for name in rule.fields) for rule in rules]
    scanned_fields = [_union(fields_of[i] for i in scanned[literal]) for literal in literals]
    grams = pack_grams(literals, [scanned[literal] for literal in literals], scanned_fields)
    slots, slot_bytes, probe_max = _pack_slots(rules)

    strings = bytearray()
    placed: dict[bytes, int] = {}

    def place(content: bytes) -> int:
        if content not in placed:
            placed[content] = len(strings)
            strings.extend(content)
        return placed[content]

    records = bytearray()
    value_fields = 0
    for rule, bits in zip(rules, fields_of, strict=True):
        if rule.mode == "value":
            value_fields |= bits
        reason = rule.reason.encode()
        literal_at, reason_at = place(rule.literal), place(reason)
        mode, action = MODE_NUMBERS[rule.mode], ACTION_NUMBERS[rule.action]
        records += fmt.RULE.pack(
            rule.id, bits, rule.weight, mode, action, 0, literal_at, len(rule.literal), len(reason), reason_at
        )
    sections = {
        "classes": trie.classes.tobytes(),
        "dense": dense,
        "tail": tail,
        "labels": labels,
        "outputs": nodes.astype("<u4").tobytes(),
        "filter": grams.filter,
        "grams": grams.grams,
        "slots": slot_bytes,
        "rules": bytes(records),
        "strings": bytes(strings),
    }
    counts = {
        "classes": trie.class_count,
        "dense_rows": rows,
        "branches": branches,
        "chain_states": chain_states,
        "output_nodes": len(nodes),
        "slots": slots,
        "rules": len(rules),
        "value_length_max": max((len(rule.literal) for rule in rules if rule.mode == "value"), default=0),
        "probe_length_max": probe_max,
        "output_chain_max": chain_max,
        "filter_words": grams.filter_words,
        "gram_slots": grams.slots,
        "value_fields": value_fields,
        "scanned_fields": _union(scanned_fields),
    }
    return _assemble(sections, counts, grams.passes)


def _union(bits: Iterable[int]) -> int:
    return functools.reduce(operator.or_, bits, 0)


def _assemble(sections: dict[str, bytes], counts: dict[str, int], passes: tuple[tuple[int, int, int], ...]) -> bytes:
    """Put header and sections together, aligned and checksummed."""
    body = bytearray()
    offsets: list[int] = []
    for name in fmt.SECTIONS:
        body += bytes(-len(body) % fmt.ALIGNMENT)
        offsets += fmt.HEADER_SIZE + len(body), len(sections[name])
        body += sections[name]
    header = bytearray(fmt.HEADER_SIZE)

    def fill(checksum: int) -> None:
        fmt.HEADER.pack_into(
            header,
            0,
            fmt.MAGIC,
            fmt.FORMAT_VERSION,
            fmt.HEADER_SIZE,
            fmt.HEADER_SIZE + len(body),
            checksum,
            len(fmt.SECTIONS),
            hashlib.sha256(body).digest(),
            *(counts[name] for name in fmt.COUNTS),
        )

    fmt.SECTION_TABLE.pack_into(header, fmt.HEADER.size, *offsets)
    numbers = [number for each in passes for number in each]
    numbers += [0] * (3 * fmt.PASSES_MAX - len(numbers))
    fmt.PASSES.pack_into(header, fmt.HEADER.size + fmt.SECTION_TABLE.size, *numbers)
    fill(0)
    fill(fmt.header_checksum(bytes(header)))
    data = bytes(header + body)
    fmt.parse_header(memoryview(data), "the table just compiled")
    return data


def _pack_slots(rules: list[Rule]) -> tuple[int, bytes, int]:
    """Return the number of slots, the hash set of the `value` rules, and its longest probe."""
    hashes = [(fmt.hash_value(rule.literal), i) for i, rule in enumerate(rules) if rule.mode == "value"]
    if not hashes:
        return 0, b"", 0
    slots = 1 << (2 * len(hashes) - 1).bit_length()
    cells = np.zeros((slots, 2), "<u4")
    longest = 0
    for value, rule_index in hashes:
        at, probe = value & (slots - 1), 1
        while cells[at, 1]:
            at, probe = (at + 1) & (slots - 1), probe + 1
        cells[at] = value >> 32, rule_index + 1
        longest = max(longest, probe)
    return slots, cells.tobytes(), longest
