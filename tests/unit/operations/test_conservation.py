"""`payments conservation` shows what was kept of a day, and says by its exit code whether the two sides agree."""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Any

import pytest
from botocore.exceptions import ClientError

from handler.adapters.conservation import SumsBucket
from handler.domain.conservation import Difference, Owed, Sum, Sums
from operations import __main__ as cli
from operations.options import Call

DAY = date(2026, 11, 27)
AGREED = (Sum("captured", "JPY", 500, 500, 1, 1), Sum("captured", "USD", 1234, 1234, 2, 2))
LOST = Difference("not_in_items", "captured", "txn-lost", "pi_1", "pi_1", 0, "", 77, "USD")


class Aws:
    """S3 with one bucket, the table's description, and a function that answers as it is told."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.buckets: list[str] = []
        self.answer: dict[str, Any] = {}
        self.invoked: list[dict[str, Any]] = []

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self.buckets.append(Bucket)
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no such key"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}

    def put_object(self, *, Key: str, Body: bytes, **_: str) -> None:
        self.objects[Key] = Body

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        return {"Table": {"TableArn": f"arn:aws:dynamodb:eu-central-1:123456789012:table/{TableName}"}}

    def invoke(self, **asked: Any) -> dict[str, Any]:
        self.invoked.append(asked)
        said = {name: value for name, value in self.answer.items() if name != "FunctionError"}
        error = {"FunctionError": "Unhandled"} if "FunctionError" in self.answer else {}
        return {"Payload": io.BytesIO(json.dumps(said).encode()), **error}


@pytest.fixture
def aws(monkeypatch):
    world = Aws()
    monkeypatch.setattr(Call, "client", lambda self, service: world)
    return world


@pytest.fixture
def command(aws, capsys):
    def run(*arguments: str, bucket: str = "exports") -> tuple[int, str, str]:
        variables = {"AWS_REGION": "eu-central-1", "EXPORT_BUCKET": bucket}
        return cli.main(["conservation", *arguments], variables), *capsys.readouterr()

    return run


def keep(aws: Aws, *differences: Difference, owed: tuple[Owed, ...] = (), count: int = 0, day: date = DAY) -> None:
    sums = Sums(AGREED, differences, count or len(differences), owed, 3)
    SumsBucket(aws, "exports", "dev").keep_result(day, sums, 1_795_825_800_000)


def test_a_day_that_agrees_is_a_table_by_currency_in_its_own_digits(command, aws):
    keep(aws)
    code, output, errors = command("--date", "2026-11-27")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == "2026-11-27 in UTC, 3 items written: no differences"
    assert [line.split() for line in lines[1:]] == [
        ["CURRENCY", "BY", "THE", "ITEMS", "AT", "THE", "GATEWAY"],
        ["JPY", "captured", "500", "(1)", "500", "(1)"],
        ["USD", "captured", "12.34", "(2)", "12.34", "(2)"],
    ]


def test_each_difference_is_told_with_both_sides_and_ends_with_1(command, aws):
    other = Difference("other_amount", "refunded", "txn-a#refund#r", "re_1", "pi_a", 1000, "USD", 900, "EUR")
    keep(aws, LOST, other, count=5)
    code, output, _ = command("--date", "2026-11-27")
    assert code == 1
    assert "not_in_items: txn-lost captured pi_1: nothing by the item, 0.77 USD at the gateway" in output
    assert "other_amount: txn-a#refund#r refunded re_1: 10.00 USD by the item, 9.00 EUR at the gateway" in output
    assert "and 3 more, which are in the sums alone" in output


def test_what_reconcile_owes_is_told_and_is_no_difference(command, aws):
    keep(aws, owed=(Owed("captured", "pi_b", "pi_b", "b", ""),))
    code, output, _ = command("--date", "2026-11-27")
    assert (code, "owed: b captured pi_b" in output) == (0, True)


def test_the_answer_as_json_is_what_was_kept(command, aws):
    keep(aws, LOST)
    code, output, _ = command("--date", "2026-11-27", "--json")
    assert (code, json.loads(output)) == (1, json.loads(aws.objects["conservation/results/2026-11-27.json"]))


def test_without_a_date_it_is_yesterday(command, aws, monkeypatch):
    monkeypatch.setattr("operations.conservation.SystemClock.now_ms", lambda _: 1_795_825_800_000 + 3_600_000)
    keep(aws, day=DAY)
    assert command()[0] == 0
    monkeypatch.setattr("operations.conservation.SystemClock.now_ms", lambda _: 1_795_825_800_000 + 86_400_000)
    assert command()[0] == 3


def test_a_day_without_sums_is_not_there_and_says_where_to_look(command, aws):
    code, output, errors = command("--date", "2026-11-27")
    assert (code, output) == (3, "")
    assert "there are no sums of 2026-11-27: they are made from 2026-11-28T00:30:00Z on" in errors
    assert "/aws/lambda/payment-processor-dev-conservation" in errors


def test_without_a_variable_the_bucket_has_the_name_of_its_account_and_region(command, aws):
    command("--date", "2026-11-27", bucket="")
    assert aws.buckets == ["cloudcafe-exports-dev-123456789012-eu-central-1"]


def test_run_lets_the_function_make_the_day_first(command, aws):
    keep(aws)
    aws.answer = {"day": "2026-11-27", "is_made": True, "differences": 0}
    assert command("--date", "2026-11-27", "--run")[0] == 0
    (asked,) = aws.invoked
    assert (asked["FunctionName"], asked["Payload"]) == ("payment-processor-dev-conservation", b'{"day": "2026-11-27"}')


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"is_made": False}, "are not made yet: /aws/lambda/payment-processor-dev-conservation says why"),
        (
            {"FunctionError": "Unhandled", "errorMessage": "2026-11-28 has not ended"},
            "failed: 2026-11-28 has not ended",
        ),
    ],
)
def test_a_run_that_did_not_get_to_the_end_says_so_and_shows_nothing(command, aws, answer, said):
    keep(aws)
    aws.answer = answer
    code, output, errors = command("--date", "2026-11-27", "--run")
    assert (code, output, said in errors) == (1, "", True)
    refusal = json.loads(command("--date", "2026-11-27", "--run", "--json")[2])
    assert (refusal["exit_code"], said in refusal["error"]) == (1, True)


@pytest.mark.parametrize("wrong", ["yesterday", "2026-11-32", "27.11.2026"])
def test_a_date_that_is_none_is_wrong_usage(command, aws, wrong):
    assert command("--date", wrong)[0] == 2
