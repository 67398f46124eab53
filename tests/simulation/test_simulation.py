"""Some seeds at every test run; `make test-simulation` plays two thousand.

Invariants: every audit rule holds in every history; one seed is one history; a fault is found, shrunk and replayed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from handler.domain import process
from handler.domain.claim import Claim
from handler.domain.ports import Ports
from tests.simulation.__main__ import HISTORY_SEEDS, main, replay_line
from tests.simulation.profile import Profile
from tests.simulation.record import RECORD, bars_of_what_came_after, play_long
from tests.simulation.releases import C
from tests.simulation.shrink import shrink
from tests.simulation.simulation import STEPS_MAX, Simulation, run
from tests.simulation.traffic import Reading, Sent
from tests.simulation.world import Cut, Invocation, World

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
    "a refund whose id another content had before the restore was pending for good": 1479,
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
    story = "\n".join(line for seed in (*range(60), 77, 862) for line in run(seed).history())
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
        "will be answered by a stored 500",
        "is answered by a stored 500",
        "is answered by a 503 and goes on",
        "a late confirm captures nothing",
        "is refused (now)",
        "the charge of pi_",
        "is refused (final)",
        "next_key ",
        "refuse ",
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
        "gateway: cannot be reached",
        "gateway: answers 503",
        "will be answered wrongly",
        "the method of pi_",
        " at last",
        ": parked, attempt",
        "allow_retry",
        "take_over_parked",
        "record_parked",
        "is cancelled",
        "record_cancelled",
        "was sent before",
        "is restarted",
        "the largest amount is lowered",
        "the largest amount is raised again",
        "operator: release A gets",
        "operator: release B gets",
        "operator: release C gets",
        "is all that is deployed",
        "will be tried again: UnknownItemError",
        "and the table is restored",
        "once more",
        "restore_too_recent",
        " finds nothing of ",
        " finds pi_",
        "record_found ",
    ):
        assert trace in story, f"no seed of these meets {trace!r}"


def test_a_kill_takes_all_ten_workers_and_each_of_their_claims_is_taken_over_and_charged_once() -> None:
    fits = (seed for seed in range(99) if World(seed, Cut(), STEPS_MAX).profile.group_concurrency == 10)
    simulation = Simulation(next(fits), Cut(faults=frozenset()))
    simulation.sent = [
        Sent(number, 0, f"g{number}", f"p{number}", "a", 2599, (Reading("a", "processing"),) * 2, _body(number))
        for number in range(10)
    ]
    receive, world, killed = simulation.queue.receive, simulation.world, []

    def kill() -> None:
        held = [item["owner"] for item in simulation.table.items().values() if item["status"] == "processing"]
        killed.append(sorted(held))
        world.invocations[0].kill("is killed")

    simulation.queue.receive = lambda size: receive(10)  # type: ignore[method-assign]
    world.at(30, kill)
    assert simulation.run().violations == []
    assert killed == [[f"i1:m{number}" for number in (1, 10, *range(2, 10))]]
    assert {item["status"] for item in simulation.table.items().values()} <= {"completed", "declined"}
    assert {item["attempt"] for item in simulation.table.items().values()} == {2}


def test_a_worker_that_was_killed_never_goes_on() -> None:
    world, ran = World(0, Cut(), STEPS_MAX), []
    invocation = Invocation(world, "i1", C, lasts=1_000)

    def job(number: int) -> None:
        invocation.sleep(500)
        ran.append(number)
        if number == 3:
            invocation.kill("crashes here")
        invocation.sleep(100)
        ran.append(-number)

    world.start(
        invocation, lambda: invocation.run_at_once([partial(job, number) for number in range(10)], 5), ran.append
    )
    world.run(10_000)
    assert ran == [0, 1, 2, 3, None]
    assert not invocation.body
    assert not any(invocation.workers)


@pytest.mark.parametrize("how", ["cannot be reached", "answers 503"])
def test_an_outage_of_an_hour_parks_nobody_and_dead_letters_nobody(how: str) -> None:
    """Without any other fault, and with clocks that agree; from its end on every payment is charged."""
    played = _outages(
        f"{how} for an hour",
        lambda profile: profile.clocks_agree and profile.park_after_seconds > 3600 and not profile.refuses,
    )
    for world in played:
        assert world.violations == []
        assert [line for line in world.history() if "parked," in line or "is dead-lettered" in line] == []


def test_an_outage_that_outlasts_the_limit_parks_the_heads_of_their_groups_and_loses_nothing() -> None:
    played = _outages("for nine hours", lambda profile: True)
    assert [world.violations for world in played] == [[]] * len(played)
    assert any(" park txn-" in line for world in played for line in world.history())


def _outages(how_long: str, fits: Callable[[Profile], bool]) -> list[World]:
    """A few seeds with nothing but an outage, in a queue that has SQS's whole limit of receives."""
    cut = Cut(faults=frozenset({"outage#1"}))
    profiles = ((seed, World(seed, cut, STEPS_MAX).profile) for seed in itertools.count())
    worlds = (
        run(seed, cut) for seed, profile in profiles if profile.outage and profile.max_receives > 999 and fits(profile)
    )
    return list(itertools.islice((world for world in worlds if how_long in str(world.history())), 4))


