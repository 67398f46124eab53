"""The approval workflow's steps, from a risky payment to what follows from a person's decision.

Protocol, approval workflow. The rule they keep: each may run twice, and finds in the item what it did the first time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Literal

from handler.domain.approval.decision import stored_item
from handler.domain.approval.evidence import CUSTOMER, shown
from handler.domain.approval.ports import ApprovalLog, ApprovalNotices, Evidence
from handler.domain.charge import ended_reference
from handler.domain.claim import Claim, InVersion, Standing, Work, as_held, claim, held
from handler.domain.errors import ApprovalRefusedError, ItemChangedError, NoticeError, ScoringError
from handler.domain.item import Item, new_item
from handler.domain.money import as_text
from handler.domain.payment import Assessment, Message, Payment, Reason, approval_name, transaction_id
from handler.domain.ports import FindCardNumbers, FraudScoring, Ports
from handler.domain.process import pay
from handler.domain.reading import Reading, examine
from handler.domain.record_found import end_finder
from handler.domain.restored import LookUp
from handler.domain.rules import Rules
from handler.domain.score import APPROVAL_RISK, RISK_SCALE, score
from handler.domain.states import FINAL, OPEN, Status
from handler.domain.typed import NamedTuple


@dataclass(frozen=True, slots=True)
class Execution:
    """A durable execution; `name` is empty where its engine does not tell it."""

    arn: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """A deployment's payment rules, how long a person may take (milliseconds), and what of the customer they see."""

    payments: Rules
    timeout_ms: int = 86_400_000
    shows: frozenset[str] = frozenset(CUSTOMER)


@dataclass(frozen=True, slots=True)
class ApprovalPorts:
    """`log` is the same transaction log as that of `payments`, with the workflow's writes."""

    payments: Ports
    log: ApprovalLog
    notices: ApprovalNotices
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Checks:
    """What the parallel checks found; no assessment where the fraud check was not to be had."""

    assessment: Assessment | None
    customer_verified: bool


@dataclass(frozen=True, slots=True)
class Next:
    """What the workflow does next: `ask` a person within `ask_seconds`, `charge`, or end with `outcome`."""

    action: Literal["ask", "charge", "done"]
    outcome: str = ""
    ask_seconds: int = 0


def read_request(text: str, execution: Execution, rules: ApprovalRules, ports: Ports) -> Reading:
    """The payment in an execution's input: a message like any other, read without scoring it.

    Where its item is written already, it reads in the item's version, and what was claimed within the limits of its
    time is that payment still, whatever they are by now; what would correct a rejected message is a new claim, in the
    version that is written. Raises UnknownItemError for an item of newer code.
    """
    reading = in_execution(text, execution, rules, ports.find_card_numbers)
    payment_id = reading.validation.payment_id
    stored = ports.log.get(transaction_id(payment_id)) if payment_id else None
    if stored is None or stored.faults:
        return reading
    validation = reading.in_version(stored.canonical_version)
    held_as = as_held(stored, validation)
    if held_as is not None:
        validation = validation._replace(
            request_hash=held_as.request_hash, payment=held_as, faults=(), beyond_limits=None
        )
    return reading._replace(validation=validation)


def in_execution(text: str, execution: Execution, rules: ApprovalRules, find_card_numbers: FindCardNumbers) -> Reading:
    """An execution's input as a message, in any version that is asked for; no input or output, no score."""
    message = Message(message_id=execution.name or execution.arn, body=text)
    (reading,) = examine([message], rules.payments, find_card_numbers)
    return reading


def verify_customer(payment: Payment) -> bool:
    """Whether the customer is known by an id and a complete, well-formed address; if not, a person decides."""
    address = payment.billing_address
    return bool(payment.customer_id.strip()) and address is not None and address.complete and _is_plausible(address.zip)


def assess(payment: Payment, scoring: FraudScoring) -> Assessment:
    """The fraud check of one payment. Raises ScoringError, or FraudServiceUnavailableError from the port."""
    result = score([payment], scoring)[0]
    if isinstance(result, ScoringError):
        raise result
    return result


def begin(
    payment: Payment,
    in_version: InVersion,
    checks: Checks,
    execution: Execution,
    *,
    rules: ApprovalRules,
    ports: ApprovalPorts,
    work: Work,
) -> Next:
    """Claim the payment for this execution, or *adopt approval* of the pending item that the queue function left.

    Raises the claim's retryable errors, also while a message has the payment: it comes again. A lease would be over
    before the steps that charge, so `work` takes nothing over. Another execution's payment ends this without effect.
    """
    route, gateway_ref = _route(payment, checks, rules.payments), ""
    if route == "declined" and (gateway_ref := ended_reference(payment, rules.payments, ports.payments, work)):
        route = "processing"
    item = _new_item(payment, route, checks, execution, rules, now_ms=ports.payments.clock.now_ms())
    item = item._replace(gateway_ref=gateway_ref)
    claimed = claim(item, in_version, rules.payments.times, ports.payments, work)
    if isinstance(claimed, Claim):
        return Next("charge")
    if claimed.outcome != "pending_approval":
        return Next("done", _outcome(claimed))
    if ended := _found(claimed.item, rules.payments, ports, work):
        return Next("done", ended)
    return _adopt(payment, claimed.item, checks, execution, rules=rules, ports=ports)


