"""A message that was rejected for its own faults does not burn its id: another one under it takes its place.

The rule: what was rejected is never charged and never counted twice, and a person's no is never followed.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from handler.domain.claim import CORRECTIONS_MAX
from handler.domain.errors import GatewayUnavailableError
from handler.domain.process import read, settle
from handler.domain.rules import Rules
from handler.domain.validate import Limits
from tests.support.approvals import ApprovalWorld, running, status, until
from tests.support.payments import KEY, AmountScoring, ScriptedGateway, World, body, message, work

_DELIVERIES = count()

# As senders sent them: what each is, in the version of the canonical text that is written, from 1 on.
REJECTED_THEN_CORRECTED = (
    '{"payment_id": "fix-1", "order_id": "ord-1", "customer_id": "cust-1", "amount": "25.99", '
    '"payment_method": "credit_card"}',
    '{"payment_id": "fix-1", "order_id": "ord-1", "customer_id": "cust-1", "amount": 25.99, '
    '"payment_method": "credit_card"}',
)
NFC_AND_NFD = tuple(
    '{"payment_id": "nf-1", "order_id": "ord-1", "customer_id": "cust-1", "amount": 25.99, '
    f'"payment_method": "credit_card", "customer_name": "{name}"}}'
    for name in ("Jos\u00e9 M\u00fcller", "Jose\u0301 Mu\u0308ller")
)
OTHER_SPELLINGS = tuple(
    f'{{"payment_id": "{name}", "order_id": "ord-1", "customer_id": "cust-1", "amount": {amount}, '
    f'"payment_method": "credit_card"{more}}}'
    for name, amount, more in (
        ("trailing-zero", "25.990", ""),
        ("exponent", "2599e-2", ""),
        ("lower-usd", "25.99", ', "currency": "usd"'),
    )
)

FAULTY = body(order_id=None)


def send(world: World, text: str, message_id: str = "m-1", rules: Rules | None = None) -> str:
    rules = rules or world.rules
    reading = read([message(text, message_id)], rules, world.ports, lambda: 30_000)[0]
    return settle(reading, rules, world.ports, work(f"req-{next(_DELIVERIES)}:{message_id}"))


@pytest.mark.parametrize("version", [1, 2])
def test_a_corrected_message_is_charged_under_the_id_of_the_rejected_one(version):
    world = World(rules=Rules(canonical_version=version))
    ends = [send(world, text, f"m-{number}") for number, text in enumerate(REJECTED_THEN_CORRECTED)]
    assert ends == ["rejected", "completed"]
    assert list(world.gateway.captures.values()) == [2599]
    assert list(world.dynamodb.items) == ["txn-fix-1"]


@pytest.mark.parametrize(("version", "second"), [(1, "conflict"), (2, "duplicate")])
def test_one_name_in_two_normal_forms_is_one_payment_from_version_2_on(version, second):
    world = World(rules=Rules(canonical_version=version))
    assert [send(world, text, f"m-{number}") for number, text in enumerate(NFC_AND_NFD)] == ["completed", second]
    assert list(world.gateway.captures.values()) == [2599]


@pytest.mark.parametrize("text", OTHER_SPELLINGS)
def test_exact_amounts_and_currencies_in_other_spellings_are_charged_from_version_2_on(text):
    world = World(rules=Rules(canonical_version=2))
    assert send(world, text) == "completed"
    item = world.item(f"txn-{json.loads(text)['payment_id']}")
    assert (item["amount_minor"], item["currency"]) == (2599, "USD")
    # Version 1 is frozen and refuses them; what it rejected is charged once 2 is written and it is sent again.
    world = World()
    assert send(world, text) == "rejected"
    assert send(world, text, "m-2", Rules(canonical_version=2)) == "completed"


def test_the_item_becomes_the_corrections_and_keeps_whom_it_followed():
    world = World()
    send(world, FAULTY)
    rejected = world.item()
    world.clock.ms += 60_000
    assert send(world, body(), "m-2") == "completed"
    item = world.item()
    assert not {"faults", "reason_code", "open_shard", "lease_until"} & item.keys()
    assert (item["attempt"], item["message_id"], item["created_at"]) == (2, "m-2", rejected["created_at"] + 60_000)
    assert item["superseded"] == [
        {"message_id": "m-1", "request_hash": rejected["request_hash"], "canonical_version": 1}
    ]


def test_a_corrections_tries_are_timed_from_its_own_claim(monkeypatch):
    world = World()
    send(world, FAULTY)
    ticks = count(world.clock.ms, 1000)
    monkeypatch.setattr(world.clock, "now_ms", lambda: next(ticks))
    world.gateway.scripts["prepare"] = [GatewayUnavailableError("down")]
    with pytest.raises(GatewayUnavailableError):
        send(world, body(), "m-2")
    item = world.item()
    assert item["first_tried_at"] == item["created_at"]


@pytest.mark.parametrize(
    ("amount", "end"), [(9999.99, "pending_approval"), (5000.00, "declined")], ids=["a person", "a rule"]
)
def test_a_corrections_score_decides_as_of_every_claim(amount, end):
    world = World(scoring=AmountScoring(decline_from=500_000 if end == "declined" else 10**9))
    send(world, FAULTY)
    assert send(world, body(amount=amount), "m-2") == end
    assert len(world.approvals.started) == (end == "pending_approval")
    assert (world.item()["status"], world.gateway.calls) == (end, [])
    assert ("request" in world.item()) == (end == "pending_approval")


def test_a_delivery_of_the_rejected_message_is_a_duplicate_before_and_after_its_correction():
    world = World()
    text = body(amount=500.01)
    narrow = Rules(limits=Limits(amount_max_minor=50_000))
    assert send(world, text, rules=narrow) == "rejected"
    assert send(world, text) == "duplicate"
    assert send(world, body(), "m-2") == "completed"
    assert send(world, text) == "duplicate"
    assert send(world, text, rules=narrow) == "duplicate"
    assert (list(world.gateway.captures.values()), len(world.dynamodb.items)) == ([2599], 1)


@pytest.mark.parametrize("version", [1, 2])
def test_what_counts_is_that_a_message_is_valid_now_and_not_its_hash(version):
    """In version 2 a rejected message's text does not change with the limits: both have one hash."""
    world = World()
    text = body(amount=500.01)
    limits = Limits(amount_max_minor=50_000)
    assert send(world, text, rules=Rules(limits=limits, canonical_version=version)) == "rejected"
    assert send(world, text, "m-2", Rules(canonical_version=version)) == "completed"
    assert list(world.gateway.captures.values()) == [50_001]


