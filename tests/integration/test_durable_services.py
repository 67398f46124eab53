"""ministack with a journal: what it answered before `kill -9` is there when it comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.ministack import check_disk
from local.process_group import ProcessGroup
from local.system import client
from tests.faults.services import DurableServices

FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "600"}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableServices]:
    folder = tmp_path_factory.mktemp("services")
    check_disk(folder)
    with ProcessGroup() as processes:
        services = DurableServices(processes, folder)
        services.watch(pytest.fail)
        yield services
        services.stop()


def crash(services: DurableServices) -> None:
    starts = services.starts
    assert services.crash(0.0)
    while services.starts == starts:
        time.sleep(0.02)


def test_messages_and_what_became_of_them_survive(services: DurableServices) -> None:
    sqs = client("sqs", services.url)
    url = sqs.create_queue(QueueName="q.fifo", Attributes=FIFO)["QueueUrl"]
    services.snapshot()
    sent = [
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)
        for body, group in (("a", "one"), ("b", "two"), ("c", "two"), ("d", "one"))
    ]
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    assert [each["Body"] for each in received] == ["a"]
    crash(services)
    # The first is still with whoever received it, and holds its group; a repetition is known.
    received += sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [each["Body"] for each in received] == ["a", "b", "c"]
    again = sqs.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="one")
    assert again["MessageId"] == sent[0]["MessageId"]
    for each in received:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    crash(services)
    left = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])["Messages"]
    assert [each["Body"] for each in left] == ["d"]
    assert left[0]["Attributes"]["ApproximateReceiveCount"] == "1"
    later = sqs.send_message(QueueUrl=url, MessageBody="e", MessageGroupId="three")
    assert int(later["SequenceNumber"]) > int(sent[3]["SequenceNumber"])


def test_items_survive_as_they_were_written_last(services: DurableServices) -> None:
    dynamodb = client("dynamodb", services.url)
    dynamodb.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "transaction_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "transaction_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    services.snapshot()

    def put(name: str, **more: Any) -> None:
        dynamodb.put_item(TableName="table", Item={"transaction_id": {"S": name}, **more})

    put("kept", n={"N": "1"})
    put("gone")
    put("changed", n={"N": "1"})
    dynamodb.delete_item(TableName="table", Key={"transaction_id": {"S": "gone"}})
    dynamodb.update_item(
        TableName="table",
        Key={"transaction_id": {"S": "changed"}},
        UpdateExpression="SET n = :two",
        ExpressionAttributeValues={":two": {"N": "2"}},
    )
    crash(services)
    pages = dynamodb.get_paginator("scan").paginate(TableName="table")
    items = {item["transaction_id"]["S"]: item["n"]["N"] for page in pages for item in page["Items"]}
    assert items == {"kept": "1", "changed": "2"}


def test_a_line_of_the_journal_that_was_cut_had_no_answer(services: DurableServices) -> None:
    sqs = client("sqs", services.url)
    url = sqs.create_queue(QueueName="cut.fifo", Attributes=FIFO)["QueueUrl"]
    services.snapshot()
    sqs.send_message(QueueUrl=url, MessageBody="whole", MessageGroupId="g")
    [journal] = Path(services.log_path.parent).glob("state/journal")
    with journal.open("ab") as file:
        file.write(b'{"queue":["000000000000","us-east-1","')
    crash(services)
    sqs.send_message(QueueUrl=url, MessageBody="after", MessageGroupId="h")
    crash(services)
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [each["Body"] for each in found] == ["whole", "after"]
