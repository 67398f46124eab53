"""What the system comes to at 10,000, 100,000 and 1,000,000 payments a minute: the figures of docs/scale.md.

One rule: the page's table is made from the newest committed record, and a test holds that it is; the story is a minute
of even traffic to a function without stress, ten customers' payments to a group.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from benchmarks.avalanche.parameters import Parameters, Traffic
from benchmarks.avalanche.policies import Policy, parameters
from benchmarks.avalanche.simulation import simulate
from benchmarks.measure import RECORDS

RECORD = "avalanche_scale.json"
# What Terraform gives a mapping where nobody says otherwise (terraform/variables.tf, maximum_concurrency).
MAPPING = 100
# What Stripe publishes for mode live (terraform/variables.tf, gateway_calls_per_second).
STRIPE_CALLS = 100.0
CUSTOMERS_A_GROUP = 10


@dataclass(frozen=True)
class Step:
    """A rate and what is changed for it. `groups` 0 is one for ten customers; `pollers` take the maximum's place."""

    payments: int
    name: str
    maximum_concurrency: int = MAPPING
    account_concurrency: int = 1_000
    groups: int = 0
    pollers: tuple[int, int] | None = None
    group_concurrency: int = 10
    gateway_calls: float = 0.0
    table_peak: float = 0.0
    table_quota: int = 40_000

    def parameters(self, lab: dict[str, Any]) -> Parameters:
        """For the simulator, with the durations of a record of the lab."""
        groups = self.groups or self.payments // CUSTOMERS_A_GROUP
        policy = Policy(
            self.name,
            stress_mode="none",
            pollers=self.pollers,
            group_concurrency=self.group_concurrency,
            account_concurrency=self.account_concurrency,
        )
        found = parameters(policy, Traffic(self.payments, groups, burst_seconds=60.0), lab)
        most = None if self.pollers else self.maximum_concurrency
        return replace(
            found,
            mapping=replace(found.mapping, maximum_concurrency=most),
            gateway=replace(found.gateway, calls_per_second=self.gateway_calls),
            table=replace(found.table, peak_write_units=self.table_peak),
            quotas=replace(found.quotas, table_write_units=self.table_quota),
        )


STEPS = (
    Step(10_000, "as Terraform makes it"),
    Step(10_000, "10 groups", groups=10),
    Step(10_000, "a gateway of 100 calls a second", gateway_calls=STRIPE_CALLS),
    Step(10_000, "12 at once, Terraform's for 400 calls a second", maximum_concurrency=12, gateway_calls=400.0),
    Step(10_000, "60 at once, 3 groups each", maximum_concurrency=60, group_concurrency=3, gateway_calls=600.0),
    Step(100_000, "as Terraform makes it"),
    Step(100_000, "900 at once", maximum_concurrency=900),
    Step(100_000, "50 to 100 pollers, table warmed", pollers=(50, 100), account_concurrency=3_000, table_peak=3_000),
    Step(
        100_000,
        "50 to 75 pollers, 2 groups each, table warmed",
        pollers=(50, 75),
        group_concurrency=2,
        gateway_calls=5_000.0,
        table_peak=3_000,
    ),
    Step(1_000_000, "as Terraform makes it"),
    Step(
        1_000_000,
        "1,000 at once, table warmed",
        maximum_concurrency=1_000,
        account_concurrency=2_000,
        table_peak=20_000,
    ),
    Step(1_000_000, "200 to 500 pollers", pollers=(200, 500), account_concurrency=6_000, table_peak=20_000),
    Step(
        1_000_000,
        "the same, table of 60,000 units",
        pollers=(200, 500),
        account_concurrency=6_000,
        table_peak=30_000,
        table_quota=60_000,
    ),
    Step(
        1_000_000,
        "200 to 500 pollers, 2 groups each, table warmed",
        pollers=(200, 500),
        account_concurrency=6_000,
        group_concurrency=2,
        gateway_calls=33_334.0,
        table_peak=20_000,
    ),
)

_FIGURES = ("completion_seconds", "latency_p50_ms", "latency_p99_ms", "oldest_message_seconds", "concurrency_max")
_COUNTS = ("throttles", "table_throttles", "gateway_throttles", "parked", "dead_lettered", "unsettled")


def measure(lab: dict[str, Any], seed: int, steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """One row a step."""
    for step in steps:
        result = simulate(step.parameters(lab), seed)
        figures = {name: getattr(result, name) for name in (*_FIGURES, *_COUNTS)}
        yield {**vars(step), **figures, "dollars": str(result.dollars["total"])}


def newest() -> dict[str, Any]:
    """The newest committed record."""
    found = [json.loads(path.read_text()) for path in RECORDS.glob(f"*/{RECORD}")]
    return max(found, key=lambda record: str(record["at"]))


_HEAD = (
    "payments a minute | what | done after, s | p50, s | p99, s | oldest, s | at once | throttles | table throttles "
    "| gateway's 429 | USD"
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [f"| {_HEAD} |", "|" + "---|---|" + "--:|" * 9]
    for row in rows:
        shown = (
            f"{row['payments']:,}",
            row["name"],
            f"{row['completion_seconds']:,.0f}",
            *[f"{row[name] / 1000:,.1f}" for name in ("latency_p50_ms", "latency_p99_ms")],
            f"{row['oldest_message_seconds']:,.0f}",
            *[f"{row[name]:,}" for name in ("concurrency_max", "throttles", "table_throttles", "gateway_throttles")],
            f"{Decimal(row['dollars']):.2f}",
        )
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)
