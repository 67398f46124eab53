"""`make stop | start`: nothing is received, nothing is leased, and what can still charge is told."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from tests.support.build_scripts import load
from tests.support.parking import decisions
from tests.support.payments import World, whole_item

stop = load("stop")
names = load("packager.names")


class Functions:
    def __init__(self, mappings: int = 1) -> None:
        self.states = {f"mapping-{number}": "Enabled" for number in range(mappings)}
        self.answers = 0

    def get_paginator(self, operation: str) -> Functions:
        assert operation == "list_event_source_mappings"
        return self

    def paginate(self, FunctionName: str) -> list[dict[str, Any]]:
        assert FunctionName == "cloudcafe-payment-processor-dev:live"
        return [{"EventSourceMappings": [{"UUID": name} for name in self.states]}]

    def update_event_source_mapping(self, UUID: str, Enabled: bool) -> None:
        self.states[UUID] = "Enabled" if Enabled else "Disabled"
        self.answers = 0

    def get_event_source_mapping(self, UUID: str) -> dict[str, str]:
        self.answers += 1
        # AWS is about it for a while.
        return {"State": "Disabling" if self.answers < 3 else self.states[UUID]}


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


def test_mapping_and_schedule_are_switched_off_and_on_and_nothing_else_of_them_changes():
    functions, scheduler = Functions(), Scheduler()
    slept: list[float] = []
    before = scheduler.get_schedule("payment-processor-dev-reconcile")
    switch = stop.Switch(names.names_of("dev"), functions, scheduler, sleep=slept.append)
    switch.set(on=False)
    assert (functions.states, scheduler.schedule["State"]) == ({"mapping-0": "Disabled"}, "DISABLED")
    assert len(slept) == 2
    switch.set(on=True)
    assert functions.states == {"mapping-0": "Enabled"}
    del before["CreationDate"]
    assert scheduler.schedule == before


class Versions:
    """Lambda's answers about RESTORED_AT: by function, of each version, and what alias live names."""

    def __init__(self, restored: dict[str, dict[str, str]], live: dict[str, dict[str, float]]) -> None:
        self.restored, self.live = restored, live

    def get_function_configuration(self, FunctionName: str, Qualifier: str = "$LATEST") -> dict[str, Any]:
        said = self.restored.get(FunctionName, {}).get(Qualifier, "")
        return {"Environment": {"Variables": {"RESTORED_AT": said} if said else {}}}

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
        stop.Switch(names.names_of("dev"), Functions(mappings=0), Scheduler()).set(on=False)


def test_payments_are_looked_for_in_the_region_where_the_mapping_is(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    regions: list[str] = []

    def client(service: str, region_name: str) -> Functions | Scheduler:
        regions.append(region_name)
        return Functions() if service == "lambda" else Scheduler()

    def compose(variables: dict[str, str]) -> None:
        regions.append(variables["AWS_REGION"])
        raise stop.StopError("seen")

    monkeypatch.setattr(stop.boto3, "client", client)
    monkeypatch.setattr(stop, "compose_decisions", compose)
    monkeypatch.setattr(stop.Switch, "set", lambda self, on: None)
    assert stop.main(["--environment", "dev"]) == 1
    assert regions == ["eu-west-1"] * 3


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


def test_it_waits_until_no_lease_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    now = world.clock.now_ms()
    world = world_of({"lease_until": now + 7000}, {"lease_until": now - 1})

    def sleep(seconds: float) -> None:
        world.clock.ms += round(1000 * seconds)

    found = decisions(world)
    assert stop.leased(found) == 1
    stop.wait_until_nothing_is_leased(found, sleep)
    assert capsys.readouterr().out.count("1 payments are being worked on") == 2
    assert stop.leased(found) == 0
    with pytest.raises(stop.StopError, match="payments are still leased"):
        stop.wait_until_nothing_is_leased(decisions(world_of({"lease_until": now * 2})), lambda seconds: None)


def test_what_can_still_charge_is_counted() -> None:
    approved = {"status": "pending_approval", "decision": "approve"}
    rejected = {"status": "pending_approval", "decision": "reject"}
    waiting = {"status": "pending_approval"}
    charging = {"generation": 1, "approval_name": "dev-1-1", "approval_expires_at": 1, "approval_reasons": ["risk"]}
    world = world_of(approved, approved, rejected, waiting, {}, charging)
    assert stop.can_charge(decisions(world)) == (3, 1)
