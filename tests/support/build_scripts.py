"""The scripts of build/ for tests: it is no package, so they are loaded by path, as running them would."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """Load a script of build/ (`wheel`), or a module of one of its folders (`rule_compiler.texts`)."""
    folder, _, module = name.partition(".")
    if module:
        _load(folder, ROOT / "build" / folder / "__init__.py")
        return importlib.import_module(name)
    # A script finds the folders beside it; here nothing else of build/ is put where it could hide a package.
    for path in sorted((ROOT / "build").glob("*/__init__.py")):
        _load(path.parent.name, path)
    return _load(f"build_{name}", ROOT / "build" / f"{name}.py")


def _load(name: str, path: Path) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
