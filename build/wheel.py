"""Build the wheels for Lambda's two architectures and an sdist, in manylinux containers or with zig as cross compiler.

The rule it keeps: both ways end in the same wheel tag and the same single public symbol, or nothing is written. The
target is manylinux_2_17 because python3.11 on Lambda has glibc 2.26, where a manylinux_2_28 build does not load.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packager.elf import ElfError, check_library

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("aarch64", "x86_64")
# What a build reads. `handler` is in the wheel too: it is the project's wheel, and the ZIP takes the extension from it.
SOURCES = ("LICENSE", "README.md", "handler", "operations", "pyproject.toml", "scoring", "setup.py")
NOT_SOURCES = (".so", ".pyd", ".pyc", "_compiled.c")
# 1980-01-01, the first day that a ZIP file can name.
SOURCE_DATE_EPOCH = "315532800"


class WheelError(Exception):
    """No wheel was written. The message says what failed and what to do."""


@dataclass(frozen=True)
class Builder:
    """The way chosen, and why."""

    name: str
    reason: str


def choose_builder(requested: str) -> Builder:
    """`container` or `zig` as asked; `auto` takes the container where a Docker daemon answers."""
    if requested != "auto":
        return Builder(requested, "asked for with BUILDER")
    docker = shutil.which("docker")
    if docker is None:
        return Builder("zig", "there is no docker command on this machine")
    done = subprocess.run([docker, "info"], capture_output=True, check=False, timeout=60)
    if done.returncode:
        return Builder("zig", "no Docker daemon answers")
    return Builder("container", "a Docker daemon answers")


def stage_sources(folder: Path) -> None:
    """Copy what a build reads to `folder`, so that nothing left by earlier builds in the checkout can get in."""
    for top in SOURCES:
        source = ROOT / top
        if not source.exists():
            raise WheelError(f"{top} is missing in {ROOT}: check the files out again")
        for path in [source] if source.is_file() else sorted(source.rglob("*")):
            if path.is_file() and not path.name.endswith(NOT_SOURCES):
                target = folder / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def build_with_zig(architecture: str, out: Path) -> Path:
    """Cross-compile one wheel and return its path. The host's CPython headers serve: the limited API has one ABI."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        stage_sources(source)
        # -g0 and -s drop what names this folder, the prefix map covers __FILE__. zig takes its target from `cc` alone.
        zig = f"{sys.executable} -m ziglang"
        flags = f"-g0 -ffile-prefix-map={source}=. -fno-sanitize=undefined"
        compiler = f"{zig} cc -target {architecture}-linux-gnu.2.17"
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("CFLAGS", "LDFLAGS", "SCORING"))
            },
            "AR": f"{zig} ar",
            "CC": compiler,
            "CFLAGS": flags,
            "LDSHARED": f"{compiler} -shared -Wl,-s",
            "LDFLAGS": "",
            "PYTHONHASHSEED": "0",
            "SCORING_EXTENSION": "require",
            "SETUPTOOLS_EXT_SUFFIX": ".abi3.so",
            "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH,
            "_PYTHON_HOST_PLATFORM": f"linux-{architecture}",
        }
        program = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
        _run([sys.executable, "-c", program, scratch], source, environment, f"the {architecture} wheel")
        (built,) = Path(scratch).glob("*.whl")
        tags = [f"--platform-tag=manylinux_2_17_{architecture}.manylinux2014_{architecture}", "--remove", str(built)]
        _run([sys.executable, "-m", "wheel", "tags", *tags], source, environment, "the wheel's tag")
        (built,) = Path(scratch).glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(built, out / built.name))


def build_in_containers(out: Path) -> list[Path]:
    """Build every wheel with cibuildwheel, as [tool.cibuildwheel] of pyproject.toml says."""
    with tempfile.TemporaryDirectory() as scratch:
        source, wheels = Path(scratch, "source"), Path(scratch, "wheels")
        stage_sources(source)
        command = [sys.executable, "-m", "cibuildwheel", "--platform=linux", f"--output-dir={wheels}", str(source)]
        _run(command, source, os.environ | {"SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH}, "the wheels in containers")
        out.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.move(wheel, out / wheel.name)) for wheel in sorted(wheels.glob("*.whl"))]


