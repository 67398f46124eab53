"""The lab's command with samples that are made up: what it keeps, prints and ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.coldstart import command
from benchmarks.coldstart.plan import Plan
from benchmarks.coldstart.sample import Sample
from tests.support.lab import PLAN, run_of

Change = Callable[[list[Sample]], None]


def nothing(samples: list[Sample]) -> None: ...


def slow(samples: list[Sample]) -> None:
    for one in samples:
        if one.cell.variant == "lean":
            one.init_cpu_ms *= 5


def unverified(samples: list[Sample]) -> None:
    samples[-1].error = "captured were {}, recorded as completed {'pay-1': 1}"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command on made-up samples that were changed; records go to `tmp_path`."""

    def measured(plan: Plan, options: Any, journal: Path, *_: Any) -> tuple[list[Sample], dict[str, Any]]:
        samples = run_of(plan)
        options.change(samples)
        journal.touch()
        waits = {"gateway_ms": options.gateway_ms, "table_ms": options.table_ms}
        profile = [{"name": "ssl", "cpu_ms": 19.0}]
        profiles = {"init_profile": profile, "payment_profile": profile}
        return samples, {"quota": "cgroup v1", "python": "3.13.0", **profiles, **waits}

    def ran(*arguments: str, change: Change = nothing) -> int:
        options = command._options

        def changed(given: Any) -> Any:
            found = options(given)
            found.change = change
            return found

        with monkeypatch.context() as patched:
            patched.setattr(command, "_options", changed)
            return command.main(list(arguments))

    (tmp_path / "records").mkdir()
    monkeypatch.setattr(command, "_measure", measured)
    monkeypatch.setattr(command, "shipped", lambda memory_sizes: PLAN)
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "new_record", lambda name: tmp_path / "records" / name)
    return ran


def test_a_missed_bar_is_a_row_and_a_failure_only_where_that_was_asked_for(run, capsys):
    assert run("--strict") == 0
    assert " missed" not in capsys.readouterr().out
    assert run(change=slow) == 0
    assert "bar init_to_empty 11" in capsys.readouterr().out.replace("10.99", "11")
    assert run("--strict", change=slow) == 1


def test_a_sample_that_was_not_verified_is_a_failure_and_said(run, capsys):
    assert run(change=unverified) == 1
    assert "captured were {}" in capsys.readouterr().err


def test_the_record_has_every_sample_and_its_page_the_answer(run, tmp_path):
    assert run("--gateway-ms", "200") == 0
    record = json.loads((tmp_path / "records" / "coldstart.json").read_text())
    assert len(record["samples"]) == len(run_of(PLAN))
    assert record["gateway_ms"] == 200
    assert "after 200 ms (gateway) and 5 ms (table)" in record["method"]
    assert "Take the lean support" in (tmp_path / "records" / "coldstart.html").read_text()


def record_of(run, tmp_path, name, **changed):
    """The record of a run, put aside under another name."""
    assert run() == 0
    path = tmp_path / "records" / "coldstart.json"
    document = json.loads(path.read_text()) | changed
    path.unlink()
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return path


def test_a_record_is_gone_on_with_and_the_new_one_says_how_much_of_it_is_the_old_one(run, tmp_path):
    before = record_of(run, tmp_path, "before.json")
    assert run("--onto", str(before)) == 0
    record = json.loads((tmp_path / "records" / "coldstart.json").read_text())
    count = len(record["samples"])
    at = json.loads(before.read_text())["at"]
    assert f"Of {count} samples {count} are kept from the record of {at}" in record["method"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"gateway_ms": 200.0}, "of another gateway_ms"),
        ({"machine": {"processor": "another"}}, "of another processor"),
        ({"samples": 3}, "is nothing to go on with"),
    ],
)
def test_a_record_of_something_else_is_not_gone_on_with(run, tmp_path, capsys, changed, told):
    before = record_of(run, tmp_path, "before.json", **changed)
    capsys.readouterr()
    assert run("--onto", str(before)) == 2
    assert told in " ".join(capsys.readouterr().out.split())
    assert run("--onto", str(tmp_path / "none.json")) == 2


def test_a_first_look_is_no_record(run, tmp_path, capsys):
    assert run("--quick") == 0
    assert list((tmp_path / "records").iterdir()) == []
    assert (tmp_path / "quick" / "coldstart.html").exists()
    assert "--quick cannot recommend a memory size" in " ".join(capsys.readouterr().out.split())
