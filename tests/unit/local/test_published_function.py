"""What a function runs as is what Lambda's API says, and what is known where that is not reached."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.published_function import Code, ConfigurationError, PublishedFunction

SHA256 = base64.b64encode(hashlib.sha256(b"zip").digest()).decode()


class Functions:
    """Lambda's API, of whose function an alias has the last of `versions`."""

    def __init__(self) -> None:
        self.versions = ["1"]
        self.fault: Exception | None = None
        self.reads = 0

    def get_function_concurrency(self, **_: Any) -> dict[str, Any]:
        self.reads += 1
        if self.fault:
            raise self.fault
        return {}

    def get_function_configuration(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        version = Qualifier if Qualifier.isdigit() else self.versions[-1]
        return {
            "FunctionName": FunctionName,
            "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{FunctionName}:{version}",
            "Version": version,
            "CodeSha256": SHA256,
            "Handler": "h",
            "Timeout": 3,
            "MemorySize": 128,
            "Environment": {"Variables": {"A": "1"}},
        }

    def get_function(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        return {"Code": {"Location": f"file:{Qualifier}"}}


@pytest.fixture
def code(tmp_path: Path) -> Code:
    found = Code(tmp_path)
    found.keep(SHA256, tmp_path / "kept")
    return found


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, which tests move."""
    now = [0.0]
    monkeypatch.setattr("local.published_function.time.monotonic", lambda: now[0])
    return now


def test_an_alias_is_followed_and_a_version_is_read_once(code: Code, seconds: list[float]) -> None:
    functions = Functions()
    live, first = (PublishedFunction(functions, "f", qualifier, code) for qualifier in ("live", "1"))
    assert [each.current().version for each in (live, first)] == ["1", "1"]
    assert [each.current().arn.rpartition(":")[2] for each in (live, first)] == ["live", "1"]
    functions.versions.append("2")
    assert live.current().version == "1"
    seconds[0] += 1.1
    reads = functions.reads
    assert [each.current().version for each in (live, first)] == ["2", "1"]
    assert functions.reads == reads + 1


def test_what_is_known_goes_on_while_the_api_is_not_reached(code: Code, seconds: list[float]) -> None:
    functions = Functions()
    live = PublishedFunction(functions, "f", "live", code)
    functions.fault = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(EndpointConnectionError):
        live.current()
    functions.fault = None
    assert live.current().version == "1"
    seconds[0] += 1.1
    functions.fault = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    assert live.current().version == "1"
    # What it says is another thing.
    seconds[0] += 1.1
    functions.fault = ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetFunctionConcurrency")
    with pytest.raises(ClientError):
        live.current()


def test_this_machine_may_say_more_than_the_api(code: Code) -> None:
    here = PublishedFunction(Functions(), "f", "live", code, lambda version: replace(version, timeout_seconds=10))
    assert here.current().timeout_seconds == 10


def test_other_code_than_the_versions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.zip").write_bytes(b"other")
    with pytest.raises(ConfigurationError, match="serve other code than the package"):
        Code(tmp_path).unpacked(SHA256, (tmp_path / "other.zip").as_uri)
