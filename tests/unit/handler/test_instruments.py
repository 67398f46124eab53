"""What is charged, a payment's token and its customer at the gateway, stays nowhere once the payment has ended."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from handler import approval_composition as composition
from handler.adapters.approval.notices import LoggedNotices, SnsNotices
from handler.adapters.approval.page import question
from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.table.approval_writes import APPROVAL_WRITES
from handler.adapters.table.forget_writes import FORGET_WRITES
from handler.adapters.table.later_writes import LATER_WRITES
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.adapters.table.parking_writes import PARKING_WRITES
from handler.adapters.table.writes import WRITES
from handler.domain.approval.steps import Checks, charge_approved, resolve
from handler.domain.approval.view import Earlier
from handler.domain.canonical import without_instrument
from handler.domain.errors import GatewayAnswerError, GatewayUnavailableError
from handler.domain.parked import cancel, retry
from handler.domain.payment import GatewayResult
from handler.domain.process import read, settle
from handler.domain.reconcile import reconcile_pending, settle_parked
from handler.domain.rules import Parking, Rules
from handler.domain.times import Times
from operations import __main__ as cli
from tests.support import parking
from tests.support.approvals import DAY_MS, EXECUTION, SCORED_70, ApprovalWorld, running, status, taken_up, until
from tests.support.payments import CARD, KEY, ScriptedGateway, World, body, message, no_end, record, work
from tests.support.queue_function import Context, batch, create_function

TOKEN, CUSTOMER = "pm_swordfish", "cus_swordfish"
SECRET = "swordfish"
RULES = Rules(canonical_version=2, parking=Parking(1))
SENT = {"payment_token": TOKEN, "gateway_customer_id": CUSTOMER}
FAILING = GatewayAnswerError("no JSON")
ALL_WRITES = (*WRITES, *APPROVAL_WRITES, *PARKING_WRITES, *LATER_WRITES, *FORGET_WRITES)


def everything(world: World) -> str:
    """All that the world keeps outside of queues and executions."""
    return json.dumps([world.dynamodb.items, world.notifier.alarms, world.rejected.messages])


def deliver(world: World, text: str, message_id: str = "m-1") -> str:
    return parking.send(world, message(text, message_id), f"r-{message_id}:{message_id}")


def waiting(**more: Any) -> ApprovalWorld:
    """A risky payment that a person was asked about; its item and its execution's input hold the token."""
    world = ApprovalWorld(rules=RULES, **more)
    text = body(amount=9999.99, **SENT)
    reading = read([message(text)], world.rules, world.ports, lambda: 30_000)[0]
    settle(reading, world.rules, world.ports, work())
    assert TOKEN in world.stored().request
    assert TOKEN in world.approvals.started[0][1]
    return taken_up(world, reading, Checks(SCORED_70, True), EXECUTION)


def parked(*, is_known: bool = False) -> World:
    world = World(rules=RULES, gateway=ScriptedGateway(**{"charge" if is_known else "prepare": [FAILING]}))
    assert deliver(world, body(**SENT)) == "parked"
    assert TOKEN in world.stored().request
    return world


def completed() -> World:
    world = World(rules=RULES)
    assert deliver(world, body(**SENT)) == "completed"
    return world


def declined() -> World:
    world = World(rules=RULES, gateway=ScriptedGateway(charge=[GatewayResult("declined", 2599, "USD")]))
    assert deliver(world, body(**SENT)) == "declined"
    return world


def rejected() -> World:
    world = World(rules=RULES)
    assert deliver(world, body(amount="x", **SENT)) == "rejected"
    return world


def in_conflict() -> World:
    world = completed()
    assert deliver(world, body(**{**SENT, "payment_token": f"{TOKEN}_2"}), "m-2") == "conflict"
    return world


def in_conflict_with_what_is_no_token() -> World:
    world = completed()
    assert deliver(world, body(**{**SENT, "payment_token": {"a": [TOKEN, '"}']}}), "m-2") == "conflict"
    return world


def unusable() -> World:
    world = World(rules=RULES)
    assert deliver(world, body(payment_id="", **SENT)) == "unusable"
    return world


