"""Compile a package's Python files, with an interpreter of the version that will run them.

The rule it keeps: the same sources and interpreter give the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packager.files import Files, PackageError, write_tree

# Unchecked hashes: an import then compares no time stamps, and a ZIP has none that mean anything.
# Our own code loses its docstrings, which nobody reads there: a ninth of what is unpacked and read in every init.
# Assertions and lines stay, so this is not -OO; dependencies are compiled as they are.
_COMPILER = """
import ast, importlib.util, json, os, py_compile, sys
from importlib._bootstrap_external import _code_to_hash_pyc

def without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                body = [] if len(node.body) > 1 or isinstance(node, ast.Module) else [ast.Pass()]
                node.body[:1] = [ast.copy_location(one, node.body[0]) for one in body]
    return tree

compiled = []
for name in json.load(sys.stdin):
    target = importlib.util.cache_from_source(name)
    if name.startswith(("handler/", "scoring/")):
        with open(name, "rb") as file:
            source = file.read()
        code = compile(without_docstrings(ast.parse(source, name)), name, "exec", dont_inherit=True)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
    else:
        py_compile.compile(name, target, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    compiled.append(target)
json.dump(compiled, sys.stdout)
"""


def bytecode(files: Files, interpreter: str) -> Files:
    """The `__pycache__` files for one interpreter, compiled by itself in a process of its own, in one fixed order.

    marshal's output depends on what else the process has interned, hence the fresh process and the fixed hash seed.
    """
    sources = sorted(name for name in files if name.endswith(".py"))
    with tempfile.TemporaryDirectory() as folder:
        write_tree({name: files[name] for name in sources}, Path(folder))
        done = subprocess.run(
            [interpreter, "-B", "-W", "ignore", "-c", _COMPILER],
            input=json.dumps(sources),
            cwd=folder,
            env={"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PackageError(f"{interpreter} cannot compile the package:\n{done.stderr.strip()}")
        return {name: Path(folder, name).read_bytes() for name in json.loads(done.stdout)}


def find_interpreter(runtime: str) -> str:
    """A local CPython of the runtime's version: bytecode is good for one alone, and without it init takes 2.6 x."""
    wanted = runtime.removeprefix("python")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    share = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or share / "uv" / "python")
    installed = [*sorted(uv.glob(f"cpython-{wanted}.*")), *sorted(pyenv.glob(f"{wanted}.*"))]
    candidates = [sys.executable, shutil.which(runtime), *(str(path / "bin" / runtime) for path in reversed(installed))]
    for candidate in candidates:
        if candidate:
            question = "import sys; print('%d.%d' % sys.version_info[:2])"
            answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
            if answer.returncode == 0 and answer.stdout.strip() == wanted:
                return candidate
    raise PackageError(
        f"no CPython {wanted} was found to compile the bytecode for {runtime}: install one "
        f"(.venv/bin/python -m uv python install {wanted}, or pyenv install {wanted}), or package for one that is "
        f"here with RUNTIME=python{sys.version_info.major}.{sys.version_info.minor} and deploy with the same"
    )
