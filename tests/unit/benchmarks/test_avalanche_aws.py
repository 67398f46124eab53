"""The avalanche on AWS: which targets are refused, what a run costs at the most, and how CloudWatch is read."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from benchmarks.avalanche import aws, cloudwatch, deployed, prediction, published, settled, view
from benchmarks.avalanche.deployed import Deployed, Function, RefusedError
from benchmarks.avalanche.parameters import ImpossibleParametersError, Traffic
from benchmarks.avalanche.simulation import simulate
from benchmarks.cost import read_prices
from local.evidence import Sent

QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/cloudcafe-payment-processing-{}.fifo"


def outputs(environment: str = "dev", **changes: Any) -> dict[str, Any]:
    values = {
        "queue_url": QUEUE.format(environment),
        "queue_arn": f"arn:aws:sqs:eu-west-1:000000000000:cloudcafe-payment-processing-{environment}.fifo",
        "dead_letter_queue_url": QUEUE.format(f"{environment}-dlq"),
        "table_name": f"cloudcafe-payment-transactions-{environment}",
        "function_name": f"cloudcafe-payment-processor-{environment}",
        "concurrency": {"account": 1000, "mapping": 100, "reserved": None},
        **changes,
    }
    return {name: {"value": value} for name, value in values.items() if value is not ...}


def target(tmp_path, environment: str = "dev", **changes: Any) -> Deployed:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(outputs(environment, **changes)))
    return deployed.read_outputs(environment, file)


def test_terraforms_outputs_say_where_and_how_many_at_once(tmp_path):
    found = target(tmp_path)
    assert (found.region, found.concurrency, found.account_concurrency) == ("eu-west-1", 100, 1000)
    reserved = target(tmp_path, concurrency={"account": 1000, "mapping": 100, "reserved": 40})
    assert reserved.concurrency == 40
    assert target(tmp_path, concurrency={"account": 10, "mapping": 100, "reserved": None}).concurrency == 10


@pytest.mark.parametrize("environment", ["prod", "production", "prod-eu", "eu-prod"])
def test_production_is_refused_before_anything_is_read(environment, tmp_path):
    with pytest.raises(RefusedError, match=f"{environment} is production's"):
        deployed.read_outputs(environment, tmp_path / "not-there.json")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"queue_url": QUEUE.format("prod")}, "is production's"),
        ({"table_name": "cloudcafe-payment-transactions-production"}, "is production's"),
        ({"function_name": "cloudcafe-payment-processor-prod"}, "is production's"),
        ({"concurrency": ..., "table_name": ...}, "no output table_name, concurrency for dev: `make apply"),
    ],
)
def test_outputs_of_production_or_of_nothing_are_refused(changes, says, tmp_path):
    with pytest.raises(RefusedError, match=says):
        target(tmp_path, **changes)


@pytest.mark.parametrize("text", ["", "[]", '{"queue_url": "plain"}', "not json"])
def test_what_is_no_output_of_terraform_is_refused(text, tmp_path):
    file = tmp_path / "outputs.json"
    file.write_text(text)
    with pytest.raises(RefusedError, match="terraform output -json"):
        deployed.read_outputs("dev", file)


def test_an_environment_without_a_state_is_refused(tmp_path, monkeypatch):
    terraform = tmp_path / "terraform"
    terraform.write_text('#!/bin/sh\necho "no state for $TF_WORKSPACE" >&2\nexit 1\n')
    terraform.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RefusedError, match="terraform has no outputs of dev: no state for dev"):
        deployed.read_outputs("dev")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RefusedError, match="terraform is not installed"):
        deployed.read_outputs("dev")


class Functions:
    """The Lambda API's answers that a target is judged by; `versions` by number."""

    def __init__(self, versions: dict[str, dict[str, str]], weights: dict[str, float], state: str = "Enabled") -> None:
        self.versions, self.weights, self.state = versions, weights, state

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        assert Name == "live"
        routing = {"AdditionalVersionWeights": self.weights} if self.weights else {}
        return {"FunctionVersion": "1", "RoutingConfig": routing}

    def get_function_configuration(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        return {
            "Version": Qualifier,
            "MemorySize": 512,
            "Architectures": ["arm64"],
            "Environment": {"Variables": self.versions[Qualifier]},
        }

    def get_paginator(self, name: str) -> Functions:
        assert name == "list_event_source_mappings"
        return self

    def paginate(self, FunctionName: str) -> list[dict[str, Any]]:
        assert FunctionName.endswith(":live")
        other = {"State": "Enabled", "EventSourceArn": "arn:aws:sqs:eu-west-1:000000000000:other.fifo"}
        mine = {"State": self.state, "EventSourceArn": outputs()["queue_arn"]["value"]}
        return [{"EventSourceMappings": [other]}, {"EventSourceMappings": [mine] if self.state else []}]


class Queues:
    def __init__(self, waiting: int = 0, in_flight: int = 0, delayed: int = 0) -> None:
        self.counts = (waiting, in_flight, delayed)

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        return {"Attributes": {name: str(count) for name, count in zip(AttributeNames, self.counts, strict=True)}}


GOOD = {
    "ENVIRONMENT": "dev",
    "GATEWAY": "simulated",
    "DYNAMODB_TABLE": "cloudcafe-payment-transactions-dev",
    "STRESS_MODE": "cold_start",
}


def test_a_function_with_the_simulated_gateway_behind_an_enabled_mapping_is_a_target(tmp_path):
    found = deployed.check_target(target(tmp_path), Functions({"1": GOOD, "2": GOOD}, {"2": 0.1}), Queues())
    assert (found.memory_size, found.architecture, found.variables["STRESS_MODE"]) == (512, "arm64", "cold_start")


@pytest.mark.parametrize(
    "changes",
    [
        {"GATEWAY": "stripe"},
        {"GATEWAY": ""},
        {"GATEWAY_URL": "https://user:swordfish@gateway.example"},
        {"GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:swordfish"},
        {"ENVIRONMENT": "prod"},
        {"ENVIRONMENT": "test"},
        {"DYNAMODB_TABLE": "another"},
    ],
)
def test_a_version_behind_the_alias_that_might_charge_is_refused_whatever_its_share(changes, tmp_path):
    for versions, weights in (({"1": GOOD | changes}, {}), ({"1": GOOD, "2": GOOD | changes}, {"2": 0.01})):
        with pytest.raises(RefusedError) as refused:
            deployed.check_target(target(tmp_path), Functions(versions, weights), Queues())
        assert "swordfish" not in str(refused.value)


@pytest.mark.parametrize("state", ["Disabled", "Disabling", ""])
def test_a_queue_that_feeds_nobody_is_refused(state, tmp_path):
    with pytest.raises(RefusedError, match="make start ENVIRONMENT=dev"):
        deployed.check_target(target(tmp_path), Functions({"1": GOOD}, {}, state), Queues())


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 2, 0), (0, 0, 3)])
def test_a_queue_with_other_traffic_is_refused(counts, tmp_path):
    with pytest.raises(RefusedError, match=f"{sum(counts)} messages are on the queue"):
        deployed.check_target(target(tmp_path), Functions({"1": GOOD}, {}), Queues(*counts))


