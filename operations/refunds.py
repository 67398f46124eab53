"""Refunds from the command line: one is sent as a message like every other, and shown as its item stands.

The rule it keeps: nothing is decided here. What is sent is what any sender may send, and the functions judge it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from handler.domain.errors import ApprovalRefusedError
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.reasons import sentence
from handler.domain.refund_item import RefundItem, refund_transaction_id
from handler.domain.refund_ports import RefundLog
from operations.output import to_json


def send_refund(sqs: Any, queue_url: str, payment: Item, refund_id: str, amount: str = "") -> str:
    """Send a refund of a payment to the payment's own group, behind it; the message's id.

    `amount` is a plain number in the payment's currency, such as 10.00; without it all that was captured goes back.
    Sent again under the same id it changes nothing. Raises what the client raises.
    """
    whole = as_text(payment.amount_minor, payment.currency)
    inner = {"payment_id": payment.payment_id, "refund_id": refund_id, "currency": payment.currency}
    # The amount as it was written: a number of JSON that no float has seen.
    body = f'{{"refund": {{"amount": {amount or whole}, {to_json(inner)[1:]}}}'
    group = payment.message_group_id or payment.payment_id
    answer = sqs.send_message(QueueUrl=queue_url, MessageBody=body, MessageGroupId=group)
    return str(answer["MessageId"])


def find_refund(log: RefundLog, payment_id: str, refund_id: str) -> RefundItem:
    """A refund as it stands. Raises ApprovalRefusedError where there is none, and the log's errors."""
    refund = log.get(refund_transaction_id(payment_id, refund_id))
    if refund is None:
        raise ApprovalRefusedError("unknown", f"{payment_id} has no refund {refund_id}")
    return refund


def refund_lines(refund: RefundItem) -> Iterator[str]:
    """What there is to know of a refund, a line each."""
    response = refund.gateway_response
    values = {
        "refund": refund.transaction_id,
        "status": refund.status,
        "amount": f"{as_text(refund.amount_minor, refund.currency)} {refund.currency}",
        "why": sentence(refund.reason_code) if refund.reason_code else "",
        "gateway": " ".join(filter(None, (refund.refund_ref, response.code if response else ""))),
        "received": timestamp(refund.created_at),
        **{
            name: timestamp(at) if at is not None else ""
            for name, at in (
                ("waiting", refund.waiting_at),
                ("pending", refund.pending_at),
                ("refunded", refund.refunded_at),
                ("failed", refund.failed_at),
            )
        },
        "message": refund.message_id,
        "group": refund.message_group_id,
    }
    return (f"{label:<14}{value}" for label, value in values.items() if value)
