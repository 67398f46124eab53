"""The lock files: which files pip takes into what ships, what builds it and what tests it, each by its SHA-256.

The rule it keeps: a lock file belongs to the version ranges of pyproject.toml that it names, and to nothing else.
Run as a script it resolves anew and writes them all.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".build" / "wheels"

ANY = ("any",)
LINUX_TAGS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux2010", "manylinux_2_5")
X86_64 = (*(f"{tag}_x86_64" for tag in LINUX_TAGS), *ANY)
AARCH64 = (*(f"{tag}_aarch64" for tag in LINUX_TAGS), *ANY)
MACOS_ARM64 = (*(f"macosx_{major}_0_arm64" for major in (15, 14, 13, 12, 11)), *ANY)


class LockError(Exception):
    """A lock file that cannot be used or written. The message says which, why, and what to do."""


@dataclass(frozen=True)
class Lock:
    """One lock file and what it is resolved from."""

    path: str
    groups: tuple[str, ...]
    """`dependencies` and names of optional groups of pyproject.toml."""
    names: tuple[str, ...] = ()
    """Only these requirements of the groups, by name; all of them when empty."""
    targets: tuple[tuple[str, tuple[str, ...]], ...] = (("3.11", ANY),)
    """Python version and platform tags of each machine that installs from it."""

    def requirements(self) -> list[str]:
        """The version ranges that pyproject.toml asks for, sorted."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        groups = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
        asked = [one for group in self.groups for one in groups[group]]
        return sorted(one for one in asked if not self.names or re.split("[^A-Za-z0-9_-]", one)[0] in self.names)


PROCESSOR = Lock("build/processor.lock", ("dependencies",))
WORKFLOW = Lock("build/workflow.lock", ("dependencies", "workflow"))
TOOLS = Lock("build/tools.lock", ("build",), targets=(("3.11", X86_64), ("3.11", AARCH64), ("3.11", MACOS_ARM64)))
# What Lambda itself brings: the runtime client that executes the ZIP under test.
ARM64_PYTHONS = (("3.11", AARCH64), ("3.13", AARCH64))
RUNTIME = Lock("build/runtime.lock", ("local",), ("awslambdaric",), ARM64_PYTHONS)
ARM64_TESTS = Lock(
    "build/arm64-tests.lock",
    ("dev",),
    ("ahocorasick-rs", "cryptography-vectors", "hypothesis", "numpy", "pytest"),
    ARM64_PYTHONS,
)
LOCKS = (PROCESSOR, WORKFLOW, TOOLS, RUNTIME, ARM64_TESTS)


@dataclass(frozen=True)
class Pin:
    """One package of a lock file with the SHA-256 of every file that may be taken for it."""

    name: str
    version: str
    sha256: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{digest}" for digest in self.sha256)])


def read_lock(lock: Lock) -> list[Pin]:
    """The pins of a lock file. Raises LockError when pyproject.toml has moved on since it was made."""
    relock = "run `make lock` and commit the result"
    try:
        lines = (ROOT / lock.path).read_text().splitlines()
    except FileNotFoundError as error:
        raise LockError(f"{lock.path} is missing: {relock}") from error
    asked = [line.removeprefix("# asked: ") for line in lines if line.startswith("# asked: ")]
    if asked != lock.requirements():
        raise LockError(
            f"{lock.path} was made for {', '.join(asked)} but pyproject.toml asks for "
            f"{', '.join(lock.requirements())}: {relock}"
        )
    pins = []
    for line in lines:
        if line and not line.startswith("#"):
            requirement, *hashes = line.split(" --hash=sha256:")
            name, _, version = requirement.partition("==")
            if not version or not hashes or any(len(digest) != 64 for digest in hashes):
                raise LockError(f"{lock.path}: {line!r} is not NAME==VERSION --hash=sha256:DIGEST: {relock}")
            pins.append(Pin(name, version, tuple(hashes)))
    return pins


def locked_wheels(lock: Lock, python: str = "3.11", platforms: Sequence[str] = ANY) -> list[tuple[Pin, Path]]:
    """Each pinned wheel on disk, its SHA-256 checked on every call, downloaded where it is not in the cache yet."""
    folder = WHEELS / f"{Path(lock.path).stem}-{python}"
    folder.mkdir(parents=True, exist_ok=True)
    pins = read_lock(lock)

    def present() -> list[tuple[Pin, Path]]:
        files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in folder.glob("*.whl")}
        return [(pin, files[digest]) for pin in pins for digest in pin.sha256 if digest in files]

    wheels = present()
    if len(wheels) < len(pins):
        tags = [f"--platform={tag}" for tag in platforms]
        command = ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}", *tags]
        pip([*command, f"--python-version={python}", f"--requirement={ROOT / lock.path}"])
        wheels = present()
    return wheels


def pip(arguments: Sequence[str]) -> None:
    """Run pip. Raises LockError with what it said."""
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LockError(
            f"pip {arguments[0]} failed:\n{done.stderr.strip()}\n"
            "If a hash does not match, a published file or the lock file was changed: find out which, before any "
            "`make lock`.\nIf nothing was found, this machine does not reach the package index that pip is set up for."
        )


def write_lock(lock: Lock) -> None:
    """Resolve anew and write names, versions and hashes; where a pure wheel exists it serves every machine alone."""
    pins: dict[tuple[str, str], set[str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for python, platforms in lock.targets:
            for name, version, file, digest in _resolve(lock.requirements(), python, platforms, scratch):
                if not file.endswith("-any.whl") and platforms != ANY:
                    pure = _pure_wheel(name, version, python, scratch)
                    pins.setdefault((name, version), set()).add(pure or digest)
                else:
                    pins.setdefault((name, version), set()).add(digest)
    versions = [name for name, _ in pins]
    if len(versions) != len(set(versions)):
        twice = sorted({name for name in versions if versions.count(name) > 1})
        raise LockError(
            f"{lock.path}: the targets resolve to different versions of {', '.join(twice)}: narrow its range"
        )
    lines = ["# Written by `make lock`: pip takes no other files than these. From pyproject.toml:"]
    lines += [f"# asked: {requirement}" for requirement in lock.requirements()]
    lines += [str(Pin(name, version, tuple(sorted(digests)))) for (name, version), digests in sorted(pins.items())]
    (ROOT / lock.path).write_text("\n".join(lines) + "\n")


def _resolve(
    requirements: Sequence[str], python: str, platforms: Sequence[str], scratch: str
) -> list[tuple[str, str, str, str]]:
    report = Path(scratch, "report.json")
    command = ["install", "--dry-run", "--ignore-installed", "--report", str(report), "--only-binary=:all:"]
    tags = [f"--platform={tag}" for tag in platforms]
    pip([*command, *tags, f"--python-version={python}", f"--target={scratch}/none", *requirements])
    return [
        (
            package["metadata"]["name"].lower().replace("_", "-"),
            package["metadata"]["version"],
            package["download_info"]["url"].rpartition("/")[2],
            package["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for package in json.loads(report.read_text())["install"]
    ]


def _pure_wheel(name: str, version: str, python: str, scratch: str) -> str | None:
    # A wheel for one CPython version would tie the lock file to that version.
    try:
        found = _resolve([f"{name}=={version}", "--no-deps"], python, ANY, scratch)
    except LockError:
        return None
    return found[0][3]


def main() -> int:
    """Write every lock file."""
    try:
        for lock in LOCKS:
            write_lock(lock)
    except LockError as error:
        print(f"build/lock.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
