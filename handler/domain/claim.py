"""From a scored payment to the right to charge it: one conditional write decides who works on a payment.

Protocol, queue function, steps 1 to 4: every refused write is decided from the item that stood in its way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from handler.domain.errors import AlreadyInProgressError, NotEnoughTimeError, OwnershipLostError
from handler.domain.money import to_major
from handler.domain.payment import Assessment, Message, Payment, Times, Transaction, transaction_id
from handler.domain.ports import Clock, TransactionLog
from handler.domain.states import CONFLICT, FINAL, Status, open_shard
from handler.domain.validate import Validation

# A refusal is decided anew each time; more of them than this means that somebody else is at work.
_DECISIONS_MAX: Final = 4

Decision = Literal["conflict", "mine", "final", "pending", "in_workflow", "in_progress", "take_over"]


class Work(NamedTuple):
    """Who works on a payment: `owner` is `<request id>:<message id>` or an execution's ARN.

    Without `takes_over` a payment that a message brought is left to its message, even where its lease is over.
    """

    owner: str
    remaining_ms: Callable[[], int]
    takes_over: bool = True

    def require_time(self, times: Times) -> None:
        """Raise NotEnoughTimeError where less than a gateway call and its record is left."""
        if self.remaining_ms() < times.least_remaining_ms:
            raise NotEnoughTimeError(f"{self.remaining_ms()} ms left, {times.least_remaining_ms} needed")


class Claim(NamedTuple):
    """The right to charge one payment; `attempt` is the fencing number, `gateway_ref` empty until one is stored."""

    transaction_id: str
    owner: str
    attempt: int
    gateway_ref: str = ""


class Standing(NamedTuple):
    """A message that needs no charge: `outcome` says why, `item` is what stands in the table."""

    outcome: Status | Literal["duplicate", "conflict", "in_workflow"]
    item: Transaction


def new_item(
    message: Message,
    validation: Validation,
    status: Status,
    *,
    owner: str,
    now_ms: int,
    lease_until_ms: int,
    assessment: Assessment | None = None,
    environment: str = "",
) -> Transaction:
    """The item that the claim writes; attributes of unusable fields are left out (an index takes no empty key)."""
    item: dict[str, Any] = {
        "transaction_id": transaction_id(validation.payment_id),
        "payment_id": validation.payment_id,
        "status": status,
        "owner": owner,
        "attempt": 1,
        "request_hash": validation.request_hash,
        "message_id": message.message_id,
        "message_group_id": message.group,
        "sequence_number": message.sequence_number,
        "created_at": now_ms,
        "updated_at": now_ms,
    }
    if validation.payment is not None:
        item |= _payment_attributes(validation.payment)
    if assessment is not None:
        item |= _assessment_attributes(assessment)
    if status == "rejected":
        item["faults"] = [fault._asdict() for fault in validation.faults]
        item["reason_code"] = validation.faults[0].reason_code
    if status == "declined":
        by_rule = assessment is not None and assessment.action == "decline"
        item["reason_code"] = "declined_by_rule" if by_rule else "approval_unavailable"
    if status in FINAL:
        item["processed_at"] = timestamp(now_ms)
    else:
        item["open_shard"] = open_shard(status, validation.request_hash)
    if status == "processing":
        item["lease_until"] = lease_until_ms
    if status == "pending_approval" and validation.payment is not None:
        item["request"] = validation.payment.canonical
        item["generation"] = 1
        item["approval_name"] = approval_name(environment, validation.payment_id, 1)
    return {name: value for name, value in item.items() if value != ""}


def claim(
    item: Transaction, log: TransactionLog, clock: Clock, times: Times, work: Work, *, beyond_limits: str = ""
) -> Claim | Standing:
    """Write the item, or decide from the one that stands there already.

    `beyond_limits` is the request hash that the item would have under wider limits: what was claimed while they held is
    the same payment, and would be a conflict with itself otherwise.

    Raises AlreadyInProgressError, NotEnoughTimeError, OwnershipLostError or the log's own retryable error.
    """
    work.require_time(times)
    stored = log.put_new(item)
    if stored is None:
        return _own(item)
    for _ in range(_DECISIONS_MAX):
        request_hash = beyond_limits if stored["request_hash"] == beyond_limits else item["request_hash"]
        decision = decide(stored, owner=work.owner, request_hash=request_hash, now_ms=clock.now_ms())
        if decision == "conflict":
            return _conflict(item, log)
        if decision == "mine":
            return _own(stored)
        if decision == "final":
            return Standing("duplicate", stored)
        if decision == "pending":
            return Standing("pending_approval", stored)
        if decision == "in_workflow":
            return Standing("in_workflow", stored)
        if decision == "in_progress" or (decision == "take_over" and not work.takes_over):
            raise AlreadyInProgressError(f"{stored['transaction_id']} is with {stored.get('owner')}")
        now_ms = clock.now_ms()
        refused = log.take_over(
            stored["transaction_id"],
            owner=work.owner,
            attempt_seen=stored["attempt"],
            lease_until=times.lease_until_ms(now_ms, work.remaining_ms()),
            now=now_ms,
            request_hash=request_hash,
        )
        if refused is None:
            return Claim(stored["transaction_id"], work.owner, stored["attempt"] + 1, stored.get("gateway_ref", ""))
        stored = refused
    raise OwnershipLostError(f"{item['transaction_id']} changed hands {_DECISIONS_MAX} times")


def decide(stored: Transaction, *, owner: str, request_hash: str, now_ms: int) -> Decision:
    """What a stored item means for the message at hand (protocol, step 3; the order of the questions matters)."""
    if stored["request_hash"] != request_hash:
        return "conflict"
    if stored.get("owner") == owner:
        return "mine"
    if stored["status"] in FINAL:
        return "final"
    if stored["status"] == "pending_approval":
        return "pending"
    if "approval_name" in stored:
        return "in_workflow"
    if stored.get("lease_until", 0) > now_ms:
        return "in_progress"
    return "take_over"


def approval_name(environment: str, payment_id: str, generation: int) -> str:
    """The workflow's execution name, 1 to 64 of `[a-zA-Z0-9-_]`; hashed where it would be longer."""
    name = f"{environment}-{payment_id}-{generation}"
    return name if len(name) <= 64 else hashlib.sha256(name.encode()).hexdigest()


