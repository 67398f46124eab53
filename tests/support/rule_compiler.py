"""The rule compiler for tests: rule files and triples to tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from scoring.model import Mode, Rule
from scoring.screening_view import literal_view
from scoring.table import Table
from tests.support.build_scripts import load

texts = load("rule_compiler.texts")
compiler = load("rule_compiler.compiler")


def compile_files(paths: Iterable[Path], **options: int) -> bytes:
    """Compile rule files to the bytes of a table."""
    data: bytes = compiler.compile_rules(texts.read_rules([str(path) for path in paths]), **options)
    return data


def compile_table(sources: Sequence[tuple[Mode, tuple[str, ...], bytes]], **options: int) -> Table:
    """Compile (mode, fields, literal) triples, ids 1, 2, ..., to a table; literals get their views here."""
    made = [
        texts.Source(Rule(i, mode, fields, 100, "score", "test", literal_view(literal, mode)), f"rule {i}")
        for i, (mode, fields, literal) in enumerate(sources, 1)
    ]
    return Table(memoryview(compiler.compile_rules(made, **options)), "test table")
