"""Charts of the reports as SVG, lines, bars and a scatter, and the style of the pages that they stand on.

The rule: a chart is read without its colours and without sight: it has a role, a name and a description with its
figures, its lines differ in dashes and in labels, and its letters stay legible on a telephone.
"""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

_WIDTH, _HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 8, 44
_LINE = 15
# Beyond so many, points of a line touch each other, and are too many to be told one by one.
_POINTS_MAX = 20
# Dots of a scatter that are closer than this are one to the eye, and share a label.
_NEAR = 14
# What is so many times the median lies on a scatter's upper edge and says where it is, or the others would be one dot.
_BEYOND = 5

STYLE = """
:root{--ink:#1f2328;--faint:#c8ccd1;--paper:#fff;--compiled:#0b6e99;--pure:#c2571a;--other:#6b7280}
@media (prefers-color-scheme:dark){
:root{--ink:#e6e8ea;--faint:#454a50;--paper:#14171a;--compiled:#5cb8e4;--pure:#f0955b;--other:#9aa1a9}}
@media print{:root{--ink:#000;--faint:#bbb;--paper:#fff}figure{break-inside:avoid}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:76rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin:2rem 0 .2rem}.answer{font-size:1.15rem}p{max-width:48rem}
figure{margin:1rem 0 2rem;max-width:40rem}figcaption{opacity:.8}svg{width:100%;height:auto;display:block}
svg text{font-size:11px;fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:3px;
stroke-linejoin:round}.grid{stroke:var(--faint);stroke-width:.6}.limit{stroke:var(--ink)}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;margin:.5rem 0}
caption{text-align:left;font-weight:600}th,td{padding:.25rem .5rem;border-bottom:1px solid var(--faint);text-align:left;
vertical-align:top}
h3{font-size:1rem;margin:0 0 .4rem}
.rows{font-size:.75rem}.rows td{text-align:right}.rows th,.rows td{padding:.2rem .3rem}
@media (max-width:75rem){.rows thead{display:none}.rows caption{display:block}
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
    # A label covers no dot, and no other label, of whatever line.
    named = [
        (x(at), y(value), words)
        for one in drawn
        for (at, value, *_), words in zip(one.points, one.labels, strict=False)
    ]
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py, _ in named]
    for one in drawn:
        parts.append(_line(one, x, y))
    for px, py, words in named:
        parts.append(_label(px, py, words, taken, bottom))
    for number, one in enumerate(drawn):
        at = _HEIGHT + _LINE * number
        dash = ' stroke-dasharray="5 4"' if one.dashed else ""
        parts.append(f'<path d="M{_LEFT} {at}h26" stroke="var(--{one.colour})" stroke-width="2"{dash}/>')
        parts.append(_text(_LEFT + 32, at + 4, one.name, "start"))
    parts.append(_text((_LEFT + _WIDTH) / 2, bottom + 31, x_label, "middle"))
    parts.append(
        f'<text transform="rotate(-90)" x="{-(_TOP + bottom) / 2}" y="11" text-anchor="middle">{_of(y_label)}</text>'
    )
    unit = x_label.rpartition(", ")[2]
    told = "; ".join(f"{one.name}: {_told(one.points, unit)}" for one in drawn)
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


class Dot(NamedTuple):
    """A choice in a scatter: its number in the page's table, whether nothing beats it in both, whether to take it."""

    x: float
    y: float
    name: str
    number: int
    front: bool
    take: bool = False


def scatter(name: str, dots: Sequence[Dot], x_label: str, y_label: str) -> str:
    """Choices over two logarithmic axes, both above 0: those in front joined and named, the others numbered.

    What is far above the others lies on the upper edge with its figure. A label stands where no other does, if there
    is room; dots too close for that share the first one's. Empty where there are none.
    """
    if not dots:
        return ""
    height, bottom = _HEIGHT + 90, _HEIGHT + 90 - _BOTTOM
    xs, ys = [dot.x for dot in dots], [dot.y for dot in dots]
    most = _BEYOND * statistics.median(ys)
    shown = [value for value in ys if value <= most]
    x, y_of = _scale(xs, _LEFT + 16, _WIDTH - _RIGHT - 16, True), _scale(shown, bottom - 40, _TOP + 60, True)

    def y(value: float) -> float:
        return y_of(value) if value <= most else _TOP + 8

    parts = []
    for value in _ticks(shown, max(shown) > 5 * min(shown)):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 5, y(value) + 4, f"{value:,g}", "end"))
    for value in _ticks(xs, True):
        parts.append(f'<path class="grid" d="M{x(value):.1f} {_TOP}V{bottom}"/>')
        parts.append(_text(x(value), bottom + 15, f"{value:g}", "middle"))
    front = sorted(dot for dot in dots if dot.front)
    joined = " ".join(f"{x(dot.x):.1f},{y(dot.y):.1f}" for dot in front)
    parts.append(f'<polyline points="{joined}" fill="none" stroke="var(--compiled)" stroke-width="2"/>')
    taken = [(x(dot.x) - 4, y(dot.y) - 4, x(dot.x) + 4, y(dot.y) + 4) for dot in dots]
    shared: list[list[Dot]] = []
    for dot in [one for one in dots if not one.front]:
        around = [one for one in shared if math.hypot(x(one[0].x) - x(dot.x), y(one[0].y) - y(dot.y)) < _NEAR]
        if around:
            around[0].append(dot)
        else:
            shared.append([dot])
    first = sorted(front, key=lambda dot: not dot.take)
    labelled = [([dot], f"{'take ' if dot.take else ''}{dot.number}: {dot.name}") for dot in first]
    labelled += [
        (near, _numbers([dot.number for dot in near]) + (f" at {near[0].y:,.3g}" if near[0].y > most else ""))
        for near in shared
    ]
    for near, words in labelled:
        for dot in near:
            look = (8 if dot.take else 5, "var(--compiled)") if dot.front else (3, "var(--other)")
            told = f"{dot.number} {dot.name}: {dot.x:.3g}, {dot.y:,.3g}"
            parts.append(
                f'<circle cx="{x(dot.x):.1f}" cy="{y(dot.y):.1f}" r="{look[0]}" fill="{look[1]}">'
                f"<title>{_of(told)}</title></circle>"
            )
        parts.append(_label(x(near[0].x), y(near[0].y), words, taken, bottom))
    parts.append(_text((_LEFT + _WIDTH) / 2, bottom + 31, x_label, "middle"))
    parts.append(
        f'<text transform="rotate(-90)" x="{-(_TOP + bottom) / 2}" y="11" text-anchor="middle">{_of(y_label)}</text>'
    )
    told = "; ".join(
        f"{dot.number} {dot.name}: {dot.x:.3g}, {dot.y:.3g}{', on the front' if dot.front else ''}" for dot in dots
    )
    return _svg(name, f"{y_label} by {x_label}. {told}.", height, parts)


