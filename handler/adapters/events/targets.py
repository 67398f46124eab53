"""Where outcome events go: an SQS FIFO queue or an SNS FIFO topic, in order, or an EventBridge bus, without any.

The rule it keeps: a payment is a group, and an event's id its deduplication id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from handler.adapters.support.errors import AwsError
from handler.domain.outcome_delivery import EventTarget, EventTargetError, Refusal
from handler.domain.outcome_event import SCHEMA_VERSION, OutcomeEvent

# How rules of a bus find events.
SOURCE: Final = "cloudcafe.payments"
DETAIL_TYPE: Final = f"payment outcome {SCHEMA_VERSION}"
# Of a batch's errors those that another call would meet again, as they are about the event: PutEvents', then SQS's and
# SNS's, whose "sender fault" says less. A throttle (RequestThrottled) and a key that is disabled are the sender's, too.
_FOR_GOOD: Final = (
    "InvalidArgument",
    "MalformedDetail",
    "InvalidMessageContents",
    "InvalidParameter",
    "InvalidParameterValue",
)


class SqsEvents:
    """`EventTarget`: one FIFO queue, by its URL."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, events: Sequence[OutcomeEvent], /) -> list[Refusal]:
        entries = [{"MessageBody": event.text, **_entry(place, event)} for place, event in enumerate(events)]
        return _refusals(events, lambda: self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries))


class SnsEvents:
    """`EventTarget`: one FIFO topic, by its ARN."""

    def __init__(self, client: Any, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def send(self, events: Sequence[OutcomeEvent], /) -> list[Refusal]:
        entries = [{"Message": event.text, **_entry(place, event)} for place, event in enumerate(events)]
        return _refusals(
            events, lambda: self._client.publish_batch(TopicArn=self._topic_arn, PublishBatchRequestEntries=entries)
        )


class BusEvents:
    """`EventTarget`: one event bus, by its ARN. It keeps no order and drops no repeat."""

    def __init__(self, client: Any, bus_arn: str) -> None:
        self._client = client
        self._bus_arn = bus_arn

    def send(self, events: Sequence[OutcomeEvent], /) -> list[Refusal]:
        entries = [
            {"EventBusName": self._bus_arn, "Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": event.text}
            for event in events
        ]
        try:
            answers = self._client.put_events(Entries=entries)["Entries"]
        except AwsError as error:
            raise EventTargetError(str(error)) from error
        return [
            Refusal(event.event_id, answer["ErrorCode"] in _FOR_GOOD, f"{answer['ErrorCode']} {answer['ErrorMessage']}")
            for event, answer in zip(events, answers, strict=True)
            if "ErrorCode" in answer
        ]


def choose_target(aws_client: Callable[[str], Any], target: str) -> EventTarget:
    """The target behind EVENT_TARGET: a queue's URL, a topic's ARN or a bus's ARN, as its setting was checked."""
    if not target.startswith("arn:"):
        return SqsEvents(aws_client("sqs"), target)
    if target.split(":")[2] == "sns":
        return SnsEvents(aws_client("sns"), target)
    return BusEvents(aws_client("events"), target)


def _entry(place: int, event: OutcomeEvent) -> dict[str, Any]:
    """What a queue and a topic take alike; a subscription of the topic may filter by the attributes."""
    attributes = {"schema_version": str(SCHEMA_VERSION), "kind": event.kind, "status": event.status}
    return {
        "Id": str(place),
        "MessageGroupId": event.payment_id,
        "MessageDeduplicationId": event.event_id,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    }


def _refusals(events: Sequence[OutcomeEvent], call: Callable[[], Mapping[str, Any]]) -> list[Refusal]:
    try:
        answer = call()
    except AwsError as error:
        raise EventTargetError(str(error)) from error
    return [
        Refusal(
            events[int(each["Id"])].event_id, each["Code"] in _FOR_GOOD, f"{each['Code']} {each.get('Message', '')}"
        )
        for each in answer.get("Failed", ())
    ]
