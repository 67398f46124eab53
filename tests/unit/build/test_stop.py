"""`make stop | start`: nothing is received, nothing is leased, and what can still charge is told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from handler.domain.errors import TransactionLogUnavailableError
from tests.support.build_scripts import load
from tests.support.parking import decisions
from tests.support.payments import World, whole_item

stop = load("stop")
names = load("packager.names")


QUEUE, WAKE_UPS = "cloudcafe-payment-processor-dev:live", "payment-processor-dev-reconcile:live"


class Functions:
    """Lambda: mappings by the alias that they feed, and about each change of one for a while."""

    def __init__(self, *aliases: str, state: str = "Enabled") -> None:
        self.aliases = aliases
        self.states = dict.fromkeys(aliases, state)
        self.answers = 3

    def get_function_configuration(self, FunctionName: str, Qualifier: str = "$LATEST") -> dict[str, Any]:
        return {"Timeout": 300}

    def get_paginator(self, operation: str) -> Functions:
        assert operation == "list_event_source_mappings"
        return self

    def paginate(self, FunctionName: str) -> list[dict[str, Any]]:
        return [{"EventSourceMappings": [{"UUID": name} for name in self.aliases if name == FunctionName]}]

    def update_event_source_mapping(self, UUID: str, Enabled: bool) -> dict[str, str]:
        assert self.states[UUID] in ("Enabled", "Disabled"), "ResourceInUseException (AWS)"
        self.states[UUID] = "Enabled" if Enabled else "Disabled"
        self.answers = 0
        return {"State": "Enabling" if Enabled else "Disabling"}

    def get_event_source_mapping(self, UUID: str) -> dict[str, str]:
        self.answers += 1
        if self.answers < 3:
            return {"State": "Disabling"}
        if self.states[UUID] == "Enabling":
            self.states[UUID] = "Enabled"
            return {"State": "Enabling"}
        return {"State": self.states[UUID]}


class Scheduler:
    def __init__(self) -> None:
        self.schedule = {
            "Name": "payment-processor-dev-reconcile",
            "ScheduleExpression": "rate(10 minutes)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": "arn:live", "RoleArn": "arn:role"},
            "State": "ENABLED",
            "CreationDate": "what an update does not take",
        }

    def get_schedule(self, Name: str) -> dict[str, Any]:
        assert Name == self.schedule["Name"]
        return dict(self.schedule)

    def update_schedule(self, **schedule: Any) -> None:
        assert "CreationDate" not in schedule
        self.schedule = schedule


def test_both_mappings_and_the_schedule_are_switched_off_and_on_and_nothing_else_of_them_changes():
    functions, scheduler = Functions(QUEUE, WAKE_UPS), Scheduler()
    slept: list[float] = []
    before = scheduler.get_schedule("payment-processor-dev-reconcile")
    switch = stop.Switch(names.names_of("dev"), functions, scheduler, sleep=slept.append)
    switch.set(on=False)
    assert functions.states == {QUEUE: "Disabled", WAKE_UPS: "Disabled"}
    assert scheduler.schedule["State"] == "DISABLED"
    assert len(slept) == 4
    assert switch.done == {
        "queue_mapping": {"before": "Enabled", "after": "Disabled"},
        "reconcile_schedule": {"before": "ENABLED", "after": "DISABLED"},
        "wake_ups_mapping": {"before": "Enabled", "after": "Disabled"},
    }
    switch.set(on=True)
    assert functions.states == {QUEUE: "Enabled", WAKE_UPS: "Enabled"}
    del before["CreationDate"]
    assert scheduler.schedule == before
    assert str(switch).startswith(
        "the payment queue's mapping is Enabled (was Disabled), reconcile's schedule is ENABLED"
    )


def test_without_a_webhook_there_is_nothing_of_its_to_switch():
    switch = stop.Switch(names.names_of("dev"), Functions(QUEUE), Scheduler(), sleep=lambda seconds: None)
    switch.set(on=False)
    assert list(switch.done) == ["queue_mapping", "reconcile_schedule"]


def test_a_mapping_that_is_about_to_change_is_waited_for_as_aws_refuses_to_change_it_then():
    functions = Functions(QUEUE, state="Enabling")
    stop.Switch(names.names_of("dev"), functions, Scheduler(), sleep=lambda seconds: None).set(on=False)
    assert functions.states == {QUEUE: "Disabled"}


class Versions:
    """Lambda's answers about RESTORED_AT: by function, of each version, and what alias live names."""

    def __init__(self, restored: dict[str, dict[str, str]], live: dict[str, dict[str, float]]) -> None:
        self.restored, self.live = restored, live

    def get_function_configuration(self, FunctionName: str, Qualifier: str = "$LATEST") -> dict[str, Any]:
        said = self.restored.get(FunctionName, {}).get(Qualifier, "")
        return {"Timeout": 30, "Environment": {"Variables": {"RESTORED_AT": said} if said else {}}}

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        first, *others = self.live[FunctionName].items()
        weights = {"RoutingConfig": {"AdditionalVersionWeights": dict(others)}} if others else {}
        return {"FunctionVersion": first[0], **weights}


