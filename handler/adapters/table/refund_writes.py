"""The writes of a refund, at its own item and at its payment; as those of every payment (protocol, "Refunds")."""

from __future__ import annotations

from handler.adapters.table.writes import WRITTEN, Write

RESERVE_REFUND = Write(
    "reserve refund",
    condition=(
        # It was captured, and ended.
        "#status = :completed",
        # What a bank takes back is not given back as well.
        "attribute_not_exists(#disputed)",
        "#amount_minor >= :amount_minor",
        # Together with all the others never more than was captured.
        "(attribute_not_exists(#refund_reserved) OR #refund_reserved <= :captured_less_amount)",
    ),
    set=("#refund_reserved = if_not_exists(#refund_reserved, :zero) + :amount_minor", *WRITTEN),
)
CLAIM_REFUND = Write(
    "claim refund",
    condition=(
        # A refund id is claimed once, whoever delivers it and however often.
        "attribute_not_exists(#transaction_id)",
    ),
)
BEGIN_REFUND = Write(
    "begin refund",
    # Nobody began or refused it since it was read.
    condition=("#status = :refund_waiting",),
    set=(
        "#status = :refund_pending",
        "#owner = :owner",
        "#attempt = :next",
        "#gateway_ref = :gateway_ref",
        "#pending_at = :now",
        *WRITTEN,
    ),
)
REFUSE_REFUND = Write(
    "refuse refund",
    # Nothing is reserved for it.
    condition=("#status = :refund_waiting",),
    set=("#status = :refund_failed", "#reason_code = :reason_code", "#failed_at = :now", *WRITTEN),
    remove=("#open_shard",),
)
TAKE_OVER_REFUND = Write(
    "take over refund",
    condition=(
        "#status = :refund_pending",
        # Nobody else took it over since it was read.
        "#attempt = :seen",
        # What the gateway has is never asked for again.
        "attribute_not_exists(#refund_ref)",
        # The last call has arrived, and the list was read after that.
        "#updated_at < :stale",
    ),
    set=("#owner = :owner", "#attempt = :next", *WRITTEN),
)
NEXT_REFUND_KEY = Write(
    "next refund key",
    condition=(
        "#status = :refund_pending",
        "#attempt = :attempt",
        # The key that was spent is the one that stands; 0 is never stored.
        "(attribute_not_exists(#gateway_try) OR #gateway_try = :seen)",
    ),
    set=("#gateway_try = :next", *WRITTEN),
)
STORE_REFUND_REF = Write(
    "store refund reference",
    condition=("#status = :refund_pending", "attribute_not_exists(#refund_ref)"),
    set=("#refund_ref = :refund_ref", *WRITTEN),
)
RECORD_REFUND = Write(
    "record refund",
    # What was returned by its bank meanwhile stays failed.
    condition=("#status = :refund_pending",),
    set=("#status = :refund_refunded", "#refund_ref = :refund_ref", "#refunded_at = :now", *WRITTEN),
    remove=("#open_shard",),
)
FAIL_REFUND = Write(
    "fail refund",
    condition=(
        # Pending or refunded, as it was read: nothing is given back twice.
        "#status = :seen",
        # Nobody calls for it anew since then.
        "#attempt = :attempt",
    ),
    set=(
        "#status = :refund_failed",
        "#reason_code = :reason_code",
        "#gateway_response = :gateway_response",
        "#failed_at = :now",
        *WRITTEN,
    ),
    remove=("#open_shard",),
)
GIVE_RESERVATION_BACK = Write(
    "give reservation back",
    condition=("#refund_reserved >= :amount_minor",),
    set=("#refund_reserved = #refund_reserved - :amount_minor", *WRITTEN),
)

REFUND_WRITES = (
    RESERVE_REFUND,
    CLAIM_REFUND,
    BEGIN_REFUND,
    REFUSE_REFUND,
    TAKE_OVER_REFUND,
    NEXT_REFUND_KEY,
    STORE_REFUND_REF,
    RECORD_REFUND,
    FAIL_REFUND,
    GIVE_RESERVATION_BACK,
)
