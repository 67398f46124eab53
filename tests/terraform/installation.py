"""Copies of the Terraform root to work in, with what only tests ask of one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from local import terraform

# The planned values of a resource or data source by its address.
Plan = Mapping[str, dict[str, Any]]


class Terraform(terraform.Terraform):
    """A copy with configurations inside, whose state can be looked at."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As the copy without."""
        self._known: dict[tuple[str, str], tuple[bytes, Any]] = {}
        super().__init__(*arguments, **named)

    def inside(self, path: str) -> Terraform:
        """A configuration inside the copy, in a folder that is made when missing; not initialised."""
        found = copy.copy(self)
        found.folder = self.folder / path
        found.folder.mkdir(exist_ok=True)
        found.environment = {**self.environment}
        found._known = {}
        # Without a lock file Terraform would write what others run into the cache again.
        if not (found.folder / ".terraform.lock.hcl").exists():
            found.environment.pop("TF_PLUGIN_CACHE_DIR", None)
        return found

    def outputs(self, workspace: str = "dev") -> dict[str, Any]:
        """The outputs' values by name, asked once as long as the state is as it was."""
        found: dict[str, Any] = self._asked("outputs", workspace, lambda: super(Terraform, self).outputs(workspace))
        return found

    def resources(self, workspace: str = "dev") -> dict[str, dict[str, Any]]:
        """Every managed resource in the state: its attributes by its address. Asked once a state, as outputs are."""
        found: dict[str, dict[str, Any]] = self._asked("resources", workspace, lambda: self._resources(workspace))
        return found

    def _asked(self, what: str, workspace: str, ask: Callable[[], Any]) -> Any:
        # Each is a process, and reading a whole state loads the provider: 5 s of CPU. A state elsewhere is asked anew.
        file = self.folder / "terraform.tfstate.d" / workspace / "terraform.tfstate"
        if not file.exists():
            return ask()
        state = file.read_bytes()
        if self._known.get((what, workspace), (None, None))[0] != state:
            self._known[what, workspace] = state, ask()
        return copy.deepcopy(self._known[what, workspace][1])

    def _resources(self, workspace: str) -> dict[str, dict[str, Any]]:
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


def plan(root: terraform.Terraform, *arguments: str, workspace: str = "dev") -> dict[str, Any]:
    """Plan and return the plan's JSON ("JSON Output Format" in Terraform's documentation)."""
    saved = str(root.folder / f"{workspace}.plan")
    root.run("plan", f"-out={saved}", *arguments, workspace=workspace)
    planned: dict[str, Any] = json.loads(root.run("show", "-json", saved, workspace=workspace))
    return planned


def changes(planned: dict[str, Any], *, everything: bool = False) -> dict[str, dict[str, Any]]:
    """What a plan would change, without what ministack's answers alone make look changed, or `everything`.

    Attributes, each before and after, by address.
    """
    expected = {} if everything else json.loads((terraform.SOURCE / "loopback-differences.json").read_text())
    found = {}
    for resource in planned["resource_changes"]:
        change = resource["change"]
        if resource["mode"] != "managed" or change["actions"] == ["no-op"]:
            continue
        before, after = change["before"] or {}, change["after"] or {}
        names = {name for name in before | after if before.get(name) != after.get(name)} | set(change["after_unknown"])
        ignored = expected.get(resource["type"], [])
        if change["actions"] == ["update"]:
            names = set() if ignored == "*" else names - set(ignored)
        if names:
            found[resource["address"]] = {name: (before.get(name), after.get(name)) for name in names}
    return found
