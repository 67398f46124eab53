"""The sections of the automaton: which states get a dense row, and the records of all others.

scoring/table.py has their format.
"""

import numpy as np

from rule_compiler.trie import Array, Trie
from scoring import table as fmt


def _choose_dense(trie: Trie, children: Array, limit: int) -> Array:
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


def _number_tail(trie: Trie, children: Array, dense: Array) -> tuple[Array, Array]:
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


def pack_states(
    trie: Trie, fail: Array, outputs: Array, dense_bytes: int
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
