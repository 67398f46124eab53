"""The writes of operators and reconcile on parked payments; as those of every payment, for people and schedules."""

from __future__ import annotations

from handler.adapters.table.writes import WRITTEN, Write

ALLOW_RETRY = Write(
    "allow retry",
    condition=(
        "#status = :parked",
        # It was not retried and parked again since it was read.
        "#park_no = :seen",
    ),
    set=("#retry_no = :seen", "#retried_by = :retried_by", *WRITTEN),
)
RECORD_PARKED = Write(
    "record parked",
    condition=(
        # The first recorded outcome stands.
        "#status = :parked",
        # Nobody works on it, nor did since it was read.
        "#owner = :owner",
        "#attempt = :attempt",
    ),
    set=(
        "#status = :status",
        "#gateway_response = :gateway_response",
        "#processed_at = :processed_at",
        "#open_shard = :ended_shard",
        *WRITTEN,
    ),
    remove=("#request",),
)
CANCEL_PARKED = Write(
    "cancel parked",
    condition=(
        # Nobody works on it.
        "#status = :parked",
        # The gateway cannot charge it.
        "attribute_not_exists(#gateway_ref)",
    ),
    set=(
        "#status = :cancelled",
        "#reason_code = :cancelled",
        "#cancelled_by = :cancelled_by",
        "#cancel_reason = :cancel_reason",
        "#processed_at = :processed_at",
        "#open_shard = :ended_shard",
        *WRITTEN,
    ),
    remove=("#request",),
)
RECORD_CANCELLED = Write(
    "record cancelled",
    condition=(
        # Nobody works on it; who retried it finds at the gateway that it ended.
        "#status = :parked",
        # It is what the gateway cancelled.
        "#gateway_ref = :gateway_ref",
    ),
    set=(
        "#status = :cancelled",
        "#reason_code = :cancelled",
        "#gateway_response = :gateway_response",
        "#cancelled_by = :cancelled_by",
        "#cancel_reason = :cancel_reason",
        "#processed_at = :processed_at",
        "#open_shard = :ended_shard",
        *WRITTEN,
    ),
    remove=("#request",),
)

PARKING_WRITES = (ALLOW_RETRY, RECORD_PARKED, CANCEL_PARKED, RECORD_CANCELLED)
