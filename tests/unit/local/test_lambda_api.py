"""Lambda's API of the local system: what callers may leave out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from local.approvals.lambda_api import LambdaApi
from local.execution_environment import Outcome
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
