"""From a failing seed to a short history: messages and faults are left out while the same rule still breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.simulation.simulation import run
from tests.simulation.world import Cut, World

_Part = TypeVar("_Part", int, str)

# Of one shrinking; a history is short long before.
_RUNS_MAX = 400


def shrink(seed: int, steps_max: int) -> tuple[Cut, World]:
    """The smallest cut found that breaks the rule that the whole seed breaks, and the world it leaves."""
    whole = run(seed, Cut(), steps_max)
    rule = whole.violations[0][0]
    runs = 0
    best = whole

    def breaks(cut: Cut) -> bool:
        nonlocal runs, best
        runs += 1
        world = run(seed, cut, steps_max)
        if world.violations and world.violations[0][0] == rule:
            best = world
            return True
        return False

    messages = _least(sorted(whole.numbers), lambda kept: breaks(Cut(frozenset(kept), None)), lambda: runs < _RUNS_MAX)
    fired = sorted(best.fired)
    faults = _least(fired, lambda kept: breaks(Cut(frozenset(messages), frozenset(kept))), lambda: runs < 2 * _RUNS_MAX)
    cut = Cut(frozenset(messages), frozenset(faults))
    # With fewer faults, more messages may be idle bystanders.
    messages = _least(messages, lambda kept: breaks(Cut(frozenset(kept), cut.faults)), lambda: runs < 3 * _RUNS_MAX)
    cut = Cut(frozenset(messages), cut.faults)
    world = run(seed, cut, steps_max)
    return (cut, world) if world.violations else (Cut(), whole)


def _least(parts: list[_Part], breaks: Callable[[list[_Part]], bool], more: Callable[[], bool]) -> list[_Part]:
    """Delta debugging: leave out ever smaller chunks while it still breaks."""
    size = len(parts)
    while size and more():
        start = 0
        while start < len(parts) and more():
            kept = parts[:start] + parts[start + size :]
            if breaks(kept):
                parts = kept
            else:
                start += size
        size //= 2
    return parts
