"""What a record recommends: which memory size, which support and engine, and what it cannot say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.coldstart import matrix, recommend
from benchmarks.coldstart.advice import advise, waited_ms
from tests.support.lab import PLAN, PRICES, WAIT_MS, record_of, run_of

CHOICES = [
    recommend.Choice(128, 200.0, {"arm64": 0.5, "x86_64": 0.6}),
    recommend.Choice(512, 60.0, {"arm64": 0.6, "x86_64": 0.7}),
    recommend.Choice(1024, 59.0, {"arm64": 1.1, "x86_64": 1.3}),
    recommend.Choice(2048, 59.0, {"arm64": 2.0, "x86_64": 2.4}),
]
OF = {"engine": "compiled", "support": "lean"}


@pytest.mark.parametrize(("balance", "memory_size"), [(0.0, 128), (0.5, 512), (1.0, 1024)])
def test_the_recommendation_follows_the_balance(balance, memory_size):
    assert recommend.recommend(CHOICES, balance).memory_size == memory_size


def test_the_frontier_leaves_out_what_another_beats():
    assert [choice.memory_size for choice in recommend.frontier(CHOICES)] == [128, 512, 1024]


def test_choices_weigh_cold_and_warm_and_refuse_what_was_not_measured():
    rows = matrix.rows(PLAN, run_of(PLAN), PRICES, measured=True)
    warm, cold = (recommend.choices(rows, PRICES, cold_share=share, **OF) for share in (0.0, 1.0))
    assert [choice.memory_size for choice in warm] == [128, 1769]
    assert warm[1].latency_ms == pytest.approx(2)
    begun = [{**row, "warm_ms": {"p50": 3.1}} for row in rows]
    [_, choice] = recommend.choices(begun, PRICES, cold_share=0.0, **OF)
    assert choice.usd_per_million["arm64"] == pytest.approx(0.2 + 0.0133334 * 4 * 1769 / 1024)
    [_, waiting] = recommend.choices(begun, PRICES, cold_share=0.0, waits_ms=100, **OF)
    assert waiting.usd_per_million["arm64"] == pytest.approx(0.2 + 0.0133334 * 104 * 1769 / 1024)
    assert waiting.latency_ms == pytest.approx(103.1)
    assert cold[1].latency_ms == pytest.approx(123, rel=0.05)
    with pytest.raises(ValueError, match="share of cold starts"):
        recommend.choices(rows, PRICES, cold_share=2, **OF)
    with pytest.raises(ValueError, match="no row"):
        recommend.choices([], PRICES, cold_share=0, **OF)


def test_the_cheapest_size_shrinks_as_a_payment_waits_longer_for_others():
    """The rows that the lab recorded when it recommended 512 MB: what was billed there at each size, without waits."""
    plan = replace(PLAN, memory_sizes=(128, 256, 512, 1024))
    rows = matrix.rows(plan, run_of(plan), PRICES, measured=True)
    warm = {128: 170.0, 256: 73.0, 512: 31.0, 1024: 16.0}
    rows = [{**row, "warm_ms": {"p50": warm[row["memory_size"]]}} for row in rows if row["memory_size"]]
    steps = recommend.cheapest_by_waits(rows, PRICES, cold_share=0.0, **OF)
    assert [size for _, size in steps] == [512, 256, 128]
    assert steps[0][0] == 0
    # A step is where two sizes cost the same: (73 + w) x 256 = (170 + w) x 128, in whole milliseconds.
    assert steps[1:] == [(11, 256), (24, 128)]


def test_a_record_says_what_to_take_and_what_it_saves():
    advice = advise(record_of(), balance=0.5, cold_share=0.0)
    assert advice.answer.startswith("Take the lean support, the compiled engine and 128 MB: in batches of ten")
    assert "with what one would write instead" in advice.answer
    assert [(one.choice, one.take) for one in advice.savings] == [
        ("engine", "compiled, not pure"),
        ("support", "lean, not standard"),
        ("groups", "ten in flight, not one"),
        ("memory", "128 MB"),
    ]
    by_choice = {one.choice: one.saves for one in advice.savings}
    assert "Compiling does nothing for ordinary init: 110 CPU ms against 110" in by_choice["engine"]
    assert by_choice["support"] == "190 of 300 CPU ms of init, 6.0 of 8.0 of a warm payment"
    [steps] = [note for note in advice.notes if note.startswith("Cheapest memory size, by what a payment waits")]
    assert steps.endswith("1769 MB without waiting, 128 MB from 1 ms of waiting on.")


def test_each_way_to_work_through_batches_is_told_at_its_best_size():
    advice = advise(record_of(), balance=0.5, cold_share=0.05)
    [note] = [note for note in advice.notes if note.startswith("A million payments in batches of ten")]
    # (20 CPU ms x 1769 / 128 + 610) x 128 MB of ten payments; their requests are a tenth of $0.20.
    assert "lean, ten groups at once $0.15 at 128 MB, $0.17 with requests" in note
    assert "standard, one by one $1.20 at 128 MB, $1.22 with requests" in note
    assert "what one would write $0.72 at 128 MB" in note


def test_the_wait_of_a_payment_comes_from_the_record():
    assert waited_ms(record_of()["rows"], "lean") == pytest.approx(WAIT_MS)


def test_quick_recommends_no_memory_size_and_says_so():
    advice = advise(record_of(quick=True), balance=0.5, cold_share=0.05)
    assert "MB" not in advice.answer.partition(":")[0]
    assert "memory" not in {one.choice for one in advice.savings}
    [sentence] = [note for note in advice.notes if "--quick cannot recommend a memory size" in note]
    assert "128 and 1769 MB" in sentence


def test_what_the_code_lacks_stands_on_the_page_and_what_it_has_is_recommended():
    poor = replace(PLAN, supports=("standard",), groups_at_once=False, prepares_ahead=False)
    advice = advise(record_of(poor), balance=0.5, cold_share=0.05)
    assert advice.answer.startswith("Take the standard support, the compiled engine and ")
    assert {one.choice for one in advice.savings} == {"engine", "memory"}
    assert "rows of SUPPORT=lean are refused: this code has no such support" in advice.notes
