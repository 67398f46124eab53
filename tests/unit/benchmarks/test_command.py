"""`python -m benchmarks`: one benchmark by its name, and what to do where it cannot run."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as command


@pytest.mark.parametrize("name", list(command.NEEDS))
def test_a_benchmark_without_its_peers_says_what_to_install_before_it_measures(monkeypatch, capsys, name):
    (missing, *_) = command.NEEDS[name]
    monkeypatch.setattr(command, "find_spec", lambda module: None if module == missing else object())
    monkeypatch.setattr(command, "import_module", lambda module: pytest.fail("it was begun"))
    monkeypatch.setattr(sys, "argv", ["benchmarks", name, "--quick"])
    assert command.main() == 2
    said = capsys.readouterr().err
    assert missing in said
    assert "pip install --editable '.[benchmark]'" in said
    assert "Traceback" not in said


def test_help_without_a_name_names_every_benchmark(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--help"])
    with pytest.raises(SystemExit):
        command.main()
    said = capsys.readouterr().out
    assert all(name in said for name in command.BENCHMARKS)
    assert "--quick" in said


def test_a_benchmark_that_is_stopped_by_hand_says_so_without_a_traceback(monkeypatch, capsys):
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["benchmarks", "packaging"])
    monkeypatch.setattr(command, "import_module", lambda module: SimpleNamespace(main=stop))
    assert command.main() == 130
    assert capsys.readouterr().err == "stopped\n"
