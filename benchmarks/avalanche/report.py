"""Policies on one avalanche for people: a self-contained HTML page, made from the document that the record holds.

One rule: the answer stands first; every policy is in the table, a refused one with its reason, and no figure is on the
page that is not in the document.
"""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import charts
from benchmarks.avalanche.parameters import Parameters
from benchmarks.avalanche.policies import Outcome
from benchmarks.avalanche.recommendation import Recommendation, dollars, recommend, usd
from benchmarks.charts import STYLE, Dot, Series

# So many points are a line that a telephone shows; a record keeps no more.
_POINTS = 60

_COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("done, s", lambda one: _number(one["completion_seconds"], 1)),
    ("p50, s", lambda one: _number(_thousandth(one["latency_p50_ms"]), 2)),
    ("p99, s", lambda one: _number(_thousandth(one["latency_p99_ms"]), 2)),
    ("oldest, s", lambda one: _number(one["oldest_message_seconds"], 1)),
    ("cold", lambda one: f"{100 * one['cold_share']:.2f} %"),
    ("at once", lambda one: _number(one["concurrency_max"])),
    ("throttles", lambda one: _number(one["throttles"])),
    ("table throttles", lambda one: _number(one["table_throttles"])),
    ("parked", lambda one: _number(one["parked"])),
    ("dead letters", lambda one: _number(one["dead_lettered"])),
    ("unsettled", lambda one: _number(one["unsettled"])),
)

_FRONT = "Cost against latency"
_STYLE = """
.pair td{text-align:right}.grids{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr));
gap:0 1.5rem}.many{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:.2rem 1rem}
.many figure,.grids figure{margin:.4rem 0}.many h3{font-size:.85rem;margin:0}.many figcaption{font-size:.8rem}
.taken{font-weight:700}figcaption{opacity:1}.rows td.why{text-align:left}
"""


