"""Inputs for a target: those that it has, changed, put together and cut.

The rule it keeps: what comes is the seed's and the corpus's alone, the same on every machine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

LENGTH_MAX = 4096
# What a reader would take for one thing: a text in quotes, a number, a word; else one byte.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[A-Za-z_]+|.', re.DOTALL)
_LENGTHS = (1, 1, 2, 4, 8, 16, 64)


class Mutator:
    """An endless stream of inputs from a corpus that grows with `keep`."""

    def __init__(self, words: Sequence[str | bytes], seed: int) -> None:
        self.corpus: list[bytes] = []
        self._words = [each if isinstance(each, bytes) else each.encode("utf-8", "surrogatepass") for each in words]
        self._random = random.Random(seed)
        # Whole tokens leave most of a grammar as it is; the others break it.
        self._gentle: list[Callable[[bytes], bytes]] = [
            self._with_another_token,
            self._with_another_token,
            self._changed,
        ]
        self._rough = [*self._gentle, self._with_a_word, self._without, self._repeated, self._with_a_byte]
        self._rough += [self._spliced, self._moved]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            known = self.corpus or [b""]
            # What came last has been tried least.
            newest = known[-1 - int(self._random.expovariate(0.1)) % len(known)]
            data = newest if self._random.random() < 0.5 else self._random.choice(known)
            ways = self._random.choice((self._gentle, self._rough))
            for _ in range(self._random.choice((1, 1, 1, 2, 2, 3, 5))):
                data = self._random.choice(ways)(data)[:LENGTH_MAX]
            yield data

    def keep(self, data: bytes) -> None:
        """Make others of this one, too."""
        self.corpus.append(data)

    def _place(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _with_a_word(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self._random.choice(self._words) + data[at:]

    def _token(self, data: bytes) -> tuple[int, int]:
        tokens = [match.span() for match in _TOKEN.finditer(data)]
        long = [each for each in tokens if each[1] - each[0] > 1]
        return self._random.choice(long if long and self._random.random() < 0.7 else tokens or [(0, 0)])

    def _with_another_token(self, data: bytes) -> bytes:
        start, end = self._token(data)
        if self._random.random() < 0.6:
            return data[:start] + self._random.choice(self._words) + data[end:]
        other = self._random.choice(self.corpus or [b""])
        first, last = self._token(other)
        return data[:start] + other[first:last] + data[end:]

    def _changed(self, data: bytes) -> bytes:
        """A digit or letter more, one less, or another one, where a reader counts them."""
        start, end = self._token(data)
        at = self._random.randint(start, end)
        added = bytes([self._random.choice(b"0123456789019aAzZ.-_ ")]) * self._random.choice((1, 1, 1, 2, 9))
        return data[:at] + self._random.choice((added, b"")) + data[at + self._random.randint(0, 1) :]

    def _without(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + data[at + self._random.choice(_LENGTHS) :]

    def _repeated(self, data: bytes) -> bytes:
        at = self._place(data)
        piece = data[at : at + self._random.choice(_LENGTHS)]
        return data[:at] + piece * self._random.choice((2, 2, 3, 10, 40)) + data[at + len(piece) :]

    def _with_a_byte(self, data: bytes) -> bytes:
        at = self._place(data)
        byte = self._random.randrange(256) if self._random.random() < 0.5 else 1 << self._random.randrange(8)
        return data[:at] + bytes([byte ^ data[at] if at < len(data) else byte]) + data[at + 1 :]

    def _spliced(self, data: bytes) -> bytes:
        other, at = self._random.choice(self.corpus or [b""]), self._place(data)
        first = self._place(other)
        piece = other[first : first + self._random.choice(_LENGTHS)]
        return data[:at] + piece + data[at + self._random.choice((0, len(piece))) :]

    def _moved(self, data: bytes) -> bytes:
        at, size = self._place(data), self._random.choice(_LENGTHS)
        piece, rest = data[at : at + size], data[:at] + data[at + size :]
        to = self._place(rest)
        return rest[:to] + piece + rest[to:]
