"""The writes that forget, as those of every payment (protocol, "Retention")."""

from __future__ import annotations

from handler.adapters.table.writes import WRITTEN, Write

FORGET_PERSON = Write(
    "forget person",
    condition=(
        # It ended, and was not forgotten yet: what is open is in the index under its state.
        "#open_shard = :ended_shard",
        # Its time to be kept is over.
        "#processed_at < :ended_before",
    ),
    set=WRITTEN,
    remove=("#open_shard", "#shown"),
)
FORGET_CONFLICT = Write(
    "forget conflict",
    condition=(
        # No payment loses the text that a retry or an execution needs.
        "#status = :conflict",
        "#created_at < :created_before",
    ),
    set=WRITTEN,
    remove=("#open_shard", "#request"),
)

FORGET_WRITES = (FORGET_PERSON, FORGET_CONFLICT)
