"""`payments export` over exports in memory: what is written, what is paid for, and what is refused with what to do."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operations import __main__ as cli
from operations.options import Call
from operations.settled import Row
from tests.support.exports import BUCKET, EXPORT_ARN, TABLE_ARN, Bucket, Table, bucket, described
from tests.support.payments import whole_item

PERIOD = ["--from", "2026-11-01", "--to", "2026-11-28"]
HEAD = ",".join(Row._fields)


def payment(name: str, **other: Any) -> dict[str, Any]:
    stated = {"payment_id": name, "processed_at": "2026-11-10T12:00:00Z", "status": "completed", **other}
    return whole_item({}, transaction_id=f"txn-{name}", **stated)


class Asked:
    """What a command was answered, and what was begun and waited for."""

    def __init__(self) -> None:
        self.table = Table(described())
        self.s3 = bucket([payment("a"), payment("b", status="declined")])
        self.slept: list[float] = []


@pytest.fixture
def asked(monkeypatch):
    world = Asked()
    monkeypatch.setattr(Call, "client", lambda self, service: {"dynamodb": world.table, "s3": world.s3}[service])
    monkeypatch.setattr("operations.export.time.sleep", world.slept.append)
    now = datetime.fromisoformat("2026-11-28T22:00:00Z").timestamp()
    monkeypatch.setattr("operations.export.time.time", lambda: now)
    return world


@pytest.fixture
def command(asked, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        return cli.main(
            ["export", *arguments], {"EXPORT_BUCKET": BUCKET, "AWS_REGION": "us-east-1"}
        ), *capsys.readouterr()

    return run


def test_rows_go_to_standard_output_as_csv_and_what_happens_to_standard_error(command, asked):
    code, output, errors = command(*PERIOD)
    assert code == 0
    head, *lines = csv.reader(io.StringIO(output, newline=""))
    assert ",".join(head) == HEAD
    found = [dict(zip(head, line, strict=True)) for line in lines]
    assert [(each["payment_id"], each["status"], each["amount"], each["refunded"]) for each in found] == [
        ("a", "completed", "25.99", "0.00"),
        ("b", "declined", "25.99", ""),
    ]
    assert f"{EXPORT_ARN} was begun; after an interruption, --export-arn with it goes on" in errors
    assert f"2 rows of the table of 2026-11-28T22:00:00Z, {EXPORT_ARN}\n  USD: payment 25.99, refund 0.00" in errors
    (begun,) = asked.table.asked
    assert (begun["TableArn"], begun["S3Bucket"], "ExportTime" in begun) == (TABLE_ARN, BUCKET, False)


def test_json_has_a_row_a_line_with_whole_numbers_and_decimal_text(command):
    code, output, errors = command(*PERIOD, "--json")
    rows = [json.loads(line) for line in output.splitlines()]
    assert code == 0
    assert [(row["payment_id"], row["amount_minor"], row["amount"]) for row in rows] == [
        ("a", 2599, "25.99"),
        ("b", 2599, "25.99"),
    ]
    said = [json.loads(line) for line in errors.splitlines()]
    assert said[0] == {"export_arn": EXPORT_ARN}
    assert (said[-1]["rows"], said[-1]["totals_minor"]["USD"]["payment"]) == (2, 2599)


def test_a_file_is_its_owners_alone_and_there_once_it_is_whole(command, asked, tmp_path):
    path = tmp_path / "november.csv"
    path.write_text("what was there")
    asked.s3.objects.pop(next(key for key in asked.s3.objects if "/data/" in key))
    code, output, errors = command(*PERIOD, "--output", str(path))
    assert (code, output, path.read_text()) == (1, "", "what was there")
    assert "is missing. Nothing was written. To do:" in errors
    asked.s3 = bucket([payment("a")])
    code, output, _ = command(*PERIOD, "--output", str(path), "--json")
    assert (code, json.loads(output)["output"], json.loads(output)["rows"]) == (0, str(path), 1)
    assert path.read_bytes().startswith(f"{HEAD}\r\npayment,2026-11-10T12:00:00Z,a,".encode())
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_leads_to_the_file_that_is_written(command, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "november.csv")
    assert command(*PERIOD, "--output", str(tmp_path / "link.csv"))[0] == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "november.csv").read_text().startswith(HEAD)


@pytest.mark.parametrize("name", ["nowhere/november.csv", ".", "pipe"])
def test_where_nothing_can_be_written_nothing_is_paid_for(command, asked, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    code, _, errors = command(*PERIOD, "--output", name)
    assert (code, f"{name} cannot be written" in errors, asked.table.asked) == (2, True, [])
    # The name of a file that nobody named.
    assert "/." not in errors


def test_an_export_that_was_begun_goes_on_and_none_is_paid_for_again(command, asked):
    in_progress = described(ExportStatus="IN_PROGRESS")
    asked.table = Table(*[in_progress] * 3, described())
    code, output, errors = command(*PERIOD, "--export-arn", EXPORT_ARN)
    assert (code, asked.table.asked, len(asked.slept)) == (0, [], 3)
    assert "was begun" not in errors
    assert output == command(*PERIOD)[1]


def test_an_interruption_leaves_no_file_and_has_said_how_it_goes_on(command, asked, tmp_path, monkeypatch):
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("operations.export.time.sleep", interrupted)
    asked.table = Table(described(ExportStatus="IN_PROGRESS"))
    code, _, errors = command(*PERIOD, "--output", str(tmp_path / "november.csv"))
    assert (code, list(tmp_path.iterdir())) == (130, [])
    assert f"{EXPORT_ARN} was begun" in errors


def test_an_export_that_takes_long_says_so_from_time_to_time(command, asked, monkeypatch):
    now = iter(range(0, 10_000, 20))
    monkeypatch.setattr("operations.export.time.monotonic", lambda: next(now))
    asked.table = Table(*[described(ExportStatus="IN_PROGRESS")] * 6, described())
    assert "in progress for 40 s" in command(*PERIOD)[2]


def test_the_table_of_a_moment_is_asked_for(command, asked):
    assert command(*PERIOD, "--at", "2026-11-28T20:00:00Z")[0] == 0
    assert asked.table.asked[0]["ExportTime"] == datetime(2026, 11, 28, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "2026-11-02", "--to", "2026-11-02"], "--from must be before --to"),
        (["--from", "2026-11-01", "--to", "tomorrow"], "must be as 2026-11-27 or 2026-11-27T00:00:00Z"),
        (["--from", "2026-02-30", "--to", "2026-11-28"], "day is out of range"),
        (["--to", "2026-11-28"], "Missing option '--from'"),
        ([*PERIOD, "--at", "2026-11-28"], "must be as 2026-11-27T00:00:00Z"),
        ([*PERIOD, "--at", "2026-11-28T22:00:00Z", "--export-arn", EXPORT_ARN], "--at is of a new export"),
        ([*PERIOD, "--at", "2026-11-28T00:00:59Z"], "the export must be of 2026-11-28T00:01:00Z or later"),
        (["--from", "2026-11-01", "--to", "9998-12-31"], "Choose an earlier --to, or wait"),
        (["--from", "2026-11-01", "--to", "9999-12-31T23:59:30Z"], "must be in the years 1970 to 9998"),
        (["--from", "1969-12-31", "--to", "2026-11-02"], "must be in the years 1970 to 9998"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_paid_for(command, asked, words, said):
    code, _, errors = command(*words)
    assert (code, said in errors, asked.table.asked) == (2, True, [])


@pytest.mark.parametrize(
    ("other", "code", "said"),
    [
        ({"ExportTime": datetime(2026, 11, 28, 0, 0, 59, tzinfo=UTC)}, 2, "the table of 2026-11-28T00:00:59Z may lack"),
        ({"ExportType": "INCREMENTAL_EXPORT"}, 1, "has the changes of a window"),
        (
            {"ExportStatus": "FAILED", "FailureCode": "S3NoSuchBucket", "FailureMessage": "It is not there"},
            1,
            "S3NoSuchBucket: It is not there. To do: `make apply` makes the bucket",
        ),
        ({"ExportStatus": "FAILED", "FailureCode": "AccessDenied"}, 1, "To do: whoever exports needs s3:PutObject"),
        ({"ExportStatus": "FAILED", "FailureCode": "KMSError"}, 1, "To do: whoever exports needs kms:Decrypt"),
        ({"ExportStatus": "FAILED", "FailureCode": "UNKNOWN"}, 1, "To do: run it again without --export-arn"),
    ],
)
def test_an_export_that_cannot_be_taken_says_why_and_what_to_do(command, asked, other, code, said):
    asked.table = Table(described(**other))
    answer = command(*PERIOD, "--export-arn", EXPORT_ARN)
    assert (answer[0], answer[1], said in answer[2]) == (code, "", True), answer


def test_an_export_of_another_table_is_refused(command):
    code, _, errors = command(*PERIOD, "--export-arn", "arn:aws:dynamodb:us-east-1:1:table/other/export/1")
    assert (code, f"is no export of {TABLE_ARN}" in errors) == (1, True)


DENIED = (
    "User: arn:aws:iam::1:user/a is not authorized to perform: dynamodb:ExportTableToPointInTime on resource: arn:t"
)


@pytest.mark.parametrize(
    ("error", "message", "told"),
    [
        (
            "PointInTimeRecoveryUnavailableException",
            "Point in time recovery is not enabled for table 't'",
            (1, "Terraform's point_in_time_recovery switches it on"),
        ),
        ("InvalidExportTimeException", "out of the window", (1, "Take an --at since point-in-time recovery was")),
        ("ExportConflictException", "a conflict", (1, "--export-arn goes on with it")),
        ("LimitExceededException", "too many", (1, "run it again later")),
        ("TableNotFoundException", "Table not found", (3, "--environment dev --region us-east-1")),
        ("ExportNotFoundException", "Export not found", (3, "--environment dev --region us-east-1")),
        ("AccessDeniedException", DENIED, (4, "user/a may not dynamodb:ExportTableToPointInTime on arn:t")),
    ],
)
def test_what_dynamodb_refuses_says_what_to_do(command, asked, error, message, told):
    def refuses(**request: Any) -> Any:
        raise ClientError({"Error": {"Code": error, "Message": message}}, "ExportTableToPointInTime")

    asked.table.export_table_to_point_in_time = refuses
    code, output, errors = command(*PERIOD)
    assert (code, output, told[1] in errors) == (told[0], "", True), errors
    assert message in errors or code == 4


def test_a_permission_that_is_missing_for_a_file_names_it(command, asked):
    key = next(key for key in asked.s3.objects if "/data/" in key)
    asked.s3.denied[key] = "Access Denied"
    code, output, errors = command(*PERIOD)
    assert (code, output) == (4, "")
    assert f"may not s3:GetObject on arn:aws:s3:::{BUCKET}/{key}" in errors


def test_an_item_that_cannot_be_read_is_told_and_hides_no_other(command, asked):
    asked.s3 = bucket([payment("a"), {**payment("b"), "amount_minor": "x"}, {**payment("c"), "status": "paid"}])
    code, output, errors = command(*PERIOD)
    assert (code, output.count("\n"), ",a,ord-123," in output) == (1, 2, True)
    assert "txn-b (completed) has amount_minor of another type than it must: it is in no row" in errors
    assert "txn-c is 'paid'" in errors


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20"]
)
def test_a_text_that_a_spreadsheet_takes_for_a_formula_is_made_text(command, asked, text):
    asked.s3 = bucket([payment("a", order_id=text)])
    _, row = csv.reader(io.StringIO(command(*PERIOD)[1], newline=""))
    assert dict(zip(Row._fields, row, strict=True))["order_id"] == f"'{text}"
    document = json.loads(command(*PERIOD, "--json")[1])
    assert document["order_id"] == text


def test_nothing_personal_and_no_token_is_in_the_file(command, asked):
    personal = {
        "customer_id": "cust-secret",
        "request": '{"payment_token": "pm_secret"}',
        "shown": {"name": "Ada Secret", "email": "secret@example.com", "address": "Secret Street", "hits": []},
        "decided_by": "secret@example.com",
        "fingerprint": "secret",
        "cancel_reason": "secret",
    }
    asked.s3 = bucket([payment("a", **personal), payment("b", status="cancelled", **personal)])
    code, output, errors = command(*PERIOD)
    assert (code, output.count("\n")) == (0, 3), errors
    assert "secret" not in (output + errors).lower()


def test_the_bucket_is_found_by_the_tables_account_and_region_where_no_variable_names_it(asked):
    assert cli.main(["export", *PERIOD, "--environment", "prod"], {"EXPORT_BUCKET": "of-dev"}) == 0
    assert asked.table.asked[0]["S3Bucket"] == "cloudcafe-exports-prod-000000000000-us-east-1"


def test_a_bucket_of_no_objects_is_told(command, asked):
    asked.s3 = Bucket({})
    code, _, errors = command(*PERIOD)
    assert (code, "manifest-summary.checksum is missing" in errors) == (1, True)
