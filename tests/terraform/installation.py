"""Copies of the Terraform root to work in: their state, workspaces and provider links stay out of the checkout."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "terraform"
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass
class Command:
    """A running command whose output goes to a file: a pipe that nobody reads would stop it."""

    process: subprocess.Popen[bytes]
    output: IO[str]

    def finish(self, expect: int | None = 0) -> str:
        """Wait and return what it printed; fail with all of it when it ends with another code than `expect`."""
        code = self.process.wait()
        self.output.seek(0)
        printed = self.output.read()
        self.output.close()
        if expect is not None and code != expect:
            raise AssertionError(f"{' '.join(map(str, self.process.args))} ended with {code}:\n{printed}")
        return printed


class Terraform:
    """One initialised copy of the root. Commands run in it with exactly the environment given."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        """Copy the root to `folder` / terraform and initialise it, from TF_PLUGIN_MIRROR where that is set."""
        self.folder = folder / "terraform"
        shutil.copytree(SOURCE, self.folder, ignore=shutil.ignore_patterns(".terraform", "terraform.tfstate*"))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TF_DATA_DIR": str(folder / "data"),
            "TF_WORKSPACE": "dev",
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_ARGS": "-no-color",
            # The way to the public registry, where there is no mirror; nothing else of a developer's shell.
            **{name: os.environ[name] for name in _NETWORK if name in os.environ},
            **(environment or {}),
        }
        self.run("init", *init_flags(locked=True))

    def inside(self, path: str) -> Terraform:
        """A configuration inside the copy, in a folder that is made when missing; not initialised."""
        found = copy.copy(self)
        found.folder = self.folder / path
        found.folder.mkdir(exist_ok=True)
        found.environment = {**self.environment, "TF_DATA_DIR": str(found.folder / ".terraform")}
        return found

    def start(self, *arguments: str, workspace: str = "dev") -> Command:
        """Start `terraform <arguments>` in a workspace, which is made when missing."""
        output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command, which outlives this call
        process = subprocess.Popen(
            ["terraform", *arguments],
            cwd=self.folder,
            env={**self.environment, "TF_WORKSPACE": workspace},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        return Command(process, output)

    def run(self, *arguments: str, workspace: str = "dev", expect: int | None = 0) -> str:
        """Run a command to its end and return what it printed; it must end with `expect` (None: any code)."""
        return self.start(*arguments, workspace=workspace).finish(expect)

    def plan(self, *arguments: str, workspace: str = "dev") -> dict[str, Any]:
        """Plan and return the plan's JSON ("JSON Output Format" in Terraform's documentation)."""
        saved = str(self.folder / f"{workspace}.plan")
        self.run("plan", f"-out={saved}", *arguments, workspace=workspace)
        return json.loads(self.run("show", "-json", saved, workspace=workspace))

    def outputs(self, workspace: str = "dev") -> dict[str, Any]:
        """The outputs' values by name."""
        found = json.loads(self.run("output", "-json", workspace=workspace))
        return {name: output["value"] for name, output in found.items()}

    def resources(self, workspace: str = "dev") -> dict[str, dict[str, Any]]:
        """Every managed resource in the state: its attributes by its address."""
        state = json.loads(self.run("show", "-json", workspace=workspace))
        found: dict[str, dict[str, Any]] = {}
        modules = [state.get("values", {}).get("root_module", {})]
        while modules:
            module = modules.pop()
            modules += module.get("child_modules", [])
            found |= {
                resource["address"]: resource["values"] | {"type": resource["type"]}
                for resource in module.get("resources", [])
                if resource["mode"] == "managed"
            }
        return found


def init_flags(*, locked: bool) -> list[str]:
    """As the Makefile has them; a folder without a committed lock file cannot be `locked`."""
    mirror = os.environ.get("TF_PLUGIN_MIRROR", "")
    return ["-input=false", *([f"-plugin-dir={mirror}"] if mirror else []), *(["-lockfile=readonly"] if locked else [])]
