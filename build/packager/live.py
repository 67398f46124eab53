"""Move alias `live` of a function from one published version to another, the same way for every command that does.

The rule it keeps: the new version is ready, provisioned concurrency and all, before it gets anything, and the old one
keeps its own until nothing goes there any more. Which versions have proved themselves stands in alias `proven`, which
came back in alias `returned`: AWS keeps both, whoever asks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from packager.published import list_versions, versions_written

LIVE: Final = "live"
PROVEN: Final = "proven"
RETURNED: Final = "returned"
# Beside those that something still needs.
NEWEST_KEPT: Final = 3
PROVEN_KEPT: Final = 5
_POLL_SECONDS: Final = 5.0


class MoveError(Exception):
    """`live` is where it was. The message says why, and what to do."""


class Live:
    """Alias `live` of one function. `functions` and `cloudwatch` are boto3 clients, `alarms` names of alarms."""

    def __init__(
        self,
        functions: Any,
        function: str,
        *,
        cloudwatch: Any = None,
        alarms: Sequence[str] = (),
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = print,
    ) -> None:
        self._functions = functions
        self._cloudwatch = cloudwatch
        self._alarms = list(alarms)
        self._sleep = sleep
        self._say = say
        self.function = function

    def version(self) -> str:
        """The version that has `live`, or the greater part of it."""
        return str(self._functions.get_alias(FunctionName=self.function, Name=LIVE)["FunctionVersion"])

    def point(self) -> tuple[str, Mapping[str, float]]:
        """The same, and the shares of other versions."""
        alias = self._functions.get_alias(FunctionName=self.function, Name=LIVE)
        return str(alias["FunctionVersion"]), self._weights(alias)

    def move(self, target: str, shares: Sequence[int] = (), hold_seconds: float = 0, *, back: bool = False) -> str:
        """Give `target` all of `live`, first its shares in per cent, `hold_seconds` each; returns what had it before.

        With shares, an alarm of the function's brings everything back. `back`: the version that has `live` is the one
        to get away from, so it is not proven by being followed, but marked as returned. Raises MoveError.
        """
        alias = self._functions.get_alias(FunctionName=self.function, Name=LIVE)
        before = str(alias["FunctionVersion"])
        standing = self._standing()
        if shares and standing is None:
            raise MoveError(f"none of {self.function}'s alarms is there to bring a canary back: move at once, SHARES=")
        if shares and standing:
            raise MoveError(
                f"{', '.join(standing)} stands already, and a canary could not be told from that: see to it first, or "
                "move at once, SHARES="
            )
        self._wait_until_active(target)
        if self._provisioned(LIVE):
            raise MoveError(
                f"provisioned concurrency stands on alias {LIVE} of {self.function} itself, where AWS takes no weights "
                "beside it: apply it with provisioned_concurrency=0 and then anew, which puts it on the version"
            )
        if not back and before != target:
            self.prove_if_quiet()
        count = self._provisioned(before)
        if count and before != target:
            self._provision(target, count)
        for percent in shares if before != target else ():
            self._point(before, {target: percent / 100})
            self._say(f"{self.function}: version {target} has {percent} % of {LIVE} for {hold_seconds:g} s")
            if rang := self._rings(hold_seconds):
                self._point(before, {})
                self._mark(RETURNED, target)
                if count:
                    self._release(target)
                raise MoveError(
                    f"{', '.join(rang)} rang while version {target} of {self.function} had {percent} %: {LIVE} is back "
                    f"at version {before}, whole. Its log says why; the next code is a new version"
                )
        self._point(target, {})
        if back and before != target:
            self._mark(RETURNED, before)
            self._disprove(before)
        # Lambda may shift a provisioned version in weights of its own; until then both are needed.
        self._wait_until_whole()
        if count and before != target:
            self._release(before)
        return before

    def withdraw(self) -> tuple[str, str] | None:
        """Take a canary's share away and mark it as returned; returns it and what has `live`, None without a canary."""
        alias = self._functions.get_alias(FunctionName=self.function, Name=LIVE)
        version, shares = str(alias["FunctionVersion"]), self._weights(alias)
        if not shares:
            return None
        canary = max(shares, key=int)
        self._point(version, {})
        self._mark(RETURNED, canary)
        self._wait_until_whole()
        if self._provisioned(canary):
            self._release(canary)
        return canary, version

    def prove_if_quiet(self) -> None:
        """Mark the version that has `live` as proven, if it has all of it and none of its alarms stands."""
        alias = self._functions.get_alias(FunctionName=self.function, Name=LIVE)
        if not self._weights(alias) and not self._standing():
            self._prove(str(alias["FunctionVersion"]))

    def newest(self) -> str:
        """The version that was published last."""
        numbers = (str(one["Version"]) for one in list_versions(self._functions, self.function))
        return max((number for number in numbers if number != "$LATEST"), key=int)

    def proven(self) -> list[str]:
        """Versions that had all of `live` without an alarm when the next one came, the last first."""
        alias = self._alias(PROVEN)
        if alias is None:
            return []
        said = re.search(r"Before it: ([0-9, ]+)\.", alias.get("Description") or "")
        return [str(alias["FunctionVersion"]), *(said[1].split(", ") if said else [])]

    def returned(self) -> str | None:
        """The version that came back last, by an alarm or by hand."""
        alias = self._alias(RETURNED)
        return str(alias["FunctionVersion"]) if alias else None

    def prune(self, needed: Callable[[str], bool] = lambda version: False) -> list[str]:
        """Delete old versions and return them: no alias names them, nothing is `needed` of them, and what was written
        is known from others.
        """
        found = {str(one["Version"]): one for one in list_versions(self._functions, self.function)}
        found.pop("$LATEST", None)
        newest_first = sorted(found, key=int, reverse=True)
        kept = {*newest_first[:NEWEST_KEPT], *self.proven()[:PROVEN_KEPT]}
        pages = self._functions.get_paginator("list_aliases").paginate(FunctionName=self.function)
        for alias in (alias for page in pages for alias in page["Aliases"]):
            kept |= {str(alias["FunctionVersion"]), *self._weights(alias)}
        # What any version was published to write is asked of these for good (docs/protocol.md).
        for written in versions_written(found.values()):
            kept.add(next(one for one in newest_first if versions_written([found[one]]) == {written}))
        deleted = []
        for version in newest_first:
            if version not in kept and not needed(version):
                self._functions.delete_function(FunctionName=self.function, Qualifier=version)
                deleted.append(version)
        return deleted

    def _alias(self, name: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self._functions.get_alias(FunctionName=self.function, Name=name)
        except self._functions.exceptions.ResourceNotFoundException:
            return None
        return found

    def _mark(self, name: str, version: str, description: str = "") -> None:
        change = self._functions.update_alias if self._alias(name) else self._functions.create_alias
        change(FunctionName=self.function, Name=name, FunctionVersion=version, Description=description)

    def _prove(self, version: str) -> None:
        self._mark_proven([version, *(one for one in self.proven() if one != version)])

    def _disprove(self, version: str) -> None:
        left = [one for one in self.proven() if one != version]
        if left:
            self._mark_proven(left)
        elif self._alias(PROVEN):
            self._functions.delete_alias(FunctionName=self.function, Name=PROVEN)

    def _mark_proven(self, versions: list[str]) -> None:
        before = ", ".join(versions[1:PROVEN_KEPT])
        self._mark(PROVEN, versions[0], f"Before it: {before}." if before else "")

    def _point(self, version: str, weights: Mapping[str, float]) -> None:
        # Lambda keeps a canary's weights where none are given.
        self._functions.update_alias(
            FunctionName=self.function,
            Name=LIVE,
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": dict(weights)},
        )

    def _wait_until_active(self, version: str) -> None:
        """With SnapStart a version is not there before its snapshot is."""
        while True:
            found = self._functions.get_function_configuration(FunctionName=self.function, Qualifier=version)
            state = found.get("State", "Active")
            if state == "Failed":
                reason = found.get("StateReason") or "no reason given"
                raise MoveError(f"version {version} of {self.function} cannot start: {reason}")
            if state != "Pending":
                return
            self._sleep(_POLL_SECONDS)

    def _wait_until_whole(self) -> None:
        while self._weights(self._functions.get_alias(FunctionName=self.function, Name=LIVE)):
            self._sleep(_POLL_SECONDS)

    @staticmethod
    def _weights(alias: Mapping[str, Any]) -> Mapping[str, float]:
        return alias.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {}

    def _provisioned(self, qualifier: str) -> int:
        try:
            found = self._functions.get_provisioned_concurrency_config(FunctionName=self.function, Qualifier=qualifier)
        except self._functions.exceptions.ProvisionedConcurrencyConfigNotFoundException:
            return 0
        return int(found["RequestedProvisionedConcurrentExecutions"])

    def _provision(self, version: str, count: int) -> None:
        self._functions.put_provisioned_concurrency_config(
            FunctionName=self.function, Qualifier=version, ProvisionedConcurrentExecutions=count
        )
        while True:
            found = self._functions.get_provisioned_concurrency_config(FunctionName=self.function, Qualifier=version)
            if found["Status"] == "READY":
                return
            if found["Status"] == "FAILED":
                self._release(version)
                raise MoveError(
                    f"version {version} of {self.function} got no provisioned concurrency of {count}: "
                    f"{found.get('StatusReason') or 'no reason given'}"
                )
            self._sleep(_POLL_SECONDS)

    def _release(self, version: str) -> None:
        self._functions.delete_provisioned_concurrency_config(FunctionName=self.function, Qualifier=version)

    def _standing(self) -> list[str] | None:
        """Alarms that stand; None where none of them is there at all."""
        if self._cloudwatch is None or not self._alarms:
            return None
        found = self._cloudwatch.describe_alarms(AlarmNames=self._alarms)["MetricAlarms"]
        if not found:
            return None
        return [str(alarm["AlarmName"]) for alarm in found if alarm["StateValue"] == "ALARM"]

    def _rings(self, seconds: float) -> list[str]:
        for _ in range(max(1, round(seconds / _POLL_SECONDS))):
            self._sleep(min(seconds, _POLL_SECONDS))
            if standing := self._standing():
                return standing
        return []
