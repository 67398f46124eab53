"""The root applied to ministack on this machine, with packages built for this machine and the gateway's simulator."""

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.ministack import Ministack
from local.process_group import ProcessGroup
from local.resources import zipped
from local.system import CREDENTIALS, REGION, client
from tests.terraform.installation import ROOT, Terraform

ENGINES = ("compiled", "pure")
SERVICES = ("sqs", "dynamodb", "lambda", "iam", "logs", "kms", "s3", "cloudwatch", "sns")


class Loopback:
    """ministack, the gateway, and a copy of the root that knows both from environment variables alone."""

    def __init__(self, folder: Path) -> None:
        """Start everything, and `terraform apply` of dev, which mostly waits: the caller has other things to do."""
        self.processes = ProcessGroup()
        self.services = Ministack(self.processes, folder)
        self.clients: dict[str, Any] = {name: client(name, self.services.url) for name in SERVICES}
        self.gateway_database = folder / "gateway.sqlite"
        self._gateway = self.processes.start(
            [sys.executable, "-m", "local.gateway", "--database", str(self.gateway_database), "--seed", "8"],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._gateway.stdout is not None
        self.gateway_url: str = json.loads(self._gateway.stdout.readline())["url"]
        self.package_directory = folder / "dist"
        host_packages(self.package_directory)
        self.terraform = Terraform(
            folder,
            {
                "AWS_ENDPOINT_URL": self.services.url,
                "AWS_REGION": REGION,
                "AWS_EC2_METADATA_DISABLED": "true",
                # The provider's own 25 tries of a call that ministack lacks last for minutes.
                "AWS_MAX_ATTEMPTS": "2",
                **CREDENTIALS,
            },
        )
        self.first_apply = self.terraform.start("apply", "-auto-approve", *self.variables())

    def variables(self, **changes: str) -> list[str]:
        """Flags of every plan and apply here: the file of what ministack lacks, this machine, then `changes`."""
        values = {
            "package_directory": str(self.package_directory),
            "architecture": ARCHITECTURE,
            "runtime": RUNTIME,
            "gateway_url": self.gateway_url,
            "benchmark_memory_sizes": "[128]",
            **changes,
        }
        return ["-var-file=loopback.tfvars", *(f"-var={name}={value}" for name, value in values.items())]

    def stop(self) -> None:
        """End every process; what ministack held is gone."""
        self.services.stop()
        self._gateway.kill()
        self._gateway.wait()
        if self._gateway.stdout is not None:
            self._gateway.stdout.close()
        self.processes.stop()


# ministack runs python3.x functions under its own interpreter, which is this one's twin.
ARCHITECTURE = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def host_packages(folder: Path) -> None:
    """ZIPs for this machine with the manifests that `make package` writes beside those for Lambda."""
    folder.mkdir()
    for engine in ENGINES:
        unzipped = ROOT / ".build" / f"terraform-{engine}"
        subprocess.run(
            [sys.executable, str(ROOT / "build" / "package.py"), "host", "--engine", engine, "--out", str(unzipped)],
            check=True,
        )
        content = zipped(unzipped)
        path = folder / f"payment-processor-{ARCHITECTURE}-{engine}.zip"
        path.write_bytes(content)
        manifest = {
            "architecture": ARCHITECTURE,
            "engine": engine,
            "runtime": RUNTIME,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        path.with_suffix(".manifest.json").write_text(json.dumps(manifest))
