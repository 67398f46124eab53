"""What `payments doctor` looks at in the functions' roles: whether each may do all that its own policy says.

The rule it keeps: what is asked is the policy that stands at the role, which Terraform wrote; what takes of it away, a
boundary, an organisation's policy or a Deny, is found by IAM's own simulation, which asks nothing of any service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from operations.finding import Finding


def of_role(iam: Any, role: str, arn: str) -> Iterator[Finding]:
    """The findings of one function's role, over a boto3 client of IAM. Raises botocore's errors."""
    name = arn.rpartition("/")[2]
    pages = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    names = [each for page in pages for each in page["PolicyNames"]]
    policies = [iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in names]
    allowed = [each for policy in policies for each in _listed(policy["Statement"]) if each["Effect"] == "Allow"]
    if not allowed:
        do = "`make apply` makes it; on `make up` nobody asks IAM."
        yield Finding("roles", "look", f"{role}: role {name} has no policy of its own", do)
        return
    refused = [each for statement in allowed for each in _refused(iam, arn, statement)]
    for result in refused:
        said = f"{role}: role {name} may not {result['EvalActionName']} on {result.get('EvalResourceName', '*')}"
        yield Finding("roles", "wrong", said, _taken_by(result))
    if not refused:
        count = sum(len(_listed(statement["Action"])) for statement in allowed)
        yield Finding("roles", "ok", f"{role}: role {name} may do all of the {count} actions that its policy allows")


def _refused(iam: Any, arn: str, statement: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What IAM says no to of a statement that allows."""
    resources = [each if each == "*" else each.replace("*", "any") for each in _listed(statement["Resource"])]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn,
        ActionNames=_listed(statement["Action"]),
        ResourceArns=resources,
        ContextEntries=list(_context(statement.get("Condition", {}))),
    )
    for page in pages:
        for result in page["EvaluationResults"]:
            if result["EvalDecision"] != "allowed":
                yield result


def _context(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A request as the statement's conditions want it; one "for all values" holds where there are none."""
    for operator, keys in conditions.items():
        if operator.startswith("ForAllValues:"):
            continue
        for key, values in keys.items():
            yield {"ContextKeyName": key, "ContextKeyValues": _listed(values)[:1], "ContextKeyType": "string"}


def _taken_by(result: Mapping[str, Any]) -> str:
    if not result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
        return "The role's permissions boundary does not leave it: docs/terraform.md, An account's own rules."
    if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        return "A policy of the account's organisation does not leave it."
    return "Another policy of the role denies it, or its own was changed: `make plan`."


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
