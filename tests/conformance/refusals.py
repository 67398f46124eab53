"""What is never proved on: production, a real gateway, somebody else's environment.

The rule: the plan that would be applied is judged, not the options that it was asked for with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from handler.domain.rules import PRODUCTION
from tests.conformance.names import Name

_OF_A_GATEWAY: Final = ("gateway_url", "gateway_secret_arn", "gateway_mode", "gateway_ca_file")


class RefusedError(Exception):
    """Nothing was made. The message says why, and what to do."""


def check_name(environment: str) -> None:
    """Raise RefusedError for a name that production has or is called by, and for what make takes where none is said."""
    if environment in (*PRODUCTION, "dev") or "prod" in environment or "live" in environment.split("-"):
        raise RefusedError(
            f"environment {environment} is called like production or others' work: prove on one of its own, "
            "ENVIRONMENT=sandbox"
        )


def check_plan(planned: Mapping[str, Any]) -> None:
    """Raise RefusedError where a plan's JSON would have a real gateway, or would change what is there already."""
    variables = {name: each.get("value") for name, each in planned["variables"].items()}
    real = [name for name in _OF_A_GATEWAY if variables.get(name)]
    if variables.get("gateway") != "simulated" or real:
        raise RefusedError(
            f"gateway is {variables.get('gateway')}{f' with {real[0]}' if real else ''}: a proof moves no money, leave "
            "all variables of the gateway out"
        )
    others = [
        each["address"]
        for each in planned["resource_changes"]
        if each["mode"] == "managed" and each["change"]["actions"] != ["create"]
    ]
    if others:
        raise RefusedError(f"the plan would change {others[0]}, which is there already: it must only create")


def check_nothing_there(environment: str, found: Iterable[Name]) -> None:
    """Raise RefusedError where AWS has something under the names of the environment."""
    names = [name for _, name in found]
    if names:
        raise RefusedError(
            f"environment {environment} is there already, and is not of this command: {', '.join(names[:5])}"
            f"{' and more' if len(names) > 5 else ''}. Take another name, ENVIRONMENT=sandbox2"
        )


def check_caller(arn: str) -> None:
    """Raise RefusedError for the account's root user, whom no policy of a queue can name as a reader."""
    if arn.endswith(":root"):
        raise RefusedError("the caller is the account's root user: take a user's or a role's credentials (AWS_PROFILE)")


def check_whose(resources: Iterable[Mapping[str, Any]], account: str, region: str) -> None:
    """Raise RefusedError where a state is of another account or region: nothing of it would be found, all forgotten."""
    for each in resources:
        found = str(each.get("arn") or "").split(":")[3:5]
        if all(found) and found not in ([], [region, account]):
            raise RefusedError(
                f"what that run has left is of account {found[1]} in region {found[0]}, and this shell is of account "
                f"{account} in region {region}: export AWS_REGION={found[0]}, with that account's credentials"
            )
