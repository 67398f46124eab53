"""Provisioned concurrency of the queue function: environments that are kept warm, and what its API says of them.

The rule: READY is what is warm. The services say so of any number, at once, and keep nothing warm.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.environment_pool import EnvironmentPool
from local.published_function import ConfigurationError
from local.resources import ALIAS


class Provisioned:
    """`follow` it again and again; `told` is what the Lambda API answers."""

    def __init__(
        self,
        functions: Any,
        function: str,
        pool: EnvironmentPool,
        concurrency: int,
        problem: Callable[[str], None],
    ) -> None:
        """`functions` is a client of the services' Lambda; more than `concurrency` could not be busy at once here."""
        self._functions = functions
        self.function = function
        self._pool = pool
        self._concurrency = concurrency
        self._problem = problem

    def follow(self) -> None:
        """Keep as many environments warm as are provisioned on the alias or on the version behind it."""
        wanted = 0
        try:
            version = self._functions.get_alias(FunctionName=self.function, Name=ALIAS)["FunctionVersion"]
            for qualifier in (ALIAS, version):
                with suppress(self._functions.exceptions.ProvisionedConcurrencyConfigNotFoundException):
                    found = self._functions.get_provisioned_concurrency_config(
                        FunctionName=self.function, Qualifier=qualifier
                    )
                    wanted = max(wanted, int(found["RequestedProvisionedConcurrentExecutions"]))
            self._pool.warm(min(wanted, self._concurrency))
        except (BotoCoreError, ClientError, ConfigurationError, OSError) as error:
            self._problem(f"provisioned concurrency: {error}")

    def told(self, function: str, found: dict[str, Any]) -> dict[str, Any]:
        """A function's configuration as the services tell it, with what is true here: as AWS does, FAILED says why."""
        wanted = int(found["RequestedProvisionedConcurrentExecutions"])
        ours = function == self.function
        allocated = min(wanted, self._concurrency) if ours else 0
        warm = min(allocated, self._pool.warm_count()) if ours else 0
        status = {"Status": "READY" if warm == wanted else "IN_PROGRESS"}
        if not ours:
            reason = f"the local system keeps environments of {self.function} warm, and of no other function"
            status = {"Status": "FAILED", "StatusReason": f"{reason} (docs/local.md)"}
        elif wanted > self._concurrency:
            reason = f"the local system has {self._concurrency} execution environments at most and keeps those warm: "
            reason += f"ask for fewer, or start it with --concurrency {wanted} (docs/local.md)"
            status = {"Status": "FAILED", "StatusReason": reason}
        return {
            **found,
            "AllocatedProvisionedConcurrentExecutions": allocated,
            "AvailableProvisionedConcurrentExecutions": warm,
            **status,
        }