def test_ten_poison_heads_of_a_group_are_parked_and_no_follower_is_dead_lettered() -> None:
    whole = (seed for seed in range(99) if World(seed, Cut(), STEPS_MAX).profile.max_receives > 999)
    simulation = Simulation(next(whole), Cut(faults=frozenset()))
    simulation.gateway.poison(f"p{number}" for number in range(10))
    simulation.sent = [
        Sent(number, number, "g1", f"p{number}", "a", 2599, (Reading("a", "processing"),) * 2, _body(number))
        for number in range(20)
    ]
    world = simulation.run()
    assert world.violations == []
    story = "\n".join(world.history())
    assert [f"park txn-p{number}: parked" in story for number in range(20)] == [True] * 10 + [False] * 10
    assert "is dead-lettered" not in story


def _body(number: int) -> str:
    document = {"payment_id": f"p{number}", "order_id": "o", "customer_id": "c", "payment_method": "card"}
    return '{"amount": 25.99, ' + json.dumps(document)[1:]


def test_a_broken_rule_is_shrunk_to_a_story_that_replays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("handler.domain.park.release", lambda *_, **__: None)
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
    monkeypatch.setattr("handler.domain.park.release", lambda *_, **__: None)
    broken = play_long(0, 40, 1, tmp_path / "broken.json")
    assert broken["failing"]
    assert f"{len(broken['failing'])} failing seeds" in capsys.readouterr().out
    monkeypatch.undo()
    resumed = play_long(7, 80, 1, tmp_path / "broken.json", resume=True)
    assert (resumed["failing"], resumed["mended"]) == ([], broken["failing"])
    whole = play_long(0, 80, 1, tmp_path / "whole.json")
    assert [resumed[name] for name in ("first_seed", "seeds", "payments")] == [0, whole["seeds"], whole["payments"]]
    assert [part["from_seed"] for part in resumed["parts"]] == [0, broken["seeds"]]


def test_the_long_run_counts_what_it_met_and_goes_on_counting(tmp_path: Path) -> None:
    half, whole = (play_long(17, payments, 1, tmp_path / f"{payments}.json") for payments in (20, 60))
    assert half["counts"]["webhooks_delivered"] < whole["counts"]["webhooks_delivered"]
    resumed = play_long(17, 60, 1, tmp_path / "20.json", resume=True)
    for name in ("seeds", "counts", "calls_of_payments_without_faults"):
        assert resumed[name] == whole[name]


def test_a_payment_without_faults_makes_five_calls_and_one_more_misses_its_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def played() -> tuple[dict[str, int], dict[str, str]]:
        kept = play_long(17, 40, 1, tmp_path / "record.json")
        assert kept["failing"] == []
        assert kept["counts"]["payments_without_faults"] == 5
        return kept["calls_of_payments_without_faults"], {bar.name: str(bar) for bar in bars_of_what_came_after(kept)}

    calls, bars = played()
    assert calls == dict.fromkeys(("put_new", "prepare", "store_gateway_ref", "charge", "record"), 5)
    assert bars["calls_beyond_the_five_of_a_payment"].endswith(" 0 <=0 ok")
    pay = process.pay

    def looks_first(claimed: Claim, payment: Any, rules: Any, ports: Ports, work: Any) -> Any:
        ports.log.get("txn-of-nobody")
        return pay(claimed, payment, rules, ports, work)

    monkeypatch.setattr(process, "pay", looks_first)
    assert played()[1]["calls_beyond_the_five_of_a_payment"].endswith(" 5 <=0 missed")


def test_an_event_that_is_not_what_its_item_is_misses_its_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.adapters.events.records.outcome_event", lambda *_: None)
    kept = play_long(17, 10, 1, tmp_path / "record.json")
    differences = kept["failing"][0]["events_other_than_items"]
    assert differences > 10
    assert str(bars_of_what_came_after(kept)[0]) == f"bar events_other_than_items {differences} <=0 missed"


def test_a_record_that_counts_other_things_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    old = {**json.loads(RECORD.read_text()), "counts": {"payments": 1}}
    path.write_text(json.dumps(old))
    with pytest.raises(ValueError, match="begin a new run"):
        play_long(0, 2_000_000, 1, path, resume=True)
    assert json.loads(path.read_text()) == old


def test_the_committed_long_run_is_complete_and_where_it_failed_every_rule_holds_by_now() -> None:
    kept = json.loads(RECORD.read_text())
    assert kept["complete"]
    assert not any(part["uncommitted_changes"] for part in kept["parts"])
    assert kept["payments"] >= 1_000_000
    # Whether a run ends is not looked at again here: that takes a minute.
    failed = [each for each in (*kept["failing"], *kept["mended"]) if each["rule"] != "ends"]
    assert [run(each["seed"]).violations for each in failed] == [[]] * len(failed)


def test_a_run_that_does_not_come_to_rest_fails() -> None:
    assert run(0, steps_max=50).violations[0][0] == "ends"
