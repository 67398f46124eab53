"""The command behind build/rules.py: what it compiles, where to, and what it says."""

import argparse
import glob
import os
import sys
import tempfile
from pathlib import Path

from rule_compiler.compiler import compile_rules
from rule_compiler.texts import Progress, RuleTextError, read_rules
from scoring.table import parse_header

ROOT = Path(__file__).resolve().parent.parent.parent
RULES_GLOB = str(ROOT / "scoring" / "rules" / "*.rules")
TABLE_PATH = ROOT / "scoring" / "rules.table"


def main() -> int:
    """Compile the files named on the command line; 1 and the faults on stderr where they cannot be."""
    parser = argparse.ArgumentParser(description="Compile rule texts to one rule table.")
    parser.add_argument("--output", type=Path, default=None, help="the table to write (default: scoring/rules.table)")
    parser.add_argument("files", nargs="*", help="rule files (default: scoring/rules/*.rules)")
    options = parser.parse_args()
    if options.files and not options.output:
        parser.error("--output is needed with files of your own, so that the built-in table stays as it is")
    paths = options.files or sorted(glob.glob(RULES_GLOB))
    output = options.output or TABLE_PATH
    try:
        with _progress_bar() as progress:
            sources = read_rules(paths, progress)
            data = compile_rules(sources, progress)
        write_table(data, output)
    except RuleTextError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{output}: cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    header = parse_header(memoryview(data), str(output))
    states = sum(header.counts[name] for name in ("dense_rows", "branches", "chain_states"))
    checksum = header.body_sha256.hex()[:16]
    content = f"{len(sources)} rules, {states} states, {len(data)} bytes"
    print(f"{output}: {content}, format version {header.version}, sha256 {checksum}")
    return 0


def write_table(data: bytes, path: Path) -> None:
    """Write the table beside `path` and move it into place: a function that maps the old one never sees half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class _progress_bar:
    """A progress bar on a terminal, nothing elsewhere. Gives the `progress` function."""

    def __enter__(self) -> Progress:
        self.bar = None
        if not sys.stderr.isatty():
            return lambda *_: None
        from rich.console import Console
        from rich.progress import Progress as Bar

        self.bar = Bar(console=Console(stderr=True), transient=True)
        self.bar.start()
        task = self.bar.add_task("", total=None)
        bar = self.bar
        return lambda what, done, total: bar.update(task, description=what, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