def page(document: dict[str, Any]) -> str:
    """The page of a document with `outcomes`, the base first, and the `story` that they were played on."""
    found = recommend(document)
    outcomes = document["outcomes"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Checkouts at once: what to do</title><style>{STYLE}{_STYLE}</style></head><body><main>
<h1>Checkouts at once: what to do</h1>
<p class="answer">{_of(found.answer)}</p>
{f"<p>To set: {_of(found.how)}.</p>" if found.how else ""}
{_pair(found)}
<h2>Every policy: cost against latency</h2>
{_front(outcomes, found)}
<h2>The published expected impact</h2>
{_impact(found)}
<h2>All policies</h2>
{_table(outcomes, found)}
<h2>Each policy over time</h2>
{_many(outcomes)}
<h2>How it was computed</h2>
{"".join(f"<p>{_of(line)}</p>" for line in document["story"])}
<p>Recommended is, of the policies that lose the fewest payments, the one nearest to both the least dollars and the
least p99, of those that no other beats in both. Latency is from send to settled, of completed and declined payments.
Dollars are of this avalanche alone, what is provisioned billed for its five minutes begun, without free tiers and
monthly fees. A story without the stress is shown, and not recommended. Nothing here was measured on AWS: durations are
the cold-start lab's, the rules are AWS's published ones.</p>
</main></body></html>
"""


def _pair(found: Recommendation) -> str:
    """The base beside the recommendation, in as many rows as one takes in at a glance."""
    if found.base is None or found.take is None or found.take is found.base:
        return ""
    rows = [
        (name, *[shown(one["result"]) for one in (found.base, found.take)])
        for name, shown in _COLUMNS
        if name in ("p50, s", "p99, s", "oldest, s", "cold")
    ]
    rows.append(("dollars", dollars(usd(found.base)), dollars(usd(found.take))))
    body = "".join(
        f'<tr><th scope="row">{_of(name)}</th><td>{_of(base)}</td><td>{_of(take)}</td></tr>'
        for name, base, take in rows
    )
    columns = ("what counts", _name(found.base), _name(found.take))
    heads = "".join(f'<th scope="col">{_of(words)}</th>' for words in columns)
    return (
        f'<table class="pair"><caption>Before and after</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _front(outcomes: Sequence[dict[str, Any]], found: Recommendation) -> str:
    dots = [
        Dot(
            float(usd(one)),
            one["result"]["latency_p99_ms"] / 1000,
            _name(one),
            number,
            _name(one) in found.front,
            one is found.take,
        )
        for number, one in enumerate(outcomes, 1)
        if one["result"] and one["result"]["latency_p99_ms"]
    ]
    drawn = charts.scatter(_FRONT, dots, "dollars of the avalanche", "p99 from send to settled, s")
    caption = (
        "Left and low is better. The line joins what nothing beats in both; numbers are the table's. What is far above "
        "the others lies on the upper edge."
    )
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>" if drawn else ""


def _impact(found: Recommendation) -> str:
    """The recommendation against the base, one chart for each published line."""
    pair = [
        (one, colour, dashed)
        for one, colour, dashed in ((found.base, "pure", True), (found.take, "compiled", False))
        if one is not None and not (dashed and one is found.take)
    ]
    # Series of the record, factor, heading, unit, what was published.
    drawn = (
        ("duration_p99_ms", 0.001, "Duration", "p99, s", "init included; published: 3 s and more"),
        ("cold_share", 100, "Cold starts", "% of invocations", "published: 100 %"),
        ("concurrency", 1, "Concurrent executions", "at once", "published: 10,000"),
        ("message_age_seconds", 1, "Age of the oldest message", "s", "published: increases"),
    )
    figures = []
    for field, factor, heading, unit, words in drawn:
        series = [Series(_name(one), colour, dashed, _points(one, field, factor)) for one, colour, dashed in pair]
        svg = charts.lines(heading, series, "time, s", unit, logarithmic_x=False, logarithmic_y=False)
        if svg:
            figures.append(f"<figure><h3>{heading}</h3>{svg}<figcaption>{_of(words)}</figcaption></figure>")
    return f'<div class="grids">{"".join(figures)}</div>'


def _many(outcomes: Sequence[dict[str, Any]]) -> str:
    """A small chart for each policy, all with the same axes."""
    played = [one for one in outcomes if one["result"]]
    if not played:
        return ""
    usual = statistics.median(one["result"]["completion_seconds"] for one in played)
    # What takes far longer than the others says so in words, or theirs would be too narrow to be seen.
    until = max(1, round(min(1.2 * usual, max(map(_long, played)))))
    most = max(one["result"]["oldest_message_seconds"] for one in played)
    span = (0.1, 10.0 ** max(1, math.ceil(math.log10(max(most, 1.0)))))
    figures = []
    for number, one in enumerate(outcomes, 1):
        if not one["result"]:
            continue
        drawn = [
            Series("duration p99", "pure", True, _points(one, "duration_p99_ms", 0.001)),
            Series("oldest message", "compiled", False, _points(one, "message_age_seconds", 1)),
        ]
        svg = charts.small(_name(one), drawn, until, span, "seconds")
        beyond = f", until {_long(one):,.0f} s" if _long(one) > until else ""
        figures.append(
            f"<figure><h3>{number} {_of(_name(one))}</h3>{svg}<figcaption>p99 "
            f"{_number(_thousandth(one['result']['latency_p99_ms']), 1)} s, {dollars(usd(one))}{beyond}</figcaption>"
            "</figure>"
        )
    return (
        "<p>Seconds over time, the same axes in each: solid the age of the oldest message, dashed the p99 of durations."
        f'</p><div class="many">{"".join(figures)}</div>'
    )


def _long(outcome: dict[str, Any]) -> float:
    return float(outcome["result"]["completion_seconds"])


def document(story: Parameters, outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """What the record holds and the page is made of: the outcomes, their series thinned, and the story in sentences."""
    return {
        "seed": seed,
        "story": [*_story(story, seed), *_snapshots(outcomes)],
        "outcomes": [_thinned(outcome.as_document()) for outcome in outcomes],
    }


def _story(story: Parameters, seed: int) -> list[str]:
    traffic, gateway = story.traffic, story.gateway
    shape = "all at once"
    if traffic.ramp_seconds:
        shape = f"at a rate that grows from nothing for {traffic.ramp_seconds:g} s"
    elif traffic.burst_seconds:
        shape = f"evenly within {traffic.burst_seconds:g} s"
    elif traffic.trace_seconds:
        shape = "at the moments of a trace"
    limit = f"at most {gateway.calls_per_second:g} a second" if gateway.calls_per_second else "any number a second"
    table = "on demand" if story.table.write_units is None else f"with {story.table.write_units:g} write units a second"
    return [
        f"{traffic.messages:,} checkouts in {traffic.groups:,} groups, sent {shape}; seed {seed}.",
        f"Durations: {story.function.invocations.label}.",
        f"The gateway takes {limit}, two for a payment, at {gateway.call_ms.mean_ms:,.0f} ms on average; the table is "
        f"{table}.",
    ]


def _snapshots(outcomes: Sequence[Outcome]) -> list[str]:
    """Where restores are from, once."""
    found = [one.durations for one in outcomes if one.policy.snapstart and one.result]
    return [f"SnapStart, {found[0].partition('; ')[2]}."] if found else []


def _thinned(outcome: dict[str, Any]) -> dict[str, Any]:
    if outcome["result"] is None:
        return outcome
    series = outcome["result"]["series"]
    step = max(1, -(-len(series["concurrency"]) // _POINTS))
    thin = {name: _joined(values, step, _JOINS.get(name, max)) for name, values in series.items()}
    return {**outcome, "result": {**outcome["result"], "series": {"step_seconds": step, **thin}}}


_JOINS: dict[str, Callable[[Sequence[float]], float]] = {
    "duration_mean_ms": statistics.fmean,
    "cold_share": statistics.fmean,
    "settled": sum,
}


def _joined(values: Sequence[float | None], step: int, join: Callable[[Sequence[float]], float]) -> list[float | None]:
    """What each `step` seconds come to; None of nothing."""
    found = []
    for start in range(0, len(values), step):
        there = [value for value in values[start : start + step] if value is not None]
        found.append(round(join(there), 6) if there else None)
    return found


def _points(outcome: dict[str, Any], field: str, factor: float) -> list[tuple[float, ...]]:
    """A series as a line's points, without a band."""
    series = outcome["result"]["series"]
    return [
        (number * series["step_seconds"], *[factor * value] * 3)
        for number, value in enumerate(series[field])
        if value is not None
    ]


def _table(outcomes: Sequence[dict[str, Any]], found: Recommendation) -> str:
    """Wide, and on a narrow page a list for each row; the roles stay what the elements were before."""
    names = [name for name, _ in _COLUMNS] + ["dollars"]
    head = "".join(f'<th scope="col" role="columnheader">{_of(name)}</th>' for name in ("policy", *names))
    lines = []
    for number, one in enumerate(outcomes, 1):
        marks = [" (take this)"] * (one is found.take) + [" (on the front)"] * (_name(one) in found.front)
        first = f"{number} {_name(one)}{''.join(marks[:1])}"
        if one["result"]:
            cells = [*[shown(one["result"]) for _, shown in _COLUMNS], dollars(usd(one))]
            others = "".join(
                f'<td role="cell" data-label="{_of(name)}">{_of(cell)}</td>'
                for name, cell in zip(names, cells, strict=True)
            )
        else:
            others = f'<td role="cell" class="why" colspan="{len(names)}">refused: {_of(one["refusal"])}</td>'
        taken = ' class="taken"' if one is found.take else ""
        lines.append(f'<tr role="row"{taken}><th scope="row" role="rowheader">{_of(first)}</th>{others}</tr>')
    return (
        '<table class="rows" role="table"><caption>The same traffic under each policy; the first is what was asked '
        f'for</caption><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(lines)}</tbody></table>'
    )


def _name(outcome: dict[str, Any]) -> str:
    return str(outcome["policy"]["name"])


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1000


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _of(words: str) -> str:
    return html.escape(words)
