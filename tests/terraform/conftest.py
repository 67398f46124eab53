"""One initialised copy of the root for all tests that need no AWS, one applied to ministack, and one of a run."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.terraform.installation import Plan, Terraform
from tests.terraform.loopback import Loopback
from tests.terraform.provisioned_run import ProvisionedRun

_STARTED = time.monotonic()
_BARS: list[tuple[str, str, str, bool]] = []


@pytest.fixture(scope="session")
def bar() -> Callable[[str, str, str, bool], None]:
    """Report a bar of the project: name, what was measured, the limit, whether it is met."""

    def report(name: str, measured: str, limit: str, met: bool) -> None:
        _BARS.append((name, measured, limit, met))

    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    seconds = time.monotonic() - _STARTED
    # Reported, never asserted: a busy machine is no fault of the configuration.
    for name, measured, limit, met in [*_BARS, ("terraform_test_seconds", f"{seconds:.0f}", "420", seconds <= 420)]:
        terminalreporter.write_line(f"bar {name} {measured} {limit} {'ok' if met else 'missed'}")


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    return Terraform(Path(tmp_path_factory.mktemp("offline")))


@pytest.fixture(scope="session")
def plans(terraform: Terraform) -> dict[str, Plan]:
    """What each run of terraform/tests/permissions.tftest.hcl plans; at "outputs", the outputs."""
    printed = terraform.run("test", "-json", "-verbose", "-filter=tests/permissions.tftest.hcl")
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {
        line["@testrun"]: {
            **{each["address"]: each["change"]["after"] for each in line["test_plan"]["resource_changes"]},
            "outputs": {name: each.get("after") for name, each in line["test_plan"]["output_changes"].items()},
        }
        for line in lines
        if "test_plan" in line
    }


@pytest.fixture(scope="session", autouse=True)
def loopback(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback | None]:
    """Started first of all: an apply mostly waits for the provider's own delays, and the other tests run meanwhile."""
    if not any(item.path.name == "test_loopback.py" for item in request.session.items):
        yield None
        return
    found = Loopback(tmp_path_factory.mktemp("loopback"))
    yield found
    found.stop()


@pytest.fixture(scope="session", autouse=True)
def provisioned_run(
    request: pytest.FixtureRequest, loopback: Loopback | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[ProvisionedRun] | None]:
    """Started early too, as it mostly waits for an apply of its own."""
    if not any(item.path.name == "test_provisioned_run.py" for item in request.session.items):
        yield None
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(ProvisionedRun, tmp_path_factory.mktemp("run"))
