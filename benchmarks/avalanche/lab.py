"""Durations of the function from a record of the cold-start lab: what the simulated environments take.

One rule: only what a record measured of the packaged function is taken, and what it did not is refused by name; what is
computed from it says so in `Invocations.label`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.avalanche.distributions import Constant, Distribution, Samples
from benchmarks.avalanche.parameters import (
    ImpossibleParametersError,
    Invocations,
    Quotas,
    memory_size_rules,
)
from benchmarks.coldstart.plan import HEADLINE_KERNEL
from benchmarks.coldstart.quota import fraction
from benchmarks.coldstart.sample import Sample
from benchmarks.coldstart.sampling import INIT_SECONDS_MAX
from benchmarks.measure import RECORDS

RESTORES = Path(__file__).with_name("restores.json")
# The wait in init under stress, which no quota stretches.
_STRESS_MS = 3000.0


def newest_record(records: Path = RECORDS) -> dict[str, Any]:
    """The lab's newest record. Raises ImpossibleParametersError where there is none."""
    found = [read_record(path) for path in records.glob("*/coldstart.json")]
    if not found:
        raise ImpossibleParametersError(f"{records} has no record of the cold-start lab: make benchmark")
    return max(found, key=lambda record: str(record["at"]))


def read_record(path: Path) -> dict[str, Any]:
    """One record, whose samples have numbers alone for figures. Raises ImpossibleParametersError for what is none."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        if not record["samples"] or not record["at"]:
            raise ValueError("it has no samples")
        for document in record["samples"]:
            _check_figures(Sample.read(document))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImpossibleParametersError(f"{path} is no record of the cold-start lab: {error!r}") from error
    return record


def _check_figures(sample: Sample) -> None:
    """Raises TypeError for a figure that is no number; those that cannot be are the parameters' to refuse."""
    cell = sample.cell
    perhaps = (sample.first_invocation_ms, sample.first_invocation_cpu_ms, cell.memory_size)
    figures = [sample.init_ms, sample.init_cpu_ms, *sample.warm_ms, *sample.warm_cpu_ms, cell.messages]
    for figure in (*figures, *(one for one in perhaps if one is not None)):
        if not isinstance(figure, int | float):
            raise TypeError(f"{figure!r} is no number")


def invocations_of(
    record: dict[str, Any], *, engine: str, memory_size: int, support: str = "", stress_mode: str = "none"
) -> Invocations:
    """Init and invocations of the packaged function; no `support` takes the record's own.

    Init is pooled over memory sizes, as Lambda does not throttle it; its repeat under the quota is its CPU time divided
    by the share, plus the wait under stress. Invocations were measured under the quota of `memory_size`, else they are
    computed likewise. A further message of a batch takes what batches of ten took more, else as long as the first.
    Raises ImpossibleParametersError where the record has no such function.
    """
    packaged = [one for one in _packaged(record) if not one.cell.restored]
    support = support or record.get("support", "")
    mine = [one for one in packaged if _is(one, engine, support)]
    if not mine:
        has = sorted({f"{one.cell.engine} {one.cell.support}".strip() for one in packaged})
        wanted = f"{engine} {support}".strip()
        raise ImpossibleParametersError(f"the record of {record['at']} is of another engine: {has}, not {wanted}")
    inits = [one for one in mine if one.cell.memory_size is None and one.cell.stress_mode == stress_mode]
    if not inits:
        raise ImpossibleParametersError(f"the record of {record['at']} has no init with STRESS_MODE={stress_mode}")
    share = _share(memory_size)
    plain = [one for one in mine if one.cell.stress_mode == "none" and not one.cell.waits]
    ones = [one for one in plain if one.cell.messages == 1]
    measured = [one for one in ones if one.cell.memory_size == memory_size]
    if measured:
        first = [one.first_invocation_ms for one in measured if one.first_invocation_ms is not None]
        warm = [ms for one in measured for ms in one.warm_ms]
    else:
        first = [one.first_invocation_cpu_ms / share for one in ones if one.first_invocation_cpu_ms is not None]
        warm = [ms / share for one in ones for ms in one.warm_cpu_ms]
    message, batches = _message(plain, warm, share)
    parts = [
        f"record of {record['at']}",
        f"{engine} {support}".strip(),
        f"{memory_size} MB",
        f"invocations {'measured' if measured else 'computed from CPU time'}",
        f"further messages {'computed from batches' if batches else 'as the first'}",
    ]
    return Invocations(
        Samples(tuple(_init_ms(one) for one in inits)),
        _throttled(inits, mine, share, _STRESS_MS if stress_mode == "cold_start" else 0.0),
        Samples(tuple(first)),
        Samples(tuple(warm)),
        message,
        ", ".join(parts),
    )


