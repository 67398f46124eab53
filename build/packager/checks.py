"""What a package must pass before it is written: its libraries load in Lambda, its modules import."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from packager.files import Files, PackageError, write_tree
from packager.functions import ARCHITECTURES


def check_libraries(files: Files, architecture: str) -> None:
    """Every ELF file must be for the architecture and load with glibc 2.17. Raises PackageError."""
    from packager.elf import ElfError, check_library

    for name, content in files.items():
        if content.startswith(b"\x7fELF") or name.endswith(".so"):
            try:
                check_library(content, name, ARCHITECTURES[architecture])
            except ElfError as error:
                raise PackageError(str(error)) from error


_IMPORTER = """
import importlib, json, sys
folder, names = json.load(sys.stdin)
sys.path.insert(0, folder)
for name in names:
    importlib.import_module(name)
loaded = [module for module in sys.modules.values() if (getattr(module, "__file__", None) or "").startswith(folder)]
uncompiled = [module.__name__ for module in loaded if not __import__("os").path.exists(module.__cached__ or "")]
if uncompiled:
    sys.exit("no bytecode of " + ", ".join(uncompiled))
"""


def check_imports(files: Files, interpreter: str) -> None:
    """Every module of ours must import from the package alone, with its bytecode. Raises PackageError."""
    names = [name for name in files if name.startswith(("handler/", "scoring/")) and name.endswith(".py")]
    modules = sorted(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names)
    with tempfile.TemporaryDirectory() as folder:
        write_tree(files, Path(folder))
        done = subprocess.run(
            [interpreter, "-I", "-S", "-B", "-c", _IMPORTER],
            input=json.dumps([folder, modules]),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise PackageError(
            f"the package does not import from its own content:\n{done.stderr.strip()}\n"
            "a dependency is missing in pyproject.toml, or a module belongs in `excluded` of "
            "build/packager/functions.py"
        )
