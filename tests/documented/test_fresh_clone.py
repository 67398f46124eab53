"""The commands of README.md, docs/packaging.md and docs/tutorial.md, typed in a fresh clone by CPython 3.11 and 3.13.

Held here: what they say is installed and made is, and nothing that is committed changes; and every target of make that
these pages name is typed here, is a step of CI, or has its own test.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.build_scripts import load
from tests.support.documents import looks_like, make_commands, steps
from tests.support.reader import Reader

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.13")
PAGES = ("README.md", *(f"docs/{name}.md" for name in ("architecture", "cold-starts", "packaging", "tutorial")))
# Target -> the tests that type it, or show what it runs.
ELSEWHERE = {
    "apply": "tests/terraform/first_user.py",
    "avalanche": "tests/integration/test_avalanche.py",
    "avalanche-simulation": "tests/unit/benchmarks",
    "benchmark": "tests/integration/test_cold_start_lab.py",
    "benchmark-aws": "tests/integration/test_cold_start_lab_aws.py",
    "benchmark-compare": "tests/unit/benchmarks",
    "benchmark-gateways": "tests/unit/benchmarks/test_gateway_lab.py",
    "benchmark-kernels": "tests/unit/benchmarks",
    "benchmark-local": "tests/unit/benchmarks",
    "benchmark-packaging": "tests/unit/benchmarks",
    "benchmark-screening": "tests/unit/benchmarks",
    "bootstrap": "tests/terraform/production.py",
    "check-card-numbers": "tests/unit/benchmarks/test_card_ids.py",
    # Lint and the unit tests, which are two steps of CI.
    "check": "tests/unit",
    "destroy": "tests/terraform/production.py",
    # Within sanitize-and-fuzz and test-site.
    "fuzz": "tests/fuzz",
    "site": "tests/artefacts",
    "init": "tests/terraform",
    "plan": "tests/terraform/test_loopback.py",
    "profile-init": "tests/unit/benchmarks",
    "profile-payment": "tests/unit/benchmarks",
    # Both would write what is committed, from what the package index has that day.
    "lock": "tests/unit/build/test_lock.py",
    "record-sizes": "tests/unit/build/test_package.py",
    "rollback": "tests/terraform/test_loopback.py",
}


class Checkout(NamedTuple):
    """A clone of this checkout's commit, set up by one Python, in a shell without ours."""

    folder: Path
    version: str
    variables: dict[str, str]

    def begin(self, line: str, **more: str) -> subprocess.Popen[str]:
        """A line of a page, begun in a shell of its own with the clone's `activate` in force."""
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f". .venv/bin/activate\n{line}"],
            cwd=self.folder,
            env=self.variables | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def type(self, line: str, **more: str) -> str:
        """What the line says; it must succeed."""
        process = self.begin(line, **more)
        said, _ = process.communicate()
        assert process.returncode == 0, f"{line}\n{said}"
        return said


@pytest.fixture(scope="module", params=PYTHONS)
def checkout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    python = load("packager.bytecode").find_interpreter(f"python{request.param}")
    folder = tmp_path_factory.mktemp(f"by-{request.param}") / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    ours = str(ROOT / ".venv" / "bin")
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "MAKE", "MFLAGS", "AWS_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    variables["PATH"] = os.pathsep.join(each for each in variables["PATH"].split(os.pathsep) if each != ours)
    done = subprocess.run(
        ["make", f"PYTHON={python}", "setup"], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Checkout(folder, request.param, variables)


def test_the_environment_is_of_the_python_that_was_named(checkout: Checkout) -> None:
    assert checkout.type("python -V").startswith(f"Python {checkout.version}.")
    assert "nothing to be done" in checkout.type("make setup").lower()
    assert "make package" in checkout.type("make help")


def test_the_snippet_the_samples_and_the_command_line_work_in_an_activated_shell(checkout: Checkout) -> None:
    snippet = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "local.md").read_text(), re.DOTALL)
    assert snippet
    (checkout.folder.parent / "snippet.py").write_text(snippet[1])
    gateway = {"GATEWAY": "simulated"}
    assert "in memory" in checkout.type("python ../snippet.py", **gateway)
    assert '"processed": 1' in checkout.type("python -m handler events/low_risk.json", **gateway)
    assert "approvals" in checkout.type("payments --help")


