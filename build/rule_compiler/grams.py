"""The grams by which literals are found: which are chosen, the Bloom filter of them, and the table behind it.

scoring/table.py has the format.
"""

from typing import NamedTuple

import numpy as np

from rule_compiler.trie import Array
from scoring import table as fmt

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


class Grams(NamedTuple):
    """The sections filter and grams, and what the header says about them."""

    filter_words: int = 0
    filter: bytes = b""
    slots: int = 0
    grams: bytes = b""
    passes: tuple[tuple[int, int, int], ...] = ()


def pack_grams(literals: list[bytes], rules_of: list[list[int]], fields_of: list[int]) -> Grams:
    """Pack the grams of the literals. `rules_of` has each literal's rule indices, `fields_of` their field bits."""
    if not literals or min(map(len, literals)) < fmt.GRAM_SIZE_MIN:
        return Grams()
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
    for value, places in entries.items():
        if len(places) > fmt.GRAM_RULES_MAX:
            entries[value] = [(fmt.ASK_THE_AUTOMATON, 0)]
    slots = GRAM_SLOTS_PER_ENTRY * sum(map(len, entries.values()))
    cells: list[tuple[int, int, int]] = [(0, 0, 0)] * slots
    for value in sorted(entries):
        slot, tag = (value >> 32) * slots >> 32, value >> fmt.GRAM_TAG_SHIFT & 0xFFFF
        for entry in entries[value]:
            while cells[slot][0]:
                if cells[slot][1] == tag:
                    cells[slot] = cells[slot][0], tag, cells[slot][2] | fmt.MORE
                slot = (slot + 1) % slots
            cells[slot] = entry[0], tag, entry[1]
    return Grams(words, packed.tobytes(), slots, b"".join(fmt.GRAM.pack(*cell) for cell in cells), tuple(passes))


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
    cost = np.sum([counts[number[usable + i]] for i in range(stride)], axis=0)
    off_middle = np.abs(2 * place[usable] - (lengths[owner[usable]] - size - stride + 1))
    order = np.lexsort((off_middle, cost, owner[usable]))
    first = np.unique(owner[usable][order], return_index=True)[1]
    chosen = usable[order][first]
    return place[chosen], keys[chosen[:, None] + np.arange(stride)].ravel()
