"""The packages that are compared: ours as shipped, the same code as pip alone would pack it, another's, and the floor.

One rule: they differ in packaging only. The handler, its settings and what it is asked are the same in all of them but
`empty` and `usual`, which is what one would write instead.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.installation import BUILD, ROOT, InstallationError

Package = Literal[
    "packaged",
    "pip",
    "naive",
    "naive_no_pyc",
    "no_read",
    "no_read_all_roots",
    "key_late",
    "all_roots",
    "pepper",
    "usual",
    "empty",
]
EngineName = Literal["compiled", "pure"]

FOLDER = BUILD / "coldstart"

_EMPTY = '''"""Nothing: the floor that every cold start stands on."""


def lambda_handler(event, context):
    return {}
'''
# The published recipe installs boto3 and makes its clients with it.
_NAIVE = '''"""The same function with its clients made through boto3, as the published requirements have it."""

import boto3
import botocore.session

boto3.setup_default_session()
botocore.session.get_session = lambda: boto3.DEFAULT_SESSION._session

from handler import lambda_handler  # noqa: E402, F401
'''
# The shipped function without the read that init sends.
_NO_READ = '''"""The same function, which meets its table in the first invocation."""

import handler.composition

handler.composition._warm_up = lambda *_: None

from handler import lambda_handler  # noqa: E402, F401
'''


# The shipped function with other ways to be ready for its gateway.
_READY = {
    "key_late": '''"""The same function, which reads its gateway's key with the first charge."""

from handler.adapters.gateways import stripe

_made, _asked = stripe.StripeGateway.__init__, stripe.StripeGateway._ask


def _make(self, read_key, **settings):
    _made(self, lambda: "sk_test_not_read_yet", **settings)
    self._read_key, self._key = read_key, ""


def _ask(self, *call):
    if not self._key:
        self._key = stripe.checked_key(self._read_key(), self._mode)
    return _asked(self, *call)


stripe.StripeGateway.__init__, stripe.StripeGateway._ask = _make, _ask

from handler import lambda_handler  # noqa: E402, F401
''',
    "all_roots": '''"""The same function, which trusts its gateway by all of the system's roots."""

import os

del os.environ["GATEWAY_CA_FILE"]

from handler import lambda_handler  # noqa: E402, F401
''',
    "pepper": '''"""The same function with another secret to read, the pepper of fingerprints."""

import os

os.environ["FINGERPRINT_PEPPER_SECRET_ARN"] = "arn:aws:secretsmanager:us-east-1:000000000000:secret:pepper"

from handler import lambda_handler  # noqa: E402, F401
''',
}


@dataclass(frozen=True)
class Built:
    """An unpacked package: `folder` is the task root, `handler` Lambda's handler string."""

    folder: Path
    handler: str


def build(package: Package, engine: EngineName, python: str, support: str = "lean") -> Built:
    """Build one package for the interpreter `python`; quick when it stands already. Raises InstallationError.

    `support` is what our own package stands on; those with the SDK in them have the reference.
    """
    version = _run([python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]).strip()
    folder = FOLDER / f"{package}-{support}-{engine}-{version}"
    if package == "empty":
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "empty.py").write_text(_EMPTY)
        _compile(folder, python)
        return Built(folder, "empty.lambda_handler")
    if package == "usual":
        return Built(_usual(folder, python), "usual.lambda_handler")
    if package in ("packaged", "no_read", "no_read_all_roots", *_READY):
        what = ["--engine", engine, "--support", support, "--out", str(folder)]
        _run([python, str(ROOT / "build" / "package.py"), "host", *what])
        if package.startswith("no_read"):
            if package == "no_read_all_roots":
                (folder / "handler" / "amazon_roots.pem").unlink()
                folder.with_name(folder.name + ".stamp").unlink()
            (folder / "no_read.py").write_text(_NO_READ)
            return Built(folder, "no_read.lambda_handler")
        if package in _READY:
            (folder / f"{package}.py").write_text(_READY[package])
            return Built(folder, f"{package}.lambda_handler")
        return Built(folder, "handler.lambda_handler")
    built = _naive(folder, engine, python, compiled_bytecode=package != "naive_no_pyc")
    # The same folder without its entry that brings boto3: what pip makes of this code as it is.
    return Built(built, "handler.lambda_handler" if package == "pip" else "naive.lambda_handler")


def _naive(folder: Path, engine: EngineName, python: str, *, compiled_bytecode: bool) -> Path:
    """`pip install --target` of boto3 and Powertools at our locked versions, and our code copied beside."""
    dependencies = FOLDER / f"naive-dependencies-{folder.name.rsplit('-', 1)[1]}"
    stamp = dependencies / "installed.txt"
    pins = [
        line.partition(" ")[0]
        for line in (ROOT / "build" / "processor.lock").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    # boto3 and botocore are released together, under one number.
    botocore = next(pin for pin in pins if pin.startswith("botocore=="))
    wanted = "\n".join([*pins, botocore.replace("botocore", "boto3")])
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(dependencies, ignore_errors=True)
        _run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-compile",
                "--target",
                str(dependencies),
                "--only-binary=:all:",
                "--platform=any",
                "--python-version=3.11",
                *wanted.split(),
            ]
        )
        stamp.write_text(wanted)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(dependencies, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shipped = build("packaged", engine, python, "standard").folder
    for ours in ("handler", "scoring"):
        shutil.copytree(shipped / ours, folder / ours, ignore=shutil.ignore_patterns("__pycache__", "amazon_roots.pem"))
    (folder / "naive.py").write_text(_NAIVE)
    if compiled_bytecode:
        _compile(folder, python)
    return folder


def _usual(folder: Path, python: str) -> Path:
    """What one would write instead, as `pip install --target` packs it, from a lock file of its own."""
    source = Path(__file__).with_name("usual")
    dependencies = FOLDER / "usual-dependencies"
    stamp = dependencies / "installed.txt"
    wanted = (source / "usual.lock").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(dependencies, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes"]
        anywhere = ["--only-binary=:all:", "--platform=any", "--python-version=3.11"]
        _run([*pip, *anywhere, "--target", str(dependencies), "--requirement", str(source / "usual.lock")])
        stamp.write_text(wanted)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(dependencies, folder)
    shutil.copy(source / "usual.py", folder)
    _compile(folder, python)
    return folder


def _compile(folder: Path, python: str) -> None:
    _run([python, "-m", "compileall", "-q", "-j", "1", str(folder)])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise InstallationError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-1500:]}")
    return done.stdout
