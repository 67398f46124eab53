"""Processes of this machine for tests: what runs below one of them, and waiting for what another one does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable


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
