#!/usr/bin/env python3
"""Compile rule texts to one rule table: identical input gives an identical file, whatever the machine.

    python build/rules.py                                    the built-in rules: scoring/rules/*.rules
    python build/rules.py --output my.table my.rules ...     other rule files and blocklists, in any number

A rule file is UTF-8 text: sections of rules that share their properties.

    # A comment.
    [Disposable mailboxes]
    mode = value                       substring | token | value
    fields = email_domain              names from scoring.model.FIELD_NUMBERS, by commas, or: any
    weight = 2500                      0 to 10000: parts of 10**4 of the survival that the rule takes
    action = score                     score | review | decline
    reason = Anybody can read this mailbox, so the buyer cannot be reached later.

    1001 mailinator.com
    1002 trashmail.example  # A reason of its own, after two spaces.
    1003 "  quoted as in JSON, where spaces, quotes or # matter"

A blocklist leaves the ids out: with `first_id = 500000` among the properties, every line is a literal, numbered from
there on (so append to it, and never reorder it). Rule ids are unique over all files compiled together.
"""

import argparse
import functools
import glob
import hashlib
import json
import operator
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scoring import table as fmt  # noqa: E402
from scoring.model import ACTION_NUMBERS, FIELD_NUMBERS, FIELDS, MODE_NUMBERS, WEIGHT_FULL, Rule  # noqa: E402

RULES_GLOB = str(ROOT / "scoring" / "rules" / "*.rules")
TABLE_PATH = ROOT / "scoring" / "rules.table"
ID_MAX = 2**32 - 1
FAULTS_SHOWN = 20
# Dense rows are for the states that a scan is in most of the time; they are to stay in a core's second-level cache. Up
# to 2,000 states all get one, as a scan without a tail is quickest; beyond, a table of few states is to be small.
# (At most states, bytes of dense rows.)
DENSE_BYTES = ((2_000, 512 * 1024), (8_192, 96 * 1024), (2**31, 256 * 1024))
FILTER_BITS_PER_GRAM = 32
GRAM_SLOTS_PER_ENTRY = 2
# A literal goes by the largest gram that fits: the more literals, the larger must a gram be to tell them from other
# text. (More literals than, sizes.)
FEW_LITERALS = 1_000
GRAM_SIZES = ((30_000, (12, 8)), (FEW_LITERALS, (8,)), (0, (6,)))
# Up to so many short literals share one size, which is then the shortest's.
SHORT_LITERALS = 32
# Grams of three bytes at every place are rarer than of two at every second: for literals shorter than this.
SHORT_GRAM = 5

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str, int, int], None]


class RuleTextError(Exception):
    """Rule texts that cannot be compiled; one line per fault, each with file and line."""


class Source(NamedTuple):
    """A rule and where it stands."""

    rule: Rule
    place: str  # file:line


# ---- reading ----------------------------------------------------------------------------------------------------

PROPERTY = re.compile(r"([a-z_]+)\s*=\s*(.*)")
NUMBERED = re.compile(r"([0-9]{1,10})\s+(.*)")
OWN_REASON = re.compile(r"(.*?)\s{2,}# (.+)")
JSON = json.JSONDecoder()
PROPERTIES = ("mode", "fields", "weight", "action", "reason", "first_id")
DOMAIN = re.compile(rb"[a-z0-9\x80-\xff_-]+(\.[a-z0-9\x80-\xff_-]+)*")
FINGERPRINT_VALUE = re.compile(rb"[0-9a-f]{64}")


