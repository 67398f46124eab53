"""Lambda as far as alias `live` is concerned: versions, aliases, weights and provisioned concurrency.

The rule it keeps: what AWS refuses is refused here too, and every change is kept in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class _Exceptions:
    class ResourceNotFoundException(Exception):
        pass

    class ProvisionedConcurrencyConfigNotFoundException(Exception):
        pass


class Functions:
    """A boto3 client of Lambda. `versions`: by function, the configuration of each version from 1."""

    exceptions = _Exceptions

    def __init__(self, versions: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        self.versions = {
            name: {str(number): {"Version": str(number), **one} for number, one in enumerate(configurations, 1)}
            for name, configurations in versions.items()
        }
        self.aliases: dict[tuple[str, str], dict[str, Any]] = {}
        self.provisioned: dict[tuple[str, str], dict[str, Any]] = {}
        self.executions: dict[tuple[str, str], dict[str, str]] = {}
        self.calls: list[tuple[Any, ...]] = []
        # How often an answer shows what Lambda is still about.
        self.pending: dict[tuple[str, str], int] = {}
        self.provisioning = {"READY": 0}
        self.shifting = 0
        for name, found in self.versions.items():
            self.aliases[name, "live"] = {"FunctionVersion": max(found, key=int)}

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        try:
            alias = dict(self.aliases[FunctionName, Name])
        except KeyError:
            raise _Exceptions.ResourceNotFoundException from None
        if Name == "live" and self.shifting and self.calls and self.calls[-1][0] == "live":
            self.shifting -= 1
            return alias | {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}}
        return alias

    def update_alias(self, FunctionName: str, Name: str, FunctionVersion: str, **more: Any) -> None:
        weights = more.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        assert not (weights and (FunctionName, Name) in self.provisioned), "Alias with weights ... (AWS)"
        self.aliases[FunctionName, Name] |= {"FunctionVersion": FunctionVersion, **more}
        self.calls.append((Name, FunctionVersion, dict(weights)) if Name == "live" else (Name, FunctionVersion))

    def create_alias(self, FunctionName: str, Name: str, FunctionVersion: str, **more: Any) -> None:
        self.aliases[FunctionName, Name] = {"FunctionVersion": FunctionVersion, **more}
        self.calls.append((Name, FunctionVersion))

    def delete_alias(self, FunctionName: str, Name: str) -> None:
        del self.aliases[FunctionName, Name]
        self.calls.append((Name, None))

    def get_function_configuration(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        left = self.pending.get((FunctionName, Qualifier), 0)
        self.pending[FunctionName, Qualifier] = max(0, left - 1)
        found = self.versions[FunctionName][Qualifier]
        return {"State": "Pending"} if left else {"State": "Active", **found}

    def get_provisioned_concurrency_config(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        try:
            config = self.provisioned[FunctionName, Qualifier]
        except KeyError:
            raise _Exceptions.ProvisionedConcurrencyConfigNotFoundException from None
        [(ends, waits)] = self.provisioning.items()
        self.provisioning[ends] = max(0, waits - 1)
        return config | ({"Status": "IN_PROGRESS"} if waits else {"Status": ends, "StatusReason": "no capacity"})

    def put_provisioned_concurrency_config(
        self, FunctionName: str, Qualifier: str, ProvisionedConcurrentExecutions: int
    ) -> None:
        config = {"RequestedProvisionedConcurrentExecutions": ProvisionedConcurrentExecutions}
        self.provisioned[FunctionName, Qualifier] = config
        self.calls.append(("provision", Qualifier, ProvisionedConcurrentExecutions))

    def delete_provisioned_concurrency_config(self, FunctionName: str, Qualifier: str) -> None:
        del self.provisioned[FunctionName, Qualifier]
        self.calls.append(("release", Qualifier))

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:
        named = {alias["FunctionVersion"] for (name, _), alias in self.aliases.items() if name == FunctionName}
        assert Qualifier not in named, "ResourceConflictException (AWS): an alias names it"
        del self.versions[FunctionName][Qualifier]
        self.calls.append(("delete", Qualifier))

    def get_paginator(self, operation: str) -> _Pages:
        return _Pages(self, operation)


class _Pages:
    def __init__(self, functions: Functions, operation: str) -> None:
        self._functions = functions
        self._operation = operation

    def paginate(self, FunctionName: str, **more: Any) -> list[dict[str, Any]]:
        functions = self._functions
        if FunctionName not in functions.versions:
            raise _Exceptions.ResourceNotFoundException
        if self._operation == "list_versions_by_function":
            found = functions.versions[FunctionName].values()
            latest = {**max(found, key=lambda one: int(one["Version"])), "Version": "$LATEST"}
            return [{"Versions": [one]} for one in (latest, *found)]
        if self._operation == "list_aliases":
            return [{"Aliases": [one]} for (name, _), one in functions.aliases.items() if name == FunctionName]
        assert self._operation == "list_durable_executions_by_function"
        executions = functions.executions.get((FunctionName, more["Qualifier"]), {})
        return [{"DurableExecutions": [arn for arn, status in executions.items() if status in more["Statuses"]]}]


class Alarms:
    """A boto3 client of CloudWatch: alarms by name, each with its states in turn, the last one for good."""

    def __init__(self, **states: list[str]) -> None:
        self._states = {name.replace("_", "-"): list(each) for name, each in states.items()}

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        found = []
        for name in AlarmNames:
            for suffix, states in self._states.items():
                if name.endswith(f"-{suffix}"):
                    found.append({"AlarmName": name, "StateValue": states.pop(0) if len(states) > 1 else states[0]})
        return {"MetricAlarms": found}
