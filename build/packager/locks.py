"""The lock files: which files are taken into what ships, what builds it and what tests it, each by its SHA-256.

The rule it keeps: a lock file belongs to the version ranges of pyproject.toml that it names, and to nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.files import ROOT

WHEELS = ROOT / ".build" / "wheels"

# Tags as pip takes them, for downloads.
ANY = ("any",)
LINUX_TAGS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux2010", "manylinux_2_5")
AARCH64 = (*(f"{tag}_aarch64" for tag in LINUX_TAGS), *ANY)
# Platforms as uv names them, for resolving.
PURE = "any"
ARM64_LINUX = "aarch64-manylinux_2_28"
TOOLS_PLATFORMS = ("x86_64-manylinux_2_28", ARM64_LINUX, "aarch64-apple-darwin")
DEVELOPERS_PLATFORMS = (*TOOLS_PLATFORMS, "x86_64-apple-darwin")
DEVELOPERS_PYTHONS = ("3.11", "3.12", "3.13", "3.14")


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
    targets: tuple[tuple[str, str], ...] = (("3.11", PURE),)
    """Python version and platform of each machine that installs from it; `PURE` stands for all of them."""
    sources: bool = False
    """Whether a machine beyond these, or a package without a wheel for one of them, builds from the source archive."""

    def requirements(self) -> list[str]:
        """The version ranges that pyproject.toml asks for, sorted."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        groups = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
        # A group's reference to another one of ours: that one is named beside it.
        asked = [one for group in self.groups for one in groups[group] if not one.startswith(f"{project['name']}[")]
        return sorted(one for one in asked if not self.names or re.split("[^A-Za-z0-9_-]", one)[0] in self.names)


PROCESSOR = Lock("build/processor.lock", ("dependencies",))
WORKFLOW = Lock("build/workflow.lock", ("dependencies", "workflow"))
TOOLS = Lock(
    "build/tools.lock",
    ("build",),
    targets=tuple((python, platform) for python in DEVELOPERS_PYTHONS for platform in TOOLS_PLATFORMS),
)
SITE = Lock("build/site.lock", ("site",), targets=TOOLS.targets)
# What Lambda itself brings: the runtime client that executes the ZIP under test.
ARM64_PYTHONS = (("3.11", ARM64_LINUX), ("3.13", ARM64_LINUX))
RUNTIME = Lock("build/runtime.lock", ("local",), ("awslambdaric",), ARM64_PYTHONS)
ARM64_TESTS = Lock(
    "build/arm64-tests.lock",
    ("dev",),
    ("ahocorasick-rs", "cryptography-vectors", "hypothesis", "numpy", "pytest"),
    ARM64_PYTHONS,
)
DEV = Lock(
    "build/dev.lock",
    ("dependencies", "local", "operations", "workflow", "dev"),
    targets=tuple((python, platform) for python in DEVELOPERS_PYTHONS for platform in DEVELOPERS_PLATFORMS),
    sources=True,
)
LOCKS = (PROCESSOR, WORKFLOW, TOOLS, SITE, RUNTIME, ARM64_TESTS, DEV)


@dataclass(frozen=True)
class Pin:
    """One package of a lock file with the SHA-256 of every file that may be taken for it."""

    name: str
    version: str
    sha256: tuple[str, ...]


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

    # Test processes may start at once in a fresh checkout: one downloads, the others wait.
    with folder.with_name(f"{folder.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        wheels = present()
        if len(wheels) < len(pins):
            tags = [f"--platform={tag}" for tag in platforms]
            command = ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}", *tags]
            quietly = ["--quiet", "--disable-pip-version-check"]
            _run("pip", [*command, *quietly, f"--python-version={python}", f"--requirement={ROOT / lock.path}"])
            wheels = present()
    return wheels


def _run(program: str, arguments: Sequence[str], text: str = "") -> str:
    """What pip or uv prints, `text` on its input. Raises LockError with what it said."""
    command = [sys.executable, "-m", program, *arguments]
    done = subprocess.run(command, capture_output=True, input=text, text=True, check=False)
    if done.returncode:
        raise LockError(
            f"{program} {arguments[0]} failed:\n{done.stderr.strip()}\n"
            "If a hash does not match, a published file or the lock file was changed: find out which, before any "
            f"`make lock`.\nIf nothing was found, this machine does not reach the index that {program} is set up for."
        )
    return done.stdout


def write_lock(lock: Lock) -> None:
    """Resolve anew and write names, versions and hashes; where a pure wheel exists it serves every machine alone.

    The first target decides on versions and the others keep to them: pip takes every line of the file on each machine.
    """
    pins: dict[tuple[str, str], set[str]] = {}
    for python, platform in lock.targets:
        decided = [f"{name}=={version}" for name, version in pins]
        for package in _resolve(lock, decided, python, platform):
            name, version = package["name"], package["version"]
            wheels = {wheel["url"]: wheel["hashes"]["sha256"] for wheel in package.get("wheels", ())}
            # A wheel for one CPython version would tie the lock file to that version.
            pure = [digest for url, digest in wheels.items() if url.endswith("-none-any.whl")]
            if platform == PURE and not pure:
                raise LockError(f"{lock.path}: {name} {version} has no wheel that serves every machine")
            taken = pins.setdefault((name, version), set())
            taken.update(pure or wheels.values())
            if lock.sources and not pure and "sdist" in package:
                taken.add(package["sdist"]["hashes"]["sha256"])
    lines = ["# Written by `make lock`: pip takes no other files than these. From pyproject.toml:"]
    lines += [f"# asked: {requirement}" for requirement in lock.requirements()]
    for (name, version), digests in sorted(pins.items()):
        lines += [" ".join([f"{name}=={version}", *(f"--hash=sha256:{digest}" for digest in sorted(digests))])]
    (ROOT / lock.path).write_text("\n".join(lines) + "\n")


def _resolve(lock: Lock, decided: Sequence[str], python: str, platform: str) -> list[dict[str, Any]]:
    """The packages of a standard lock (PEP 751), which lists the wheels that this Python takes on this platform."""
    resolve = ["pip", "compile", "--quiet", "--format=pylock.toml", "--no-config"]
    resolve += [] if lock.sources else ["--only-binary=:all:"]
    target = [f"--python-version={python}", *([] if platform == PURE else [f"--python-platform={platform}"])]
    resolved = _run("uv", [*resolve, *target, "-"], "\n".join([*lock.requirements(), *decided]))
    packages: list[dict[str, Any]] = tomllib.loads(resolved)["packages"]
    return packages