class _Reader:
    """Reads rule files line by line, and gathers faults instead of stopping at the first."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.faults: list[str] = []
        self.ids: dict[int, str] = {}
        self.same: dict[tuple[bytes, str, tuple[str, ...]], str] = {}
        self.properties: dict[str, str] | None = None
        self.parsed: tuple[str, tuple[str, ...], int, str, str] | None = None
        self.next_id: int | None = None
        self.section_refused = False

    def read(self, path: str, progress: Progress) -> None:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            self.faults.append(f"{path}: cannot be read ({error.strerror})")
            return
        except UnicodeDecodeError as error:
            self.faults.append(f"{path}: not UTF-8 at byte {error.start}")
            return
        self.properties = self.parsed = self.next_id = None
        self.section_refused = False
        for number, line in enumerate(lines, 1):
            if number % 5000 == 0:
                progress(f"reading {os.path.basename(path)}", number, len(lines))
            try:
                self._line(line.strip(" \t\r"), f"{path}:{number}")
            except ValueError as fault:
                self.faults.append(f"{path}:{number}: {fault}")

    def _line(self, line: str, place: str) -> None:
        if not line or line.startswith("#"):
            return
        if line.startswith("[") and line.endswith("]"):
            self.properties, self.parsed, self.next_id, self.section_refused = {}, None, None, False
            return
        if self.section_refused:  # said once is enough
            return
        if self.properties is None:
            raise ValueError("a rule before the first [section]")
        found = PROPERTY.fullmatch(line)
        if found and self.parsed is None and found[1] in PROPERTIES:
            if found[1] in self.properties:
                raise ValueError(f"{found[1]} is given twice in one section")
            self.properties[found[1]] = found[2]
            return
        if self.parsed is None:
            self.section_refused = True
            self.parsed = self._section(self.properties)
            self.section_refused = False
        if self.next_id is not None:
            rule_id, text = self.next_id, line
            self.next_id += 1
        else:
            numbered = NUMBERED.fullmatch(line)
            if not numbered:
                raise ValueError(
                    f"neither a rule (`<id> <literal>`) nor a property ({', '.join(PROPERTIES)}): {line!r}"
                )
            rule_id, text = int(numbered[1]), numbered[2]
        self._rule(rule_id, text, place)

    def _section(self, properties: dict[str, str]) -> tuple[str, tuple[str, ...], int, str, str]:
        missing = [name for name in PROPERTIES[:5] if not properties.get(name)]
        if missing:
            raise ValueError(f"the section lacks {', '.join(missing)} before its first rule")
        mode, action = properties["mode"], properties["action"]
        if mode not in MODE_NUMBERS:
            raise ValueError(f"mode is {mode!r}, allowed: {', '.join(MODE_NUMBERS)}")
        if action not in ACTION_NUMBERS:
            raise ValueError(f"action is {action!r}, allowed: {', '.join(ACTION_NUMBERS)}")
        names = [name.strip() for name in properties["fields"].split(",")]
        fields = FIELDS if names == ["any"] else tuple(name for name in FIELD_NUMBERS if name in names)
        unknown = [name for name in names if name not in FIELD_NUMBERS and names != ["any"]]
        if unknown:
            raise ValueError(f"unknown field {', '.join(unknown)}, allowed: any, {', '.join(FIELD_NUMBERS)}")
        if set(fields) & {"email_domain", "fingerprint"} and (len(fields) > 1 or mode != "value"):
            raise ValueError(f"{', '.join(fields)}: email_domain and fingerprint stand alone, with mode = value")
        if "fingerprint" in fields and action != "decline":
            raise ValueError("a blocklisted fingerprint is declined: action = decline")
        if not re.fullmatch(r"[0-9]{1,5}", properties["weight"]) or int(properties["weight"]) > WEIGHT_FULL:
            raise ValueError(f"weight is {properties['weight']!r}, allowed: 0 to {WEIGHT_FULL}")
        if "first_id" in properties:
            if not re.fullmatch(r"[0-9]{1,10}", properties["first_id"]):
                raise ValueError(f"first_id is {properties['first_id']!r}, allowed: 1 to {ID_MAX}")
            self.next_id = int(properties["first_id"])
        return mode, fields, int(properties["weight"]), action, properties["reason"]

    def _rule(self, rule_id: int, text: str, place: str) -> None:
        mode, fields, weight, action, reason = self.parsed  # type: ignore[misc]
        if not 1 <= rule_id <= ID_MAX:
            raise ValueError(f"id {rule_id}, allowed: 1 to {ID_MAX}")
        if rule_id in self.ids:
            raise ValueError(f"id {rule_id} is taken by {self.ids[rule_id]}")
        self.ids[rule_id] = place
        if text.startswith('"'):
            try:
                unquoted, end = JSON.raw_decode(text)
            except ValueError:
                unquoted, end = "", 0
            own = OWN_REASON.fullmatch(text, end)
            if not end or (end < len(text) and not (own and not own[1])):
                raise ValueError(f"not a literal in JSON quotes: {text}")
            text = unquoted
        else:
            own = OWN_REASON.fullmatch(text)
            text = own[1] if own else text
        reason = own[2] if own else reason
        literal = text.encode("utf-8", "surrogatepass").lower()
        if not literal:
            raise ValueError("the literal is empty")
        if len(literal) > fmt.LITERAL_LENGTH_MAX:
            raise ValueError(f"the literal has {len(literal)} bytes, at most {fmt.LITERAL_LENGTH_MAX} are allowed")
        if len(reason.encode()) > 0xFFFF:
            raise ValueError("the reason is longer than 65535 bytes")
        if mode == "value" and literal != literal.strip():
            raise ValueError("a whole value never begins or ends with white space, so this rule can never hit")
        if fields == ("email_domain",) and not DOMAIN.fullmatch(literal):
            raise ValueError(f"not a domain: {text!r}")
        if fields == ("fingerprint",) and not FINGERPRINT_VALUE.fullmatch(literal):
            raise ValueError(f"a fingerprint has 64 hex digits: {text!r}")
        key = (literal, mode, fields)
        if key in self.same:
            raise ValueError(f"the same literal, mode and fields as {self.same[key]}")
        self.same[key] = place
        self.sources.append(Source(Rule(rule_id, mode, fields, weight, action, reason, literal), place))  # type: ignore[arg-type]


def read_rules(paths: Iterable[str], progress: Progress = lambda *_: None) -> list[Source]:
    """Read rule files; rules come back with ids ascending. Raises RuleTextError with every fault's file and line."""
    reader = _Reader()
    for path in paths:
        reader.read(path, progress)
    if reader.faults:
        shown = reader.faults[:FAULTS_SHOWN]
        if len(reader.faults) > len(shown):
            shown.append(f"... and {len(reader.faults) - len(shown)} more")
        raise RuleTextError("\n".join(shown))
    return sorted(reader.sources, key=lambda source: source.rule.id)


