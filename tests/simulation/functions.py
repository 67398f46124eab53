"""What Lambda passes to every function beside its event, and metrics that nobody reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.simulation.world import Invocation


class Metrics:
    def add_metric(self, *_: Any) -> None:
        return

    def flush_metrics(self, **_: Any) -> None:
        return


@dataclass(frozen=True)
class Context:
    invocation: Invocation

    @property
    def aws_request_id(self) -> str:
        return self.invocation.name

    def get_remaining_time_in_millis(self) -> int:
        return self.invocation.remaining_ms()
