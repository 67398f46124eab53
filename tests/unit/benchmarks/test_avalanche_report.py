"""What the avalanche's report recommends, and that its page has every policy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.avalanche import command, report
from benchmarks.avalanche.command import main
from benchmarks.avalanche.lab import newest_record
from benchmarks.avalanche.parameters import Traffic
from benchmarks.avalanche.policies import Policy, parameters
from benchmarks.avalanche.recommendation import VARIABLES, recommend
from benchmarks.avalanche.report import page
from tests.support.outcomes import document, outcome

ROOT = Path(__file__).parents[3]


def test_the_recommendation_is_a_sentence_with_what_it_saves() -> None:
    found = recommend(document())
    assert found.answer == (
        "Take 10 environments kept initialised (“10 provisioned”): 99 % of 10,000 checkouts are settled within 2.00 s "
        "of being sent instead of 4.00 s, for $0.0900 instead of $0.1000: it saves 2.00 s and $0.0100."
    )
    assert found.how == "provisioned_concurrency = 10"
    assert found.front == ["128 MB", "10 provisioned", "100 provisioned"]


def change(name: str, of: dict[str, Any] | None = None, **figures: Any) -> dict[str, Any]:
    changed = of or document()
    for one in changed["outcomes"]:
        if one["policy"]["name"] == name:
            one["result"] |= figures
    return changed


@pytest.mark.parametrize(
    ("changed", "beginning", "end"),
    [
        (
            change("10 provisioned", latency_p99_ms=9_000.0),
            "Keep the settings",
            "within 4.00 s of being sent, for $0.1000",
        ),
        (
            change("as asked", change("10 provisioned", latency_p99_ms=9_000.0), dollars={"total": "0.1500"}),
            "Take “128 MB”",
            "it saves $0.0800 and takes 1.00 s more.",
        ),
        (change("10 provisioned", dollars={"total": "0.1200"}), "Take 10 env", "2.00 s and costs $0.0200 more."),
        (change("as asked", parked=7), "Take 10 env", "saves 2.00 s and $0.0100 and 7 payments from being lost."),
        (change("10 provisioned", unsettled=1), "Keep the settings", "none of the 2 other policies balances the two"),
        (change("as asked", latency_p99_ms=1_500.0, dollars={"total": "0.0600"}), "Keep the settings", "within 1.50 s"),
    ],
)
def test_other_figures_are_another_sentence(changed: dict[str, Any], beginning: str, end: str) -> None:
    answer = recommend(changed).answer
    assert answer.startswith(beginning)
    assert end in answer


def test_a_story_without_the_stress_is_not_recommended() -> None:
    gift = outcome("without stress", "0.0100", 0.1, stress_mode="none")
    assert recommend(document(gift)).answer == recommend(document()).answer


def test_what_rounds_to_nothing_is_not_told() -> None:
    found = recommend(change("10 provisioned", latency_p99_ms=3_996.0, dollars={"total": "0.06004"}))
    assert found.answer.endswith("it saves $0.0400.")


def test_money_is_subtracted_exactly() -> None:
    found = recommend(change("10 provisioned", dollars={"total": "0.0999"}))
    assert found.answer.endswith("it saves 2.00 s and $0.0001.")


def drawn(**p99_s: list[float]) -> dict[str, Any]:
    """Four more seeds of the front, each like the first but for the p99 that is given."""
    dollars = {"as asked": "0.1000", "128 MB": "0.0700", "10 provisioned": "0.0900", "100 provisioned": "0.1900"}
    first = {"as asked": 4.0, "128 MB": 5.0, "10 provisioned": 2.0, "100 provisioned": 1.9}
    return {
        name: [{"seed": 2 + seed, "latency_p99_ms": 1000 * p99, "usd": usd} for seed, p99 in enumerate(others)]
        for name, usd in dollars.items()
        for others in [p99_s.get(name.replace(" ", "_"), [first[name]] * 4)]
    }


def test_what_loses_more_payments_is_no_near_tie_however_quick_it_is() -> None:
    found = change("as asked", parked=3, latency_p99_ms=1_000.0, dollars={"total": "0.0100"})
    again = drawn(as_asked=[1.0] * 4)
    for one in again["as asked"]:
        one["usd"] = "0.0100"
    assert "near tie" not in recommend({**found, "again": again}).answer
    again["as asked"] = [{**one, "lost": 0} for one in again["as asked"]]
    assert "(a near tie: 1 of 5 seeds takes it, “as asked” the others" in recommend({**found, "again": again}).answer


def test_what_costs_and_saves_nothing_is_a_sentence() -> None:
    found = recommend(change("as asked", parked=1, latency_p99_ms=2_000.0, dollars={"total": "0.0900"}))
    assert found.answer.endswith("it saves 1 payment from being lost.")
    slower = {"outcomes": [outcome("as asked", "0.10004", 1.0), outcome("other", "0.1", 1.04)], "story": []}
    assert recommend(slower).answer.endswith(": it takes 0.04 s more.")


@pytest.mark.parametrize(
    ("again", "end"),
    [
        ({}, "it saves 2.00 s and $0.0100."),
        (drawn(), "it saves 2.00 s and $0.0100."),
        (
            drawn(**{"10_provisioned": [9.0, 9.0, 9.0, 2.0]}),
            "it saves 2.00 s and $0.0100 (a near tie: 2 of 5 seeds take it, “as asked” the others; the difference in "
            "p99 is within the noise of 5 seeds).",
        ),
        (
            drawn(**{"10_provisioned": [9.0, 9.5, 9.0, 9.5]}),
            "(a near tie: 1 of 5 seeds takes it, “as asked” the others; the difference in p99 is within the noise of 5 "
            "seeds).",
        ),
        (
            drawn(as_asked=[2.1, 1.9, 2.2, 1.8], **{"128_MB": [9.0] * 4}),
            "it saves 2.00 s and $0.0100 (the difference in p99 is within the noise of 5 seeds).",
        ),
        (drawn(as_asked=[4.1, 3.9, 4.2, 3.8]), "it saves 2.00 s and $0.0100."),
        # One draw more says nothing, nor does one that settles nothing.
        ({name: found[:1] for name, found in drawn(as_asked=[2.0] * 4).items()}, "it saves 2.00 s and $0.0100."),
    ],
)
def test_the_sentence_says_where_another_draw_would_say_something_else(again: dict[str, Any], end: str) -> None:
    assert recommend({**document(), "again": again}).answer.endswith(end)


def test_where_what_was_asked_for_is_refused_the_answer_says_why() -> None:
    changed = document()
    changed["outcomes"][0] |= {"result": None, "refusal": "950 above its quota"}
    assert recommend(changed).answer.endswith("; what was asked for is refused (950 above its quota).")
    assert "950 above its quota" in page(changed)


def test_nothing_is_recommended_where_nothing_settles() -> None:
    changed = document()
    for one in changed["outcomes"]:
        one["result"] = one["result"] and one["result"] | {"latency_p50_ms": None, "latency_p99_ms": None}
    assert recommend(changed).answer.startswith("Nothing can be recommended")
    assert "NaN" not in page(changed)


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        ({"engine": "pure"}, 'scoring_engine = "pure"'),
        ({"snapstart": True}, "snap_start = true"),
        ({"groups": 10_000}, "the sender's MessageGroupId has 10,000 values"),
        ({"pollers": [20, 90]}, "provisioned_pollers = { min = 20, max = 90 }, in the place of maximum_concurrency"),
    ],
)
def test_what_to_set_is_named_as_terraform_names_it(changed: dict[str, Any], how: str) -> None:
    assert recommend(document(outcome("best", "0.01", 0.1, **changed))).how == how
    variables = (ROOT / "terraform" / "variables.tf").read_text()
    assert all(f'variable "{name}"' in variables for name in (*VARIABLES.values(), "provisioned_pollers"))


def charts_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'<svg [^>]*role="img"[^>]*><title>(.*?)</title><desc>(.*?)</desc>', text))


def test_every_policy_is_in_the_table_and_every_played_one_in_the_plot_and_over_time() -> None:
    text = page(document())
    drawn = charts_of(text)
    for one in document()["outcomes"]:
        name = one["policy"]["name"]
        assert re.search(rf'role="rowheader">\d+ {name}', text)
        assert (name in drawn["Cost against latency"]) == (one["result"] is not None)
        assert (name in drawn) == (one["result"] is not None)
    assert "refused: SnapStart without a measured restore" in text
    assert drawn["Cost against latency"].count("on the front") == 3
    assert text.count("(take this)") == 1


def test_what_is_far_above_the_others_says_where_and_leaves_them_apart() -> None:
    text = page(document(outcome("10 groups", "0.0900", 450.0)))
    assert ">6 at 450</text>" in text
    heights = {float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', text.partition("<h2>The pub")[0])}
    assert max(heights) - min(heights - {min(heights)}) > 100


def test_the_published_impact_is_drawn_for_the_recommendation_and_for_what_was_asked() -> None:
    drawn = charts_of(page(document()))
    for heading in ("Duration", "Cold starts", "Concurrent executions", "Age of the oldest message"):
        assert "as asked: " in drawn[heading]
        assert "10 provisioned: " in drawn[heading]


def test_the_answer_is_the_pages_first_sentence() -> None:
    assert page(document()).partition("</h1>")[2].lstrip().startswith('<p class="answer">Take 10 environments')


def test_names_are_escaped() -> None:
    text = page(document(outcome("<script>&", "0.01", 0.1), outcome("<b>", "0", 0, refusal="<i>")))
    assert "<script>" not in text
    assert "<b>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;&amp;" in text


def test_a_page_asks_nobody_for_anything_and_prints_no_figure_that_is_none() -> None:
    text = page(document(outcome("none settled", "0.05", 0.0, latency_p99_ms=None, latency_p50_ms=None)))
    assert not re.search(r"https?:|src=|href=|@import|url\(", text)
    assert not re.search(r"\b(nan|NaN|inf|Infinity|None)\b", text)


def test_the_command_writes_the_page_beside_its_record(tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "2026").mkdir()
    monkeypatch.setattr(command, "RECORDS", tmp_path)
    monkeypatch.setattr(command, "new_record", lambda name: tmp_path / "2026" / name)
    shown = tmp_path / "page.html"
    arguments = ["--customers", "100", "--groups", "20", "--burst-seconds", "5", "--policies", "--record"]
    assert main([*arguments, "--html", str(shown)]) == 0
    kept = json.loads((tmp_path / "2026" / "avalanche.json").read_text())
    text = (tmp_path / "2026" / "avalanche.html").read_text()
    assert text == shown.read_text() == page(kept)
    printed = capsys.readouterr().out
    assert recommend(kept).answer in printed
    assert all(line in printed for line in kept["story"])
    assert "as asked" in kept["again"]
    assert {one["seed"] for found in kept["again"].values() for one in found} == {2, 3, 4, 5}
    assert kept["story"][0] == "100 checkouts in 20 groups, sent evenly within 5 s; seed 1."
    assert all(one["policy"]["name"] in text for one in kept["outcomes"])


def test_a_long_series_is_thinned_to_what_is_drawn_without_losing_its_greatest() -> None:
    long: list[float | None] = [None, 1.0] * 500 + [9.0]
    series = {"concurrency": long, "duration_p99_ms": long, "settled": long}
    thin = report._thinned({"result": {"series": series}})["result"]["series"]
    assert thin["step_seconds"] == 17
    assert len(thin["concurrency"]) <= report._POINTS
    assert max(thin["concurrency"]) == 9.0
    assert sum(thin["settled"]) == 509.0


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        (Traffic(3, 1), "all at once"),
        (Traffic(3, 1, ramp_seconds=300.0), "at a rate that grows from nothing for 300 s"),
        (Traffic(3, 1, trace_seconds=(0.0, 1.0, 2.0)), "at the moments of a trace"),
    ],
)
def test_the_story_says_how_checkouts_were_sent(traffic: Traffic, words: str) -> None:

    assert words in report.document(parameters(Policy("base"), traffic, newest_record()), [], 1)["story"][0]