@dataclass(frozen=True)
class Restores:
    """SnapStart: restores until the first event, `own_ms` of them the function's own, and first invocations after."""

    restore_ms: Samples
    own_ms: float
    first_ms: Samples
    label: str


def restores_of(
    record: dict[str, Any], *, engine: str, memory_size: int, support: str = "", given_ms: tuple[float, ...] = ()
) -> Restores:
    """What AWS took for the snapshots of another function (`restores.json`), and then what ours does, from a record.

    `given_ms` are whole restores that somebody measured instead. First invocations are computed from their CPU time.
    Raises ImpossibleParametersError where the record has no such function under SnapStart.
    """
    support = support or record.get("support", "")
    mine = [one for one in _packaged(record) if one.cell.restored and _is(one, engine, support)]
    if not mine:
        wanted = f"{engine} {support}".strip()
        raise ImpossibleParametersError(f"the record of {record['at']} has no restore of {wanted}: make benchmark")
    published = json.loads(RESTORES.read_text())
    snapshots = [whole - own for whole, own in published["restores"]]
    share = _share(memory_size)
    source = (
        f"{len(given_ms)} as given"
        if given_ms
        else f"{len(snapshots)} snapshots of {published['of']} ({published['source']}, {published['taken']})"
    )
    return Restores(
        Samples(given_ms or tuple(round(part + one.init_ms, 3) for part in snapshots for one in mine)),
        statistics.median(one.init_ms for one in mine),
        Samples(tuple(one.first_invocation_cpu_ms / share for one in mine if one.first_invocation_cpu_ms is not None)),
        f"restores: {source}; what this function does after its own, measured {len(mine)} times, its first invocation "
        "computed from CPU time",
    )


def _packaged(record: dict[str, Any]) -> list[Sample]:
    samples = (Sample.read(document) for document in record["samples"])
    return [one for one in samples if one.cell.package == "packaged" and not one.error]


def _is(sample: Sample, engine: str, support: str) -> bool:
    cell = sample.cell
    same = (cell.engine, cell.support) == (engine, support) and not cell.prepares_ahead
    return same and cell.kernel in ("", HEADLINE_KERNEL)


def _share(memory_size: int) -> float:
    """Of a processor. Raises ImpossibleParametersError for what Lambda does not offer."""
    broken = list(memory_size_rules(memory_size, Quotas()))
    if broken:
        raise ImpossibleParametersError(broken[0])
    return min(1.0, fraction(memory_size))


def _init_ms(sample: Sample) -> float:
    """One that was cut off at the limit took longer."""
    return INIT_SECONDS_MAX * 1000 + 1 if sample.init_timed_out else sample.init_ms


def _throttled(inits: Sequence[Sample], mine: Iterable[Sample], share: float, slept: float) -> Distribution:
    whole = [one.init_cpu_ms for one in inits if not one.init_timed_out]
    if not whole:
        # None ended within the limit: what its measured repeat took of the processor, at the largest memory size.
        repeats = [one for one in mine if one.cell.repeated and one.cell.stress_mode == inits[0].cell.stress_mode]
        whole = [one.init_cpu_ms for one in sorted(repeats, key=lambda one: -(one.cell.memory_size or 0))[:1]]
    if not whole:
        raise ImpossibleParametersError("no init of the record ended within the limit, and none was repeated")
    return Constant(statistics.median(whole) / share + slept)


def _message(plain: Iterable[Sample], warm: Sequence[float], share: float) -> tuple[Distribution, bool]:
    """What each further message of a batch takes, and whether batches say so."""
    of_one: list[float] = []
    of_batch: list[tuple[float, int]] = []
    for one in plain:
        if one.cell.messages == 1:
            of_one += one.warm_cpu_ms
        elif one.cell.messages == one.cell.groups:
            of_batch += [(cpu, one.cell.messages - 1) for cpu in one.warm_cpu_ms]
    if not of_batch or not of_one:
        return Samples(tuple(warm)), False
    first = statistics.median(of_one)
    return Constant(max(0.0, statistics.median((cpu - first) / more for cpu, more in of_batch)) / share), True
