"""The avalanche on AWS afterwards: CloudWatch's metrics, the table's items, and what was predicted."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from benchmarks.avalanche import cloudwatch, prediction, published, settled, view
from benchmarks.avalanche.deployed import Function
from benchmarks.avalanche.parameters import Traffic
from benchmarks.avalanche.simulation import simulate
from local.evidence import Sent
from tests.support.avalanche import GOOD, target


def client(name: str) -> Any:
    return boto3.client(name, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


BEGUN = datetime(2026, 11, 27, 0, 0, 30, tzinfo=UTC)


def result(name: str, minutes: list[int], values: list[float]) -> dict[str, Any]:
    timestamps = [BEGUN.replace(second=0) + timedelta(minutes=minute) for minute in minutes]
    return {"Id": name, "Timestamps": timestamps, "Values": values, "StatusCode": "Complete"}


def test_every_page_of_the_metrics_is_read_and_a_metric_without_points_is_empty(tmp_path):
    metrics = [each for each in cloudwatch.metrics_of(target(tmp_path)) if each.name in ("processed", "throttles")]
    api = client("cloudwatch")
    asked = {
        "MetricDataQueries": [
            {
                "Id": "throttles",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Lambda",
                        "MetricName": "Throttles",
                        "Dimensions": [{"Name": "FunctionName", "Value": "cloudcafe-payment-processor-dev"}],
                    },
                    "Period": 60,
                    "Stat": "Sum",
                },
            },
            {
                "Id": "processed",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "CloudCafe/Lambda",
                        "MetricName": "ProcessedPayments",
                        "Dimensions": [
                            {"Name": "environment", "Value": "dev"},
                            {"Name": "service", "Value": "payment-processor"},
                        ],
                    },
                    "Period": 60,
                    "Stat": "Sum",
                },
            },
        ],
        "StartTime": BEGUN.replace(second=0),
        "EndTime": BEGUN + timedelta(minutes=9),
        "ScanBy": "TimestampAscending",
    }
    with Stubber(api) as stub:
        first = [result("throttles", [], []), result("processed", [1], [40.0])]
        stub.add_response("get_metric_data", {"MetricDataResults": first, "NextToken": "more"}, asked)
        second = [result("processed", [2, 0], [60.0, 5.0])]
        stub.add_response("get_metric_data", {"MetricDataResults": second}, {**asked, "NextToken": "more"})
        found = cloudwatch.read(api, metrics, BEGUN, BEGUN + timedelta(minutes=9))
        stub.assert_no_pending_responses()
    assert found == {
        "throttles": {"statistic": "Sum", "points": []},
        "processed": {"statistic": "Sum", "points": [(-30.0, 5.0), (30.0, 40.0), (90.0, 60.0)]},
    }
    output = io.StringIO()
    Console(file=output, width=120).print(
        view.series_table(found, {"processed": {"points": [(-30.0, 98.0), (30.0, 1.0)]}})
    )
    rows = {line.split()[1]: line for line in output.getvalue().splitlines() if "total" in line}
    assert "105" in rows["processed"]
    assert "99" in rows["processed"]
    assert rows["throttles"].count("-") == 2


class Late:
    """CloudWatch whose processed payments come one read later each."""

    def __init__(self, *processed: float) -> None:
        self.processed = list(processed)
        self.reads = 0

    def get_paginator(self, name: str) -> Late:
        return self

    def paginate(self, MetricDataQueries: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
        value = self.processed[min(self.reads, len(self.processed) - 1)]
        self.reads += 1
        return [{"MetricDataResults": [result("processed", [0], [value])]}]


@pytest.mark.parametrize(("processed", "reads"), [((0.0, 40.0, 60.0), 3), ((60.0,), 1), ((10.0,), 5)])
def test_metrics_are_read_until_every_message_is_counted_or_the_time_is_up(processed, reads, tmp_path):
    api, clock = Late(*processed), [BEGUN]

    def sleep(seconds: float) -> None:
        clock[0] += timedelta(seconds=seconds)

    found = cloudwatch.read_once_there(
        api, cloudwatch.metrics_of(target(tmp_path)), BEGUN, 60, seconds_max=60, now=lambda: clock[0], sleep=sleep
    )
    assert api.reads == reads
    assert found["processed"]["points"] == [(-30.0, processed[-1])]


MESSAGES = published.messages(120, 2, "x")


def sent() -> list[Sent]:
    return [Sent(message, f"m{message.number}", f"{message.number:020}", 1000) for message in MESSAGES]


def item(each: Sent, **changes: Any) -> dict[str, Any]:
    message = each.message
    return {
        "transaction_id": f"txn-{message.payment_id}",
        "payment_id": message.payment_id,
        "status": "completed",
        "message_id": each.message_id,
        "message_group_id": message.group,
        "sequence_number": each.sequence_number,
        "created_at": Decimal(2000 + message.number),
        "updated_at": Decimal(3000),
        "amount_minor": Decimal(message.amount_minor),
        "amount": Decimal(message.amount_minor) / 100,
        **changes,
    }


def failing(problems: dict[str, list[str]]) -> set[str]:
    return {name for name, sentences in problems.items() if sentences}


def test_a_table_with_every_payment_completed_in_order_is_clean():
    assert failing(settled.problems("dev", sent(), [item(each) for each in sent()], 0)) == set()


def test_what_is_lost_open_wrong_or_out_of_order_is_said():
    items = [item(each) for each in sent()]
    assert failing(settled.problems("dev", sent(), items[1:], 0)) == {"every_message_settled_once"}
    assert failing(settled.problems("dev", sent(), items, 3)) == {"nothing_left_open"}
    declined = [item(sent()[0], status="declined"), *items[1:]]
    assert failing(settled.problems("dev", sent(), declined, 0)) == {"outcomes_are_the_right_ones"}
    dearer = [item(sent()[0], amount_minor=Decimal(1)), *items[1:]]
    assert failing(settled.problems("dev", sent(), dearer, 0)) == {"charged_for_the_recorded_amount"}
    overtaken = [item(sent()[0], created_at=Decimal(9000)), *items[1:]]
    assert failing(settled.problems("dev", sent(), overtaken, 0)) == {"groups_keep_their_order"}


def test_items_are_read_a_hundred_at_a_time_unprocessed_keys_again_and_final_ones_once():
    api = client("dynamodb")
    table = settled.SettledPayments(api, "t", MESSAGES)

    def keys(numbers: range) -> dict[str, Any]:
        wanted = [{"transaction_id": {"S": f"txn-pay-x-{number}"}} for number in numbers]
        return {"t": {"Keys": wanted, "ConsistentRead": True}}

    def raw(number: int, status: str) -> dict[str, Any]:
        return {"payment_id": {"S": f"pay-x-{number}"}, "status": {"S": status}, "updated_at": {"N": "4000"}}

    def answer(numbers: range, status: str, left: dict[str, Any]) -> dict[str, Any]:
        return {"Responses": {"t": [raw(number, status) for number in numbers]}, "UnprocessedKeys": left}

    with Stubber(api) as stub:
        first, rest = range(1, 101), range(101, 121)
        stub.add_response(
            "batch_get_item", answer(range(1, 51), "completed", keys(range(51, 101))), {"RequestItems": keys(first)}
        )
        stub.add_response(
            "batch_get_item", answer(range(51, 101), "completed", {}), {"RequestItems": keys(range(51, 101))}
        )
        stub.add_response("batch_get_item", answer(rest, "processing", {}), {"RequestItems": keys(rest)})
        assert table.read() == 100
        stub.add_response("batch_get_item", answer(rest, "completed", {}), {"RequestItems": keys(rest)})
        assert table.read() == 120
        assert table.read() == 120
        stub.assert_no_pending_responses()
    assert {(each.sent, each.settled) for each in table.payments(sent(), 1000)} == {(0.0, 3.0)}


def test_a_prediction_is_of_the_function_behind_the_alias(tmp_path):
    traffic = Traffic(60, 6)
    found = prediction.parameters_of(target(tmp_path), Function(512, "arm64", GOOD), traffic)
    assert found.mapping.maximum_concurrency == 100
    assert (found.function.memory_size, found.function.architecture) == (512, "arm64")
    assert "compiled" in found.function.invocations.label
    # The stress's delay is in every init.
    assert found.function.invocations.init_ms.mean_ms > 3000
    pure = Function(1769, "x86_64", {**GOOD, "SCORING_ENGINE": "pure", "STRESS_MODE": "none"})
    plain = prediction.parameters_of(target(tmp_path), pure, traffic).function.invocations
    assert "pure" in plain.label
    choices = {"snap_start": True, "pollers": (20, 90)}
    other = Function(512, "arm64", {**GOOD, "SUPPORT": "standard"}, **choices)
    chosen = prediction.parameters_of(target(tmp_path), other, traffic)
    assert "compiled standard" in chosen.function.invocations.label
    assert chosen.function.snapstart_restore_ms is not None
    assert 300 < chosen.function.snapstart_restore_ms.mean_ms < 1000
    assert (chosen.mapping.pollers_min, chosen.mapping.pollers_max) == (20, 90)
    assert chosen.mapping.maximum_concurrency is None
    assert plain.init_ms.mean_ms < 3000


@pytest.mark.parametrize(
    ("limits", "at_once"),
    [({"account": 10, "mapping": 5, "reserved": None}, 5), ({"account": 1000, "mapping": 2, "reserved": 1}, 1)],
    ids=["a new account", "a reservation of one"],
)
def test_the_least_that_an_account_can_have_is_predicted_too(limits, at_once, tmp_path):
    found = prediction.parameters_of(target(tmp_path, concurrency=limits), Function(512, "arm64", GOOD), Traffic(60, 6))
    assert found.mapping.maximum_concurrency == at_once
    assert simulate(found).completed == 60


def test_predicted_series_lie_in_cloudwatchs_own_minutes_and_add_up(tmp_path):
    # All at once, 18 s before a minute's end; every init takes some 3.6 s.
    traffic = Traffic(60, 6)
    result = simulate(prediction.parameters_of(target(tmp_path), Function(512, "arm64", GOOD), traffic), 1)
    found = prediction.series_of(result, 42.0)
    assert set(found) < {metric.name for metric in cloudwatch.metrics_of(target(tmp_path))}
    for name, count in (("sent", 60), ("processed", 60), ("deleted", 60), ("invocations", result.invocations)):
        assert sum(value for _, value in found[name]["points"]) == count, name
    assert sum(value for _, value in found["cold_starts"]["points"]) == result.cold_starts
    assert {(at + 42.0) % 60 for series in found.values() for at, _ in series["points"]} == {0.0}
    assert max(value for _, value in found["concurrency"]["points"]) == result.concurrency_max
    # Split at the minute's end, one avalanche is in two minutes; begun with the minute, in one.
    late, early = (prediction.series_of(result, second)["processed"]["points"] for second in (59.0, 0.0))
    assert [at for at, _ in late] == [1.0]
    assert [at for at, _ in early] == [0.0]
    # As CloudWatch's, without init.
    assert max(value for _, value in found["duration_max_ms"]["points"]) < 3000