def _found(item: Item, rules: Rules, ports: ApprovalPorts, work: Work) -> Status | None:
    """How the payment ended at the gateway before the table was restored, if it was: then nobody is asked."""
    payments, require_time = ports.payments, partial(work.require_time, rules.times)
    look_up = LookUp(rules, lambda: payments.gateway, payments.clock, payments.notifier, require_time)
    return end_finder(look_up, ports.log)(item)


def ask(transaction_id: str, callback_id: str, execution: Execution, ports: ApprovalPorts) -> None:
    """Store the callback (*ask for approval*), then notify the approvers. A failed notification never ends the wait.

    Raises ApprovalRefusedError where the item is no longer to be asked for: `resolve` then finds out why.
    """
    refused = ports.log.ask_approval(
        transaction_id, arn=execution.arn, callback_id=callback_id, now=ports.payments.clock.now_ms()
    )
    if refused is not None:
        raise ApprovalRefusedError("not_open", f"{transaction_id} is {refused.status}: nobody is asked about it")
    item = stored_item(transaction_id, ports.log)
    try:
        ports.notices.ask(f"{transaction_id}:{callback_id}", item, callback_id)
    except NoticeError as error:
        ports.payments.notifier.alarm(error.reason_code, transaction_id, f"approvers were not notified: {error}")


