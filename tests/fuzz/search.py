"""The search of a target: its corpus, then what comes of it, and a fault's input as short as it gets.

The rule it keeps: what is new is judged by what a target says that it saw and not by which of its lines ran. That holds
in C, in Python and on every version of it alike; docs/fuzzing.md has what it was measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

from tests.fuzz.mutate import Mutator
from tests.fuzz.targets import Target

_SHORTER_TRIES_MAX = 2000


class FoundError(Exception):
    """A target refused an input, `data`; the cause is what it raised."""

    def __init__(self, data: bytes, count: int) -> None:
        super().__init__(f"input {count}: {data!r}")
        self.data = data


def search(
    target: Target,
    corpus: list[bytes],
    seed: int,
    goes_on: Callable[[int], bool],
    begin: Callable[[bytes], None] = lambda _: None,
) -> tuple[int, list[bytes]]:
    """Check the corpus and what comes of it while `goes_on(inputs)`; how many, and those that showed what is new.

    `begin` is given each input before it is checked. Raises FoundError, with the shortest input of the first fault.
    """
    mutator = Mutator(target.words, seed)
    seen: set[Hashable] = set()
    count = 0

    def check(data: bytes) -> bool:
        begin(data)
        try:
            new = target.check(data) - seen
        except Exception as fault:
            raise FoundError(smallest(data, partial(_raises, target, fault)), count) from fault
        seen.update(new)
        return bool(new)

    # The shortest first: of two that show the same the other is left out.
    for data in sorted(corpus, key=lambda each: (len(each), each)):
        count += 1
        if check(data):
            mutator.keep(data, is_given=True)
    for data in mutator:
        if not goes_on(count):
            return count, mutator.corpus
        count += 1
        if check(data):
            mutator.keep(data)
    raise AssertionError("inputs have no end")


def _raises(target: Target, fault: Exception, data: bytes) -> bool:
    """Whether an input ends in the same fault, told by its type and the beginning of what it says."""
    try:
        target.check(data)
    except Exception as error:  # noqa: BLE001 - whatever a target raises is its finding
        return type(error) is type(fault) and str(error)[:20] == str(fault)[:20]
    return False


def smallest(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    """An input without the pieces that can be left out of it while `still` holds, within a bound of tries."""
    tries, size = _SHORTER_TRIES_MAX, max(1, len(data) // 2)
    while size and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            shorter = data[:at] + data[at + size :]
            tries -= 1
            if still(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
