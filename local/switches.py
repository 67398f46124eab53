"""What `payments stop | start` switches: the mappings of queues, as Lambda tells them, and reconcile's schedule, as
EventBridge Scheduler does.

The rule: what is told to be off has begun nothing since.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from local.approvals.schedule import Schedule
from local.event_source_mapping import EventSourceMapping
from local.ministack import ACCOUNT, REGION
from local.resources import ALIAS

_MAPPINGS = re.compile(r"/2015-03-31/event-source-mappings/?([^/]*)")
_SCHEDULES = re.compile(r"/schedules/([^/]+)")
# A status and an answer.
Answer = tuple[int, dict[str, Any]]


class Switches:
    """Answers for our mappings and our schedule alone; whatever else is asked is the services'."""

    def __init__(self, mappings: Mapping[str, EventSourceMapping], schedule_name: str, schedule: Schedule) -> None:
        """`mappings` by the function whose alias `live` each feeds."""
        self._mappings = {str(uuid.uuid4()): each for each in mappings.items()}
        self._schedule_name = schedule_name
        self._schedule = schedule

    def answer(self, method: str, path: str, query: str, content: bytes) -> Answer | None:
        """None for what is not ours."""
        if found := _MAPPINGS.fullmatch(path):
            return self._of_mapping(method, found[1], query, content)
        if (found := _SCHEDULES.fullmatch(path)) and unquote(found[1]) == self._schedule_name:
            return self._of_schedule(method, content)
        return None

    def _of_mapping(self, method: str, name: str, query: str, content: bytes) -> Answer | None:
        if not name and method == "GET":
            (asked,) = parse_qs(query).get("FunctionName", [""])[:1]
            behind = asked.rpartition(":function:")[2] or asked
            ours = [one for one, (function, _) in self._mappings.items() if behind == f"{function}:{ALIAS}"]
            return (200, {"EventSourceMappings": [self._told(one) for one in ours]}) if ours else None
        if name not in self._mappings or method not in ("GET", "PUT"):
            return None
        if method == "PUT":
            asked = json.loads(content or b"{}")
            if "Enabled" in asked:
                self._mappings[name][1].switch(on=bool(asked["Enabled"]))
        return (202 if method == "PUT" else 200), self._told(name)

    def _told(self, name: str) -> dict[str, Any]:
        function, mapping = self._mappings[name]
        return {
            "UUID": name,
            "EventSourceArn": mapping.queue_arn,
            "FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}:{ALIAS}",
            "BatchSize": mapping.batch_size,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": mapping.concurrency},
            "State": mapping.state,
            "StateTransitionReason": "USER_INITIATED",
        }

    def _of_schedule(self, method: str, content: bytes) -> Answer | None:
        if method == "PUT":
            self._schedule.switch(on=json.loads(content).get("State", "ENABLED") == "ENABLED")
        elif method != "GET":
            return None
        arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{self._schedule_name}"
        target = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self._schedule_name}:{ALIAS}"
        if method == "PUT":
            return 200, {"ScheduleArn": arn}
        return 200, {
            "Arn": arn,
            "Name": self._schedule_name,
            "GroupName": "default",
            "ScheduleExpression": f"rate({max(1, round(self._schedule.seconds / 60))} minutes)",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED" if self._schedule.is_on else "DISABLED",
            "Target": {"Arn": target, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/scheduler"},
        }
