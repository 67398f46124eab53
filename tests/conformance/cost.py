"""What a run of the proof costs at most, part by part, counted from its own plan.

The rule: prices are those of benchmarks/prices.json; what it has none for is named and not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

# A run takes some 90 minutes, most of it for what AWS takes to change, publish and alarm.
HOURS_MAX: Final = 3
_HOURS_A_MONTH: Final = 730
# A payment that is cold, with the init that is billed since August 2025; warm ones are less.
_INVOCATIONS_MAX, _SECONDS_MAX = 1_000, 2.0
# Of the mapping's long polls, some 15 a minute, and what the steps ask.
_SQS_REQUESTS_MAX: Final = 10_000
_TABLE_UNITS_MAX: Final = 20_000
_LOG_GB_MAX: Final = 0.1
_METRICS_OF_THE_HANDLER: Final = 12
NOT_COUNTED: Final = (
    "some thousand requests of S3, SNS, KMS, API Gateway, EventBridge, CloudWatch, CloudFormation and of durable "
    "executions, and SnapStart's cache of one version for three hours: a few cents together"
)


def parts(
    planned: Mapping[str, Any], memory_sizes: Sequence[int], prices: Mapping[str, Any]
) -> list[tuple[str, float]]:
    """What is paid for and at most how many USD. `planned` is Terraform's JSON of the first plan."""
    counts = Counter(each["type"] for each in planned["resource_changes"])
    architecture = planned["variables"]["architecture"]["value"]
    function, watched = prices["lambda"], prices["cloudwatch"]
    month = HOURS_MAX / _HOURS_A_MONTH
    gb = max(memory_sizes) / 1024
    # Two versions have it while a version comes, for half an hour at most.
    provisioned_gb_seconds = 2 * gb * 1800
    metrics = counts["aws_cloudwatch_log_metric_filter"] + _METRICS_OF_THE_HANDLER
    # And the customer's own for the table.
    keys = counts["aws_kms_key"] + 1
    return [
        (f"{keys} KMS keys", keys * prices["kms"]["key_month"] * month),
        (
            f"{counts['aws_cloudwatch_metric_alarm']} alarms",
            counts["aws_cloudwatch_metric_alarm"] * watched["alarm_month"] * month,
        ),
        (f"{metrics} metrics of our own", metrics * watched["custom_metric_month"] * month),
        ("a dashboard", counts["aws_cloudwatch_dashboard"] * watched["dashboard_month"] * month),
        (
            f"{_INVOCATIONS_MAX} invocations of {_SECONDS_MAX:g} s at {max(memory_sizes)} MB",
            _INVOCATIONS_MAX
            * (_SECONDS_MAX * gb * function["gb_second"][architecture] + function["requests_per_million"] / 1e6),
        ),
        (
            "provisioned concurrency of two versions for 30 minutes",
            provisioned_gb_seconds * function["provisioned_gb_second"][architecture],
        ),
        (
            f"{_SQS_REQUESTS_MAX} requests of SQS",
            _SQS_REQUESTS_MAX * prices["sqs"]["fifo_requests_per_million"] / 1e6,
        ),
        (
            f"{_TABLE_UNITS_MAX} units of DynamoDB",
            _TABLE_UNITS_MAX * prices["dynamodb"]["write_units_per_million"] / 1e6,
        ),
        (f"{_LOG_GB_MAX:g} GB of logs", _LOG_GB_MAX * watched["logs_gb"]),
    ]