# ---- compiling --------------------------------------------------------------------------------------------------


class _Trie(NamedTuple):
    """A trie in breadth-first order: state 0 is the root, children of one state are neighbours, classes ascending."""

    classes: Array  # byte -> class
    class_count: int
    labels: Array  # class that leads to each state
    levels: list[tuple[int, int]]  # states of each depth as [from, to)
    keys: Array  # parent << 8 | label of each state, ascending: a child is found by binary search
    parents: Array
    ends: Array  # state of each literal


def _build_trie(literals: list[bytes]) -> _Trie:
    """Build the trie of `literals`, which ascend."""
    used = sorted(set(b"".join(literals)))
    classes = np.zeros(256, np.uint8)
    for number, byte in enumerate(used, 1):
        classes[byte] = number
        if 0x61 <= byte <= 0x7A:
            classes[byte - 0x20] = number
    lengths = np.array([len(literal) for literal in literals], np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1].astype(np.int64)
    text = classes[np.frombuffer(b"".join(literals), np.uint8)]
    state = np.zeros(len(literals), np.int64)
    labels, parents, levels = [np.zeros(1, np.uint8)], [np.zeros(1, np.int64)], [(0, 1)]
    active = np.arange(len(literals))
    depth = 0
    while active.size:
        parent, label = state[active], text[starts[active] + depth]
        # Literals ascend, so those with a common prefix are neighbours, and a new state begins where either changes.
        new = np.ones(active.size, bool)
        new[1:] = (parent[1:] != parent[:-1]) | (label[1:] != label[:-1])
        first = levels[-1][1]
        state[active] = first + np.cumsum(new) - 1
        labels.append(label[new])
        parents.append(parent[new])
        levels.append((first, first + int(new.sum())))
        depth += 1
        active = active[lengths[active] > depth]
    all_labels, all_parents = np.concatenate(labels), np.concatenate(parents)
    keys = all_parents << 8 | all_labels
    keys[0] = -1  # the root is nobody's child
    return _Trie(classes, len(used) + 1, all_labels, levels, keys, all_parents, state)


