"""A person's decision on a payment that waits: what is shown, what stands, and why it is refused where it does not.

The rule it keeps: the table decides and the first decision stands; a callback only wakes (protocol, approval workflow).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from handler.domain.approval.ports import ApprovalLog, Decisions
from handler.domain.card_data import mask_texts
from handler.domain.errors import ApprovalRefusedError, ItemChangedError
from handler.domain.item import Item, timestamp
from handler.domain.payment import transaction_id
from handler.domain.ports import FindCardNumbers, TransactionLog
from handler.domain.score import RISK_SCALE
from handler.domain.typed import NamedTuple

DECISIONS: Final = ("approve", "reject")
LISTING: Final = "`payments approvals list` shows what waits"
COMMENT_LENGTH_MAX: Final = 1000
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Answer(NamedTuple):
    """What a person decided, about the question and the payment that were shown: `callback_id`, `request_hash`."""

    decision: str
    approver: str
    comment: str
    callback_id: str
    request_hash: str


def decide(transaction_id: str, answer: Answer, decisions: Decisions) -> Item:
    """Record a person's decision and wake the workflow (*decide approval*); returns the item as decided.

    The same decision by the same approver again only wakes. Raises ApprovalRefusedError, its message for the approver,
    and ApprovalWakeError.
    """
    if answer.decision not in DECISIONS:
        raise ApprovalRefusedError("decision_unknown")
    kept = kept_comment(answer.comment, decisions.find_card_numbers)
    if decisions.log.get(transaction_id) is None:
        raise ApprovalRefusedError("unknown", f"There is no payment {transaction_id}.")
    now_ms = decisions.clock.now_ms()
    refused = decisions.log.decide_approval(
        transaction_id,
        decision=answer.decision,
        decided_by=answer.approver,
        comment=kept,
        callback_id=answer.callback_id,
        request_hash=answer.request_hash,
        now=now_ms,
    )
    if refused is not None and not _is_same_decision(refused, answer):
        raise _refusal(refused, answer, now_ms)
    decisions.callbacks.wake(answer.callback_id, answer.decision)
    return stored_item(transaction_id, decisions.log)


def find_item(log: TransactionLog, payment: str, listing: str) -> Item:
    """The item of a payment id or of a transaction id; a payment id may itself begin like a transaction's.

    Raises ApprovalRefusedError, which names the command `listing` where there is none.
    """
    # Here, as no approver's page has to pay for it.
    from handler.domain.refund_item import is_refund

    if is_refund(payment):
        raise ApprovalRefusedError("is_a_refund", f"{payment} is a refund: `payments status` tells its story")
    names = [transaction_id(payment), *([payment] if payment.startswith("txn-") else [])]
    found = [item for item in map(log.get, names) if item is not None]
    if not found:
        raise ApprovalRefusedError("unknown", f"there is no payment {' or '.join(names)} in this table: {listing}")
    if len(found) > 1:
        raise ApprovalRefusedError(
            "ambiguous", f"{payment} names two payments: give {names[0]} or {payment.removeprefix('txn-')}"
        )
    return found[0]


def time_left(item: Item, now_ms: int) -> str:
    """How long a person has, for people: `23 h 59 min`, `expired`, or `-` where nobody was asked yet."""
    if item.approval_expires_at is None:
        return "-"
    left_ms = item.approval_expires_at - now_ms
    return f"{left_ms // 3_600_000} h {left_ms // 60_000 % 60} min" if left_ms > 0 else "expired"


def is_unscored(item: Item) -> bool:
    """Whether an item has the highest risk because the fraud check did not answer; a score says what took how much."""
    return item.risk == RISK_SCALE and not item.risk_reasons


def shown_score(item: Item) -> str:
    """The fraud score for people: `70 of 100`, that there is none, or `-` where none was asked for."""
    if is_unscored(item):
        return "no score: the fraud check did not answer"
    return "-" if item.fraud_score is None else f"{item.fraud_score} of 100"


def stored_item(transaction_id: str, log: ApprovalLog) -> Item:
    item = log.get(transaction_id)
    if item is None:
        raise ItemChangedError(f"{transaction_id} is gone from the table while its workflow runs: nothing was charged")
    return item


def kept_comment(comment: str, find_card_numbers: FindCardNumbers) -> str:
    """A person's reason as it is stored, masked. Raises ApprovalRefusedError where it cannot be kept."""
    text = comment.replace("\r\n", "\n").strip()
    if not text:
        raise ApprovalRefusedError("comment_missing")
    if len(text) > COMMENT_LENGTH_MAX:
        raise ApprovalRefusedError(
            "comment_too_long", f"The reason has {len(text)} characters; at most {COMMENT_LENGTH_MAX} are kept."
        )
    if _CONTROL.search(text):
        raise ApprovalRefusedError("comment_malformed")
    return mask_texts([text], find_card_numbers)[0]


def _is_same_decision(item: Item, answer: Answer) -> bool:
    # Without a callback reconcile has given it to a new execution: there is nobody to wake.
    return bool(answer.callback_id) and (item.status, item.decision, item.decided_by, item.callback_id) == (
        "pending_approval",
        answer.decision,
        answer.approver,
        answer.callback_id,
    )


def _refusal(item: Item, answer: Answer, now_ms: int) -> ApprovalRefusedError:
    """Why a decision did not stand, for the person who made it."""
    name = item.transaction_id
    if item.decision:
        word = {"approve": "approved", "reject": "rejected"}[item.decision]
        return ApprovalRefusedError(
            "already_decided", f"{name} was {word} by {item.decided_by} at {timestamp(item.decided_at or 0)}."
        )
    if item.status != "pending_approval":
        return ApprovalRefusedError("not_pending", f"{name} is {item.status} and waits for nobody.")
    if item.approval_expires_at is not None and item.approval_expires_at <= now_ms:
        return ApprovalRefusedError(
            "expired", f"The time to decide on {name} ended at {timestamp(item.approval_expires_at)}."
        )
    if item.request_hash != answer.request_hash:
        return ApprovalRefusedError("request_changed", f"{name} is not the payment that was shown.")
    if not item.callback_id:
        return ApprovalRefusedError(
            "not_asked", f"Nobody was asked about {name} yet; its workflow has not taken it up."
        )
    if item.callback_id != answer.callback_id:
        return ApprovalRefusedError("replaced", f"{name} was asked about again: use the newest notification.")
    return ApprovalRefusedError("refused", f"{name} cannot be decided on as it stands.")


def open_approvals(items: Sequence[Item]) -> list[Item]:
    """Those that wait for a person, the oldest first."""
    return sorted((item for item in items if item.status == "pending_approval"), key=lambda item: item.created_at)
