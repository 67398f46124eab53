"""One payment from message to settled state.

Invariants: at most one capture a payment, for its recorded amount; the first outcome stands; a message is acknowledged
only when its state is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from handler.domain.claim import decide
from handler.domain.errors import (
    AlreadyInProgressError,
    ChargeInProgressError,
    GatewayAnswerError,
    GatewayUnavailableError,
    NotEnoughTimeError,
    OwnershipLostError,
    RejectedQueueUnavailableError,
    ScoringError,
    TransactionLogUnavailableError,
    UnknownOutcomeError,
)
from handler.domain.item import Item, Superseded
from handler.domain.payment import Fault, GatewayResult
from handler.domain.process import read, settle
from handler.domain.rules import Rules
from handler.domain.score import Routing
from handler.domain.validate import Limits
from tests.support.payments import (
    CARD,
    KEY,
    AmountScoring,
    ScriptedGateway,
    World,
    body,
    message,
    reading,
    send,
    whole_item,
    work,
)


def approved(amount_minor: int = 2599, currency: str = "USD") -> GatewayResult:
    return GatewayResult("approved", amount_minor, currency, "AUTH123ABC", "2024-01-01T12:00:00Z")


def declined() -> GatewayResult:
    return GatewayResult("declined", 2599, "USD", "", "2024-01-01T12:00:00Z")


def test_an_ordinary_payment_is_claimed_charged_and_recorded():
    world = World()
    assert send(world) == "completed"
    item = world.item()
    assert item["status"] == "completed"
    assert item["gateway_response"]["status"] == "approved"
    assert item["gateway_response"]["authorization_code"].startswith("AUTH")
    assert item["processed_at"] == "2023-11-14T22:13:20Z"
    assert (item["amount_minor"], str(item["amount"])) == (2599, "25.99")
    assert {"lease_until", "open_shard"} & item.keys() == set()
    assert list(world.gateway.captures.values()) == [2599]


def test_a_decline_of_the_gateway_is_recorded():
    world = World(gateway=ScriptedGateway(charge=[declined()]))
    assert send(world) == "declined"
    assert world.item()["gateway_response"]["status"] == "declined"


def test_a_duplicate_is_acknowledged_and_not_charged_again():
    world = World()
    send(world)
    assert send(world, message(message_id="m-2"), "req-2:m-2") == "duplicate"
    assert world.gateway.calls == ["prepare", "charge"]


def test_other_content_under_the_same_id_is_a_conflict_of_its_own():
    world = World()
    send(world)
    before = world.item()
    other = message(body(amount=99.0), "m-2")
    assert send(world, other, "req-2:m-2") == "conflict"
    assert world.item() == before
    key = f"{KEY}#conflict#{reading(world, other).validation.request_hash}"
    assert world.item(key)["status"] == "conflict"
    assert world.item(key)["amount_minor"] == 9900
    assert send(world, other, "req-3:m-2") == "conflict"
    assert len(world.dynamodb.items) == 2


def test_a_risky_payment_waits_for_a_person_and_is_not_charged():
    world = World()
    assert send(world, message(body(amount=9999.99))) == "pending_approval"
    item = world.item()
    assert item["status"] == "pending_approval"
    assert item["approval_name"] == "dev-pay-abc123-1"
    assert item["open_shard"].startswith("pending_approval#")
    assert world.approvals.started == [(item["approval_name"], item["request"])]
    assert world.gateway.calls == []


def test_a_risky_payment_that_nobody_can_be_asked_about_is_declined_and_not_charged():
    world = World(rules=Rules(routing=Routing(asks=False)))
    assert send(world, message(body(amount=9999.99))) == "declined"
    item = world.item()
    assert (item["status"], item["reason_code"]) == ("declined", "approval_unavailable")
    assert item["processed_at"]
    assert not {"open_shard", "lease_until", "approval_name", "request"} & item.keys()
    assert (world.approvals.started, world.gateway.calls) == ([], [])
    # It stands, also once a workflow is there.
    world.rules = Rules()
    assert send(world, message(body(amount=9999.99)), "req-2:m-2") == "duplicate"
    assert send(world, message(body(payment_id="pay-2", amount=9999.99)), "req-3:m-3") == "pending_approval"


def test_an_amount_that_needs_a_person_is_declined_where_nobody_can_be_asked_and_others_are_charged():
    world = World(rules=Rules(routing=Routing({"USD": 2_000}, asks=False)))
    assert send(world) == "declined"
    assert world.item()["reason_code"] == "approval_unavailable"
    assert send(world, message(body(payment_id="pay-2", amount=19.99)), "req-2:m-2") == "completed"


def test_a_pending_payment_of_a_deployment_with_a_workflow_is_not_declined_by_one_without():
    world = World()
    send(world, message(body(amount=9999.99)))
    world.rules = Rules(routing=Routing(asks=False))
    assert send(world, message(body(amount=9999.99)), "req-2:m-1") == "pending_approval"
    assert world.item()["status"] == "pending_approval"


def test_a_pending_payment_is_started_again_until_a_workflow_has_adopted_it():
    world = World()
    sent = message(body(amount=9999.99))
    send(world, sent)
    assert send(world, sent, "req-2:m-1") == "pending_approval"
    world.change(execution_arn="arn:aws:lambda:execution")
    assert send(world, sent, "req-3:m-1") == "pending_approval"
    assert len(world.approvals.started) == 2


@pytest.mark.parametrize("limits", [Limits(amount_max_minor=100), Limits(currency="EUR")])
def test_limits_that_became_narrower_since_do_not_take_a_claimed_payment_back(limits):
    world = World()
    sent = message(body(currency="USD"))
    world.gateway.scripts["charge"] = [GatewayUnavailableError("down")]
    with pytest.raises(GatewayUnavailableError):
        send(world, sent)
    world.rules = world.rules._replace(limits=limits)
    assert send(world, sent, owner="req-2:m-1") == "completed"
    assert send(world, sent, owner="req-3:m-2") == "duplicate"
    assert list(world.gateway.captures.values()) == [2599]
    # Other content and other payments are held against them.
    assert send(world, message(body(currency="USD", amount=30))) == "conflict"
    assert send(world, message(body(currency="USD", payment_id="pay-other"))) == "rejected"
    assert world.item("txn-pay-other")["reason_code"] in ("amount_too_large", "unsupported_currency")


def test_a_payment_that_its_workflow_charges_is_left_to_it():
    world = World()
    sent = message(body(amount=9999.99))
    send(world, sent)
    world.change(status="processing", owner="arn:aws:lambda:execution", attempt=2)
    assert send(world, sent, "req-2:m-1") == "in_workflow"
    assert world.gateway.calls == []


def test_a_payment_that_a_rule_declines_is_never_charged():
    world = World(scoring=AmountScoring(decline_from=1))
    assert send(world) == "declined"
    assert world.item()["reason_code"] == "declined_by_rule"
    assert world.gateway.calls == []


def test_an_invalid_message_is_recorded_with_all_its_faults():
    world = World()
    assert send(world, message(body(amount=-1, order_id=None))) == "rejected"
    item = world.item()
    assert item["faults"] == [
        {"field": "order_id", "reason_code": "missing"},
        {"field": "amount", "reason_code": "negative_amount"},
    ]
    assert item["reason_code"] == "missing"
    assert not {"order_id", "amount", "amount_minor"} & item.keys()
    assert world.gateway.calls == []


VALID = {"order_id": "ord-123", "customer_id": "cust-456", "amount_minor": 2599, "currency": "USD"}


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"payment_method": "No!"}, ()),
        ({"cvv": "123"}, ()),
        ({"billing_address": "1 Main St"}, ()),
        ({"order_id": None}, ("order_id",)),
        ({"order_id": "x" * 65}, ("order_id",)),
        ({"customer_id": 456}, ("customer_id",)),
        ({"customer_id": "a\x07b"}, ("customer_id",)),
        ({"amount": "25.99"}, ("amount_minor",)),
        ({"amount": 10_000.01}, ("amount_minor",)),
        # In a currency that is not known, 25.99 are no 2,599 minor units.
        ({"currency": "EUR"}, ("currency", "amount_minor")),
        ({"currency": 840}, ("currency", "amount_minor")),
        ({"amount": 0, "order_id": " ", "currency": "usd"}, ("order_id", "currency", "amount_minor")),
    ],
)
def test_a_rejected_item_keeps_what_was_valid_and_no_field_that_a_fault_is_about(changes, lost):
    world = World()
    assert send(world, message(body(**changes))) == "rejected"
    item = world.item()
    assert {name: item[name] for name in VALID if name in item} == {
        name: value for name, value in VALID.items() if name not in lost
    }
    assert item.get("amount") == (Decimal("25.99") if "amount_minor" in item else None)
    assert "payment_method" not in item
    assert world.stored().amount_minor == item.get("amount_minor", 0)


def test_a_rejected_item_keeps_its_amount_in_its_own_currency():
    world = World(rules=Rules(limits=Limits(others={"JPY": 10_000})))
    assert send(world, message(body(amount=500, currency="JPY", order_id=None))) == "rejected"
    item = world.item()
    assert (item["amount_minor"], item["amount"], item["currency"]) == (500, 500, "JPY")


def test_a_rejected_item_keeps_its_customer_and_no_id_like_a_card_number():
    world = World()
    assert send(world, message(body(amount=-1, order_id=f"order {CARD}", customer_id="cust-9"))) == "rejected"
    assert CARD not in str(world.dynamodb.items)
    item = world.item()
    assert (item["customer_id"], "order_id" in item) == ("cust-9", False)


@pytest.mark.parametrize(
    ("text", "reason_code"),
    [
        ("not json", "not_json"),
        ("[]", "not_an_object"),
        (body(payment_id=None), "payment_id_missing"),
        (body(payment_id=CARD), "payment_id_card_number"),
        (body(payment_id="a b"), "payment_id_malformed"),
    ],
)
def test_a_message_without_a_usable_id_goes_masked_to_the_rejected_queue(text, reason_code):
    world = World()
    sent = message(text, group=f"group {CARD}")
    assert send(world, sent) == "unusable"
    [(kept, masked, reason)] = world.rejected.messages
    assert (kept.message_id, reason) == ("m-1", reason_code)
    assert CARD not in masked
    assert CARD not in kept.group
    assert world.dynamodb.items == {}


def test_a_rejected_queue_that_refuses_makes_the_message_come_again():
    class Refusing:
        def send(self, *_: Any) -> None:
            raise RejectedQueueUnavailableError("throttled")

    world = World(rejected=Refusing())  # type: ignore[arg-type]
    with pytest.raises(RejectedQueueUnavailableError):
        send(world, message("not json"))


def test_a_card_number_is_stored_nowhere():
    world = World()
    texts = {"description": f"order {CARD}", "customer_name": CARD}
    assert send(world, message(body(amount=900.0, **texts))) == "pending_approval"
    assert CARD not in str(world.dynamodb.items)
    assert "order ************1111" in world.item()["request"]


def test_a_payment_with_uuids_is_charged_and_its_ids_are_stored_unchanged():
    payment_id, order_id = "48215669-8059-4971-86fe-0de40701655f", "8741cc67-15d9-4764-9154-67473cc89c97"
    world = World()
    assert send(world, message(body(payment_id=payment_id, order_id=order_id), group=payment_id)) == "completed"
    item = world.item(f"txn-{payment_id}")
    assert (item["payment_id"], item["order_id"], item["message_group_id"]) == (payment_id, order_id, payment_id)


def test_too_little_time_returns_the_message_unclaimed():
    world = World()
    with pytest.raises(NotEnoughTimeError):
        send(world, remaining_ms=world.rules.times.least_remaining_ms - 1)
    assert world.dynamodb.items == {}


def test_a_leased_payment_is_not_touched():
    world = World(gateway=ScriptedGateway(charge=[UnknownOutcomeError("x")], status=[UnknownOutcomeError("y")]))
    with pytest.raises(UnknownOutcomeError):
        send(world)
    world.change(lease_until=world.clock.now_ms() + 1)
    with pytest.raises(AlreadyInProgressError):
        send(world, owner="req-2:m-1")
    world.change(lease_until=world.clock.now_ms())
    assert send(world, owner="req-2:m-1") == "completed"


def test_a_crash_between_charge_and_record_is_resolved_by_status_without_a_second_charge():
    class Crash(BaseException):
        pass

    world = World(gateway=ScriptedGateway(status=[approved()]))
    ports = world.ports

    class CrashingLog:
        def __getattr__(self, name: str) -> Any:
            if name == "record":
                raise Crash
            return getattr(ports.log, name)

    with pytest.raises(Crash):
        settle(reading(world, message()), world.rules, ports._replace(log=CrashingLog()), work())
    assert world.item()["status"] == "processing"
    world.clock.ms += 36_000
    assert send(world, owner="req-2:m-1") == "completed"
    assert world.gateway.calls == ["prepare", "charge", "status"]
    assert world.item()["attempt"] == 2


def test_an_unknown_outcome_is_looked_up_and_not_repeated():
    world = World(gateway=ScriptedGateway(charge=[UnknownOutcomeError("time-out")], status=[approved()]))
    assert send(world) == "completed"
    assert world.gateway.calls == ["prepare", "charge", "status"]


def test_an_unknown_outcome_that_did_not_take_effect_is_charged_again_under_the_same_reference():
    world = World(gateway=ScriptedGateway(charge=[UnknownOutcomeError("reset")]))
    assert send(world) == "completed"
    assert world.gateway.calls == ["prepare", "charge", "status", "charge"]
    assert len(world.gateway.captures) == 1


def test_a_charge_in_progress_makes_the_message_come_again_with_its_lease_released():
    in_progress = GatewayResult("in_progress", 2599, "USD")
    world = World(gateway=ScriptedGateway(charge=[UnknownOutcomeError("x")], status=[in_progress]))
    with pytest.raises(ChargeInProgressError):
        send(world)
    assert world.item()["status"] == "processing"
    assert world.item()["lease_until"] == 0


def test_a_gateway_that_is_away_releases_the_lease():
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("503")]))
    with pytest.raises(GatewayUnavailableError):
        send(world)
    assert world.item()["lease_until"] == 0
    assert "gateway_ref" not in world.item()


@pytest.mark.parametrize("wrong", [approved(2600), approved(2599, "EUR")])
def test_an_answer_about_another_amount_or_currency_is_never_recorded(wrong):
    world = World(gateway=ScriptedGateway(charge=[wrong]))
    with pytest.raises(GatewayAnswerError):
        send(world)
    assert world.item()["status"] == "processing"


def test_a_stored_reference_is_used_and_no_second_one_is_kept():
    world = World(gateway=ScriptedGateway(charge=[GatewayUnavailableError("503")]))
    with pytest.raises(GatewayUnavailableError):
        send(world)
    ref = world.item()["gateway_ref"]
    assert send(world, owner="req-2:m-1") == "completed"
    assert world.item()["gateway_ref"] == ref
    assert world.gateway.calls == ["prepare", "charge", "status", "charge"]


def test_a_worker_that_lost_the_payment_may_not_store_its_reference():
    world = World()

    class Slow(ScriptedGateway):
        def prepare(self, payment: Any, key: str) -> str:
            world.change(owner="req-2:m-1", attempt=2)
            return super().prepare(payment, key)

    world.gateway = Slow()
    with pytest.raises(OwnershipLostError):
        send(world)
    assert world.gateway.calls == ["prepare"]


def test_a_worker_that_lost_the_payment_may_not_record_and_does_not_release_it():
    world = World()

    class Slow(ScriptedGateway):
        def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
            world.change(owner="req-2:m-1", attempt=2)
            return super().charge(gateway_ref, key)

    world.gateway = Slow()
    with pytest.raises(OwnershipLostError):
        send(world)
    assert world.item()["status"] == "processing"
    assert world.item()["lease_until"] > 0


def late(world: World, status: str, answers: Sequence[GatewayResult] = (), **attributes: Any) -> str:
    """Charge, while another worker records `status` for the same payment."""

    class Slow(ScriptedGateway):
        def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
            world.change(**whole_item(world.item(), status=status, owner="req-2:m-1", attempt=2, **attributes))
            return super().charge(gateway_ref, key)

    world.gateway = Slow(charge=list(answers))
    return send(world)


def test_what_was_given_up_while_its_decline_was_on_its_way_is_no_contradiction():
    world = World()
    assert late(world, "cancelled", [declined()]) == "cancelled"
    assert world.notifier.alarms == []


def test_the_same_outcome_recorded_by_another_is_success():
    world = World()
    assert late(world, "completed") == "completed"
    assert world.notifier.alarms == []


@pytest.mark.parametrize(
    ("status", "attributes"),
    [("declined", {}), ("cancelled", {}), ("completed", {"gateway_ref": "sim_2599_USD_other"})],
)
def test_a_contradicting_outcome_raises_an_alarm_and_changes_nothing(status, attributes):
    world = World()
    assert late(world, status, **attributes) == status
    assert world.item()["status"] == status
    assert [alarm[0] for alarm in world.notifier.alarms] == ["outcome_contradicts_record"]


def test_a_claim_whose_answer_was_lost_goes_on_as_claimed():
    world = World()
    ports = world.ports

    class LosesFirstAnswer:
        lost = False

        def __getattr__(self, name: str) -> Any:
            if name == "put_new" and not self.lost:
                self.lost = True

                def twice(item: Any) -> Any:
                    # The SDK repeats a write whose answer was lost, and the second one is refused.
                    ports.log.put_new(item)
                    return ports.log.put_new(item)

                return twice
            return getattr(ports.log, name)

    losing = ports._replace(log=LosesFirstAnswer())
    assert settle(reading(world, message()), world.rules, losing, work()) == "completed"


def test_a_table_that_is_away_makes_the_message_come_again():
    world = World()

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise TransactionLogUnavailableError("throttled")

    with pytest.raises(TransactionLogUnavailableError):
        settle(reading(world, message()), world.rules, world.ports._replace(log=Away()), work())
    assert world.gateway.calls == []


def test_a_payment_that_cannot_be_scored_fails_alone():
    class Partly(AmountScoring):
        def score_batch(self, payments: Any) -> Any:
            if any(payment.amount_minor == 1300 for payment in payments):
                raise ScoringError("bad luck")
            return super().score_batch(payments)

    world = World(scoring=Partly())
    messages = [message(body(payment_id=f"p-{n}", amount=n), f"m-{n}") for n in (12, 13, 14)]
    readings = read(messages, world.rules, world.ports, lambda: 30_000)
    outcomes = {}
    for each in readings:
        message_id = each.message.message_id
        try:
            outcomes[message_id] = settle(each, world.rules, world.ports, work(f"r:{message_id}"))
        except ScoringError:
            outcomes[message_id] = "returned"
    assert outcomes == {"m-12": "completed", "m-13": "returned", "m-14": "completed"}


FAULTS = (Fault("amount", "malformed_amount"),)
FOLLOWED, ITSELF = Superseded("m-9", "h9", 1), Superseded("m-1", "h1", 1)
ASKED = {"owner": "me", "message_id": "m-1", "request_hash": "h", "now_ms": 1000}


@pytest.mark.parametrize(
    ("stored", "decision"),
    [
        ({"request_hash": "other", "owner": "me"}, "conflict"),
        ({"owner": "me", "status": "completed"}, "mine"),
        ({"owner": "me", "status": "rejected", "faults": FAULTS, "message_id": "m-1"}, "mine"),
        ({"status": "completed"}, "final"),
        ({"status": "declined"}, "final"),
        ({"status": "rejected"}, "final"),
        ({"status": "expired"}, "final"),
        # A message was rejected for its faults: another one that is a payment now corrects it, whatever the hashes say.
        ({"status": "rejected", "faults": FAULTS, "message_id": "m-0"}, "correct"),
        ({"status": "rejected", "faults": FAULTS, "message_id": "m-0", "request_hash": "other"}, "correct"),
        ({"status": "rejected", "faults": FAULTS, "message_id": "m-0", "superseded": (FOLLOWED,) * 9}, "correct"),
        ({"status": "rejected", "faults": FAULTS, "message_id": "m-0", "superseded": (FOLLOWED,) * 10}, "conflict"),
        # The rejected message itself is delivered again under rules that take it by now.
        ({"status": "rejected", "faults": FAULTS, "message_id": "m-1", "request_hash": "other"}, "final"),
        ({"status": "rejected", "faults": FAULTS, "message_id": "m-1"}, "final"),
        # Or after another message was its correction.
        ({"status": "completed", "request_hash": "other", "superseded": (FOLLOWED, ITSELF)}, "final"),
        ({"status": "rejected", "faults": FAULTS, "message_id": "m-0", "superseded": (ITSELF,)}, "final"),
        ({"status": "completed", "request_hash": "other", "superseded": (FOLLOWED,)}, "conflict"),
        ({"status": "pending_approval", "approval_name": "a"}, "pending"),
        ({"approval_name": "a", "lease_until": 2000}, "in_workflow"),
        ({"lease_until": 1001}, "in_progress"),
        ({"lease_until": 1000}, "take_over"),
        ({}, "take_over"),
    ],
)
def test_the_stored_item_decides_in_the_protocols_order(stored, decision):
    item = Item("txn-1", "1", "processing", "other", "h", 1, 1, 1)._replace(**stored)
    assert decide(item, is_valid=True, is_payment=True, is_superseded=False, **ASKED) == decision


@pytest.mark.parametrize(("owner", "decision"), [("me", "final"), ("other", "correct")])
def test_an_execution_whose_input_was_rejected_does_not_correct_itself_under_other_limits(owner, decision):
    """Its payment has no message; what it was rejected as is kept under its name."""
    item = Item("txn-1", "1", "rejected", owner, "other", 1, 1, 1, faults=FAULTS, message_id="an execution's name")
    asked = ASKED | {"message_id": ""}
    assert decide(item, is_valid=True, is_payment=True, is_superseded=False, **asked) == decision


@pytest.mark.parametrize(
    ("stored", "is_superseded", "decision"),
    [
        ({"status": "rejected", "faults": FAULTS}, False, "final"),
        ({"status": "rejected", "faults": FAULTS, "request_hash": "other"}, False, "correct"),
        ({"status": "rejected", "faults": FAULTS, "request_hash": "other"}, True, "final"),
        ({"status": "completed", "request_hash": "other"}, True, "final"),
        ({"status": "completed", "request_hash": "other"}, False, "conflict"),
        # Its text is all the same, and it is none.
        ({"status": "completed"}, False, "conflict"),
        ({"status": "completed"}, True, "final"),
    ],
)
def test_a_message_that_is_no_payment_is_known_by_its_content_where_one_was_rejected(stored, is_superseded, decision):
    item = Item("txn-1", "1", "processing", "other", "h", 1, 1, 1, message_id="m-0")._replace(**stored)
    assert decide(item, is_valid=False, is_payment=False, is_superseded=is_superseded, **ASKED) == decision


def test_a_charge_and_its_repetition_tell_the_card_networks_what_the_payment_says():
    told: list[bool | None] = []

    class Telling(ScriptedGateway):
        def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
            told.append(off_session)
            return super().charge(gateway_ref, key, off_session)

    world = World(rules=Rules(canonical_version=2), gateway=Telling(charge=[UnknownOutcomeError("no answer"), None]))
    assert send(world, message(body(off_session=False))) == "completed"
    assert told == [False, False]
