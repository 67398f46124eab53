"""The record of what was played: `record.json`, with the commit and machine of each part, and its bars.

The rule: a row is replaced by a newer one of the same name, and bars are counted from the rows that stand there.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Bar, machine
from local.installation import ROOT
from tests.faults.overload import ENVIRONMENT_MB_MAX

RECORD = Path(__file__).parent / "record.json"
# An invocation of the queue function may take so long (docs/protocol.md, "Times").
FUNCTION_SECONDS = 30.0


def commit() -> str:
    """The commit that is checked out, with a `+` where files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    return described.stdout.strip()


def read() -> dict[str, Any]:
    """The record as it stands; empty parts where there is none."""
    empty: dict[str, Any] = {"bars": [], "campaigns": [], "overload": {}, "curve": [], "memory": []}
    return empty | (json.loads(RECORD.read_text()) if RECORD.exists() else {})


def keep(**parts: Any) -> None:
    """Put these parts into the record, `campaigns` by seed, and count the bars anew."""
    record = read()
    campaigns = {row["seed"]: row for row in (*record["campaigns"], *parts.pop("campaigns", []))}
    record |= parts
    record["campaigns"] = [campaigns[seed] for seed in sorted(campaigns)]
    record["machine"] = machine()
    record["bars"] = [bar.as_document() for bar in bars(record)]
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def bars(record: Mapping[str, Any]) -> list[Bar]:
    """What was promised, and what the rows say."""
    found: list[Bar] = []
    campaigns: Sequence[Mapping[str, Any]] = record["campaigns"]
    if campaigns:
        found += [
            Bar("faults_failed_checks", _failed(campaigns), 0),
            Bar("faults_seeds", len(campaigns), 5, at_least=True),
            Bar("faults_payments_a_seed", min(row["payments"] for row in campaigns), 2000, at_least=True),
            Bar("faults_from_outside_a_seed", min(row["faults_from_outside"] for row in campaigns), 200, at_least=True),
        ]
    if record["overload"]:
        found += [
            Bar("overload_failed_checks", _failed([record["overload"]]), 0),
            Bar("overload_messages", record["overload"]["messages"], 10_000, at_least=True),
            Bar("overload_environment_peak_mb", record["overload"]["environment_peak_mb"], ENVIRONMENT_MB_MAX),
        ]
    if record["memory"]:
        rows = record["memory"]
        found += [
            Bar("memory_killed_at_128_mb", sum(row["killed"] for row in rows), 0),
            Bar("memory_peak_mb", max(row["peak_mb"] for row in rows), ENVIRONMENT_MB_MAX),
            Bar("memory_seconds_at_128_mb", max(row["seconds_at_128_mb"] for row in rows), FUNCTION_SECONDS),
        ]
    return found


def _failed(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(not passed for row in rows for passed in row["audit"].values())
