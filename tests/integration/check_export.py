"""`payments export` on what `make up` starts, from a payment to a line of the file (`make test-commands`)."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path

import boto3
import pytest

from handler.adapters.table.expressions import to_attributes
from tests.support.commands import Up, payment
from tests.support.payments import whole_item


def test_what_a_period_settled_is_exported_and_an_interrupted_export_goes_on(
    payments: Up, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in payments.exports.items():
        monkeypatch.setenv(name, value)
    dynamodb = boto3.client("dynamodb")
    table = payments.exports["DYNAMODB_TABLE"]
    # A period that has passed, as a minute of today's would have to.
    for payment_id, day in (("settled-1", 3), ("settled-2", 1), ("settled-3", 4)):
        item = whole_item(
            {"status": "completed", "payment_id": payment_id, "processed_at": f"2026-01-0{day}T00:00:00Z"},
            transaction_id=f"txn-{payment_id}",
            order_id="=HYPERLINK(1)" if payment_id == "settled-1" else "ord-1",
        )
        dynamodb.put_item(TableName=table, Item=to_attributes(item))
    payments("send", payment("settled-today"), "--yes")
    payments.until("status", "settled-today", holds=lambda document: document["status"] == "completed")
    period = ("--from", "2026-01-01", "--to", "2026-01-04")
    answer = payments("export", *period)
    assert answer.code == 0, answer
    head, *rows = csv.reader(io.StringIO(answer.said, newline=""))
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(row["payment_id"], row["amount"], row["order_id"]) for row in found] == [
        ("settled-2", "25.99", "ord-1"),
        ("settled-1", "25.99", "'=HYPERLINK(1)"),
    ]
    assert "2 rows of the table of" in answer.errors
    assert "USD: payment 51.98, refund 0.00" in answer.errors
    # It goes on with what was begun, and pays for no other.
    arn = re.search(r"arn:aws:dynamodb:\S+/export/\S+", answer.errors)
    assert arn
    begun = dynamodb.list_exports()["ExportSummaries"]
    again = payments("export", *period, "--export-arn", arn[0], "--output", str(tmp_path / "january.csv"), "--json")
    assert (again.code, again.documents[0]["rows"]) == (0, 2), again
    assert (tmp_path / "january.csv").read_bytes().decode() == answer.said
    assert dynamodb.list_exports()["ExportSummaries"] == begun
    assert answer.said == payments("export", *period, "--export-arn", arn[0]).said
    today = payments("export", *period, "--export-arn", f"{arn[0]}0")
    assert (today.code, "Export not found" in today.errors) == (3, True), today
    near = payments("export", "--from", "2026-01-01", "--to", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    assert (near.code, "Choose an earlier --to, or wait" in near.errors) == (2, True), near


def test_an_export_that_is_refused_or_fails_says_what_to_do(payments: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in payments.exports.items():
        monkeypatch.setenv(name, value)
    period = ("--from", "2026-01-01", "--to", "2026-01-04")
    lost = payments("export", *period, EXPORT_BUCKET="not-there")
    assert (lost.code, "`make apply` makes the bucket" in lost.errors) == (1, True), lost
    dynamodb, table = boto3.client("dynamodb"), payments.exports["DYNAMODB_TABLE"]

    def recovery(is_on: bool) -> None:
        wanted = {"PointInTimeRecoveryEnabled": is_on}
        dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=wanted)

    recovery(False)
    off = payments("export", *period)
    recovery(True)
    assert (off.code, "Terraform's point_in_time_recovery switches it on" in off.errors) == (1, True), off
    early = payments("export", *period, "--at", "2026-01-05T00:00:00Z")
    assert (early.code, "Take an --at since point-in-time recovery was" in early.errors) == (1, True), early
