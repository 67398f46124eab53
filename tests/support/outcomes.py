"""Made-up outcomes of policies on one avalanche, as the avalanche's record holds them."""

from __future__ import annotations

from typing import Any

from benchmarks.avalanche.policies import Policy

STORY = ["10,000 checkouts in 1,000 groups, sent all at once; seed 1.", "Durations: made up."]


def outcome(name: str, dollars: str, p99_s: float, *, refusal: str = "", **changed: Any) -> dict[str, Any]:
    """A policy and what it comes to; what of `changed` a policy has is the policy's, the rest the result's."""
    policy = dict(vars(Policy(name)))
    of_policy = {field: value for field, value in changed.items() if field in policy}
    result = {
        "accepted": 10_000,
        "completion_seconds": 300.0,
        "latency_p50_ms": 700.0,
        "latency_p99_ms": 1000 * p99_s,
        "oldest_message_seconds": 6.0,
        "cold_share": 0.01,
        "concurrency_max": 40,
        **dict.fromkeys(("throttles", "table_throttles", "parked", "dead_lettered", "unsettled"), 0),
        "dollars": {"total": dollars},
        "series": {
            "step_seconds": 100,
            "duration_p99_ms": [4000.0, None, 2000.0],
            "cold_share": [1.0, None, 0.0],
            "concurrency": [40, 30, 20],
            "message_age_seconds": [6.0, 2.0, 1.0],
        },
    }
    result |= {field: value for field, value in changed.items() if field not in policy}
    return {"policy": policy | of_policy, "refusal": refusal, "result": None if refusal else result}


def document(*outcomes: dict[str, Any]) -> dict[str, Any]:
    """Four policies of which the third is the best balance, and whatever else is given."""
    found = [
        outcome("as asked", "0.1000", 4.0),
        outcome("128 MB", "0.0700", 5.0, memory_size=128),
        outcome("10 provisioned", "0.0900", 2.0, provisioned_concurrency=10),
        outcome("100 provisioned", "0.1900", 1.9, provisioned_concurrency=100),
        outcome("SnapStart", "0", 0.0, refusal="SnapStart without a measured restore", snapstart=True),
    ]
    return {"seed": 1, "story": STORY, "outcomes": [*found, *outcomes]}
