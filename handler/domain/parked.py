"""What operators do with parked payments: retry one, or give one up.

Protocol, parking. The rule it keeps: the permission to retry is written before anything is sent, nothing ends as
cancelled that the gateway could still charge, and running either again is always safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from handler.domain.approval.decision import kept_comment
from handler.domain.approval.ports import Decisions
from handler.domain.charge import settled
from handler.domain.claim import Work, held
from handler.domain.errors import ParkedRefusedError, UnknownOutcomeError
from handler.domain.item import Item
from handler.domain.ports import PaymentGateway
from handler.domain.reconcile import restart_charge
from handler.domain.record_found import FindEnd
from handler.domain.times import Times
from handler.domain.typed import Protocol


class RetryQueue(Protocol):
    def send(self, item: Item, deduplication_id: str) -> None:
        """Send a parked payment's canonical request to its group. Raises RetryNotSentError."""


def retry_id(item: Item) -> str:
    """One message for each time that the payment was parked, however often its retry is run."""
    return f"{item.payment_id}#retry#{item.park_no}"


def in_order(items: Iterable[Item], reason_code: str = "") -> list[Item]:
    """The parked ones (parked for that reason), group by group in the order of their sequence numbers."""
    parked = [item for item in items if item.status == "parked" and reason_code in ("", item.parked_reason)]
    return sorted(parked, key=lambda item: (item.message_group_id, _sequence(item.sequence_number), item.created_at))


def _sequence(number: str) -> tuple[int, str]:
    """Sorts as the number; a hand-made event brings any text, or so many digits that they are no int."""
    digits = number.lstrip("0")
    return len(digits), digits


def retry(
    item: Item, retried_by: str, queue: RetryQueue, decisions: Decisions, *, times: Times, work: Work
) -> Literal["sent", "restarted"]:
    """Let a parked payment be charged again, as it was read: by its message, or by a new execution of its workflow.

    Raises ParkedRefusedError, RetryNotSentError, ApprovalStartError and the log's retryable error. Interrupted, it is
    simply run again; a workflow's that is no longer parked by then is restarted by reconcile.
    """
    _require_parked(item)
    if item.execution_arn and not decisions.executions.is_closed(item.execution_arn):
        raise ParkedRefusedError("execution_open", f"{item.transaction_id}: its execution is about to end; try again.")
    refused = decisions.log.allow_retry(
        item.transaction_id, park_no_seen=item.park_no, retried_by=retried_by, now=decisions.clock.now_ms()
    )
    if refused is not None:
        _require_parked(refused)
        raise ParkedRefusedError("parked_again", f"{item.transaction_id} was retried and parked again: look again.")
    if not item.generation:
        queue.send(item, retry_id(item))
        return "sent"
    now_ms = decisions.clock.now_ms()
    # No message comes for it: whoever retries takes it over, to hand it to a new execution.
    refused = decisions.log.take_over_parked(
        item.transaction_id,
        owner=work.owner,
        attempt_seen=item.attempt,
        lease_until=times.lease_until_ms(now_ms, work.remaining_ms()),
        tries=0,
        now=now_ms,
        request_hash=item.request_hash,
    )
    if refused is not None and refused.owner != work.owner:
        raise ParkedRefusedError("not_parked", f"{item.transaction_id} is {refused.status}: somebody else retried it.")
    restart_charge(held(item, work.owner, item.attempt + 1), item, decisions)
    return "restarted"


def cancel(
    item: Item,
    cancelled_by: str,
    reason: str,
    decisions: Decisions,
    gateway: Callable[[], PaymentGateway],
    *,
    find_end: FindEnd,
) -> Literal["cancelled", "completed", "declined"]:
    """Give a parked payment up; `reason` is kept, masked. `completed` where the gateway had charged it already.

    What the gateway never knew ends by one write (*cancel parked*). A reference is cancelled at the gateway first, the
    only time that `gateway` is called, and the payment ends as that answers (*record cancelled*, *record parked*).
    After a restore `find_end` looks for one that the item does not know, and records how it ended, if it did.

    Raises ParkedRefusedError, ApprovalRefusedError for a reason that cannot be kept, and the retryable errors of
    gateway and log, after which it is still parked; running it again is always safe.
    """
    kept = kept_comment(reason, decisions.find_card_numbers)
    _require_parked(item)
    if not item.gateway_ref:
        ended = _found(item, find_end)
        if ended is not None:
            return ended
        refused = decisions.log.cancel_parked(
            item.transaction_id, cancelled_by=cancelled_by, cancel_reason=kept, now=decisions.clock.now_ms()
        )
        if refused is None or (refused.status, refused.cancelled_by) == ("cancelled", cancelled_by):
            return "cancelled"
        _require_parked(refused)
        # It was retried since it was read, got a reference, and was parked again.
        item = refused
    return _cancel_known(item, cancelled_by, kept, decisions, gateway())


def _found(item: Item, find_end: FindEnd) -> Literal["completed", "declined"] | None:
    ended = find_end(item)
    if ended is None:
        return None
    if ended == "completed":
        return "completed"
    if ended == "declined":
        return "declined"
    raise ParkedRefusedError("not_parked", f"{item.transaction_id} is {ended} by now.")


def _cancel_known(
    item: Item, cancelled_by: str, kept: str, decisions: Decisions, gateway: PaymentGateway
) -> Literal["cancelled", "completed"]:
    stands = settled(gateway.cancel(item.gateway_ref), item.amount_minor, item.currency)
    log, now = decisions.log, decisions.clock.now_ms()
    if stands.state == "approved":
        refused = log.record_parked(
            item.transaction_id,
            owner=item.owner,
            attempt=item.attempt,
            status="completed",
            gateway=stands,
            now=now,
        )
        if refused is None or refused.status == "completed":
            return "completed"
    elif stands.state == "cancelled":
        refused = log.record_cancelled(
            item.transaction_id,
            gateway_ref=item.gateway_ref,
            cancelled_by=cancelled_by,
            cancel_reason=kept,
            gateway=stands,
            now=now,
        )
        if refused is None or (refused.status, refused.cancelled_by) == ("cancelled", cancelled_by):
            return "cancelled"
    else:
        raise UnknownOutcomeError(f"{item.gateway_ref} is {stands.state} and could not be cancelled")
    # Who retried it, or reconcile, finds the same at the gateway and records it.
    raise ParkedRefusedError(
        "not_parked",
        f"{item.transaction_id} is {refused.status} by now; at the gateway it is {stands.state}, and whoever has it "
        "records that.",
    )


def _require_parked(item: Item) -> None:
    if item.status != "parked":
        raise ParkedRefusedError("not_parked", f"{item.transaction_id} is {item.status} and not parked.")
