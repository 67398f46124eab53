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
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")
_LENGTHS = (1, 1, 2, 4, 8, 16, 64)


class Mutator:
    """An endless stream of inputs from a corpus that grows with `keep`."""

    def __init__(self, words: Sequence[str | bytes], seed: int) -> None:
        self.corpus: list[bytes] = []
        self._given: list[bytes] = []
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
            # What came last has been tried least; but what is new is mostly a fault, and few faults lead further.
            newest = known[-1 - int(self._random.expovariate(0.1)) % len(known)]
            data = self._random.choice((newest, self._random.choice(known), self._random.choice(self._given or known)))
            ways = self._random.choice((self._gentle, self._rough))
            for _ in range(self._random.choice((1, 1, 1, 1, 2, 2, 3, 5))):
                data = self._random.choice(ways)(data)[:LENGTH_MAX]
            yield data

    def keep(self, data: bytes, *, is_given: bool = False) -> None:
        """Make others of this one, too; a third of them all of those that were given."""
        self.corpus.append(data)
        if is_given:
            self._given.append(data)

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
        """One thing for another, mostly of its kind, so that what reads all of it goes on."""
        start, end = self._token(data)
        if self._random.random() < 0.7 and _NUMBER.fullmatch(data, start, end):
            return data[:start] + self._number(data[start:end]) + data[end:]
        if self._random.random() < 0.6 and data[start : start + 1] == b'"' and end - start > 1:
            word = self._random.choice(self._words).replace(b'"', b"")
            at = self._random.choice((start + 1, end - 1))
            return data[: self._random.choice((at, start + 1))] + word + data[at:]
        if self._random.random() < 0.6:
            return data[:start] + self._random.choice(self._words) + data[end:]
        other = self._random.choice(self.corpus or [b""])
        first, last = self._token(other)
        return data[:start] + other[first:last] + data[end:]

    def _number(self, old: bytes) -> bytes:
        """One beside the old one, or of any size, with as many decimals as a currency has, or one more."""
        if old.isdigit() and self._random.random() < 0.4:
            return b"%d" % max(0, int(old) + self._random.choice((-1, 1, -10, 10, 100, int(old))))
        whole = self._random.randrange(10 ** self._random.choice((1, 2, 3, 5, 9, 13, 16, 19)))
        decimals = self._random.choice((0, 0, 1, 2, 3, 4))
        fraction = f".{self._random.randrange(10**decimals):0{decimals}d}" if decimals else ""
        exponent = f"e{self._random.randint(-3, 9)}" if self._random.random() < 0.1 else ""
        return f"{'-' if self._random.random() < 0.05 else ''}{whole}{fraction}{exponent}".encode()

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
