"""Charts of the reports as SVG, lines, bars and a scatter, and the style of the pages that they stand on.

The rule: a chart is read without its colours and without sight: it has a role, a name and a description with its
figures, its lines differ in dashes and in labels, and its letters stay legible on a telephone.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

_WIDTH, _HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 8, 44
_LINE = 15

STYLE = """
:root{--ink:#1f2328;--faint:#c8ccd1;--paper:#fff;--compiled:#0b6e99;--pure:#c2571a;--other:#6b7280}
@media (prefers-color-scheme:dark){
:root{--ink:#e6e8ea;--faint:#454a50;--paper:#14171a;--compiled:#5cb8e4;--pure:#f0955b;--other:#9aa1a9}}
@media print{:root{--ink:#000;--faint:#bbb;--paper:#fff}figure{break-inside:avoid}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:76rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin:2rem 0 .2rem}.answer{font-size:1.15rem}p{max-width:48rem}
figure{margin:1rem 0 2rem;max-width:40rem}figcaption{opacity:.8}svg{width:100%;height:auto;display:block}
svg text{font-size:11px;fill:var(--ink)}.grid{stroke:var(--faint);stroke-width:.6}.limit{stroke:var(--ink)}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;margin:.5rem 0}
caption{text-align:left;font-weight:600}th,td{padding:.25rem .5rem;border-bottom:1px solid var(--faint);text-align:left;
vertical-align:top}
h3{font-size:1rem;margin:0 0 .4rem}
.rows{font-size:.75rem}.rows td{text-align:right}.rows th,.rows td{padding:.2rem .3rem}
@media (max-width:75rem){.rows thead{display:none}
.rows,.rows tbody,.rows tr,.rows td,.rows th{display:block}
.rows tr{padding:.6rem 0}.rows th,.rows td{border:0;padding:0 .3rem}.rows td:empty{display:none}
.rows td{display:flex;justify-content:space-between}.rows td::before{content:attr(data-label)}}
"""


class Series(NamedTuple):
    """A line: `colour` names a CSS variable of the page; points are x, y and the band around y, if any."""

    name: str
    colour: str
    dashed: bool
    points: Sequence[tuple[float, ...]]
    labels: Sequence[str] = ()


def lines(
    name: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    logarithmic_x: bool = True,
    logarithmic_y: bool = True,
    limit: tuple[float, str] | None = None,
) -> str:
    """Lines with their bands; `limit` is a horizontal line with its meaning. Empty where there is nothing to draw."""
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    xs = [point[0] for one in drawn for point in one.points]
    ys = [value for one in drawn for point in one.points for value in point[1:]] + ([limit[0]] if limit else [])
    height = _HEIGHT + _LINE * len(drawn)
    bottom = _HEIGHT - _BOTTOM
    x = _scale(xs, _LEFT + 6, _WIDTH - _RIGHT - 14, logarithmic_x)
    y = _scale(ys if logarithmic_y else [0.0, *ys], bottom, _TOP + 10, logarithmic_y)
    parts = []
    for value in _ticks(ys if logarithmic_y else [0.0, *ys], logarithmic_y):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 5, y(value) + 4, f"{value:g}", "end"))
    for value in sorted(set(xs)) if logarithmic_x else _ticks(xs, False):
        parts.append(_text(x(value), bottom + 15, f"{value:g}", "middle"))
    if limit:
        parts.append(f'<path class="limit" d="M{_LEFT} {y(limit[0]):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT + 4, y(limit[0]) - 4, limit[1], "start"))
    for one in drawn:
        parts.append(_line(one, x, y))
    for number, one in enumerate(drawn):
        at = _HEIGHT + _LINE * number
        dash = ' stroke-dasharray="5 4"' if one.dashed else ""
        parts.append(f'<path d="M{_LEFT} {at}h26" stroke="var(--{one.colour})" stroke-width="2"{dash}/>')
        parts.append(_text(_LEFT + 32, at + 4, one.name, "start"))
    parts.append(_text((_LEFT + _WIDTH) / 2, bottom + 31, x_label, "middle"))
    parts.append(
        f'<text transform="rotate(-90)" x="{-(_TOP + bottom) / 2}" y="11" text-anchor="middle">{_of(y_label)}</text>'
    )
    told = "; ".join(
        f"{one.name}: "
        + ", ".join(f"{point[0]:g} {x_label.rpartition(', ')[2]} {point[1]:.3g}" for point in one.points)
        for one in drawn
    )
    return _svg(name, f"{y_label} by {x_label}. {told}.", height, parts)


def bars(name: str, entries: Sequence[tuple[str, float]], unit: str) -> str:
    """Horizontal bars, each under its label. Empty where there are none."""
    if not entries:
        return ""
    most = max(value for _, value in entries)
    parts = []
    for number, (label, value) in enumerate(entries):
        at = 30 * number
        long = (_WIDTH - 110) * value / most if most else 0.0
        parts.append(_text(0, at + 11, label, "start"))
        parts.append(f'<rect x="0" y="{at + 15}" width="{long:.1f}" height="9" fill="var(--compiled)"/>')
        parts.append(_text(long + 5, at + 24, f"{value:,.3g} {unit}", "start"))
    told = ", ".join(f"{label} {value:.3g}" for label, value in entries)
    return _svg(name, f"{unit}: {told}.", 30 * len(entries), parts)


def _line(series: Series, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    points = [(x(at), y(value), y(low), y(high)) for at, value, low, high in series.points]
    colour = f"var(--{series.colour})"
    band = [f"{px:.1f},{low:.1f}" for px, _, low, _ in points] + [
        f"{px:.1f},{high:.1f}" for px, _, _, high in points[::-1]
    ]
    joined = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in points)
    dash = ' stroke-dasharray="5 4"' if series.dashed else ""
    dots = "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py, _, _ in points)
    labels = "".join(
        _text(px + (5 if px < _WIDTH - 60 else -5), py - 5, label, "start" if px < _WIDTH - 60 else "end")
        for (px, py, _, _), label in zip(points, series.labels, strict=False)
    )
    return (
        f'<polygon points="{" ".join(band)}" fill="{colour}" opacity=".15"/>'
        f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>{dots}{labels}'
    )


def _scale(values: Sequence[float], start: float, end: float, logarithmic: bool) -> Callable[[float], float]:
    def placed(value: float) -> float:
        return math.log(value) if logarithmic else value

    low, high = placed(min(values)), placed(max(values))
    span = high - low or 1.0
    return lambda value: start + (end - start) * (placed(value) - low) / span


def _ticks(values: Sequence[float], logarithmic: bool) -> list[float]:
    """1, 2 and 5 and their tenfolds: these are milliseconds and dollars, not orders of magnitude."""
    low, high = min(values), max(values)
    if not logarithmic:
        step = next(one for one in _ROUND if (high - low) / one <= 6)
        return [step * number for number in range(math.ceil(low / step), int(high / step) + 1)]
    found = [one for one in _ROUND if low <= one <= high]
    return found if len(found) <= 7 else [one for one in found if f"{one:g}".strip("0.")[0] == "1"]


_ROUND = [float(f"{digit}e{power}") for power in range(-4, 8) for digit in (1, 2, 5)]


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_of(words)}</text>'


def _of(words: str) -> str:
    return html.escape(words)


def _svg(name: str, description: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_of(name)}. {_of(description)}">'
        f"<title>{_of(name)}</title><desc>{_of(description)}</desc>{''.join(parts)}</svg>"
    )
