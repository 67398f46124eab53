"""Versions of the workflow's functions in the local system: an execution ends on the one that it began with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from local.approvals.workflow import durable_client
from local.installation import ROOT
from local.resources import zipped
from tests.support.build_scripts import load
from tests.support.gateway import ask, process
from tests.support.packages import write_zip
from tests.support.site import site

deploy = load("deploy")


def test_new_code_while_an_approval_waits_leaves_its_execution_on_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with process(tmp_path / "gateway.sqlite") as (_, gateway_url), site(gateway_url=gateway_url) as here:
        client = durable_client(here.approvals)

        def ended(arn: str) -> tuple[str, dict[str, str]]:
            """The version an execution ran on, and what the code that ended it returned."""
            here.until(lambda: client.get_durable_execution(DurableExecutionArn=arn)["Status"] != "RUNNING")
            execution = client.get_durable_execution(DurableExecutionArn=arn)
            return execution["Version"], json.loads(execution["Result"])

        key = here.send("waits-for-old-code")
        item = here.asked(key)
        here.until(lambda: not here.approvals.environments())

        package = tmp_path / "workflow"
        shutil.copytree(here.system.directory / "workflow", package)
        # Python takes compiled code before its source.
        for compiled in package.rglob("workflow.*pyc"):
            compiled.unlink()
        source = package / "handler" / "workflow.py"
        returned = 'return {"transaction_id": name, "status": status}'
        text = source.read_text()
        assert text.count(returned) == 1
        source.write_text(text.replace(returned, f'{returned[:-1]}, "edition": "second"}}'))
        # As `make deploy-code FUNCTION=workflow` does.
        for name, value in here.approvals.environment_variables.items():
            monkeypatch.setenv(name, value)
        archive = write_zip(tmp_path, zipped(package), canonical_versions_read=[1, 2])
        assert deploy.main(["--zip", str(archive), "--environment", "dev", "--function", "workflow"]) == 0
        assert f"{here.approvals.function}: live moved from version 1 to 2" in capsys.readouterr().out

        new = client.invoke(
            FunctionName=f"{here.approvals.function}:live",
            InvocationType="Event",
            Payload=(ROOT / "events" / "low_risk.json").read_bytes(),
        )
        assert new["ExecutedVersion"] == "2"
        low_risk = {"transaction_id": "txn-pay-low-001", "status": "completed", "edition": "second"}
        assert ended(new["DurableExecutionArn"]) == ("2", low_risk)

        # What keeps a deployment from deleting the version that somebody waits on.
        def waiting(version: str) -> list[str]:
            found = client.list_durable_executions_by_function(
                FunctionName=here.approvals.function, Qualifier=version, Statuses=["RUNNING"]
            )
            return [each["DurableExecutionArn"] for each in found["DurableExecutions"]]

        assert (waiting("1"), waiting("2")) == ([item["execution_arn"]], [])
        again = client.invoke(
            FunctionName=f"{here.approvals.function}:live",
            InvocationType="Event",
            DurableExecutionName=item["approval_name"],
            Payload=item["request"].encode(),
        )
        assert (again["DurableExecutionArn"], again["ExecutedVersion"]) == (item["execution_arn"], "1")
        assert here.payments("approve", key, "--reason", "called the customer", "--yes").returncode == 0
        assert here.ended(key)["status"] == "completed"
        assert ended(item["execution_arn"]) == ("1", {"transaction_id": key, "status": "completed"})
        captures = [row["payment_id"] for row in ask(gateway_url, "GET", "/_log")[1]["captures"]]
        assert sorted(captures) == ["pay-low-001", "waits-for-old-code"]
