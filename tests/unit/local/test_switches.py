"""The local system's mapping and schedule, switched by the API that AWS's clients call."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from local.approvals.schedule import Schedule
from local.event_source_mapping import EventSourceMapping
from local.switches import Switches
from tests.support.processes import wait_for

LISTED = "/2015-03-31/event-source-mappings"


@pytest.fixture
def mapping(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A mapping whose queue has one message more each time."""
    received = threading.Semaphore(0)

    def receive(self: EventSourceMapping) -> list[dict[str, Any]]:
        received.release()
        threading.Event().wait(0.01)
        return []

    monkeypatch.setattr(EventSourceMapping, "_receive", receive)
    made = EventSourceMapping(None, "", "arn:queue", lambda event: None, concurrency=3)  # type: ignore[arg-type, return-value]
    made.received = received  # type: ignore[attr-defined]
    yield made
    made.stop()


@pytest.fixture
def switches(mapping: EventSourceMapping) -> Switches:
    return Switches({"pay-dev": mapping}, "pay-dev-reconcile", Schedule("reconcile", 600, lambda problem: None))


def test_a_mapping_is_listed_by_its_function_behind_live_alone(switches: Switches) -> None:
    for asked in ("pay-dev:live", "arn:aws:lambda:us-east-1:000000000000:function:pay-dev:live"):
        answer = switches.answer("GET", f"{LISTED}/", f"FunctionName={asked}", b"")
        assert answer is not None
        (told,) = answer[1]["EventSourceMappings"]
        assert (told["State"], told["EventSourceArn"]) == ("Enabled", "arn:queue")
        assert told["ScalingConfig"] == {"MaximumConcurrency": 3}
    assert switches.answer("GET", f"{LISTED}/", "FunctionName=other:live", b"") is None
    assert switches.answer("GET", f"{LISTED}/somebody-elses", "", b"") is None


def test_a_mapping_that_is_switched_off_receives_nothing_more_and_goes_on_when_it_is_on(
    switches: Switches, mapping: Any
) -> None:
    listed = switches.answer("GET", LISTED, "FunctionName=pay-dev:live", b"")
    assert listed is not None
    path = f"{LISTED}/{listed[1]['EventSourceMappings'][0]['UUID']}"

    def state() -> str:
        answer = switches.answer("GET", path, "", b"")
        assert answer is not None
        return str(answer[1]["State"])

    answer = switches.answer("PUT", path, "", json.dumps({"Enabled": False}).encode())
    assert answer is not None
    assert answer[0] == 202
    wait_for(lambda: state() == "Disabled")
    while mapping.received.acquire(blocking=False):
        pass
    assert not mapping.received.acquire(timeout=0.2)
    switches.answer("PUT", path, "", json.dumps({"Enabled": True}).encode())
    assert state() == "Enabled"
    assert mapping.received.acquire(timeout=30)


def test_each_mapping_is_told_and_switched_by_itself() -> None:
    def none(event: bytes) -> Any:
        raise AssertionError

    queues = [EventSourceMapping(None, "", name, none, concurrency=1) for name in ("arn:queue", "arn:wake-ups")]
    both = dict(zip(("pay-dev", "pay-dev-reconcile"), queues, strict=True))
    switches = Switches(both, "pay-dev-reconcile", Schedule("reconcile", 600, lambda problem: None))
    try:
        listed = switches.answer("GET", LISTED, "FunctionName=pay-dev-reconcile:live", b"")
        assert listed is not None
        (told,) = listed[1]["EventSourceMappings"]
        assert told["EventSourceArn"] == "arn:wake-ups"
        switches.answer("PUT", f"{LISTED}/{told['UUID']}", "", b'{"Enabled": false}')
        assert queues[0].state == "Enabled"
        assert queues[1].state != "Enabled"
    finally:
        for each in queues:
            each.stop()


def test_a_schedule_that_is_disabled_invokes_nothing(switches: Switches) -> None:
    runs = threading.Semaphore(0)

    class Pool:
        def invoke(self, event: bytes) -> Any:
            runs.release()
            raise RuntimeError("not this time")

    schedule = Schedule("reconcile", 0.01, lambda problem: None)
    switched = Switches({}, "pay-dev-reconcile", schedule)
    schedule.start(Pool())  # type: ignore[arg-type]
    try:
        assert runs.acquire(timeout=30)
        switched.answer("PUT", "/schedules/pay-dev-reconcile", "", b'{"State": "DISABLED"}')
        told = switched.answer("GET", "/schedules/pay-dev-reconcile", "groupName=default", b"")
        assert told is not None
        assert (told[1]["State"], told[1]["Name"]) == ("DISABLED", "pay-dev-reconcile")
        # One may have been under way.
        runs.acquire(timeout=0.1)
        assert not runs.acquire(timeout=0.2)
        switched.answer("PUT", "/schedules/pay-dev-reconcile", "", b'{"State": "ENABLED"}')
        assert runs.acquire(timeout=30)
    finally:
        schedule.stop()
    assert switched.answer("GET", "/schedules/another", "", b"") is None
