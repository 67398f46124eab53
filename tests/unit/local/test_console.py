"""The console of `make up` over HTTP: what it shows, what it switches, and whose requests it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.approvals.mail import Link
from local.console import TOKEN_HEADER
from local.faults import GATEWAY_FAULTS
from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer
from local.installation import ROOT
from local.loopback import ask
from tests.support.console import World

_ID = "a payment id has 1 to 48 letters, digits, - and _"
_TIMES = "a fault strikes 1 to 100 times"
_FAULTS: tuple[Any, ...] = ("charge.all", "cancel.decline", [], None)
WRONG: list[tuple[dict[str, Any], str]] = [
    *(({"payment_id": each}, _ID) for each in ("", "a b", "x" * 49, 7)),
    *(({"fault": each}, "there is no such fault") for each in _FAULTS),
    *(({"times": each}, _TIMES) for each in (0, 101, True, "2", None)),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    with closing(found.console):
        yield found


def test_a_payment_is_shown_as_it_moves_and_is_never_gone_between_the_table_and_its_event(world: World) -> None:
    assert world.payments() == {}
    world.table.put("a", "processing", 1)
    assert world.state()["payments"] == [
        {
            **{"transaction_id": "txn-a", "status": "processing", "amount": "49.99", "currency": "USD"},
            **{"customer_id": "c", "fraud_score": "", "updated_at": 1, "why": ""},
        }
    ]
    world.table.put("a", "completed", 2)
    assert world.payments() == {"txn-a": "completed"}
    world.tell("a", "completed", 2)
    assert world.payments() == {"txn-a": "completed"}
    asked = len(world.table.asked)
    assert world.payments() == {"txn-a": "completed"}
    # What ended by its event is looked up no more.
    assert len(world.table.asked) == asked


def test_a_parked_payment_that_is_tried_again_is_shown_by_the_table_and_the_newest_stands_first(world: World) -> None:
    world.table.put("a", "parked", 3, parked_reason="unreadable_answer")
    world.tell("a", "parked", 3)
    world.tell("b", "declined", 4)
    rows = world.state()["payments"]
    assert [(row["transaction_id"], row["status"], row["why"]) for row in rows] == [
        ("txn-b", "declined", ""),
        ("txn-a", "parked", "unreadable_answer"),
    ]
    world.table.put("a", "processing", 5)
    assert list(world.payments().items()) == [("txn-a", "processing"), ("txn-b", "declined")]


def test_of_many_payments_the_newest_are_shown_and_half_an_event_waits_for_its_other_half(world: World) -> None:
    for number in range(200):
        world.table.put(f"open-{number}", "processing", number)
        world.tell(f"ended-{number}", "completed", 1000 + number)
    world.payments()
    shown = world.payments()
    assert len(shown) == 80
    assert {"txn-open-199", "txn-ended-199"} <= set(shown)
    with world.events.open("a") as file:
        file.write('{"transaction_id": "txn-late", ')
    assert "txn-late" not in world.payments()
    with world.events.open("a") as file:
        file.write('"status": "expired", "updated_at": 9999}\n')
    assert world.payments()["txn-late"] == "expired"


def test_links_are_shown_while_their_payment_waits_for_a_person(world: World) -> None:
    world.console.tell(Link("alice", "txn-a", "http://127.0.0.1/approvals?t=1", "http://127.0.0.1/approvals?t=l"))
    world.console.tell(Link("alice", "txn-a", "http://127.0.0.1/approvals?t=2", "http://127.0.0.1/approvals?t=m"))
    assert world.state()["approvals"] == []
    world.table.put("a", "pending_approval", 1)
    [shown] = world.state()["approvals"]
    assert (shown["approver"], shown["url"]) == ("alice", "http://127.0.0.1/approvals?t=2")
    world.table.put("a", "completed", 2)
    assert world.state()["approvals"] == []


def test_queue_and_environments_are_what_the_terminal_is_shown(world: World) -> None:
    world.console.show({"waiting": 3, "in flight": 1, "s old": 7})
    function = SimpleNamespace(name="pay", version="2")
    for pid, request_id, is_ready in ((7, None, True), (8, "r", True), (9, None, False)):
        world.alive.append(SimpleNamespace(function=function, pid=pid, request_id=request_id, initialised=is_ready))
    state = world.state()
    assert state["queue"] == {"waiting": 3, "in flight": 1, "s old": 7}
    assert [(each["pid"], each["state"]) for each in state["environments"]] == [
        (7, "idle"),
        (8, "busy"),
        (9, "starting"),
    ]
    assert world.order({"switch": "kill"}) == (200, "Killed process 8, one at work: its messages come back.")
    assert world.killed == [8]


def test_the_mapping_is_stopped_and_started_and_where_it_is_not_ours_that_is_said(world: World) -> None:
    assert world.order({"switch": "stop"})[0] == 200
    assert world.order({"switch": "start"})[0] == 200
    assert world.switched == [False, True]
    world.system.mapping = None
    assert "the services' own mapping" in world.order({"switch": "stop"})[1]
    assert world.state()["mapping"] == ""


@pytest.mark.parametrize(
    "changed",
    [{"Origin": "http://evil.example"}, {"Origin": None}, {TOKEN_HEADER: "guessed"}, {TOKEN_HEADER: None}],
)
def test_a_fault_is_switched_by_this_page_alone(world: World, changed: dict[str, str | None]) -> None:
    headers = {name: value for name, value in (world.own | changed).items() if value is not None}
    assert world.order({"switch": "stop"}, headers)[0] == 403
    assert world.switched == []


@pytest.mark.parametrize("host", ["evil.example", "localhost:1", "127.0.0.1"])
@pytest.mark.parametrize("path", ["/", "/state", "/faults"])
def test_a_name_that_is_not_this_address_is_refused(world: World, host: str, path: str) -> None:
    method = "POST" if path == "/faults" else "GET"
    headers = world.own | {"Host": host}
    assert ask(world.port, method, path, b'{"switch": "stop"}', headers)[0] == 403
    assert world.switched == []


@pytest.mark.parametrize(
    "order", [None, [], {}, {"switch": "all"}, {"switch": []}, {"switch": "kill"}, {"switch": "release"}]
)
def test_an_order_that_cannot_be_done_is_refused_in_a_sentence(world: World, order: Any) -> None:
    status, said = world.order(order)
    assert (status, said[:10]) == (400, "Not done: ")


def test_other_methods_paths_and_long_bodies_are_refused(world: World) -> None:
    assert ask(world.port, "DELETE", "/faults", headers=world.own)[0] == 405
    assert ask(world.port, "POST", "/state", headers=world.own)[0] == 405
    assert world.get("/other")[0] == 404
    assert world.order({"switch": "stop", "more": "x" * 4000})[0] == 200
    assert ask(world.port, "POST", "/faults", b"x" * 5000, world.own)[0] == 413


def test_the_page_runs_its_own_script_alone_and_nobody_frames_or_keeps_it(world: World) -> None:
    _, page, headers = world.get("/")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "'unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert b"{{token}}" not in page
    # Nothing is asked elsewhere, and no text becomes an element.
    assert not re.search(rb'https?://|innerHTML|insertAdjacent|document\.write|src="', page)


def test_each_fault_of_the_gateway_can_be_chosen_and_reaches_it(tmp_path: Path) -> None:
    choices = re.findall(r'<option value="([^"]+)"', (ROOT / "local" / "console.html").read_text())
    assert sorted(choices) == sorted(GATEWAY_FAULTS)
    gateway = Gateway(tmp_path / "gateway.sqlite", seed=1, rates={})
    server = GatewayServer(gateway)
    server.start("gateway")
    world = World(tmp_path, server.url)
    with closing(world.console):
        assert world.state()["has_gateway"]
        for fault in choices:
            order = {"switch": "gateway", "payment_id": "p-1", "fault": fault, "times": 2}
            assert world.order(order) == (200, f"{fault} is ordered for p-1, 2 times.")
        rows = gateway._db.execute("SELECT call || '.' || fault, times_left, seconds FROM ordered_faults").fetchall()
        assert [tuple(row) for row in rows] == [(fault, 2, 10.0) for fault in choices]
        right = {"switch": "gateway", "payment_id": "p", "fault": choices[0], "times": 1}
        for wrong, says in WRONG:
            assert world.order(right | wrong) == (400, f"Not done: {says}.")
        assert world.order({"switch": "release"})[0] == 200
        assert gateway._db.execute("SELECT count(*) FROM ordered_faults").fetchone()[0] == 0
    server.stop()
    gateway.close()


def test_the_faults_of_a_gateway_inside_the_functions_are_not_offered(world: World) -> None:
    assert not world.state()["has_gateway"]
    order = {"switch": "gateway", "payment_id": "p", "fault": "charge.decline", "times": 1}
    assert world.order(order) == (400, "Not done: the gateway is inside the functions and has no faults.")
