"""Which samples are taken: of every engine, package, support, memory size, and batches in groups at once and not.

The rule: what a package lacks is no row and says so in a sentence; it never runs as something else under that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

from benchmarks.coldstart.quota import fraction
from benchmarks.coldstart.sample import BATCH, Cell
from handler.settings import SETTINGS
from scoring._compiled import kernels_present

MEMORY_SIZES = (128, 256, 512, 1024, 1769, 3008)
# One chain a payment would flatter nobody: the nearest stand-in of Graviton's SHA2 instructions on x86.
HEADLINE_KERNEL = "shani-2"
# A whole processor: what one environment can do with its work there shows what it waits for.
FULL_SIZE = 1769

SUPPORTS = ("lean", "standard")
EMPTY, AGAIN = "empty", "empty again (A/A)"
USUAL = "what one would write"
TEN_AT_ONCE, ONE_GROUP, AHEAD = "ten groups at once", "one group", "one group, prepares ahead"
ONE_BY_ONE = "one by one"
WOKEN = "woken from its snapshot"

# Rough seconds of one sample, for the plan only; measured on two shared cores.
_SECONDS = {"empty": 0.15, "naive": 0.8, "pip": 0.7, "naive_no_pyc": 1.6, "usual": 1.2}
STRESS_SECONDS = {"compiled": 4.5, "pure": 10.5}
# Of a batch with waits: a payment's, and how many of them one after another.
_WAIT_SECONDS = 0.65


@dataclass(frozen=True)
class Plan:
    """How many samples of what. `init` and `stress` are samples a variant, `invocations` a variant and memory size;
    `batches` those whose gateway and table take their time.
    """

    init: int = 59
    stress: int = 11
    invocations: int = 11
    batches: int = 5
    memory_sizes: tuple[int, ...] = MEMORY_SIZES
    kernels: tuple[str, ...] = ()
    # What the function has; `shipped` asks the code.
    supports: tuple[str, ...] = SUPPORTS
    groups_at_once: bool = True
    prepares_ahead: bool = True
    # Lambda's second try of an init that took too long, at the smallest size: minutes, and otherwise computed.
    repeat_at_smallest: bool = True

    @property
    def headline_kernel(self) -> str:
        return HEADLINE_KERNEL if HEADLINE_KERNEL in self.kernels else ""

    @property
    def support(self) -> str:
        """The support of the rows that compare other things: the leanest there is."""
        return next(one for one in SUPPORTS if one in self.supports)

    @property
    def full_size(self) -> int:
        return min((size for size in self.memory_sizes if size >= FULL_SIZE), default=max(self.memory_sizes))

    @property
    def smallest(self) -> int:
        return min(self.memory_sizes)

    def lacking(self) -> list[str]:
        """A sentence for each kind of row that this function cannot have."""
        found = [
            f"rows of SUPPORT={one} are refused: this code has no such support"
            for one in SUPPORTS
            if one not in self.supports
        ]
        if not self.groups_at_once:
            found.append("rows of groups at once are refused: this code has no setting GROUP_CONCURRENCY")
        if not self.prepares_ahead:
            found.append("rows of prepares sent ahead are refused: this code has no setting PREPARE_AHEAD")
        return found

    def function(self, support: str, variant: str = "", **changed: object) -> Cell:
        """The shipped function; `variant` is what it does otherwise than by default."""
        name = f"{support}, {variant}" if variant else support
        cell = Cell(name, "compiled", "packaged", kernel=self.headline_kernel, support=support)
        if self.groups_at_once:
            cell = replace(cell, group_concurrency=BATCH)
        return replace(cell, **changed)  # type: ignore[arg-type]

    def cells(self) -> list[tuple[Cell, int]]:
        """Every cell with its number of samples."""
        return [*self._of_init(), *self._of_restores(), *self._of_stress(), *self._at_once(), *self._waiting()]

    def _of_init(self) -> Iterator[tuple[Cell, int]]:
        for variant in (EMPTY, AGAIN):
            yield Cell(variant, "pure", "empty", gateway=""), self.init
        for support in self.supports:
            yield self.function(support), self.init
        yield self.function(self.support, "pure engine", engine="pure", kernel=""), self.init
        yield Cell(USUAL, "compiled", "usual"), self.init
        # The SDK is in no package of the lean support: what packaging does is shown with the other.
        if "standard" in self.supports:
            # Their ratios are so large that fewer samples show them.
            for package, count in (("pip", self.init), ("naive", self.init), ("naive_no_pyc", min(self.init, 21))):
                yield replace(self.function("standard"), variant=package, package=package), count

    def _of_restores(self) -> Iterator[tuple[Cell, int]]:
        """What is left of init under SnapStart, and the first invocation, whose connections are all new."""
        count = min(self.init, 21)
        for support in self.supports:
            yield self.function(support, WOKEN, restored=True), count
        yield self.function(self.support, f"pure engine, {WOKEN}", engine="pure", kernel="", restored=True), count

    def _of_stress(self) -> Iterator[tuple[Cell, int]]:
        for support in self.supports:
            yield self.function(support, stress_mode="cold_start"), self.stress
        compiled = self.function(self.support, stress_mode="cold_start")
        pure = self.function(self.support, "pure engine", engine="pure", kernel="", stress_mode="cold_start")
        yield pure, self.stress
        if "avx512-16" in self.kernels:
            variant = f"{self.support}, AVX-512 (not on arm64)"
            yield replace(compiled, variant=variant, kernel="avx512-16"), self.stress
        # The second try of an init that takes too long, once at either end.
        for size in sorted({*([self.smallest] if self.repeat_at_smallest else []), max(self.memory_sizes)}):
            yield replace(pure, memory_size=size, repeated=True), 1

    def _at_once(self) -> Iterator[tuple[Cell, int]]:
        """Invocations whose gateway and table answer at once: what the function itself takes."""
        for size in self.memory_sizes:
            yield self.function(self.support, memory_size=size), self.invocations
            pure = self.function(self.support, "pure engine", engine="pure", kernel="", memory_size=size)
            yield pure, self.invocations
        for size in sorted({self.smallest, self.full_size}):
            for support in self.supports:
                if support != self.support:
                    yield self.function(support, memory_size=size), self.invocations
            yield Cell(USUAL, "compiled", "usual", memory_size=size), self.invocations
        if self.groups_at_once:
            ten = self.function(self.support, TEN_AT_ONCE, messages=BATCH, groups=BATCH)
            yield replace(ten, memory_size=self.smallest), self.invocations
        # What one read in init saves the first invocation: shown where it hurts most.
        no_read = self.function(self.support, "no read in init", package="no_read", memory_size=self.smallest)
        yield no_read, self.invocations
        if "standard" in self.supports:
            variant = "no read, the SDK's whole list of authorities"
            no_read = self.function("standard", variant, package="no_read_all_roots", memory_size=self.smallest)
            yield no_read, self.invocations

    def _waiting(self) -> Iterator[tuple[Cell, int]]:
        """Invocations whose gateway and table take their time: one payment, and batches of ten."""
        ten = {"messages": BATCH, "groups": BATCH, "waits": True}
        ends = sorted({self.smallest, self.full_size})
        yield self.function(self.support, "one payment", waits=True, memory_size=self.full_size), self.batches
        for size in self.memory_sizes:
            if self.groups_at_once:
                yield self.function(self.support, TEN_AT_ONCE, memory_size=size, **ten), self.batches
            if "standard" in self.supports:
                one_by_one = self.function("standard", ONE_BY_ONE, memory_size=size, **ten)
                yield replace(one_by_one, group_concurrency=int(self.groups_at_once)), min(self.batches, 3)
        for size in ends:
            yield Cell(USUAL, "compiled", "usual", memory_size=size, **ten), self.batches  # type: ignore[arg-type]
            one_group = self.function(self.support, ONE_GROUP, memory_size=size, **{**ten, "groups": 1})
            yield one_group, min(self.batches, 3)
            if self.prepares_ahead:
                variant = f"{self.support}, {AHEAD}"
                yield replace(one_group, variant=variant, prepares_ahead=True), min(self.batches, 3)

    def seconds(self) -> float:
        """Expected duration, builds left out."""
        return sum(expected_seconds(cell) * count for cell, count in self.cells())


def warm_invocations(cell: Cell) -> int:
    """How many follow the first: enough for a figure, few where each takes seconds."""
    if cell.waits:
        return 2
    return 5 if cell.memory_size else 1


def expected_seconds(cell: Cell) -> float:
    """Roughly what one sample of the cell takes."""
    if cell.repeated and cell.memory_size:
        return 3.0 + 9.0 / min(1.0, fraction(cell.memory_size))
    if cell.stress_mode != "none":
        return STRESS_SECONDS[cell.engine]
    share = min(1.0, fraction(cell.memory_size)) if cell.memory_size else 1.0
    throttled = 0.12 * cell.messages / share if cell.memory_size else 0.0
    waits = 0.0
    if cell.waits:
        one_after_another = cell.messages / max(1, min(cell.groups, cell.group_concurrency))
        waits = _WAIT_SECONDS * (1 + warm_invocations(cell)) * one_after_another / (1 + (cell.package == "usual"))
    return _SECONDS.get(cell.package, 0.6) + throttled + waits


def shipped(**changed: object) -> Plan:
    """A plan of all that this checkout's function has."""
    names = {setting.name for setting in SETTINGS}
    plan = Plan(
        kernels=tuple(kernels_present()),
        supports=tuple(one for one in SUPPORTS if find_spec(f"handler.adapters.support.{one}")),
        groups_at_once="GROUP_CONCURRENCY" in names,
        prepares_ahead="PREPARE_AHEAD" in names,
    )
    return replace(plan, **changed)  # type: ignore[arg-type]