RESTORED = "2026-11-28T15:04:05Z"
ROLES = names.names_of("dev").functions


def live_versions(role: str, **live: float) -> Versions:
    """All functions with the setting in their newest version, 2, and behind `live` of one of them these versions."""
    restored = {name: {"$LATEST": RESTORED, "2": RESTORED} for name in ROLES.values()}
    behind: dict[str, dict[str, float]] = {name: {"2": 1.0} for name in ROLES.values()}
    behind[ROLES[role]] = {name.removeprefix("v"): share for name, share in live.items()}
    return Versions(restored, behind)


@pytest.mark.parametrize("role", ["queue", "workflow", "reconcile"])
@pytest.mark.parametrize("live", [{"v1": 1.0}, {"v1": 0.9, "v2": 0.1}, {"v2": 0.5, "v1": 0.5}])
def test_nothing_is_started_while_a_version_may_charge_what_a_restored_table_has_forgotten(role, live):
    with pytest.raises(stop.StopError, match=f"version 1 of {ROLES[role]} .* RESTORED_AT={RESTORED}.*make move"):
        stop.require_restored(names.names_of("dev"), live_versions(role, **live))


def test_what_has_the_setting_everywhere_or_nowhere_is_started():
    stop.require_restored(names.names_of("dev"), live_versions("queue", v2=1.0))
    # Without it nothing is asked of any alias.
    stop.require_restored(names.names_of("dev"), Versions({}, {}))


def test_a_start_asks_before_anything_is_switched(monkeypatch, capsys):
    functions, switched = live_versions("queue", v1=1.0), []
    monkeypatch.setattr(stop.boto3, "client", lambda service, region_name: functions)
    monkeypatch.setattr(stop.Switch, "set", lambda self, on: switched.append(on))
    assert stop.main(["--environment", "dev", "--start"]) == 1
    assert "version 1 of cloudcafe-payment-processor-dev" in capsys.readouterr().err
    functions.live[ROLES["queue"]] = {"2": 1.0}
    assert stop.main(["--environment", "dev", "--start"]) == 0
    assert switched == [True]


def test_an_environment_without_a_mapping_is_said():
    with pytest.raises(stop.StopError, match="has no mapping: nothing feeds it"):
        stop.Switch(names.names_of("dev"), Functions(WAKE_UPS), Scheduler()).set(on=False)


