"""Stop an environment from charging, or start it again: `make stop | start ENVIRONMENT=`.

The rule it keeps: what is on the queue stays there, unreceived, as throttled receives would count; it ends only when
nothing that holds a lease is left; and whatever it cannot do then, it says what it has done.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from handler.approval_composition import compose_decisions
from handler.domain.approval.ports import Decisions
from handler.domain.errors import ConfigurationError, PaymentError
from handler.domain.item import Item, timestamp
from operations.checkout import IN_PART
from operations.items import open_items
from packager.names import Names, names_of

# Longer than any lease: a function's time-out is 900 s at most.
LEASED_SECONDS_MAX: Final = 1200.0
_POLL_SECONDS: Final = 5.0
_SETTLED: Final = ("Enabled", "Disabled")
#: What is switched, as its fields in JSON and in words.
QUEUE, SCHEDULE, WAKE_UPS = "queue_mapping", "reconcile_schedule", "wake_ups_mapping"
_WORDS: Final = {
    QUEUE: "the payment queue's mapping",
    SCHEDULE: "reconcile's schedule",
    WAKE_UPS: "the mapping of the webhook's wake-ups",
}
_ERRORS: Final = (PaymentError, ConfigurationError, ClientError, BotoCoreError)


class StopError(Exception):
    """What was not done, and what to do."""


class Switch:
    """What feeds the functions of one environment, over boto3 clients of Lambda and scheduler.

    `done` is what was switched so far: before and after, by what it is. Without a webhook there is no WAKE_UPS.
    """

    def __init__(
        self, names: Names, functions: Any, scheduler: Any, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._aliases = {QUEUE: f"{names.functions['queue']}:live", WAKE_UPS: f"{names.functions['reconcile']}:live"}
        self._schedule = names.schedule
        self._functions = functions
        self._scheduler = scheduler
        self._sleep = sleep
        self.done: dict[str, dict[str, str]] = {}

    def set(self, *, on: bool) -> None:
        """Switch all, what takes payments first, and wait until they are what they should be. Raises StopError."""
        wanted = "Enabled" if on else "Disabled"
        found = {what: self._mappings(alias) for what, alias in self._aliases.items()}
        if not found[QUEUE]:
            raise StopError(f"{self._aliases[QUEUE]} has no mapping: nothing feeds it from the queue")
        self._switch(QUEUE, found[QUEUE], wanted)
        # An update replaces the whole schedule.
        kept = ("Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
        schedule = self._scheduler.get_schedule(Name=self._schedule)
        self._scheduler.update_schedule(
            **{name: schedule[name] for name in kept if name in schedule}, State=wanted.upper()
        )
        self.done[SCHEDULE] = {"before": schedule["State"], "after": wanted.upper()}
        self._switch(WAKE_UPS, found[WAKE_UPS], wanted)
        for what, names in found.items():
            for name in names:
                self._wait(name, (wanted,))
                self.done[what]["after"] = wanted

    def _mappings(self, alias: str) -> list[str]:
        pages = self._functions.get_paginator("list_event_source_mappings").paginate(FunctionName=alias)
        return [mapping["UUID"] for page in pages for mapping in page["EventSourceMappings"]]

    def _switch(self, what: str, names: list[str], wanted: str) -> None:
        for name in names:
            # AWS refuses an update while another one is under way.
            before = self._wait(name, _SETTLED)
            after = self._functions.update_event_source_mapping(UUID=name, Enabled=wanted == "Enabled")["State"]
            self.done[what] = {"before": before, "after": after}

    def _wait(self, name: str, states: tuple[str, ...]) -> str:
        while (state := str(self._functions.get_event_source_mapping(UUID=name)["State"])) not in states:
            self._sleep(_POLL_SECONDS)
        return state

    def __str__(self) -> str:
        return ", ".join(
            f"{_WORDS[what]} is {each['after']} (was {each['before']})" for what, each in self.done.items()
        )


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
    """How many payments a worker may be charging at this moment. Raises PaymentError, StopError."""
    return sum((item.lease_until or 0) > decisions.clock.now_ms() for item in _open(decisions, "processing"))


def can_charge(decisions: Decisions) -> tuple[int, int]:
    """Executions whose payment is approved or being charged, and payments that still wait for a decision.

    Raises PaymentError, StopError.
    """
    waiting, charging = _open(decisions, "pending_approval"), _open(decisions, "processing")
    approved = sum(item.decision == "approve" for item in waiting) + sum(item.generation > 0 for item in charging)
    return approved, sum(not item.decision for item in waiting)


def _open(decisions: Decisions, status: Literal["processing", "pending_approval"]) -> list[Item]:
    items, code = open_items(decisions.log, status)
    if code:
        raise StopError(f"items that are {status} cannot be read, and may be of payments that are being charged")
    return items


def wait_until_nothing_is_leased(
    decisions: Decisions, tell: Callable[[int], None], sleep: Callable[[float], None] = time.sleep
) -> None:
    """`tell` is called with how many there are. Raises StopError where that takes longer than any lease lasts."""
    for _ in range(round(LEASED_SECONDS_MAX / _POLL_SECONDS)):
        if not (count := leased(decisions)):
            return
        tell(count)
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
    """Stop or start one environment; with the reason on standard error 1, or IN_PART where what was switched stands."""
    parser = argparse.ArgumentParser(
        prog="build/stop.py", description="Stop payments of one environment, or start them."
    )
    parser.add_argument("--environment", required=True, help="for example dev")
    parser.add_argument("--outputs", default="", help="what `terraform output -json` says, if anything")
    parser.add_argument("--start", action="store_true", help="take messages and reconcile again")
    parser.add_argument("--json", action="store_true", help="a document a line")
    options = parser.parse_args(arguments)
    name, names = options.environment, names_of(options.environment, options.outputs)
    said = "takes messages from the queue again, and reconcile runs every 10 minutes"
    if not options.start:
        said = "takes no messages and does not reconcile"

    def tell(text: str, **document: Any) -> None:
        print(json.dumps({"environment": name, **document}) if options.json else text, flush=True)

    switch: Switch | None = None
    try:
        # boto3 does not read AWS_REGION, which Terraform and Lambda do, and the handler's settings read nothing else.
        region = os.environ.get("AWS_REGION") or boto3.Session().region_name
        functions = boto3.client("lambda", region_name=region)
        # In another region there are no mappings, which is no error to AWS.
        seconds = max(timeout_seconds(functions, names.functions[role]) for role in ("queue", "reconcile"))
        if options.start:
            require_restored(names, functions)
        switch = Switch(names, functions, boto3.client("scheduler", region_name=region))
        switch.set(on=options.start)
    except (StopError, *_ERRORS) as error:
        if switch is None or not switch.done:
            print(f"build/stop.py: {error}", file=sys.stderr)
            return 1
        print(
            f"build/stop.py: {name} is {'started' if options.start else 'stopped'} in part. What stands: {switch}. "
            f"What was not done: {error}. Run it again",
            file=sys.stderr,
        )
        return IN_PART
    tell(f"{name} {said}: {switch}", **switch.done)
    if options.start:
        return 0
    ends = timestamp(round(1000 * (time.time() + seconds)))
    try:
        decisions = compose_decisions(_variables(name, names, {**os.environ, "AWS_REGION": str(region)}))
        wait_until_nothing_is_leased(
            decisions, lambda count: tell(f"{count} payments are being worked on", worked_on=count)
        )
        approved, waiting = can_charge(decisions)
    except (StopError, *_ERRORS) as error:
        print(
            f"build/stop.py: {name} {said}, and that stands. What was under way, and what can still charge, could not "
            f"be looked at: {error}. Run it again: it looks again",
            file=sys.stderr,
        )
        return IN_PART
    if options.json:
        tell("", worked_on=0, approved_executions=approved, waiting_for_decision=waiting, runs_end_by=ends)
        return 0
    print(f"no payment of the queue is being worked on; a refund that a function had begun is called for by {ends}")
    print(f"approved executions that can still charge: {approved}")
    print(f"payments that wait for a decision, of which an approval charges: {waiting}")
    print(f"on again: make start ENVIRONMENT={name}, or payments start")
    return 0


def timeout_seconds(functions: Any, function: str) -> int:
    """Of the version behind `live`. Raises ClientError where there is no such function in this region."""
    return int(functions.get_function_configuration(FunctionName=function, Qualifier="live")["Timeout"])


if __name__ == "__main__":
    sys.exit(main())