def test_an_estimate_is_counted_by_hand():
    # Requests 0.2/M, 0.5 s and 40 s for 1 in 100, of 0.5 GB; three requests of the queue; five write units, a read.
    prices = read_prices()
    found = deployed.estimate_usd(1000, 10, Function(512, "arm64", {}), prices)
    gb_seconds = Decimal("0.5") * (1000 * Decimal("0.5") + 10 * 40)
    logs = Decimal(1000 * 320 + 1000 * (560 + 750)) / 2**30 * Decimal("0.5")
    by_hand = (
        Decimal("0.0002")
        + gb_seconds * Decimal("0.0000133334")
        + 3000 * Decimal("0.0000005")
        + 5000 * Decimal("0.000000625")
        + 10 * Decimal("0.000000125")
        + logs
    )
    assert found == pytest.approx(by_hand, rel=Decimal("0.000001"))
    assert deployed.estimate_usd(1000, 10, Function(512, "x86_64", {}), prices) > found
    assert deployed.estimate_usd(2000, 10, Function(512, "arm64", {}), prices) > found


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


def test_without_an_answer_or_above_its_limit_nothing_is_sent(tmp_path, monkeypatch, capsys):
    function = Function(512, "arm64", GOOD)
    options = aws._options([])
    with pytest.raises(RefusedError, match="nobody can be asked here"):
        aws._agree(options, target(tmp_path), function, "000000000000")
    assert "at most $0.0" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    with pytest.raises(RefusedError, match="nobody agreed"):
        aws._agree(options, target(tmp_path), function, "000000000000")
    monkeypatch.setattr("builtins.input", lambda prompt: "dev")
    aws._agree(options, target(tmp_path), function, "000000000000")
    with pytest.raises(RefusedError, match="above the limit"):
        aws._agree(aws._options(["--limit-usd", "0.001", "--yes"]), target(tmp_path), function, "000000000000")
    capsys.readouterr()
    aws._agree(aws._options(["--yes"]), target(tmp_path), Function(512, "arm64", {**GOOD, "STRESS_MODE": "none"}), "0")
    assert "TF_ARGS='-var stress_mode=cold_start'` slows them" in capsys.readouterr().out


def test_production_is_refused_before_any_client_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(boto3, "client", lambda *_, **__: pytest.fail("a client was made"))
    target(tmp_path)
    assert aws.main(["--outputs", str(tmp_path / "outputs.json"), "--environment", "production"]) == 2
    assert "refused, nothing was sent: production is production's" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("traffic", "outputs_changes", "rule"),
    [
        (Traffic(1000, 1001), {}, "1001 groups for 1000 messages"),
        (Traffic(1000, 10, ramp_seconds=-1), {}, "ramp_seconds is -1: time does not run backwards"),
        (
            Traffic(1000, 10),
            {"concurrency": {"account": 3000, "mapping": 2000, "reserved": None}},
            "maximum_concurrency 2000: its quota is 2 to 1000",
        ),
    ],
)
def test_what_is_impossible_is_refused_with_the_rule_that_it_breaks(traffic, outputs_changes, rule, tmp_path):
    with pytest.raises(ImpossibleParametersError, match=rule):
        prediction.parameters_of(target(tmp_path, **outputs_changes), Function(512, "arm64", GOOD), traffic)


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
    assert plain.init_ms.mean_ms < 3000


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
