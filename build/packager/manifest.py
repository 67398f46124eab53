"""The manifest beside a ZIP: what it is, from which commit, and the SHA-256 of all that is in it."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Mapping
from typing import Any

from handler.domain.canonical import VERSIONS
from packager.files import ROOT, Files, PackageError
from packager.functions import Target
from packager.locks import read_lock
from scoring.table import open_table


def describe(
    target: Target,
    files: Files,
    content: bytes,
    *,
    sizes: Mapping[str, Mapping[str, int]],
    revision: str | None,
    interpreter: str,
) -> dict[str, Any]:
    table = open_table(ROOT / "scoring" / "rules.table")
    version = subprocess.run(
        [interpreter, "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=True,
    )
    digest = hashlib.sha256(content)
    return {
        "handler": target.function.handler,
        "architecture": target.architecture,
        "engine": target.engine,
        "runtime": target.runtime,
        "bytecode_from": f"CPython {version.stdout.strip()}",
        "revision": revision,
        # Nothing else may be written where this code runs, and it may not go where anything else was.
        "canonical_versions_read": sorted(VERSIONS),
        "sha256": digest.hexdigest(),
        # As Lambda's own CodeSha256 spells it, to compare with what is deployed.
        "code_sha256": base64.b64encode(digest.digest()).decode(),
        "rule_table": {"format": table.version, "rules": table.rule_count, "sha256": table.checksum},
        "support": target.function.support,
        "dependencies": {
            pin.name: pin.version for pin in (read_lock(target.function.lock) if target.function.lock else ())
        },
        "sizes": sizes,
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
    }


def clean_revision(allow_dirty: bool) -> str | None:
    """The commit that the package comes from, `-dirty` where that is allowed, None outside of git.

    Raises PackageError when what is packaged differs from the commit: nobody could say later what runs.
    """
    git = ["git", "-C", str(ROOT)]
    if not (ROOT / ".git").exists():
        return None
    shipped = ["handler", "scoring", "build", "pyproject.toml", "setup.py"]
    status = subprocess.run([*git, "status", "--porcelain", "--", *shipped], capture_output=True, text=True, check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    if not status.stdout:
        return commit
    if not allow_dirty:
        raise PackageError(
            f"the checkout differs from its commit:\n{status.stdout}commit first, or say DIRTY=1 for a package that "
            "is not to be deployed"
        )
    return f"{commit}-dirty"
