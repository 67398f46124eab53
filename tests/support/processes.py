"""Processes of this machine for tests: what runs below one of them, and waiting for what another one does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from local.installation import ROOT


def descendants(pid: int) -> dict[int, int]:
    """pid -> process group of every process below `pid`."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in listing.splitlines()]
    found: dict[int, int] = {}
    parents = {pid}
    while parents:
        below = {child: group for child, parent, group in rows if parent in parents}
        found |= below
        parents = set(below)
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for other processes; the bound is for a broken test only."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Up(NamedTuple):
    """What a running `make up` prints: the lines for a shell, and the folder of its logs."""

    exports: dict[str, str]
    logs: Path


@contextmanager
def make_up() -> Iterator[Up]:
    """A system as `make up` starts it, and its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up", "--port", "0", "--concurrency", "3"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        logs = re.search(r"logs are in (.*)\n", said)
        # Without that line it has ended, or is about to.
        assert logs is not None, f"local up did not come up: {said} {process.stderr and process.stderr.read()}"
        yield Up(dict(re.findall(r"export (\w+)=(.*)\n", said)), Path(logs[1]))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def path_with(cli: Path) -> str:
    """A reader's PATH: this AWS CLI first, then the checkout's own commands, as activating the environment does."""
    return os.pathsep.join([str(cli), str(Path(sys.executable).parent), os.environ["PATH"]])
