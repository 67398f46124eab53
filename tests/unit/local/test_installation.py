"""Environments of their own for what the local system runs: made once, and anew where their scripts would be dead.

Invariant: an environment's scripts name the folder that they are in, whatever path it is asked for by.
"""

from __future__ import annotations

import os
import re
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is run instead of being run; where an installer's name is in `broken`, it fails."""
    commands: list[list[str]] = []

    def output(command: list[str], doing: str) -> str:
        commands.append(command)
        if command[2] in os.environ.get("BROKEN", "").split():
            raise installation.InstallationError(f"{doing}: {command[2]} reached no index")
        return ""

    monkeypatch.setattr(installation, "_output", output)
    return commands


def installers(commands: list[list[str]]) -> list[str]:
    return [command[2] for command in commands]


def test_uv_installs_where_this_python_has_it_and_compiles_as_pip_does(asked, tmp_path):
    installation.install(tmp_path / "python", tmp_path / "list.txt", "--require-hashes")
    assert installers(asked) == ["uv"]
    assert {"--compile-bytecode", "--no-deps", "--require-hashes", f"{tmp_path}/list.txt"} <= set(asked[0])


def test_pip_installs_the_same_where_uv_is_not_there(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    installation.install(tmp_path / "python", tmp_path / "list.txt", "--require-hashes")
    assert installers(asked) == ["pip"]
    assert {"--no-deps", "--require-hashes", f"{tmp_path}/list.txt"} <= set(asked[0])


def test_where_uv_reaches_no_index_pip_has_the_last_word(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BROKEN", "uv")
    installation.install(tmp_path / "python", tmp_path / "list.txt")
    assert installers(asked) == ["uv", "pip"]
    assert "uv reached no index" in capsys.readouterr().err


def test_where_neither_installs_the_error_is_pips(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("BROKEN", "uv pip")
    with pytest.raises(installation.InstallationError, match=r"list\.txt.*pip reached no index"):
        installation.install(tmp_path / "python", tmp_path / "list.txt")


def test_the_lock_has_what_builds_the_extension_and_the_installer_itself():
    lock = (installation.ROOT / "build" / "dev.lock").read_text()
    # setup.py is run without a build apart, whose requirements pip would fetch again.
    for name in ("cython", "setuptools", "uv"):
        assert re.search(rf"^{name}==\S+ --hash=sha256:", lock, re.MULTILINE), name
