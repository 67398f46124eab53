"""docs/first-deployment.md as a person types it: its commands, read from the page, in a checkout of their own.

The rule: a command runs as it stands. What differs on this machine is in environment variables alone.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.installation import ROOT, environment
from local.process_group import ProcessGroup
from local.terraform import Command
from tests.support.documents import Step, steps
from tests.support.reader import Reader

PAGE = ROOT / "docs" / "first-deployment.md"
#: `make test-package` makes the packages for Lambda, for minutes; here are those for this machine, at their place.
MADE_ELSEWHERE = "make package"
_NEEDED = (
    ".venv",
    "LICENSE",
    "Makefile",
    "README.md",
    "build",
    "events",
    "handler",
    "operations",
    "pyproject.toml",
    "scoring",
    "setup.py",
)


class FirstUser:
    """Types the page's commands, one after another, in a checkout around a copy of the root."""

    def __init__(self, checkout: Path, variables: Mapping[str, str], processes: ProcessGroup) -> None:
        """`checkout` has the copy as terraform/ and packages as dist/; `variables` are all that the commands find."""
        for name in _NEEDED:
            (checkout / name).symlink_to(ROOT / name)
        # Version 1 of the CLI, the one from PyPI, ignores AWS_ENDPOINT_URL for SQS alone.
        programs = checkout / "programs"
        programs.mkdir()
        aws = programs / "aws"
        aws.write_text(f'#!/bin/sh\nexec {environment("awscli")}/aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"\n')
        aws.chmod(0o755)
        environ = {
            **variables,
            # As where the checkout's environment is activated.
            "PATH": f"{programs}:{ROOT / '.venv' / 'bin'}:{variables['PATH']}",
            "AWS_PAGER": "",
            "AWS_DEFAULT_REGION": variables["AWS_REGION"],
            # A person reads the plan and types yes.
            "TF_CLI_ARGS_apply": "-auto-approve",
            "TF_CLI_ARGS_destroy": "-auto-approve",
        }
        self._reader = Reader(checkout, environ)
        self._processes = processes
        self.steps = steps(PAGE.read_text())
        self._typed = 0

    def type_until(self, command: str) -> None:
        """Type all that stands before `command` on the page. Raises AssertionError where the page is wrong."""
        while (step := self.steps[self._typed]).command != command:
            self._type(step)
            self._typed += 1

    def begin(self, command: str) -> Command:
        """The same, and begin `command`, which mostly waits: its caller has other things to do."""
        self.type_until(command)
        self._typed += 1
        output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command, which outlives this call
        process = self._processes.start(
            ["bash", "-euc", command],
            cwd=self._reader.folder,
            env=self._reader.variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        return Command([command], process, output)

    def reader(self) -> Reader:
        """Another terminal of the same person's."""
        return Reader(self._reader.folder, self._reader.variables)

    def has_typed_all(self) -> bool:
        """Whether nothing of the page is left."""
        return self._typed == len(self.steps)

    def _type(self, step: Step) -> None:
        if step.command != MADE_ELSEWHERE:
            self._reader.type(step)