def misspelled() -> World:
    """What a sender's mistake makes of it: the copy of a message that can be read, and names no such field."""
    world = World(rules=RULES)
    assert deliver(world, body(payment_id="", paymentToken=TOKEN, **{"Gateway-Customer-ID": CUSTOMER})) == "unusable"
    assert deliver(world, body(payment_id="", token="pm_1swordfish7890")) == "unusable"
    text = f"\ncard_1{'swordfish' * 2}, and {json.dumps(json.dumps({'x': 'tok_1swordfish7890'}))}"
    assert deliver(world, body(payment_id="", description=text)) == "unusable"
    return world


def unreadable() -> World:
    world = World(rules=RULES)
    assert deliver(world, body(**SENT)[:-1]) == "unusable"
    assert deliver(world, f"{TOKEN=} payment_token: {TOKEN}, gateway_customer_id = '{CUSTOMER}'".partition(" ")[2]) == (
        "unusable"
    )
    assert deliver(world, json.dumps(body(**SENT))[:-1]) == "unusable"
    return world


def charged_on_approval() -> World:
    world = waiting()
    world.decide("approve")
    assert resolve(KEY, EXECUTION, world.approval_ports, is_called_back=False, timed_out=False).action == "charge"
    text = world.stored().request
    reading = read([message(text)], world.rules, world.ports, lambda: 30_000)[0]
    assert reading.validation.payment is not None
    given = {"rules": world.approval_rules, "ports": world.approval_ports, "work": work(EXECUTION.arn)}
    charge = charge_approved(reading.validation.payment, reading.in_version, EXECUTION, **given)  # type: ignore[arg-type]
    assert charge == "completed"
    return world


def rejected_by_a_person() -> World:
    world = waiting()
    world.decide("reject")
    assert resolve(KEY, EXECUTION, world.approval_ports, is_called_back=False, timed_out=False).outcome == "rejected"
    return world


def expired() -> World:
    world = waiting()
    world.clock.ms += DAY_MS
    assert resolve(KEY, EXECUTION, world.approval_ports, is_called_back=False, timed_out=True).outcome == "expired"
    return world


def expired_by_reconcile() -> World:
    world = waiting()
    world.clock.ms += 2 * DAY_MS
    assert reconcile_pending(world.stored(), parking.decisions(world), no_end) == "expired"
    return world


def retried() -> World:
    world, queue = parked(), parking.Queue()
    assert retry(world.stored(), "alice", queue, parking.decisions(world), times=Times(), work=work("op")) == "sent"
    # What a retry sends must be able to charge.
    assert TOKEN in queue.sent[0][0]
    assert deliver(world, queue.sent[0][0], "m-2") == "completed"
    return world


def given_up() -> World:
    world = parked()
    cancel(world.stored(), "alice", "sent twice", parking.decisions(world), parking.unasked, find_end=no_end)
    assert world.stored().status == "cancelled"
    return world


def settled_by_reconcile() -> World:
    world = parked(is_known=True)
    world.gateway.scripts["status"] = [GatewayResult("approved", 2599, "USD")]
    log = DynamoDbParkingLog
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "open_transaction_ids", lambda self, status: iter([KEY]))
        found = list(settle_parked(RULES, world.ports, parking.decisions(world), work("reconcile")))
    assert [each.outcome for each in found] == ["completed"]
    return world


ENDS = (
    *(completed, declined, rejected, in_conflict, in_conflict_with_what_is_no_token, unusable, misspelled, unreadable),
    *(charged_on_approval, rejected_by_a_person, expired, expired_by_reconcile),
    *(retried, given_up, settled_by_reconcile),
)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_what_has_ended_names_no_instrument_anywhere(end: Callable[[], World], caplog, capsys):
    world = end()
    assert SECRET not in everything(world)
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capsys.readouterr())
    for key in world.dynamodb.items:
        assert world.stored(key).request_hash


def test_every_write_that_ends_a_payment_removes_what_was_kept_to_charge_it():
    ending = [write for write in ALL_WRITES if "#processed_at = :processed_at" in write.set]
    assert len(ending) >= 6
    assert [write.name for write in ending if "#request" not in write.remove] == []


