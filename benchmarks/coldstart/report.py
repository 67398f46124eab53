"""A run of the lab for people: a terminal table, and one self-contained HTML page with charts.

The rule: every figure on the page is in the JSON record beside it, and a computed one is marked as such.
"""

from __future__ import annotations

import html
import io
import math
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.coldstart.quota import fraction
from benchmarks.coldstart.recommend import Choice, frontier
from scoring.kernel import ENGINES

# Drawn in these and replaced by CSS variables afterwards, so that one page reads in light, in dark and on paper.
_INK, _FAINT = "#010203", "#a0a1a2"
_COLOURS = {"compiled": "#0b6e99", "pure": "#c2571a", "other": "#6b7280"}
_VARIABLES = {_INK: "var(--ink)", _FAINT: "var(--faint)", **{c: f"var(--{n})" for n, c in _COLOURS.items()}}


def terminal() -> Console:
    """A console as wide as the table where there is no terminal: a pipe has no width, and a cut table says nothing."""
    return Console(width=None if sys.stdout.isatty() else 240)


def print_table(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """The rows as one table; `source` says which invocations were computed."""
    table = Table(title="Cold starts", title_justify="left", header_style="bold")
    for heading, justify in (
        ("variant", "left"),
        ("MB", "right"),
        ("stress", "left"),
        ("n", "right"),
        ("init CPU p50/min", "right"),
        ("init p50/p95", "right"),
        ("first p50/p95", "right"),
        ("warm p50", "right"),
        ("x empty", "right"),
        ("RSS MB", "right"),
        ("init > 10 s", "right"),
        ("$/1M cold", "right"),
        ("$/1M warm", "right"),
        ("source", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        ratio = row["ratio_to_empty"]
        table.add_row(
            row["variant"],
            str(row["memory_size"] or ""),
            "" if row["stress_mode"] == "none" else "stress",
            f"{row['samples']['init']}/{row['samples']['invocations']}",
            _pair(row["init_cpu_ms"]["p50"], row["init_cpu_ms"]["min"]),
            _pair(row["init_ms"]["p50"], row["init_ms"]["p95"]),
            _pair(row["first_invocation_ms"]["p50"], row["first_invocation_ms"]["p95"]),
            _number(row["warm_ms"]["p50"]),
            "" if ratio is None else f"{ratio['p50']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})",
            _number(row["max_rss_mb"]),
            "" if row["init_timed_out_share"] is None else f"{row['init_timed_out_share']:.0%}",
            _number(row["usd_per_million_cold"], 2),
            _number(row["usd_per_million_warm"], 2),
            row["source"] if row["memory_size"] else "",
        )
    console.print(table)


def page(record: dict[str, Any], found: dict[str, Sequence[Choice]], advice: Sequence[str]) -> str:
    """The HTML page of a record; `found` are the choices by engine, `advice` the recommendation's sentences."""
    rows = record["rows"]
    charts = [
        (
            "First and warm invocation by memory size",
            f"Milliseconds by memory size ({record['quota']}); bands are the middle half of the samples.",
            _chart(lambda axes: _invocations(axes, record)),
        ),
        (
            "The stress scenario against the 10-second line",
            "Init with 10,000,000 SHA-256 operations and a 3-second wait: as Lambda runs it, and if it were throttled.",
            _chart(lambda axes: _stress(axes, rows)),
        ),
        (
            "Cost against latency",
            "One payment an invocation; the line joins the memory sizes that no other beats in both.",
            _chart(lambda axes: _frontier(axes, found)),
        ),
        (
            "Where init goes",
            "CPU milliseconds by what is imported or done, from an instrumented init of the packaged function.",
            _chart(lambda axes: _imports(axes, record.get("init_profile", []))),
        ),
    ]
    figures = "".join(f"<figure><h2>{title}</h2><p>{text}</p>{svg}</figure>" for title, text, svg in charts if svg)
    bars = "".join(
        f"<tr><td>{html.escape(bar['name'])}</td><td>{bar['measured']:.4g}</td><td>{bar['limit']:.4g}</td>"
        f"<td>{'ok' if bar['ok'] else '<strong>missed</strong>'}</td></tr>"
        for bar in record["bars"]
    )
    machine = record["machine"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cold starts: pure Python against compiled</title><style>{_STYLE}</style></head><body>
<h1>Cold starts: pure Python against compiled</h1>
<p class="about">{html.escape(machine["processor"])}, {machine["cores"]} cores, Python {html.escape(record["python"])},
{html.escape(record["at"])}. {html.escape(record["method"])}</p>
<ul>{"".join(f"<li>{html.escape(sentence)}</li>" for sentence in advice)}</ul>
{figures}
<h2>All rows</h2><div class="wide">{_table(rows)}</div>
<h2>Bars</h2><table><tr><th>bar</th><th>measured</th><th>limit</th><th></th></tr>{bars}</table>
</body></html>
"""


_STYLE = """
:root{--ink:#1f2328;--faint:#c8ccd1;--paper:#fff;--compiled:#0b6e99;--pure:#c2571a;--other:#6b7280}
@media (prefers-color-scheme:dark){
:root{--ink:#e6e8ea;--faint:#454a50;--paper:#14171a;--compiled:#5cb8e4;--pure:#f0955b;--other:#9aa1a9}}
@media print{:root{--ink:#000;--faint:#bbb;--paper:#fff}figure{break-inside:avoid}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:62rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin:2rem 0 .2rem}.about{opacity:.8}
figure{margin:0 0 2rem}figure p{margin:.2rem 0 .6rem;opacity:.8}svg{width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--faint);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
"""


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = (
        "variant",
        "MB",
        "stress",
        "samples",
        "init CPU ms",
        "init ms",
        "init p95",
        "first ms",
        "warm ms",
        "x empty",
        "RSS MB",
        "init &gt; 10 s",
        "init if throttled ms",
        "$/1M cold",
        "$/1M warm",
        "source",
    )
    lines = []
    for row in rows:
        ratio = row["ratio_to_empty"]
        cells = (
            html.escape(row["variant"]),
            row["memory_size"] or "",
            "" if row["stress_mode"] == "none" else "stress",
            f"{row['samples']['init']} / {row['samples']['invocations']}",
            _number(row["init_cpu_ms"]["p50"]),
            _number(row["init_ms"]["p50"]),
            _number(row["init_ms"]["p95"]),
            _number(row["first_invocation_ms"]["p50"]),
            _number(row["warm_ms"]["p50"]),
            "" if ratio is None else f"{ratio['p50']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})",
            _number(row["max_rss_mb"]),
            "" if row["init_timed_out_share"] is None else f"{row['init_timed_out_share']:.0%}",
            _number(row["init_if_throttled_ms"]),
            _number(row["usd_per_million_cold"], 2),
            _number(row["usd_per_million_warm"], 2),
            row["source"] if row["memory_size"] else "",
        )
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>{''.join(lines)}</table>"


def _chart(draw: Callable[[Any], bool]) -> str:
    """One SVG whose colours follow the page; empty where there is nothing to draw."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "cold-start",
            "font.size": 11,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "axes.edgecolor": _FAINT,
            "grid.color": _FAINT,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.subplots()
        if not draw(axes):
            return ""
        axes.grid(visible=True, axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    # The same ids in two charts of one page would make one clip the other.
    prefix = re.sub(r"\W", "", str(abs(hash(svg))))
    svg = re.sub(r'(id="|#|url\(#)([a-zA-Z]\w*)(?=["\)])', rf"\1c{prefix}\2", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg


def _invocations(axes: Any, record: dict[str, Any]) -> bool:
    drawn = False
    for engine in ENGINES:
        for kind, style in (("first_invocation_ms", "-"), ("warm_ms", "--")):
            points: dict[int, list[float]] = {}
            for sample in record["samples"]:
                cell = sample["cell"]
                if (
                    (cell["variant"], cell["stress_mode"]) == (engine, "none")
                    and cell["memory_size"]
                    and not sample["error"]
                ):
                    computed = record["quota"] == "computed"
                    found = sample[kind.replace("_ms", "_cpu_ms") if computed else kind]
                    share = min(1.0, fraction(cell["memory_size"])) if computed else 1.0
                    values = found if isinstance(found, list) else [found]
                    points.setdefault(cell["memory_size"], []).extend(value / share for value in values)
            if not points:
                continue
            drawn = True
            sizes = sorted(points)
            axes.plot(
                sizes,
                [statistics.median(points[size]) for size in sizes],
                style,
                marker="o",
                markersize=4,
                color=_COLOURS[engine],
                label=f"{engine}, {'first' if style == '-' else 'warm'}",
            )
            quartiles = [
                statistics.quantiles(points[size], n=4) if len(points[size]) > 1 else [points[size][0]] * 3
                for size in sizes
            ]
            axes.fill_between(
                sizes,
                [q[0] for q in quartiles],
                [q[2] for q in quartiles],
                color=_COLOURS[engine],
                alpha=0.15,
                linewidth=0,
            )
            axes.set_xticks(sizes, [str(size) for size in sizes], minor=False)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes)
    if drawn:
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xlabel("memory size, MB")
        axes.set_ylabel("ms")
        axes.legend(frameon=False)
    return drawn


def _stress(axes: Any, rows: Sequence[dict[str, Any]]) -> bool:
    stressed = [row for row in rows if row["stress_mode"] != "none" and row["memory_size"]]
    if not stressed:
        return False
    sizes = sorted({row["memory_size"] for row in stressed})
    for engine in ENGINES:
        mine = sorted((row for row in stressed if row["variant"] == engine), key=lambda row: row["memory_size"])
        if not mine:
            continue
        axes.plot(
            [row["memory_size"] for row in mine],
            [row["init_if_throttled_ms"] / 1000 for row in mine],
            "--",
            marker="o",
            markersize=4,
            color=_COLOURS[engine],
            label=f"{engine}, if throttled (computed)",
        )
        axes.plot(
            [row["memory_size"] for row in mine],
            [row["init_ms"]["p50"] / 1000 for row in mine],
            color=_COLOURS[engine],
            label=f"{engine}, as Lambda runs init",
        )
    axes.axhline(10, color=_INK, linewidth=1)
    axes.annotate("10 s: Lambda ends the init", (sizes[0], 10), ha="left", va="bottom", fontsize=10)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("memory size, MB")
    axes.set_ylabel("init, seconds")
    axes.legend(frameon=False)
    return True


def _plain_ticks(axes: Any) -> None:
    """1, 2, 5, 10 instead of powers: these are milliseconds and seconds, not orders of magnitude."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _frontier(axes: Any, found: dict[str, Sequence[Choice]]) -> bool:
    for engine, all_choices in found.items():
        efficient = frontier(all_choices)
        axes.plot(
            [one.latency_ms for one in efficient],
            [one.usd_per_million["arm64"] for one in efficient],
            color=_COLOURS[engine],
            linewidth=1.5,
            label=engine,
        )
        axes.plot(
            [one.latency_ms for one in all_choices],
            [one.usd_per_million["arm64"] for one in all_choices],
            "o",
            color=_COLOURS[engine],
            markersize=5,
        )
        for choice in all_choices:
            axes.annotate(f" {choice.memory_size}", (choice.latency_ms, choice.usd_per_million["arm64"]), fontsize=9)
    if found:
        axes.set_xlabel("mean latency of a payment, ms")
        axes.set_ylabel("USD per million, arm64")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    return bool(found)


def _imports(axes: Any, profile: Sequence[dict[str, Any]]) -> bool:
    top = sorted(profile, key=lambda entry: -entry["cpu_ms"])[:12][::-1]
    if top:
        axes.barh([entry["name"] for entry in top], [entry["cpu_ms"] for entry in top], color=_COLOURS["compiled"])
        axes.set_xlabel("CPU ms")
    return bool(top)


def _number(value: float | None, digits: int = 0) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.{digits}f}" if digits or abs(value) >= 10 else f"{value:.1f}"


def _pair(one: float | None, other: float | None) -> str:
    return _number(one) if other is None else f"{_number(one)}/{_number(other)}"
