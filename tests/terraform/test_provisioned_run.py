"""`PROVISION=terraform make run`: a run on what Terraform made, and what is said where Terraform cannot.

Held here: the audit is the same and passes; queues, table and function are Terraform's, at the run's scaled times, and
the run changes nothing of them; the checkout is only read.
"""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from local import run
from local.resources import Names, Times
from local.system import LocalSystem
from local.terraform import Terraform, TerraformError, apply, check_installed
from tests.terraform.provisioned_run import ProvisionedRun


def test_a_run_on_what_terraform_made_passes_its_audit_and_leaves_it_as_it_was(
    provisioned_run: Future[ProvisionedRun],
) -> None:
    found = provisioned_run.result()
    assert found.code == 0
    assert all(found.figures["audit"].values())
    assert found.figures["final"]["completed"] > 10
    # A plan while it all still stood.
    assert found.changes == {}
    assert found.new_in_checkout == set()
    # Only Terraform encrypts the queue with a key of its own.
    assert "KmsMasterKeyId" in found.queue
    assert found.queue["VisibilityTimeout"] == "12"
    assert [found.function[name] for name in ("Version", "Timeout", "MemorySize")] == ["1", 2, 512]
    variables = found.function["Environment"]["Variables"]
    assert {name: variables[name] for name in run.TIMES.variables()} == run.TIMES.variables()
    # Both mappings at once would take each other's messages.
    assert [mapping["State"] for mapping in found.mappings] == ["Disabled"]


def test_a_missing_terraform_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TerraformError, match=r"terraform is not on the PATH.*1\.11 or later.*Without PROVISION"):
        check_installed()
    with pytest.raises(TerraformError):
        LocalSystem(provision="terraform", directory=tmp_path / "run").__enter__()
    assert not (tmp_path / "run").exists()


def test_a_provider_that_is_not_to_be_had_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(tmp_path / "empty"))
    with pytest.raises(TerraformError) as caught:
        Terraform(tmp_path)
    said = str(caught.value)
    command = f"`terraform init -input=false -plugin-dir={tmp_path}/empty -lockfile=readonly`"
    # Its error, and not the list of all modules before it.
    assert said.startswith(f"{command} ended with 1:\nError: ")
    assert "hashicorp/aws" in said
    assert "set TF_PLUGIN_MIRROR to a folder with unpacked providers" in said


def test_what_the_root_refuses_is_said_with_its_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A developer's own variable, which has no part in this.
    monkeypatch.setenv("TF_VAR_canary_percent", "99")
    (tmp_path / "package").mkdir()
    root = Terraform(tmp_path)
    # Variables have their rules without the resources, for which the provider would start.
    for name in ("conservation.tf", "main.tf", "outputs.tf", "people.tf"):
        (root.folder / name).unlink()

    def made(times: Times, **variables: str) -> None:
        apply(
            root,
            Names(),
            times,
            tmp_path / "package",
            tmp_path / "package",
            runtime="python3.13",
            memory_size=512,
            variables=variables,
            concurrency=4,
            polled=False,
        )

    with pytest.raises(TerraformError) as caught:
        made(Times(visibility_timeout_seconds=60))
    said = " ".join(str(caught.value).replace("│", " ").split())
    assert said.startswith("`terraform apply -auto-approve -input=false` ended with 1")
    assert "visibility_timeout_seconds must be a whole number from 6 x timeout_seconds (180)" in said
    assert "canary_percent" not in said
    assert f"are in {tmp_path}/terraform" in said
    with pytest.raises(ValueError, match=r"terraform/variables\.tf has no no_such_setting"):
        made(Times(), NO_SUCH_SETTING="1")