def test_a_set_aside_message_names_no_instrument():
    world = completed()
    world.change(order_id=None)
    assert deliver(world, body(**SENT)) == "set_aside"
    assert SECRET not in everything(world)


@pytest.mark.parametrize("fails", [None, FAILING, GatewayUnavailableError("HTTP 503")])
@pytest.mark.parametrize("change", [{}, {"amount": 9999.99}, {"amount": "x"}, {"payment_id": ""}, {"order_id": CARD}])
def test_no_log_line_of_the_queue_function_names_an_instrument(fails, change, capfd, caplog):
    world, logged = World(rules=RULES, gateway=ScriptedGateway(prepare=[fails])), io.StringIO()
    function = create_function(world, MemorySourceQueue(), logged, RULES)
    answer = function(batch(record(body(**{**SENT, **change}))), Context())
    assert "m-1" in logged.getvalue()
    assert SECRET not in logged.getvalue() + json.dumps(answer) + caplog.text + "".join(capfd.readouterr())


class Topic:
    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def publish(self, **parameters: Any) -> None:
        self.published.append(parameters)


def test_neither_page_nor_notification_names_an_instrument(caplog):
    caplog.set_level("INFO")
    world, topic = waiting(), Topic()
    item = world.stored()
    for notices in (SnsNotices(topic, "arn", ["alice"], "", None), LoggedNotices()):
        notices.ask("message", item, item.callback_id)
        notices.settled("message", KEY, "completed")
    assert len(topic.published) == 2
    assert (
        SECRET
        not in json.dumps(topic.published) + question(item, Earlier(), "t", "alice", world.clock.ms) + caplog.text
    )


SHOWN = [["list"], ["list", "--json"], ["show", KEY], ["show", KEY, "--json"]]


@pytest.mark.parametrize(
    ("make", "topic", "commands"),
    [
        (waiting, "approvals", SHOWN),
        (parked, "parked", [*SHOWN, ["retry", KEY, "--yes"]]),
        (in_conflict, "conflicts", SHOWN),
    ],
)
def test_no_command_shows_an_instrument_of_an_open_payment(make, topic, commands, monkeypatch, capsys):
    world = make()
    monkeypatch.setattr(composition, "compose_decisions", lambda environment: parking.decisions(world))
    monkeypatch.setattr(composition, "compose_retries", lambda environment: (parking.Queue(), Times()))
    monkeypatch.setattr(composition, "caller_identity", lambda: "alice")
    monkeypatch.setattr(
        DynamoDbParkingLog,
        "open_transaction_ids",
        lambda self, status: iter([key for key in world.dynamodb.items if world.item(key)["status"] == status]),
    )
    for command in commands:
        assert cli.main([topic, *command], {}) == 0
        output = "".join(capsys.readouterr())
        assert "pay-abc123" in output
        assert SECRET not in output


def test_only_the_instruments_values_are_hidden_whatever_they_are():
    def hidden(**values: Any) -> Any:
        return json.loads(without_instrument(json.dumps(values, separators=(",", ":"))))

    other = {"a": '"payment_token":"x"', "b": [',"payment_token":', "payment_token"], "c": {"d": "payment_token"}}
    for value in (TOKEN, 'a"b\\', 5, None, [1, ["}"]], {"payment_token": {"payment_token": "x"}}, {}):
        found = hidden(**other, payment_token=value, gateway_customer_id=value, z=1)
        assert found == {**other, "payment_token": "***", "gateway_customer_id": "***", "z": 1}
        assert hidden(nested=[{"payment_token": value}]) == {"nested": [{"payment_token": "***"}]}
    assert hidden(**other) == other


def test_a_whole_execution_logs_no_instrument_and_leaves_none(caplog, capfd):
    caplog.set_level("INFO")
    world = ApprovalWorld(rules=RULES)
    with running(world.workflow) as runner:
        arn = runner.start(body(amount=9999.99, **SENT))
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        result = runner.result(arn)
    assert status(result) == "completed"
    assert SECRET not in everything(world) + caplog.text + "".join(capfd.readouterr()) + result.result