def test_what_make_makes_from_the_code_is_what_is_committed(checkout: Checkout) -> None:
    checkout.type("make rules")
    checkout.type("make pages")
    assert checkout.type("git status --porcelain") == ""


def test_a_months_bill_is_printed(checkout: Checkout) -> None:
    assert "arm64" in checkout.type("make cost")


def test_payments_go_through_the_whole_system(checkout: Checkout) -> None:
    said = checkout.type('make run ARGS="--payments 12 --groups 4 --faults off"')
    assert re.search(r"all \d+ checks passed", said), said


def test_wheels_and_packages_are_made(checkout: Checkout) -> None:
    wheels = checkout.type("make wheel")
    assert all(re.search(rf"cp311-abi3-\S*{machine}\.whl", wheels) for machine in ("aarch64", "x86_64")), wheels
    # By the runtime's own CPython, which is the clone's.
    for line in (f"make package RUNTIME=python{checkout.version} SUPPORT=standard", "make package"):
        runtime = "" if "RUNTIME" in line else f" RUNTIME=python{checkout.version}"
        checkout.type(line + runtime)
    made = {path.name for path in (checkout.folder / "dist").glob("*-arm64-compiled*")}
    assert made == {
        f"payment-{function}-arm64-compiled{suffix}"
        for function in ("processor", "workflow")
        for suffix in (".zip", ".manifest.json", ".cdx.json")
    }


@pytest.fixture(scope="module")
def beside_up(checkout: Checkout) -> Iterator[Reader]:
    """A second terminal beside `make up`, at a free port."""
    process = checkout.begin("make up", PORT="0")
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        assert "`. .build/local/exports`" in said, said
        yield Reader(checkout.folder, checkout.variables)
    finally:
        # As Ctrl-C does, to all of it.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def test_a_newcomer_gets_to_an_approved_payment(beside_up: Reader) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text()
    # The first two are what the fixtures type, each in a terminal that is set up, or waits.
    first, second, *others = steps(page)
    assert (first.command, second.command) == ("make setup", "make up")
    shown = [what for step in others if (what := beside_up.type(step))]
    for sample in re.findall(r"```text\n(.*?)```", page, re.DOTALL):
        assert any(looks_like(sample, what) for what in shown), sample


def test_code_is_deployed_to_the_local_system(checkout: Checkout, beside_up: Reader) -> None:
    deploy = f"make deploy-code ARCHITECTURE=x86_64 RUNTIME=python{checkout.version}"
    said = checkout.type(f". .build/local/exports\n{deploy}")
    assert "live moved from version 1 to 2" in said, said


def test_pip_builds_the_compiled_engine_natively(checkout: Checkout) -> None:
    kernel = "python -c \"from scoring.kernel import load_engine; load_engine('compiled')\""
    # Away from the checkout, whose own extension would answer.
    line = "python -m venv ../native && ../native/bin/python -m pip install --quiet . && cd .. && native/bin/"
    checkout.type(line + kernel, SCORING_EXTENSION="require")


def test_every_target_of_the_pages_is_typed_here_or_elsewhere() -> None:
    named_steps = re.findall(r"^CI_\w+ := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    covered = {*re.findall(r"[a-z][a-z0-9-]+", " ".join(named_steps)), *ELSEWHERE}
    covered |= set(re.findall(r"\bmake ([a-z-]+)", Path(__file__).read_text()))
    for page in PAGES:
        named = {target for targets, _ in make_commands((ROOT / page).read_text()) for target in targets}
        assert named - covered == set(), page
    assert all((ROOT / tests).exists() for tests in ELSEWHERE.values())
