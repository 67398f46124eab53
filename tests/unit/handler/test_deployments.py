"""Payments under way while versions of the canonical text change: the same payment, whatever is written by now.

Each test is a deployment or a rollback between two deliveries, or between a payment's claim and its workflow.
"""

import unicodedata
from itertools import count

import pytest

from handler.domain.canonical import text_hash
from handler.domain.errors import GatewayUnavailableError, UnknownItemError
from handler.domain.process import read, settle
from handler.domain.reconcile import Finding
from handler.domain.rules import Rules
from tests.support.approvals import RISKY, ApprovalWorld, running, status, until
from tests.support.payments import (
    CARD,
    KEY,
    STUCK_AFTER_MS,
    AmountScoring,
    ScriptedGateway,
    World,
    body,
    message,
    reconcile,
    work,
)

TOKEN = {"payment_token": "pm_1", "off_session": False}


_DELIVERIES = count()


def send(world: World, version: int, text: str = "", message_id: str = "m-1") -> str:
    """Deliver a message to a function that writes `version`."""
    rules = Rules(canonical_version=version)
    reading = read([message(text or body(**TOKEN), message_id)], rules, world.ports, lambda: 30_000)[0]
    return settle(reading, rules, world.ports, work(f"req-{next(_DELIVERIES)}:{message_id}"))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (1, 1), (2, 2)])
def test_a_payment_that_was_returned_is_charged_whatever_is_written_by_then(before, after):
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")]))
    with pytest.raises(GatewayUnavailableError):
        send(world, before)
    assert send(world, after) == "completed"
    assert (world.item()["canonical_version"], world.item()["attempt"]) == (before, 2)
    assert list(world.gateway.captures.values()) == [2599]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_settled_payment_that_is_sent_again_is_a_duplicate(before, after):
    world = World()
    assert send(world, before) == "completed"
    held = world.item()
    assert send(world, after, message_id="m-2") == "duplicate"
    assert (world.item(), len(world.dynamodb.items)) == (held, 1)


def test_what_is_charged_is_what_the_items_hash_covers():
    paid = []

    class Watching(ScriptedGateway):
        def prepare(self, payment, key):
            paid.append((payment.version, payment.payment_token))
            return super().prepare(payment, key)

        def charge(self, gateway_ref, key, off_session=None):
            paid.append(off_session)
            return super().charge(gateway_ref, key, off_session)

    for before, after, token, off_session in ((1, 2, "", None), (2, 1, "pm_1", False)):
        world = World(gateway=Watching(prepare=[GatewayUnavailableError("down")]))
        with pytest.raises(GatewayUnavailableError):
            send(world, before)
        assert send(world, after) == "completed"
        assert paid == [(before, token), (before, token), off_session]
        paid.clear()


@pytest.mark.parametrize(("first", "outcome"), [(1, "duplicate"), (2, "conflict")])
def test_fields_that_the_items_version_does_not_know_count_as_absent(first, outcome):
    world = World()
    assert send(world, first) == "completed"
    for written in (1, 2):
        assert send(world, written, body(payment_token="pm_2"), f"m-{written + 1}") == outcome
    assert len(world.dynamodb.items) == (1 if outcome == "duplicate" else 2)


def test_a_conflict_is_one_item_whatever_is_written():
    world = World()
    send(world, 1)
    other = body(amount=26.99, **TOKEN)
    assert [send(world, version, other, f"m-{version}") for version in (2, 1, 2)] == ["conflict"] * 3
    (conflict,) = [item for key in world.dynamodb.items if (item := world.item(key))["status"] == "conflict"]
    assert conflict["canonical_version"] == 1
    assert conflict["transaction_id"].endswith(conflict["request_hash"])


@pytest.mark.parametrize("changed", [{"canonical_version": 3}, {"status": "refunding"}])
def test_an_item_of_newer_code_is_returned_and_nothing_is_made_of_it(changed):
    world = World()
    send(world, 1)
    world.change(**changed)
    held = world.item()
    for text in (body(**TOKEN), body(amount=26.99)):
        with pytest.raises(UnknownItemError):
            send(world, 1, text, "m-2")
    assert (world.item(), len(world.dynamodb.items), world.notifier.alarms) == (held, 1, [])


def test_the_message_of_a_damaged_item_is_set_aside_with_an_alarm_and_never_charged():
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")]))
    with pytest.raises(GatewayUnavailableError):
        send(world, 1)
    world.gateway.calls.clear()
    world.change(amount_minor=None)
    assert send(world, 1) == "set_aside"
    assert world.gateway.calls == []
    ((reason_code, transaction_id, detail),) = world.notifier.alarms
    assert (reason_code, transaction_id) == ("item_damaged", KEY)
    assert "lacks amount_minor" in detail