def check_wheel(wheel: Path, architecture: str) -> None:
    """The tag, the one public symbol, the symbol versions, auditwheel's and abi3audit's verdicts. Raises WheelError."""
    wanted = f"cp311-abi3-manylinux_2_17_{architecture}.manylinux2014_{architecture}.whl"
    other = f"cp311-abi3-manylinux2014_{architecture}.manylinux_2_17_{architecture}.whl"
    if not wheel.name.endswith((wanted, other)):
        raise WheelError(f"{wheel.name} does not end in {wanted}: correct setup.py or [tool.cibuildwheel]")
    with zipfile.ZipFile(wheel) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
        if libraries != ["scoring/_compiled.abi3.so"]:
            raise WheelError(
                f"{wheel.name} holds {libraries or 'no library'} instead of scoring/_compiled.abi3.so alone"
            )
        try:
            library = check_library(archive.read(libraries[0]), libraries[0], architecture)
        except ElfError as error:
            raise WheelError(f"{wheel.name}: {error}") from error
    if library.exported != ("PyInit__compiled",):
        raise WheelError(f"{wheel.name} exports {', '.join(library.exported)}: only PyInit__compiled may be visible")
    audit = _run([sys.executable, "-m", "auditwheel", "show", str(wheel)], ROOT, os.environ, "auditwheel")
    # auditwheel names the oldest platform whose rules the symbols keep: 2.17 or older.
    allowed = [f'"manylinux_2_{minor}_{architecture}"' for minor in (5, 12, 17)]
    if not any(tag in audit.replace("\n", " ") for tag in allowed):
        raise WheelError(f"auditwheel does not find {wheel.name} fit for manylinux_2_17:\n{audit}")
    _run([sys.executable, "-m", "abi3audit", "--strict", str(wheel)], ROOT, os.environ, "abi3audit")


def build_sdist(out: Path) -> Path:
    """Write the sdist with the sources as they are, its time stamps and owners removed."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        stage_sources(source)
        program = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
        _run([sys.executable, "-c", program, scratch], source, os.environ, "the sdist")
        (built,) = Path(scratch).glob("*.tar.gz")
        plain = io.BytesIO()
        with tarfile.open(built) as old, tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new:
            for member in sorted(old.getmembers(), key=lambda one: one.name):
                fresh = tarfile.TarInfo(member.name)
                fresh.mtime, fresh.size, fresh.type = int(SOURCE_DATE_EPOCH), member.size, member.type
                fresh.mode = 0o755 if member.isdir() else 0o644
                new.addfile(fresh, old.extractfile(member) if member.isfile() else None)
        out.mkdir(parents=True, exist_ok=True)
        path = out / built.name
        path.write_bytes(gzip.compress(plain.getvalue(), mtime=0))
        return path


def _run(command: Sequence[str], folder: Path, environment: os._Environ[str] | dict[str, str], what: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelError(f"{what} failed: {' '.join(command)}\n{(done.stdout + done.stderr).strip()[-4000:]}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and check; 1 with the reason on standard error when a wheel was not written."""
    parser = argparse.ArgumentParser(prog="build/wheel.py", description="Build the wheels and the sdist.")
    parser.add_argument("--builder", choices=("auto", "container", "zig"), default="auto")
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append", help="default: both (zig only)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args(arguments)
    architectures = options.architecture or list(ARCHITECTURES)
    out = options.out.absolute()
    try:
        builder = choose_builder(options.builder)
        print(f"builder: {builder.name} ({builder.reason})", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            fresh = Path(scratch)
            if builder.name == "zig":
                wheels = [build_with_zig(architecture, fresh) for architecture in architectures]
            else:
                wheels = build_in_containers(fresh)
            for wheel in wheels:
                check_wheel(wheel, "aarch64" if "aarch64" in wheel.name else "x86_64")
            finished = [*wheels, build_sdist(fresh)]
            out.mkdir(parents=True, exist_ok=True)
            for path in finished:
                print(shutil.move(path, out / path.name))
    except WheelError as error:
        print(f"build/wheel.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
