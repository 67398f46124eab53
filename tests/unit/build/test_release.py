"""`make release-check` releases what the tag says, and tells each reason why it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "build" / "release.py"
Change = Callable[[Path], object]


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def check(root: Path, tag: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--root", str(root), tag]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of version 1.2.3, committed and tagged."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2026-01-31)\n\n## 1.2.2 (2026-01-01)\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Release")
    git(tmp_path, "tag", "v1.2.3")
    return tmp_path


def test_a_checkout_that_is_what_its_tag_says_may_be_released(checkout):
    done = check(checkout, "v1.2.3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "v1.2.3 is this checkout: version, changelog and commit agree\n"


@pytest.mark.parametrize(
    ("tag", "change", "told"),
    [
        ("v1.2.4", lambda root: git(root, "tag", "v1.2.4"), "pyproject.toml has version 1.2.3: the tag is v1.2.3"),
        ("1.2.3", lambda root: git(root, "tag", "1.2.3"), "the tag is 1.2.3, pyproject.toml has version 1.2.3"),
        (
            "v1.2.3",
            lambda root: (root / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (unreleased)\n"),
            "CHANGELOG.md begins with '## 1.2.3 (unreleased)': it must be '## 1.2.3 (YYYY-MM-DD)'",
        ),
        ("v1.2.3", lambda root: (root / "new.py").write_text(""), "files are not committed: new.py"),
        (
            "v1.2.3",
            lambda root: git(root, "commit", "--quiet", "--allow-empty", "--message", "More"),
            "the tag v1.2.3 is not on this commit",
        ),
    ],
    ids=["another version", "no v", "no date", "not committed", "another commit"],
)
def test_what_differs_from_the_tag_is_told(checkout: Path, tag: str, change: Change, told: str) -> None:
    change(checkout)
    done = check(checkout, tag)
    assert done.returncode == 1
    assert told in done.stderr


def test_every_difference_is_told_at_once(checkout):
    (checkout / "CHANGELOG.md").write_text("")
    done = check(checkout, "v2.0.0")
    assert len(done.stderr.splitlines()) == 4
