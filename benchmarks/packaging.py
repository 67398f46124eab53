"""What building and packaging cost, and what comes out: `python -m benchmarks packaging [--cold-cache]`.

Needs `make package` first. Init against a plain `pip install` is the cold-start lab's: it has those rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Bar, new_record, write_record

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1_000_000


def seconds(command: list[str], variables: dict[str, str] | None = None) -> float:
    """Wall time of a command that must succeed."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=os.environ | (variables or {}), check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: what it said is above")
    return time.monotonic() - begun


def sizes() -> list[Bar]:
    """The compiled engine's ZIP for arm64, as its manifest has it. The limits are this project's, not Lambda's."""
    manifest = ROOT / "dist" / "payment-processor-arm64-compiled.manifest.json"
    if not manifest.exists():
        raise SystemExit(f"{manifest.relative_to(ROOT)} is missing: run `make package`")
    total = json.loads(manifest.read_text())["sizes"]["total"]
    return [
        Bar("zip_zipped_mb", total["zipped"] / MEGABYTE, 0.6),
        Bar("zip_unzipped_mb", total["unzipped"] / MEGABYTE, 2.0),
    ]


def main() -> int:
    """Print the bars and keep them; 1 when one was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks packaging", description="Cost and size of the package.")
    parser.add_argument("--cold-cache", action="store_true", help="time `make test-arm64` too, its downloads included")
    options = parser.parse_args()
    bars = sizes()
    tools = ROOT / ".build" / "tools" / "bin" / "python"
    with tempfile.TemporaryDirectory() as scratch:
        # zig keeps what it compiled, its copy of glibc's start-up code too: a first build has none of it.
        cold = {"ZIG_GLOBAL_CACHE_DIR": f"{scratch}/zig", "ZIG_LOCAL_CACHE_DIR": f"{scratch}/zig-local"}
        command = [str(tools), "build/wheel.py", "--builder=zig", f"--out={scratch}/wheels"]
        bars.append(Bar("wheels_seconds", seconds(command, cold), 180.0))
        if options.cold_cache:
            # Wheels of arm64 packages count as well.
            for folder in (ROOT / ".build" / "wheels").glob("*arm64*"):
                shutil.rmtree(folder)
            emulated = seconds([sys.executable, "build/arm64.py"], {"XDG_CACHE_HOME": f"{scratch}/cache"})
            bars.append(Bar("test_arm64_seconds", emulated, 480.0))
    for bar in bars:
        print(bar)
    write_record(new_record("packaging.json"), {"bars": [bar.as_document() for bar in bars]})
    return 0 if all(bar.ok for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