@pytest.mark.parametrize(
    ("changed", "reason_code", "alarms"),
    [({"attempt": None}, "item_damaged", 1), ({"status": "refunding"}, "item_unknown", 0)],
)
def test_reconcile_goes_on_behind_an_item_that_it_cannot_read(changed, reason_code, alarms):
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")] * 2))
    for payment_id in ("pay-abc123", "pay-2"):
        with pytest.raises(GatewayUnavailableError):
            send(world, 1, body(payment_id=payment_id), payment_id)
    world.change(**changed)
    world.clock.ms += STUCK_AFTER_MS + 1
    assert set(reconcile(world)) == {Finding(KEY, "unsettled", reason_code), Finding("txn-pay-2", "not_charged")}
    assert len(world.notifier.alarms) == alarms


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_message_that_was_rejected_is_its_own_duplicate_under_rules_that_take_it(before, after):
    world = World()
    text = body(amount=26.99, currency="usd")
    first = send(world, before, text)
    assert first == ("rejected" if before == 1 else "completed")
    assert send(world, after, text) == "duplicate"
    assert len(world.dynamodb.items) == 1


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_corrected_message_is_claimed_in_the_version_that_is_written_by_then(before, after):
    world = World()
    assert send(world, before, body(order_id=None)) == "rejected"
    assert send(world, after, body(**TOKEN), "m-2") == "completed"
    item = world.item()
    assert (item["canonical_version"], item["superseded"][0]["canonical_version"]) == (after, before)
    # The content of the rejected message is compared in the version that it was hashed in.
    assert send(world, before, body(order_id=None), "m-3") == "duplicate"
    assert send(world, after, body(order_id=None), "m-3") == "duplicate"


def test_a_correction_of_a_message_of_newer_code_waits_for_that_code():
    world = World()
    assert send(world, 1, body(order_id=None)) == "rejected"
    world.change(canonical_version=3)
    with pytest.raises(UnknownItemError):
        send(world, 1, body(), "m-2")
    assert world.item()["status"] == "rejected"


@pytest.mark.parametrize(("queue", "workflow"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("direct", [False, True])
def test_a_risky_payment_is_approved_and_charged_by_a_workflow_of_another_version(queue, workflow, direct):
    """`direct`: somebody also invokes the workflow with the message itself instead of the stored text."""
    world = ApprovalWorld(rules=Rules(canonical_version=workflow))
    text = body(amount=9999.99, **TOKEN)
    assert send(world, queue, text) == "pending_approval"
    request = world.item()["request"]
    with running(world.workflow) as runner:
        arn = runner.start(text if direct else request)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "completed"
    assert (world.item()["canonical_version"], world.item()["request_hash"]) == (queue, text_hash(request))
    assert list(world.gateway.captures.values()) == [999_999]


def test_an_execution_that_a_message_overtook_charges_in_the_messages_version():
    """It reads its input before there is an item, and a message claims the payment in another version after that."""
    world = ApprovalWorld(rules=Rules(canonical_version=2))
    text = body(amount=9999.99, **TOKEN)
    scoring = world.scoring

    class Overtaken(AmountScoring):
        def score_batch(self, payments):
            if world.scoring is self:
                world.scoring = scoring
                assert send(world, 1, text) == "pending_approval"
            return super().score_batch(payments)

    world.scoring = Overtaken()
    with running(world.workflow) as runner:
        arn = runner.start(text)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "completed"
    assert world.item()["canonical_version"] == 1


def test_an_execution_waits_for_code_that_knows_its_item():
    world = ApprovalWorld()
    send(world, 1, RISKY)
    world.change(canonical_version=3)
    with running(world.workflow) as runner:
        result = runner.result(runner.start(RISKY))
    assert result.status.value == "FAILED"
    assert "version 3" in result.error.message
    assert (world.item()["status"], world.gateway.calls, world.notifier.alarms) == ("pending_approval", [], [])


@pytest.mark.parametrize("end", ["fee\u0301", "fac\u0327", "\u212a"])
def test_a_card_number_behind_which_a_spelling_is_joined_is_masked_as_it_is_stored(end):
    """NFC makes a character of the letter that hid the number: what is stored is masked, and reads as it was stored."""
    world = ApprovalWorld(rules=Rules(canonical_version=2))
    text = body(amount=9999.99, description=f"{CARD}{end}")
    assert send(world, 2, text) == "pending_approval"
    assert CARD not in world.item()["request"]
    composed = unicodedata.normalize("NFC", f"{CARD}{end}")
    assert send(world, 2, body(amount=9999.99, description=composed), "m-2") == "pending_approval"
    with running(world.workflow) as runner:
        arn = runner.start(world.item()["request"])
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "completed"
    assert len(world.dynamodb.items) == 1


@pytest.mark.parametrize("version", [1, 2])
def test_an_invalid_twin_is_a_conflict_and_takes_no_lease(version):
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")]))
    with pytest.raises(GatewayUnavailableError):
        send(world, version, body())
    held = world.item()
    assert send(world, version, body(cvv="123"), "m-2") == "conflict"
    assert (world.item(), world.notifier.alarms) == (held, [])
    assert send(world, version, body()) == "completed"


@pytest.mark.parametrize("changed", [{"amount_minor": 1}, {"currency": "EUR"}])
def test_an_item_changed_by_hand_is_not_charged_by_its_message(changed):
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")]))
    with pytest.raises(GatewayUnavailableError):
        send(world, 1)
    world.change(**changed)
    held = world.item()
    assert send(world, 1) == "set_aside"
    assert (world.item(), list(world.gateway.captures)) == (held, [])
    ((reason_code, _, detail),) = world.notifier.alarms
    assert reason_code == "item_damaged"
    assert "somebody changed the item" in detail
