"""Rendered policies, and whether they allow a request: Action, Resource and Condition as IAM evaluates them.

The rule it keeps: what is not evaluated here is refused loudly, never taken as allowed ("Policy evaluation logic").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Statement = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One call as IAM sees it."""

    action: str
    resource: str
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict, hash=False, compare=False)
    """Condition keys that AWS sets for it; a tuple is one of several values."""


def of_text(text: str) -> list[Statement]:
    """The statements of a policy's JSON."""
    return [_listed(each) for each in json.loads(text)["Statement"]]


def of_document(planned: Mapping[str, Any]) -> list[Statement]:
    """The statements of a planned policy document, whose JSON Terraform leaves to the apply."""
    found = []
    for each in planned["statement"]:
        conditions: dict[str, dict[str, list[str]]] = {}
        for one in each["condition"]:
            conditions.setdefault(one["test"], {})[one["variable"]] = one["values"]
        statement = {"Effect": each["effect"] or "Allow", "Action": each["actions"], "Resource": each["resources"]}
        found.append(statement | ({"Condition": conditions} if conditions else {}))
    return found


def _listed(statement: Statement) -> Statement:
    if unknown := statement.keys() - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}:
        raise NotImplementedError(f"{', '.join(sorted(unknown))} of a policy")
    return statement | {name: _list(statement[name]) for name in ("Action", "Resource") if name in statement}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allows(policy: list[Statement], request: Request) -> bool:
    """Whether a role's policy allows a request: a statement does, and none denies."""
    return bool(matching(policy, "Allow", request)) and not denies(policy, request)


def denies(policy: list[Statement], request: Request) -> bool:
    return bool(matching(policy, "Deny", request))


def matching(policy: list[Statement], effect: str, request: Request) -> list[tuple[str, str]]:
    """Action and resource, as the policy has them, of every part of it that speaks of a request."""
    return [
        (action, resource)
        for statement in policy
        if statement["Effect"] == effect and _holds(statement.get("Condition", {}), request.context)
        for action in statement["Action"]
        for resource in statement["Resource"]
        if _like(action.lower(), request.action.lower()) and _like(resource, request.resource)
    ]


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str | tuple[str, ...]]) -> bool:
    return all(
        _test(operator, _list(values), context.get(key))
        for operator, keys in conditions.items()
        for key, values in keys.items()
    )


def _test(operator: str, values: list[str], found: str | tuple[str, ...] | None) -> bool:
    if operator.startswith("ForAllValues:"):
        # True without any value ("Set operators for multivalued context keys").
        return all(_test(operator.removeprefix("ForAllValues:"), values, each) for each in found or ())
    if isinstance(found, tuple):
        raise NotImplementedError(f"condition operator {operator} over several values")
    # A key that a request does not have: no match, but a match for what negates ("Condition operators").
    if operator in ("StringEquals", "Bool"):
        return found in values
    if operator == "StringNotEquals":
        return found not in values
    if operator in ("StringLike", "ArnLike"):
        return found is not None and any(_like(value, found) for value in values)
    if operator == "ArnNotLike":
        return found is None or not any(_like(value, found) for value in values)
    raise NotImplementedError(f"condition operator {operator}")


def _like(pattern: str, text: str) -> bool:
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in re.split(r"([*?])", pattern))
    return re.fullmatch("".join(parts), text) is not None
