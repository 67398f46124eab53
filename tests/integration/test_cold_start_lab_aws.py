"""The lab's AWS side against the loopback Lambda API: benchmark functions invoked, REPORT lines read, refusals kept."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.coldstart import aws
from benchmarks.coldstart.packages import build
from local.ministack import CREDENTIALS, REGION
from local.system import LocalSystem


def deployment_zip() -> bytes:
    folder = build("packaged", "compiled", sys.executable).folder
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def system() -> Iterator[LocalSystem]:
    with LocalSystem(mapping="none") as system:
        system.clients["lambda"].create_function(
            FunctionName=f"{system.names.function}-bench-compiled-128",
            Runtime=f"python3.{sys.version_info.minor}",
            Role="arn:aws:iam::000000000000:role/bench",
            Handler="handler.lambda_handler",
            Code={"ZipFile": deployment_zip()},
            MemorySize=128,
            Timeout=60,
            Environment={
                "Variables": {
                    "ENVIRONMENT": "dev",
                    "DYNAMODB_TABLE": system.names.table,
                    "REJECTED_QUEUE_URL": system.resources.rejected_queue_url,
                    "GATEWAY": "simulated",
                }
            },
        )
        yield system


@pytest.fixture(autouse=True)
def loopback(system: LocalSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": system.endpoint_url, "AWS_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(measure, "RECORDS", tmp_path)


def test_the_same_columns_come_from_report_lines(system, tmp_path, capsys):
    assert aws.main(["--cold", "1", "--warm", "1", "--stress", "0", "--skip-hashing"]) == 0, capsys.readouterr()
    [path] = tmp_path.glob("*/coldstart-aws.json")
    record = json.loads(path.read_text())
    assert [row["memory_size"] for row in record["rows"]] == [128]
    for row in record["rows"]:
        assert row["source"] == "aws"
        assert row["samples"]["init"] == 1
        assert row["warm_ms"]["p50"] > 0
    # What the lab changed is put back.
    kept = system.clients["lambda"].get_function_configuration(
        FunctionName=f"{system.names.function}-bench-compiled-128"
    )
    assert "COLD_START_NONCE" not in kept["Environment"]["Variables"]


def test_a_cost_above_the_limit_is_refused_before_anything_is_invoked(capsys):
    assert aws.main(["--limit-usd", "0.0000001"]) == 2
    assert "above the limit" in capsys.readouterr().err


def test_an_environment_without_benchmark_functions_is_refused(capsys):
    assert aws.main(["--environment", "staging"]) == 2
    assert "benchmark.tfvars" in capsys.readouterr().err


def test_a_function_that_fails_is_an_error_row_and_exit_code_1(system, capsys):
    name = f"{system.names.function}-bench-compiled-128"
    client = system.clients["lambda"]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**variables, "STRESS_MODE": "no"}}
    )
    try:
        assert aws.main(["--cold", "1", "--warm", "0", "--stress", "0", "--skip-hashing"]) == 1
    finally:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    assert f"error {name}" in capsys.readouterr().err
