"""Lambda's reading of a partial batch response (AWS: "Implementing partial batch responses")."""

import queue
from typing import Any

import pytest

from local.event_source_mapping import Batch, EventSourceMapping, by_groups, failed_ids
from local.execution_environment import Outcome

IDS = ["a", "b", "c"]


def outcome(payload: bytes, error_type: str | None = None) -> Outcome:
    return Outcome("r", payload, error_type, 1.0, None, None)


@pytest.mark.parametrize(
    "payload",
    [b"null", b"{}", b'{"batchItemFailures": []}', b'{"batchItemFailures": null}', b'{"statusCode": 200}', b""],
)
def test_nothing_named_is_complete_success(payload: bytes) -> None:
    assert failed_ids(IDS, outcome(payload)) == []


def test_named_messages_stay_in_the_order_of_the_batch() -> None:
    payload = b'{"batchItemFailures": [{"itemIdentifier": "c"}, {"itemIdentifier": "a"}]}'
    assert failed_ids(IDS, outcome(payload)) == ["a", "c"]


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b'"text"',
        b"[]",
        b'{"batchItemFailures": "a"}',
        b'{"batchItemFailures": ["a"]}',
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"messageId": "a"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}]}',
    ],
)
def test_a_malformed_answer_fails_the_whole_batch(payload: bytes) -> None:
    assert failed_ids(IDS, outcome(payload)) == IDS


def test_an_error_of_the_function_fails_the_whole_batch_whatever_its_payload_says() -> None:
    assert failed_ids(IDS, outcome(b'{"batchItemFailures": []}', "ValueError")) == IDS


def test_messages_are_shared_out_by_whole_groups_in_order() -> None:
    messages = [
        {"MessageId": f"{group}{number}", "Attributes": {"MessageGroupId": group}}
        for number, group in enumerate("aabacbca")
    ]
    batches = [[message["MessageId"] for message in batch] for batch in by_groups(messages, 2)]
    assert batches == [["a0", "a1", "a3", "a7"], ["b2", "b5", "c4", "c6"]]
    assert sorted(len(batch) for batch in by_groups(messages, 3)) == [2, 2, 4]
    assert by_groups(messages, 1)[0] != []


def test_a_batch_whose_messages_could_not_be_deleted_was_delivered_all_the_same() -> None:
    class Sqs:
        """Gives one message, and is gone before it can be deleted."""

        given = False

        def receive_message(self, **_: Any) -> dict[str, Any]:
            message = {"MessageId": "a", "ReceiptHandle": "r", "Body": "", "MD5OfBody": ""}
            given, self.given = self.given, True
            return {"Messages": [] if given else [message | {"Attributes": {"MessageGroupId": "g"}}]}

        def delete_message_batch(self, **_: Any) -> None:
            raise ConnectionError("the queue is down")

    batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    errors: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    arn = "arn:aws:sqs:us-east-1:000000000000:q.fifo"
    mapping = EventSourceMapping(
        Sqs(), "q", arn, lambda _: outcome(b"{}"), concurrency=1, finished=batches.put, failed=errors.put
    )
    try:
        assert batches.get(timeout=30).message_ids == ("a",)
        assert isinstance(errors.get(timeout=30), ConnectionError)
    finally:
        mapping.stop()