def resolve(
    transaction_id: str, execution: Execution, ports: ApprovalPorts, *, is_called_back: bool, timed_out: bool
) -> Next:
    """What to do after a wait: obey the table's decision, *expire approval*, or ask again.

    `is_called_back`: somebody answered the callback, which decides nothing.
    """
    clock, log = ports.payments.clock, ports.log
    item = stored_item(transaction_id, log)
    if _waits(item, execution) and not item.decision and is_called_back:
        ports.payments.notifier.alarm(
            "callback_without_decision",
            transaction_id,
            "a callback came without a decision, and decides nothing by itself: the approvers are asked again",
        )
    now_ms = clock.now_ms()
    overdue = timed_out or (item.approval_expires_at or 0) <= now_ms
    if _waits(item, execution) and not item.decision and overdue:
        refused = log.expire_approval(transaction_id, arn=execution.arn, now=now_ms)
        if refused is None:
            return Next("done", "expired")
        item = refused
    if not _waits(item, execution):
        if item.status == "processing" and item.owner == execution.arn:
            return Next("charge")
        return Next("done", item.final_status or "in_workflow")
    if item.decision:
        return _obey(item, execution, ports)
    return Next("ask", ask_seconds=max(1, ((item.approval_expires_at or 0) - now_ms + 999) // 1000))


def charge_approved(
    payment: Payment,
    in_version: InVersion,
    execution: Execution,
    *,
    rules: ApprovalRules,
    ports: ApprovalPorts,
    work: Work,
) -> Status:
    """Charge what this execution claimed or what a person approved, once, however often it is called.

    *Begin approved charge*, then steps 5 to 7 and 9 of the queue function. Raises the retryable errors of gateway and
    log, and ItemChangedError where the item is not the payment.
    """
    item = stored_item(payment.transaction_id, ports.log)
    # A message may have claimed it in another version than this execution began with.
    asked = in_version(item.canonical_version)
    payment = as_held(item, asked) or payment
    if item.status == "pending_approval":
        refused = ports.log.begin_approved_charge(
            payment.transaction_id,
            arn=execution.arn,
            attempt_seen=item.attempt,
            request_hash=payment.request_hash,
            amount_minor=payment.amount_minor,
            now=ports.payments.clock.now_ms(),
        )
        # Read again after success as well: what is charged is what stands there now.
        item = stored_item(payment.transaction_id, ports.log) if refused is None else refused
    if item.final_status is not None:
        return item.final_status
    if item.status == "parked":
        # By this step, before its end was kept.
        return "parked"
    holds = ("approve", "processing", execution.arn, payment.request_hash, payment.amount_minor, payment.currency)
    if (item.decision, item.status, item.owner, item.request_hash, item.amount_minor, item.currency) != holds:
        raise ItemChangedError(
            f"{payment.transaction_id} is {item.status} over {as_text(item.amount_minor, item.currency)}, belongs to "
            f"{item.owner}, decision {item.decision or 'none'}; this execution holds "
            f"{as_text(payment.amount_minor, payment.currency)}: nothing was charged, "
            "compare the item with its `request`"
        )
    # No message counts an execution's tries: this one counts if its release says so.
    claimed = held(item._replace(tries=item.tries + 1), execution.arn, item.attempt)
    return pay(claimed, payment, rules.payments, ports.payments, work)


def tell(transaction_id: str, status: str, execution: Execution, ports: ApprovalPorts) -> None:
    """Tell people how a payment ended, if it did; the same execution tells it under the same message id."""
    if status not in FINAL:
        return
    try:
        ports.notices.settled(f"{execution.arn}:settled", transaction_id, status)
    except NoticeError as error:
        ports.payments.notifier.alarm(error.reason_code, transaction_id, f"{status} was not told: {error}")


def _is_plausible(code: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 -]{1,11}", code) is not None


def _route(payment: Payment, checks: Checks, rules: Rules) -> Status:
    if checks.assessment is None:
        return "pending_approval"
    scored = rules.routing.route(payment, checks.assessment)
    return "pending_approval" if scored == "processing" and not checks.customer_verified else scored


def _new_item(
    payment: Payment, route: Status, checks: Checks, execution: Execution, rules: ApprovalRules, *, now_ms: int
) -> Item:
    """The item of a payment that the queue function never saw; without a lease, as its execution may sleep."""
    item = new_item(
        Message(message_id="", body=""),
        payment.payment_id,
        payment.request_hash,
        route,
        owner=execution.arn,
        now_ms=now_ms,
        payment=payment,
        assessment=checks.assessment,
        canonical_version=payment.version,
        environment=rules.payments.environment,
    )
    if route in OPEN:
        # The name keeps the queue function from taking the payment over.
        name = execution.name or approval_name(rules.payments.environment, payment.payment_id, 1)
        item = item._replace(approval_name=name)
    if route == "processing":
        # No message brought it: reconcile needs these to start another execution, which must not ask anybody.
        item = item._replace(
            execution_arn=execution.arn,
            lease_until=None,
            tries=0,
            first_tried_at=None,
            request=payment.canonical,
            generation=1,
            decision="approve",
            decided_by="risk",
            decided_at=now_ms,
            comment="its risk asks nobody",
        )
    return item


def _outcome(standing: Standing) -> str:
    """A final item that stands already is this payment's outcome, whoever brought it there."""
    return standing.item.status if standing.outcome == "duplicate" else standing.outcome


def _adopt(
    payment: Payment, stored: Item, checks: Checks, execution: Execution, *, rules: ApprovalRules, ports: ApprovalPorts
) -> Next:
    now_ms = ports.payments.clock.now_ms()
    risk = _riskier(stored, checks.assessment)
    rule_ids = [reason.rule_id for reason in risk.reasons]
    refused = ports.log.adopt_approval(
        stored.transaction_id,
        name=execution.name or stored.approval_name,
        arn=execution.arn,
        request_hash=stored.request_hash,
        expires_at=now_ms + rules.timeout_ms,
        reasons=_approval_reasons(stored, risk, checks, rules),
        risk=risk.risk,
        fraud_score=risk.fraud_score,
        risk_reasons=risk.reasons,
        shown=shown(payment, rule_ids, rules.shows, ports.evidence, ports.payments.find_card_numbers),
        now=now_ms,
    )
    if refused is not None:
        return Next("done", refused.final_status or "in_workflow")
    if stored.decision:
        return _obey(stored, execution, ports)
    return Next("ask", ask_seconds=max(1, rules.timeout_ms // 1000))


class _Risk(NamedTuple):
    risk: int
    fraud_score: int
    reasons: tuple[Reason, ...] = ()


def _riskier(stored: Item, assessment: Assessment | None) -> _Risk:
    """The higher risk of the two; one that nobody could tell counts as the highest."""
    if stored.risk is not None and (assessment is None or stored.risk >= assessment.risk):
        return _Risk(stored.risk, stored.fraud_score or 0, stored.risk_reasons)
    if assessment is None:
        return _Risk(RISK_SCALE, 100)
    return _Risk(assessment.risk, assessment.fraud_score, assessment.reasons)


def _approval_reasons(stored: Item, risk: _Risk, checks: Checks, rules: ApprovalRules) -> list[str]:
    unscored = risk.risk == RISK_SCALE and not risk.reasons
    approval_reasons = {
        "fraud_check_unavailable": checks.assessment is None or unscored,
        "customer_unverified": not checks.customer_verified,
        "risk": checks.assessment is not None and not unscored and risk.risk >= APPROVAL_RISK,
        "amount": rules.payments.routing.is_forced(stored.amount_minor, stored.currency),
    }
    return [reason for reason, is_so in approval_reasons.items() if is_so]


def _waits(item: Item, execution: Execution) -> bool:
    return item.status == "pending_approval" and item.execution_arn == execution.arn


def _obey(item: Item, execution: Execution, ports: ApprovalPorts) -> Next:
    if item.decision == "approve":
        return Next("charge")
    refused = ports.log.reject_approval(item.transaction_id, arn=execution.arn, now=ports.payments.clock.now_ms())
    # Refused after a lost answer: it is rejected already.
    return Next("done", "rejected" if refused is None else refused.status)
