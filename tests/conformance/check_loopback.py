"""The way of the proof, played to its end on the loopback services of this machine: `make test-conformance`.

What the emulator cannot play is in the record with its reason, and afterwards nothing is left there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.installation import ROOT
from local.ministack import ACCOUNT, CREDENTIALS, REGION, Ministack
from local.process_group import ProcessGroup
from local.system import client
from local.terraform import ARCHITECTURE, write_package
from tests.conformance.steps import STEPS
from tests.conformance.system import folder_of
from tests.terraform.loopback import RUNTIME, unzipped

ENVIRONMENT = "conformance"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Ministack]:
    with ProcessGroup() as processes:
        found = Ministack(processes, tmp_path)
        yield found
        found.stop()


def test_the_way_is_played_on_this_machine_and_its_record_says_what_was_not(
    services: Ministack, tmp_path: Path
) -> None:
    packages, path = tmp_path / "dist", tmp_path / "record.json"
    facts = {"architecture": ARCHITECTURE, "runtime": RUNTIME, "engine": "compiled", "canonical_versions_read": [1, 2]}
    for function in ("processor", "workflow"):
        folder = unzipped(function, "compiled", "conformance")
        write_package(packages / f"payment-{function}-{ARCHITECTURE}-compiled.zip", folder, **facts)
    given = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    services_alone = {
        "AWS_ENDPOINT_URL": services.url,
        "AWS_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **CREDENTIALS,
    }
    where = ["--packages", str(packages), "--architecture", ARCHITECTURE, "--record", str(path)]
    # As in an account that asks for a prefix.
    variables = ["--var", f"runtime={RUNTIME}", "--var", "name_prefix=own-"]
    options = ["--environment", ENVIRONMENT, "--yes", "--memory-sizes", "256,1024", *variables]
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance", *options, *where],
        env={**given, **services_alone},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        f"{done.stdout}\n{done.stderr}\n{services.log_path.read_text(errors='replace')[-4000:]}"
    )
    record = json.loads(path.read_text())
    assert (record["target"], record["removed"]) == ("loopback", True)
    assert [each["step"] for each in record["steps"]] == [step.name for step in STEPS]
    for each, step in zip(record["steps"], STEPS, strict=True):
        wanted = ("not played", step.not_here) if step.not_here else ("ok", each["answered"])
        assert (each["result"], each["answered"]) == wanted, step.name
        assert each["answered"], step.name
    sent = {"call": "sqs:SendMessage", "status": 200, "code": "", "message": "", "times": 1}
    assert sent in next(each["calls"] for each in record["steps"] if each["step"] == "a payment")
    assert ACCOUNT not in path.read_text()
    assert done.stdout.count("\nnot played  ") == sum(bool(step.not_here) for step in STEPS)
    assert not folder_of(ENVIRONMENT).exists()
    left = {
        "queues": client("sqs", services.url).list_queues().get("QueueUrls", []),
        "tables": client("dynamodb", services.url).list_tables()["TableNames"],
        "functions": client("lambda", services.url).list_functions()["Functions"],
        "buckets": client("s3", services.url).list_buckets()["Buckets"],
        "topics": client("sns", services.url).list_topics()["Topics"],
        "alarms": client("cloudwatch", services.url).describe_alarms()["MetricAlarms"],
    }
    assert not any(left.values()), left
