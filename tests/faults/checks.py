"""What the audit of a run under fire asks beside `local.audit`, which it takes as it is.

The rule: like that audit it shares no code with the handler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from local.evidence import Evidence, Sent
from local.traffic import CHARGED, EXPIRED, REJECTED, Message

OBEYED: Mapping[str, frozenset[str]] = {"approve": CHARGED, "reject": REJECTED, "": EXPIRED}


@dataclass(frozen=True)
class Said:
    """A decision that was sent to the page, and the status that it answered."""

    payment_id: str
    decision: str
    status: int


def raced(messages: Sequence[Message]) -> list[Message]:
    """The stream, where who decides may be too late: then, and only then, a payment expires.

    `decisions_are_obeyed` says which of the two ends is right for each.
    """
    return [replace(each, ends=each.ends | EXPIRED) if each.decision else each for each in messages]


def decisions_are_obeyed(evidence: Evidence, said: Iterable[Said]) -> Iterable[str]:
    """What the page answered with 200 stands in the item; what stands there is what became of the payment."""
    told = {each.payment_id: each.decision for each in said if each.status == 200}
    for payment_id, decision in sorted(told.items()):
        found = evidence.payments.get(payment_id, {}).get("decision", "")
        if found != decision:
            yield f"the page took {decision!r} for {payment_id}, and its item holds {found!r}"
    for item in evidence.payments.values():
        if "approval_name" in item and item.get("decided_by") != "risk":
            decision = item.get("decision", "")
            if item["status"] not in OBEYED[decision]:
                yield f"{item['transaction_id']} is {item['status']} after the decision {decision!r}"


def nothing_sent_was_lost(evidence: Evidence, messages: Sequence[Message]) -> Iterable[str]:
    """What the queue took, it took whole, whoever was killed while it answered."""
    taken = {each.message.number for each in evidence.sent}
    for message in messages:
        if message.number not in taken:
            yield f"message {message.number} ({message.payment_id or 'no usable id'}) was never taken by the queue"


def in_order_of_claims(evidence: Evidence, claims: Mapping[tuple[str, int], int]) -> None:
    """Clocks jump, so that `created_at` says nothing: put the order in which the claims came to the table there.

    `claims` are known by payment id and by what their own clock said, which the item holds.
    """
    for item in evidence.payments.values():
        created_at = int(item["created_at"])
        item["created_at"] = claims.get((item["payment_id"], created_at), created_at)


def outside_of_faults(problems: Iterable[tuple[bool, str]]) -> list[str]:
    """What the system told of itself while nothing struck it; the rest is what it should tell."""
    return [sentence for quiet, sentence in problems if quiet]


def merge(sent: Iterable[Sent]) -> list[Sent]:
    """In the order of their numbers, each message once."""
    return sorted({each.message.number: each for each in sent}.values(), key=lambda each: each.message.number)
