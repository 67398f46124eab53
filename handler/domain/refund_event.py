"""An outcome event of a refund: what everybody outside is told of each state that it comes to.

The rule it keeps: as in `outcome_event`, no attribute of an item is in an event but those of `TOLD_OF_REFUND`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from handler.domain.money import as_text
from handler.domain.outcome_event import SCHEMA_VERSION, Envelope, OutcomeEvent
from handler.domain.refund_item import RefundItem

# The attributes of a refund that an event has where the refund has them, under their names.
TOLD_OF_REFUND: Final = (
    *("transaction_id", "payment_id", "refund_id", "status", "version", "created_at", "updated_at", "message_id"),
    *("amount", "amount_minor", "currency", "reason_code", "gateway_ref", "refund_ref", "gateway_response"),
    *("waiting_at", "pending_at", "refunded_at", "failed_at"),
)
_INNER: Final = "it says how the refund moves inside, which may change with any release"
WITHHELD_OF_REFUND: Final[Mapping[str, str]] = {
    "owner": _INNER,
    "attempt": _INNER,
    "message_group_id": _INNER,
    "sequence_number": _INNER,
    "open_shard": _INNER,
    "gateway_try": _INNER,
}


def refund_event(refund: RefundItem, environment: str) -> OutcomeEvent:
    """The event of the state that a refund is in; it is far below the largest one that there may be."""
    number = refund.sequence
    envelope = Envelope(
        schema_version=SCHEMA_VERSION,
        event_id=hashlib.sha256(f"{environment}:{refund.transaction_id}:{number}".encode()).hexdigest(),
        environment=environment,
        kind="refund",
        sequence=number,
        # A bank may return what was given back.
        more_may_follow=refund.status != "failed",
    )
    told = {name: said for name in TOLD_OF_REFUND if (said := _told(refund, name)) is not None}
    document = {name: said for name, said in envelope._asdict().items() if name != "faults_left_out"} | told
    text = json.dumps(document, separators=(",", ":"))
    return OutcomeEvent(envelope.event_id, refund.payment_id, refund.transaction_id, envelope.kind, refund.status, text)


def _told(refund: RefundItem, name: str) -> Any:
    """An attribute as JSON has it; None where the refund has none. No amount is ever a float."""
    value = getattr(refund, name)
    if value is None or value == "":
        return None
    if name == "amount":
        return as_text(refund.amount_minor, refund.currency)
    if name == "gateway_response":
        return {each: said for each, said in value._asdict().items() if said}
    return value
