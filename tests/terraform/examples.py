"""terraform/examples as they stand, applied in the background; what differs on this machine is in an override file."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from local.installation import ROOT
from local.ministack import ACCOUNT, REGION
from local.process_group import ProcessGroup
from local.system import client
from local.terraform import Command, init_flags, write_package
from tests.support.build_scripts import load
from tests.terraform.installation import Terraform

ENVIRONMENT = "staging"
EXAMPLES = sorted(path.name for path in (ROOT / "terraform" / "examples").iterdir())
# Lambda's own architecture and packages: nothing is invoked.
_PACKAGES = {"processor": "compiled", "workflow": "compiled"}


def state_bucket(endpoint_url: str) -> str:
    """The bucket of the example with remote state, made as `make bootstrap` makes it."""
    bucket = load("state").Bucket(ENVIRONMENT, ACCOUNT, REGION, client("s3", endpoint_url))
    bucket.make()
    return str(bucket.name)


def begin(
    root: Terraform, name: str, unpacked: Path, bucket: str, processes: ProcessGroup
) -> tuple[Terraform, Command]:
    """Initialise and apply one example, which mostly waits; `root` is the copy that it stands in."""
    example = root.inside(f"examples/{name}")
    packages = example.folder / "dist"
    for function, engine in _PACKAGES.items():
        facts = {"architecture": "arm64", "runtime": "python3.13", "engine": engine}
        write_package(
            packages / f"payment-{function}-arm64-{engine}.zip", unpacked, canonical_versions_read=[1, 2], **facts
        )
    (example.folder / "loopback_override.tf").write_text(
        'module "payments" {\n'
        f'  package_directory     = "{packages}"\n'
        "  account_concurrency   = 1000\n"
        "  logs_insights_queries = false\n"
        "}\n"
    )
    backend = [f"-backend-config=bucket={bucket}", f"-backend-config=region={REGION}"]
    init = " ".join(["terraform init", *init_flags(locked=True), *(backend if name == "remote-state" else [])])
    output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command, which outlives this call
    process = processes.start(
        ["bash", "-euc", f"{init}; TF_WORKSPACE={workspace(name)} terraform apply -auto-approve"],
        cwd=example.folder,
        env=example.environment,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    return example, Command([f"terraform apply of examples/{name}"], process, output)


def workspace(name: str) -> str:
    """The example that is a module in a larger configuration has no say in its workspace."""
    return ENVIRONMENT if name == "remote-state" else "default"
