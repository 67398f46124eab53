"""What a record says that one should take: a sentence, and a row for each choice with what it saves.

The rule: every figure is computed from the record's own rows, and what the record cannot say is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.coldstart import plan as names
from benchmarks.coldstart.recommend import Choice, cheapest_by_waits, choices, recommend
from scoring.kernel import ENGINES

COMPILED, PURE = ENGINES


class Saving(NamedTuple):
    """One choice: what to take, instead of what, and what that saves."""

    choice: str
    take: str
    saves: str


class Advice(NamedTuple):
    """`answer` is one sentence; `notes` hold what it holds for, and what cannot be recommended."""

    answer: str
    savings: list[Saving]
    notes: list[str]


def advise(record: dict[str, Any], balance: float, cold_share: float) -> Advice:
    """From a record of the lab; `balance` as for `recommend`."""
    rows, prices = record["rows"], record["prices"]
    support = record["support"]
    waits_ms = waited_ms(rows, support)
    of = {"support": support, "cold_share": cold_share}
    found = choices(rows, prices, engine=COMPILED, waits_ms=waits_ms, **of)
    cheapest, fastest = recommend(found, 0.0), recommend(found, 1.0)
    savings = [_engine(rows, support), _support(rows), _groups(rows, support)]
    notes = [_all_sizes(found, balance, cold_share, waits_ms)]
    if record["quick"]:
        sizes = " and ".join(str(choice.memory_size) for choice in found)
        notes.append(
            f"--quick cannot recommend a memory size, which needs more than {sizes} MB and more samples, nor say which "
            "of two rows is faster where they differ by less than a third."
        )
        taken = f"the {support} support and the compiled engine"
    else:
        usd = [choice.usd_per_million["arm64"] for choice in (cheapest, fastest)]
        saving = f"${usd[1] - usd[0]:.2f} a million payments against {fastest.memory_size} MB, the fastest"
        savings.append(Saving("memory", f"{cheapest.memory_size} MB", saving))
        taken = f"the {support} support, the compiled engine and {cheapest.memory_size} MB"
        notes.append(_by_waits(cheapest_by_waits(rows, prices, engine=COMPILED, **of)))
        notes += _best_of_batches(rows)
    answer = f"Take {taken}{_against_the_usual(rows, support)}."
    return Advice(answer, [one for one in savings if one is not None], [*notes, *record["lacking"]])


def waited_ms(rows: Sequence[dict[str, Any]], support: str) -> float:
    """How long one payment waits for gateway and table in this record: with their waits less without, at one size."""
    with_waits = _one(rows, f"{support}, one payment", waits=True)
    if with_waits is None:
        return 0.0
    at_once = _one(rows, support, waits=False, memory_size=with_waits["memory_size"])
    return max(0.0, with_waits["warm_ms"]["p50"] - at_once["warm_ms"]["p50"]) if at_once is not None else 0.0


def _one(rows: Sequence[dict[str, Any]], variant: str, **of: Any) -> dict[str, Any] | None:
    """The first row of a variant that has warm invocations, or an init where `memory_size` is None."""
    for row in rows:
        same = row["variant"] == variant and row["stress_mode"] == "none"
        if same and all(row[name] == value for name, value in of.items()):
            measured = row["init_cpu_ms"] if of.get("memory_size", 0) is None else row["warm_ms"]
            if measured["p50"] is not None:
                return row
    return None


def _engine(rows: Sequence[dict[str, Any]], support: str) -> Saving | None:
    size = max((row["memory_size"] or 0 for row in rows if row["variant"] == support), default=0)
    compiled, pure = _one(rows, support, memory_size=size), _one(rows, f"{support}, pure engine", memory_size=size)
    if compiled is None or pure is None:
        return None
    warm = [row["warm_cpu_ms"]["p50"] for row in (pure, compiled)]
    init = [row["init_cpu_ms"]["p50"] for row in (pure, compiled)]
    return Saving(
        "engine",
        f"{COMPILED}, not {PURE}",
        f"{warm[0] - warm[1]:.1f} of {warm[0]:.1f} CPU ms of a warm payment. Compiling does nothing for ordinary init: "
        f"{init[1]:.0f} CPU ms against {init[0]:.0f}",
    )


def _support(rows: Sequence[dict[str, Any]]) -> Saving | None:
    lean, standard = names.SUPPORTS
    one, other = _one(rows, lean, memory_size=None), _one(rows, standard, memory_size=None)
    if one is None or other is None:
        return None
    init = [row["init_cpu_ms"]["p50"] for row in (other, one)]
    text = f"{init[0] - init[1]:.0f} of {init[0]:.0f} CPU ms of init"
    warm = [
        _one(rows, name, waits=False, messages=1, memory_size=_largest(rows, standard)) for name in (standard, lean)
    ]
    if warm[0] is not None and warm[1] is not None:
        cpu = [row["warm_cpu_ms"]["p50"] for row in warm if row is not None]
        text += f", {cpu[0] - cpu[1]:.1f} of {cpu[0]:.1f} of a warm payment" if cpu[1] < cpu[0] else ""
    return Saving("support", f"{lean}, not {standard}", text)


def _groups(rows: Sequence[dict[str, Any]], support: str) -> Saving | None:
    at_once, one_group = (_one(rows, f"{support}, {name}", waits=True) for name in (names.TEN_AT_ONCE, names.ONE_GROUP))
    if at_once is None or one_group is None:
        return None
    speeds = [row["payments_per_second"] for row in (at_once, one_group)]
    return Saving(
        "groups",
        "ten in flight, not one",
        f"{speeds[0]:.1f} payments a second in one environment instead of {speeds[1]:.1f}",
    )


def _largest(rows: Sequence[dict[str, Any]], variant: str) -> int:
    return max((row["memory_size"] or 0 for row in rows if row["variant"] == variant), default=0)


def _against_the_usual(rows: Sequence[dict[str, Any]], support: str) -> str:
    """What a million payments cost in batches of ten with this record's waits, beside what one would write."""
    ours = _one(rows, f"{support}, {names.TEN_AT_ONCE}", waits=True)
    ours = ours or _one(rows, f"standard, {names.ONE_BY_ONE}", waits=True)
    if ours is None:
        return ""
    theirs = _one(rows, names.USUAL, waits=True, memory_size=ours["memory_size"])
    text = (
        ": in batches of ten, with this record's waits, a million payments take "
        f"${ours['usd_per_million_duration']:.2f} of duration at {ours['memory_size']} MB"
    )
    if theirs is None:
        return text
    return f"{text}, and ${theirs['usd_per_million_duration']:.2f} with what one would write instead"


