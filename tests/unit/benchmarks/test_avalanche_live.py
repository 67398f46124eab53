"""The live avalanche's own parts: what is sent and when, what is impossible, and the figures of what was seen."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.avalanche import live, published, seen, view
from benchmarks.avalanche.parameters import ImpossibleParametersError
from benchmarks.avalanche.play import round_of
from benchmarks.avalanche.seen import Invocation, Moment, Payment, Round
from local.event_source_mapping import Batch
from local.evidence import Sent
from local.execution_environment import Outcome
from local.report import tell_audit


def test_the_messages_are_the_published_scripts():
    messages = published.messages(1000, 10, "x")
    assert [message.group for message in messages[:3]] == ["payment-group-1", "payment-group-2", "payment-group-3"]
    assert set(Counter(message.group for message in messages).values()) == {100}
    body = json.loads(messages[41].body)
    assert (body["payment_id"], body["order_id"], body["customer_id"]) == ("pay-x-42", "ord-42", "cust-42")
    assert body["payment_method"] == "credit_card"
    assert body["amount"] * 100 == pytest.approx(messages[41].amount_minor)
    # $((RANDOM % 100 + 10)).99
    assert {message.amount_minor % 100 for message in messages} == {99}
    assert (min(m.amount_minor for m in messages), max(m.amount_minor for m in messages)) == (1099, 10999)


def test_another_run_has_payments_of_its_own_with_the_same_amounts():
    one, other = (published.messages(50, 5, run) for run in ("a", "b"))
    assert not {message.payment_id for message in one} & {message.payment_id for message in other}
    assert [message.amount_minor for message in one] == [message.amount_minor for message in other]
    assert [m.amount_minor for m in published.messages(50, 5, "a", 2)] != [m.amount_minor for m in one]


def test_the_rate_of_a_ramp_rises_evenly():
    # A quarter of the messages in the first half of the ramp: the number grows with the square of the time.
    due = published.due_seconds(4, 300.0)
    assert due == pytest.approx([0, 150.0, 212.132, 259.808], abs=1e-3)
    assert published.due_seconds(3, 0.0) == [0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"groups": "61"}, "61 groups for 60 messages: a group has at least one message"),
        ({"groups": "6,0"}, "60 messages in 0 groups: both are at least 1"),
        ({"messages": "0"}, "0 messages in 6 groups: both are at least 1"),
        ({"concurrency": "1001"}, "maximum_concurrency 1001: its quota is 1 to 1000"),
        ({"concurrency": "0"}, "maximum_concurrency 0: its quota is 1 to 1000"),
        ({"ramp-seconds": "-1"}, "ramp_seconds is -1.0: time does not run backwards"),
        ({"stress-operations": "-1"}, "stress_operations is -1: the function takes 0 to 10,000,000,000"),
        ({"stress-delay-seconds": "nan"}, "stress_delay_seconds is nan: the function takes 0 to 999,999"),
    ],
)
def test_what_is_impossible_is_refused_with_the_rule_that_it_breaks(changes, rule, capsys):
    possible = {"messages": "60", "groups": "6", "concurrency": "2", "ramp-seconds": "0"}
    live.check(live._options([f"--{name}={value}" for name, value in possible.items()]))
    assert live.main([f"--{name}={value}" for name, value in {**possible, **changes}.items()]) == 2
    assert rule in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text"),
    [("ramp-seconds", text) for text in ("nan", "inf", "-inf", "soon")]
    + [("seconds-max", "nan")]
    + [("groups", text) for text in ("", "6,", "x")],
)
def test_ramps_and_groups_are_numbers(option, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        live.main([f"--{option}={text}"])
    assert text in capsys.readouterr().err


def test_a_package_that_is_not_there_is_refused_before_anything_is_sent(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        live.main([f"--package={tmp_path / 'nowhere'}"])
    assert "is no folder" in capsys.readouterr().err


def test_more_messages_than_this_machine_holds_are_refused(capsys):
    assert live.main([f"--messages={10**12}"]) == 2
    assert "1,000,000,000,000 messages take some" in capsys.readouterr().err


def test_a_number_of_groups_is_played_once_as_its_payments_have_its_name():
    assert live._options(["--groups=10,1000,10"]).groups == [10, 1000]


def test_messages_that_the_time_was_too_short_for_are_said_and_not_simulated():
    assert live.unsent(1000, 1000) == []
    assert live.unsent(1000, 400) == ["600 of 1000 messages were not sent before the time was up"]
    options = live._options(["--messages=3", "--groups=2"])
    assert live.compare(options, live.Played([(2, ROUND)], {}, Path())).keys() == {2}
    some = replace(ROUND, payments=ROUND.payments[:1])
    for short in (some, Round()):
        assert live.compare(options, live.Played([(2, ROUND), (2, short)], {}, Path())) == {}


def test_more_environments_than_the_machine_holds_are_refused():
    live.check_environments(10, 1000)
    live.check_environments(1000, None)
    with pytest.raises(ImpossibleParametersError, match="this machine has 1000 MB free, which hold 10"):
        live.check_environments(11, 1000)


# Three messages in two groups; the first invocation is cold and loses its second message, which a warm one settles.
ROUND = Round(
    payments=[
        Payment(1, "a", 0.0, 0.5, 5.0),
        Payment(2, "b", 1.0, 6.0, 7.0),
        Payment(3, "a", 2.0, 2.5, 8.0),
    ],
    invocations=[
        Invocation(0.5, 5.0, 4000.0, 400.0, (1, 2), (2,)),
        Invocation(2.5, 8.0, 5000.0, 300.0, (3,), ()),
        Invocation(6.0, 7.0, None, 100.0, (2,), ()),
    ],
)


def test_figures_are_counted_by_hand():
    found = seen.figures(ROUND)
    assert found == {
        "messages": 3,
        "groups": 2,
        "settled": 3,
        "completion_seconds": 8.0,
        # 5, 6 and 6 seconds.
        "latency_p50_seconds": 6.0,
        "latency_p99_seconds": 6.0,
        "oldest_seconds": 6.0,
        "invocations": 3,
        "cold_invocations": 2,
        "cold_share": pytest.approx(2 / 3),
        "concurrency": 2,
        "all_warm_seconds": 7.5,
        "duration_p50_ms": 300.0,
        "duration_p99_ms": 400.0,
        "init_p50_ms": 4000.0,
        "with_init_p99_ms": 5300.0,
    }


def test_a_round_without_an_end_has_no_figures_where_there_is_nothing_to_count():
    found = seen.figures(Round(payments=[Payment(1, "a", 0.0, None, None)]))
    assert (found["settled"], found["completion_seconds"], found["cold_share"], found["concurrency"]) == (
        0,
        None,
        None,
        0,
    )
    assert len(seen.impact(Round(), groups=1, environments_max=1, ramp_seconds=0)) == len(published.EXPECTED)
    # Nothing is written as a number that nobody measured.
    assert "-" in text_of(view.figures_table([("1 groups", found)]))


def test_an_invocation_that_ends_as_another_begins_runs_not_beside_it():
    one = Invocation(0.0, 1.0, None, 1000.0, (1,), ())
    assert seen.concurrency([one, replace(one, begun=1.0, ended=2.0)]) == 1
    assert seen.concurrency([one, replace(one, begun=0.9, ended=2.0)]) == 2
    # Its delete was answered after the queue had given the group's next message.
    assert seen.concurrency([replace(one, ended=1.2), replace(one, begun=1.1, ended=2.2)]) == 1


def test_the_published_impact_stands_beside_what_was_seen_and_why():
    rows = seen.impact(ROUND, groups=2, environments_max=4, ramp_seconds=15.0)
    assert [row[0] for row in rows] == [line.says for line in published.EXPECTED]
    says = {line.name: row for line, row in zip(published.EXPECTED, rows, strict=True)}
    assert says["duration"][1] == "p99 400 ms; with its init 5,300 ms"
    assert says["cold"][1] == "67% of 3 invocations; 100% of the first 2"
    assert says["concurrency"][1:] == (
        "2",
        "a FIFO queue runs no more batches at once than it has groups (2), nor than the maximum (4): at most 2",
    )
    assert says["age"][1].startswith("from 0 to 6.0 s")
    assert says["spike"][1] == "cold 4,400 ms, then 100 ms (p50)"
    assert "compressed" in says["ramp"][2]
    assert seen.impact(ROUND, groups=2, environments_max=4, ramp_seconds=450.0)[-1][2] == ""


def outcome(init_ms: float | None) -> Outcome:
    return Outcome("r", b"", None, 100.0, None, None, init_ms)


def test_a_round_keeps_when_each_message_was_sent_begun_and_settled():
    messages = published.messages(2, 2, "x")
    sent = [Sent(message, f"m{message.number}", "1", 10_000 + 500 * message.number) for message in messages]
    batches = [
        Batch(("m1", "m2"), ("m2",), outcome(2000.0), 11_000, 13_200),
        Batch(("m2",), (), outcome(None), 14_000, 14_100),
    ]
    found = round_of(sent, batches, 10_000, [])
    assert found.payments == [
        Payment(1, "payment-group-1", 0.5, 1.0, 3.2),
        Payment(2, "payment-group-0", 1.0, 4.0, 4.1),
    ]
    assert found.invocations == [
        Invocation(1.0, 3.2, 2000.0, 100.0, (1, 2), (2,)),
        Invocation(4.0, 4.1, None, 100.0, (2,), ()),
    ]


def test_a_message_whose_deliveries_all_failed_is_not_settled():
    sent = [Sent(message, f"m{message.number}", "1", 10_000) for message in published.messages(2, 2, "x")]
    found = round_of(sent, [Batch(("m1", "m2"), ("m2",), outcome(None), 11_000, 12_000)], 10_000, [])
    assert [each.settled for each in found.payments] == [2.0, None]
    assert seen.figures(found)["settled"] == 1


def test_a_curve_ends_with_now_and_keeps_every_peak():
    assert view.sparkline([0, 1, 2, 4]) == "▁▃▅█"
    assert view.sparkline([]) == ""
    assert view.sparkline([0, 0]) == "▁▁"
    wide = view.sparkline([0.0] * 500 + [9.0] + [0.0] * 499, width=10)
    assert (len(wide), wide.count("█")) == (10, 1)


def console_of(**options) -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    return Console(file=output, width=240, **options), output


def moment(seconds: float) -> Moment:
    return Moment(seconds, 9, 4, 3, 2, 1.5, 1, 2, 3)


def text_of(table) -> str:
    console, output = console_of()
    console.print(table)
    return output.getvalue()


def test_where_the_output_is_no_terminal_lines_come_every_few_seconds_and_at_the_end():
    console, output = console_of()
    with view.View(console, "title") as shown:
        for tenth in range(101):
            shown.show(moment(tenth / 10))
        shown.show(moment(10.2))
    with view.View(console, "said already") as shown:
        shown.show(moment(0.0))
    lines = output.getvalue().splitlines()
    assert [float(line.split()[0]) for line in lines] == [0.0, 5.0, 10.0, 10.2, 0.0]
    assert "queue depth 3 + 2 in flight; oldest message 1.5 s; environments 1 starting, 2 busy, 3 idle" in lines[0]
    assert "\x1b" not in output.getvalue()


def test_on_a_terminal_a_table_is_redrawn():
    console, output = console_of(force_terminal=True)
    with view.View(console, "60 messages") as shown:
        shown.show(moment(0.0))
        shown.show(replace(moment(1.0), cold_share=0.5, duration_p99_ms=20.0, with_init_p99_ms=3600.0))
    drawn = output.getvalue()
    assert "\x1b" in drawn
    for text in ("60 messages, 1 s", "50%", "20 ms, 3,600 ms", "1 starting, 2 busy, 3 idle", "▁█"):
        assert text in drawn


def test_the_bar_counts_messages_of_clean_rounds_alone():
    payments = [Payment(number, "a", 0.0, 1.0, 2.0) for number in range(1000)]
    clean = live.Played([(10, Round(payments)), (1000, Round(payments))], {"check": []}, Path())
    assert str(live.bars_of(1000, clean)[0]) == "bar avalanche_live_audit 1000 >=1000 ok"
    assert live.bars_of(60, clean) == []
    assert not live.bars_of(1000, replace(clean, problems={"check": ["no"]}))[0].ok
    lost = [*payments[1:], Payment(999, "a", 0.0, 1.0, None)]
    assert not live.bars_of(1000, replace(clean, rounds=[(10, Round(payments)), (1000, Round(lost))]))[0].ok


def test_an_audit_says_each_check_and_the_first_sentences_against_it(tmp_path):
    console, output = console_of()
    tell_audit(console, {"one": [], "two": [f"message {number}" for number in range(7)]}, tmp_path)
    said = output.getvalue()
    assert "audit passed  one" in said
    assert "audit FAILED  two" in said
    assert "message 4" in said
    assert "message 5" not in said
    assert f"1 of 2 checks failed; logs, gateway.sqlite and the rest are in {tmp_path}" in said
