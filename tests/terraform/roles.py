"""What every role may do, as the table of docs/threat-model.md: the policies of a plan in the words of the page.

The rule it keeps: a resource without a word here is an error, so that no permission is left out of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.terraform.policies import Statement

# The first that is found in a resource, of what tests/permissions.tftest.hcl plans.
_THINGS = {
    r"log-group:": "its own log group",
    r"-test-bench-rejected\.fifo$": "the benchmarks' rejected queue",
    r"-processing-test\.fifo$": "the payment queue",
    r"-dlq\.fifo$": "the dead-letter queue",
    r"-rejected\.fifo$": "the rejected queue",
    r"-failed-starts$": "the queue of failed starts",
    r"-events-test-given-up$": "the queue of events given up",
    r"-wake-ups-test\.fifo$": "the queue of wake-ups",
    r":event-bus/": "the bus of outcome events",
    r"key/1{8}": "the raw queues' key",
    r"key/2{8}": "the links' key",
    r"key/3{8}": "the table's key, through it",
    r"key/4{8}": "the secrets' key, through them",
    r"/index/": "the table's index",
    r"/stream/": "the table's stream",
    r"/export/": "the table's exports",
    r"s3:::shop-cloudcafe-exports-.*/conservation/": "the day's sums",
    r"s3:::shop-cloudcafe-exports-.*/": "the files of exports",
    r"s3:::shop-cloudcafe-exports-": "the bucket of exports",
    r"table/.*-bench$": "the benchmarks' table",
    r"table/": "the table",
    r"secret:gateway": "the gateway's key",
    r"secret:webhook": "the webhook's secret",
    r"secret:pepper": "the pepper",
    r"function:shop-cloudcafe-payment-processor-test$": "the queue function",
    r"-reconcile:live$": "reconcile",
    r":function:.*-conservation$": "the function of the day's sums",
    r"shop-payment-processor-test:live$": "the workflow",
    r"shop-payment-processor-test:\*$": "the workflow's executions",
    r"payment-approvals-test$": "the approvers' topic",
    r"tfstate$": "the environment's state",
    r"s3:::cloudcafe-state": "the states' bucket",
    r"alarm:\*$": "every alarm",
    r":abc/\$default/PUT/approvals$": "the page's route for signed decisions",
    r":event-source-mapping:": "the mappings of payments and wake-ups",
    r":schedule/": "reconcile's schedule",
    r":role/.*scheduler$": "the scheduler's role",
    r":role/": "the functions' roles",
    r"secret:payment-fingerprint-pepper": "the pepper of the environment's name",
    r"-alarms$": "the alarms' topic",
    r"^\*$": "what has no resources to name",
}

_OF_ONE = {"lambda:GetDurableExecution", "lambda:InvokeFunction", "lambda:UpdateFunctionConfiguration"}


def table(roles: Iterable[tuple[str, list[Statement]]]) -> str:
    """A row for each role, thing and service, sorted within a role. Raises KeyError for a resource without a word."""
    lines = ["| who | on | may |", "|---|---|---|"]
    for who, policy in roles:
        may: dict[tuple[str, str], set[str]] = {}
        for statement in policy:
            for resource in statement["Resource"]:
                # Of all functions, their versions and aliases, one as of the other.
                thing = _of_functions(who, statement) if ":function:" in resource else ""
                thing = thing or _thing(resource)
                if ":log-group:" in resource and who in ("on_call", "observer"):
                    thing = "the functions' log groups" if who == "on_call" else "the queue function's log group"
                for action in statement["Action"]:
                    service, _, name = action.partition(":")
                    name += _limit(statement)
                    may.setdefault((thing, service), set()).add(name)
        for (thing, service), names in sorted(may.items()):
            lines.append(f"| {who.replace('_', ' ')} | {thing} | {service}: {', '.join(sorted(names))} |")
    return "\n".join(lines)


def _limit(statement: Statement) -> str:
    """What a condition on the attributes that a request may name comes to."""
    conditions = statement.get("Condition", {})
    if "dynamodb:Attributes" in conditions.get("ForAllValues:StringNotEquals", {}):
        return " (no decision)"
    return " (a decision alone)" if "dynamodb:Attributes" in conditions.get("ForAllValues:StringEquals", {}) else ""


def _of_functions(who: str, statement: Statement) -> str:
    """The functions that a person deploys, starts or looks at; nothing for whoever invokes one or its executions."""
    if who not in ("deployer", "observer", "on_call") or set(statement["Action"]) & _OF_ONE:
        return ""
    return "every function that charges" if who == "on_call" else "every function"


def _thing(resource: str) -> str:
    for pattern, word in _THINGS.items():
        if re.search(pattern, resource):
            return word
    raise KeyError(f"{resource} has no word in tests/terraform/roles.py")
