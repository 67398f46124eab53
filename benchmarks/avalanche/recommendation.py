"""From the outcomes of policies on one traffic to the one to take, in a sentence with what it saves.

One rule: the sentence is computed from the document that the record holds; money in it is exact decimals, and a policy
of another story, without the stress, is shown and never recommended.
"""

from __future__ import annotations

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
    "pollers": "the mapping's provisioned pollers, {}, for which Terraform has no variable here",
}
_BALANCE = 0.5


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

    The first outcome is the base, which every other changes in one thing.
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
    if base not in played:
        answer = f"Take {_named(take)}: {_settled(take)}, for {dollars(usd(take))}; {_refused(base)}."
        return Recommendation(answer, _how(base, take), None, take, names)
    if take is base:
        answer = (
            f"Keep the settings as they are: {_settled(base)}, for {dollars(usd(base))}, "
            f"and none of the {len(could) - 1} other policies balances the two better."
        )
        return Recommendation(answer, "", base, base, names)
    answer = (
        f"Take {_named(take)}: {_settled(take)} instead of {_seconds(base)}, for {dollars(usd(take))} instead of "
        f"{dollars(usd(base))}: {_saves(base, take)}."
    )
    return Recommendation(answer, _how(base, take), base, take, names)


def _figures(outcome: dict[str, Any]) -> tuple[float, float]:
    # A place on a plot, not an amount.
    return float(usd(outcome)), outcome["result"]["latency_p99_ms"]


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
    saved += [f"{fewer:,} payments from being lost"] * (fewer > 0)
    spent = [f"takes {_shown(-seconds)} more"] * (seconds < 0) + [f"costs {dollars(-money)} more"] * (money < 0)
    return " and ".join([f"it saves {' and '.join(saved)}"] * bool(saved) + spent) or "it saves nothing"


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
            told.append(HOW[field].format(" to ".join(map(str, value)) if _many(value) else f"{value:,}"))
    return "; ".join(told)


def _many(value: object) -> bool:
    return isinstance(value, Sequence)
