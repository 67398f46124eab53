"""What is searched for, and in what: a blocklist and fields of payments, ordinary and hostile.

The rule: all of it comes from one seed.
"""

import random
import re
from collections.abc import Callable

PAYMENTS, FIELDS_EACH = 10, 8

Fields = list[str]

ONSETS = re.findall(r"\w+", "b br c ch d dr f fl g gr h j k kl l m n p pr r s sh st t tr v w z")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "ia", "io", "ou")
CODAS = ("", "", "", "l", "m", "n", "nd", "r", "rs", "s", "st", "t", "x")
ORDINARY = re.findall(
    r"\w+",
    """the and for with new set order gift of in to a box pack size blue red green black small large deliver leave at
    door street road avenue lane unit floor please call before on monday card shoes shirt phone case cable coffee
    beans dark roast book""",
)
ENDINGS = ("ltd", "gmbh", "llc", "inc", "trading", "group")
STREETS = ("street", "road", "avenue", "lane")
TOP_LEVELS = ("com", "net", "org", "io", "biz", "info", "shop", "online", "co.uk", "de", "fr")


class Corpus:
    """A blocklist of names, companies, domains and addresses, and fields of payments, from one seed.

    Both are made of invented words of the same syllables. `typical`: most people are on no list, so their words are
    others than the list's, and one field in a hundred holds a literal. `alike`: all words are the list's own.
    """

    def __init__(self, size: int) -> None:
        self.random = random.Random(1)
        words: set[str] = set()
        while len(words) < 26_000:
            syllables = range(self.random.choice((1, 2, 2, 3)))
            words.add("".join(self.random.choice(x) for _ in syllables for x in (ONSETS, VOWELS, CODAS)))
        every = sorted(words)
        self.random.shuffle(every)
        self.customers, self.blocked = every[:6_000], every[6_000:]
        literals: set[str] = set()
        while len(literals) < size:
            literals.add(self._literal())
        self.literals = sorted(literals)

    def _word(self, words: list[str]) -> str:
        return words[int(len(words) * self.random.random() ** 2)]  # few words are used often

    def _literal(self) -> str:
        one, two, kind = self._word(self.blocked), self._word(self.blocked), self.random.random()
        if kind < 0.4:
            return f"{one} {two}"
        if kind < 0.6:
            return f"{one} {two} {self.random.choice(ENDINGS)}"
        if kind < 0.8:
            return f"{one}{self.random.choice(('', '-'))}{two}.{self.random.choice(TOP_LEVELS)}"
        return f"{self.random.randrange(1, 999)} {one} {self.random.choice(STREETS)}"

    def _field(self, words: list[str]) -> str:
        text, length = "", self.random.randrange(80, 125)
        while len(text) < length:
            kind = self.random.random()
            if kind < 0.5:
                text += f" {self.random.choice(ORDINARY)}"
            elif kind < 0.8:
                text += f" {self._word(words).title()}"
            elif kind < 0.9:
                text += f" {self.random.randrange(1, 9999)}"
            else:
                text += f" {self._word(words)}.{self._word(words)}@{self._word(words)}.{self.random.choice(TOP_LEVELS)}"
        return text[1:]

    def typical(self) -> Fields:
        fields = [self._field(self.customers) for _ in range(PAYMENTS * FIELDS_EACH)]
        return [
            f"{text} {self.random.choice(self.literals)}" if self.random.random() < 0.01 else text for text in fields
        ]

    def alike(self) -> Fields:
        return [self._field(self.blocked) for _ in range(PAYMENTS * FIELDS_EACH)]

    def almost(self) -> Fields:
        """Literals without their last letter, one after the other: the deepest way into any automaton."""
        return [self._joined(lambda literal: literal[:-1]) for _ in range(PAYMENTS * FIELDS_EACH)]

    def middles(self) -> Fields:
        """Eight letters from the middle of literals, one after the other: what filters are fooled by most often."""
        return [
            self._joined(lambda literal: literal[len(literal) // 2 - 4 :][:8]) for _ in range(PAYMENTS * FIELDS_EACH)
        ]

    def full(self) -> Fields:
        """Literals and nothing else."""
        return [self._joined(lambda literal: literal) for _ in range(PAYMENTS * FIELDS_EACH)]

    def one_letter(self) -> Fields:
        return ["a" * 100] * (PAYMENTS * FIELDS_EACH)

    def _joined(self, change: Callable[[str], str]) -> str:
        text = ""
        while len(text) < 100:
            text += change(self.random.choice(self.literals))
        return text[:110]


HOSTILE = ("alike", "almost", "middles", "full", "one_letter")
