"""Whether this checkout is what a release's tag says: `make release-check TAG=v0.3.0`.

The rule it keeps: every fault is told, not the first alone, and nothing is changed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where the checkout may be released under the tag; else 1, with each fault and what to do on standard error."""
    parser = argparse.ArgumentParser(description="Compare version, changelog and commit with a release's tag.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    parser.add_argument("tag", help="v and the version, as v0.3.0")
    options = parser.parse_args(arguments)
    found = list(faults(options.root, options.tag))
    for fault in found:
        print(f"release-check: {fault}", file=sys.stderr)
    if not found:
        print(f"{options.tag} is this checkout: version, changelog and commit agree")
    return 1 if found else 0


def faults(root: Path, tag: str) -> Iterator[str]:
    """Why the checkout at `root` is not what `tag` says, a sentence each; nothing where it is."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if tag != f"v{version}":
        yield f"the tag is {tag}, pyproject.toml has version {version}: the tag is v{version}"
    heading = next((line for line in (root / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")), "")
    if not re.fullmatch(rf"## {re.escape(version)} \(\d{{4}}-\d{{2}}-\d{{2}}\)", heading):
        yield f"CHANGELOG.md begins with {heading or 'no version'!r}: it must be '## {version} (YYYY-MM-DD)'"
    if changed := _git(root, "status", "--porcelain"):
        yield f"files are not committed: {', '.join(line[3:] for line in changed.splitlines())}"
    if tag not in _git(root, "tag", "--points-at", "HEAD").splitlines():
        yield f"the tag {tag} is not on this commit: git tag --sign {tag}, or check it out"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
