"""The steps of docs/scale.md, and the command that plays them."""

from __future__ import annotations

import pytest

from benchmarks.avalanche import command, scale
from benchmarks.avalanche.command import main
from benchmarks.avalanche.lab import newest_record


def test_the_command_prints_a_row_a_step_and_keeps_a_record(monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "2026").mkdir()
    monkeypatch.setattr(scale, "STEPS", scale.STEPS[:1])
    monkeypatch.setattr(scale, "RECORDS", tmp_path)
    monkeypatch.setattr(command, "RECORDS", tmp_path)
    monkeypatch.setattr(command, "new_record", lambda name: tmp_path / "2026" / name)
    assert main(["--scale", "--record"]) == 0
    printed = capsys.readouterr().out
    assert scale.table(scale.newest()["rows"]).splitlines()[-1] in printed


@pytest.mark.parametrize("step", scale.STEPS, ids=lambda step: f"{step.payments}-{step.name}")
def test_every_step_is_possible(step: scale.Step) -> None:
    assert step.parameters(newest_record()).traffic.messages == step.payments
