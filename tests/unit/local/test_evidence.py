"""What a run reads of its services: all pages of it, as each service ends a page where it likes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from local import stream
from local.evidence import cloudwatch_logs


@pytest.fixture
def stubbed() -> Iterator[Any]:
    stubbers: list[Stubber] = []

    def make(service: str) -> tuple[Any, Stubber]:
        client = boto3.client(service, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        stubbers.append(Stubber(client))
        stubbers[-1].activate()
        return client, stubbers[-1]

    yield make
    for stubber in stubbers:
        stubber.assert_no_pending_responses()


def test_payments_with_a_person_are_counted_on_every_page_of_the_table(stubbed: Any) -> None:
    client, stubber = stubbed("dynamodb")
    for count, last in ((0, "txn-1"), (0, "txn-2"), (2, "")):
        more = {"LastEvaluatedKey": {"transaction_id": {"S": last}}} if last else {}
        stubber.add_response("scan", {"Count": count, **more})
    system: Any = SimpleNamespace(clients={"dynamodb": client}, names=SimpleNamespace(table="t"))
    assert stream._waiting(system) == 2


def test_log_groups_and_lines_are_read_to_the_last_page(stubbed: Any) -> None:
    client, stubber = stubbed("logs")
    stubber.add_response("describe_log_groups", {"logGroups": [{"logGroupName": "one"}], "nextToken": "more"})
    stubber.add_response("describe_log_groups", {"logGroups": [{"logGroupName": "two"}]})
    stubber.add_response("filter_log_events", {"events": [{"message": "a"}], "nextToken": "more"})
    stubber.add_response("filter_log_events", {"events": [{"message": "b"}]})
    stubber.add_response("filter_log_events", {"events": []})
    assert cloudwatch_logs(client) == {"one": "a\nb", "two": ""}
