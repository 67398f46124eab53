"""Two figures of which less is better, such as cost and latency: what nothing beats in both, and what balances them.

One rule: each figure is scaled to 0..1 over the choices themselves, so that neither unit decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_Choice = TypeVar("_Choice")
Figures = Callable[[_Choice], tuple[float, float]]


def frontier(found: Sequence[_Choice], figures: Figures[_Choice]) -> list[_Choice]:
    """The choices that no other beats in both figures, by the first rising; of equal ones the first."""
    efficient: list[_Choice] = []
    for choice in sorted(found, key=figures):
        if not efficient or figures(choice)[1] < figures(efficient[-1])[1]:
            efficient.append(choice)
    return efficient


def balanced(found: Sequence[_Choice], figures: Figures[_Choice], balance: float) -> _Choice:
    """`balance` 0 takes the least of the first figure, 1 of the second; between, the least weighted distance from both.

    Raises ValueError where it is not within 0..1.
    """
    if not 0 <= balance <= 1:
        raise ValueError(f"the balance is {balance}: it must be within 0 (cost) and 1 (speed)")
    ones, others = (_scaled(values) for values in zip(*map(figures, found), strict=True))
    scores = [(1 - balance) * one + balance * other for one, other in zip(ones, others, strict=True)]
    return found[scores.index(min(scores))]


def _scaled(values: Sequence[float]) -> list[float]:
    low, span = min(values), max(values) - min(values)
    return [(value - low) / span if span else 0.0 for value in values]
