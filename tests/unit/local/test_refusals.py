"""Calls that the local services lack or take wrongly end in a sentence, in whatever protocol a caller speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from typing import Any

import boto3
import botocore.parsers
import pytest
from botocore.exceptions import ClientError

from local.approvals.lambda_api import LambdaApi
from local.loopback import LoopbackHandler, LoopbackServer
from local.provisioned import Provisioned
from local.refusals import ENDPOINTS, refusal
from local.system import client

WINDOW = {"StartTime": datetime(2026, 1, 1, tzinfo=UTC), "EndTime": datetime(2026, 1, 2, tzinfo=UTC), "Period": 60}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Lambda's API of the local system, in front of services that say READY to everything."""

    class Ready(LoopbackHandler):
        def do_PUT(self) -> None:
            self.body()
            self.reply(202, json.dumps({"RequestedProvisionedConcurrentExecutions": 10, "Status": "READY"}).encode())

        do_POST = do_GET = do_PUT

    services = LoopbackServer(Ready)
    services.start("services")
    pool: Any = type("Pool", (), {"warm_count": lambda self: 1})()
    none: Any = None
    api = LambdaApi("workflow")
    names = tmp_path_factory.mktemp("api") / "names.sqlite"
    api.open(none, names, services.url, Provisioned(none, "f", pool, 3, pytest.fail), none)
    yield api.url
    api.close()
    services.stop()


def test_registering_a_scalable_target_is_answered_with_why_it_is_not_needed(url: str) -> None:
    with pytest.raises(ClientError, match="has no Application Auto Scaling, and needs none: the table is on demand"):
        client("application-autoscaling", url).register_scalable_target(
            ServiceNamespace="dynamodb",
            ResourceId="table/t",
            ScalableDimension="dynamodb:table:ReadCapacityUnits",
            MinCapacity=5,
            MaxCapacity=100,
        )


def test_variables_that_lambda_keeps_for_itself_are_refused_by_their_names(url: str) -> None:
    variables = {"AWS_REGION": "us-east-1", "LAMBDA_TASK_ROOT": "/", "ENVIRONMENT": "dev"}
    with pytest.raises(ClientError, match=r"contains reserved keys .* request: AWS_REGION, LAMBDA_TASK_ROOT$"):
        client("lambda", url).update_function_configuration(FunctionName="f", Environment={"Variables": variables})


@pytest.mark.parametrize("body", [b"", b"[]", b'{"MemorySize": 128}', b'{"Environment": {"Variables": {"A": "b"}}}'])
def test_a_configuration_without_such_a_variable_goes_to_the_services(body: bytes) -> None:
    assert refusal("/2015-03-31/functions/f/configuration", Message(), body) is None


def test_quotas_are_answered_with_what_stands_for_them(url: str) -> None:
    with pytest.raises(ClientError, match="GetServiceQuota: the local system has no Service Quotas"):
        client("service-quotas", url).get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")


def test_statistics_that_aws_refuses_together_are_refused(url: str) -> None:
    both = {"Statistics": ["Sum"], "ExtendedStatistics": ["p99"]}
    with pytest.raises(ClientError, match="either Statistics or ExtendedStatistics, but not both"):
        client("cloudwatch", url).get_metric_statistics(Namespace="n", MetricName="m", **WINDOW, **both)


@pytest.mark.parametrize(
    ("protocol", "path", "headers", "body"),
    [
        ("query", "/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, b"Action=%s&%s"),
        ("smithy-rpc-v2-cbor", "/service/GraniteServiceVersion20100801/operation/GetMetricStatistics", {}, b"%s %s"),
        ("json", "/", {"X-Amz-Target": "GraniteServiceVersion20100801.GetMetricStatistics"}, b"%s %s"),
    ],
)
def test_the_refusal_has_the_callers_protocol(protocol: str, path: str, headers: dict[str, str], body: bytes) -> None:
    given = Message()
    for name, value in headers.items():
        given[name] = value
    both = b"Statistics.member.1=Sum&ExtendedStatistics.member.1=p99"
    found = refusal(path, given, body % (b"GetMetricStatistics", both))
    assert found is not None
    answer = {"status_code": 400, "headers": {"x-amzn-requestid": "r", **found.headers}, "body": found.body}
    model = boto3.client("cloudwatch", region_name="us-east-1").meta.service_model.operation_model(
        "GetMetricStatistics"
    )
    error = botocore.parsers.create_parser(protocol).parse(answer, model.output_shape)["Error"]
    assert error["Code"] == "InvalidParameterCombination"
    assert error["Message"].endswith("but not both.")
    for one in (b"Statistics.member.1=Sum", b"ExtendedStatistics.member.1=p99"):
        assert refusal(path, given, body % (b"GetMetricStatistics", one)) is None


def test_provisioned_concurrency_beyond_what_there_can_be_is_no_false_ready(url: str) -> None:
    functions, live = client("lambda", url), {"FunctionName": "f", "Qualifier": "live"}
    put = functions.put_provisioned_concurrency_config(**live, ProvisionedConcurrentExecutions=10)
    for told in (put, functions.get_provisioned_concurrency_config(**live)):
        assert told["Status"] == "FAILED"
        assert "start it with --concurrency 10" in told["StatusReason"]
        assert told["AvailableProvisionedConcurrentExecutions"] == 1


def test_provisioned_concurrency_of_a_function_that_is_not_kept_warm_is_no_false_ready(url: str) -> None:
    functions, live = client("lambda", url), {"FunctionName": "workflow", "Qualifier": "live"}
    put = functions.put_provisioned_concurrency_config(**live, ProvisionedConcurrentExecutions=10)
    for told in (put, functions.get_provisioned_concurrency_config(**live)):
        assert told["Status"] == "FAILED"
        assert "keeps environments of f warm, and of no other function" in told["StatusReason"]
        assert told["AvailableProvisionedConcurrentExecutions"] == 0


def test_the_printed_variables_are_those_that_clients_read() -> None:
    services = ("application-autoscaling", "cloudwatch", "scheduler", "service-quotas")
    models = [boto3.client(name, region_name="us-east-1").meta.service_model for name in services]
    read = [f"AWS_ENDPOINT_URL_{model.service_id.upper().replace(' ', '_')}" for model in models]
    assert list(ENDPOINTS) == read
