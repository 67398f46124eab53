"""A run of the lab for people: a terminal table, and one self-contained HTML page with charts.

The rule: the answer stands first; every figure on the page is in the JSON record beside it, and a computed one is
marked as such; nothing is cut off on a telephone.
"""

from __future__ import annotations

import html
import math
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import charts
from benchmarks.charts import STYLE, Series
from benchmarks.coldstart import plan as names
from benchmarks.coldstart.advice import Advice
from benchmarks.coldstart.quota import fraction
from benchmarks.coldstart.recommend import Choice, frontier
from scoring.kernel import ENGINES

_COLUMNS = (
    ("variant", "left"),
    ("MB", "right"),
    ("stress", "left"),
    ("messages", "right"),
    ("groups", "right"),
    ("waits", "left"),
    ("n", "right"),
    ("init CPU p50/min", "right"),
    ("init p50/p95", "right"),
    ("first p50/p95", "right"),
    ("warm p50", "right"),
    ("warm CPU", "right"),
    ("payments/s", "right"),
    ("x empty", "right"),
    ("RSS MB", "right"),
    ("init > 10 s", "right"),
    ("init if throttled", "right"),
    ("$/1M cold", "right"),
    ("$/1M warm", "right"),
    ("source", "left"),
)


_INVOCATIONS, _THROUGHPUT = "First and warm invocation by memory size", "Payments a second"
_FRONTIER, _STRESS = "Cost against latency", "The stress scenario against 10 seconds"
_IMPORTS = "Where init goes"
_STEPS = "Where the CPU time of a warm payment goes"


def terminal() -> Console:
    """A console as wide as the table where there is no terminal: a pipe has no width, and a cut table says nothing."""
    return Console(width=None if sys.stdout.isatty() else 240)


