"""The fuzz targets by name: a module each, with `check(data)`, which raises for a fault and says what it saw.

The rule it keeps: a target is one line here, a module, and a corpus of its own, one input a line.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

CORPORA: Final = Path(__file__).parent / "corpus"
# What has C code in it runs with that code under the sanitizers.
TARGETS: Final = {
    "messages": "python",
    "cards": "native",
    "tables": "native",
    "rules": "native",
    "page": "python",
    "tokens": "python",
    "answers": "python",
    "webhook": "python",
}


class Target(NamedTuple):
    """`check` gives features of what it saw: an input with a new one is kept. `words`: what inputs are made of."""

    name: str
    check: Callable[[bytes], set[Hashable]]
    words: Sequence[str | bytes]


def load(name: str) -> Target:
    module = importlib.import_module(f"tests.fuzz.{name}")
    return Target(name, module.check, module.WORDS)


def read_corpus(name: str, folder: Path = CORPORA) -> list[bytes]:
    path = folder / f"{name}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    # Bytes as the characters of Latin-1, in JSON: each in one line, of which a reader knows most.
    return [json.loads(line).encode("latin-1") for line in lines]


def write_corpus(name: str, corpus: Iterable[bytes], folder: Path = CORPORA) -> None:
    lines = [json.dumps(data.decode("latin-1")) for data in sorted(set(corpus))]
    (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