def test_verification_data_that_is_left_out_is_a_correction_though_no_text_has_it():
    world = World(rules=Rules(canonical_version=2))
    assert send(world, body(cvv="123", currency="USD")) == "rejected"
    assert send(world, body(currency="USD"), "m-2") == "completed"
    # The same content again, under another id, and a delivery of the first: nothing is left behind by them.
    assert send(world, body(cvv="123", currency="USD"), "m-3") == "duplicate"
    assert send(world, body(cvv="123", currency="USD")) == "duplicate"
    assert len(world.dynamodb.items) == 1


def test_a_correction_with_faults_of_its_own_shows_them_and_may_be_corrected():
    world = World()
    send(world, FAULTY)
    assert send(world, body(amount=-1), "m-2") == "rejected"
    assert world.item()["faults"] == [{"field": "amount", "reason_code": "negative_amount"}]
    assert send(world, FAULTY, "m-3") == "duplicate"
    assert send(world, body(amount=-1), "m-4") == "duplicate"
    assert send(world, body(), "m-5") == "completed"
    assert [row["message_id"] for row in world.item()["superseded"]] == ["m-1", "m-2"]
    assert send(world, body(amount=-1), "m-6") == "duplicate"
    assert len(world.dynamodb.items) == 1


def test_after_ten_corrections_what_comes_is_a_conflict():
    world = World()
    for number in range(CORRECTIONS_MAX + 1):
        assert send(world, body(amount=-1 - number), f"m-{number}") == "rejected"
    assert send(world, body(amount=-100), "m-100") == "conflict"
    assert send(world, body(), "m-101") == "conflict"
    assert (len(world.item()["superseded"]), world.gateway.calls) == (10, [])
    assert send(world, body(amount=-5), "m-4") == "duplicate"


