"""Lambda's API of the local system: what callers may leave out."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.approvals.lambda_api import LambdaApi
from local.approvals.schedule import Schedule
from local.execution_environment import Outcome
from local.loopback import LoopbackHandler, LoopbackServer
from local.switches import Switches
from local.system import client


def test_a_function_that_is_invoked_without_a_payload_gets_an_empty_object(tmp_path: Path) -> None:
    events: list[bytes] = []

    def invoke(event: bytes) -> Outcome:
        events.append(event)
        return Outcome("r", b"null", None, 1.0, None, None)

    def start_execution(function: str, version: str, name: str, payload: bytes) -> str:
        events.append(payload)
        return "arn"

    functions: Any = SimpleNamespace(
        has=lambda name: True, live=lambda name: SimpleNamespace(invoke=invoke), live_version=lambda name: "1"
    )
    engine: Any = SimpleNamespace(start_execution=start_execution)
    none: Any = None
    api = LambdaApi("workflow")
    api.open(engine, tmp_path / "names.sqlite", "http://127.0.0.1:1", none, functions)
    try:
        answered = client("lambda", api.url).invoke(FunctionName="reconcile", Qualifier="live")
        assert answered["Payload"].read() == b"null"
        assert "FunctionError" not in answered
        client("lambda", api.url).invoke(FunctionName="workflow", Qualifier="live", InvocationType="Event")
    finally:
        api.close()
    assert events == [b"{}", b"{}"]


def test_what_is_signed_for_another_region_is_left_to_the_services_that_have_nothing_there(tmp_path: Path) -> None:
    passed_on: list[str] = []

    class Services(LoopbackHandler):
        def do_GET(self) -> None:
            self.body()
            passed_on.append(self.path)
            self.reply(404, b'{"message": "Function not found"}', {"x-amzn-errortype": "ResourceNotFoundException"})

        do_POST = do_PUT = do_GET

    services = LoopbackServer(Services)
    services.start("services")
    invoked: list[bytes] = []

    def invoke(event: bytes) -> Outcome:
        invoked.append(event)
        return Outcome("r", b"null", None, 1.0, None, None)

    functions: Any = SimpleNamespace(has=lambda name: True, live=lambda name: SimpleNamespace(invoke=invoke))
    none: Any = None
    schedule = Schedule("reconcile", 600, lambda problem: None)
    api = LambdaApi("workflow")
    switches = Switches({}, "reconcile", schedule)
    api.open(none, tmp_path / "names.sqlite", services.url, none, functions, switches=switches)
    try:
        made = {"endpoint_url": api.url, "aws_access_key_id": "a", "aws_secret_access_key": "b"}
        for region, taken in (("eu-west-1", False), ("us-east-1", True)):
            with nullcontext() if taken else pytest.raises(ClientError, match="not found"):
                boto3.client("lambda", region_name=region, **made).invoke(FunctionName="reconcile", Qualifier="live")
            assert len(invoked) == taken
            with nullcontext() if taken else pytest.raises(ClientError):
                boto3.client("scheduler", region_name=region, **made).update_schedule(
                    Name="reconcile",
                    ScheduleExpression="rate(1 minutes)",
                    FlexibleTimeWindow={"Mode": "OFF"},
                    Target={"Arn": "arn:aws:lambda:x", "RoleArn": "arn:aws:iam::1:role/r"},
                    State="DISABLED",
                )
            assert schedule.is_on is not taken
    finally:
        api.close()
        services.stop()
    assert len(passed_on) == 2
