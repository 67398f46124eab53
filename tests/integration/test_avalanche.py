"""The avalanche through the real local system: few messages, a light stress, the same audit as a full one."""

from __future__ import annotations

import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.avalanche import aws, cloudwatch, live
from local.installation import BUILD
from local.ministack import CREDENTIALS
from local.system import LocalSystem, host_package

STRESS = ("--stress-operations", "1000", "--stress-delay-seconds", "0.2")


@pytest.fixture(scope="module")
def package() -> str:
    return str(host_package(BUILD / "tests" / "package"))


def test_an_avalanche_starts_cold_grows_to_its_maximum_and_passes_its_audit(package: str) -> None:
    size = ("--messages", "60", "--groups", "6,1", "--concurrency", "2", "--ramp-seconds", "0")
    with redirect_stdout(StringIO()) as output:
        code = live.main([*size, *STRESS, "--package", package])
    said = output.getvalue()
    assert code == 0, said
    assert re.search(r"all \d+ checks passed.*The published expected impact", said, re.DOTALL)
    record = json.loads(Path(said.rpartition("record: ")[2].strip()).read_text())
    # The simulator, given the same sends and what this run's invocations took, has the same counts and the same order.
    for comparison in record["simulated"].values():
        assert {each["what"] for each in comparison["exact"] if not each["same"]} == set()
    assert set(record["simulated"]) == set(record["expected_impact"]) == {"6", "1"}
    many, one = record["rounds"]
    # Each round begins with no environment; one group never has two batches under way.
    assert [(found["groups"], found["figures"]["concurrency"]) for found in (many, one)] == [(6, 2), (1, 1)]
    assert [found["figures"]["cold_invocations"] for found in (many, one)] == [2, 1]
    for found in (many, one):
        assert found["figures"]["settled"] == 60
        assert found["moments"][0]["starting"] + found["moments"][0]["busy"] + found["moments"][0]["idle"] == 0
        assert max(moment["starting"] for moment in found["moments"]) >= 1
        assert found["moments"][-1]["settled"] == 60
        # The stress is in each init.
        assert all(each["init_ms"] is None or each["init_ms"] >= 200 for each in found["invocations"])


def test_on_aws_the_same_messages_go_to_a_deployed_queue_and_cloudwatch_is_read_back(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Against loopback services, whose own mapping and workers are what is deployed there.
    monkeypatch.setattr(measure, "RECORDS", tmp_path)
    monkeypatch.setattr(cloudwatch, "_POLL_SECONDS", 0.2)
    variables = {"STRESS_MODE": "cold_start", "STRESS_OPERATIONS": "1000", "STRESS_DELAY_SECONDS": "0.2"}
    with LocalSystem(package=Path(package), mapping="ministack", variables=variables) as system:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": system.endpoint_url}.items():
            monkeypatch.setenv(name, value)
        outputs = tmp_path / "outputs.json"
        found = {
            "queue_url": system.resources.queue_url,
            "queue_arn": system.resources.queue_arn,
            "dead_letter_queue_url": system.resources.dead_letter_queue_url,
            "table_name": system.names.table,
            "function_name": system.names.function,
            "concurrency": {"account": 1000, "mapping": 10, "reserved": None},
        }
        outputs.write_text(json.dumps({name: {"value": value} for name, value in found.items()}))
        size = ["--messages", "24", "--groups", "4", "--ramp-seconds", "0", "--metrics-seconds", "30"]
        code = aws.main(["--outputs", str(outputs), *size, "--yes"])
        assert code == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert "at most 4 environments, STRESS_MODE=cold_start" in said
    assert re.search(r"all \d+ checks passed", said)
    record = json.loads(Path(said.rpartition("record: ")[2].strip()).read_text())
    assert record["rounds"][0]["figures"]["settled"] == 24
    series = record["cloudwatch"]["series"]
    assert sum(value for _, value in series["processed"]["points"]) == 24
    assert sum(value for _, value in series["cold_starts"]["points"]) >= 1
    # What the services do not publish is nothing, and no zero.
    assert series["throttles"]["points"] == []
