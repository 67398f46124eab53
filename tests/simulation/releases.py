"""Releases of the function: which versions of the canonical text and which writes each knows; which are deployed when.

The rule: what code knows depends on the environment that runs it alone, so that old and new run at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from greenlet import getcurrent

from handler.domain import canonical, claim, reading
from tests.simulation.world import MINUTE, SECOND, World


class Release(NamedTuple):
    """`stores_version`: whether its items say their version; those of the first release, without versions, do not.

    `corrects`: whether it knows *claim corrected* and `superseded`, or keeps every corrected message as a conflict.
    `gives_keys_up`: whether it knows *next key* and *refuse*, or has one key a payment for good, as the first release.
    `counts_writes`: whether its writes add one to the item's `version`, which the first release does not know.
    `has_workers`: whether it settles the groups of a batch at once, or its messages one after the other.
    `gives_back`: whether it knows refunds, or finds no payment in their messages.
    """

    name: str
    reads: tuple[int, ...]
    writes: int
    stores_version: bool = True
    corrects: bool = True
    gives_keys_up: bool = True
    counts_writes: bool = True
    has_workers: bool = True
    gives_back: bool = True

    def key(self, key: str) -> str:
        """The key that its code sends in a call where the newest sends `key`."""
        if self.gives_keys_up or key.count(":") != 4:
            return key
        environment, payment_id, _, call, _ = key.split(":")
        return f"{environment}:{payment_id}" + (":prepare" if call == "prepare" else "")


A = Release(
    "A",
    (1,),
    1,
    stores_version=False,
    corrects=False,
    gives_keys_up=False,
    counts_writes=False,
    has_workers=False,
    gives_back=False,
)
B = Release("B", (1, 2), 1)
C = Release("C", (1, 2), 2)

# Where each goes next: reading comes before writing, and rollbacks go anywhere, too far as well.
_NEXT = {A: (B, B, C), B: (C, C, A), C: (B, B, A)}


@dataclass(frozen=True)
class Deployment:
    """From `at` on the release gets its share of new environments, and `together` ms later all of them."""

    at: int
    release: Release
    together: int
    share: float


class Alias:
    """What new environments and executions are started from: one release, or for a while two."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.old = self.new = world.pick("releases/first", (A, B, B, C, C))
        self._latest: Deployment | None = None

    def plan(self, faulty_until: int) -> list[Deployment]:
        """None in some seeds, up to five in others, the first of them often just before the first payment."""
        world, release = self._world, self.new
        span = world.pick("releases/span", (1 * MINUTE, 2 * MINUTE, faulty_until))
        planned = []
        times = (
            int(world.draw(f"releases/{index}/at") * span) for index in range(world.between("releases/count", 0, 5))
        )
        early = world.draw("releases/early") < 0.4
        for index, at in enumerate(sorted(times)):
            release = world.pick(f"releases/{index}", _NEXT[release])
            together = world.pick(f"releases/{index}/together", (0, 20 * SECOND, 10 * MINUTE))
            planned.append(
                Deployment(
                    0 if early and index == 0 else at,
                    release,
                    together,
                    world.pick(f"releases/{index}/share", (0.1, 0.5)),
                )
            )
        return planned

    def begin(self, deployment: Deployment) -> None:
        self.old, self.new, self._latest = self.new, deployment.release, deployment
        self._world.tell(f"operator: release {self.new.name} gets {deployment.share:.0%} beside {self.old.name}")

    def finish(self, deployment: Deployment) -> None:
        """All of it from now on, unless another deployment has begun since, or the faults have stopped."""
        if deployment is self._latest:
            self._world.tell(f"operator: release {self.new.name} is all that is deployed")
            self.old = self.new

    def calm(self) -> None:
        """Before the end there is code again that knows all that was written."""
        if self.new == A:
            self.new = self._world.pick("releases/last", (B, C))
        self.old, self._latest = self.new, None
        self._world.tell(f"operator: release {self.new.name} stays")

    def restored(self) -> None:
        """After a restore of the table the newest code alone looks for what was lost."""
        self.old, self.new, self._latest = C, C, None
        self._world.tell(f"operator: release {self.new.name} is all that is started again")

    def has(self, release: Release) -> bool:
        return release in (self.old, self.new)

    def pick(self, name: str) -> Release:
        share = self._latest.share if self._latest is not None else 1.0
        return self.old if self._world.draw(f"release/{name}") >= share else self.new


class _Known(Mapping[int, canonical.Version]):
    """The versions that the code which asks knows: its release's in a simulated environment, else all."""

    def __init__(self, versions: Mapping[int, canonical.Version]) -> None:
        self._versions = versions

    def __getitem__(self, version: int) -> canonical.Version:
        release: Release | None = getattr(getcurrent(), "release", None)
        if release is not None and version not in release.reads:
            raise KeyError(version)
        return self._versions[version]

    def __iter__(self) -> Iterator[int]:
        release: Release | None = getattr(getcurrent(), "release", None)
        return (version for version in self._versions if release is None or version in release.reads)

    def __len__(self) -> int:
        return len(self._versions)


class _Corrections(int):
    """How many corrections the code that asks allows: none where its release does not know them."""

    def __gt__(self, made: int) -> bool:
        release: Release | None = getattr(getcurrent(), "release", None)
        return (release is None or release.corrects) and int(self) > int(made)


_is_refund = reading.is_refund


def _is_known_refund(document: dict[str, Any]) -> bool:
    release: Release | None = getattr(getcurrent(), "release", None)
    return (release is None or release.gives_back) and _is_refund(document)


reading.is_refund = _is_known_refund
claim.CORRECTIONS_MAX = _Corrections(claim.CORRECTIONS_MAX)  # type: ignore[misc]
canonical.VERSIONS = _Known(canonical.VERSIONS)  # type: ignore[misc]
