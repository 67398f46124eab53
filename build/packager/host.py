"""The unzipped package for the interpreter that runs this, which the local system and the lab start."""

from __future__ import annotations

import fcntl
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packager.bytecode import bytecode
from packager.dependencies import dependency_files
from packager.files import CACHE, Files, PackageError, digest, write_tree
from packager.functions import Function
from packager.locks import PROCESSOR, read_lock
from packager.ours import host_extension, our_files


def build_host(function: Function, engine: str, out: Path) -> None:
    """Write an unzipped package for the running interpreter to `out`, or nothing when its content is there already."""
    extension = {} if engine == "pure" else host_extension()
    if engine == "compiled" and not extension:
        raise PackageError(f"the compiled engine is not built for {sys.executable}: run `make setup`")
    ours = our_files(function) | extension
    recipe = digest(
        {
            **{path.name: path.read_bytes() for path in Path(__file__).parent.glob("*.py")},
            "lock": repr((function.lock, read_lock(function.lock or PROCESSOR))).encode(),
            "interpreter": f"{sys.executable} {sys.version}".encode(),
        }
    )
    stamp = f"{recipe} {digest(ours)}"
    stamp_file = out.with_name(out.name + ".stamp")
    with _exclusive(out.with_name(out.name + ".lock")):
        if out.is_dir() and stamp_file.is_file() and stamp_file.read_text() == stamp:
            return
        files = _host_dependencies(function, recipe) | ours | bytecode(ours, sys.executable)
        stamp_file.unlink(missing_ok=True)
        # Built beside and moved into place: an environment that starts meanwhile sees the old package or the new one.
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            write_tree(files, Path(scratch, "new"))
            if out.exists():
                out.rename(Path(scratch, "old"))
            Path(scratch, "new").rename(out)
        stamp_file.write_text(stamp)


def _host_dependencies(function: Function, recipe: str) -> Files:
    """The dependencies with their bytecode, kept from one build to the next: compiling them takes seconds."""
    kept = CACHE / "dependencies" / f"{recipe}.zip"
    with _exclusive(CACHE / "dependencies.lock"):
        if not kept.exists():
            files = dependency_files(function)
            files |= bytecode(files, sys.executable)
            kept.parent.mkdir(exist_ok=True)
            fresh = kept.with_suffix(".part")
            with zipfile.ZipFile(fresh, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
            fresh.rename(kept)
    with zipfile.ZipFile(kept) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
