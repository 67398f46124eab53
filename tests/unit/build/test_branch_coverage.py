"""The bar of branch coverage counts branches and nothing else, and names those that no test takes."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.build_scripts import load

script: Any = load("branch_coverage")


def report(covered: int, *missing: list[int]) -> dict[str, Any]:
    totals = {"covered_branches": covered, "num_branches": 40, "covered_lines": 1, "num_statements": 1000}
    return {"totals": totals, "files": {"b.py": {"missing_branches": []}, "a.py": {"missing_branches": [*missing]}}}


def test_branches_alone_count():
    assert script.branch_percent(report(38)) == 95.0


def test_a_file_whose_branches_are_missing_is_named_with_them():
    assert script.missing(report(38, [3, 4], [7, -1])) == ["a.py: 3->4 7->-1"]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many branches the tests take, and the status that coverage ends with."""
    given = {"covered": 40, "status": 0}
    monkeypatch.setattr(script, "DATA", tmp_path / "coverage")
    monkeypatch.setattr(script, "_coverage", lambda *_: given["status"])
    monkeypatch.setattr(script.json, "loads", lambda _: report(given["covered"]))
    for part in script.PARTS:
        (tmp_path / f"coverage.{part}.json").touch()
    return given


@pytest.mark.parametrize(("covered", "status", "said"), [(38, 0, "95.0 >=95 ok"), (37, 1, "92.5 >=95 missed")])
def test_a_missed_bar_is_a_failure(covered: int, status: int, said: str, found: dict[str, int], capsys: Any) -> None:
    found["covered"] = covered
    assert script.main() == status
    assert f"bar branch_coverage_domain {said}" in capsys.readouterr().out


def test_tests_that_fail_are_a_failure(found: dict[str, int]) -> None:
    found["status"] = 1
    assert script.main() == 1


def test_what_is_measured_is_there():
    assert all(any(script.ROOT.glob(pattern)) for patterns in script.PARTS.values() for pattern in patterns)
