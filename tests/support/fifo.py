"""A dead-letter queue in memory, which hides a group while one of its messages is in flight."""

from __future__ import annotations

from typing import Any

DEAD, PAYMENTS = "https://sqs.example/123456789012/q-dlq.fifo", "https://sqs.example/123456789012/q.fifo"


class Fifo:
    """The dead-letter queue, and what was sent to the other one; `at` is the time in seconds."""

    def __init__(self, **groups: list[str]) -> None:
        self.at = 0.0
        self.sent: list[tuple[str, str, str]] = []
        bodies = [(group, body) for group, each in groups.items() for body in each]
        self.messages: list[dict[str, Any]] = [
            {"group": group, "body": body, "sequence": number, "hidden_until": 0.0, "receipt": ""}
            for number, (group, body) in enumerate(bodies)
        ]
        self.fails_at: str = ""
        self.receives = 0

    def receive_message(self, *, MaxNumberOfMessages: int, VisibilityTimeout: int, **_: Any) -> dict[str, Any]:
        self.receives += 1
        locked = {each["group"] for each in self.messages if each["hidden_until"] > self.at}
        first = next((each["group"] for each in self.messages if each["group"] not in locked), None)
        found = [each for each in self.messages if each["group"] == first][:MaxNumberOfMessages]
        for each in found:
            each |= {"hidden_until": self.at + VisibilityTimeout, "receipt": f"{each['sequence']}@{self.receives}"}
        return {"Messages": [self._received(each) for each in found]} if found else {}

    @staticmethod
    def _received(each: dict[str, Any]) -> dict[str, Any]:
        attributes = {"MessageGroupId": each["group"], "SequenceNumber": str(each["sequence"]), "SentTimestamp": "1"}
        own = {"kept": {"DataType": "String", "StringValue": "1", "StringListValues": []}}
        name = f"m-{each['sequence']}"
        handle = each["receipt"]
        return {
            "MessageId": name,
            "Body": each["body"],
            "ReceiptHandle": handle,
            "Attributes": attributes,
            "MessageAttributes": own,
        }

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> None:
        for entry in Entries:
            for each in self.messages:
                if each["receipt"] == entry["ReceiptHandle"]:
                    each["hidden_until"] = self.at

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        self.messages = [each for each in self.messages if each["receipt"] != ReceiptHandle]

    def send_message(self, **request: Any) -> None:
        if request["MessageBody"] == self.fails_at:
            raise KeyboardInterrupt
        assert request["QueueUrl"] == PAYMENTS
        assert request["MessageAttributes"] == {"kept": {"DataType": "String", "StringValue": "1"}}
        self.sent.append((request["MessageGroupId"], request["MessageBody"], request["MessageDeduplicationId"]))

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        hidden = sum(each["hidden_until"] > self.at for each in self.messages)
        lie = len(self.messages) - hidden
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return {"Attributes": dict(zip(names, (str(lie), str(hidden)), strict=True))}
