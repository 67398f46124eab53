"""The root applied to ministack on this machine, with packages built for this machine and the gateway's simulator."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.gateway.payments import API_KEY
from local.installation import ROOT
from local.ministack import ACCOUNT, Ministack
from local.process_group import ProcessGroup
from local.system import client
from local.terraform import ARCHITECTURE, SOURCE, write_package
from tests.terraform import examples
from tests.terraform.first_user import FirstUser
from tests.terraform.installation import Terraform
from tests.terraform.name_proxy import NameProxy

# ministack runs every python3.x function under its own interpreter, which is this one; durable functions ask for 3.13.
RUNTIME = "python3.13"
APPROVER = "alice@example.com"
#: Who its own credentials are to ministack.
CALLER = f"arn:aws:iam::{ACCOUNT}:root"
#: What the gateway's events are signed with here.
WEBHOOK_SECRET = "whsec_of_the_gateway_on_this_machine"
NAMED = ROOT / "tests" / "terraform" / "ministack" / "named.py"
SERVICES = ("sqs", "dynamodb", "lambda", "iam", "logs", "kms", "s3", "cloudwatch", "sns", "secretsmanager", "scheduler")


class Loopback:
    """ministack, the gateway, and a copy of the root that knows both from environment variables alone."""

    def __init__(self, folder: Path) -> None:
        """Start everything, and `terraform apply` of dev, which mostly waits: the caller has other things to do."""
        self.processes = ProcessGroup()
        # The workflow leaves a payment alone that waits for an execution of another name.
        self.services = Ministack(self.processes, folder, application=f"{NAMED}:app")
        self.clients: dict[str, Any] = {name: client(name, self.services.url) for name in SERVICES}
        self.gateway_database = folder / "gateway.sqlite"
        self._gateway = self.processes.start(
            [sys.executable, "-m", "local.gateway", "--database", str(self.gateway_database), "--seed", "8"],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._gateway.stdout is not None
        self.gateway_url: str = json.loads(self._gateway.stdout.readline())["url"]
        self.gateway_secret_arn: str = self.clients["secretsmanager"].create_secret(
            Name="cloudcafe-payment-gateway", SecretString=API_KEY
        )["ARN"]
        self.webhook_secret_arn: str = self.clients["secretsmanager"].create_secret(
            Name="cloudcafe-payment-webhook", SecretString=WEBHOOK_SECRET
        )["ARN"]
        self.package_directory = folder / "dist"
        for function, engine in (("processor", "compiled"), ("processor", "pure"), ("workflow", "compiled")):
            self.package(unzipped(function, engine), function, engine)
        self.terraform = Terraform(folder, self.services.url, start=self.processes.start)
        given = {f"TF_VAR_{name}": value for name, value in {**missing_here(), **self.values()}.items()}
        self._proxy = NameProxy(self.services.url)
        self._proxy.start("name-proxy")
        found = {**self.terraform.environment, **given, **mirror(), **self._proxy.variables}
        self.first_user = FirstUser(folder, found, self.processes)
        self.first_apply = self.first_user.begin("make apply")
        bucket, package = examples.state_bucket(self.services.url), unzipped("workflow", "compiled")
        self.examples = {
            name: examples.begin(self.terraform, name, package, bucket, self.processes) for name in examples.EXAMPLES
        }

    def package(self, folder: Path, function: str, engine: str) -> str:
        """Have the next plan find a folder as a function's package; returns its SHA-256 as Lambda tells it."""
        archive = self.package_directory / f"payment-{function}-{ARCHITECTURE}-{engine}.zip"
        facts = {"architecture": ARCHITECTURE, "runtime": RUNTIME, "engine": engine}
        return write_package(archive, folder, canonical_versions_read=[1, 2], **facts)

    def values(self) -> dict[str, str]:
        """Variables of every plan and apply here: this machine, and the gateway of the audit."""
        return {
            "package_directory": str(self.package_directory),
            "architecture": ARCHITECTURE,
            "runtime": RUNTIME,
            "gateway": "stripe",
            "gateway_mode": "test",
            "gateway_secret_arn": self.gateway_secret_arn,
            "gateway_url": self.gateway_url,
            "canonical_version_written": "2",
            # What a gateway in test mode takes.
            "maximum_concurrency": "2",
            "group_concurrency": "3",
            "conservation": "true",
            "benchmark_memory_sizes": "[128]",
            "provisioned_concurrency": "1",
            "webhook_secret_arn": self.webhook_secret_arn,
            "event_target": "queue",
            "approval_workflow": json.dumps({"approvers": [APPROVER, CALLER]}),
        }

    def variables(self, **changes: str) -> list[str]:
        """The same as flags: the file of what ministack lacks, this machine, then `changes`."""
        values = self.values() | changes
        return ["-var-file=loopback.tfvars", *(f"-var={name}={value}" for name, value in values.items())]

    def stop(self) -> None:
        """End every process; what ministack held is gone."""
        self._proxy.stop()
        self.services.stop()
        self._gateway.kill()
        self._gateway.wait()
        if self._gateway.stdout is not None:
            self._gateway.stdout.close()
        self.processes.stop()


def missing_here() -> dict[str, str]:
    """loopback.tfvars as variables: what ministack lacks."""
    return dict(re.findall(r"^(\w+) = (.*)$", (SOURCE / "loopback.tfvars").read_text(), re.MULTILINE))


def mirror() -> dict[str, str]:
    """Where `make` finds the provider."""
    return {name: os.environ[name] for name in ("TF_PLUGIN_MIRROR",) if name in os.environ}


def unzipped(function: str, engine: str, whose: str = "terraform") -> Path:
    """A package for this machine, kept for the next time by `whose` tests: others may run beside them."""
    folder = ROOT / ".build" / f"{whose}-{function}-{engine}"
    command = [sys.executable, str(ROOT / "build" / "package.py"), "host", "--function", function]
    subprocess.run([*command, "--engine", engine, "--out", str(folder)], check=True)
    return folder
