"""The rule compiler for tests: build/ is no package, so its scripts are loaded by path."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from scoring.table import Table

ROOT = Path(__file__).resolve().parent.parent


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_rules", ROOT / "build" / "rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


rules = _load()


def compile_files(paths: Iterable[Path], **options: int) -> bytes:
    """Compile rule files to the bytes of a table."""
    data: bytes = rules.compile_rules(rules.read_rules([str(path) for path in paths]), **options)
    return data


def compile_table(sources: list[tuple[str, tuple[str, ...], bytes]], **options: int) -> Table:
    """Compile (mode, fields, literal) triples, ids 1, 2, ..., to a table; literals are folded here."""
    made = [
        rules.Source(rules.Rule(i, mode, fields, 100, "score", "test", literal.lower()), f"rule {i}")
        for i, (mode, fields, literal) in enumerate(sources, 1)
    ]
    return Table(memoryview(rules.compile_rules(made, **options)), "test table")
