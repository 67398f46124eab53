"""What goes to SQS: a masked copy that always fits, and delays that never fail a batch."""

from __future__ import annotations

import pytest
from botocore.stub import ANY

from handler.adapters.queues import SqsRejectedQueue, SqsSourceQueue
from handler.domain.card_data import mask_documents, mask_unreadable, masked_body
from handler.domain.errors import RejectedQueueUnavailableError
from handler.domain.parse import parse
from scoring import _pure
from tests.support.aws import SUPPORTS, stubbed
from tests.support.payments import message

LIMIT = 262_144


@pytest.fixture(params=SUPPORTS)
def aws(request):
    with stubbed(request.param, "sqs") as aws:
        yield aws


@pytest.fixture
def client(aws):
    return aws[0]


@pytest.fixture
def stubber(aws):
    return aws[1]


def copy_of(body: str) -> str:
    try:
        return masked_body(mask_documents([parse(body)], _pure.find_card_numbers)[0].document)
    except ValueError:
        return mask_unreadable(body, _pure.find_card_numbers)


# Each is as large as a queue takes, and its masked copy is larger.
BODIES = {
    "numbers": '{"a": [' + ",".join(["1"] * 125_000) + "]}",
    "accents": '{"a": "' + "\u00e9" * 120_000 + '"}',
    "removed": "pin=1," * 43_000,
    "accents, not JSON": "\u00e9" * 131_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_a_copy_that_grew_is_cut_to_what_the_queue_takes(client, stubber, name):
    masked = copy_of(BODIES[name])
    stubber.add_response("send_message", {"MessageId": "1", "MD5OfMessageBody": ""}, {
        "QueueUrl": "https://queue", "MessageBody": ANY, "MessageGroupId": "group-1",
        "MessageDeduplicationId": "m-1", "MessageAttributes": ANY,
    })  # fmt: skip
    sent = []
    send = client.send_message
    client.send_message = lambda **parameters: (sent.append(parameters), send(**parameters))
    SqsRejectedQueue(lambda: client, "https://queue").send(message(), masked, "not_json")
    [request] = sent
    assert len(request["MessageBody"].encode()) < LIMIT - 4096
    assert masked.startswith(request["MessageBody"])
    assert request["MessageAttributes"]["truncated_from_bytes"]["StringValue"] == str(len(masked.encode()))


def test_an_ordinary_copy_is_whole_and_says_nothing_of_a_cut(client, stubber):
    stubber.add_response("send_message", {"MessageId": "1", "MD5OfMessageBody": ""}, {
        "QueueUrl": "https://queue", "MessageBody": "x", "MessageGroupId": "group-1", "MessageDeduplicationId": "m-1",
        "MessageAttributes": {
            "reason_code": {"DataType": "String", "StringValue": "not_json"},
            "original_message_id": {"DataType": "String", "StringValue": "m-1"},
        },
    })  # fmt: skip
    SqsRejectedQueue(lambda: client, "https://queue").send(message(), "x", "not_json")


def test_a_refusal_makes_the_message_come_again(client, stubber):
    stubber.add_client_error("send_message", "InvalidMessageContents")
    with pytest.raises(RejectedQueueUnavailableError):
        SqsRejectedQueue(lambda: client, "https://queue").send(message(), "x", "not_json")


def test_a_delay_that_fails_is_not_an_error(client, stubber):
    stubber.add_client_error("change_message_visibility_batch", "InvalidMessageContents")
    SqsSourceQueue(lambda: client, "https://queue").delay([(message(), 5)])


def test_messages_without_a_receipt_are_not_delayed(client):
    SqsSourceQueue(lambda: client, "https://queue").delay([(message()._replace(receipt_handle=""), 5)])


def test_all_that_a_batch_returns_is_delayed_in_one_call_each_by_its_own_time(client, stubber):
    entries = [
        {"Id": "0", "ReceiptHandle": "receipt-1", "VisibilityTimeout": 5},
        {"Id": "1", "ReceiptHandle": "receipt-2", "VisibilityTimeout": 80},
    ]
    answer = {"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": []}
    stubber.add_response("change_message_visibility_batch", answer, {"QueueUrl": "https://queue", "Entries": entries})
    waits = [
        (message()._replace(receipt_handle=entry["ReceiptHandle"]), entry["VisibilityTimeout"]) for entry in entries
    ]
    SqsSourceQueue(lambda: client, "https://queue").delay(waits)