def _find_children(trie: _Trie, states: Array, labels: Array) -> Array:
    """Return the child of each state by each label, 0 where there is none."""
    keys = states << 8 | labels
    at = np.minimum(np.searchsorted(trie.keys, keys), trie.keys.size - 1)
    return np.where(trie.keys[at] == keys, at, 0)


def _link(trie: _Trie, progress: Progress) -> Array:
    """Return for each state the one of the longest proper suffix that is also a prefix of some literal."""
    fail = np.zeros(trie.keys.size, np.int64)
    for first, end in trie.levels[2:]:
        progress("linking", end, trie.keys.size)
        labels = trie.labels[first:end].astype(np.int64)
        at = fail[trie.parents[first:end]]
        found = _find_children(trie, at, labels)
        open_ = np.flatnonzero((found == 0) & (at != 0))
        while open_.size:
            at[open_] = fail[at[open_]]
            found[open_] = _find_children(trie, at[open_], labels[open_])
            open_ = open_[(found[open_] == 0) & (at[open_] != 0)]
        fail[first:end] = found
    return fail


def _link_outputs(trie: _Trie, fail: Array, rules_of: list[list[int]], places: list[str]) -> tuple[Array, Array, int]:
    """Return the output node of each state, the nodes (rule index, next node), and the longest chain of nodes."""
    own: dict[int, list[int]] = {int(state): rules_of[i] for i, state in enumerate(trie.ends)}
    outputs = np.zeros(trie.keys.size, np.int64)
    nodes, chain = [(0, 0)], [0]
    ending = sorted(own)
    at = 0
    for first, end in trie.levels[1:]:
        outputs[first:end] = outputs[fail[first:end]]
        while at < len(ending) and ending[at] < end:
            state = ending[at]
            at += 1
            for rule_index in reversed(own[state]):
                following = int(outputs[state])
                nodes.append((rule_index, following))
                chain.append(chain[following] + 1)
                outputs[state] = len(nodes) - 1
            if chain[-1] > fmt.CHAIN_LENGTH_MAX:
                raise RuleTextError(
                    f"{places[own[state][0]]}: more than {fmt.CHAIN_LENGTH_MAX} rules' literals are ends of this one, "
                    "so that one byte of a field could cost that much work; drop some"
                )
    return outputs, np.array(nodes, np.uint32), max(chain)


def _choose_dense(trie: _Trie, children: Array, limit: int) -> Array:
    """Return which states get a dense row, at most `limit`: those that many texts pass, the root first.

    First the states with more children than a tail record shows at a glance, then the shallow ones; a state only with
    its parent, so that children of tail states are tail states.
    """
    chosen = np.zeros(trie.keys.size, bool)
    chosen[0] = True
    left = limit - 1
    for wanted in (children > fmt.CHILDREN_IN_RECORD, np.ones(children.size, bool)):
        for first, end in trie.levels[1:]:
            able = np.arange(first, end)
            able = able[wanted[first:end] & ~chosen[first:end] & chosen[trie.parents[first:end]]][:left]
            chosen[able] = True
            left -= able.size
            if not left or not (able.size or chosen[first:end].any()):
                break
    return chosen


def _number_tail(trie: _Trie, children: Array, dense: Array) -> tuple[Array, Array]:
    """Return the branches and the chain states, each in the order of their records.

    Most states lead to one literal alone: such chains, one piece each, are half the size, and a text that follows one
    finds eight states in a cache line.
    """
    leaves = np.zeros(trie.keys.size, np.int64)
    for first, end in reversed(trie.levels[1:]):
        leaves[first:end] += children[first:end] == 0
        np.add.at(leaves, trie.parents[first:end], leaves[first:end])
    alone = dense[trie.parents] | (children[trie.parents] == 1)
    in_chain = ~dense & (leaves == 1) & alone
    head = np.arange(trie.keys.size)
    for first, end in trie.levels[1:]:
        at = np.flatnonzero(in_chain[first:end]) + first
        at = at[in_chain[trie.parents[at]]]
        head[at] = head[trie.parents[at]]
    chains = np.flatnonzero(in_chain)
    return np.flatnonzero(~dense & ~in_chain), chains[np.argsort(head[chains], kind="stable")]


