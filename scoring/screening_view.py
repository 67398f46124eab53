"""The screening view: what a text is to the rules, so that it reads to them as it does to a person.

docs/rules.md has the rule in words. Both engines and the rule compiler see texts and literals through it; what it knows
of Unicode is a table of our own, so that every interpreter gives the same. scoring/c/view.c is its twin.
"""

import functools
import re

from scoring.screening_view_table import FOLDS

_SPACES = re.compile(rb"[\t-\r ]+")
_SPACES_OR_DASHES = re.compile(rb"[- ]+")
# What ends the domain of an e-mail address: all ASCII that no domain has. Other characters belong to it.
_DOMAIN = re.compile(rb" ?([a-z0-9._\x80-\xff-]*)")


@functools.cache
def _folds() -> dict[int, str]:
    """The table as str.translate takes it; made at the first text that is not ASCII."""
    folds = {}
    for fold, codes in FOLDS:
        for each in codes.split():
            first, _, last = each.partition("-")
            folds.update(dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1), fold))
    return folds


def screening_view(text: bytes) -> bytes:
    """Return a text as rules on whole values see it, but for the spaces around it; never longer than the text.

    Characters fold as FOLDS has it, ASCII letters to lower case, and each run of spaces and ASCII white space to one
    space. What is no UTF-8 stays as it is.
    """
    if not text.isascii():
        text = text.decode("utf-8", "surrogateescape").translate(_folds()).encode("utf-8", "surrogateescape")
    return _SPACES.sub(b" ", text.lower())  # bytes.lower knows ASCII only


def words_of(view: bytes) -> bytes:
    """Return a screening view as `substring` and `token` rules see it: each run of dashes and spaces is one space."""
    return _SPACES_OR_DASHES.sub(b" ", view)


def literal_view(literal: bytes, mode: str) -> bytes:
    """Return a rule's literal as it is compared with texts by a rule of this mode."""
    view = screening_view(literal)
    return view.strip(b" ") if mode == "value" else words_of(view)


def domain_of(address: bytes) -> bytes:
    """Return the domain of an e-mail address in its screening view, without dots at its end; empty where there is none.

    It is what follows the last `@` (and one space) up to the first character that no domain has: `Name <x@y.example>`.
    """
    _, at, rest = address.rpartition(b"@")
    found = _DOMAIN.match(rest) if at else None
    return found[1].rstrip(b".") if found else b""
