"""The writes of a payment that waits for a person; as those of every payment, for its workflow alone."""

from __future__ import annotations

from handler.adapters.table.writes import WRITTEN, Write

ADOPT = Write(
    "adopt approval",
    condition=(
        "#status = :pending",
        # An execution of an earlier generation was given up, and may not come back.
        "#approval_name = :name",
        # It is the payment that this execution was started for.
        "#request_hash = :request_hash",
        # One execution a generation, which may adopt again after a crash.
        "(attribute_not_exists(#execution_arn) OR #execution_arn = :arn)",
    ),
    set=(
        "#execution_arn = :arn",
        # What people were told stands, however often and however late this write is repeated.
        "#approval_expires_at = if_not_exists(#approval_expires_at, :expires_at)",
        "#approval_reasons = :reasons",
        "#risk = :risk",
        "#fraud_score = :fraud_score",
        "#risk_reasons = :risk_reasons",
        "#shown = :shown",
        *WRITTEN,
    ),
)
ASK = Write(
    "ask for approval",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        # Who decided was asked before: no second question, no second notification.
        "attribute_not_exists(#decision)",
    ),
    set=("#callback_id = :callback_id", *WRITTEN),
)
DECIDE = Write(
    "decide approval",
    condition=(
        "#status = :pending",
        # The first decision stands.
        "attribute_not_exists(#decision)",
        "#approval_expires_at > :now",
        # The question that was asked is the one that is open now.
        "#callback_id = :callback_id",
        # What was shown to the approver is what will be charged.
        "#request_hash = :request_hash",
    ),
    set=(
        "#decision = :decision",
        "#decided_by = :decided_by",
        "#decided_at = :now",
        "#comment = :comment",
        *WRITTEN,
    ),
)
EXPIRE = Write(
    "expire approval",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        # A decision in the last moment is obeyed.
        "attribute_not_exists(#decision)",
    ),
    set=("#status = :expired", "#processed_at = :processed_at", "#open_shard = :ended_shard", *WRITTEN),
    remove=("#request",),
)
REJECT = Write(
    "reject approval",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        "#decision = :reject",
    ),
    set=(
        "#status = :rejected",
        "#reason_code = :approval_rejected",
        "#processed_at = :processed_at",
        "#open_shard = :ended_shard",
        *WRITTEN,
    ),
    remove=("#request",),
)
BEGIN_CHARGE = Write(
    "begin approved charge",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        "#decision = :approve",
        # What was approved is what is charged, whoever changed the item or the input in between.
        "#request_hash = :request_hash",
        "#amount_minor = :amount_minor",
    ),
    set=(
        "#status = :processing",
        "#owner = :arn",
        "#attempt = :next",
        "#open_shard = :open_shard",
        *WRITTEN,
    ),
)
EXPIRE_OVERDUE = Write(
    "expire overdue approval",
    condition=(
        "#status = :pending",
        # Its own execution had ten minutes to do this.
        "#approval_expires_at < :overdue",
        "attribute_not_exists(#decision)",
    ),
    set=("#status = :expired", "#processed_at = :processed_at", "#open_shard = :ended_shard", *WRITTEN),
    remove=("#request",),
)
RESTART = Write(
    "restart approval",
    condition=(
        "#status = :pending",
        # Nobody else restarted it since we looked. A decision may stand: the new execution obeys it.
        "#generation = :generation",
        # Nor did an execution adopt it: the one that is given up is the one that was seen to be closed, or none.
        "(attribute_not_exists(#execution_arn) OR #execution_arn = :closed)",
    ),
    set=("#generation = :next", "#approval_name = :name", *WRITTEN),
    # The new execution asks anew, and people have their whole time again.
    remove=("#execution_arn", "#callback_id", "#approval_expires_at"),
)
RESTART_CHARGE = Write(
    "restart charge",
    # Reconcile holds the payment, so that no execution does, and has asked what became of its reference.
    condition=("#status = :processing", "#owner = :owner", "#attempt = :attempt"),
    set=(
        "#status = :pending",
        "#generation = :next",
        "#approval_name = :name",
        "#open_shard = :open_shard",
        *WRITTEN,
    ),
    remove=("#lease_until", "#execution_arn", "#callback_id", "#approval_expires_at"),
)
RECORD_FOUND = Write(
    "record found",
    condition=(
        # It still waits, or is parked: the first recorded outcome stands.
        "#status = :waiting",
        # Nobody took it over since it was read.
        "#attempt = :attempt",
        "attribute_not_exists(#gateway_ref)",
    ),
    set=(
        "#status = :status",
        "#gateway_ref = :gateway_ref",
        "#gateway_response = :gateway_response",
        "#processed_at = :processed_at",
        "#open_shard = :ended_shard",
        *WRITTEN,
    ),
    remove=("#request",),
)

APPROVAL_WRITES = (
    ADOPT,
    ASK,
    DECIDE,
    EXPIRE,
    REJECT,
    BEGIN_CHARGE,
    EXPIRE_OVERDUE,
    RESTART,
    RESTART_CHARGE,
    RECORD_FOUND,
)