def test_another_payment_than_the_correction_is_a_conflict_also_where_it_was_rejected_before():
    """It is a payment by now: dropping it as a duplicate of what was rejected would leave no trace of it."""
    world = World()
    narrow = Rules(limits=Limits(amount_max_minor=50_000))
    assert send(world, body(amount=500.01), rules=narrow) == "rejected"
    assert send(world, body(), "m-2", narrow) == "completed"
    assert send(world, body(amount=500.01), "m-3", narrow) == "duplicate"
    assert send(world, body(amount=500.01), "m-4") == "conflict"


def test_a_correction_that_limits_refuse_by_now_is_taken_over_and_charged():
    """It has the content of the message that it followed: it must not count as that one's duplicate."""
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")]))
    narrow = Rules(limits=Limits(amount_max_minor=50_000), canonical_version=2)
    assert send(world, body(amount=500.01), rules=narrow) == "rejected"
    with pytest.raises(GatewayUnavailableError):
        send(world, body(amount=500.01), "m-2", Rules(canonical_version=2))
    assert send(world, body(amount=500.01), "m-2", narrow) == "completed"
    assert list(world.gateway.captures.values()) == [50_001]


class Racing:
    """A log in which another message is corrected between the refused claim and *claim corrected*."""

    def __init__(self, world: World, meanwhile: Any) -> None:
        self._log, self._meanwhile = world.ports.log, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        if name == "claim_corrected" and self._meanwhile:
            self._meanwhile.pop()()
        return getattr(self._log, name)


@pytest.mark.parametrize(("other", "end"), [({}, "duplicate"), ({"amount": 1}, "conflict")])
def test_of_two_corrections_at_once_one_wins(other, end):
    world = World()
    send(world, FAULTY)
    log = Racing(world, lambda: send(world, body(**other), "m-3"))
    reading = read([message(body(), "m-2")], world.rules, world.ports, lambda: 30_000)[0]
    assert settle(reading, world.rules, world.ports._replace(log=log), work("req:m-2")) == end
    assert world.item()["message_id"] == "m-3"
    assert list(world.gateway.captures.values()) == [100 if other else 2599]


def test_a_correction_whose_answer_was_lost_knows_that_it_is_its_own():
    world = World()
    send(world, FAULTY)
    log = world.ports.log

    class Twice:
        def __getattr__(self, name: str) -> Any:
            def twice(*positional: Any, **named: Any) -> Any:
                log.claim_corrected(*positional, **named)
                return log.claim_corrected(*positional, **named)

            return twice if name == "claim_corrected" else getattr(log, name)

    reading = read([message(body(), "m-2")], world.rules, world.ports, lambda: 30_000)[0]
    assert settle(reading, world.rules, world.ports._replace(log=Twice()), work("req:m-2")) == "completed"
    assert world.item()["attempt"] == 2


def test_a_persons_no_is_never_followed():
    world = World()
    assert send(world, body(amount=9999.99)) == "pending_approval"
    world.change(status="rejected", reason_code="approval_rejected", processed_at="2024-01-01T12:00:00Z")
    assert send(world, body(amount=9999.99), "m-2") == "duplicate"
    assert send(world, body(), "m-3") == "conflict"
    assert (world.item()["message_id"], world.gateway.calls) == ("m-1", [])


def test_an_execution_that_is_invoked_directly_may_bring_the_corrected_payment():
    """In the version that is written, whatever the rejected message was in."""
    world = ApprovalWorld(rules=Rules(canonical_version=2))
    send(world, FAULTY, rules=Rules())
    assert world.item()["canonical_version"] == 1
    with running(world.workflow) as runner:
        arn = runner.start(body(amount=9999.99))
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "completed"
    item = world.item(KEY)
    assert (item["canonical_version"], len(item["superseded"])) == (2, 1)
    assert list(world.gateway.captures.values()) == [999_999]


def test_what_one_execution_was_rejected_for_another_may_correct():
    world = ApprovalWorld()
    with running(world.workflow) as runner:
        assert status(runner.result(runner.start(FAULTY))) == "rejected"
        assert status(runner.result(runner.start(body()))) == "completed"
    assert list(world.gateway.captures.values()) == [2599]
