"""From the outcomes of policies on one traffic to the one to take, in a sentence with what it saves.

One rule: the sentence is computed from the document that the record holds, and says where another draw of the story
would say something else; money in it is exact decimals, and a policy of another story, without the stress, is shown
and never recommended.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from benchmarks import tradeoff

# Policy field -> Terraform variable; what is missing here is set elsewhere, which `HOW` says.
VARIABLES = {
    "engine": "scoring_engine",
    "support": "support",
    "memory_size": "memory_size",
    "batch_size": "batch_size",
    "provisioned_concurrency": "provisioned_concurrency",
    "snapstart": "snap_start",
    "group_concurrency": "group_concurrency",
}
HOW = {
    "groups": "the sender's MessageGroupId has {} values",
    "pollers": "provisioned_pollers = {{ min = {}, max = {} }}, in the place of maximum_concurrency",
}
_BALANCE = 0.5
# Student's t, two-sided, 95 %, by the number of pairs.
_T95 = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
_SEEDS_MIN = min(_T95)


class Recommendation(NamedTuple):
    """`answer` is one sentence. `base` and `take` are outcomes of the document, None where there is no result."""

    answer: str
    how: str
    base: dict[str, Any] | None
    take: dict[str, Any] | None
    front: list[str]


def lost(outcome: dict[str, Any]) -> int:
    """Payments that nobody settled: parked, dead-lettered, or cut off by the horizon."""
    result = outcome["result"]
    return int(result["parked"] + result["dead_lettered"] + result["unsettled"])


def usd(outcome: dict[str, Any]) -> Decimal:
    return Decimal(outcome["result"]["dollars"]["total"])


def recommend(document: dict[str, Any]) -> Recommendation:
    """Of the policies that lose the fewest payments, the one that balances dollars and p99 latency on their front.

    The first outcome is the base, which every other changes in one thing. `again` of the document, where it is there,
    has the front and the base with other seeds.
    """
    base, *_ = document["outcomes"]
    stress = base["policy"]["stress_mode"]
    played = [one for one in document["outcomes"] if one["result"] and one["result"]["latency_p99_ms"] is not None]
    could = [one for one in played if one["policy"]["stress_mode"] == stress]
    if not could:
        return Recommendation("Nothing can be recommended: no policy settles a payment.", "", None, None, [])
    fewest = min(map(lost, could))
    could = [one for one in could if lost(one) == fewest]
    front = tradeoff.frontier(could, _figures)
    take = tradeoff.balanced(front, _figures, _BALANCE)
    names = [one["policy"]["name"] for one in front]
    near = _near_tie(document.get("again", {}), [*front, *[base] * (base in played)], take, base)
    if base not in played:
        answer = f"Take {_named(take)}: {_settled(take)}, for {dollars(usd(take))}{near}; {_refused(base)}."
        return Recommendation(answer, _how(base, take), None, take, names)
    if take is base:
        answer = (
            f"Keep the settings as they are: {_settled(base)}, for {dollars(usd(base))}, "
            f"and none of the {len(could) - 1} other policies balances the two better{near}."
        )
        return Recommendation(answer, "", base, base, names)
    answer = (
        f"Take {_named(take)}: {_settled(take)} instead of {_seconds(base)}, for {dollars(usd(take))} instead of "
        f"{dollars(usd(base))}: {_saves(base, take)}{near}."
    )
    return Recommendation(answer, _how(base, take), base, take, names)


def _figures(outcome: dict[str, Any]) -> tuple[float, float]:
    # A place on a plot, not an amount.
    return float(usd(outcome)), outcome["result"]["latency_p99_ms"]


def _near_tie(
    again: dict[str, list[dict[str, Any]]],
    outcomes: Sequence[dict[str, Any]],
    take: dict[str, Any],
    base: dict[str, Any],
) -> str:
    """What other seeds say, in brackets: whether they take another policy, and which difference is their noise."""
    # Payments lost, dollars and p99 by seed; what an older record does not say of a seed is as with the first.
    drawn: dict[str, list[tuple[int, float, float]]] = {}
    for one in outcomes:
        name, first = one["policy"]["name"], lost(one)
        later = [
            (found.get("lost", first), float(found["usd"]), found["latency_p99_ms"]) for found in again.get(name, ())
        ]
        drawn[name] = [(first, *_figures(one)), *later]
    seeds = min(map(len, drawn.values()))
    if seeds < _SEEDS_MIN or any(p99 is None for found in drawn.values() for *_, p99 in found):
        return ""
    taken, asked = (one["policy"]["name"] for one in (take, base))
    others = Counter(_balanced({name: found[seed] for name, found in drawn.items()}) for seed in range(seeds))
    agree = others.pop(taken, 0)
    told = []
    if others:
        names = " and ".join(f"“{name}”" for name in others)
        told.append(f"a near tie: {agree} of {seeds} seeds {'takes' if agree == 1 else 'take'} it, {names} the others")
    if taken != asked and asked in drawn:
        for place, words in ((2, "p99"), (1, "cost")):
            differences = [drawn[asked][seed][place] - drawn[taken][seed][place] for seed in range(seeds)]
            if any(differences) and abs(statistics.mean(differences)) <= _half(differences):
                told.append(f"the difference in {words} is within the noise of {seeds} seeds")
    return f" ({'; '.join(told)})" if told else ""


def _balanced(drawn: dict[str, tuple[int, float, float]]) -> str:
    """As `recommend` decides, of one seed."""
    fewest = min(lost for lost, *_ in drawn.values())
    could = [(name, (usd, p99)) for name, (lost, usd, p99) in drawn.items() if lost == fewest]
    front = tradeoff.frontier(could, lambda one: one[1])
    return tradeoff.balanced(front, lambda one: one[1], _BALANCE)[0]


def _half(differences: Sequence[float]) -> float:
    """Half of the 95 % confidence interval of their mean."""
    return _T95[len(differences)] * statistics.stdev(differences) / math.sqrt(len(differences))


def _named(outcome: dict[str, Any]) -> str:
    policy = outcome["policy"]
    of = {"provisioned_concurrency": "{:,} environments kept initialised (“{}”)"}
    for field, words in of.items():
        if policy[field]:
            return words.format(policy[field], policy["name"])
    return f"“{policy['name']}”"


def _settled(outcome: dict[str, Any]) -> str:
    accepted = outcome["result"]["accepted"]
    return f"99 % of {accepted:,} checkouts are settled within {_seconds(outcome)} of being sent"


def _refused(base: dict[str, Any]) -> str:
    return "what was asked for " + (
        f"is refused ({base['refusal']})" if base["result"] is None else "settles no payment"
    )


def _seconds(outcome: dict[str, Any]) -> str:
    return _shown(outcome["result"]["latency_p99_ms"] / 1000)


def _shown(seconds: float) -> str:
    return f"{seconds:,.{2 if seconds < 10 else 1}f} s"


def dollars(amount: Decimal) -> str:
    """With four digits that say something: an avalanche of ten thousand costs ten cents."""
    digits = 2 if amount >= 100 else 4
    return f"${amount:,.{digits}f}"


def _saves(base: dict[str, Any], take: dict[str, Any]) -> str:
    # What rounds to nothing is nothing.
    seconds = round((base["result"]["latency_p99_ms"] - take["result"]["latency_p99_ms"]) / 1000, 2)
    money = round(usd(base) - usd(take), 4)
    fewer = lost(base) - lost(take)
    saved = [_shown(seconds)] * (seconds > 0) + [dollars(money)] * (money > 0)
    saved += [f"{fewer:,} payment{'s' * (fewer > 1)} from being lost"] * (fewer > 0)
    spent = [f"takes {_shown(-seconds)} more"] * (seconds < 0) + [f"costs {dollars(-money)} more"] * (money < 0)
    return "it " + (" and ".join([f"saves {' and '.join(saved)}"] * bool(saved) + spent) or "saves nothing")


def _how(base: dict[str, Any], take: dict[str, Any]) -> str:
    """What to set, by the names that Terraform has."""
    told = []
    for field, value in take["policy"].items():
        if field in ("name", "account_concurrency", "snapstart_restore_ms") or value == base["policy"][field]:
            continue
        if field in VARIABLES:
            shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
            told.append(f"{VARIABLES[field]} = {shown}")
        elif field in HOW:
            told.append(HOW[field].format(*(value if _many(value) else [f"{value:,}"])))
    return "; ".join(told)


def _many(value: object) -> bool:
    return isinstance(value, Sequence)
