"""The sums of a day on what `make up` starts: items of its table's export, what its bucket keeps, and the command."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

import boto3
import pytest

from handler.adapters.conservation import ExportedChanges, SumsBucket
from handler.adapters.support.standard import BotocoreClient
from handler.adapters.table.export import TableExports
from handler.domain.conservation import Difference, Sum, Sums
from handler.domain.conservation_run import day_of
from handler.domain.payment import Movement
from tests.support.commands import Up, payment

DAY = date(2026, 1, 2)
AGREED = Sums((Sum("captured", "USD", 2599, 2599, 1, 1),), (), 0, (), 1)
LOST = Difference("not_in_items", "captured", "txn-lost", "pi_1", "pi_1", 0, "", 77, "USD")


@pytest.fixture
def kept(payments: Up, monkeypatch: pytest.MonkeyPatch) -> SumsBucket:
    for name, value in payments.exports.items():
        monkeypatch.setenv(name, value)
    return SumsBucket(BotocoreClient(boto3.client("s3")), "cloudcafe-exports-dev-000000000000-us-east-1", "dev")


def test_a_day_is_shown_as_it_was_kept_first(payments: Up, kept: SumsBucket) -> None:
    missing = payments("conservation", "--date", str(DAY))
    assert (missing.code, "there are no sums of 2026-01-02" in missing.errors) == (3, True), missing
    kept.keep_result(DAY, AGREED, 0)
    kept.keep_result(DAY, AGREED._replace(differences=(LOST,), difference_count=1), 0)
    answer = payments("conservation", "--date", str(DAY))
    assert (answer.code, "no differences" in answer.said) == (0, True), answer
    (document,) = payments("conservation", "--date", str(DAY), "--json").documents
    assert document["sums"][0]["gateway_minor"] == 2599
    # Locally no function makes them: the gateway that approves everything has no lists.
    assert payments("conservation", "--date", str(DAY), "--run").code == 3


def test_differences_end_with_1_and_are_told(payments: Up, kept: SumsBucket) -> None:
    kept.keep_result(date(2026, 1, 3), AGREED._replace(differences=(LOST,), difference_count=1), 0)
    answer = payments("conservation", "--date", "2026-01-03")
    assert (answer.code, "not_in_items: txn-lost captured pi_1" in answer.said) == (1, True), answer


def test_the_items_of_a_day_come_from_an_export_of_the_table_and_hours_are_kept_once(
    payments: Up, kept: SumsBucket
) -> None:
    payments("send", payment("sums-1"), "--yes")
    payments.until("status", "sums-1", holds=lambda document: document["status"] == "completed")
    dynamodb = BotocoreClient(boto3.client("dynamodb"))
    table = dynamodb.describe_table(TableName=payments.exports["DYNAMODB_TABLE"])["Table"]
    exports = TableExports(dynamodb, BotocoreClient(boto3.client("s3")), table["TableArn"], kept._bucket)
    # So that the second has passed, as a day must have.
    time.sleep(1.1)
    until = 1000 * int(time.time())
    changes, found = ExportedChanges(exports, kept, 0), None
    for _ in range(60):
        if (found := changes.between(until - 20 * 60_000, until)) is not None:
            break
        time.sleep(0.5)
    assert found is not None
    assert {"txn-sums-1"} <= {item["transaction_id"] for item in found}
    begun = datetime.fromtimestamp(until / 1000, UTC).date()
    assert exports.find(kept.export_arn(begun)).since == until - 20 * 60_000
    movement = Movement("captured", "pi_1", "pi_1", "sums-1", "done", 2599, "USD", until)
    kept.keep_hour(day_of(until), -1, [movement])
    kept.keep_hour(day_of(until), -1, [])
    assert kept.hour(day_of(until), -1) == [movement]
    assert kept.hour(day_of(until), 0) is None
