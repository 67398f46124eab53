"""The wheels of dist/: the same bytes from any folder, good for every Python from 3.11 on, natively buildable.

Needs what `make wheel` makes, so `make test-wheel` runs it by name and `make test` does not collect it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DIST = ROOT / "dist"
TOOLS = ROOT / ".build" / "tools" / "bin" / "python"
# Chains of every kernel that the processor has, against the digests that the pure engine and hashlib give.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from scoring import _compiled, _pure
from scoring.kernel import describe, load_engine
for kernel in ["auto", *_compiled.kernels_present()]:
    load_engine("compiled", kernel)
    messages = [bytes([number]) * number for number in range(40)]
    assert _compiled.sha256_chains(messages, 50) == _pure.sha256_chains(messages, 50), kernel
print(describe()["engine"], _compiled.__file__)
"""


def built(pattern: str) -> Path:
    (path,) = DIST.glob(pattern)
    return path


def pythons() -> list[str]:
    """Every CPython from 3.11 on that is here."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for folder in sorted(versions.glob("3.1[1-9].*")):
        found.setdefault(folder.name.rpartition(".")[0], str(folder / "bin" / "python3"))
    return list(found.values())


def test_wheels_and_sdist_are_the_same_from_another_folder(tmp_path: Path) -> None:
    copy = tmp_path / "a folder elsewhere"
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "_compiled.c")
    for name in ("build", "handler", "operations", "scoring"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copyfile(ROOT / name, copy / name)
    subprocess.run([str(TOOLS), "build/wheel.py", "--builder=zig"], cwd=copy, check=True)
    names = sorted(path.name for path in (copy / "dist").iterdir())
    assert names == sorted(path.name for path in [*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")])
    for name in names:
        assert (copy / "dist" / name).read_bytes() == (DIST / name).read_bytes(), name


@pytest.mark.parametrize("python", pythons())
def test_one_wheel_serves_every_python(python: str, tmp_path: Path) -> None:
    machine = sysconfig.get_platform().rpartition("-")[2]
    shutil.unpack_archive(built(f"*manylinux_2_17_{machine}*.whl"), tmp_path, "zip")
    done = subprocess.run([python, "-I", "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["compiled", str(tmp_path / "scoring" / "_compiled.abi3.so")]


def test_the_sdist_builds_natively(tmp_path: Path) -> None:
    command = [str(TOOLS), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    environment = os.environ | {"SCORING_EXTENSION": "require"}
    subprocess.run([*command, str(tmp_path), str(built("*.tar.gz"))], env=environment, check=True)
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_container_way_builds_the_same_two_wheels() -> None:
    """cibuildwheel itself reads the configuration; building in containers needs Docker and is left to its users."""
    command = [str(TOOLS), "-m", "cibuildwheel", "--platform=linux", "--print-build-identifiers"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cp311-manylinux_x86_64", "cp311-manylinux_aarch64"]
