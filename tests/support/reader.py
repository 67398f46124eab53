"""A person at a terminal, who types what a page says.

The rule: a command runs as it is printed. What it exports, the next ones find; where it should print something and does
not yet, it is typed again, as the pages say.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.documents import Step

#: For a broken page only: what is still about to happen takes seconds.
_SECONDS_MAX = 60.0


class Reader:
    """One terminal: a folder, and variables that the commands change."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = dict(variables)

    def type(self, step: Step) -> str:
        """What the command says. Raises AssertionError where it fails, or never says what it should."""
        deadline = time.monotonic() + _SECONDS_MAX
        while True:
            with tempfile.NamedTemporaryFile("r") as exported:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", f'{step.command}\nenv -0 >"$0"', exported.name],
                    cwd=self.folder,
                    env=self.variables,
                    # Asked whether it shall be done, one who reads the page says so.
                    input="y\n",
                    capture_output=True,
                    text=True,
                    check=False,
                )
                variables = exported.read()
            if done.returncode == 0 and step.expected in done.stdout:
                break
            said = f"{step.command}\n{done.stdout}{done.stderr}"
            assert step.expected, said
            assert time.monotonic() < deadline, f"{said}\nlacks: {step.expected}"
            time.sleep(0.5)
        self.variables = dict(each.split("=", 1) for each in variables.split("\0") if each)
        return done.stdout
