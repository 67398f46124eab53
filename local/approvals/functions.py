"""Workflow, page and reconcile as functions of Lambda's API, and the environments that run them.

The rule: what runs is what that API says: the version behind alias `live`, or the one that an execution began with.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from local.environment_pool import EnvironmentPool
from local.execution_environment import ExecutionEnvironment, FunctionVersion
from local.ministack import CREDENTIALS
from local.published_function import PublishedFunction
from local.resources import ALIAS, create_function, zipped
from local.system import LocalSystem

MEMORY_SIZE = 512
# An environment ends at once here, to show that an execution that waits uses no process.
IDLE_SECONDS_MAX = 1.0


class Functions:
    """All of one package. What Terraform has made is taken as it is, under what only this machine can say."""

    def __init__(self, system: LocalSystem, package: Path, endpoints: dict[str, str]) -> None:
        """`package` is unpacked; `endpoints` are variables of this machine, not of the functions."""
        self._system = system
        self._client = system.clients["lambda"]
        self._endpoints = endpoints
        self._archive = zipped(package)
        system.code.keep(base64.b64encode(hashlib.sha256(self._archive).digest()).decode(), package)
        self._idle_seconds_max: dict[str, float] = {}
        self._here: dict[str, Callable[[FunctionVersion], FunctionVersion]] = {}
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str], EnvironmentPool] = {}

    def make(
        self,
        name: str,
        handler: str,
        timeout_seconds: int,
        variables: dict[str, str],
        *,
        idle_seconds_max: float = IDLE_SECONDS_MAX,
        **more: Any,
    ) -> None:
        """Make one with its first version behind alias `live`; `more` is of CreateFunction."""

        def here(version: FunctionVersion) -> FunctionVersion:
            if self._system.terraform is None:
                return version
            # Terraform knows neither this machine's page, mail and key file nor how long its people may take.
            longest_seconds = max(version.timeout_seconds, timeout_seconds)
            return replace(version, timeout_seconds=longest_seconds, variables={**version.variables, **variables})

        self._here[name] = here
        self._idle_seconds_max[name] = idle_seconds_max
        if self._system.terraform is None:
            create_function(
                self._system.clients,
                name,
                self._archive,
                handler=handler,
                runtime=self._system.runtime,
                timeout_seconds=timeout_seconds,
                memory_size=MEMORY_SIZE,
                variables=variables,
                **more,
            )

    def has(self, name: str) -> bool:
        return name in self._here

    def live(self, name: str) -> EnvironmentPool:
        """What runs the version behind alias `live` of a function."""
        return self._pool(name, ALIAS)

    def live_version(self, name: str) -> str:
        """The number of the version behind alias `live`. Raises boto3's errors."""
        return str(self._client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"])

    def version(self, name: str, number: str) -> EnvironmentPool | None:
        """What runs one version for good; None where there is none of that number. Raises boto3's errors."""
        pool = self._pool(name, number)
        try:
            pool.function.current()
        except self._client.exceptions.ResourceNotFoundException:
            return None
        return pool

    def environments(self) -> list[ExecutionEnvironment]:
        """Those that are alive now, of every version."""
        with self._lock:
            pools = list(self._pools.values())
        return [each for pool in pools for each in pool.environments()]

    def stop(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.stop()

    def _pool(self, name: str, qualifier: str) -> EnvironmentPool:
        with self._lock:
            if (name, qualifier) not in self._pools:
                self._pools[name, qualifier] = self._new_pool(name, qualifier)
            return self._pools[name, qualifier]

    def _new_pool(self, name: str, qualifier: str) -> EnvironmentPool:
        system = self._system
        logs = system.log_directory / name / qualifier
        logs.mkdir(parents=True, exist_ok=True)
        return EnvironmentPool(
            PublishedFunction(self._client, name, qualifier, system.code, self._here[name]),
            runtime_python=system.runtime_python,
            processes=system.processes,
            log_directory=logs,
            host_variables={"AWS_ENDPOINT_URL": system.endpoint_url, **CREDENTIALS, **self._endpoints},
            idle_seconds_max=self._idle_seconds_max[name],
            init_seconds_max=system.init_seconds_max,
            watch=system.watch,
        )
