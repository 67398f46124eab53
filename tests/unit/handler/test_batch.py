"""What a batch is: every record of it is settled or returned, and what is none is an error and not an empty batch."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest

from handler.adapters.memory_queues import MemorySourceQueue
from handler.batch import NotABatchError, messages_of
from handler.domain.errors import GatewayUnavailableError
from handler.queue_function import QueueFunction
from tests.support.payments import CARD, World, body, record
from tests.support.queue_function import Context, batch, create_function, metrics_of

SAME_ID = "00000000-0000-4000-8000-000000000001"
PAYMENT = {"order_id": "ord-1", "customer_id": "cust-1", "amount": 25.99, "payment_method": "credit_card"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def source_queue() -> MemorySourceQueue:
    return MemorySourceQueue()


@pytest.fixture
def function(world: World, source_queue: MemorySourceQueue) -> QueueFunction:
    return create_function(world, source_queue, io.StringIO(), world.rules)


def twins(*groups: str) -> dict[str, Any]:
    """Records of one message id with a payment each."""
    return batch(
        *(record(body(payment_id=f"same-{place}"), SAME_ID, group) for place, group in enumerate(groups, start=1))
    )


def test_two_records_with_one_message_id_are_two_payments(function, world):
    response = function(twins("gA", "gB"), Context())
    assert (response["body"]["processed"], response["batchItemFailures"]) == (2, [])
    assert {world.item(f"txn-same-{place}")["status"] for place in (1, 2)} == {"completed"}


@pytest.mark.parametrize("failing", [0, 1])
def test_of_two_records_with_one_message_id_a_failure_returns_both_and_charges_each_once(function, world, failing):
    world.gateway.scripts["prepare"] = [None] * failing + [GatewayUnavailableError("503")]
    response = function(twins("gA", "gB"), Context())
    assert response["batchItemFailures"] == [{"itemIdentifier": SAME_ID}]
    assert (response["body"]["processed"], response["body"]["failed"]) == (1, 1)
    # Lambda deletes neither and both come again.
    assert function(twins("gA", "gB"), Context())["batchItemFailures"] == []
    assert world.gateway.calls.count("charge") == 2
    assert {world.item(f"txn-same-{place}")["status"] for place in (1, 2)} == {"completed"}


def test_copies_of_two_messages_with_one_message_id_are_both_kept(function, world):
    function(batch(record("not json", SAME_ID, "gA"), record("[]", SAME_ID, "gB")), Context())
    assert [reason for *_, reason in world.rejected.messages] == ["not_json", "not_an_object"]
    # The rejected queue drops what comes under an id that it has seen.
    assert len({kept.message_id for kept, *_ in world.rejected.messages}) == 2


def test_what_is_settled_while_its_twin_fails_waits_with_it(function, world, source_queue):
    world.gateway.scripts["prepare"] = [GatewayUnavailableError("503")]
    function(twins("gA", "gB"), Context())
    assert source_queue.delays == [(SAME_ID, 5), (SAME_ID, 5)]


SECRET = f"payment of {CARD}"


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"payment_id": "raw-1", **PAYMENT}, "it has no Records"),
        ({"payment_id": SECRET}, "it has no Records"),
        ({"records": []}, "it has no Records"),
        ([{"body": body()}], "it is list and not an object"),
        (SECRET, "it is str and not an object"),
        (None, "it is missing and not an object"),
        ({"Records": None}, "its Records are missing and not a list"),
        ({"Records": {"body": SECRET}}, "its Records are dict and not a list"),
        ({"Records": [{"body": body()}, SECRET]}, "record 1 is str and not an object"),
        ({"Records": [{"messageId": "m-1"}]}, "the body of record 0 is missing and not text"),
        ({"Records": [{"body": None}]}, "the body of record 0 is missing and not text"),
        ({"Records": [{"body": {"payment_id": SECRET}}]}, "the body of record 0 is dict and not text"),
        ({"Records": [{"eventSource": "aws:kinesis", "body": body()}]}, "record 0 has another source than aws:sqs"),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": body()}}]}, "the body of record 0 is missing"),
    ],
)
def test_an_event_that_is_no_batch_is_an_error_that_says_why_and_repeats_nothing_of_it(
    function, world, capsys, event, why
):
    with pytest.raises(NotABatchError, match="the event is no SQS batch") as caught:
        function(event, Context())
    assert why in str(caught.value)
    assert CARD not in str(caught.value)
    assert (world.dynamodb.items, world.rejected.messages) == ({}, [])
    assert metrics_of(capsys.readouterr().out)["LambdaErrors"] == [1.0]


@pytest.mark.parametrize("attributes", [None, [], "x", {}, {"MessageGroupId": None, "SequenceNumber": 7}])
def test_a_record_whose_attributes_say_nothing_is_settled_like_one_without(function, world, attributes):
    response = function(batch({"messageId": "1", "body": body(), "attributes": attributes}), Context())
    assert (response["body"]["processed"], response["batchItemFailures"]) == (1, [])
    assert world.item()["status"] == "completed"
    assert "message_group_id" not in world.item()


@pytest.mark.parametrize(
    "beside",
    [
        {"messageAttributes": None},
        {"messageAttributes": {"trace": {"dataType": "Binary", "binaryValue": "AAE="}}},
        {"messageId": None},
        {"messageId": 7},
        {"receiptHandle": None},
        {"receiptHandle": 7, "md5OfBody": None, "isBase64Encoded": False},
    ],
)
def test_what_else_stands_in_a_record_decides_nothing(function, beside):
    assert function(batch({**record(body()), **beside}), Context())["body"]["processed"] == 1


def test_a_body_in_base64_is_no_payment_and_its_copy_is_kept(function, world):
    encoded = base64.b64encode(body().encode()).decode()
    assert function(batch(record(encoded)), Context())["body"]["failed"] == 1
    assert [reason for *_, reason in world.rejected.messages] == ["not_json"]


@pytest.mark.parametrize(
    ("count", "receives"),
    [("3", 3), (3, 3), (None, 1), (True, 1), ("0", 1), ("-2", 1), ("many", 1), (2.5, 1), ("٣", 1), ("9" * 5000, 1)],
)
def test_a_receive_count_is_a_whole_number_or_the_first(count, receives):
    attributes = {"attributes": {"ApproximateReceiveCount": count}}
    [read] = messages_of({"Records": [{"body": body(), **attributes}]}, lambda: "new")
    assert (read.receives, read.message_id) == (receives, "new")


def test_conflicts_are_told_apart_from_what_was_charged(function, capsys):
    response = function(batch(record(body()), record(body(amount=1), "m-2"), record(body(), "m-3")), Context())
    assert (response["body"]["processed"], response["body"]["conflicts"]) == (3, 1)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["Conflicts"] == [1.0]
