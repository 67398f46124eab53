"""The writes of what came after a charge, each of one list; of those of every payment none touches either."""

from __future__ import annotations

from handler.adapters.table.writes import WRITTEN, Write

_ONLY_IF = (
    # Only what was captured can come back.
    "#status = :completed",
    # It is the reference that was asked about.
    "#gateway_ref = :gateway_ref",
    # Neither list was written since the item was read, which was before the gateway was asked.
    "(attribute_not_exists(#later_no) OR #later_no = :seen)",
)
RECORD_REFUNDED = Write(
    "record refunded",
    condition=_ONLY_IF,
    set=("#refunded = :refunded", "#later_no = :next", *WRITTEN),
)
RECORD_DISPUTED = Write(
    "record disputed",
    condition=_ONLY_IF,
    set=("#disputed = :disputed", "#later_no = :next", *WRITTEN),
)

LATER_WRITES = (RECORD_REFUNDED, RECORD_DISPUTED)
