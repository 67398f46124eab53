"""docs/first-deployment.md as a person types it: its commands, read from the page, in a checkout of their own.

The rule: a command runs as it stands. What differs on this machine is in environment variables alone.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from local.installation import ROOT, environment
from local.process_group import ProcessGroup
from local.terraform import Command

PAGE = ROOT / "docs" / "first-deployment.md"
#: `make test-package` makes the packages for Lambda, for minutes; here are those for this machine, at their place.
MADE_ELSEWHERE = "make package"
#: What AWS is still about, the page has repeated.
_SECONDS_MAX = 120.0
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


class Step(NamedTuple):
    """One command, and what it should print."""

    command: str
    expected: str


def steps() -> list[Step]:
    """Every command of the page, in order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    found = [re.fullmatch(r"(.*?)(?: +# -> (.*))?", line) for line in lines if line]
    return [Step(each[1], each[2] or "") for each in found if each]


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
        self._environment = {
            **variables,
            "PATH": f"{programs}:{variables['PATH']}",
            "AWS_PAGER": "",
            "AWS_DEFAULT_REGION": variables["AWS_REGION"],
            # A person reads the plan and types yes.
            "TF_CLI_ARGS_apply": "-auto-approve",
            "TF_CLI_ARGS_destroy": "-auto-approve",
        }
        self._checkout = checkout
        self._processes = processes
        self._steps = steps()
        self._typed = 0

    def type_until(self, command: str) -> None:
        """Type all that stands before `command` on the page. Raises AssertionError where the page is wrong."""
        while (step := self._steps[self._typed]).command != command:
            self._type(step)
            self._typed += 1

    def begin(self, command: str) -> Command:
        """The same, and begin `command`, which mostly waits: its caller has other things to do."""
        self.type_until(command)
        self._typed += 1
        output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command, which outlives this call
        process = self._processes.start(
            ["bash", "-euc", command],
            cwd=self._checkout,
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        return Command([command], process, output)

    def has_typed_all(self) -> bool:
        """Whether nothing of the page is left."""
        return self._typed == len(self._steps)

    def _type(self, step: Step) -> None:
        if step.command == MADE_ELSEWHERE:
            return
        exported = re.match(r"export (\w+)=", step.command)
        command = f'{step.command}; printf %s "${exported[1]}"' if exported else step.command
        deadline = time.monotonic() + _SECONDS_MAX
        while True:
            done = subprocess.run(
                ["bash", "-euc", command],
                cwd=self._checkout,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 0 and step.expected in done.stdout:
                break
            said = f"{step.command}\n{done.stdout}{done.stderr}"
            assert step.expected, said
            assert time.monotonic() < deadline, said
            time.sleep(0.5)
        if exported:
            self._environment[exported[1]] = done.stdout
