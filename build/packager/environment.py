"""The four functions of one environment, and what is asked before alias `live` of one of them moves.

The rule it keeps: no code comes behind `live` that does not read what any function of the environment was published to
write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import boto3

from packager.live import Live, MoveError
from packager.names import ALARMS, Names, names_of
from packager.published import list_versions, versions_read, versions_written

# What Terraform or a deployment changed last, published or not.
LATEST: Final = "$LATEST"

# Of a durable execution that may still come back to its version.
UNFINISHED: Final = ("RUNNING", "PAUSING", "PAUSED")


class Environment:
    """One environment; `functions` and `cloudwatch` are boto3 clients, those of the shell's region when None.

    Its things are called what `names` says, and without it as the local system calls them. `say` is told how a canary
    goes.
    """

    def __init__(
        self,
        name: str,
        functions: Any = None,
        cloudwatch: Any = None,
        *,
        names: Names | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        # boto3 does not read the variable that everything else here does.
        region = os.environ.get("AWS_REGION") or None
        self.name = name
        self.names = names or names_of(name)
        self._say = say
        self.functions = functions or boto3.client("lambda", region_name=region)
        self.cloudwatch = cloudwatch or boto3.client("cloudwatch", region_name=region)

    def live(self, role: str) -> Live:
        """Alias `live` of a function, there or not."""
        name, alarms = self.names.functions[role], self.names.alarms_of(role)
        return Live(self.functions, name, cloudwatch=self.cloudwatch, alarms=alarms, say=self._say)

    def existing(self) -> dict[str, Live]:
        """Alias `live` of every function that is there, by role."""
        found = {}
        for role in ALARMS:
            live = self.live(role)
            try:
                live.version()
            except self.functions.exceptions.ResourceNotFoundException:
                continue
            found[role] = live
        return found

    def held(self) -> list[str]:
        """Flags of a plan under which Terraform publishes and leaves `live` to the procedure.

        The queue function's stays where it is. The others' go along, but where somebody went back from the newest.
        """
        existing = self.existing()
        flags = [f"-var=live_version={existing['queue'].version()}"] if "queue" in existing else []
        back = {
            role: int(live.version())
            for role, live in existing.items()
            if role != "queue" and live.version() != live.newest() == live.returned()
        }
        return flags + ([f"-var=held_versions={json.dumps(back, separators=(',', ':'))}"] if back else [])

    def follow(self, role: str, version: str | None, shares: Sequence[int], hold_seconds: float) -> str:
        """Move `live` to `version`, or to the newest if that did not come back, prune, and say so. Raises MoveError."""
        live = self.live(role)
        target, before = version or live.newest(), live.version()
        if target == before:
            said = f"{live.function}: live is version {before}"
        elif version is None and target == live.returned():
            said = (
                f"{live.function}: live stays at version {before}, as {target} came back (VERSION={target} tries anew)"
            )
        else:
            self.check(role, live, target)
            live.move(target, shares, hold_seconds)
            said = f"{live.function}: live moved from version {before} to {target}"
        deleted = live.prune(self._waits(live.function) if role == "workflow" else lambda version: False)
        return said + (f"; deleted versions {', '.join(deleted)}" if deleted else "")

    def roll_back(self, role: str, version: str | None = None) -> tuple[str, str]:
        """Move `live` to the version that proved itself last, or to `version`, at once; returns (from, to).

        Under way to a new version, in shares, the way back is to the one that has the rest. Raises MoveError.
        """
        live = self.live(role)
        if version is None and (withdrawn := live.withdraw()):
            return withdrawn
        before = live.version()
        target = version
        if target is None:
            there = self._versions(live.function)
            earlier = [one for one in live.proven() if one != before and one in there]
            if not earlier:
                raise MoveError(
                    f"no version of {live.function} but {before} is known to have served without an alarm: name the "
                    f"one to go back to, make rollback VERSION=; it has {_listed(there)}"
                )
            target = earlier[0]
        self.check(role, live, target)
        return live.move(target, back=True), target

    def check(self, role: str, live: Live, target: str) -> None:
        """Raises MoveError where a version is not there, or its code does not read what was written.

        And where it is one of the page that takes decisions of somebody who was removed since: it keeps its list.
        """
        there = self._versions(live.function)
        if target not in there:
            raise MoveError(f"{live.function} has no version {target}; it has {_listed(there)}")
        written = self.written()
        if unread := written - versions_read(there[target]):
            able = [one for one in there if one != live.version() and written <= versions_read(there[one])]
            way = f"VERSION={max(able, key=int)} reads it" if able else "no other version reads it"
            raise MoveError(
                f"version {target} of {live.function} does not read version {', '.join(map(str, sorted(unread)))} of "
                "the canonical text, which has been written: it would take payments under way for conflicts, or return "
                f"them for ever. live stays at version {live.version()}; {way}, or mend the newest code and deploy it"
            )

        if role == "page":
            newest = self._versions(live.function, latest=True)[LATEST]
            if removed := _approvers(there[target]) - _approvers(newest):
                raise MoveError(
                    f"version {target} of {live.function} takes decisions of {', '.join(sorted(removed))}, who is no "
                    f"approver any more. live stays at version {live.version()}: mend the newest code and deploy it"
                )

    def written(self) -> set[int]:
        """Versions of the canonical text that any function was published to write."""
        names = (self.names.functions[role] for role in ("queue", "workflow"))
        return versions_written(one for name in names for one in self._versions(name, latest=True).values())

    def _versions(self, function: str, *, latest: bool = False) -> dict[str, Mapping[str, Any]]:
        try:
            found = list_versions(self.functions, function)
        except self.functions.exceptions.ResourceNotFoundException:
            return {}
        return {str(one["Version"]): one for one in found if latest or one["Version"] != LATEST}

    def _waits(self, function: str) -> Callable[[str], bool]:
        """Whether executions wait on a version."""

        def waits(version: str) -> bool:
            pages = self.functions.get_paginator("list_durable_executions_by_function").paginate(
                FunctionName=function, Qualifier=version, Statuses=list(UNFINISHED)
            )
            return any(page["DurableExecutions"] for page in pages)

        return waits


def _approvers(configuration: Mapping[str, Any]) -> set[str]:
    variables = configuration.get("Environment", {}).get("Variables", {})
    return set(filter(None, variables.get("APPROVERS", "").split(",")))


def _listed(versions: Iterable[str]) -> str:
    return ", ".join(sorted(versions, key=int))