def timestamp(now_ms: int) -> str:
    """The seed's form of a time: `2024-01-01T12:00:00Z`."""
    return datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _own(item: Transaction) -> Claim | Standing:
    """An item that this worker wrote: now, or just before when the answer to the write was lost."""
    status = item["status"]
    if status == "processing":
        return Claim(item["transaction_id"], item["owner"], item["attempt"], item.get("gateway_ref", ""))
    return Standing(status, item)


def _conflict(item: Transaction, log: TransactionLog) -> Standing:
    """Keep the other content as an item of its own; a second refusal is this same conflict seen again."""
    conflict: Transaction = {name: item[name] for name in _CONFLICT_ATTRIBUTES if name in item}
    conflict["transaction_id"] = f"{item['transaction_id']}#{CONFLICT}#{item['request_hash']}"
    conflict["status"] = CONFLICT
    conflict["reason_code"] = "exists_with_different_content"
    log.put_new(conflict)
    return Standing("conflict", conflict)


_CONFLICT_ATTRIBUTES: Final = (
    "payment_id",
    "order_id",
    "amount",
    "amount_minor",
    "currency",
    "request_hash",
    "message_id",
    "message_group_id",
    "sequence_number",
    "owner",
    "created_at",
    "updated_at",
)


def _payment_attributes(payment: Payment) -> dict[str, Any]:
    return {
        "order_id": payment.order_id,
        "customer_id": payment.customer_id,
        "amount": to_major(payment.amount_minor),
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "payment_method": payment.payment_method,
    }


def _assessment_attributes(assessment: Assessment) -> dict[str, Any]:
    return {
        "fraud_score": assessment.fraud_score,
        "risk": assessment.risk,
        "risk_reasons": [
            {"rule_id": reason.rule_id, "reason": reason.reason, "parts": reason.parts} for reason in assessment.reasons
        ],
        "fingerprint": assessment.fingerprint,
        "fingerprint_version": assessment.fingerprint_version,
    }
