"""The reconcile function, on a schedule or woken for one payment: what stopped half-way is settled or started again.

The rule it keeps: it never charges; and what it cannot settle it counts, for the alarms on old and parked payments.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from handler import lazy_entry
from handler.adapters.webhook.wake_ups import read_wake_up
from handler.domain.approval.ports import Decisions
from handler.domain.claim import Work
from handler.domain.errors import RetryableError
from handler.domain.forget import forget_due
from handler.domain.ports import Ports
from handler.domain.process import alarm_of_gateway, alarmed
from handler.domain.reconcile import ends_found_by, in_turn, reconcile_pending, settle_parked, settle_stuck
from handler.domain.refund_item import REFUND_OPEN
from handler.domain.refund_reconcile import settle_refunds
from handler.domain.rules import Rules
from handler.domain.states import FINAL, Status
from handler.domain.wake_up import wake

if TYPE_CHECKING:
    from handler.adapters.approval.support import Handler
    from handler.support import Metrics

_LOG = logging.getLogger(__name__)

NAMESPACE: Final = "CloudCafe/Lambda"
DIMENSIONS: Final = ("environment",)
OLD: Final = "OldOpenPayments"
PARKED: Final = "ParkedPayments"
# CloudWatch's word for none.
_UNIT: Final = "None"
# How many payments are open after a run, and the age of the oldest, by state.
OPEN_METRICS: Final[Mapping[Status, tuple[str, str]]] = {
    "processing": ("OpenProcessing", "OldestProcessingSeconds"),
    "pending_approval": ("OpenPendingApproval", "OldestPendingApprovalSeconds"),
    "parked": ("OpenParked", "OldestParkedSeconds"),
}
REFUNDS: Final = "OpenRefunds"
UNSETTLED_REFUNDS: Final = "UnsettledRefunds"
# What each metric says of one run. docs/metrics.md is made from it.
METRICS: Final = {
    OLD: "Payments that stay open although their lease, or the time to decide, is long over.",
    PARKED: "Payments that are parked and wait for an operator; what takes its method's days counts after three weeks.",
    REFUNDS: "Refunds that wait for their payment, or are pending, whatever their age.",
    UNSETTLED_REFUNDS: "Open refunds that it could not bring on, as gateway or table failed.",
    **{
        name: meaning
        for state, (count, oldest) in OPEN_METRICS.items()
        for name, meaning in (
            (count, f"Payments that are {state}, whatever their age."),
            (oldest, f"The age in seconds of the oldest payment that is {state}; 0 without any."),
        )
    },
}


class ReconcileFunction:
    """One run a call; the answer and the metrics are how many payments stay open although they should not."""

    def __init__(self, rules: Rules, ports: Ports, decisions: Decisions, metrics: Metrics) -> None:
        self._rules = rules
        self._ports = ports
        self._decisions = decisions
        self._metrics = metrics

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Raises TransactionLogUnavailableError where the open payments cannot be listed."""
        work = Work(f"reconcile:{context.aws_request_id}", context.get_remaining_time_in_millis)
        # Of the schedule's events none has records; who invokes it by hand may send anything.
        is_of_queue = isinstance(event, dict) and "Records" in event
        return self._woken(event["Records"], work) if is_of_queue else self._run(work)

    def _woken(self, records: Sequence[Mapping[str, Any]], work: Work) -> dict[str, Any]:
        """Look at what each wake-up names; of a reference that failed, all that came after comes again, too."""
        failed: list[dict[str, str]] = []
        groups: set[str] = set()
        for record in records:
            group = record["attributes"]["MessageGroupId"]
            if group in groups or not self._wake(record, work):
                groups.add(group)
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    def _wake(self, record: Mapping[str, Any], work: Work) -> bool:
        """Whether that wake-up is done with."""
        if work.remaining_ms() < self._rules.times.least_remaining_ms:
            return False
        try:
            wake_up = read_wake_up(record)
            with alarmed(self._ports.notifier):
                finding = wake(wake_up, self._rules, self._ports, self._decisions, work)
        except ValueError as error:
            _LOG.error("%s", error)
            return False
        except RetryableError as error:
            alarm_of_gateway(error, wake_up.gateway_ref, self._ports.notifier)
            _LOG.warning("%s: %s", wake_up.gateway_ref, error)
            return False
        if finding is None:
            _LOG.info("%s: nothing to look at", wake_up.gateway_ref)
            return True
        _LOG.warning("%s woke %s: %s %s", wake_up.gateway_ref, finding.transaction_id, finding.outcome, finding.detail)
        return finding.outcome != "unsettled"

    def _run(self, work: Work) -> dict[str, Any]:
        # A gateway that hangs takes all the time that there is, and approvals need none of it: they come first.
        old = self._pending(work) + self._stuck(work)
        parked = self._parked(work)
        refunds, unsettled = self._refunds(work)
        self._forget(work)
        now_ms = self._ports.clock.now_ms()
        values = {OLD: old, PARKED: parked, REFUNDS: refunds, UNSETTLED_REFUNDS: unsettled}
        for state, (count, oldest) in OPEN_METRICS.items():
            since = list(self._decisions.log.open_since(state))
            values |= {count: len(since), oldest: max(0, now_ms - min(since, default=now_ms)) // 1000}
        for name, value in values.items():
            self._metrics.add_metric(name, _UNIT, value)
        self._metrics.flush_metrics()
        return {"old_open_payments": old, "parked_payments": parked}

    def _stuck(self, work: Work) -> int:
        ports, old = self._ports, 0
        for finding in settle_stuck(self._rules, ports, self._decisions, work):
            _LOG.warning("%s %s %s", finding.transaction_id, finding.outcome, finding.detail)
            old += finding.outcome not in FINAL
        return old

    def _parked(self, work: Work) -> int:
        parked = 0
        for finding in settle_parked(self._rules, self._ports, self._decisions, work):
            if finding.outcome in FINAL:
                _LOG.warning("%s %s", finding.transaction_id, finding.outcome)
            parked += finding.outcome not in FINAL and not finding.takes_days
        return parked

    def _refunds(self, work: Work) -> tuple[int, int]:
        """How many are open, and how many of them could not be brought on."""
        unsettled = 0
        for finding in settle_refunds(self._rules, self._ports, work, self._decisions.stuck_after_ms):
            if finding.outcome not in REFUND_OPEN:
                _LOG.warning("%s %s %s", finding.transaction_id, finding.outcome, finding.detail)
            unsettled += finding.outcome == "unsettled"
        return len(list(self._ports.log.refunds().open_since())), unsettled

    def _forget(self, work: Work) -> None:
        for each in forget_due(self._rules.times, self._ports.notifier, self._decisions, work):
            _LOG.warning("%s %s", each.transaction_id, each.detail or "forgotten")

    def _pending(self, work: Work) -> int:
        decisions, old = self._decisions, 0
        find_end = ends_found_by(self._rules, self._ports, decisions, work)
        for name in in_turn(decisions.log.open_transaction_ids("pending_approval"), decisions.clock.now_ms()):
            if work.remaining_ms() < self._rules.times.least_remaining_ms:
                break
            try:
                with alarmed(self._ports.notifier):
                    item = decisions.log.get(name)
                if item is None or item.status != "pending_approval":
                    continue
                found = reconcile_pending(item, decisions, find_end)
            except RetryableError as error:
                _LOG.warning("%s: %s", name, error)
                old += 1
                continue
            if found != "waiting":
                _LOG.warning("%s %s", name, found)
            # One restart may follow a mishap; more say that its execution cannot go on, and why its log says.
            old += found == "restarted" and item.generation > 1
        return old


def _create(environment: Mapping[str, str]) -> Handler:
    from handler.adapters.approval import support
    from handler.approval_composition import compose_reconcile, compose_workflow

    observed = support.observe("payment-reconcile", environment)
    rules, ports = compose_workflow(environment, support)
    # The alarms on what it counts name no service.
    metrics = support.create_metrics(NAMESPACE, "", rules.payments.environment)
    return observed(ReconcileFunction(rules.payments, ports.payments, compose_reconcile(environment, support), metrics))


__getattr__ = lazy_entry(globals(), _create)
