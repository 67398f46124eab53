"""What an account asks of names and variables in the proof's environment: every script and the removal keep it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conformance import system
from tests.conformance.record import Calls


@pytest.fixture(autouse=True)
def somewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(system, "FOLDER", tmp_path / "conformance")


def made(monkeypatch: pytest.MonkeyPatch, **variables: str) -> system.System:
    """A system without Terraform, that Terraform has given a prefix."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(system, "SERVICES", ())
    monkeypatch.setattr(system, "Terraform", lambda folder, start: SimpleNamespace(environment={}, outputs=outputs))

    def outputs(workspace: str) -> dict[str, Any]:
        assert workspace == "sandbox"
        named = {"approval_alias_arn": "a", "queue_url": "q", "approval_page_url": "https://p/approvals"}
        return {"names": {"table": "p-table"}, "table_name": "p-table", **named}

    given: dict[str, Any] = {
        "packages": Path("dist"),
        "architecture": "arm64",
        "memory_sizes": (256,),
        "calls": Calls(),
    }
    return system.System("sandbox", variables=variables, **given)


def test_a_prefix_stands_before_all_that_the_proof_makes_and_every_script_is_told_of_it(monkeypatch):
    found = made(monkeypatch, name_prefix="p-")
    assert (found.inbox, found.key_alias) == ("p-conformance-inbox-sandbox", "alias/p-conformance-sandbox")
    assert "-var=name_prefix=p-" in found.flags()
    ran: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], code: int, variables: dict[str, str] | None = None) -> str:
        ran.append((command, variables or {}))
        return ""

    monkeypatch.setattr(found, "_run", run)
    found.script("rollback")
    found.command("approvals", "list")
    (script, _), (payments, variables) = ran
    assert json.loads(script[script.index("--outputs") + 1])["names"] == {"value": {"table": "p-table"}}
    # With it the command line would build the names itself.
    assert "--environment" not in payments
    assert (variables["ENVIRONMENT"], variables["DYNAMODB_TABLE"]) == ("sandbox", "p-table")
    assert variables["APPROVAL_PAGE_URL"] == "https://p/approvals"


def test_what_an_apply_has_made_is_asked_of_terraform_after_it(monkeypatch):
    found = made(monkeypatch)
    monkeypatch.setattr(found, "_run", lambda command, code, variables=None: "")
    versions = iter(("1", "2", "3"))
    monkeypatch.setattr(found.terraform, "outputs", lambda workspace: {"newest_version": next(versions)})
    monkeypatch.setattr(found.terraform, "run", lambda *arguments, workspace: "", raising=False)
    found.publish()
    assert found.outputs() == {"newest_version": "2"}
    assert found.outputs() == {"newest_version": "2"}


def test_a_removal_has_the_variables_of_the_run_that_was_cut_off(monkeypatch):
    made(monkeypatch, name_prefix="p-", role_path="/p/")
    found = made(monkeypatch, role_path="/q/")
    assert {name: found.variables[name] for name in ("name_prefix", "role_path")} == {
        "name_prefix": "p-",
        "role_path": "/q/",
    }
