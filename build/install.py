"""Install a lock file into an environment: by default this checkout, editable, and build/dev.lock into the caller's.

The rule it keeps: nothing is taken but what the lock file has a hash of, the installer included.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from local.installation import ROOT, InstallationError, install

DEV = ROOT / "build" / "dev.lock"
HASHED = "--require-hashes"


def main() -> int:
    """1 with the reason on standard error where something could not be installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="another environment's folder")
    parser.add_argument("--lock", type=Path, default=DEV)
    options = parser.parse_args()
    try:
        if options.into:
            install(options.into / "bin" / "python", options.lock, HASHED)
        else:
            _checkout(options.lock)
    except InstallationError as error:
        print(f"build/install.py: {error}", file=sys.stderr)
        return 1
    return 0


def _checkout(lock: Path) -> None:
    # uv comes first, by pip: with what it takes to get it, the rest is still there in a third of the time.
    with tempfile.NamedTemporaryFile("w", suffix="-uv.txt") as uv:
        uv.write("".join(line for line in lock.read_text().splitlines(keepends=True) if line.startswith("uv==")))
        uv.flush()
        install(Path(sys.executable), Path(uv.name), HASHED)
    install(Path(sys.executable), lock, HASHED)
    # setuptools and Cython are those of the lock: pip would fetch both again for a build apart.
    editable = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    if subprocess.run([sys.executable, "-m", "pip", *editable], check=False).returncode:
        raise InstallationError("building the scoring extension failed: what was said is above")


if __name__ == "__main__":
    sys.exit(main())
