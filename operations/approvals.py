"""`payments approvals list | show | approve | reject | reconcile`: risky payments that wait for a person.

Who decided is whoever's AWS credentials have signed the decision, never an argument.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from handler import approval_composition as composition
from handler.domain.approval.decision import (
    COMMENT_LENGTH_MAX,
    LISTING,
    find_item,
    is_unscored,
    open_approvals,
    time_left,
)
from handler.domain.approval.view import Earlier, Fact, at, earlier, ended_as, facts, findings
from handler.domain.errors import PaymentError
from handler.domain.item import Item
from handler.domain.reasons import sentence
from handler.domain.reconcile import reconcile_pending
from operations.items import open_items, tell
from operations.options import NAME, Call, Topic, confirmed, pass_call
from operations.output import age, amount, as_json, local_time


@click.group(cls=Topic, example="payments approvals list")
def approvals() -> None:
    """Risky payments that wait for a person."""


@approvals.command("list", example="payments approvals list")
@pass_call
def list_waiting(call: Call) -> int:
    """All that wait, the oldest first."""
    found, code = open_items(call.decisions.log, "pending_approval")
    now_ms = call.decisions.clock.now_ms()
    head = ("TRANSACTION", "AMOUNT", "CUSTOMER", "SCORE", "AGE", "TIME LEFT", "ASKED BECAUSE")
    return tell(
        call,
        (open_approvals(found), code),
        "No payment waits for a decision.",
        head,
        lambda item: (
            item.transaction_id,
            amount(item),
            item.customer_id,
            "none" if is_unscored(item) else "-" if item.fraud_score is None else str(item.fraud_score),
            age(item, now_ms),
            "decided" if item.decision else time_left(item, now_ms),
            ", ".join(item.approval_reasons or ["not asked yet"]),
        ),
    )


@approvals.command(example="payments approvals show pay-high-001")
@click.argument("payment", type=NAME)
@pass_call
def show(call: Call, payment: str) -> int:
    """One payment with its score and reasons, by payment id or transaction id."""
    item = find_item(call.decisions.log, payment, LISTING)
    if call.is_json:
        print(as_json(item))
        return 0
    before = earlier(item, call.decisions.log)
    print(*_described(item, before, call.decisions.clock.now_ms()), sep="\n")
    return 0


def _described(item: Item, before: Earlier, now_ms: int) -> Iterator[str]:
    """What the approval page shows, by the same code, and where the payment is."""
    known = [
        Fact("transaction", item.transaction_id),
        Fact("status", item.status),
        Fact("amount", amount(item)),
        *facts(item),
        Fact("asked because", "; ".join(map(sentence, item.approval_reasons)) or "-"),
        Fact("age", age(item, now_ms)),
        Fact("time left", time_left(item, now_ms) if item.status == "pending_approval" else "-"),
    ]
    if item.decision:
        known.append(Fact("decision", f"{item.decision} by {item.decided_by}"))
        known += [at("decided", item.decided_at or 0), Fact("reason", item.comment)]
    if item.reason_code:
        known.append(Fact("ended because", f"{sentence(item.reason_code)} ({item.reason_code})"))
    for fact in known:
        yield _line(fact.label, fact.text if fact.at_ms is None else f"{fact.text}{local_time(fact.at_ms)}")
    for each in findings(item):
        yield _line("risk", f"{each.weight:>4}  {each.reason}")
        if each.found:
            yield _line("", f"      {each.found}")
    for one in before.items:
        yield _line("earlier", f"{at('', one.created_at).text}  {amount(one)}  {one.payment_id}  {ended_as(one)}")
    if before.has_more or not before.items:
        yield _line("earlier", "and more" if before.has_more else before.unknown or "none of the same billing identity")


def _line(label: str, text: str) -> str:
    return f"{label.lower():<14}{text}"


@approvals.command(example='payments approvals approve pay-high-001 --reason "called the customer"')
@click.argument("payment", type=NAME)
@click.option("--reason", required=True, help=f"Why, at most {COMMENT_LENGTH_MAX} characters; it is kept.")
@confirmed
@pass_call
def approve(call: Call, payment: str, reason: str) -> int:
    """Let one payment be charged."""
    call.confirm(f"Approved, {payment} is charged.")
    return decide(call, payment, "approve", reason)


@approvals.command(example='payments approvals reject pay-high-001 --reason "stolen card"')
@click.argument("payment", type=NAME)
@click.option("--reason", required=True, help=f"Why, at most {COMMENT_LENGTH_MAX} characters; it is kept.")
@confirmed
@pass_call
def reject(call: Call, payment: str, reason: str) -> int:
    """End one payment without a charge."""
    call.confirm(f"Rejected, {payment} is never charged.")
    return decide(call, payment, "reject", reason)


def decide(call: Call, payment: str, decision: str, reason: str) -> int:
    """Reads no table: who may decide need not be allowed to."""
    answer = composition.compose_decision_api(call.variables).decide(payment, decision, reason)
    word = {"approve": "approved", "reject": "rejected"}[answer["decision"]]
    names = ("transaction_id", "decision", "decided_by", "comment")
    call.say(
        f"{answer['transaction_id']} {word} by {answer['decided_by']}: {answer['comment']}",
        **{name: answer[name] for name in names},
    )
    return 0


@approvals.command(example="payments approvals reconcile")
@pass_call
def reconcile(call: Call) -> int:
    """Expire or restart what its workflow left behind."""
    decisions = call.decisions
    find_end = composition.compose_end_finder(call.variables, decisions)
    items, code = open_items(decisions.log, "pending_approval")
    if not items and not code:
        call.say("No payment waits for a decision: nothing was left behind.", waiting=0)
    for item in open_approvals(items):
        try:
            found = reconcile_pending(item, decisions, find_end)
        except PaymentError as error:
            code = 1
            call.warn(f"{item.transaction_id}: {error}")
            continue
        call.say(f"{item.transaction_id} {found}", transaction_id=item.transaction_id, found=found)
    return code
