"""What Lambda's own report says of one invocation, as a line of text or as JSON.

The rule: what a line does not say is None, never zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """One invocation as Lambda reports it; times in ms, memory in MB, None where the line has no such part.

    `restore_ms` stands where a SnapStart environment was restored; `init_status` where an init timed out or failed, and
    `init_ms` is then what that init took.
    """

    duration_ms: float
    billed_ms: float
    memory_size: int
    max_memory_mb: int
    init_ms: float | None = None
    restore_ms: float | None = None
    init_status: str = ""


def parse_report(log: str) -> Report:
    """Read the report out of a log tail, in text or in JSON. Raises ValueError where there is none.

    Source: "Logging Lambda function invocations" and "Lambda Telemetry API event schema reference" in AWS's guide.
    """
    restored = re.search(r"RESTORE_REPORT Restore Duration: ([\d.]+) ms", log)
    failed = re.search(r"INIT_REPORT Init Duration: ([\d.]+) ms\s+Phase: (?:init|invoke)\s+Status: (\w+)", log)
    init_status = failed[2] if failed else ""
    failed_ms = float(failed[1]) if failed else None
    if line := re.search(r"^REPORT RequestId: .*$", log, re.MULTILINE):
        figures = {
            name: _figure(line[0], name)
            for name in ("Billed Duration", "Memory Size", "Max Memory Used", "Init Duration", "Restore Duration")
        }
        duration = re.search(r"(?<!Billed )(?<!Init )(?<!Restore )Duration: ([\d.]+) ms", line[0])
        if duration is None or None in (figures["Billed Duration"], figures["Memory Size"], figures["Max Memory Used"]):
            raise ValueError(f"not a REPORT line of Lambda's: {line[0]!r}")
        restore_ms = figures["Restore Duration"] or (float(restored[1]) if restored else None)
        return Report(
            float(duration[1]),
            figures["Billed Duration"] or 0.0,
            int(figures["Memory Size"] or 0),
            int(figures["Max Memory Used"] or 0),
            figures["Init Duration"] or failed_ms,
            restore_ms,
            init_status,
        )
    return _json_report(log)


def _figure(line: str, name: str) -> float | None:
    found = re.search(rf"(?:^|\t|\s){name}: ([\d.]+) (?:ms|MB)", line)
    return float(found[1]) if found else None


def _json_report(log: str) -> Report:
    events = list(_json_lines(log))
    init_status, failed_ms, restore_ms = "", None, None
    for event in events:
        if event.get("type") == "platform.initReport" and _part(event, "record").get("status") not in (None, "success"):
            init_status, failed_ms = str(event["record"]["status"]), _metric(event, "durationMs")
        if event.get("type") == "platform.restoreReport":
            restore_ms = _metric(event, "durationMs")
    for event in events:
        if event.get("type") == "platform.report":
            metrics = _part(_part(event, "record"), "metrics")
            return Report(
                _metric(event, "durationMs"),
                _metric(event, "billedDurationMs"),
                int(_metric(event, "memorySizeMB")),
                int(_metric(event, "maxMemoryUsedMB")),
                _metric(event, "initDurationMs") if "initDurationMs" in metrics else failed_ms,
                _metric(event, "restoreDurationMs") if "restoreDurationMs" in metrics else restore_ms,
                init_status,
            )
    raise ValueError("no REPORT line and no platform.report in the log tail: is its log level at least INFO?")


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _metric(event: dict[str, Any], name: str) -> float:
    """A metric of a platform event. Raises ValueError where it is not there: an init that failed may have none."""
    value = _part(_part(event, "record"), "metrics").get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the {event['type']} has no {name}: {json.dumps(event)[:300]}")
    return value


def _json_lines(log: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        if line.startswith("{"):
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if isinstance(document, dict):
                yield document
