"""Stop an environment from charging, or start it again: `make stop | start ENVIRONMENT=`.

The rule it keeps: what is on the queue stays there, unreceived, as throttled receives would count; and it ends only
when nothing that holds a lease is left, and says what can still charge.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from handler.approval_composition import compose_decisions
from handler.domain.approval.ports import Decisions
from handler.domain.errors import ConfigurationError, PaymentError
from operations.items import open_items
from packager.names import Names, names_of

# Longer than any lease: a function's time-out is 900 s at most.
LEASED_SECONDS_MAX: Final = 1200.0
_POLL_SECONDS: Final = 5.0


class StopError(Exception):
    """What was not done, and what to do."""


class Switch:
    """The queue's mapping and reconcile's schedule of one environment, over boto3 clients of Lambda and scheduler."""

    def __init__(
        self, names: Names, functions: Any, scheduler: Any, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._function = f"{names.functions['queue']}:live"
        self._schedule = names.schedule
        self._functions = functions
        self._scheduler = scheduler
        self._sleep = sleep

    def set(self, *, on: bool) -> None:
        """Switch both, and wait until the mapping is what it should be. Raises StopError."""
        pages = self._functions.get_paginator("list_event_source_mappings").paginate(FunctionName=self._function)
        mappings = [mapping["UUID"] for page in pages for mapping in page["EventSourceMappings"]]
        if not mappings:
            raise StopError(f"{self._function} has no mapping: nothing feeds it from the queue")
        for name in mappings:
            self._functions.update_event_source_mapping(UUID=name, Enabled=on)
        # An update replaces the whole schedule.
        kept = ("Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
        schedule = self._scheduler.get_schedule(Name=self._schedule)
        self._scheduler.update_schedule(
            **{name: schedule[name] for name in kept if name in schedule}, State="ENABLED" if on else "DISABLED"
        )
        for name in mappings:
            while self._functions.get_event_source_mapping(UUID=name)["State"] != ("Enabled" if on else "Disabled"):
                self._sleep(_POLL_SECONDS)


def require_restored(names: Names, functions: Any) -> None:
    """Raises StopError where a version behind `live` does not look for what was charged before a restore of the table.

    Its newest has the setting then, and may not have followed: an alarm that stands holds a canary back.
    """
    for role in ("queue", "workflow", "reconcile"):
        name = names.functions[role]
        wanted = _restored_at(functions.get_function_configuration(FunctionName=name))
        if not wanted:
            continue
        alias = functions.get_alias(FunctionName=name, Name="live")
        shared = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        for version in (alias["FunctionVersion"], *shared):
            if _restored_at(functions.get_function_configuration(FunctionName=name, Qualifier=version)) != wanted:
                raise StopError(
                    f"version {version} of {name} is live without RESTORED_AT={wanted}: it would charge again what the "
                    "restored table has forgotten. Nothing was started; bring the newest behind live first (make move)"
                )


def _restored_at(configuration: Mapping[str, Any]) -> str:
    return str(configuration.get("Environment", {}).get("Variables", {}).get("RESTORED_AT", ""))


def leased(decisions: Decisions) -> int:
    """How many payments a worker may be charging at this moment. Raises PaymentError."""
    items, _ = open_items(decisions.log, "processing")
    return sum((item.lease_until or 0) > decisions.clock.now_ms() for item in items)


def can_charge(decisions: Decisions) -> tuple[int, int]:
    """Executions whose payment is approved or being charged, and payments that still wait for a decision."""
    waiting, _ = open_items(decisions.log, "pending_approval")
    charging, _ = open_items(decisions.log, "processing")
    approved = sum(item.decision == "approve" for item in waiting) + sum(item.generation > 0 for item in charging)
    return approved, sum(not item.decision for item in waiting)


def wait_until_nothing_is_leased(decisions: Decisions, sleep: Callable[[float], None] = time.sleep) -> None:
    """Raises StopError where that takes longer than any lease lasts."""
    for _ in range(round(LEASED_SECONDS_MAX / _POLL_SECONDS)):
        if not (count := leased(decisions)):
            return
        print(f"{count} payments are being worked on")
        sleep(_POLL_SECONDS)
    raise StopError("payments are still leased: something but the queue's mapping has them taken up")


def _variables(environment: str, names: Names, variables: Mapping[str, str]) -> dict[str, str]:
    return {
        **variables,
        "ENVIRONMENT": environment,
        "DYNAMODB_TABLE": names.table,
        "APPROVAL_FUNCTION_ARN": f"{names.functions['workflow']}:live",
    }


def main(arguments: list[str] | None = None) -> int:
    """Stop or start one environment; 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(
        prog="build/stop.py", description="Stop payments of one environment, or start them."
    )
    parser.add_argument("--environment", required=True, help="for example dev")
    parser.add_argument("--outputs", default="", help="what `terraform output -json` says, if anything")
    parser.add_argument("--start", action="store_true", help="take messages and reconcile again")
    options = parser.parse_args(arguments)
    names = names_of(options.environment, options.outputs)
    try:
        # boto3 does not read AWS_REGION, which Terraform and Lambda do, and the handler's settings read nothing else.
        region = os.environ.get("AWS_REGION") or boto3.Session().region_name
        functions = boto3.client("lambda", region_name=region)
        if options.start:
            require_restored(names, functions)
        switch = Switch(names, functions, boto3.client("scheduler", region_name=region))
        switch.set(on=options.start)
        if options.start:
            print(f"{options.environment} takes messages from the queue again, and reconcile runs every 10 minutes")
            return 0
        decisions = compose_decisions(_variables(options.environment, names, {**os.environ, "AWS_REGION": str(region)}))
        wait_until_nothing_is_leased(decisions)
        approved, waiting = can_charge(decisions)
    except (StopError, PaymentError, ConfigurationError, ClientError, BotoCoreError) as error:
        print(f"build/stop.py: {error}", file=sys.stderr)
        return 1
    print(f"{options.environment} takes no messages and does not reconcile; no payment of the queue is being worked on")
    print(f"approved executions that can still charge: {approved}")
    print(f"payments that wait for a decision, of which an approval charges: {waiting}")
    print(f"on again: make start ENVIRONMENT={options.environment}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
