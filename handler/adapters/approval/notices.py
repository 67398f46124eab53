"""Messages to the people who decide, on one SNS topic or in the log; a link is its approver's alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.domain.approval.decision import shown_score
from handler.domain.approval.ports import Signer
from handler.domain.approval.token import ListInvitation, invite, write_token
from handler.domain.errors import NoticeError
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.reasons import sentence

_LOG = logging.getLogger(__name__)


class SnsNotices:
    """`ApprovalNotices` on one topic: a message an approver, which a subscription picks by the attribute `approver`."""

    def __init__(
        self, client: Any, topic_arn: str, approvers: Sequence[str], page_url: str, signer: Signer | None
    ) -> None:
        self._client = client
        self._topic_arn = topic_arn
        self._approvers = approvers
        self._page_url = page_url
        self._signer = signer

    def ask(self, message_id: str, item: Item, callback_id: str) -> None:
        subject = f"Approve {as_text(item.amount_minor, item.currency)} {item.currency}?"
        failed: list[str] = []
        for approver in self._approvers or ("",):
            question = _question(item, self._link(item, callback_id, approver))
            attributes = {"kind": "approval", "message_id": message_id, "approver": approver}
            try:
                self._publish(subject, question, attributes)
            except NoticeError as error:
                # The others are asked all the same: one of them is enough.
                failed.append(f"{approver or 'the topic'}: {error}")
        if failed:
            raise NoticeError("; ".join(failed))

    def settled(self, message_id: str, transaction_id: str, status: str) -> None:
        # All at once: every subscription picks what names its approver.
        attributes = {"kind": "settled", "message_id": message_id, "approver": self._approvers}
        self._publish(f"Payment {status}", f"{transaction_id} is {status}.\n", attributes)

    def _link(self, item: Item, callback_id: str, approver: str) -> str:
        if self._signer is None or not approver:
            return f"Decide with: payments approvals show {item.transaction_id}"
        decide = write_token(invite(item, callback_id, approver), self._signer)
        waiting = write_token(ListInvitation(approver, item.approval_expires_at or 0), self._signer)
        return (
            f"Decide here, this link is yours alone:\n{self._page_url}?t={decide}\n\n"
            f"All that waits for you, yours alone, too:\n{self._page_url}?t={waiting}"
        )

    def _publish(self, subject: str, message: str, attributes: Mapping[str, str | Sequence[str]]) -> None:
        try:
            self._client.publish(
                TopicArn=self._topic_arn,
                Subject=subject,
                Message=message,
                MessageAttributes={name: _attribute(value) for name, value in attributes.items() if value},
            )
        except AwsError as error:
            raise NoticeError(f"{self._topic_arn}: {error}") from error


class LoggedNotices:
    """`ApprovalNotices` where no topic is set: log lines, without any link, as a log is not a private channel."""

    def ask(self, message_id: str, item: Item, callback_id: str) -> None:
        _LOG.warning("%s waits for approval, callback_id %s", item.transaction_id, callback_id)

    def settled(self, message_id: str, transaction_id: str, status: str) -> None:
        _LOG.info("%s is %s", transaction_id, status)


def _attribute(value: str | Sequence[str]) -> dict[str, str]:
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": value}
    return {"DataType": "String.Array", "StringValue": json.dumps(list(value))}


def _question(item: Item, link: str) -> str:
    return (
        f"A payment waits for your decision until {timestamp(item.approval_expires_at or 0)}.\n\n"
        f"Payment: {item.payment_id}\n"
        f"Amount: {as_text(item.amount_minor, item.currency)} {item.currency}\n"
        f"Customer: {item.customer_id}\n"
        f"Fraud score: {shown_score(item)}\n"
        f"Asked because: {'; '.join(map(sentence, item.approval_reasons))}\n\n"
        f"{link}\n"
    )
