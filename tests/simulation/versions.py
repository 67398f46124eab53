"""The same seed gives the same history on every Python version: plays the committed seeds on each one found here.

`python -m tests.simulation.versions`; other interpreters get environments of their own under .build/.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_COMMITTED = Path(__file__).with_name("histories.json")
_MINORS = ("3.11", "3.12", "3.13", "3.14")
_PACKAGES = ("aws-durable-execution-sdk-python", "aws-lambda-powertools", "botocore", "greenlet")


def interpreters() -> dict[str, str]:
    """One path a minor version from 3.11 on, from PATH and from pyenv; those that do not start are left out."""
    found: dict[str, str] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in _MINORS:
        for path in (shutil.which(f"python{minor}"), *sorted(pyenv.glob(f"{minor}.*/bin/python"))):
            if path and minor not in found and _version(str(path)) == minor:
                found[minor] = str(path)
    return found


def _version(python: str) -> str:
    # A pyenv shim is found on PATH and refuses to start where its version is not selected.
    done = subprocess.run([python, "-V"], capture_output=True, text=True, check=False)
    match = re.match(r"Python (3\.\d+)", done.stdout)
    return match[1] if match and done.returncode == 0 else ""


def _environment(minor: str, python: str) -> Path:
    """A virtual environment of that version with what the function imports, at this environment's own versions."""
    folder = ROOT / ".build" / f"simulation-{minor}"
    inside = folder / "bin" / "python"
    wanted = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable"], capture_output=True, text=True, check=True
    ).stdout
    pinned = [line for line in wanted.splitlines() if line.partition("==")[0].lower().replace("_", "-") in _PACKAGES]
    if not inside.exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(inside), "-m", "pip", "install", "--quiet", *pinned], check=True)
    return inside


def main() -> int:
    committed = _COMMITTED.read_text().strip()
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = {minor: path for minor, path in interpreters().items() if minor != own}
    pythons = {own: Path(sys.executable)}
    pythons |= {minor: _environment(minor, path) for minor, path in others.items()}
    failed = False
    for minor, python in pythons.items():
        done = subprocess.run(
            [str(python), "-m", "tests.simulation", "--histories"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
            capture_output=True,
            text=True,
            check=False,
        )
        same = done.stdout.strip() == committed
        failed = failed or not same
        verdict = "the committed histories" if same else "OTHER HISTORIES" if done.stdout else done.stderr
        print(f"Python {minor}: {verdict}")
    if failed:
        print("if the handler or the models were changed on purpose: make simulation-histories")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
