"""`payments events replay` and `payments tail`: events made again from items in memory, and shown as they happen."""

from __future__ import annotations

import json

import pytest

from handler import approval_composition as composition
from handler.adapters.table.expressions import to_attributes
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.domain.item import timestamp
from handler.domain.outcome_delivery import EventTargetError, Refusal
from handler.domain.outcome_event import outcome_event
from handler.domain.refund_event import refund_event
from operations import __main__ as cli
from operations import events as topic
from tests.support.parking import decisions, parked
from tests.support.payments import KEY, World, send, whole_item
from tests.support.refunds import completed, give


class Target:
    def __init__(self, fails=False, refuses=False):
        self.fails, self.refuses, self.sent = fails, refuses, []

    def send(self, events, /):
        if self.fails:
            raise EventTargetError("down")
        self.sent += events
        return [Refusal(event.event_id, True, "is too odd") for event in events] if self.refuses else []


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `payments events ...` over a world and a target; returns exit code, output and errors."""

    def run(world: World, *arguments: str, target: Target | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(composition, "compose_decisions", lambda environment: decisions(world))
        monkeypatch.setattr(topic, "compose_replay", lambda environment: ("dev", target or Target()))
        monkeypatch.setattr(
            DynamoDbParkingLog,
            "open_transaction_ids",
            lambda self, status: iter([key for key in world.dynamodb.items if world.item(key)["status"] == status]),
        )
        code = cli.main(["events", "replay", *arguments], {})
        return code, *capsys.readouterr()

    return run


def test_a_replay_sends_the_present_outcome_under_the_id_that_it_had(command):
    world, target = World(), Target()
    send(world)
    assert command(world, "pay-abc123", target=target) == (0, f"{KEY} completed sent\n", "")
    assert target.sent == [outcome_event(world.stored(), "dev")]


def test_a_refund_and_a_conflict_of_one_are_sent_again_by_their_transaction_ids(command):
    world, target = completed(), Target()
    give(world)
    give(world, "1.00", message_id="m-2")
    refund = world.refund()
    [conflict] = [key for key in world.dynamodb.items if "#conflict#" in key]
    code, output, errors = command(world, refund.transaction_id, conflict, "txn-pay-abc123#refund#gone", target=target)
    assert (code, output) == (1, f"{refund.transaction_id} refunded sent\n{conflict} conflict sent\n")
    assert "there is no refund txn-pay-abc123#refund#gone" in errors
    assert [event.text for event in target.sent][:1] == [refund_event(refund, "dev").text]


def test_a_payment_that_is_at_no_outcome_is_told_and_the_others_are_sent(command):
    world, target = World(), Target()
    send(world)
    world.dynamodb.items["txn-open"] = to_attributes(whole_item({}, transaction_id="txn-open", payment_id="open"))
    code, output, errors = command(world, "open", "pay-abc123", target=target)
    assert (code, output) == (1, f"{KEY} completed sent\n")
    assert "txn-open is processing, which is no outcome yet" in errors


def test_a_payment_that_is_not_there_or_is_damaged_is_told_and_the_others_are_sent(command):
    world = World()
    send(world)
    damaged = whole_item({}, transaction_id="txn-damaged", payment_id="damaged", status="completed")
    del damaged["gateway_ref"]
    world.dynamodb.items["txn-damaged"] = to_attributes(damaged)
    code, output, errors = command(world, "gone", "damaged", "pay-abc123")
    assert (code, output) == (1, f"{KEY} completed sent\n")
    assert "there is no payment txn-gone" in errors
    assert "txn-damaged (completed) lacks gateway_ref" in errors


def test_one_payment_that_is_not_there_is_not_there_and_a_state_that_has_none_is_told(command):
    code, output, errors = command(World(), "gone")
    assert (code, output) == (3, "")
    assert "there is no payment txn-gone" in errors
    assert command(World(), "--state", "parked")[:2] == (0, "No payment that is parked was claimed then.\n")


def test_all_that_are_parked_are_sent_by_the_time_of_their_claim(command):
    world, target = parked(), Target()
    claimed = world.stored().created_at
    world.dynamodb.items["txn-later"] = to_attributes(
        world.item() | {"transaction_id": "txn-later", "payment_id": "later", "created_at": claimed + 60_000}
    )
    assert command(world, "--state", "parked", target=target)[0] == 0
    assert [event.transaction_id for event in target.sent] == [KEY, "txn-later"]
    between = timestamp(claimed + 30_000)
    output = command(world, "--state", "parked", "--until", between)[1]
    assert output == f"{KEY} parked sent\n"
    output = command(world, "--state", "parked", "--since", between)[1]
    assert output == "txn-later parked sent\n"


@pytest.mark.parametrize(
    ("target", "told"),
    [(Target(fails=True), "was not sent: the target took none. Run it again"), (Target(refuses=True), "is too odd")],
)
def test_what_was_not_sent_is_told_and_the_command_fails(command, target, told):
    world = World()
    send(world)
    code, output, errors = command(world, KEY, target=target)
    assert (code, output) == (1, "")
    assert errors == f"payments: {KEY} {told}\n"


@pytest.mark.parametrize(
    "arguments", [(), ("pay-abc123", "--state", "parked"), ("pay-abc123", "--since", "2026-11-27T00:00:00Z")]
)
def test_a_replay_says_of_what(command, arguments):
    world = World()
    send(world)
    code, _, errors = command(world, *arguments)
    assert code == 2
    assert "--state" in errors


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-27"])
def test_a_time_that_is_none_is_wrong_usage(command, time):
    assert command(World(), "--state", "parked", "--since", time)[0] == 2


def test_without_a_target_the_queue_is_found_by_its_name(monkeypatch):
    class Sqs:
        def get_queue_url(self, *, QueueName):
            return {"QueueUrl": f"https://sqs.us-east-1.amazonaws.com/123456789012/{QueueName}"}

    monkeypatch.setattr(topic, "aws_clients", lambda settings, support: lambda service: Sqs())
    composed: list[dict[str, str]] = []
    monkeypatch.setattr(topic, "compose_target", composed.append)
    topic.compose_replay({"ENVIRONMENT": "prod"})
    topic.compose_replay({"ENVIRONMENT": "prod", "EVENT_TARGET": "arn:aws:sns:eu-central-1:123456789012:events.fifo"})
    assert [given["EVENT_TARGET"].rpartition("/")[2].rpartition(":")[2] for given in composed] == [
        "cloudcafe-payment-events-prod.fifo",
        "events.fifo",
    ]


def test_tail_prints_an_event_a_line_and_tells_of_what_cannot_be_read(capsys):
    def record(item):
        return {"dynamodb": {"NewImage": to_attributes(item)}}

    completed = whole_item({}, status="completed")
    damaged = {name: value for name, value in completed.items() if name != "gateway_ref"}
    pages = [[record(damaged), record(whole_item({})), record(completed)], []]

    class Stream:
        def read(self):
            return pages.pop(0)

    class StoppedError(Exception):
        pass

    def wait():
        raise StoppedError

    with pytest.raises(StoppedError):
        topic.follow(Stream(), "dev", wait)
    output, errors = capsys.readouterr()
    assert [json.loads(line)["status"] for line in output.splitlines()] == ["completed"]
    assert "lacks gateway_ref" in errors
