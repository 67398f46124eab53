"""Some seeds at every test run; `make test-simulation` plays two thousand.

Invariants: every audit rule holds in every history; one seed is one history; a fault is found, shrunk and replayed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulation.__main__ import HISTORY_SEEDS, main, replay_line
from tests.simulation.record import RECORD, play_long
from tests.simulation.shrink import shrink
from tests.simulation.simulation import STEPS_MAX, run

HISTORIES: dict[str, str] = json.loads(Path(__file__).with_name("histories.json").read_text())


# Bugs of the handler that the simulation found, each with a seed that shows it. The mutation that brings the bug back
# is in mutations.py and has to be caught like every other.
REGRESSIONS = {
    "a reference stored between the reading and the take-over was charged without asking what became of it": 2761,
    "an execution that ended before it adopted its payment was started again under its used name, in vain": 5,
    "a payment was restarted although an execution had adopted it since reconcile read it": 1549,
    "a repeated adoption that arrived late moved the time for a decision, and the payment expired before it": 6587,
    "an execution took over what a message had brought, and charged it when its lease was over": 73,
    "a message that lowered limits refuse was a conflict with the payment that it had claimed": 1,
    "an approved payment that its execution left uncharged was reported, and nobody could charge it": 862,
}


@pytest.mark.parametrize("seed", REGRESSIONS.values(), ids=REGRESSIONS.keys())
def test_a_bug_that_was_fixed_stays_fixed(seed: int) -> None:
    world = run(seed)
    assert world.violations == [], "\n".join(world.history()[-60:])


@pytest.mark.parametrize("seed", HISTORY_SEEDS)
def test_every_rule_holds_and_the_history_is_the_committed_one(seed: int) -> None:
    world = run(seed)
    assert world.violations == [], "\n".join(world.history()[-60:])
    assert world.digest() == HISTORIES[str(seed)], "changed on purpose? make simulation-histories"


def test_the_seeds_meet_every_kind_of_fault() -> None:
    story = "\n".join(line for seed in (*range(30), 862) for line in run(seed).history())
    for trace in (
        "crashes before",
        "on its way",
        "took effect",
        "its time-out",
        "stalls before",
        "refused by a fault",
        "its answer will be lost",
        "lost on its way",
        "delayed on its way",
        "takes long",
        "a stored 500",
        "is dead-lettered",
        "operator: redrive",
        "the response is lost",
        "is not deleted",
        "claim_corrected ",
        "take_over ",
        "take_over_stuck",
        ": conflict",
        "rejected queue: a copy",
        "is stopped",
        "will be tried again",
        "is called back",
        "waited in vain",
        "is refused:",
        "begin_approved_charge",
        "reject_approval",
        "expire_approval",
        "restart_approval",
        "restart_charge",
        "is invoked with",
        "the largest amount is lowered",
        "the largest amount is raised again",
        "operator: release A gets",
        "operator: release B gets",
        "operator: release C gets",
        "is all that is deployed",
        "will be tried again: UnknownItemError",
    ):
        assert trace in story, f"no seed of these meets {trace!r}"


def test_a_broken_rule_is_shrunk_to_a_story_that_replays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("handler.domain.process.release", lambda *_, **__: None)
    seed = next(seed for seed in range(20) if run(seed).violations)
    cut, world = shrink(seed, STEPS_MAX)
    assert len(world.history()) < len(run(seed).history())
    assert cut.messages is not None
    assert len(cut.messages) == 1
    assert len(world.history()) < 10
    _, *options = replay_line(seed, cut).replace("'", "").split(" --")
    assert main([f"--{option}" for option in options]) == 1
    assert capsys.readouterr().out.splitlines()[:-1] == world.history()


def test_the_long_run_keeps_what_it_played_and_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = play_long(0, 40, 1, tmp_path / "sound.json")
    assert json.loads((tmp_path / "sound.json").read_text()) == sound
    assert (sound["complete"], sound["failing"], sound["payments"] >= 40) == (True, [], True)
    monkeypatch.setattr("handler.domain.process.release", lambda *_, **__: None)
    broken = play_long(0, 40, 1, tmp_path / "broken.json")
    assert broken["failing"]
    assert f"{len(broken['failing'])} failing seeds" in capsys.readouterr().out


def test_the_committed_long_run_is_complete_and_has_no_failing_seed() -> None:
    kept = json.loads(RECORD.read_text())
    assert (kept["complete"], kept["failing"], kept["uncommitted_changes"]) == (True, [], False)
    assert kept["payments"] >= 1_000_000


def test_a_run_that_does_not_come_to_rest_fails() -> None:
    assert run(0, steps_max=50).violations[0][0] == "ends"
