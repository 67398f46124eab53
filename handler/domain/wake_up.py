"""Wake-ups: what an event of the gateway leads to, which is one look at one payment.

Protocol, webhook. The rule it keeps: nothing is decided from what an event said, which only names a payment to look at.
"""

from __future__ import annotations

from functools import partial

from handler.domain.approval.ports import Decisions
from handler.domain.claim import Work
from handler.domain.errors import AlreadyInProgressError
from handler.domain.item import Item
from handler.domain.later import look_again
from handler.domain.payment import Refund, transaction_id
from handler.domain.ports import Ports
from handler.domain.reconcile import Finding, settle_if_parked, settle_if_stuck
from handler.domain.refund_reconcile import see_refunds
from handler.domain.rules import Rules
from handler.domain.states import FINAL
from handler.domain.typed import NamedTuple, Protocol


class WakeUp(NamedTuple):
    """`payment_id`: "" where the event does not say it. `says`: the state that it tells of, "" for none of ours."""

    gateway_ref: str
    payment_id: str = ""
    says: str = ""


class WakeUpQueue(Protocol):
    def send(self, wake_up: WakeUp, event_id: str) -> None:
        """Queue it, once for an event however often that comes. Raises WakeUpNotQueuedError."""


def wake(wake_up: WakeUp, rules: Rules, ports: Ports, decisions: Decisions, work: Work) -> Finding | None:
    """Look at the payment once more, as a run of reconcile would; None where there is nothing to look at.

    What a run would find unsettled is a finding here, too. Raises the retryable errors of log and gateway.
    """
    item = _named(wake_up, ports, decisions)
    if item is None or item.status == wake_up.says:
        return None
    if item.final_status is not None:
        return _later(item, rules, ports, decisions, work)
    settle = settle_if_parked if item.status == "parked" else settle_if_stuck
    finding = settle(item.transaction_id, rules, ports, decisions, work)
    return finding if wake_up.says else _then_later(item, finding, rules, ports, decisions, work=work)


def _then_later(
    item: Item, finding: Finding | None, rules: Rules, ports: Ports, decisions: Decisions, *, work: Work
) -> Finding:
    """An event that tells of no end may tell of what came after one, which the item does not say yet."""
    if finding is None:
        # Its worker has it, and ends it first.
        return Finding(item.transaction_id, "unsettled", AlreadyInProgressError.reason_code)
    ended = decisions.log.get(item.transaction_id) if finding.outcome in FINAL else None
    return (_later(ended, rules, ports, decisions, work) if ended is not None else None) or finding


def _later(item: Item, rules: Rules, ports: Ports, decisions: Decisions, work: Work) -> Finding | None:
    """What came after the charge of a payment that ended, into its item and into those of its refunds."""
    found: list[str] = []

    def see(listed: list[Refund]) -> None:
        refunds = see_refunds(item.payment_id, listed, rules, ports, work)
        found.extend(f"{refund.transaction_id} {refund.outcome}" for refund in refunds)

    found += look_again(item, ports, decisions.log, partial(work.require_time, rules.times), see)
    return Finding(item.transaction_id, item.final_status or "unsettled", ", ".join(found)) if found else None


def _named(wake_up: WakeUp, ports: Ports, decisions: Decisions) -> Item | None:
    payment_id = wake_up.payment_id or ports.gateway.payment_id_of(wake_up.gateway_ref)
    item = decisions.log.get(transaction_id(payment_id)) if payment_id else None
    # Another reference of the same id was never charged for this item, or was found by nobody: it says nothing of it.
    return item if item is not None and item.gateway_ref == wake_up.gateway_ref else None
