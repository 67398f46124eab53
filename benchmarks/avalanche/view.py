"""The avalanche on a terminal while it comes down: a live table, or plain lines where nobody sees it move.

The rule: it shows moments and computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchmarks.avalanche.seen import Moment

_BARS = "▁▂▃▄▅▆▇█"
_NAME_WIDTH, _VALUE_WIDTH, _WIDTH = 23, 30, 48
_PLAIN_SECONDS = 5.0
# What each row is called, how its value is written, the attributes without which it cannot be, and its curve's number.
_ROWS: tuple[tuple[str, str, tuple[str, ...], Callable[[Moment], float]], ...] = (
    ("sent / settled", "{0.sent} / {0.settled}", (), lambda m: m.settled),
    ("queue depth", "{0.visible} + {0.in_flight} in flight", (), lambda m: m.visible + m.in_flight),
    ("oldest message", "{0.oldest_seconds:.1f} s", ("oldest_seconds",), lambda m: m.oldest_seconds or 0),
    (
        "environments",
        "{0.starting} starting, {0.busy} busy, {0.idle} idle",
        ("starting", "busy", "idle"),
        lambda m: (m.starting or 0) + (m.busy or 0) + (m.idle or 0),
    ),
    ("cold share", "{0.cold_share:.0%}", ("cold_share",), lambda m: m.cold_share or 0),
    (
        "p99 duration, with init",
        "{0.duration_p99_ms:,.0f} ms, {0.with_init_p99_ms:,.0f} ms",
        ("duration_p99_ms", "with_init_p99_ms"),
        lambda m: m.with_init_p99_ms or 0,
    ),
)


def _value(form: str, needs: Sequence[str], moment: Moment) -> str:
    return "-" if any(getattr(moment, name) is None for name in needs) else form.format(moment)


class View:
    """A context manager; `show` takes each moment."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._moments: list[Moment] = []
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._said = -_PLAIN_SECONDS

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._moments and self._moments[-1].seconds != self._said:
            self._say(self._moments[-1])

    def show(self, moment: Moment) -> None:
        """Redraw the table, or say a line every few seconds."""
        self._moments.append(moment)
        if self._live is not None:
            self._live.update(self._table())
        elif moment.seconds - self._said >= _PLAIN_SECONDS:
            self._said = moment.seconds
            self._say(moment)

    def _say(self, moment: Moment) -> None:
        columns = "; ".join(f"{name} {_value(form, needs, moment)}" for name, form, needs, _ in _ROWS)
        self._console.print(f"{moment.seconds:6.1f} s  {columns}", highlight=False, markup=False)

    def _table(self) -> Table:
        now = self._moments[-1]
        table = Table(title=f"{self._title}, {now.seconds:.0f} s", title_justify="left", show_header=False)
        table.add_column(width=_NAME_WIDTH, no_wrap=True)
        table.add_column(width=_VALUE_WIDTH, no_wrap=True)
        # What the terminal leaves beside both, and the lines between.
        width = min(_WIDTH, max(1, self._console.width - _NAME_WIDTH - _VALUE_WIDTH - 10))
        table.add_column(width=width, no_wrap=True)
        for name, form, needs, curve in _ROWS:
            table.add_row(name, _value(form, needs, now), sparkline([curve(moment) for moment in self._moments], width))
        return table


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Values as bars from 0 to the largest; of more values than `width`, the largest of each part."""
    if len(values) > width:
        edges = [round(place * len(values) / width) for place in range(width + 1)]
        values = [max(values[start:end]) for start, end in pairwise(edges)]
    most = max(values, default=0) or 1
    return "".join(_BARS[min(len(_BARS) - 1, int(len(_BARS) * max(0.0, value) / most))] for value in values)


def impact_table(rows: Sequence[tuple[str, str, str]], groups: str) -> Table:
    """The published 'Expected impact' beside what was seen."""
    table = Table(title=f"The published expected impact, and what was seen with {groups} groups", title_justify="left")
    for header in ("published", "seen", "why"):
        table.add_column(header)
    for row in rows:
        table.add_row(*row)
    return table


# A figure's name in a record, what it is called here, and how it is written.
_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("settled", "messages settled", "{:,}"),
    ("completion_seconds", "all settled after, s", "{:.1f}"),
    ("latency_p50_seconds", "latency p50, s", "{:.2f}"),
    ("latency_p99_seconds", "latency p99, s", "{:.2f}"),
    ("oldest_seconds", "greatest age of the oldest message, s", "{:.2f}"),
    ("concurrency", "concurrent executions, most", "{}"),
    ("invocations", "invocations", "{}"),
    ("cold_invocations", "of them cold", "{}"),
    ("all_warm_seconds", "last init over after, s", "{:.1f}"),
    ("init_p50_ms", "init p50, ms", "{:,.0f}"),
    ("duration_p50_ms", "duration p50, ms", "{:,.0f}"),
    ("duration_p99_ms", "duration p99, ms", "{:,.0f}"),
    ("with_init_p99_ms", "duration with init p99, ms", "{:,.0f}"),
)


def figures_table(rounds: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    """A column a round."""
    table = Table(title="What was seen", title_justify="left")
    table.add_column("")
    for name, _ in rounds:
        table.add_column(name, justify="right")
    for figure, says, form in _FIGURES:
        values = [found[figure] for _, found in rounds]
        table.add_row(says, *("-" if value is None else form.format(value) for value in values))
    return table


def series_table(series: Mapping[str, dict[str, Any]], predicted: Mapping[str, dict[str, Any]]) -> Table:
    """CloudWatch's series beside the simulated ones: total or greatest value and curve; what is not there is empty."""
    table = Table(title="What CloudWatch has of it, by the minute, and what was predicted", title_justify="left")
    for header in ("", "", "CloudWatch", "", "predicted", ""):
        table.add_column(header)
    for name, found in series.items():
        summed = found["statistic"] == "Sum"
        cells: list[str] = []
        for one in (found, predicted.get(name, {"points": []})):
            values = [value for _, value in one["points"]]
            cells += [f"{sum(values) if summed else max(values):,.0f}", sparkline(values, 24)] if values else ["-", ""]
        table.add_row(name, "total" if summed else f"greatest {found['statistic']}", *cells)
    return table
