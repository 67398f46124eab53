"""Package one ZIP again whenever what it is made of has changed, for whoever brings each one to a function at once.

The rule it keeps: what cannot be packaged is said, and the next change is waited for. The extension stays as it was
built: a change of C or Cython is refused by packaging itself, which says what to do.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from packager.files import ROOT

POLL_SECONDS = 0.5
_FOLDERS = ("handler", "scoring")
_ENDINGS = (".py", ".pyx", ".c", ".h", ".pem", ".table")

State = dict[str, str]


def state() -> State:
    """The SHA-256 of each source by its name, and the commit: another one ends that the checkout is dirty."""
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    found = {"HEAD": head.stdout}
    for path in (path for folder in _FOLDERS for path in (ROOT / folder).rglob("*") if path.name.endswith(_ENDINGS)):
        try:
            found[path.relative_to(ROOT).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            # Editors write beside a file and move that into its place.
            continue
    return found


def changes(
    packaged: Mapping[str, str], look: Callable[[], State] = state, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """One for each change, once nothing more changes; without an end.

    `packaged` is the SHA-256 of what the first package has, by name: what changed since is a change.
    """
    before = look()
    known = before if all(before.get(name, sha256) == sha256 for name, sha256 in packaged.items()) else {}
    while True:
        sleep(POLL_SECONDS)
        now = look()
        if now == before != known:
            known = now
            yield
        before = now


def package_again(function: str, manifest: Mapping[str, Any], *, allow_dirty: bool) -> bool:
    """Write the ZIP of `function` that `manifest` describes anew; False where that was refused, which it has said."""
    what = [f"--{name}={manifest[name]}" for name in ("architecture", "engine", "runtime", "support")]
    command = [sys.executable, str(ROOT / "build" / "package.py"), "lambda", f"--function={function}", *what]
    return subprocess.run([*command, *(["--allow-dirty"] if allow_dirty else [])], check=False).returncode == 0