def _pack_states(
    trie: _Trie, fail: Array, outputs: Array, dense_bytes: int
) -> tuple[tuple[int, int, int], bytes, bytes, bytes]:
    """Return the numbers of dense rows, branches and chain states, and the sections dense, tail and labels."""
    count, classes = trie.keys.size, trie.class_count
    stride = classes + 1
    states = np.arange(count, dtype=np.int64)
    first_child = np.searchsorted(trie.keys, states << 8)
    children = np.searchsorted(trie.keys, (states + 1) << 8) - first_child
    is_dense = _choose_dense(trie, children, max(1, dense_bytes // (4 * stride)))
    dense_states = np.flatnonzero(is_dense)
    branches, chains = _number_tail(trie, children, is_dense)
    tail_states = np.concatenate((branches, chains))
    cells = dense_states.size * stride
    encoded = np.empty(count, np.int64)
    encoded[dense_states] = np.arange(dense_states.size) * stride
    encoded[tail_states] = cells + np.arange(tail_states.size)

    following: dict[int, Array] = {}

    def row(state: int) -> Array:
        """The next state for each class; every suffix on the way gets its row too, as the next ones ask for them."""
        missing = []
        while state not in following and state:
            missing.append(state)
            state = int(fail[state])
        cells_of = following.get(state, np.zeros(classes, np.int64))
        for of in [*([] if state else [0]), *reversed(missing)]:
            cells_of = cells_of.copy()
            mine = np.arange(first_child[of], first_child[of] + children[of])
            cells_of[trie.labels[mine]] = mine
            following[of] = cells_of
        return cells_of

    dense = np.zeros((dense_states.size, stride), np.uint32)
    for number, state in enumerate(dense_states):
        to = row(int(state))
        dense[number, :classes] = encoded[to] | np.where(outputs[to] > 0, fmt.OUTPUT_BIT, 0)
        dense[number, classes] = outputs[state]

    record = np.dtype([("fail", "<u4"), ("meta", "<u4"), ("first", "<u4"), ("labels", "u1", (fmt.CHILDREN_IN_RECORD,))])
    tail = np.zeros(branches.size, record)
    mine = first_child[branches]
    tail["fail"] = encoded[fail[branches]]
    tail["meta"] = children[branches] | outputs[branches] << 8
    tail["first"] = np.where(children[branches] > 0, encoded[np.minimum(mine, count - 1)] - cells, 0)
    for i in range(fmt.CHILDREN_IN_RECORD):
        child, there = np.minimum(mine + i, count - 1), i < children[branches]
        tail["labels"][:, i] = np.where(there, trie.labels[child], fmt.NO_LABEL)
        tail["first"] |= np.where(there & (outputs[child] > 0), 1 << fmt.CHILD_BITS + i, 0).astype(np.uint32)
    chain = np.zeros((chains.size, 2), "<u4")
    child, there = np.minimum(first_child[chains], count - 1), children[chains] > 0
    chain[:, 0] = encoded[fail[chains]] | np.where(there & (outputs[child] > 0), fmt.OUTPUT_BIT, 0)
    chain[:, 1] = np.where(there, trie.labels[child], fmt.NO_LABEL) | outputs[chains] << 8
    return (
        (dense_states.size, branches.size, chains.size),
        dense.astype("<u4").tobytes(),
        tail.tobytes() + chain.tobytes() + bytes(fmt.CHAIN_SIZE),
        trie.labels[branches].tobytes(),
    )


class _Grams(NamedTuple):
    """The sections filter and grams, and what the header says about them."""

    filter_words: int = 0
    filter: bytes = b""
    slots: int = 0
    grams: bytes = b""
    passes: tuple[tuple[int, int, int], ...] = ()


def _pack_grams(literals: list[bytes], rules_of: list[list[int]], fields_of: list[int]) -> _Grams:
    """Pack the grams of the literals. `rules_of` has each literal's rule indices, `fields_of` their field bits."""
    if not literals or min(map(len, literals)) < fmt.GRAM_SIZE_MIN:
        return _Grams()
    # A pass over every fourth place is half the work of one over every second, but doubles the grams, and leaves more
    # literals to the passes for short ones: at 100k literals it came out a third slower.
    strides = (4, 2) if len(literals) <= FEW_LITERALS else (2,)
    classes = min((_gram_classes(literals, stride) for stride in strides), key=lambda all_: sum(1 / s for _, s in all_))
    hashes, owners, offsets, passes, left = [], [], [], [], np.arange(len(literals))
    lengths = np.array([len(text) for text in literals], np.int64)
    for size, stride in classes:
        fits = lengths[left] >= size + stride - 1
        mine, left = left[fits], left[~fits]
        if mine.size:
            passes.append((size, stride, int(np.bitwise_or.reduce(np.array(fields_of)[mine]))))
            first, keys = _choose_grams([literals[i] for i in mine], size, stride)
            hashes.append(keys * np.uint64(fmt.GRAM_HASH << 8 * max(0, 8 - size) & 0xFFFF_FFFF_FFFF_FFFF))
            owners.append(np.repeat(mine, stride))
            offsets.append((first[:, None] + np.arange(stride)).ravel())
    every, owner, offset = np.concatenate(hashes), np.concatenate(owners), np.concatenate(offsets)
    different = np.unique(every)
    words = 1 << min(17, max(9, (different.size * FILTER_BITS_PER_GRAM // 64 - 1).bit_length()))
    packed = np.zeros(words, "<u8")
    bits = np.zeros(different.size, np.uint64)
    for shift in fmt.GRAM_BIT_SHIFTS:
        bits |= np.uint64(1) << (different >> np.uint64(shift) & np.uint64(63))
    at = different >> np.uint64(fmt.GRAM_WORD_SHIFT) & np.uint64(words - 1)
    np.bitwise_or.at(packed, at.astype(np.int64), bits)

    entries: dict[int, list[tuple[int, int]]] = {}
    for value, literal, place in zip(every.tolist(), owner.tolist(), offset.tolist(), strict=True):
        entries.setdefault(value, []).extend((index + 1, place) for index in rules_of[literal])
    for value, mine in entries.items():
        if len(mine) > fmt.GRAM_RULES_MAX:
            entries[value] = [(fmt.ASK_THE_AUTOMATON, 0)]
    slots = GRAM_SLOTS_PER_ENTRY * sum(map(len, entries.values()))
    cells: list[tuple[int, int, int]] = [(0, 0, 0)] * slots
    for value in sorted(entries):
        at, tag = (value >> 32) * slots >> 32, value >> fmt.GRAM_TAG_SHIFT & 0xFFFF
        for entry in entries[value]:
            while cells[at][0]:
                if cells[at][1] == tag:
                    cells[at] = cells[at][0], tag, cells[at][2] | fmt.MORE
                at = (at + 1) % slots
            cells[at] = entry[0], tag, entry[1]
    return _Grams(words, packed.tobytes(), slots, b"".join(fmt.GRAM.pack(*cell) for cell in cells), tuple(passes))


def _gram_classes(literals: list[bytes], stride: int) -> list[tuple[int, int]]:
    """Return (gram size, stride) of each pass that finds all literals, if the passes for long ones use `stride`."""
    sizes = next(chosen for least, chosen in GRAM_SIZES if len(literals) > least)
    classes = [(size, stride) for size in sizes if any(len(text) >= size + stride - 1 for text in literals)]
    short = sorted(len(text) for text in literals if len(text) < sizes[-1] + stride - 1)
    largest = sizes[-1] + stride - 2
    while short:
        stride = 1 if short[0] < SHORT_GRAM else 2
        size = short[0] - stride + 1
        if len(short) > SHORT_LITERALS and short[-1] > short[0] + 1:
            stride, size = 2, min(8, max(short[0] - 1, largest - 2))
        classes.append((size, stride))
        short = [length for length in short if length < size + stride - 1]
        largest = size
    return classes


def _choose_grams(literals: list[bytes], size: int, stride: int) -> tuple[Array, Array]:
    """Return where each literal's `stride` neighbouring grams begin, and their keys, literal by literal.

    A key is the gram as a little-endian number, with the bytes from the ninth on, hashed, xored in.

    Those that stand in the fewest literals, and of these in the middle: what joins two words is rare in other texts.
    """
    lengths = np.array([len(text) for text in literals], np.int64)
    starts = np.cumsum(lengths) - lengths
    text = np.frombuffer(b"".join(literals) + bytes(16), np.uint8).astype(np.uint64)
    keys = np.zeros(text.size - 16, np.uint64)
    for i in range(min(size, 8)):
        keys |= text[i : i + keys.size] << np.uint64(8 * i)
    if size > 8:
        high = np.zeros(keys.size, np.uint64)
        for i in range(8, size):
            high |= text[i : i + keys.size] << np.uint64(8 * (i - 8))
        keys ^= high * np.uint64(fmt.GRAM_HIGH_HASH)
    owner = np.repeat(np.arange(lengths.size), lengths)
    place = np.arange(keys.size) - starts[owner]
    usable = np.flatnonzero(place < lengths[owner] - size - stride + 2)  # the gram and its right neighbours fit
    _, number, counts = np.unique(keys, return_inverse=True, return_counts=True)
    cost = sum(counts[number[usable + i]] for i in range(stride))
    off_middle = np.abs(2 * place[usable] - (lengths[owner[usable]] - size - stride + 1))
    order = np.lexsort((off_middle, cost, owner[usable]))
    first = np.unique(owner[usable][order], return_index=True)[1]
    chosen = usable[order][first]
    return place[chosen], keys[chosen[:, None] + np.arange(stride)].ravel()


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
    trie = _build_trie(literals)
    fail = _link(trie, progress)
    outputs, nodes, chain_max = _link_outputs(
        trie, fail, [scanned[literal] for literal in literals], [source.place for source in sources]
    )
    progress("packing", 0, 1)
    dense_bytes = dense_bytes or next(size for states, size in DENSE_BYTES if trie.keys.size <= states)
    (rows, branches, chain_states), dense, tail, labels = _pack_states(trie, fail, outputs, dense_bytes)
    fields_of = [sum(1 << FIELD_NUMBERS[name] for name in rule.fields) for rule in rules]
    scanned_fields = [_union(fields_of[i] for i in scanned[literal]) for literal in literals]
    grams = _pack_grams(literals, [scanned[literal] for literal in literals], scanned_fields)
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


def write_table(data: bytes, path: Path) -> None:
    """Write the table beside `path` and move it into place: a function that maps the old one never sees half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def main() -> int:
    """Compile the files named on the command line; 1 and the faults on stderr where they cannot be."""
    parser = argparse.ArgumentParser(description="Compile rule texts to one rule table.")
    parser.add_argument("--output", type=Path, default=None, help="the table to write (default: scoring/rules.table)")
    parser.add_argument("files", nargs="*", help="rule files (default: scoring/rules/*.rules)")
    options = parser.parse_args()
    if options.files and not options.output:
        parser.error("--output is needed with files of your own, so that the built-in table stays as it is")
    paths = options.files or sorted(glob.glob(RULES_GLOB))
    output = options.output or TABLE_PATH
    try:
        with _progress_bar() as progress:
            sources = read_rules(paths, progress)
            data = compile_rules(sources, progress)
        write_table(data, output)
    except RuleTextError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{output}: cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    header = fmt.parse_header(memoryview(data), str(output))
    states = sum(header.counts[name] for name in ("dense_rows", "branches", "chain_states"))
    checksum = header.body_sha256.hex()[:16]
    content = f"{len(sources)} rules, {states} states, {len(data)} bytes"
    print(f"{output}: {content}, format version {header.version}, sha256 {checksum}")
    return 0


class _progress_bar:
    """A progress bar on a terminal, nothing elsewhere. Gives the `progress` function."""

    def __enter__(self) -> Progress:
        self.bar = None
        if not sys.stderr.isatty():
            return lambda *_: None
        from rich.console import Console
        from rich.progress import Progress as Bar

        self.bar = Bar(console=Console(stderr=True), transient=True)
        self.bar.start()
        task = self.bar.add_task("", total=None)
        bar = self.bar
        return lambda what, done, total: bar.update(task, description=what, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()


if __name__ == "__main__":
    sys.exit(main())
