"""A package's files by their path in it, before they are a folder or a ZIP; and the folders of the checkout."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".build"
DIST = ROOT / "dist"
Files = dict[str, bytes]


class PackageError(Exception):
    """Nothing was packaged. The message says what is wrong with what, and what to do."""


def write_tree(files: Files, folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def digest(files: Files) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return whole.hexdigest()
