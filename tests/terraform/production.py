"""Environment prod as somebody keeps it: its state in a bucket, driven by `make` from this checkout."""

from __future__ import annotations

import copy
import json
import shlex
import shutil
import subprocess
import tempfile

from local.installation import ROOT
from local.ministack import ACCOUNT, REGION
from local.terraform import Command
from tests.terraform.installation import Terraform
from tests.terraform.loopback import APPROVER, Loopback, mirror

#: As build/state.py names them.
BUCKET = f"cloudcafe-state-prod-{ACCOUNT}-{REGION}"
STATE_KEY = "env:/prod/payment-processor.tfstate"


class Production:
    """prod beside dev on one ministack. `terraform` is the folder that `make` works in."""

    def __init__(self, beside: Loopback) -> None:
        """Make its bucket, and begin `make apply`: `command` mostly waits, and the caller has other things to do."""
        packages = beside.package_directory
        # Dev's packages change meanwhile.
        shutil.copytree(packages, packages.with_name("dist-prod"))
        self._beside = beside
        self.terraform: Terraform = copy.copy(beside.terraform)
        self.terraform.environment = {**beside.terraform.environment, **mirror()}
        self.terraform.folder = ROOT / ".build" / "terraform" / BUCKET
        self.bootstrapped = self.make("bootstrap").finish()
        self.command = self.make("apply", *self.variables())

    def variables(self, **changes: str) -> list[str]:
        """Flags of apply and destroy; prod.tfvars comes by itself."""
        own = {
            "gateway_url": "https://gateway.example.com",
            "benchmark_memory_sizes": "[]",
            # Dev beside it has both, and each queue is half a minute of waiting.
            "webhook_secret_arn": "",
            "event_target": "none",
            "alarm_emails": json.dumps([APPROVER]),
            "package_directory": str(self._beside.package_directory.with_name("dist-prod")),
        }
        return ["-auto-approve", *self._beside.variables(**own, **changes)]

    def make(self, target: str, *flags: str, **more: str) -> Command:
        """Start `make TARGET ENVIRONMENT=prod` with flags for Terraform."""
        words = [target, "ENVIRONMENT=prod", f"TF_ARGS={shlex.join(flags)}"]
        command = ["make", "--no-print-directory", *words, *(f"{name}={value}" for name, value in more.items())]
        output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command, which outlives this call
        process = self._beside.processes.start(
            command, cwd=ROOT, env=self.terraform.environment, stdout=output, stderr=subprocess.STDOUT
        )
        return Command(command, process, output)
