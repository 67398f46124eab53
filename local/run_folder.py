"""The folder of each run in `.build/local`: logs, databases, code.

The rule: the last twenty stay, and one that still runs is never removed.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from local.installation import BUILD
from local.ministack import ServicesError

RUNS_KEPT = 20


def new_directory() -> Path:
    """A folder for one run, named by time; the oldest beyond the last twenty go."""
    runs = BUILD / "local"
    runs.mkdir(parents=True, exist_ok=True)
    for old in sorted(each for each in runs.iterdir() if each.is_dir())[:-RUNS_KEPT]:
        if not _in_use(old):
            shutil.rmtree(old, ignore_errors=True)
    for attempt in range(1000):
        folder = runs / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{attempt:03d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        (folder / "pid").write_text(str(os.getpid()))
        return folder
    raise ServicesError(f"cannot make a folder in {runs}")


def _in_use(folder: Path) -> bool:
    """Whether the process that made a run's folder still lives, `make up` for example."""
    try:
        os.kill(int((folder / "pid").read_text()), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
