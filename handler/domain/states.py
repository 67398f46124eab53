"""The states of a payment and the one table of legal transitions; nothing moves a payment along an arrow not listed."""

from __future__ import annotations

from typing import Final, Literal

Status = Literal[
    "processing", "pending_approval", "parked", "completed", "declined", "rejected", "expired", "cancelled"
]

OPEN: Final[frozenset[str]] = frozenset({"processing", "pending_approval", "parked"})
FINAL: Final[frozenset[str]] = frozenset({"completed", "declined", "rejected", "expired", "cancelled"})
# A conflict (same payment id, other content) is an item of its own beside the payment and never moves.
CONFLICT: Final[Literal["conflict"]] = "conflict"

# From None: the first write of an item. `processing -> processing` is a take-over or a release, and an approved payment
# goes back to `pending_approval` for its next execution. From `rejected`: a message that was at fault is followed by a
# corrected one. `parked -> parked` is the permission to retry. From `pending_approval` to what the gateway
# says: only after the table was restored.
TRANSITIONS: Final[frozenset[tuple[str | None, str]]] = frozenset(
    {
        (None, "processing"),
        (None, "pending_approval"),
        (None, "declined"),
        (None, "rejected"),
        (None, CONFLICT),
        ("processing", "processing"),
        ("processing", "completed"),
        ("processing", "declined"),
        ("processing", "pending_approval"),
        ("processing", "parked"),
        ("parked", "parked"),
        ("parked", "processing"),
        ("parked", "completed"),
        ("parked", "declined"),
        ("parked", "cancelled"),
        # What came after the charge changes no state.
        ("completed", "completed"),
        ("pending_approval", "pending_approval"),
        ("pending_approval", "processing"),
        ("pending_approval", "rejected"),
        ("pending_approval", "expired"),
        ("pending_approval", "completed"),
        ("pending_approval", "declined"),
        ("rejected", "processing"),
        ("rejected", "pending_approval"),
        ("rejected", "declined"),
        ("rejected", "rejected"),
    }
)

OPEN_SHARDS: Final = 16
# Under which what ended is found in the same index, as long as it keeps what people were shown.
ENDED: Final[Literal["ended"]] = "ended"


def open_shard(status: str, request_hash: str) -> str:
    """The sparse index's key `<status>#<0..15>` of an open item, spread by the content's hash (64 hex digits)."""
    return f"{status}#{int(request_hash[:8], 16) % OPEN_SHARDS}"