def print_table(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """The rows as one table; `source` says which invocations were computed."""
    table = Table(title="Cold starts", title_justify="left", header_style="bold")
    for heading, justify in _COLUMNS:
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    """A row of either table. `get`: the lab on AWS has fewer figures."""
    ratio = row["ratio_to_empty"]
    return [
        row["variant"],
        str(row["memory_size"] or ""),
        "" if row["stress_mode"] == "none" else "stress",
        str(row.get("messages", 1)),
        str(row.get("groups", 1)),
        "yes" if row.get("waits") else "",
        f"{row['samples']['init']}/{row['samples']['invocations']}",
        _pair(row["init_cpu_ms"]["p50"], row["init_cpu_ms"]["min"]),
        _pair(row["init_ms"]["p50"], row["init_ms"]["p95"]),
        _pair(row["first_invocation_ms"]["p50"], row["first_invocation_ms"]["p95"]),
        _number(row["warm_ms"]["p50"]),
        _number(row.get("warm_cpu_ms", {}).get("p50"), 1),
        _number(row.get("payments_per_second"), 1),
        "" if ratio is None else f"{ratio['p50']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})",
        _number(row["max_rss_mb"]),
        "" if row["init_timed_out_share"] is None else f"{row['init_timed_out_share']:.0%}",
        _number(row.get("init_if_throttled_ms")),
        _number(row["usd_per_million_cold"], 2),
        _number(row["usd_per_million_warm"], 2),
        row["source"] if row["memory_size"] else "",
    ]


def page(record: dict[str, Any], found: dict[str, Sequence[Choice]], advice: Advice) -> str:
    """The HTML page of a record; `found` are the choices by engine."""
    drawn = (
        (
            _INVOCATIONS,
            f"Milliseconds by memory size ({record['quota']}), gateway and table answering at once; bands are the "
            "middle half of the samples.",
            _invocations(record),
        ),
        (
            _THROUGHPUT,
            "One environment, batches of ten payments, gateway and table taking their time.",
            _throughput(record["rows"]),
        ),
        (
            _FRONTIER,
            "One payment an invocation; each line joins the sizes that no other beats in both.",
            _frontier(found),
        ),
        (
            _STRESS,
            "Init with 10,000,000 SHA-256 operations and a 3-second wait: as Lambda runs it, and if it were throttled.",
            _stress(record["rows"], record["support"]),
        ),
        (
            _IMPORTS,
            "CPU milliseconds by what is imported, and for what init does besides.",
            _profile(_IMPORTS, record["init_profile"]),
        ),
        (
            _STEPS,
            "CPU milliseconds by step, the lean support; one payment an invocation, a processor to itself.",
            _profile(_STEPS, record["payment_profile"]),
        ),
    )
    figures = "".join(
        f"<figure><h3>{_of(name)}</h3>{svg}<figcaption>{_of(text)}</figcaption></figure>"
        for name, text, svg in drawn
        if svg
    )
    savings = "".join(
        f'<tr><th scope="row">{_of(one.choice)}</th><td>{_of(one.take)}</td><td>{_of(one.saves)}</td></tr>'
        for one in advice.savings
    )
    bars = "".join(
        f'<tr><th scope="row">{_of(bar["name"]).replace("_", "_<wbr>")}</th>'
        f"<td>{_measured(bar['measured'])}</td><td>{bar['limit']:.4g}</td>"
        f"<td>{'ok' if bar['ok'] else '<strong>missed</strong>'}</td></tr>"
        for bar in record["bars"]
    )
    machine = record["machine"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cold starts: what to take</title><style>{STYLE}</style></head><body><main>
<h1>Cold starts: what to take</h1>
<p class="answer">{_of(advice.answer)}</p>
<table><caption>What each choice saves</caption><thead>
<tr><th scope="col">choice</th><th scope="col">take this</th><th scope="col">it saves that</th></tr></thead>
<tbody>{savings}</tbody></table>
{"".join(f"<p>{_of(note)}</p>" for note in advice.notes)}
<h2>Charts</h2>
{figures}
<h2>Bars</h2>
<table><caption>What was promised</caption><thead><tr><th scope="col">bar</th><th scope="col">measured</th>
<th scope="col">limit</th><th scope="col">verdict</th></tr></thead><tbody>{bars}</tbody></table>
<h2>All rows</h2>
{_table(record["rows"])}
<h2>How it was measured</h2>
<p>{_of(machine["processor"])}, {machine["cores"]} cores, Python {_of(record["python"])}, {_of(record["at"])}.
{_of(record["method"])}</p>
</main></body></html>
"""


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Wide, and on a narrow page a list for each row; the roles stay what the elements were before."""
    head = "".join(f'<th scope="col" role="columnheader">{_of(name)}</th>' for name, _ in _COLUMNS)
    lines = []
    for row in rows:
        first, *cells = _cells(row)
        others = "".join(
            f'<td role="cell" data-label="{_of(name)}">{_of(cell)}</td>'
            for (name, _), cell in zip(_COLUMNS[1:], cells, strict=True)
        )
        lines.append(f'<tr role="row"><th scope="row" role="rowheader">{_of(first)}</th>{others}</tr>')
    return (
        '<table class="rows" role="table"><caption>Medians of what was measured; times in ms</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(lines)}</tbody></table>'
    )


def _invocations(record: dict[str, Any]) -> str:
    series = []
    computed = record["quota"] == "computed"
    for engine in ENGINES:
        for kind, words in (("first_invocation", "first"), ("warm", "warm")):
            points: dict[int, list[float]] = {}
            for sample in record["samples"]:
                cell = sample["cell"]
                wanted = (cell["engine"], cell["package"], cell["support"]) == (engine, "packaged", record["support"])
                plain = (cell["stress_mode"], cell["messages"], cell["waits"]) == ("none", 1, False)
                if wanted and plain and cell["memory_size"] and not sample["error"]:
                    found = sample[f"{kind}_cpu_ms" if computed else f"{kind}_ms"]
                    share = min(1.0, fraction(cell["memory_size"])) if computed else 1.0
                    values = found if isinstance(found, list) else [found]
                    points.setdefault(cell["memory_size"], []).extend(value / share for value in values)
            drawn = [(size, statistics.median(points[size]), *_middle_half(points[size])) for size in sorted(points)]
            series.append(Series(f"{engine}, {words}", engine, words == "warm", drawn))
    return charts.lines(_INVOCATIONS, series, "memory size, MB", "ms")


def _middle_half(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4)
    return max(low, min(values)), min(high, max(values))


def _throughput(rows: Sequence[dict[str, Any]]) -> str:
    size = max((row["memory_size"] for row in rows if row["variant"] == names.USUAL and row["waits"]), default=0)
    found = [
        (f"{row['variant']}, {row['memory_size']} MB", row["payments_per_second"])
        for row in rows
        if row["waits"] and row["messages"] > 1 and row["memory_size"] == size and row["payments_per_second"]
    ]
    return charts.bars(_THROUGHPUT, sorted(found, key=lambda one: -one[1]), "payments/s")


def _stress(rows: Sequence[dict[str, Any]], support: str) -> str:
    series = []
    for engine in ENGINES:
        mine = [
            row
            for row in rows
            if (row["engine"], row["support"]) == (engine, support)
            and row["stress_mode"] != "none"
            and "AVX" not in row["variant"]
        ]
        throttled = {row["memory_size"]: row["init_if_throttled_ms"] for row in mine}
        as_it_is = {row["memory_size"]: row["init_ms"]["p50"] for row in mine}
        for name, dashed, figures in (
            ("if throttled (computed)", True, throttled),
            ("as Lambda runs init", False, as_it_is),
        ):
            drawn = [(size, *[ms / 1000] * 3) for size, ms in sorted(figures.items()) if size and ms]
            series.append(Series(f"{engine}, {name}", engine, dashed, drawn))
    limit = (10.0, "10 s: Lambda ends the init")
    return charts.lines(
        "The stress scenario against 10 seconds", series, "memory size, MB", "init, seconds", limit=limit
    )


def _frontier(found: dict[str, Sequence[Choice]]) -> str:
    series = [
        Series(
            engine,
            engine,
            engine != ENGINES[0],
            [(one.latency_ms, *[one.usd_per_million["arm64"]] * 3) for one in frontier(all_choices)],
            [f"{one.memory_size} MB" for one in frontier(all_choices)],
        )
        for engine, all_choices in found.items()
    ]
    labels = "mean latency of a payment, ms", "USD a million, arm64"
    return charts.lines(_FRONTIER, series, *labels, logarithmic_x=False, logarithmic_y=False)


def _profile(name: str, profile: Sequence[dict[str, Any]]) -> str:
    top = sorted(profile, key=lambda entry: -entry["cpu_ms"])[:12]
    return charts.bars(name, [(entry["name"], entry["cpu_ms"]) for entry in top], "CPU ms")


def _of(words: str) -> str:
    return html.escape(words)


def _measured(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4g}"


def _number(value: float | None, digits: int = 0) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.{digits}f}" if digits or abs(value) >= 10 else f"{value:.1f}"


def _pair(one: float | None, other: float | None) -> str:
    return _number(one) if other is None else f"{_number(one)}/{_number(other)}"
