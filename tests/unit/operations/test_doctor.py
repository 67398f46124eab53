"""`payments doctor` where AWS refuses to say, and where money could move."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operations import __main__ as cli
from operations import checks
from operations.options import Call

LIVE = {"CodeSha256": "a", "Version": "1", "Runtime": "python3.13", "Environment": {"Variables": {}}}


class Aws:
    """Every client: answers what it was given by operation, and refuses the rest by its name."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> Any:
            self.asked.append(operation)
            if operation in self._answers:
                return self._answers[operation]
            action = f"service:{operation}"
            said = f"User: arn:aws:iam::1:user/a is not authorized to perform: {action} on resource: arn:aws:x"
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, operation)

        return call

    def get_paginator(self, operation: str) -> Any:
        ask = getattr(self, operation)

        class Pages:
            def paginate(self, **request: Any) -> Any:
                return [ask(**request)]

        return Pages()


@pytest.fixture
def doctor(monkeypatch, capsys):
    def run(aws: Aws, *arguments: str, **variables: str) -> tuple[int, list[dict[str, Any]]]:
        monkeypatch.setattr(Call, "client", lambda self, service: aws)
        monkeypatch.setattr(checks, "queue_url", lambda call: "https://sqs.example/1/q.fifo")
        given = {"AWS_REGION": "us-east-1", **variables}
        code = cli.main(["doctor", "--no-state", "--json", *arguments], given)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_each_check_names_the_permission_that_it_lacks_and_stops_no_other(doctor):
    code, found = doctor(Aws(get_caller_identity={"Arn": "arn:aws:iam::1:user/a"}))
    assert code == 1
    said = {each["check"]: each["said"] for each in found if each["state"] == "wrong"}
    assert said == {
        "queues": "arn:aws:iam::1:user/a may not service:get_queue_attributes on arn:aws:x",
        "table": "arn:aws:iam::1:user/a may not service:describe_table on arn:aws:x",
        "versions": "arn:aws:iam::1:user/a may not service:get_function_configuration on arn:aws:x",
        "engine": "arn:aws:iam::1:user/a may not service:get_function_configuration on arn:aws:x",
        "quotas": "arn:aws:iam::1:user/a may not service:get_account_settings on arn:aws:x",
        "running": "arn:aws:iam::1:user/a may not service:list_event_source_mappings on arn:aws:x",
        "alarms": "arn:aws:iam::1:user/a may not service:describe_alarms on arn:aws:x",
    }
    assert all("Terraform's output `policies`" in each["do"] for each in found if each["state"] == "wrong")


@pytest.mark.parametrize(
    ("environment", "gateway"), [("dev", "stripe"), ("dev", ""), ("prod", "simulated"), ("production", "simulated")]
)
def test_a_test_payment_is_never_sent_where_money_could_move(doctor, environment, gateway):
    aws = Aws(get_function_configuration=LIVE | {"Environment": {"Variables": {"GATEWAY": gateway}}})
    _, found = doctor(aws, "--test-payment", ENVIRONMENT=environment)
    (said,) = [each["said"] for each in found if each["check"] == "test payment"]
    assert said.startswith("none is sent: ")
    assert "send_message" not in aws.asked


def test_an_alarm_that_stands_tells_nobody_or_waits_for_a_click_is_wrong(doctor):
    alarm = {
        "AlarmName": "cloudcafe-payment-processor-prod-message-age",
        "StateValue": "ALARM",
        "AlarmActions": ["arn:aws:sns:us-east-1:1:alarms"],
        "ActionsEnabled": True,
    }
    other = alarm | {"AlarmName": "other", "StateValue": "OK", "AlarmActions": []}
    pending = {"Endpoint": "a@example.com", "SubscriptionArn": "PendingConfirmation"}
    aws = Aws(
        describe_alarms={"MetricAlarms": [alarm, other]},
        list_subscriptions_by_topic={"Subscriptions": [pending]},
    )
    _, found = doctor(aws, ENVIRONMENT="prod")
    alarms = {each["said"]: (each["state"], each["do"]) for each in found if each["check"] == "alarms"}
    assert alarms["cloudcafe-payment-processor-prod-message-age stands"] == ("wrong", "docs/runbook.md, message-age")
    assert alarms["these tell nobody: other, other"][0] == "wrong"
    assert alarms["not confirmed: a@example.com"] == ("wrong", "They click the link that AWS sent.")
    assert alarms["alarms tells nobody"][0] == "wrong"


def test_production_with_the_simulated_gateway_or_fewer_executions_than_the_mapping_asks_for_is_wrong(doctor):
    line = {
        "message": "ready",
        "scoring": {"engine": "pure"},
        "support": "lean",
        "gateway": "simulated",
        "stress_mode": "cold_start",
    }
    mapping = {"State": "Disabled", "ScalingConfig": {"MaximumConcurrency": 100}}
    aws = Aws(
        get_function_configuration=LIVE,
        filter_log_events={"events": [{"message": "START"}, {"message": json.dumps(line)}]},
        get_account_settings={"AccountLimit": {"ConcurrentExecutions": 110}},
        list_event_source_mappings={"EventSourceMappings": [mapping]},
        get_schedule={"State": "ENABLED"},
    )
    _, found = doctor(aws, ENVIRONMENT="prod")
    states = {each["said"]: (each["state"], each["do"]) for each in found if each["check"] != "queues"}
    assert states["gateway simulated"][0] == "wrong"
    assert states["STRESS_MODE is cold_start"] == ("look", "payments stress off")
    assert states["the account runs 110 executions at once, the mapping 100"][0] == "wrong"
    off = "the payment queue's mapping is Disabled, the mapping of the webhook's wake-ups is Disabled"
    assert states[f"it is stopped: {off}"] == ("look", "payments start")
    assert any('in use: {"engine": "pure"}' in said for said in states)
