"""What the checkout's own scripts do for a command: `make`'s deploying, stopping and cost, with the same code.

The rule it keeps: a command decides nothing that the script decides; it names the environment, says where AWS is, and
hands on what the script says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from operations.options import Call, ScriptError

_ROOT: Final = Path(__file__).resolve().parents[1]
#: A script's exit code where a part of its work is done, and stands: what it said has which.
IN_PART: Final = 3


def run(call: Call, *arguments: str) -> int:
    """Run a script or a module (`-m ...`) of the checkout, with `--json` where that is asked for, and print its lines.

    Returns 0.

    Raises ScriptError with what it said where it ended with another code, UsageError where it called
    its arguments wrong, and ClickException where there is no checkout.
    """
    for line in lines(call, *arguments, *(["--json"] if call.is_json else [])):
        click.echo(line)
    return 0


def of_environment(call: Call, script: str, *arguments: str, has_state: bool = True) -> int:
    """The same with a script of build/ that works on an environment, by the names in Terraform's state."""
    name = call.variables["ENVIRONMENT"]
    outputs = "\n".join(lines(call, "build/state.py", "--environment", name, "--outputs")) if has_state else "{}"
    return run(call, f"build/{script}.py", "--environment", name, "--outputs", outputs, *arguments)


def lines(call: Call, *arguments: str) -> Iterator[str]:
    """What a script prints, line by line. Raises as `run`."""
    if arguments[0] != "-m" and not (_ROOT / arguments[0]).exists():
        raise click.ClickException(
            f"{arguments[0]} is not here: this command works in a checkout of the sources, not in an installed package"
        )
    variables = {
        **os.environ,
        "PYTHONPATH": str(_ROOT),
        "AWS_REGION": call.variables["AWS_REGION"],
        "AWS_DEFAULT_REGION": call.variables["AWS_REGION"],
        "PYTHONUNBUFFERED": "1",
    }
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=_ROOT, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                yield line.rstrip("\n")
        if process.returncode:
            errors.seek(0)
            said = errors.read().strip()
            # As argparse says it, below the usage of a script that nobody called.
            _, wrong, usage = said.rpartition(": error: ")
            if wrong and process.returncode == 2:
                raise click.UsageError(usage)
            in_part = process.returncode == IN_PART
            raise ScriptError(said or f"{arguments[0]} ended with {process.returncode}", in_part=in_part)
