"""What a run tells when it is over: its figures, what became of the messages, and the audit with its evidence.

The rule: it judges nothing.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.evidence import Evidence
from local.system import LocalSystem

_EVIDENCE_LINES_MAX = 5


@dataclass(frozen=True)
class Result:
    """A finished run: the JSON's figures, the sentences against each check, and what the report shows besides."""

    figures: dict[str, Any]
    problems: dict[str, list[str]]
    evidence: Evidence
    warm_invocations: int
    directory: Path


def figures(evidence: Evidence, system: LocalSystem, seconds: float) -> dict[str, Any]:
    """What the JSON holds; latency from sending to the settled state, by the clock of this machine."""
    settled_ms = {item.get("message_id"): int(item["updated_at"]) for item in evidence.items}
    # What comes after a charge is written to its item, too: what was told first is when it was settled.
    settled_ms |= {event.get("message_id"): event["updated_at"] for event in (evidence.events or [])[::-1]}
    settled_ms |= {copy["original_message_id"]: copy["sent_ms"] for copy in evidence.rejected}
    latencies = sorted(
        settled_ms[sent.message_id] - sent.sent_ms for sent in evidence.accepted if sent.message_id in settled_ms
    )
    return {
        "sent": len(evidence.sent),
        "final": dict(sorted(Counter(item["status"] for item in evidence.payments.values()).items())),
        "rejected_queue": len({copy["original_message_id"] for copy in evidence.rejected}),
        "dead_lettered": len(evidence.dead_lettered),
        "duplicates": len(evidence.duplicates) + len(evidence.dropped),
        "conflicts": len(evidence.conflicts),
        "charges": len(evidence.captures),
        "refunds": dict(sorted(Counter(refund["status"] for refund in evidence.refunds.values()).items())),
        "gateway_events": len([each for each in evidence.gateway_events if each["sending"]]),
        "cold_starts": invocations(evidence, system)[0],
        "latency_ms": {"p50": _quantile(latencies, 0.50), "p95": _quantile(latencies, 0.95)},
        "payments_per_second": round(len(evidence.sent) / seconds, 1),
        "audit": {},
        "engine": _engine(evidence),
    }


def invocations(evidence: Evidence, system: LocalSystem) -> tuple[int, int]:
    """Cold and warm ones; of somebody else's workers, as their own metrics tell it."""
    if evidence.deliveries is not None:
        cold = len([outcome for outcome in system.outcomes if outcome.cold_start])
        return cold, len(system.outcomes) - cold
    lines = evidence.logs.get(f"/aws/lambda/{system.names.function}", "").splitlines()
    starts = [json.loads(line)["ColdStart"] for line in lines if line.startswith("{") and '"ColdStart":[' in line]
    return starts.count([1.0]), starts.count([0.0])


def _quantile(values: Sequence[int], share: float) -> int | None:
    """Nearest rank."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _engine(evidence: Evidence) -> str:
    """The engine that the environments said they use."""
    for text in evidence.logs.values():
        for line in text.splitlines():
            if line.startswith("{") and '"ready"' in line:
                return str(json.loads(line).get("scoring", {}).get("engine", "unknown"))
    return "unknown"


def report(console: Console, result: Result) -> None:
    evidence = result.evidence
    table = Table(title="What became of the messages", show_header=False, title_justify="left")
    rows = [("sent", result.figures["sent"])]
    settled = result.figures["final"].items()
    rows += [("parked" if status == "parked" else f"final: {status}", count) for status, count in settled]
    rows += [
        ("conflicts, kept as items of their own", result.figures["conflicts"]),
        ("rejected queue", result.figures["rejected_queue"]),
        ("dead-letter queue", result.figures["dead_lettered"]),
        ("duplicates dropped by the queue", len(evidence.dropped)),
        ("duplicates recognised by the function", len(evidence.duplicates)),
        ("charges at the gateway", result.figures["charges"]),
        *((f"refunds: {status}", count) for status, count in result.figures["refunds"].items()),
        ("events of the gateway", result.figures["gateway_events"]),
        ("invocations, cold", result.figures["cold_starts"]),
        ("invocations, warm", result.warm_invocations),
        ("deliveries returned or lost", sum(len(each.failed) for each in evidence.deliveries or [])),
        ("latency p50, ms", result.figures["latency_ms"]["p50"]),
        ("latency p95, ms", result.figures["latency_ms"]["p95"]),
        ("messages a second", result.figures["payments_per_second"]),
        ("scoring engine", result.figures["engine"]),
    ]
    for name, value in rows:
        table.add_row(name, str(value))
    console.print(table)
    if evidence.struck:
        struck = ", ".join(f"{fault} {times}" for fault, times in sorted(evidence.struck.items()))
        console.print(f"Faults that struck: {struck}", highlight=False)
    tell_audit(console, result.problems, result.directory)


def tell_audit(console: Console, problems: Mapping[str, Sequence[str]], directory: Path) -> None:
    """Each check with the first sentences against it; `directory` is where the rest of a run's evidence lies."""
    for name, sentences in problems.items():
        console.print(f"audit {'FAILED' if sentences else 'passed'}  {name}", highlight=False, markup=False)
        for sentence in sentences[:_EVIDENCE_LINES_MAX]:
            console.print(f"        {sentence}", highlight=False, markup=False)
        if len(sentences) > _EVIDENCE_LINES_MAX:
            console.print(f"        and {len(sentences) - _EVIDENCE_LINES_MAX} more", highlight=False)
    failed = sum(bool(sentences) for sentences in problems.values())
    if failed:
        console.print(
            f"{failed} of {len(problems)} checks failed; logs, gateway.sqlite and the rest are in {shown(directory)}",
            highlight=False,
        )
    else:
        console.print(f"all {len(problems)} checks passed", highlight=False)


def shown(directory: Path) -> Path:
    """As a person at this working directory would write it."""
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
