"""The local system's resources as Terraform makes them: this repository's root, applied to the loopback services.

The rule: the checkout is only read. A copy of the root works in a folder of the run, with its state and variables.
"""

import base64
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local.installation import BUILD, ROOT
from local.ministack import CREDENTIALS, REGION, ServicesError
from local.resources import Names, Resources, Times, zipped

SOURCE = ROOT / "terraform"
MACHINE = platform.machine().lower()
#: Lambda's name of this machine's instruction set.
ARCHITECTURE = {"amd64": "x86_64", "aarch64": "arm64"}.get(MACHINE, MACHINE)
# The ways to a provider. Nothing else of a developer's shell: its TF_VAR_... and AWS_PROFILE would decide what is made.
_PASSED = ("PATH", "HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_MESSAGE_CHARACTERS_MAX = 4000


class TerraformError(ServicesError):
    """Terraform is missing, or one of its commands failed; the message names it, what it said, and what to do."""


def check_installed() -> None:
    """Raise TerraformError if there is no Terraform, before anything is started for it."""
    if shutil.which("terraform") is None:
        raise TerraformError(
            "terraform is not on the PATH, and PROVISION=terraform needs Terraform 1.11 or later "
            "(https://developer.hashicorp.com/terraform/install). Without PROVISION nothing here needs it."
        )


@dataclass
class Command:
    """A running command whose output goes to a file: a pipe that nobody reads would stop it."""

    command: list[str]
    process: subprocess.Popen[bytes]
    output: IO[str]

    def finish(self, expect: int | None = 0) -> str:
        """Wait and return what it printed. Raises TerraformError when it ends with another code than `expect`."""
        code = self.process.wait()
        self.output.seek(0)
        printed = self.output.read()
        self.output.close()
        if expect is not None and code != expect:
            # Terraform says what is wrong at the end, below all that it did or would do.
            said = printed[max(printed.find("\nError: "), 0) :].strip()
            raise TerraformError(f"`{' '.join(self.command)}` ended with {code}:\n{said[-_MESSAGE_CHARACTERS_MAX:]}")
        return printed


class Terraform:
    """One initialised copy of the root. It knows the loopback services from environment variables alone, as on AWS."""

    def __init__(
        self, folder: Path, endpoint_url: str = "", *, start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    ) -> None:
        """Copy the root to `folder` / terraform and initialise it, from TF_PLUGIN_MIRROR where that is set.

        `start` starts processes; without an endpoint nothing can be applied. Raises TerraformError.
        """
        self.folder = folder / "terraform"
        self._start = start
        # Not what belongs to somebody's own deployment from the checkout.
        others = shutil.ignore_patterns(".terraform", "terraform.tfstate*", "terraform.tfvars*", "*.auto.tfvars*")
        # Over an earlier copy, whose state stays.
        shutil.copytree(SOURCE, self.folder, ignore=others, dirs_exist_ok=True)
        self.environment = {
            **{name: os.environ[name] for name in _PASSED if name in os.environ},
            **_plugin_settings(),
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_ARGS": "-no-color",
            "CHECKPOINT_DISABLE": "1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if endpoint_url:
            self.environment |= {
                "AWS_ENDPOINT_URL": endpoint_url,
                "AWS_REGION": REGION,
                # The provider's own 25 tries of a call that ministack lacks last for minutes.
                "AWS_MAX_ATTEMPTS": "2",
                **CREDENTIALS,
            }
        BUILD.mkdir(exist_ok=True)
        try:
            # Two at once may spoil Terraform's plugin cache.
            with (BUILD / "terraform-plugins.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self.run("init", *init_flags(locked=True))
        except TerraformError as error:
            raise TerraformError(
                f"{error}\nTerraform 1.11 or later and its provider hashicorp/aws are needed. If the provider could "
                "not be had: check the way to registry.terraform.io, or set TF_PLUGIN_MIRROR to a folder with unpacked "
                'providers (docs/terraform.md, "Providers without a registry").'
            ) from error

    def start(self, *arguments: str, workspace: str = "dev") -> Command:
        """Start `terraform <arguments>` in a workspace, which is made when missing."""
        output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command, which outlives this call
        command = ["terraform", *arguments]
        process = self._start(
            command,
            cwd=self.folder,
            env={**self.environment, "TF_WORKSPACE": workspace},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        return Command(command, process, output)

    def run(self, *arguments: str, workspace: str = "dev", expect: int | None = 0) -> str:
        """Run a command to its end and return what it printed; it must end with `expect` (None: any code)."""
        return self.start(*arguments, workspace=workspace).finish(expect)

    def outputs(self, workspace: str = "dev") -> dict[str, Any]:
        """The outputs' values by name."""
        found = json.loads(self.run("output", "-json", workspace=workspace))
        return {name: output["value"] for name, output in found.items()}


def init_flags(*, locked: bool) -> list[str]:
    """As the Makefile has them; a folder without a committed lock file cannot be `locked`."""
    mirror = os.environ.get("TF_PLUGIN_MIRROR", "")
    return ["-input=false", *([f"-plugin-dir={mirror}"] if mirror else []), *(["-lockfile=readonly"] if locked else [])]


def _plugin_settings() -> dict[str, str]:
    """Where Terraform's own configuration is, and one place for what it downloads: a provider is 650 MB."""
    settings = {}
    # One that does not exist is a warning in every command's output.
    if os.path.exists(os.environ.get("TF_CLI_CONFIG_FILE", "")):
        settings["TF_CLI_CONFIG_FILE"] = os.environ["TF_CLI_CONFIG_FILE"]
    if not os.environ.get("TF_PLUGIN_MIRROR"):
        cache = Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or BUILD / "terraform-plugins")
        cache.mkdir(parents=True, exist_ok=True)
        settings["TF_PLUGIN_CACHE_DIR"] = str(cache)
    return settings


def apply(
    terraform: Terraform,
    names: Names,
    times: Times,
    package: Path,
    workflow: Path,
    *,
    runtime: str,
    memory_size: int,
    variables: dict[str, str],
    concurrency: int,
    polled: bool,
) -> Resources:
    """`terraform apply` of one environment; the counterpart of `local.resources.create`.

    `package` and `workflow` are unpacked deployment packages; `variables` are settings of the function, each the root's
    variable of that name in small letters; `concurrency` how many batches run at once; `polled` whether the services'
    own mapping takes messages. Raises TerraformError.
    """
    dist = terraform.folder.parent / "dist"
    # The packages are of this checkout, which reads every version that it can write.
    versions = list(range(1, int(variables.get("CANONICAL_VERSION_WRITTEN", "1")) + 1))
    facts = {"architecture": ARCHITECTURE, "runtime": runtime, "canonical_versions_read": versions}
    sha256 = write_package(dist / f"payment-processor-{ARCHITECTURE}-compiled.zip", package, **facts)
    write_package(dist / f"payment-workflow-{ARCHITECTURE}-compiled.zip", workflow, **facts)
    # Every environment has the workflow under this very name.
    own = {name: value for name, value in variables.items() if name != "APPROVAL_FUNCTION_ARN"}
    values = {
        "environment": names.environment,
        "architecture": ARCHITECTURE,
        "runtime": runtime,
        "package_directory": str(dist),
        "memory_size": memory_size,
        "timeout_seconds": times.function_timeout_seconds,
        "visibility_timeout_seconds": times.visibility_timeout_seconds,
        "gateway_deadline_seconds": times.gateway_deadline_seconds,
        "safety_margin_seconds": times.safety_margin_seconds,
        "retry_delay_seconds": times.retry_delay_seconds,
        "park_after_seconds": times.park_after_seconds,
        # Its least is 2.
        "maximum_concurrency": max(2, concurrency),
        # Enough for ten groups of each batch: the simulator answers 429 itself to what is too much.
        "gateway_calls_per_second": 34 * max(2, concurrency),
        "event_source_enabled": polled,
        "scoring_engine": "auto",
        **{name.lower(): value for name, value in own.items()},
    }
    # Terraform takes one that is not declared for a slip, and goes on.
    declared = re.findall(r'^variable "(\w+)"', (terraform.folder / "variables.tf").read_text(), re.MULTILINE)
    if unknown := sorted(values.keys() - set(declared)):
        raise ValueError(f"terraform/variables.tf has no {', '.join(unknown)}")
    # Under these names every command in the folder reads them, one that a person types there too.
    (terraform.folder / "run.auto.tfvars.json").write_text(json.dumps(values, indent=2) + "\n")
    shutil.copyfile(terraform.folder / "loopback.tfvars", terraform.folder / "loopback.auto.tfvars")
    print(f"terraform apply in {terraform.folder}, which takes a minute or two", file=sys.stderr, flush=True)
    try:
        terraform.run("apply", "-auto-approve", "-input=false", workspace=names.environment)
    except TerraformError as error:
        raise TerraformError(f"{error}\nConfiguration, variables and state are in {terraform.folder}.") from error
    made = terraform.outputs(names.environment)
    urls = ("queue_url", "queue_arn", "rejected_queue_url", "dead_letter_queue_url")
    return Resources(names, **{name: made[name] for name in urls}, code_sha256=sha256)


def write_package(archive: Path, package: Path, **facts: object) -> str:
    """Write an unpacked package as the ZIP `archive` with a manifest beside it, as `make package` does.

    `facts` are others of the manifest, such as its architecture; what is left out is not checked. Returns the ZIP's
    SHA-256 in base64, as Lambda tells it.
    """
    archive.parent.mkdir(exist_ok=True)
    content = zipped(package)
    archive.write_bytes(content)
    sha256 = hashlib.sha256(content)
    archive.with_suffix(".manifest.json").write_text(json.dumps({**facts, "sha256": sha256.hexdigest()}))
    return base64.b64encode(sha256.digest()).decode()
