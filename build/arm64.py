"""Run the very ZIPs that ship on arm64: scoring suite, whole Lambda invocations and a workflow, under an emulator.

The rule it keeps: what is tested is the ZIP's content and nothing of the checkout; the checkout gives only the tests.
Roots with an arm64 CPython come from Debian's packages, verified by apt's signatures, and are kept outside the tree.
The emulator executes the processor's SHA-256 instructions as Graviton2's would, but its time says nothing of Graviton.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from packager.locks import AARCH64, ARM64_TESTS, RUNTIME, Lock, LockError, locked_wheels

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "payment-processor" / "arm64"
# CPython version -> the Debian suite that has it.
SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
# The processor of AWS's Graviton2, which arm64 functions run on.
PROCESSOR = "neoverse-n1"
# The hashing tests go through every kernel of the processor by themselves, the screening tests run on the one in use.
# tests/property/test_screening_parity.py stays out: minutes under emulation, for code without arm64's own instructions.
SUITE = (
    "tests/unit/scoring/test_sha256.py",
    "tests/unit/scoring/test_screening.py",
    "tests/unit/scoring/test_screening_view.py",
)
# Once is enough for what Hypothesis adds.
LONG_SUITE = (*SUITE, "tests/property/test_sha256_parity.py")
FORCED_SUITE = ("tests/unit/scoring/test_screening.py",)
# Init takes some 10 s under emulation, where Lambda allows 10. The protocol's times are stretched alike: a payment
# that is returned for want of time says nothing of the ZIP.
SLOWER = 18
INIT_SECONDS_MAX = 10.0 * SLOWER
PAYMENTS = 12
SETTLE_SECONDS_MAX = 240.0


class Arm64Error(Exception):
    """The ZIP did not pass on arm64, or could not be run. The message says what, and what to do."""


@dataclass(frozen=True)
class Interpreter:
    """An arm64 CPython on this machine."""

    version: str
    command: tuple[str, ...]

    def run(
        self, arguments: Sequence[str], folder: Path, variables: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run it with only these variables in its environment."""
        environment = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **variables}
        return subprocess.run(
            [*self.command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )


# ---- arm64 roots ------------------------------------------------------------------------------------------------


def interpreter(version: str) -> Interpreter:
    """An emulated CPython of this version, its root assembled from Debian packages at the first call."""
    emulator = _cached("qemu", _unpack_emulator) / "usr" / "bin" / "qemu-aarch64-static"
    root = _cached(f"python{version}-{SUITES[version]}", lambda folder: _unpack_root(version, folder))
    python = root / "usr" / "bin" / f"python{version}"
    return Interpreter(version, (str(emulator), "-cpu", PROCESSOR, "-L", str(root), str(python)))


def _cached(name: str, make: Any) -> Path:
    folder = CACHE / name
    if not folder.is_dir():
        for tool in ("apt-get", "dpkg"):
            if shutil.which(tool) is None:
                raise Arm64Error(
                    f"{tool} is missing: the arm64 root is made of Debian packages, so this runs on Debian or a "
                    "derivative (a container of debian:bookworm will do)"
                )
        CACHE.mkdir(parents=True, exist_ok=True)
        # Moved into place when whole: a broken download leaves nothing that a later run would take for a root.
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            fresh = Path(scratch, "root")
            fresh.mkdir()
            make(fresh)
            fresh.rename(folder)
    return folder


def _unpack_emulator(folder: Path) -> None:
    with _apt("bookworm", _output(["dpkg", "--print-architecture"]).strip()) as apt:
        _unpack(apt, ["qemu-user-static"], folder)


def _unpack_root(version: str, folder: Path) -> None:
    # Debian's merged /usr: older packages still name the links.
    for name in ("bin", "lib", "sbin"):
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(f"usr/{name}")
    with _apt(SUITES[version], "arm64") as apt:
        # libstdc++ is what the native client of awslambdaric wants.
        wanted = [f"python{version}-minimal", f"libpython{version}-stdlib", "libstdc++6"]
        plan = _output(["apt-get", "install", "--simulate", "--quiet", "--no-install-recommends", *wanted], apt)
        names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        _unpack(apt, names, folder)


def _unpack(apt: dict[str, str], names: Sequence[str], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as downloads:
        _output(["apt-get", "download", "--quiet", *names], apt, downloads)
        for package in sorted(Path(downloads).glob("*.deb")):
            _output(["dpkg", "--extract", str(package), str(folder)])


@contextmanager
def _apt(suite: str, architecture: str) -> Iterator[dict[str, str]]:
    """An apt of its own for one suite and architecture, on this machine's mirror: needs no root and changes nothing."""
    mirror, keyring = _mirror()
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/apt.conf.d"):
            Path(scratch, name).mkdir(parents=True)
        Path(scratch, "state/status").touch()
        Path(scratch, "etc/sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {suite} main\n")
        settings = {
            "Dir": scratch,
            "Dir::State": f"{scratch}/state",
            "Dir::State::status": f"{scratch}/state/status",
            "Dir::Cache": f"{scratch}/cache",
            "Dir::Etc": f"{scratch}/etc",
            "APT::Architecture": architecture,
            "Acquire::Languages": "none",
            # A mirror may lag behind the index's date. The signature still has to be Debian's.
            "Acquire::Check-Valid-Until": "false",
            "APT::Sandbox::User": "root",
        }
        configuration = Path(scratch, "apt.conf")
        lines = [f'{name} "{value}";' for name, value in settings.items()]
        configuration.write_text("\n".join([*lines, f'APT::Architectures {{ "{architecture}"; }};', ""]))
        apt = {"APT_CONFIG": str(configuration)}
        _output(["apt-get", "update", "--quiet"], apt)
        yield apt


def _mirror() -> tuple[str, str]:
    targets = _output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"])
    for line in targets.splitlines():
        uri, _, component = line.split()
        if component == "main" and uri.rstrip("/").endswith("/debian"):
            break
    else:
        raise Arm64Error("apt has no source of Debian itself: add one, or run this in a container of debian:bookworm")
    for keyring in ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"):
        if Path(keyring).exists():
            return uri, keyring
    raise Arm64Error("Debian's archive keys are missing: apt-get install debian-archive-keyring")


def _output(command: Sequence[str], variables: dict[str, str] | None = None, folder: str | None = None) -> str:
    done = subprocess.run(
        command, env=os.environ | (variables or {}), cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Arm64Error(
            f"{' '.join(command[:3])} failed: {done.stderr.strip()[-1500:]}\n"
            "check that apt's mirror can be reached (`apt-get update`), then run this again"
        )
    return done.stdout


# ---- the ZIP ----------------------------------------------------------------------------------------------------


def unpack_zip(stem: str, folder: Path) -> dict[str, Any]:
    """Unzip `dist/<stem>.zip` and return its manifest, which the ZIP must match."""
    archive = DIST / f"{stem}.zip"
    manifest_path = archive.with_suffix(".manifest.json")
    if not archive.exists() or not manifest_path.exists():
        raise Arm64Error(f"{archive.relative_to(ROOT)} or its manifest is missing: run `make package`")
    manifest: dict[str, Any] = json.loads(manifest_path.read_text())
    if hashlib.sha256(archive.read_bytes()).hexdigest() != manifest["sha256"]:
        raise Arm64Error(f"{archive.relative_to(ROOT)} is not what its manifest describes: run `make package`")
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    return manifest


def stage_tests(folder: Path) -> None:
    """Lay the scoring tests beside the unzipped package.

    The rest of the checkout that the tests read comes along: rule compiler, rules' texts, kernels' sources, pages.
    """
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__", "test_*.py"))
    for name in [*LONG_SUITE, "build/screening_view.py", "pyproject.toml", "setup.py"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("build/rule_compiler", "scoring/rules", "scoring/c", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def unpack_wheels(lock: Lock, version: str, folder: Path) -> Path:
    """Install a lock file's arm64 wheels for one CPython version into `folder` and return it."""
    for _, wheel in locked_wheels(lock, version, AARCH64):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder


# A kernel forced before the tests start stays forced: the environment holds it for any test that chooses again.
_SUITE = """
import sys
sys.path[:0] = [".", sys.argv[2]]
import pytest, scoring
from scoring.kernel import describe, load_engine
assert scoring.__file__.startswith(sys.argv[1]), scoring.__file__
load_engine()
print("engine:", describe(), flush=True)
code = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[3:]])
print("at the end:", describe())
sys.exit(code)
"""

_IMPORTS = """
import importlib, json, sys
sys.path.insert(0, ".")
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
from scoring.kernel import describe, load_engine
from scoring.model import FIELDS, Payment
from scoring.table import open_table
table = open_table()
table.verify()
payment = Payment(b"identity", 66_667, tuple("" for _ in FIELDS))
scores = load_engine().score_batch(table, [payment], iterations=1000, pepper=b"")
print(json.dumps([describe(), repr(scores)]))
"""


def run_suite(python: Interpreter, kernel: str, folder: Path, tools: Path, suite: Sequence[str]) -> str:
    """The scoring suite with the compiled engine on one kernel; returns pytest's closing line."""
    variables = {"SCORING_ENGINE": "compiled", "SCORING_KERNEL": kernel, "CI": "true"}
    done = python.run(["-I", "-c", _SUITE, str(folder), str(tools), *suite], folder, variables)
    lines = done.stdout.strip().splitlines()
    engine = next((line for line in lines if line.startswith("engine:")), "no engine was loaded")
    expected = "portable" if kernel.startswith("portable") else "armv8"
    at_end = next((line for line in lines if line.startswith("at the end:")), "")
    in_use = f"'instruction_set': '{expected}'"
    if done.returncode or in_use not in engine or in_use not in at_end:
        raise Arm64Error(
            f"the scoring suite of the ZIP failed on arm64 CPython {python.version}, kernel {kernel} ({engine}):\n"
            + "\n".join([*lines[-60:], done.stderr.strip()[-3000:]])
        )
    return f"{expected}: {lines[-2]}"


def import_and_score(python: Interpreter, manifest: dict[str, Any], folder: Path) -> list[Any]:
    """Import every module of ours and score one payment; returns the engine's description and the scores."""
    names = [name for name in manifest["files"] if name.startswith(("handler/", "scoring/")) and name.endswith(".py")]
    modules = sorted(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names)
    done = python.run(["-I", "-c", _IMPORTS, json.dumps(modules)], folder, {"SCORING_ENGINE": manifest["engine"]})
    if done.returncode:
        raise Arm64Error(
            f"a ZIP with engine {manifest['engine']} does not import and score on arm64 CPython {python.version}:\n"
            f"{done.stderr.strip()[-3000:]}"
        )
    answer: list[Any] = json.loads(done.stdout)
    return answer


# ---- whole invocations ------------------------------------------------------------------------------------------


def run_invocations(python: Interpreter, package: Path, workflow: Path, scratch: Path) -> str:
    """Send payments through queue, emulated execution environments and table; returns one line on what came out.

    A risky one goes through the durable workflow and its approval page, where it is approved.
    """
    runtime = unpack_wheels(RUNTIME, python.version, scratch / "runtime")
    # Environments start an interpreter by its path, named after the runtime it is.
    program = scratch / f"python{python.version}"
    program.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(runtime))}\nexec {shlex.join(python.command)} "$@"\n'
    )
    program.chmod(0o755)
    # `local` is installed nowhere.
    sys.path.insert(0, str(ROOT))
    from local.approvals.workflow import Approvals
    from local.resources import Times
    from local.system import LocalSystem

    times = Times(*(SLOWER * seconds for seconds in astuple(Times())))
    scoring = {"SCORING_ENGINE": "compiled", "FRAUD_ITERATIONS": "1000"}
    approvals = Approvals(package=workflow, approvers=("alice",), variables=scoring)
    with (
        LocalSystem(
            package=package,
            concurrency=1,
            runtime_python=program,
            directory=scratch / "system",
            init_seconds_max=INIT_SECONDS_MAX,
            times=times,
            variables={**scoring, **approvals.variables},
            endpoints=approvals.endpoints,
        ) as system,
        approvals.running(system),
    ):
        expected = _send(system)
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        found: dict[str, str] = {}
        while found != expected and time.monotonic() < deadline:
            system.check()
            time.sleep(0.5)
            for link in approvals.mail():
                approvals.decide(link, "approve", "looked at on arm64")
            pages = (
                system.clients["dynamodb"]
                .get_paginator("scan")
                .paginate(TableName=system.names.table, ConsistentRead=True)
            )
            found = {item["payment_id"]["S"]: item["status"]["S"] for page in pages for item in page["Items"]}
        logs = "\n".join(
            path.read_text(errors="replace") for path in sorted(system.log_directory.glob("**/environment-*"))
        )
        if found != expected:
            raise Arm64Error(f"payments out are {found} instead of {expected}; the environment's log:\n{logs[-4000:]}")
        answers = [json.loads(outcome.payload) for outcome in list(system.outcomes) if outcome.error_type is None]
    processed = sum(answer["body"]["processed"] for answer in answers)
    failures = [failure for answer in answers for failure in answer["batchItemFailures"]]
    if processed + sum(answer["body"]["failed"] for answer in answers) != len(expected) or failures:
        raise Arm64Error(f"the batch responses do not add up to {len(expected)} payments: {answers}")
    if not any(answer["body"]["cold_start"] for answer in answers) or '"armv8"' not in logs:
        raise Arm64Error(f"no cold start with the armv8 kernel was logged:\n{logs[-4000:]}")
    return (
        f"{len(expected)} payments in {len(answers)} invocations: {processed} processed, nothing returned, "
        "the risky one approved and charged by the workflow"
    )


def _send(system: Any) -> dict[str, str]:
    """Send payments of three groups, the last of them risky; returns the status that each must end in."""
    expected = {}
    for number in range(PAYMENTS):
        cents = 70_000 if number == PAYMENTS - 1 else 2_599
        payment_id = f"arm64-{number}"
        body = {
            "payment_id": payment_id,
            "order_id": f"ord-{number}",
            "customer_id": f"cust-{number}",
            "amount": cents / 100 if number % 4 != 2 else -1,
            "payment_method": "credit_card",
        }
        expected[payment_id] = "rejected" if number % 4 == 2 else "completed"
        system.clients["sqs"].send_message(
            QueueUrl=system.resources.queue_url,
            MessageBody=json.dumps(body),
            MessageGroupId=f"group-{number % 3}",
            MessageDeduplicationId=payment_id,
        )
    return expected


# ---- the command ------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; 1 with the reason on standard error at the first failure."""
    parser = argparse.ArgumentParser(prog="build/arm64.py", description="Execute the arm64 ZIP before it ships.")
    parser.parse_args(arguments)
    begin = started = time.monotonic()

    def report(line: str) -> None:
        nonlocal started
        now = time.monotonic()
        print(f"{now - started:6.1f} s  {line}", flush=True)
        started = now

    try:
        pythons = {version: interpreter(version) for version in SUITES}
        report(f"arm64 CPython {', '.join(pythons)} in {CACHE}")
        with tempfile.TemporaryDirectory(prefix="arm64-") as scratch:
            package, staged, pure = Path(scratch, "package"), Path(scratch, "staged"), Path(scratch, "pure")
            manifest = unpack_zip("payment-processor-arm64-compiled", package)
            unpack_zip("payment-processor-arm64-compiled", staged)
            pure_manifest = unpack_zip("payment-processor-arm64-pure", pure)
            workflow = Path(scratch, "workflow")
            workflow_manifest = unpack_zip("payment-workflow-arm64-compiled", workflow)
            stage_tests(staged)
            report(f"{manifest['runtime']} ZIP {manifest['sha256'][:12]} unzipped, tests laid beside it")
            scored = []
            for version in SUITES:
                described, scores = import_and_score(pythons[version], manifest, package)
                scored.append(scores)
                report(f"{version}: every module imports, {described['instruction_set']} scores")
            described, scores = import_and_score(pythons["3.13"], pure_manifest, pure)
            report(f"3.13: every module of the pure ZIP imports, {described['engine']} scores")
            scored.append(scores)
            described, scores = import_and_score(pythons["3.13"], workflow_manifest, workflow)
            report(f"3.13: every module of the workflow's ZIP imports, {described['instruction_set']} scores")
            if len({*scored, scores}) != 1:
                raise Arm64Error(f"versions, engines or ZIPs disagree on one payment's score: {scored}, {scores}")
            for version in ("3.11", "3.13"):
                tools = unpack_wheels(ARM64_TESTS, version, Path(scratch, f"tools-{version}"))
                python, suite = pythons[version], LONG_SUITE if version == "3.13" else SUITE
                report(f"{version}: {run_suite(python, 'auto', staged, tools, suite)}")
                report(f"{version}: {run_suite(python, 'portable-1', staged, tools, FORCED_SUITE)}")
            runtime = manifest["runtime"].removeprefix("python")
            report(f"{runtime}: {run_invocations(pythons[runtime], package, workflow, Path(scratch))}")
    except (Arm64Error, LockError) as error:
        print(f"build/arm64.py: {error}", file=sys.stderr)
        return 1
    print(f"the ZIP runs on arm64 ({time.monotonic() - begin:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
