"""Payments that stopped half-way, and approvals that their workflow left behind; nothing is ever charged here.

Protocol, reconcile. The rule it keeps: whatever an index or an execution says, the item is read again first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from handler.domain.approval.ports import Decisions
from handler.domain.charge import found_reference, settled
from handler.domain.claim import Claim, Work, held
from handler.domain.ending import end
from handler.domain.errors import ChargeInProgressError, FoundOtherContentError, OwnershipLostError, RetryableError
from handler.domain.item import Item
from handler.domain.park import park, release
from handler.domain.payment import approval_name
from handler.domain.ports import Ports
from handler.domain.process import alarm_of_gateway, alarmed
from handler.domain.record import record
from handler.domain.record_found import FindEnd, end_finder
from handler.domain.restored import LookUp
from handler.domain.rules import Rules
from handler.domain.states import Status
from handler.domain.times import Times

# Stripe hears of a SEPA debit within 14 business days, of others sooner ("SEPA Direct Debit payments"): three weeks.
CHARGE_TAKES_MAX_MS: Final = 21 * 24 * 60 * 60 * 1000
# As Terraform's schedule has it; another one only changes how soon each payment has its turn.
RUNS_EVERY_MS: Final = 10 * 60 * 1000
# 2^32 over the golden ratio: its multiples spread evenly over 2^32, however many there are.
_SPREAD: Final = 2_654_435_761


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one stuck or parked payment.

    `not_charged`: its message must come again, from the queue or redriven from the dead-letter queue, as only a
    message charges. `restarted`: it was a workflow's, and a new execution has it. `parked`: it waits for an operator,
    for the reason in `detail`. `in_progress`: it is parked, and the gateway is at work on its charge. `unsettled`: the
    reason code in `detail` says why; the next run tries again.
    `takes_days`: its charge is within the days that its method usually takes, so that nobody need look.
    """

    transaction_id: str
    outcome: Status | Literal["not_charged", "restarted", "in_progress", "unsettled"]
    detail: str = ""
    takes_days: bool = False


