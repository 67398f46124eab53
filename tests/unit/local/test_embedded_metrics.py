"""Metrics out of log lines, and what is none."""

from __future__ import annotations

import json

import pytest

from local.embedded_metrics import metric_data


@pytest.mark.parametrize("timestamp", [10**30, -(10**30), float("nan"), "now", None])
def test_a_line_whose_time_is_none_has_no_metrics(timestamp: object) -> None:
    directive = {"Namespace": "n", "Dimensions": [[]], "Metrics": [{"Name": "m"}]}
    line = json.dumps({"_aws": {"Timestamp": timestamp, "CloudWatchMetrics": [directive]}, "m": 1})
    assert list(metric_data(line)) == []
