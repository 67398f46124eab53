"""Policies on one traffic, their command line, and the bars of the simulator itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.avalanche import command, comparisons, peers
from benchmarks.avalanche.bars import bars
from benchmarks.avalanche.command import main
from benchmarks.avalanche.comparisons import outside
from benchmarks.avalanche.lab import RESTORES, newest_record
from benchmarks.avalanche.parameters import ImpossibleParametersError, Traffic
from benchmarks.avalanche.policies import Outcome, Policy, compare, parameters, policies
from benchmarks.avalanche.result import Result
from benchmarks.avalanche.traffic import check_memory

TRAFFIC = Traffic(60, 20, burst_seconds=5.0)
BASE = Policy("base", stress_mode="none")


def result_of(outcome: Outcome) -> Result:
    assert outcome.result is not None, outcome.refusal
    return outcome.result


def test_a_policy_changes_what_its_name_says_and_nothing_else() -> None:
    found = list(policies(BASE))
    assert len({policy.name for policy in found}) == len(found)
    for policy in found[1:]:
        changed = {name for name, value in vars(policy).items() if value != getattr(BASE, name)} - {"name"}
        assert len(changed) <= 1, policy.name


def test_every_policy_has_a_result_or_its_refusal() -> None:
    outcomes = {outcome.policy.name: outcome for outcome in compare(policies(BASE), TRAFFIC, newest_record(), 1)}
    assert "1000 groups for 60 messages" in outcomes["1,000 groups"].refusal
    assert result_of(outcomes["base"]).completed == 60
    assert result_of(outcomes["100 provisioned"]).cold_starts == 0
    assert result_of(outcomes["10 groups"]).concurrency_max <= 10
    json.dumps([outcome.as_document() for outcome in outcomes.values()])


@pytest.mark.parametrize("name", ["SnapStart", "standard support"])
def test_the_published_story_compares_every_policy(name) -> None:
    [policy] = [one for one in policies(Policy("base")) if one.name == name]
    [outcome] = compare([policy], TRAFFIC, newest_record(), 1)
    assert result_of(outcome).completed == 60


def test_snapstart_draws_restores_in_place_of_init_and_says_where_they_are_from() -> None:
    policy = Policy("SnapStart", snapstart=True)
    [given, published] = compare([replace(policy, snapstart_restore_ms=(7.0,)), policy], TRAFFIC, newest_record(), 1)
    assert set(result_of(given).arrays.init.tolist()) == {0, 7_000}
    restores = set(result_of(published).arrays.init.tolist()) - {0}
    assert 300_000 < min(restores) < max(restores) < 1_000_000
    assert "1 as given" in given.durations
    assert json.loads(RESTORES.read_text())["source"] in published.durations


def test_of_a_restore_only_the_functions_own_part_is_paid_as_duration() -> None:
    policy = Policy("SnapStart", snapstart=True, snapstart_restore_ms=(5_000.0,))
    restored, started = (
        result_of(outcome)
        for outcome in compare([policy, replace(policy, snapstart=False)], TRAFFIC, newest_record(), 1)
    )
    paid = float(restored.dollars["lambda_duration"])
    whole = float(((restored.arrays.init + restored.arrays.duration) / 1e6).sum()) * 0.5 * 0.0000133334
    own = float((restored.arrays.duration / 1e6).sum()) * 0.5 * 0.0000133334
    assert own < paid < own + (whole - own) / 100
    assert paid < float(started.dollars["lambda_duration"])


def test_what_is_provisioned_beyond_the_accounts_quota_needs_a_greater_one() -> None:
    few, many = (Policy("some", provisioned_concurrency=count) for count in (900, 1_000))
    found = [parameters(policy, TRAFFIC, newest_record()).quotas.account_concurrency for policy in (few, many)]
    assert found == [1_000, 2_000]


def test_one_avalanche_is_a_row_and_a_document(tmp_path, capsys) -> None:
    path = tmp_path / "found.json"
    assert main(["--customers", "50", "--burst-seconds", "0", "--json", str(path), "--pollers", "2:20"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert len(header) == len(row)
    [outcome] = json.loads(path.read_text())["outcomes"]
    assert outcome["result"]["completed"] == 50
    assert sum(outcome["result"]["series"]["settled"]) == 50
    assert "lambda_pollers" in outcome["result"]["dollars"]


def test_a_trace_gives_each_message_its_moment(tmp_path, capsys) -> None:
    path = tmp_path / "trace"
    path.write_text("0\n1\n2\n")
    assert main(["--trace", str(path)]) == 0
    path.write_text("\ufeff0\r\n1\r\n", "utf-8")
    assert main(["--trace", str(path)]) == 0
    assert main(["--trace", str(path), "--customers", "3"]) == 2
    assert "a trace of 2 moments for 3 messages" in capsys.readouterr().out
    path.write_text("0\n2\n1\n")
    assert main(["--trace", str(path)]) == 2
    assert "moment 3 of the trace, 1.0, is before the one in front" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--groups", "11", "--customers", "10"], "11 groups for 10 messages"),
        (["--ramp-seconds", "-1"], "time does not run backwards"),
        (["--engine", "rust"], "is of another engine"),
        (["--lab-record", "nowhere.json"], "no record of the cold-start lab"),
        (["--provisioned-concurrency", "950", "--account-concurrency", "1000"], "above its quota"),
        (["--seed", "-1"], "seed -1: 0 or more"),
        (["--ramp-seconds", "nan"], "ramp_seconds is nan"),
        (["--gateway-ms", "0:5"], "a median is above 0"),
        (["--policies", "--ramp-seconds", "-1"], "time does not run backwards"),
        (["--memory-size", "0"], "memory_size 0: its quota is 128 to 10240 MB"),
        (["--gateway-ms", "99999999999:999999999999999"], "is more than 14 days"),
        (["--duplicate-share", "inf"], "duplicate_share is inf"),
        (["--customers", "1000000000000", "--groups", "1"], "1,000,000,000,000 messages take some 572,204,589 MB"),
    ],
)
def test_what_cannot_be_ends_with_its_rule(arguments, rule, capsys) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert rule in printed.out + printed.err


def test_what_a_machine_holds_is_simulated_and_no_message_more() -> None:
    check_memory(1_747, 1)
    with pytest.raises(ImpossibleParametersError, match="this machine has 1 MB free, which hold 1,747"):
        check_memory(1_748, 1)
    check_memory(10**12, None)


def test_a_policy_is_recommended_where_what_was_asked_for_is_refused(capsys) -> None:
    asked = ["--policies", "--customers", "10", "--groups", "20", "--burst-seconds", "0", "--stress-mode", "none"]
    assert main(asked) == 0
    assert "Take “10 groups”" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_file_that_cannot_be_written_is_said_before_anything_is_played(option, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "_run", lambda options: pytest.fail("it was played"))
    for path in (tmp_path, tmp_path / "nowhere" / "found"):
        with pytest.raises(SystemExit, match="2"):
            main(["--policies", option, str(path)])
        assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bars", "--policies"],
        ["--scale", "--bars"],
        ["--scale", "--json", "found.json"],
        ["--bars", "--json", "found.json"],
        ["--quick"],
        ["--pollers", "0:0"],
        ["--pollers", "²:3"],
        ["--account-concurrency", "0"],
    ],
)
def test_an_option_that_would_be_passed_over_is_refused(arguments, monkeypatch) -> None:
    monkeypatch.setattr(command, "_run", lambda options: pytest.fail("it was played"))
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_a_latency_of_nobody_is_no_figure(capsys) -> None:
    assert main(["--customers", "3", "--failing-share", "1", "--stress-mode", "none", "--burst-seconds", "0"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert len(header) == len(row)
    assert row.split()[3:5] == ["-", "-"]


@pytest.mark.parametrize("kept", ["--policies", "--bars", "--scale"])
def test_what_is_found_can_be_recorded(kept, monkeypatch) -> None:
    monkeypatch.setattr(command, "_run", lambda options: 7 if options.record else 0)
    assert main([kept, "--record"]) == 7


@pytest.mark.parametrize("arguments", [["--record"], ["--html", "page.html"]])
def test_what_only_policies_have_is_refused_without_them(arguments, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "--policies" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--pollers", "20"], ["--snapstart-ms", "fast"], ["--gateway-ms", "a:b"], ["--gateway-ms", "²:3"]]
)
def test_a_malformed_option_is_refused(arguments, capsys) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "is no" in capsys.readouterr().err


def test_bars_without_the_peers_say_how_to_get_them(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(comparisons, "PEERS", tmp_path / "peers")
    with pytest.raises(comparisons.PeersMissingError, match="make avalanche-simulation installs them"):
        comparisons.peer("simfaas", 10, 1)


FOUND: dict[str, Any] = {
    "curve": [
        {"customers": 10_000, "cpu_seconds": 0.1, "us_a_payment": 10.0, "memory_mb": 60.0},
        {"customers": 1_000_000, "cpu_seconds": 12.0, "us_a_payment": 12.0, "memory_mb": 400.0},
    ],
    "simfaas": {"ratio": {"p50": 1.0}, "cold_share": {"outside": False}, "running": {"outside": False}},
    "known_queues": [{"outside": False}, {"outside": False}],
}


def test_every_bar_has_a_row() -> None:
    assert [(row.name, row.ok) for row in bars(FOUND)] == [
        ("simulate_10k_seconds", True),
        ("simulate_1m_seconds", True),
        ("simulate_1m_memory_mb", True),
        ("simulate_payment_x_10k", True),
        ("simulate_request_x_simfaas", True),
        ("simfaas_figures_outside", True),
        ("known_queues_outside", True),
    ]


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"curve": [{**FOUND["curve"][0], "cpu_seconds": 5.1}]}, "simulate_10k_seconds"),
        ({"curve": [FOUND["curve"][0], {**FOUND["curve"][1], "cpu_seconds": 241.0}]}, "simulate_1m_seconds"),
        ({"curve": [FOUND["curve"][0], {**FOUND["curve"][1], "memory_mb": 2049.0}]}, "simulate_1m_memory_mb"),
        ({"curve": [FOUND["curve"][0], {**FOUND["curve"][1], "us_a_payment": 15.1}]}, "simulate_payment_x_10k"),
        ({"simfaas": {**FOUND["simfaas"], "ratio": {"p50": 5.1}}}, "simulate_request_x_simfaas"),
        ({"simfaas": {**FOUND["simfaas"], "running": {"outside": True}}}, "simfaas_figures_outside"),
        ({"known_queues": [{"outside": True}]}, "known_queues_outside"),
    ],
)
def test_a_bar_that_is_missed_says_so(changed, missed) -> None:
    assert [row.name for row in bars(FOUND | changed) if not row.ok] == [missed]


def test_a_difference_within_its_noise_is_none() -> None:
    assert not outside([1.0, 1.1, 0.9, 1.0, 1.05], [1.02, 1.05, 0.98, 0.97, 1.03])
    assert outside([2.0, 2.1, 1.9, 2.0, 2.05], [1.02, 1.05, 0.98, 0.97, 1.03])


def test_the_small_model_of_the_heap_polls_in_fifty_slots() -> None:
    # Fifty batches at once end with the longest of them, 20 ms of receive and delete included.
    draws = peers.draws(50, 3)
    assert peers.heap(50, 3)["ended"] == pytest.approx(max(draws) + 0.02)
