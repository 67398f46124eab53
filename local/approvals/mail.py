"""The approvers' mail: a topic, and a queue that stands for their mailboxes.

The rule: a link is found once.
"""

import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Link:
    """What one approver found in the mail."""

    approver: str
    transaction_id: str
    url: str
    # To all that waits for the approver.
    list_url: str


class Mail:
    """`topic_arn` is what the workflow publishes to."""

    def __init__(self, sns: Any, sqs: Any, environment: str, page_url: str) -> None:
        self._sqs = sqs
        self._page_url = page_url
        self.topic_arn = str(sns.create_topic(Name=f"payment-approvals-{environment}")["TopicArn"])
        self._inbox = sqs.create_queue(QueueName=f"payment-approvals-{environment}")["QueueUrl"]
        queue_arn = sqs.get_queue_attributes(QueueUrl=self._inbox, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        sns.subscribe(TopicArn=self.topic_arn, Protocol="sqs", Endpoint=queue_arn)

    def links(self) -> list[Link]:
        """The links that came since the last call."""
        sqs = self._sqs
        links: list[Link] = []
        while True:
            messages = sqs.receive_message(QueueUrl=self._inbox, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return links
            for message in messages:
                sqs.delete_message(QueueUrl=self._inbox, ReceiptHandle=message["ReceiptHandle"])
                notice = json.loads(message["Body"])
                urls = re.findall(rf"{re.escape(self._page_url)}\?t=\S+", notice["Message"])
                payment = re.search(r"^Payment: (\S+)$", notice["Message"], re.MULTILINE)
                if urls and payment:
                    approver = notice["MessageAttributes"]["approver"]["Value"]
                    links.append(Link(approver, f"txn-{payment[1]}", *urls))
