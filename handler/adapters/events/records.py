"""A record of the table's stream as an outcome event, or as none.

The rule it keeps: an outcome is told when its item comes to it, by whichever write, and not again at later writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handler.adapters.table.expressions import from_attributes
from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import Item, from_stored
from handler.domain.outcome_event import OutcomeEvent, is_outcome, outcome_event, sequence
from handler.domain.refund_event import refund_event
from handler.domain.refund_item import RefundItem, is_refund, refund_from_stored


def read_record(record: Mapping[str, Any], environment: str) -> OutcomeEvent | None:
    """The event of a stream's record, as Lambda passes it and GetRecords returns it; None where there is none to tell.

    An item that was deleted, by its time to live or by hand, has no image: it was told when it came to its outcome.
    Raises DamagedItemError, UnknownItemError and EventTooLargeError.
    """
    images = record["dynamodb"]
    if "NewImage" not in images:
        return None
    new = from_attributes(images["NewImage"])
    if is_refund(str(new.get("transaction_id"))):
        return _of_refund(refund_from_stored(new), images.get("OldImage"), environment)
    item = from_stored(new)
    if not is_outcome(item):
        return None
    before = _before(images.get("OldImage"))
    if before is not None and is_outcome(before) and sequence(before) == sequence(item):
        return None
    return outcome_event(item, environment)


def _of_refund(refund: RefundItem, image: Mapping[str, Any] | None, environment: str) -> OutcomeEvent | None:
    """Each state of a refund is an outcome, told when it comes to it."""
    try:
        before = None if image is None else refund_from_stored(from_attributes(image))
    except (DamagedItemError, UnknownItemError):
        before = None
    return None if before is not None and before.sequence == refund.sequence else refund_event(refund, environment)


def _before(image: Mapping[str, Any] | None) -> Item | None:
    """The item before the write; None where there was none that can be read."""
    try:
        return None if image is None else from_stored(from_attributes(image))
    except (DamagedItemError, UnknownItemError):
        return None
