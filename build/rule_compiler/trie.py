"""The states of the automaton: a trie of the literals, with the links of Aho and Corasick (1975) and the outputs.

Whole levels are linked at a time, in numpy: a hundred thousand literals take seconds.
"""

from typing import Any, NamedTuple

import numpy as np

from rule_compiler.texts import Progress, RuleTextError
from scoring.table import CHAIN_LENGTH_MAX

Array = np.ndarray[Any, np.dtype[Any]]


class Trie(NamedTuple):
    """A trie in breadth-first order: state 0 is the root, children of one state are neighbours, classes ascending."""

    classes: Array  # byte -> class
    class_count: int
    labels: Array  # class that leads to each state
    levels: list[tuple[int, int]]  # states of each depth as [from, to)
    keys: Array  # parent << 8 | label of each state, ascending: a child is found by binary search
    parents: Array
    ends: Array  # state of each literal


def build_trie(literals: list[bytes]) -> Trie:
    """Build the trie of `literals`, which ascend."""
    used = sorted(set(b"".join(literals)))
    classes = np.zeros(256, np.uint8)
    for number, byte in enumerate(used, 1):
        classes[byte] = number
        if 0x61 <= byte <= 0x7A:
            classes[byte - 0x20] = number
        elif byte == 0x20:
            classes[0x2D] = number  # no literal has a dash, and plain texts are scanned as they are
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
    return Trie(classes, len(used) + 1, all_labels, levels, keys, all_parents, state)


def _find_children(trie: Trie, states: Array, labels: Array) -> Array:
    """Return the child of each state by each label, 0 where there is none."""
    keys = states << 8 | labels
    at = np.minimum(np.searchsorted(trie.keys, keys), trie.keys.size - 1)
    return np.where(trie.keys[at] == keys, at, 0)


def link(trie: Trie, progress: Progress) -> Array:
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


def link_outputs(trie: Trie, fail: Array, rules_of: list[list[int]], places: list[str]) -> tuple[Array, Array, int]:
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
            if chain[-1] > CHAIN_LENGTH_MAX:
                raise RuleTextError(
                    f"{places[own[state][0]]}: more than {CHAIN_LENGTH_MAX} rules' literals are ends of this one, "
                    "so that one byte of a field could cost that much work; drop some"
                )
    return outputs, np.array(nodes, np.uint32), max(chain)
