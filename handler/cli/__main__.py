"""`payments approvals | parked | conflicts | events | tail ...`: for risky payments, failing ones, what contradicts a
payment, and what is told of its outcome.

Who decided is whoever's AWS credentials have signed the decision, never an argument.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

import botocore.session

from handler.adapters.support.errors import AwsError
from handler.approval_composition import compose_decision_api, compose_decisions, compose_end_finder
from handler.cli import conflicts, events, parked
from handler.cli.items import name, open_items
from handler.cli.output import age, as_json, table
from handler.domain.approval.decision import (
    COMMENT_LENGTH_MAX,
    LISTING,
    find_item,
    is_unscored,
    open_approvals,
    shown_score,
    time_left,
)
from handler.domain.approval.ports import Decisions
from handler.domain.errors import ConfigurationError, PaymentError
from handler.domain.item import timestamp
from handler.domain.money import as_text
from handler.domain.reasons import sentence
from handler.domain.reconcile import reconcile_pending
from handler.domain.score import RISK_SCALE
from scoring.kernel import EngineUnavailableError


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command; 1 with the reason on standard error where it is refused, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        options.variables = _variables(options, environment)
        decisions = compose_decisions(options.variables)
        return int(options.run(decisions, options))
    except (PaymentError, ConfigurationError, EngineUnavailableError) as error:
        print(f"payments: {error}", file=sys.stderr)
    except AwsError as error:
        print(f"payments: AWS did not answer as expected: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="payments", description="Run the payment system.")
    topics = parser.add_subparsers(dest="topic", required=True)
    approvals = topics.add_parser("approvals", help="risky payments that wait for a person")
    commands = approvals.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="all that wait, the oldest first")
    listing.add_argument("--json", action="store_true", help="one JSON document a line")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="one payment with its score and reasons")
    show.add_argument("payment", type=name, help="payment id or transaction id")
    show.set_defaults(run=_show)
    for decision in ("approve", "reject"):
        command = commands.add_parser(decision, help=f"{decision} one payment")
        command.add_argument("payment", type=name, help="payment id or transaction id")
        command.add_argument("--reason", required=True, help=f"why, at most {COMMENT_LENGTH_MAX} characters; is kept")
        command.set_defaults(run=_decide)
    reconcile = commands.add_parser("reconcile", help="expire or restart what its workflow left behind")
    reconcile.set_defaults(run=_reconcile)
    others = (parked.add_topic, conflicts.add_topic, events.add_topic, events.add_tail)
    for topic in (approvals, *(add(topics) for add in others)):
        topic.add_argument("--environment", help="the suffix of all names (default: ENVIRONMENT, else dev)")
    return parser


def _variables(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables with the environment's name, table, queue and workflow."""
    name = options.environment or environment.get("ENVIRONMENT") or "dev"
    table = "" if options.environment else environment.get("DYNAMODB_TABLE", "")
    return {
        **environment,
        "ENVIRONMENT": name,
        "APPROVAL_FUNCTION_ARN": environment.get("APPROVAL_FUNCTION_ARN") or f"payment-processor-{name}:live",
        "DYNAMODB_TABLE": table or f"cloudcafe-payment-transactions-{name}",
        "PAYMENT_QUEUE_URL": "" if options.environment else environment.get("PAYMENT_QUEUE_URL", ""),
        "EVENT_TARGET": "" if options.environment else environment.get("EVENT_TARGET", ""),
        "AWS_REGION": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or _region(environment),
    }


def _region(environment: Mapping[str, str]) -> str:
    """The region of the caller's profile, as the AWS CLI takes it."""
    profile = botocore.session.Session(profile=environment.get("AWS_PROFILE") or None)
    return profile.get_config_variable("region") or "us-east-1"


def _list(decisions: Decisions, options: argparse.Namespace) -> int:
    found, code = open_items(decisions.log, "pending_approval")
    items = open_approvals(found)
    if options.json:
        for item in items:
            print(as_json(item))
        return code
    if not items:
        if not code:
            print("No payment waits for a decision.")
        return code
    now_ms = decisions.clock.now_ms()
    rows = [("TRANSACTION", "AMOUNT", "CUSTOMER", "SCORE", "AGE", "TIME LEFT", "ASKED BECAUSE")]
    rows += [
        (
            item.transaction_id,
            f"{as_text(item.amount_minor, item.currency)} {item.currency}",
            item.customer_id,
            "none" if is_unscored(item) else "-" if item.fraud_score is None else str(item.fraud_score),
            age(item, now_ms),
            "decided" if item.decision else time_left(item, now_ms),
            ", ".join(item.approval_reasons or ["not asked yet"]),
        )
        for item in items
    ]
    print(*table(rows), sep="\n")
    return code


def _show(decisions: Decisions, options: argparse.Namespace) -> int:
    item = find_item(decisions.log, options.payment, LISTING)
    now_ms = decisions.clock.now_ms()
    lines = {
        "transaction": item.transaction_id,
        "status": item.status,
        "amount": f"{as_text(item.amount_minor, item.currency)} {item.currency}" if item.amount_minor else "-",
        "customer": item.customer_id or "-",
        "order": item.order_id or "-",
        "method": item.payment_method or "-",
        "fraud score": shown_score(item),
        "asked because": "; ".join(map(sentence, item.approval_reasons)) or "-",
        "age": age(item, now_ms),
        "time left": time_left(item, now_ms) if item.status == "pending_approval" else "-",
    }
    if item.decision:
        lines |= {
            "decision": f"{item.decision} by {item.decided_by} at {timestamp(item.decided_at or 0)}",
            "reason": item.comment,
        }
    if item.reason_code:
        lines["ended because"] = f"{sentence(item.reason_code)} ({item.reason_code})"
    for label, value in lines.items():
        print(f"{label:<14}{value}")
    for reason in item.risk_reasons:
        print(f"{'risk':<14}{100 * reason.parts / RISK_SCALE:5.1f} %  {reason.reason} (rule {reason.rule_id})")
    return 0


def _decide(_: Decisions, options: argparse.Namespace) -> int:
    answer = compose_decision_api(options.variables).decide(options.payment, options.command, options.reason)
    word = {"approve": "approved", "reject": "rejected"}[answer["decision"]]
    print(f"{answer['transaction_id']} {word} by {answer['decided_by']}: {answer['comment']}")
    return 0


def _reconcile(decisions: Decisions, options: argparse.Namespace) -> int:
    """0 where every pending payment was looked at."""
    find_end = compose_end_finder(options.variables, decisions)
    items, code = open_items(decisions.log, "pending_approval")
    for item in open_approvals(items):
        try:
            found = reconcile_pending(item, decisions, find_end)
        except PaymentError as error:
            code = 1
            print(f"payments: {item.transaction_id}: {error}", file=sys.stderr)
            continue
        print(f"{item.transaction_id} {found}")
    return code


if __name__ == "__main__":
    sys.exit(main())
