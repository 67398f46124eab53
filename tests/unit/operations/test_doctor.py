"""`payments doctor` where AWS refuses to say, and where money could move."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operations import __main__ as cli
from operations import checks
from operations.options import Call
from operations.role_checks import of_role

LIVE = {
    "CodeSha256": "a",
    "Version": "1",
    "Runtime": "python3.13",
    "Role": "arn:aws:iam::1:role/a",
    "Environment": {"Variables": {}},
}


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
        "roles": "arn:aws:iam::1:user/a may not service:get_function_configuration on arn:aws:x",
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


class Iam:
    """Roles with one policy each, and IAM's simulation, which keeps what it was asked."""

    def __init__(self, document: dict[str, Any] | None, **refused: dict[str, Any]) -> None:
        self.document, self.refused = document, refused
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, operation: str) -> Any:
        class Pages:
            def paginate(pages, **request: Any) -> list[dict[str, Any]]:
                if operation == "list_role_policies":
                    return [{"PolicyNames": ["handler"] if self.document else []}]
                self.asked.append(request)
                return [
                    {
                        "EvaluationResults": [
                            {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
                            | self.refused.get(action.partition(":")[2], {})
                            for action in request["ActionNames"]
                            for resource in request["ResourceArns"]
                        ]
                    }
                ]

        return Pages()

    def get_role_policy(self, RoleName: str, PolicyName: str) -> dict[str, Any]:
        return {"PolicyDocument": self.document}


KEY = "arn:aws:kms:eu-central-1:1:key/a"
DOCUMENT = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "arn:aws:logs:eu-central-1:1:log-group:g:*",
        },
        {
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": [KEY],
            "Condition": {
                "StringEquals": {"kms:ViaService": ["sqs.eu-central-1.amazonaws.com"]},
                "ForAllValues:StringNotEquals": {"dynamodb:Attributes": ["decision"]},
            },
        },
        {"Effect": "Deny", "Action": "*", "Resource": "*"},
    ]
}


def test_a_role_is_asked_for_all_that_its_policy_allows_as_its_conditions_want_it():
    iam = Iam(DOCUMENT)
    (found,) = of_role(iam, "queue", "arn:aws:iam::1:role/payments/queue")
    assert found == ("roles", "ok", "queue: role queue may do all of the 3 actions that its policy allows", "")
    logs, kms = iam.asked
    assert logs["ResourceArns"] == ["arn:aws:logs:eu-central-1:1:log-group:g:any"]
    assert (logs["PolicySourceArn"], logs["ContextEntries"]) == ("arn:aws:iam::1:role/payments/queue", [])
    assert (kms["ActionNames"], kms["ResourceArns"]) == (["kms:Decrypt"], [KEY])
    assert kms["ContextEntries"] == [
        {
            "ContextKeyName": "kms:ViaService",
            "ContextKeyValues": ["sqs.eu-central-1.amazonaws.com"],
            "ContextKeyType": "string",
        }
    ]


@pytest.mark.parametrize(
    ("detail", "do"),
    [
        ({"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}, "permissions boundary"),
        ({"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}, "organisation"),
        ({"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": True}}, "Another policy of the role"),
    ],
)
def test_what_is_taken_from_a_role_is_wrong_and_told_with_what_takes_it(detail, do):
    iam = Iam(DOCUMENT, Decrypt={"EvalDecision": "implicitDeny", **detail})
    (found,) = of_role(iam, "queue", "arn:aws:iam::1:role/queue")
    assert (found.state, found.said) == ("wrong", f"queue: role queue may not kms:Decrypt on {KEY}")
    assert do in found.do


def test_a_role_without_a_policy_is_looked_at_by_a_person():
    (found,) = of_role(Iam(None), "page", "arn:aws:iam::1:role/page")
    assert (found.state, found.said) == ("look", "page: role page has no policy of its own")
