"""One system for both versions of the AWS CLI, as `make up` starts it, and the count of commands that were right."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from local.installation import ROOT
from local.resources import zipped
from tests.published.cli import VERSIONS, folder
from tests.published.commands import COMMANDS
from tests.support.processes import make_up, path_with

_CAME_TO: Counter[int] = Counter()


class Shell(NamedTuple):
    """A terminal beside `make up`, with the lines that it prints in force and one AWS CLI on its path."""

    version: int
    variables: dict[str, str]
    directory: Path
    endpoint_url: str

    def run(self, script: str) -> tuple[int, str, str]:
        """Status, output and errors, as one command of a reader's."""
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            env=self.variables,
            cwd=self.directory,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


def counted(version: int) -> None:
    """One more published command has come to what it should."""
    _CAME_TO[version] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for version in VERSIONS:
        ok = "ok" if _CAME_TO[version] == len(COMMANDS) else "missed"
        terminalreporter.write_line(f"bar published_commands_cli_{version} {_CAME_TO[version]} {len(COMMANDS)} {ok}")


@pytest.fixture(scope="session")
def exports() -> Iterator[dict[str, str]]:
    with make_up() as up:
        yield up.exports


@pytest.fixture(scope="session", params=VERSIONS, ids="cli {}".format)
def shell(request: pytest.FixtureRequest, exports: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    directory = tmp_path_factory.mktemp("home")
    (directory / "events").symlink_to(ROOT / "events")
    (directory / "package").mkdir()
    (directory / "package" / "handler.py").write_text("def lambda_handler(event, context):\n    return {}\n")
    (directory / "payment-processor.zip").write_bytes(zipped(directory / "package"))
    variables = {
        **exports,
        "HOME": str(directory),
        "PATH": path_with(folder(request.param)),
        "AWS_EC2_METADATA_DISABLED": "true",
        # No terminal to page on.
        "AWS_PAGER": "",
    }
    return Shell(request.param, variables, directory, exports["AWS_ENDPOINT_URL"])
