"""`make fuzz`: every target for a while, and what it found, as small as it gets.

The rule it keeps: each target is a process of its own, whose present input survives it, whatever ends it.
"""

from __future__ import annotations

import argparse
import mmap
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.mutate import LENGTH_MAX
from tests.fuzz.search import FoundError, search
from tests.fuzz.targets import TARGETS, Target, load, read_corpus, write_corpus

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".build" / "fuzz"
# Of a target: a corpus is where the next search starts, and is read by people.
_KEPT_MAX = 60


def main() -> int:
    options = _options()
    if options.folder:
        return inside(load(options.targets[0]), options)
    FOLDER.mkdir(parents=True, exist_ok=True)
    failed = [name for name in options.targets if not run(name, options)]
    if failed and not options.input:
        print(f"found: {', '.join(failed)}. What is mended gets a test of its own, and its input a line in the corpus")
    return bool(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all of them without any")
    parser.add_argument("--seconds", type=float, default=20, help="for each target (20)")
    parser.add_argument("--hours", type=float, help="for all of them together, with another seed each time")
    parser.add_argument("--seed", type=int, help="1 without --hours")
    parser.add_argument("--sanitized", type=Path, help="a copy of the tree, whose extension has the sanitizers in it")
    parser.add_argument("--input", type=Path, help="check this one input of one target")
    parser.add_argument("--keep", action="store_true", help="put inputs that showed something new into the corpus")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.targets = options.targets or list(TARGETS)
    if unknown := sorted(set(options.targets) - set(TARGETS)):
        parser.error(f"no target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if options.hours:
        options.seconds = 3600 * options.hours / len(options.targets)
    if options.seed is None:
        options.seed = int(time.time()) if options.hours else 1
    return options


def run(name: str, options: argparse.Namespace) -> bool:
    """One target in a process of its own; whether it found nothing."""
    present = FOLDER / f"{name}.present"
    present.write_bytes(bytes(8 + LENGTH_MAX))
    root, environment = ROOT, dict(os.environ)
    if options.sanitized and TARGETS[name] == "native":
        root = options.sanitized.resolve()
        library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        # Python itself leaks by design.
        environment |= {
            "LD_PRELOAD": library.stdout.strip(),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
        }
    environment["PYTHONPATH"] = str(root)
    command = [sys.executable, "-m", "tests.fuzz", name, "--folder", str(FOLDER), "--seed", str(options.seed)]
    command += ["--seconds", str(options.seconds), *(["--keep"] if options.keep else [])]
    command += ["--input", str(options.input.resolve())] if options.input else []
    code = subprocess.run(command, cwd=root, env=environment, check=False).returncode
    if code and not options.input:
        data = present_input(present)
        path = FOLDER / f"{name}.found"
        path.write_bytes(data)
        print(
            f"{name} ended with {code} over {data!r}\n  again: make fuzz TARGETS={name} INPUT={os.path.relpath(path)}"
        )
    if options.keep and not code:
        # A copy of the tree has a corpus of its own.
        write_corpus(name, read_corpus(name, root / "tests" / "fuzz" / "corpus"))
    return code == 0


def present_input(path: Path) -> bytes:
    """The input that a target's process was at, or the smallest one with the fault that it found."""
    content = path.read_bytes()
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def inside(target: Target, options: argparse.Namespace) -> int:
    """The process of one target: 1 where it found a fault, whose input is the present one then."""
    if options.input:
        target.check(options.input.read_bytes())
        return 0
    end = time.monotonic() + options.seconds
    with (options.folder / f"{target.name}.present").open("r+b") as file:
        present = mmap.mmap(file.fileno(), 0)

        def begin(data: bytes) -> None:
            present[: 8 + len(data)] = len(data).to_bytes(8, "little") + data

        try:
            count, kept = search(
                target, read_corpus(target.name), options.seed, lambda _: time.monotonic() < end, begin
            )
        except FoundError as found:
            begin(found.data)
            traceback.print_exception(found.__cause__)
            return 1
    print(f"{target.name}: {count} inputs, {len(kept)} of them new, no fault (seed {options.seed})", flush=True)
    if options.keep:
        write_corpus(target.name, kept[:_KEPT_MAX])
    return 0


if __name__ == "__main__":
    sys.exit(main())