def test_payments_are_looked_for_in_the_region_where_the_mapping_is(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    regions: list[str] = []

    def client(service: str, region_name: str) -> Functions | Scheduler:
        regions.append(region_name)
        return Functions(QUEUE) if service == "lambda" else Scheduler()

    def compose(variables: dict[str, str]) -> None:
        regions.append(variables["AWS_REGION"])
        raise stop.StopError("seen")

    monkeypatch.setattr(stop.boto3, "client", client)
    monkeypatch.setattr(stop, "compose_decisions", compose)
    monkeypatch.setattr(stop.Switch, "set", lambda self, on: None)
    assert stop.main(["--environment", "dev"]) == stop.IN_PART
    assert regions == ["eu-west-1"] * 3


REFUSED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSchedule")


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`stop.main` over these services; its code, what it said and its errors."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(stop, "_POLL_SECONDS", 0.001)

    def run(functions: Any, scheduler: Any, world: World | None, *arguments: str) -> tuple[int, str, str]:
        def compose(variables: dict[str, str]) -> Any:
            if world is None:
                raise TransactionLogUnavailableError("query processing#0: Query: AccessDeniedException: no")
            return decisions(world)

        clients = {"lambda": functions, "scheduler": scheduler}
        monkeypatch.setattr(stop.boto3, "client", lambda service, region_name: clients[service])
        monkeypatch.setattr(stop, "compose_decisions", compose)
        code = stop.main(["--environment", "dev", *arguments])
        return code, *capsys.readouterr()

    return run


def test_a_stop_whose_table_cannot_be_read_says_that_it_stands_and_what_is_not_known(stopped: Any) -> None:
    functions, scheduler = Functions(QUEUE), Scheduler()
    code, said, errors = stopped(functions, scheduler, None)
    assert code == stop.IN_PART
    assert (functions.states, scheduler.schedule["State"]) == ({QUEUE: "Disabled"}, "DISABLED")
    assert said.startswith(
        "dev takes no messages and does not reconcile: the payment queue's mapping is Disabled (was "
    )
    assert errors == (
        "build/stop.py: dev takes no messages and does not reconcile, and that stands. What was under way, and what "
        "can still charge, could not be looked at: query processing#0: Query: AccessDeniedException: no. Run it again: "
        "it looks again\n"
    )


def test_a_stop_with_an_item_that_cannot_be_read_does_not_say_that_nothing_is_worked_on(stopped: Any) -> None:
    world = world_of({"lease_until": 1})
    world.dynamodb.items["txn-0"].pop("attempt")
    code, said, errors = stopped(Functions(QUEUE), Scheduler(), world)
    assert (code, "no payment of the queue" in said) == (stop.IN_PART, False)
    assert "items that are processing cannot be read" in errors


@pytest.mark.parametrize(("words", "said"), [((), "dev is stopped in part"), (("--start",), "dev is started in part")])
def test_what_was_switched_before_the_schedule_could_not_be_is_told(
    stopped: Any, words: tuple[str, ...], said: str
) -> None:
    class Closed(Scheduler):
        def get_schedule(self, Name: str) -> Any:
            raise REFUSED

    code, _, errors = stopped(Functions(QUEUE), Closed(), World(), *words)
    assert code == stop.IN_PART
    assert f"{said}. What stands: the payment queue's mapping is " in errors
    assert "What was not done: An error occurred (AccessDeniedException) when calling the GetSchedule" in errors


def test_what_could_not_even_begin_is_no_part_of_a_stop(stopped: Any) -> None:
    class Elsewhere(Functions):
        def get_function_configuration(self, FunctionName: str, Qualifier: str = "$LATEST") -> Any:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "not found"}}, "Get")

    functions = Elsewhere(QUEUE)
    code, said, errors = stopped(functions, Scheduler(), World())
    assert (code, said, functions.states) == (1, "", {QUEUE: "Enabled"})
    assert "ResourceNotFoundException" in errors


def test_the_facts_of_a_stop_are_fields_where_json_is_asked_for(stopped: Any) -> None:
    approved = {"status": "pending_approval", "decision": "approve"}
    code, said, _ = stopped(Functions(QUEUE), Scheduler(), world_of(approved), "--json")
    switched, left = map(json.loads, said.splitlines())
    assert code == 0
    assert switched == {
        "environment": "dev",
        "queue_mapping": {"before": "Enabled", "after": "Disabled"},
        "reconcile_schedule": {"before": "ENABLED", "after": "DISABLED"},
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", left.pop("runs_end_by"))
    assert left == {"environment": "dev", "worked_on": 0, "approved_executions": 1, "waiting_for_decision": 0}


def world_of(*items: dict[str, Any]) -> World:
    world = World()
    for number, item in enumerate(items):
        key = f"txn-{number}"
        world.dynamodb.put_item(
            TableName="transactions",
            Item=stored(whole_item({**item, "transaction_id": key, "payment_id": str(number)})),
        )
    return world


def stored(item: dict[str, Any]) -> Any:
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}


def test_it_waits_until_no_lease_is_left() -> None:
    world = World()
    now = world.clock.now_ms()
    world = world_of({"lease_until": now + 7000}, {"lease_until": now - 1})

    def sleep(seconds: float) -> None:
        world.clock.ms += round(1000 * seconds)

    found = decisions(world)
    assert stop.leased(found) == 1
    told: list[int] = []
    stop.wait_until_nothing_is_leased(found, told.append, sleep)
    assert told == [1, 1]
    assert stop.leased(found) == 0
    with pytest.raises(stop.StopError, match="payments are still leased"):
        stop.wait_until_nothing_is_leased(
            decisions(world_of({"lease_until": now * 2})), told.append, lambda seconds: None
        )


def test_what_can_still_charge_is_counted() -> None:
    approved = {"status": "pending_approval", "decision": "approve"}
    rejected = {"status": "pending_approval", "decision": "reject"}
    waiting = {"status": "pending_approval"}
    charging = {"generation": 1, "approval_name": "dev-1-1", "approval_expires_at": 1, "approval_reasons": ["risk"]}
    world = world_of(approved, approved, rejected, waiting, {}, charging)
    assert stop.can_charge(decisions(world)) == (3, 1)
