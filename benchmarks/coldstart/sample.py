"""What one sample runs, what it says, and the events that its invocations are drawn from.

The rule: a sample without its proof is an error that says why, and in no figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# A batch of the queue has at most ten messages.
BATCH = 10
# The bodies of one event's messages.
Event = tuple[str, ...]


class LabError(Exception):
    """The lab cannot measure here; the message says what is in the way."""


@dataclass(frozen=True)
class Cell:
    """What one sample runs. `memory_size` is None for an init alone, which Lambda does not throttle.

    `support` and `group_concurrency` are the function's settings of these names, empty and 0 for what has none.
    An invocation has `messages` messages in as many `groups`; with `waits` the table and the gateway take their time.
    `repeated` measures Lambda's second try of an init that took longer than 10 s: under the quota from the start.
    `restored` runs under SnapStart: its init is what the function does from its snapshot on until it takes an event,
    without what Lambda takes to restore the snapshot.
    """

    variant: str
    engine: str
    package: str
    stress_mode: str = "none"
    kernel: str = ""
    memory_size: int | None = None
    repeated: bool = False
    restored: bool = False
    gateway: str = "stripe"
    support: str = ""
    group_concurrency: int = 0
    prepares_ahead: bool = False
    messages: int = 1
    groups: int = 1
    waits: bool = False


@dataclass
class Sample:
    """Figures of one process; times in ms, memory in MB; `error` says why there are none."""

    cell: Cell
    init_cpu_ms: float = 0.0
    init_ms: float = 0.0
    init_timed_out: bool = False
    first_invocation_ms: float | None = None
    first_invocation_cpu_ms: float | None = None
    warm_ms: list[float] = field(default_factory=list)
    warm_cpu_ms: list[float] = field(default_factory=list)
    max_rss_mb: float = 0.0
    harness_cpu_ms: float = 0.0
    scoring: dict[str, Any] = field(default_factory=dict)
    captures: int = 0
    error: str = ""
    round: int = 0

    def as_document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Sample:
        """What `as_document` made; records of before lack fields, which have their defaults."""
        return cls(Cell(**document["cell"]), **{name: value for name, value in document.items() if name != "cell"})


def read_event(text: str) -> tuple[Event, float]:
    """`FILE` or `FILE=WEIGHT`: one message or a queue batch, as in `events/`. Raises LabError with what is wrong."""
    name, _, weight = text.partition("=")
    try:
        document = json.loads(Path(name).read_text())
        bodies = [record["body"] for record in document["Records"]] if "Records" in document else [json.dumps(document)]
        for body in bodies:
            str(json.loads(body)["payment_id"])
        share = float(weight or 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"{text}: {error!r}; an event is FILE or FILE=WEIGHT, like those in events/") from error
    if not bodies or not share > 0:
        raise LabError(f"{text}: an event needs a message, and its weight must be above 0")
    return tuple(bodies), share


def read_journal(journal: Path) -> Iterable[Sample]:
    """The samples of an interrupted run; the last line of one that was killed while it wrote is left out."""
    for line in journal.read_text().splitlines() if journal.exists() else ():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        yield Sample.read(document)