def in_turn(transaction_ids: Iterable[str], now_ms: int) -> list[str]:
    """What a run at `now_ms` looks at, in order: all of it, from a place on that the clock says.

    A run may have time for a part only, and nothing remembers where it ended. So each begins elsewhere: runs in a row
    that each have time for n have looked at all N within 2 N / n, and nobody waits behind the same ones forever.
    """
    found = list(transaction_ids)
    start = (now_ms // RUNS_EVERY_MS * _SPREAD % 2**32) * len(found) >> 32
    return found[start:] + found[:start]


def settle_stuck(rules: Rules, ports: Ports, decisions: Decisions, work: Work) -> Iterator[Finding]:
    """Settle every payment that is `processing` and was neither leased nor written for long; one finding each.

    Ends early, without an error, when the invocation has too little time left for another payment.
    Raises TransactionLogUnavailableError where the open payments cannot be listed.
    """
    for transaction_id in in_turn(decisions.log.open_transaction_ids("processing"), decisions.clock.now_ms()):
        if work.remaining_ms() < rules.times.least_remaining_ms:
            return
        finding = settle_if_stuck(transaction_id, rules, ports, decisions, work)
        if finding is not None:
            yield finding


def settle_if_stuck(
    transaction_id: str, rules: Rules, ports: Ports, decisions: Decisions, work: Work
) -> Finding | None:
    """Settle one payment; None where it is not stuck, or another worker was quicker."""
    try:
        with alarmed(ports.notifier):
            taken = _take_over(transaction_id, rules.times, decisions, work)
    except RetryableError as error:
        return Finding(transaction_id, "unsettled", error.reason_code)
    return None if taken is None else _settle(*taken, rules, ports, decisions, work=work)


def _take_over(transaction_id: str, times: Times, decisions: Decisions, work: Work) -> tuple[Claim, Item] | None:
    """The right to settle a payment, or None where it is not stuck or another worker was quicker."""
    item = decisions.log.get(transaction_id)
    now_ms = decisions.clock.now_ms()
    stale = now_ms - decisions.stuck_after_ms
    if item is None or item.status != "processing" or max(item.lease_until or 0, item.updated_at) >= stale:
        return None
    if item.execution_arn and not decisions.executions.is_closed(item.execution_arn):
        return None
    refused = decisions.log.take_over_stuck(
        transaction_id,
        owner=work.owner,
        attempt_seen=item.attempt,
        lease_until=times.lease_until_ms(now_ms, work.remaining_ms()),
        stale=stale,
        now=now_ms,
    )
    if refused is None:
        return held(item, work.owner, item.attempt + 1), item
    if (refused.owner, refused.attempt) == (work.owner, item.attempt + 1):
        # The answer to this very write was lost and the client sent it again.
        return held(refused, work.owner, refused.attempt), refused
    return None


def _settle(claim: Claim, item: Item, rules: Rules, ports: Ports, decisions: Decisions, *, work: Work) -> Finding:
    try:
        gateway_ref = claim.gateway_ref or found_reference(claim, item, rules, ports, work)
        if gateway_ref:
            result = ports.gateway.status(gateway_ref)
            if result.state != "prepared":
                outcome = settled(result, item.amount_minor, item.currency)
                outcome = end(gateway_ref, outcome, ports.gateway, partial(work.require_time, rules.times))
                status = record(claim, gateway_ref, outcome, ports)
                return Finding(claim.transaction_id, status)
        if item.generation:
            # It is a workflow's, and no message will come again for it.
            restart_charge(claim, item, decisions)
            return Finding(claim.transaction_id, "restarted", gateway_ref)
        finding = Finding(claim.transaction_id, "not_charged", gateway_ref)
    except RetryableError as error:
        alarm_of_gateway(error, claim.transaction_id, ports.notifier)
        finding = Finding(claim.transaction_id, "unsettled", error.reason_code)
        if isinstance(error, FoundOtherContentError) and item.request and _parks(claim, item, error, ports):
            # An execution's, which has ended: no run would find anything else, and no message comes.
            return Finding(claim.transaction_id, "parked", error.reason_code)
    release(claim, ports)
    return finding


def _parks(claim: Claim, item: Item, error: RetryableError, ports: Ports) -> bool:
    try:
        return park(claim, item.request, item.request_hash, error.reason_code, ports)
    except RetryableError:
        # The next run parks it.
        return False


def settle_parked(rules: Rules, ports: Ports, decisions: Decisions, work: Work) -> Iterator[Finding]:
    """Ask about every parked payment and record what the gateway says; one finding each.

    Nothing is taken over: who retries it meanwhile is not disturbed. Ends early and raises as `settle_stuck`.
    """
    for transaction_id in in_turn(decisions.log.open_transaction_ids("parked"), decisions.clock.now_ms()):
        if work.remaining_ms() < rules.times.least_remaining_ms:
            return
        finding = settle_if_parked(transaction_id, rules, ports, decisions, work)
        if finding is not None:
            yield finding


def settle_if_parked(
    transaction_id: str, rules: Rules, ports: Ports, decisions: Decisions, work: Work
) -> Finding | None:
    """Ask about one payment and record what the gateway says; None where it is not parked."""
    item = None
    try:
        with alarmed(ports.notifier):
            item = decisions.log.get(transaction_id)
            if item is None or item.status != "parked":
                return None
            status = _ask_parked(item, rules, ports, decisions, work)
        finding = Finding(transaction_id, status, item.parked_reason)
    except RetryableError as error:
        alarm_of_gateway(error, transaction_id, ports.notifier)
        finding = Finding(transaction_id, "unsettled", error.reason_code)
    return replace(finding, takes_days=_takes_days(item, finding, decisions.clock.now_ms()))


def _takes_days(item: Item | None, finding: Finding, now_ms: int) -> bool:
    """Whether a parked payment's charge is under way and not late, by what its gateway said: now, or when it parked."""
    if item is None or now_ms - (item.parked_at or 0) >= CHARGE_TAKES_MAX_MS:
        return False
    was_at_work = item.parked_reason == ChargeInProgressError.reason_code
    return finding.outcome == "in_progress" or (finding.outcome == "unsettled" and was_at_work)


def _ask_parked(
    item: Item, rules: Rules, ports: Ports, decisions: Decisions, work: Work
) -> Status | Literal["in_progress"]:
    if not item.gateway_ref:
        return _look_for(item, ends_found_by(rules, ports, decisions, work))
    result = ports.gateway.status(item.gateway_ref)
    if result.state == "prepared":
        return "parked"
    if result.state == "in_progress":
        return "in_progress"
    require_time = partial(work.require_time, rules.times)
    result = end(item.gateway_ref, settled(result, item.amount_minor, item.currency), ports.gateway, require_time)
    status: Status = "completed" if result.state == "approved" else "declined"
    refused = decisions.log.record_parked(
        item.transaction_id,
        owner=item.owner,
        attempt=item.attempt,
        status=status,
        gateway=result,
        now=decisions.clock.now_ms(),
    )
    return status if refused is None else refused.final_status or "parked"


def _look_for(item: Item, find_end: FindEnd) -> Status | Literal["in_progress"]:
    try:
        return find_end(item) or "parked"
    except ChargeInProgressError:
        return "in_progress"


def ends_found_by(rules: Rules, ports: Ports, decisions: Decisions, work: Work) -> FindEnd:
    """What looks for the end of a payment that waits or is parked, while the table is restored; else it finds none."""
    require_time = partial(work.require_time, rules.times)
    look_up = LookUp(rules, lambda: ports.gateway, ports.clock, ports.notifier, require_time)
    return end_finder(look_up, decisions.log)


def reconcile_pending(
    item: Item, decisions: Decisions, find_end: FindEnd
) -> Status | Literal["waiting", "woken", "restarted"]:
    """Bring one pending item on that its workflow left behind; `waiting` where nothing is to be done.

    Protocol, overdue approvals and closed executions. `find_end` records how it ended at the gateway before the table
    was restored, if it did: its answer is the state then.
    Raises ApprovalStartError, ApprovalWakeError, what `find_end` raises, and the log's and the engine's retryable
    errors; calling again is safe.
    """
    if ended := find_end(item):
        return ended
    now_ms = decisions.clock.now_ms()
    overdue = now_ms - decisions.patience_ms
    if not item.decision and item.approval_expires_at is not None and item.approval_expires_at < overdue:
        expired = decisions.log.expire_overdue_approval(item.transaction_id, overdue=overdue, now=now_ms) is None
        return "expired" if expired else "waiting"
    if not item.execution_arn:
        # Its execution may have ended before it adopted the item, and a name starts one execution only: a new one is
        # needed here too. If the old one is only slow, it finds that its name is no longer the item's.
        if item.updated_at >= overdue:
            return "waiting"
    elif not decisions.executions.is_closed(item.execution_arn):
        if item.decided_at is None or item.decided_at >= overdue or not item.callback_id:
            return "waiting"
        # Whoever decided could not wake it, and it would sleep until its time is up.
        decisions.callbacks.wake(item.callback_id, item.decision)
        return "woken"
    following = _following(item, decisions.environment)
    refused = decisions.log.restart_approval(
        item.transaction_id,
        generation_seen=item.generation,
        closed_arn=item.execution_arn,
        name=following.approval_name,
        now=now_ms,
    )
    # Refused by the very item that it wrote: the answer was lost and the client sent it again.
    if refused is not None and refused.approval_name != following.approval_name:
        return "waiting"
    decisions.starter.start(following, item.request)
    return "restarted"


def restart_charge(claim: Claim, item: Item, decisions: Decisions) -> None:
    """Give a payment that its execution left uncharged to a new one, which obeys the same decision.

    `claim` is reconcile's own. Raises OwnershipLostError, ApprovalStartError and the log's retryable error; where the
    start alone failed, `reconcile_pending` starts another.
    """
    following = _following(item, decisions.environment)
    refused = decisions.log.restart_charge(
        claim.transaction_id,
        owner=claim.owner,
        attempt=claim.attempt,
        generation=following.generation,
        name=following.approval_name,
        request_hash=item.request_hash,
        now=decisions.clock.now_ms(),
    )
    # Refused by the very item that it wrote: the answer was lost and the client sent it again.
    if refused is not None and refused.approval_name != following.approval_name:
        raise OwnershipLostError(f"{claim.transaction_id} belongs to {refused.owner}")
    decisions.starter.start(following, item.request)


def _following(item: Item, environment: str) -> Item:
    """The item as its next execution finds it."""
    generation = item.generation + 1
    return item._replace(generation=generation, approval_name=approval_name(environment, item.payment_id, generation))
