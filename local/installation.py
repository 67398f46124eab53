"""Python environments of their own for what the local system runs but must not share a process with.

ministack pins an older botocore, the AWS CLI another, and Lambda's runtime client must not see our development
tools: each lives in `.build/<name>`, made once from the pinned list `local/installs/<name>.txt`.
"""

import fcntl
import os
import subprocess
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"


class InstallationError(RuntimeError):
    """A Python environment could not be made; the message says which, why, and what to do."""


def environment(name: str, python: str = sys.executable) -> Path:
    """Return the `bin` folder of the environment `name` (`ministack`, `runtime`, `awscli`), made when missing.

    `python` is the interpreter it is made from, each version its own environment. The environment is bare (no pip, no
    site-packages of the host): whatever a host's `.pth` files import would otherwise be charged to a cold start.

    Raises InstallationError.
    """
    requirements = ROOT / "local" / "installs" / f"{name}.txt"
    version = _output([python, "-c", "import sys; print(*sys.version_info[:3], sep='.')"], f"asking {python}").strip()
    BUILD.mkdir(exist_ok=True)
    folder = BUILD.resolve() / f"{name}-{version}"
    stamp = folder / "installed.txt"
    # Its scripts name the folder that they were installed into: in a checkout that was moved they are dead.
    wanted = f"# in {folder}\n{requirements.read_text()}"
    # Test runs and `make run` may start at once in one checkout: one installs, the others wait.
    with (BUILD / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"installing {name} for Python {version} into {folder}", file=sys.stderr)
            _output([python, "-m", "venv", "--clear", "--without-pip", str(folder)], f"making {folder}")
            install(folder / "bin" / "python", requirements)
            stamp.write_text(wanted)
    return folder / "bin"


def install(python: Path, requirements: Path, *options: str) -> None:
    """Install a pinned list and nothing else for `python`: by uv where it is there, else by pip.

    uv reads neither pip's settings nor a private index that stands in them: where it fails, pip has the last word.

    Raises InstallationError.
    """
    listed = ["--quiet", "--no-deps", *options, "--requirement", str(requirements)]
    doing = f"installing {requirements.name} for {python}"
    # It may have come a moment ago.
    invalidate_caches()
    if find_spec("uv") is not None:
        # Modules are compiled as pip does: a cold start reads bytecode, and nobody compiles in the middle of a test.
        uv = [sys.executable, "-m", "uv", "pip", "install", "--python", str(python), "--compile-bytecode"]
        try:
            _output([*uv, *listed], doing)
        except InstallationError as error:
            print(f"uv could not, so pip does it: {error}", file=sys.stderr)
        else:
            return
    _output([sys.executable, "-m", "pip", "--python", str(python), "install", *listed], doing)


def _output(command: list[str], doing: str) -> str:
    # A PYTHONPATH meant for this project must not decide what another environment imports.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    except OSError as error:
        raise InstallationError(f"{doing}: {error}; is that Python installed?") from error
    if done.returncode != 0:
        raise InstallationError(
            f"{doing} failed ({done.returncode}): {done.stderr.strip()[-2000:]}\n"
            "Check that the package index can be reached and that the disk has room, then run the command again."
        )
    return done.stdout
