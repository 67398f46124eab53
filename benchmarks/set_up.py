"""What setting up costs: a fresh clone of this commit with no cache, up to where `make run` starts its first process.

`python -m benchmarks set-up`. The package index's own pace is in the figure, as it is for whoever sets up.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Bar, new_record, write_record

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 90.0
# What `make run` installs beside the checkout's own environment.
RUNS = "from local.installation import environment; environment('ministack'); environment('runtime')"


def main() -> int:
    """Print the bar and keep it; 1 when it was missed or a step failed."""
    argparse.ArgumentParser(prog="python -m benchmarks set-up", description=__doc__).parse_args()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    took = {}
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch, "clone")
        variables = _of_a_new_machine(scratch)
        for name, command in {
            "clone": ["git", "clone", "--quiet", str(ROOT), str(clone)],
            "make setup": ["make", "--no-print-directory", "-C", str(clone), "setup"],
            "what make run adds": [str(clone / ".venv" / "bin" / "python"), "-c", RUNS],
        }.items():
            begun = time.monotonic()
            if subprocess.run(command, env=variables, cwd=clone if clone.exists() else scratch, check=False).returncode:
                print(f"{name} failed: what it said is above")
                return 1
            took[name] = time.monotonic() - begun
            print(f"{name} {took[name]:.1f} s")
        # Removing it all may take as long again, and is nobody's set-up.
        bar = Bar("set_up_seconds", sum(took.values()), LIMIT_SECONDS)
        print(bar)
        write_record(
            new_record("set_up.json"), {"bars": [bar.as_document()], "seconds": took, "of": commit.stdout.strip()}
        )
    return 0 if bar.ok else 1


def _of_a_new_machine(scratch: str) -> dict[str, str]:
    """This environment without what a checkout or a make adds, and without the caches of pip, uv and zig."""
    ours = str(ROOT / ".venv" / "bin")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "VIRTUAL", "MAKE"))}
    kept["PATH"] = os.pathsep.join(folder for folder in kept["PATH"].split(os.pathsep) if folder != ours)
    return kept | {"PIP_NO_CACHE_DIR": "1", "UV_CACHE_DIR": f"{scratch}/uv", "XDG_CACHE_HOME": f"{scratch}/cache"}


if __name__ == "__main__":
    raise SystemExit(main())
