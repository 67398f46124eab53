"""Environments of their own for what the local system runs: made once, and anew where their scripts would be dead.

Invariant: an environment's scripts name the folder that they are in, whatever path it is asked for by.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from local import installation


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that environments were made in; nothing is installed."""
    folders: list[str] = []

    def output(command: list[str], doing: str) -> str:
        if "venv" in command:
            folders.append(command[-1])
            Path(command[-1]).mkdir(exist_ok=True)
        return "3.11.7\n"

    (tmp_path / "checkout").mkdir()
    monkeypatch.setattr(installation, "_output", output)
    monkeypatch.setattr(installation, "BUILD", tmp_path / "checkout" / ".build")
    return folders


def test_an_environment_is_made_once_and_under_its_real_path(tmp_path, made, monkeypatch):
    real = tmp_path / "checkout" / ".build" / "runtime-3.11.7"
    assert installation.environment("runtime") == real / "bin"
    (tmp_path / "link").symlink_to(real.parent)
    monkeypatch.setattr(installation, "BUILD", tmp_path / "link")
    assert installation.environment("runtime") == real / "bin"
    assert made == [str(real)]


def test_in_a_checkout_that_was_moved_it_is_made_anew(tmp_path, made, monkeypatch):
    installation.environment("runtime")
    (tmp_path / "checkout").rename(tmp_path / "moved")
    monkeypatch.setattr(installation, "BUILD", tmp_path / "moved" / ".build")
    installation.environment("runtime")
    assert made == [str(tmp_path / name / ".build" / "runtime-3.11.7") for name in ("checkout", "moved")]
