"""The writes of a payment: each is one conditional write, one clause a line with its reason.

The conditions are the protocol (docs/protocol.md); a test drops each in turn and shows that a payment then goes wrong.
"""

from __future__ import annotations

from handler.domain.typed import NamedTuple


class Write(NamedTuple):
    """One write of the protocol. Attributes are spelled `#name`, values `:name`; clauses are joined by AND."""

    name: str
    condition: tuple[str, ...]
    set: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


# What every update says of itself; a claim, which puts the whole item, has it in the item.
WRITTEN = ("#updated_at = :now", "#version = if_not_exists(#version, :zero) + :one")

CLAIM = Write(
    "claim",
    condition=(
        # A payment id is claimed once, whoever delivers it and however often.
        "attribute_not_exists(#transaction_id)",
    ),
)
CLAIM_CORRECTED = Write(
    "claim corrected",
    # A whole item is put, as by the claim.
    condition=(
        # Nothing else is ever followed.
        "#status = :rejected",
        # The message was at fault: a person's no has no faults.
        "attribute_exists(#faults)",
        # The gateway never saw it.
        "attribute_not_exists(#gateway_ref)",
        # Of two corrections one wins.
        "#attempt = :seen",
        # A message does not follow itself, whatever the rules are by now.
        "#message_id <> :message_id",
    ),
)
TAKE_OVER = Write(
    "take over",
    condition=(
        # A final item, or one that waits for a person, is not taken over.
        "#status = :processing",
        # Nobody else took it over since we looked: the attempt is the fencing number.
        "#attempt = :seen",
        # Its worker had all the time that it may have, and must have stopped.
        "#lease_until <= :now",
        # It is the payment that this message asks for.
        "#request_hash = :request_hash",
        # The approval workflow charges on its own, without a lease.
        "attribute_not_exists(#approval_name)",
    ),
    set=(
        "#owner = :owner",
        "#lease_until = :lease_until",
        "#attempt = :next",
        # One more: a worker that is killed gives none back.
        "#tries = :tries",
        *WRITTEN,
    ),
)
STORE_GATEWAY_REF = Write(
    "store gateway reference",
    condition=(
        "#status = :processing",
        "#owner = :owner",
        # The same owner after a take-over and back is another attempt.
        "#attempt = :attempt",
        # Never a second reference: each one can be charged once.
        "attribute_not_exists(#gateway_ref)",
    ),
    set=("#gateway_ref = :gateway_ref", *WRITTEN),
)
NEXT_KEY = Write(
    "next key",
    condition=(
        "#status = :processing",
        "#owner = :owner",
        "#attempt = :attempt",
        # The key that was spent is the one that stands; 0 is never stored.
        "(attribute_not_exists(#gateway_try) OR #gateway_try = :seen)",
    ),
    set=("#gateway_try = :next", *WRITTEN),
)
REFUSE = Write(
    "refuse",
    condition=(
        "#status = :processing",
        "#owner = :owner",
        "#attempt = :attempt",
        # A reference that is stored may have been charged.
        "attribute_not_exists(#gateway_ref)",
    ),
    set=(
        "#status = :declined",
        "#reason_code = :gateway_refused",
        "#gateway_response = :gateway_response",
        "#processed_at = :processed_at",
        *WRITTEN,
    ),
    remove=("#lease_until", "#open_shard", "#request"),
)
RECORD = Write(
    "record",
    condition=(
        # The first recorded outcome stands.
        "#status = :processing",
        # A worker that lost the payment may not write it, however late its answer comes.
        "#owner = :owner",
        "#attempt = :attempt",
    ),
    set=(
        "#status = :status",
        "#gateway_response = :gateway_response",
        "#processed_at = :processed_at",
        *WRITTEN,
    ),
    # Nothing charges it any more, so nothing needs its instrument.
    remove=("#lease_until", "#open_shard", "#request"),
)
# Of a payment that people were shown: it stays in the index, to be found when its time to be kept is over.
_ENDED = "#open_shard = :ended_shard"
REFUSE_SHOWN = REFUSE._replace(name="refuse shown", set=(*REFUSE.set, _ENDED), remove=("#lease_until", "#request"))
RECORD_SHOWN = RECORD._replace(name="record shown", set=(*RECORD.set, _ENDED), remove=("#lease_until", "#request"))
RELEASE = Write(
    "release",
    condition=("#status = :processing", "#owner = :owner", "#attempt = :attempt"),
    # One try less where the failure says nothing about the payment.
    set=("#lease_until = :zero", "#tries = :tries", *WRITTEN),
)
PARK = Write(
    "park",
    condition=(
        # Nobody parks what is settled.
        "#status = :processing",
        "#owner = :owner",
        "#attempt = :attempt",
    ),
    set=(
        "#status = :parked",
        # One more each time, so that a permission to retry holds for once.
        "#park_no = :park_no",
        "#parked_reason = :parked_reason",
        "#parked_at = :now",
        # What a retry sends.
        "#request = :request",
        # By which a retry is known once `request` is gone.
        "#retry_hash = :retry_hash",
        "#open_shard = :open_shard",
        *WRITTEN,
    ),
    remove=("#lease_until",),
)
TAKE_OVER_PARKED = Write(
    "take over parked",
    condition=(
        "#status = :parked",
        # Somebody allowed it, since it was parked last.
        "#retry_no = #park_no",
        "#attempt = :seen",
        "#request_hash = :request_hash",
    ),
    set=(
        "#status = :processing",
        "#owner = :owner",
        "#lease_until = :lease_until",
        "#attempt = :next",
        "#tries = :tries",
        "#first_tried_at = :now",
        "#open_shard = :open_shard",
        *WRITTEN,
    ),
)
TAKE_OVER_STUCK = Write(
    "take over stuck",
    condition=(
        "#status = :processing",
        # Nobody else took it over since it was read.
        "#attempt = :seen",
        # Its worker is long gone; a workflow has no lease and is asked about before.
        "(attribute_not_exists(#lease_until) OR #lease_until < :stale)",
        # A payment that was released, or whose execution ended, may still be at the gateway or be delivered again.
        "#updated_at < :stale",
    ),
    set=("#owner = :owner", "#lease_until = :lease_until", "#attempt = :next", *WRITTEN),
)

WRITES = (
    CLAIM,
    CLAIM_CORRECTED,
    TAKE_OVER,
    STORE_GATEWAY_REF,
    NEXT_KEY,
    REFUSE,
    RECORD,
    REFUSE_SHOWN,
    RECORD_SHOWN,
    RELEASE,
    PARK,
    TAKE_OVER_PARKED,
    TAKE_OVER_STUCK,
)
