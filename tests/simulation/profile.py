"""Which faults a seed has, and what it is deployed with; drawn from the seed, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass(frozen=True)
class Profile:
    """Which faults a seed has, each with its probability a request; 0 for most of them in most seeds."""

    crash: float
    pause: float
    refused: float
    lost: float
    dropped: float
    late: float
    slow: float
    stored_500: float
    poller: float
    execution: float
    direct: float
    # Whether the approval workflow is deployed.
    workflow: bool
    skew_ms: int
    declines: float
    # The customer must do something before the gateway captures anything.
    asks_customer: float
    # Somebody cancels an intent at the gateway.
    dashboard: float
    # Somebody gives money back there, or the customer's bank disputes the charge.
    later: float
    blocks_group_in_flight: bool
    max_receives: int
    # How many payments the gateway cannot answer for as it should, until it is mended.
    poison: float
    # How many payments the gateway refuses to prepare, more than half of them for good.
    refuses: float
    # The method takes days: the charge is answered as in progress, and ends much later.
    takes_days: float
    # The gateway cannot be reached for a while.
    outage: float
    park_after_tries: int
    park_after_seconds: int
    # The table is lost, and restored to an earlier time.
    restore: float
    # Workers of an environment.
    group_concurrency: int
    prepare_ahead: bool

    @cached_property
    def menu(self) -> list[tuple[str, float]]:
        """What can happen to one request."""
        crashes = [(f"crash {point}", self.crash) for point in ("before", "in flight", "after")]
        others = ("pause", "refused", "lost", "dropped", "late")
        return crashes + [(name, getattr(self, name)) for name in others]

    @property
    def clocks_agree(self) -> bool:
        """Within what the lease's margin covers; only then does a lease keep two workers apart."""
        return self.skew_ms <= 1_000


def drawn(world: World) -> Profile:
    """The profile of a seed: most of them have few kinds of faults, so that each is seen at work alone, too."""

    def rate(name: str, *more: float) -> float:
        return world.pick(f"profile/{name}", (0.0, 0.0, 0.01, 0.03, 0.1, *more))

    workflow = world.draw("profile/workflow") >= 0.1
    return Profile(
        crash=rate("crash") / 2,
        pause=rate("pause", 0.3),
        refused=rate("refused"),
        lost=rate("lost"),
        dropped=rate("dropped"),
        late=rate("late", 0.3),
        slow=rate("slow"),
        stored_500=rate("stored 500"),
        poller=rate("poller"),
        execution=rate("execution", 0.3, 0.3),
        direct=world.pick("profile/direct", (0.0, 0.0, 0.0, 0.15, 0.5)) if workflow else 0.0,
        workflow=workflow,
        skew_ms=world.pick("profile/skew", (0, 0, 0, 900, 20_000, 1_200_000)),
        declines=world.pick("profile/declines", (0.0, 0.1, 0.4)),
        asks_customer=world.pick("profile/asks customer", (0.0, 0.0, 0.1, 0.4)),
        dashboard=world.pick("profile/dashboard", (0.0, 0.0, 0.0, 0.1, 0.3)),
        later=world.pick("profile/later", (0.0, 0.0, 0.0, 0.3, 0.9)),
        blocks_group_in_flight=world.pick("profile/blocks", (True, False)),
        max_receives=world.pick("profile/receives", (3, 6, 1000)),
        poison=world.pick("profile/poison", (0.0, 0.0, 0.0, 0.1, 0.4)),
        refuses=world.pick("profile/refuses", (0.0, 0.0, 0.0, 0.1, 0.3)),
        takes_days=world.pick("profile/takes days", (0.0, 0.0, 0.0, 0.1, 0.4)),
        outage=world.pick("profile/outage", (0.0, 0.0, 0.0, 0.0, 1.0)),
        park_after_tries=world.pick("profile/park after tries", (5, 5, 2)),
        park_after_seconds=world.pick("profile/park after", (6 * 3600, 6 * 3600, 600)),
        restore=world.pick("profile/restore", (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
        group_concurrency=world.pick("profile/group concurrency", (10, 10, 10, 3, 1)),
        prepare_ahead=world.pick("profile/prepare ahead", (False, True)),
    )
