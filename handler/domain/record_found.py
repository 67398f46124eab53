"""How a payment that waits for a person, or is parked, ended at the gateway before the table was restored.

Protocol, "A restored table", *record found*. The rule it keeps: nobody is asked and nothing given up of what has ended.
"""

from __future__ import annotations

from collections.abc import Callable

from handler.domain.approval.ports import ApprovalLog
from handler.domain.charge import settled
from handler.domain.ending import end
from handler.domain.errors import FoundOtherContentError
from handler.domain.item import Item
from handler.domain.restored import LookUp, find
from handler.domain.states import Status

# Records how a payment that waits, or is parked, ended at the gateway: its state then, None where it did not end.
FindEnd = Callable[[Item], Status | None]


def end_finder(look_up: LookUp, log: ApprovalLog) -> FindEnd:
    """*Record found*: how a payment that waits for a person, or is parked, ended at the gateway; None where it did not.

    What it returns raises RestoreTooRecentError, ChargeInProgressError, and the errors of gateway and log.
    """
    return lambda item: _settle_waiting(item, look_up, log)


def _settle_waiting(item: Item, look_up: LookUp, log: ApprovalLog) -> Status | None:
    try:
        found = None if item.gateway_ref else find(item, look_up)
    except FoundOtherContentError:
        # Nothing of this payment; whoever wants to charge it is told.
        return None
    if found is None or found.result.state == "prepared":
        # Its charge, should there be one, finds it again.
        return None
    result = settled(found.result, item.amount_minor, item.currency)
    result = end(found.gateway_ref, result, look_up.gateway(), look_up.require_time)
    status: Status = "completed" if result.state == "approved" else "declined"
    refused = log.record_found(
        item.transaction_id,
        status_seen=item.status,
        attempt_seen=item.attempt,
        gateway_ref=found.gateway_ref,
        status=status,
        gateway=result,
        now=look_up.clock.now_ms(),
    )
    return status if refused is None else refused.final_status
