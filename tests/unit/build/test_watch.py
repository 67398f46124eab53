"""`make deploy-code WATCH=yes`: what changed is packaged and deployed; what is refused waits for the next change."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.build_scripts import load

deploy = load("deploy")
watch = load("packager.watch")


class Enough(Exception):
    """Nothing more is looked at."""


def found(states: str, packaged: str = "a") -> list[int]:
    """After how many looks a change was told, of a source that was one after another as these letters."""
    looks = iter(states)
    seen: list[str] = []

    def look() -> dict[str, str]:
        letter = next(looks, None)
        if letter is None:
            raise Enough
        seen.append(letter)
        return {"handler/workflow.py": letter}

    told: list[int] = []
    with contextlib.suppress(Enough):
        for _ in watch.changes({"handler/workflow.py": packaged, "boto3/x.py": "b"}, look, lambda seconds: None):
            told.append(len(seen))
    return told


@pytest.mark.parametrize(
    ("states", "told"), [("aaaa", []), ("abb", [3]), ("abcdd", [5]), ("abbcc", [3, 5]), ("aba", [])]
)
def test_a_change_is_told_once_and_when_nothing_more_changes(states: str, told: list[int]) -> None:
    assert found(states) == told


def test_what_changed_since_it_was_packaged_is_a_change() -> None:
    assert found("bbbb") == [2]


def test_every_source_of_a_package_and_each_commit_is_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ROOT", tmp_path)
    (tmp_path / "handler").mkdir()
    before = watch.state()
    for name in ("workflow.py", "amazon_roots.pem"):
        (tmp_path / "handler" / name).write_text("x")
        assert watch.state() != before
        before = watch.state()
    (tmp_path / "handler" / "workflow.pyc").write_text("x")
    assert watch.state() == before
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    assert watch.state() != before


def test_each_change_is_packaged_and_deployed_and_a_refusal_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest: dict[str, Any] = {
        "files": {},
        "architecture": "x86_64",
        "engine": "compiled",
        "runtime": "python3.11",
        "support": "standard",
    }
    monkeypatch.setattr(deploy, "read_package", lambda path: (b"", manifest))
    monkeypatch.setattr(deploy, "changes", lambda packaged: iter([None, None, None]))
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:4566")
    answers, ran = iter([0, 1, 0]), []

    def run(command: list[str], **_: Any) -> Any:
        ran.append(command[2:])
        return SimpleNamespace(returncode=next(answers))

    monkeypatch.setattr(watch, "subprocess", SimpleNamespace(run=run))
    deployed = []

    def once(options: Any, endpoint: str) -> int:
        deployed.append(options.function)
        return len(deployed) - 1

    monkeypatch.setattr(deploy, "_once", once)
    arguments = ["--environment", "dev", "--zip", "package.zip", "--function", "reconcile", "--watch"]
    assert deploy.main(arguments) == 0
    what = ["--architecture=x86_64", "--engine=compiled", "--runtime=python3.11", "--support=standard"]
    assert ran == [["lambda", "--function=workflow", *what, "--allow-dirty"]] * 3
    assert deployed == ["reconcile"] * 3
    # On AWS nothing dirty is packaged.
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "https://lambda.us-east-1.amazonaws.com")
    answers, deployed[:] = iter([0, 0, 0]), []
    ran.clear()
    assert deploy.main(arguments) == 0
    assert ran == [["lambda", "--function=workflow", *what]] * 3


def test_watching_without_a_zip_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        deploy.main(["--environment", "dev", "--watch"])
    assert "--watch is of --zip" in capsys.readouterr().err
