"""CI's steps run two at a time, and neither their output nor a failure gets lost in that."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.process_group import processes_in_group
from tests.support.build_scripts import ROOT

# Stands for make: what each step does.
MAKE = """#!/bin/bash
cd "$(dirname "$0")"
echo $$ >"$2.new" && mv "$2.new" "$2.begun"
until_begun() { until [ -e "$1.begun" ]; do sleep 0.02; done; }
case $2 in
  left) echo left one; until_begun right; echo left two;;
  right) echo right one; until_begun left; echo right two;;
  bad) until_begun endless; echo so it goes; exit 3;;
  endless) sleep 600;;
esac
"""


@pytest.fixture
def make(tmp_path: Path) -> Path:
    path = tmp_path / "make"
    path.write_text(MAKE)
    path.chmod(0o755)
    return path


def ci(make: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "build" / "ci.py"), f"--make={make}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_two_steps_run_at_once_and_the_output_of_each_stays_whole(make: Path) -> None:
    # Each waits for the other: one after the other they would never end.
    done = ci(make, "left", "right")
    assert done.returncode == 0, done.stdout
    for step in ("left", "right"):
        assert f"== {step}\n{step} one\n{step} two\n== {step} took " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("== all of CI took ")


def test_what_the_others_need_has_ended_before_they_begin(make: Path) -> None:
    lines = ci(make, "--first", "one", "two", "--", "three").stdout.splitlines()
    begun = [line for line in lines if line.endswith("begins")]
    assert begun == ["-- one begins", "-- two begins", "-- three begins"]
    for ended, begins in (("== one took", "-- two begins"), ("== two took", "-- three begins")):
        assert next(line for line in lines if line.startswith((ended, begins))).startswith(ended)


def test_the_first_failure_ends_what_runs_and_starts_nothing_more(make: Path) -> None:
    done = ci(make, "endless", "bad", "never")
    assert done.returncode == 1
    assert "== bad\nso it goes\n== bad failed with 3 after " in done.stdout
    assert "== endless was ended after " in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("== bad failed with 3")
    assert last.endswith("CI ends here")
    assert "never" not in done.stdout
    group = int((make.parent / "endless.begun").read_text())
    while processes_in_group(group):
        time.sleep(0.02)


def test_a_failure_of_what_the_others_need_starts_none_of_them(make: Path) -> None:
    (make.parent / "endless.begun").touch()
    done = ci(make, "--first", "bad", "--", "never")
    assert done.returncode == 1
    assert "never" not in done.stdout