def _label(px: float, py: float, words: str, taken: list[tuple[float, float, float, float]], bottom: float) -> str:
    """The words on the first side of a dot that is free, far ones with a line; what they cover is `taken` from then on.

    A letter of 11 pixels is taken for 6 wide.
    """
    wide = 6.0 * len(words)
    sides = [(px + 7, py + 4), (px - 7 - wide, py + 4), (px - wide / 2, py - 9), (px - wide / 2, py + 17)]
    for far in range(24, 150, 12):
        sides += [(px + 6, py - far), (px + 6, py + far), (px - 6 - wide, py - far), (px - 6 - wide, py + far)]
    for number, (left, base) in enumerate(sides):
        box = (left - 1, base - 10, left + wide + 1, base + 3)
        inside = box[0] >= _LEFT and box[2] <= _WIDTH and box[1] >= 0 and box[3] <= bottom
        if inside and not any(
            box[0] < one[2] and box[2] > one[0] and box[1] < one[3] and box[3] > one[1] for one in taken
        ):
            taken.append(box)
            end = left if left > px else left + wide
            leads = f'<path class="limit" d="M{px:.1f} {py:.1f}L{end:.1f} {base - 4:.1f}"/>' if number > 3 else ""
            return leads + _text(left, base, words, "start")
    return _text(*sides[0], words, "start")


def _numbers(numbers: Sequence[int]) -> str:
    """Ascending numbers, what follows one another as a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs)


def small(name: str, series: Sequence[Series], x_max: float, y_range: tuple[float, float], unit: str) -> str:
    """One of many small charts with the same axes: lines up to `x_max`, over a logarithmic `y_range`, without legend.

    What is below the range lies on its lower edge. Empty where there is nothing to draw.
    """
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    wide, high = 170, 100
    x = _scale([0.0, x_max], 34, wide - 8, False)
    y = _scale(y_range, high - 16, 8, True)
    parts = []
    for value in [one for one in _ROUND if y_range[0] <= one <= y_range[1] and f"{one:g}".strip("0.")[0] == "1"]:
        parts.append(f'<path class="grid" d="M34 {y(value):.1f}H{wide - 8}"/>')
        parts.append(_text(30, y(value) + 4, f"{value:g}", "end"))
    parts.append(_text(34, high - 3, "0", "middle") + _text(wide - 2, high - 3, f"{x_max:g} s", "end"))
    for one in drawn:
        shown = [point for point in one.points if point[0] <= x_max]
        joined = " ".join(f"{x(at):.1f},{y(max(y_range[0], value)):.1f}" for at, value, *_ in shown)
        dash = ' stroke-dasharray="3 3"' if one.dashed else ""
        parts.append(f'<polyline points="{joined}" fill="none" stroke="var(--{one.colour})" stroke-width="1.6"{dash}/>')
    told = "; ".join(f"{one.name}: {_told(one.points, 's')}" for one in drawn)
    return _svg(name, f"{unit} by seconds. {told}.", high, parts, wide)


def _told(points: Sequence[tuple[float, ...]], unit: str) -> str:
    """Each point, or of many where they begin and end, and the greatest."""
    told = points if len(points) <= _POINTS_MAX else [points[0], max(points, key=lambda one: one[1]), points[-1]]
    words = ", ".join(f"{point[0]:g} {unit} {point[1]:.3g}" for point in told)
    return words if told is points else f"first, greatest and last of {len(points)}: {words}"


def _line(series: Series, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    points = [(x(at), y(value), y(low), y(high)) for at, value, low, high in series.points]
    colour = f"var(--{series.colour})"
    band = [f"{px:.1f},{low:.1f}" for px, _, low, _ in points] + [
        f"{px:.1f},{high:.1f}" for px, _, _, high in points[::-1]
    ]
    joined = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in points)
    dash = ' stroke-dasharray="5 4"' if series.dashed else ""
    dots = (
        "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py, _, _ in points)
        if len(points) <= _POINTS_MAX
        else ""
    )
    return (
        f'<polygon points="{" ".join(band)}" fill="{colour}" opacity=".15"/>'
        f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>{dots}'
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


def _svg(name: str, description: str, height: float, parts: Sequence[str], width: float = _WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{_of(name)}. {_of(description)}">'
        f"<title>{_of(name)}</title><desc>{_of(description)}</desc>{''.join(parts)}</svg>"
    )