def _best_of_batches(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Each way to work through batches at its own best size: the duration of a million payments, and the whole bill."""
    parts = []
    for variant in dict.fromkeys(row["variant"] for row in rows if row["waits"] and row["messages"] > 1):
        mine = [row for row in rows if row["variant"] == variant and row["waits"] and row["usd_per_million_duration"]]
        if mine:
            best = min(mine, key=lambda row: float(row["usd_per_million_duration"]))
            parts.append(
                f"{variant} ${best['usd_per_million_duration']:.2f} at {best['memory_size']} MB, "
                f"${best['usd_per_million_warm']:.2f} with requests"
            )
    return [f"A million payments in batches of ten, each way at its best size: {'; '.join(parts)}."] if parts else []


def _all_sizes(found: Sequence[Choice], balance: float, cold_share: float, waits_ms: float) -> str:
    parts = []
    for name, weight in (("cheapest", 0.0), ("fastest", 1.0), (f"balanced ({balance:g})", balance)):
        choice = recommend(found, weight)
        usd = choice.usd_per_million
        parts.append(
            f"{name} {choice.memory_size} MB, {choice.latency_ms:.0f} ms, ${usd['arm64']:.2f} a million payments on "
            f"arm64 (${usd['x86_64']:.2f} on x86_64)"
        )
    return (
        f"One payment an invocation, {cold_share:.0%} of them cold, {waits_ms:.0f} ms of waiting for gateway and "
        f"table: {'; '.join(parts)}."
    )


def _by_waits(steps: Sequence[tuple[int, int]]) -> str:
    (_, first), *later = steps
    rest = "".join(f", {size} MB from {waits} ms of waiting on" for waits, size in later)
    return f"Cheapest memory size, by what a payment waits for others: {first} MB without waiting{rest}."
