"""What every payment gateway adapter keeps, checked over real HTTP against the simulator, in each one's own dialect.

- A reference announces a payment and moves nothing; one key, one reference; one reference, at most one capture.
- A charge that may have taken effect is an unknown outcome, and `status` by reference settles it.
- A refusal before any effect is "unavailable"; an answer that is not whole and about this payment is never a result.
- A whole failure spends its key and says so; after any other failure the same key may go again.
- A cancelled reference captures nothing, and neither does a confirm that arrives after any end.
- A list of what came after a capture is the whole one, whoever did it, or no answer.
- No call is repeated behind the caller's back, but for one whose API key was refused and is another by now.

The simulated gateway, inside the process, approves everything and fails at nothing: it keeps what needs no fault.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from handler.adapters.gateways.registry import GATEWAYS, HAVE_KEYS
from handler.adapters.gateways.simulated import SimulatedGateway
from handler.adapters.table.expressions import to_attributes
from handler.domain.claim import held
from handler.domain.errors import (
    ConfigurationError,
    GatewayAnswerError,
    GatewayKeyRefusedError,
    GatewayRefusedError,
    GatewayUnavailableError,
    RetryableError,
    UnknownOutcomeError,
)
from handler.domain.payment import Dispute, GatewayResult, Refund
from handler.domain.process import pay
from local.gateway.payments import API_KEY
from tests.support import payments
from tests.support.gateway_worlds import ADAPTERS, LONG, PAYMENT, SHORT, Adapter, World, until

PREPARE, KEY = "dev:pay-1:0123456789abcdef:prepare:0", "dev:pay-1:0123456789abcdef:confirm:0"
READS = ("status", "refunds", "disputes")
# Those that come after the capture.
LATER = ("refund", "refunds", "disputes")
CALLS = ("prepare", "charge", "cancel", "refund", *READS)


class Inside:
    """The gateway inside the process, asked as the others are."""

    def __init__(self) -> None:
        self._gateway = SimulatedGateway()

    def adapter(self) -> SimulatedGateway:
        return self._gateway

    def captures(self) -> list[tuple[str, int, str]]:
        return [("pay-1", amount, "usd") for amount in self._gateway.captures.values()]


def same(result: GatewayResult) -> GatewayResult:
    """A result without the name of the one request that it answered."""
    return result._replace(request_id="")


def calls(gateway: Adapter, ref: str) -> dict[str, Callable[[], object]]:
    """Every call of the port by its name in the simulator."""
    return {
        "prepare": lambda: gateway.prepare(PAYMENT, PREPARE),
        "charge": lambda: gateway.charge(ref, KEY),
        "status": lambda: gateway.status(ref),
        "cancel": lambda: gateway.cancel(ref),
        "refund": lambda: gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1"),
        "refunds": lambda: gateway.refunds(ref),
        "disputes": lambda: gateway.disputes(ref),
    }


@pytest.fixture(params=ADAPTERS)
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(tmp_path / "gateway.sqlite", request.param)
    yield world
    world.close()


@pytest.fixture(params=[name for name in ADAPTERS if name in HAVE_KEYS])
def keyed_world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Of a gateway that has an API key."""
    world = World(tmp_path / "gateway.sqlite", request.param)
    yield world
    world.close()


@pytest.fixture(params=[*ADAPTERS, "simulated"])
def any_world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World | Inside]:
    """For what needs no fault."""
    if request.param == "simulated":
        yield Inside()
        return
    world = World(tmp_path / "gateway.sqlite", request.param)
    yield world
    world.close()


def ready(world: World, call: str) -> tuple[Adapter, str]:
    """An adapter and a reference for this call: prepared under another key, and charged where it is for later ones.

    What is to be listed is there, made in the dashboard.
    """
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, "dev:earlier")
    if call in LATER:
        gateway.charge(ref, KEY)
    if call in ("refunds", "disputes"):
        world.in_dashboard(call, amount=100)
    return gateway, ref


def test_every_gateway_of_the_registry_is_held_to_the_port() -> None:
    assert {*ADAPTERS, "simulated"} >= set(GATEWAYS)


def test_a_payment_is_prepared_charged_and_read(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    assert gateway.status(ref).state == "prepared"
    assert world.captures() == []
    charged = gateway.charge(ref, KEY)
    assert (charged.state, charged.amount_minor, charged.currency) == ("approved", 2599, "USD")
    assert charged.authorization_code.startswith("AUTH")
    assert charged.timestamp == "2023-11-14T22:13:20Z"
    assert same(gateway.status(ref)) == same(charged)
    assert world.captures() == [("pay-1", 2599, "usd")]


def test_the_same_key_gives_the_same_reference_and_one_capture(any_world: World | Inside) -> None:
    gateway = any_world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    assert gateway.prepare(PAYMENT, PREPARE) == ref
    assert any_world.captures() == []
    charged = gateway.charge(ref, KEY)
    assert (charged.state, charged.amount_minor, charged.currency) == ("approved", 2599, "USD")
    assert charged.authorization_code
    assert charged.timestamp
    assert same(gateway.charge(ref, KEY)) == same(charged)
    assert any_world.captures() == [("pay-1", 2599, "usd")]
    assert gateway.cancel(ref).state == "approved"


def test_a_declined_charge_is_a_result_and_stays_declined(world: World) -> None:
    gateway = world.adapter()
    world.fault("charge", "decline")
    ref = gateway.prepare(PAYMENT, PREPARE)
    declined = gateway.charge(ref, KEY)
    assert declined[:4] == ("declined", 2599, "USD", "")
    assert declined.decline_code == "insufficient_funds"
    assert same(gateway.charge(ref, KEY)) == same(declined)
    assert same(gateway.status(ref)) == same(declined)
    assert world.captures() == []


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "error_500_after", "error_502_after"])
def test_a_charge_that_took_effect_unseen_is_unknown_and_status_finds_it(world: World, fault: str) -> None:
    gateway = world.adapter()
    world.fault("charge", fault)
    ref = gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(UnknownOutcomeError), world.struck(gateway, fault):
        gateway.charge(ref, KEY)
    until(world.captures)
    assert gateway.status(ref).state == "approved"
    assert len(world.captures()) == 1


@pytest.mark.parametrize("fault", ["timeout_before", "reset_before", "error_503"])
def test_a_charge_that_took_no_effect_unseen_is_unknown_and_may_be_charged_again(world: World, fault: str) -> None:
    gateway = world.adapter()
    world.fault("charge", fault)
    ref = gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(UnknownOutcomeError), world.struck(gateway, fault):
        gateway.charge(ref, KEY)
    assert gateway.status(ref).state == "prepared"
    assert gateway.charge(ref, KEY).state == "approved"
    assert len(world.captures()) == 1


@pytest.mark.parametrize("call", ["prepare", "charge"])
@pytest.mark.parametrize("fault", ["error_500_before", "error_500_after"])
def test_a_stored_failure_does_not_kill_a_payment(world: World, call: str, fault: str) -> None:
    """Through the protocol, delivery after delivery, on the very day."""
    gateway = world.adapter()
    world.fault(call, fault)
    handler = payments.World(gateway=gateway)  # type: ignore[arg-type]
    stored = {"transaction_id": "txn-pay-1", "payment_id": "pay-1", "first_tried_at": handler.clock.ms}
    handler.dynamodb.items["txn-pay-1"] = to_attributes(payments.whole_item(stored))
    ended = ""
    while not ended:
        item = handler.stored("txn-pay-1")
        with suppress(RetryableError):
            ended = pay(held(item, item.owner, item.attempt), PAYMENT, handler.rules, handler.ports, payments.work())
    assert ended == "completed"
    assert world.captures() == [("pay-1", 2599, "usd")]
    assert world.calls().count("prepare") == (2 if call == "prepare" else 1)
    keys = [row["idempotency_key"] for row in world.gateway.log()["requests"] if row["call"] == call]
    again = call == "prepare" or fault == "error_500_before"
    assert keys == [f"dev:pay-1:{'0' * 16}:{'confirm' if call == 'charge' else call}:{n}" for n in range(1 + again)]


@pytest.mark.parametrize("call", ["prepare", "charge", "refund"])
@pytest.mark.parametrize(
    ("fault", "spends_key"),
    [
        *(("error_500_before", True), ("error_500_after", True), ("error_503", True), ("error_502_after", True)),
        *(("error_429", False), ("timeout_after", False), ("reset_before", False)),
    ],
)
def test_a_failure_says_whether_its_key_is_spent(world: World, call: str, fault: str, spends_key: bool) -> None:
    gateway, ref = ready(world, call)
    world.fault(call, fault)
    with pytest.raises((GatewayUnavailableError, UnknownOutcomeError)) as caught, world.struck(gateway, fault):
        calls(gateway, ref)[call]()
    assert caught.value.spends_key == spends_key


def test_a_key_that_was_used_with_another_body_or_before_a_settled_reference_is_spent(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(GatewayUnavailableError, match="400 idempotency_error") as other_body:
        gateway.prepare(PAYMENT._replace(amount_minor=9999), PREPARE)
    with pytest.raises(UnknownOutcomeError, match="400 idempotency_error") as other_call:
        gateway.charge(ref, PREPARE)
    gateway.charge(ref, KEY)
    with pytest.raises(UnknownOutcomeError, match="payment_intent_unexpected_state") as settled:
        gateway.charge(ref, "dev:pay-1:1")
    assert [caught.value.spends_key for caught in (other_body, other_call, settled)] == [True] * 3


def test_a_charge_in_flight_does_not_spend_its_key(world: World) -> None:
    gateway, other = world.adapter(), world.adapter()
    world.fault("charge", "delay", seconds=LONG)
    ref = gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(UnknownOutcomeError) as unanswered, world.struck(gateway, "delay"):
        gateway.charge(ref, KEY)
    until(lambda: gateway.status(ref).state == "in_progress")
    with pytest.raises(UnknownOutcomeError, match="409") as same_key:
        other.charge(ref, KEY)
    with pytest.raises(UnknownOutcomeError, match="409") as other_key:
        other.charge(ref, "dev:pay-1:1")
    assert [caught.value.spends_key for caught in (unanswered, same_key, other_key)] == [False] * 3
    world.gateway.release()


def test_a_late_charge_under_a_key_that_was_given_up_captures_nothing(world: World) -> None:
    gateway = world.adapter()
    world.fault("charge", "error_500_before")
    ref = gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(UnknownOutcomeError):
        gateway.charge(ref, KEY)
    assert gateway.charge(ref, "dev:pay-1:1").state == "approved"
    with pytest.raises(UnknownOutcomeError, match="500"):
        gateway.charge(ref, KEY)
    assert len(world.captures()) == 1


def test_a_stored_500_is_replayed_until_its_key_expires_and_then_the_reference_is_charged_once(world: World) -> None:
    gateway = world.adapter()
    world.fault("charge", "error_500_before")
    ref = gateway.prepare(PAYMENT, PREPARE)
    for _ in range(2):
        with pytest.raises(UnknownOutcomeError):
            gateway.charge(ref, KEY)
        assert gateway.status(ref).state == "prepared"
    world.now_ms += 86_400_000
    assert gateway.charge(ref, KEY).state == "approved"
    assert len(world.captures()) == 1


def test_a_reference_charged_before_its_key_expired_is_not_charged_again(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.charge(ref, KEY)
    world.now_ms += 86_400_000
    with pytest.raises(UnknownOutcomeError, match="payment_intent_unexpected_state"):
        gateway.charge(ref, KEY)
    assert gateway.status(ref).state == "approved"
    assert len(world.captures()) == 1


def test_a_charge_in_flight_is_in_progress_for_everybody_else(world: World) -> None:
    gateway = world.adapter()
    world.fault("charge", "delay", seconds=LONG)
    ref = gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(UnknownOutcomeError, match="no answer"), world.struck(gateway, "delay"):
        gateway.charge(ref, KEY)
    until(lambda: gateway.status(ref).state == "in_progress")
    with pytest.raises(UnknownOutcomeError, match="409"):
        gateway.charge(ref, KEY)
    world.gateway.release()
    # The key answers as soon as the first request is through; until then it says 409.
    until(lambda: gateway.status(ref).state != "in_progress")
    assert gateway.charge(ref, KEY).state == "approved"
    assert len(world.captures()) == 1


@pytest.mark.parametrize("fault", ["error_503", "error_500_after", "timeout_before", "timeout_after", "reset_after"])
def test_a_failed_prepare_moved_no_money_and_is_unavailable(world: World, fault: str) -> None:
    gateway = world.adapter()
    gateway.prepare(PAYMENT, "dev:earlier")
    world.fault("prepare", fault)
    with pytest.raises(GatewayUnavailableError), world.struck(gateway, fault):
        gateway.prepare(PAYMENT, PREPARE)
    assert world.captures() == []


@pytest.mark.parametrize("fault", ["error_503", "timeout_before", "reset_before"])
@pytest.mark.parametrize("read", ["status", "payment_id_of"])
def test_a_failed_read_of_a_reference_is_unavailable(world: World, read: str, fault: str) -> None:
    gateway = world.adapter()
    world.fault("status", fault)
    ref = gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(GatewayUnavailableError, match=ref), world.struck(gateway, fault):
        getattr(gateway, read)(ref)


@pytest.mark.parametrize("fault", ["not_json", "truncated"])
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_is_not_whole_json_is_no_result(world: World, call: str, fault: str) -> None:
    gateway, ref = ready(world, call)
    world.fault(call, fault)
    ask = calls(gateway, ref)[call]
    with pytest.raises(GatewayAnswerError):
        ask()
    # The damaged answer's connection is not used again, and its effect stands.
    assert ask()
    assert len(world.captures()) == (call in ("charge", *LATER))
    assert len(world.refunds()) == (call in ("refund", "refunds"))


@pytest.mark.parametrize(("fault", "shown"), [("wrong_amount", (2600, "USD")), ("wrong_currency", (2599, "XTS"))])
def test_an_answer_over_another_amount_or_currency_shows_it(world: World, fault: str, shown: tuple[int, str]) -> None:
    gateway = world.adapter()
    world.fault("prepare", fault)
    with pytest.raises(GatewayAnswerError, match=f"{shown[0]} {shown[1]}"):
        gateway.prepare(PAYMENT, PREPARE)
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.fault("charge", fault)
    charged = gateway.charge(ref, KEY)
    # The domain compares a result with its payment, so the adapter must hand on what it was told.
    assert (charged.amount_minor, charged.currency) == shown
    for call in ("status", "cancel"):
        world.fault(call, fault)
    assert [gateway.status(ref)[1:3], gateway.cancel(ref)[1:3]] == [shown] * 2
    world.fault("refund", fault)
    with pytest.raises(GatewayAnswerError, match=str(shown[0])):
        gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1")


def test_other_content_under_the_same_key_is_refused(world: World) -> None:
    gateway = world.adapter()
    gateway.prepare(PAYMENT, PREPARE)
    with pytest.raises(GatewayUnavailableError, match="400 idempotency_error"):
        gateway.prepare(PAYMENT._replace(amount_minor=9999), PREPARE)


@pytest.mark.parametrize("call", CALLS)
def test_a_gateway_that_takes_no_more_requests_is_unavailable_and_did_nothing(world: World, call: str) -> None:
    gateway, ref = ready(world, call)
    before = gateway.status(ref).state, world.captures(), world.refunds()
    world.fault(call, "error_429")
    with pytest.raises(GatewayUnavailableError, match="429") as caught:
        calls(gateway, ref)[call]()
    assert not caught.value.is_own_failure
    assert (gateway.status(ref).state, world.captures(), world.refunds()) == before


@pytest.mark.parametrize("call", CALLS)
def test_a_state_that_nobody_knows_is_never_guessed(world: World, call: str) -> None:
    gateway, ref = ready(world, call)
    world.fault(call, "unknown_state")
    with pytest.raises(GatewayAnswerError):
        calls(gateway, ref)[call]()


@pytest.mark.parametrize("call", CALLS)
def test_an_api_key_that_was_changed_is_read_again_and_the_call_goes_on(keyed_world: World, call: str) -> None:
    gateway, ref = ready(keyed_world, call)
    began = keyed_world.calls()
    keyed_world.api_key = "sk_test_the_next_one"
    keyed_world.gateway.api_keys = {keyed_world.api_key: "test"}
    assert calls(gateway, ref)[call]()
    assert keyed_world.calls() == [*began, call]


@pytest.mark.parametrize("call", CALLS)
def test_an_api_key_that_is_refused_and_was_not_changed_began_nothing(keyed_world: World, call: str) -> None:
    gateway, ref = ready(keyed_world, call)
    began = keyed_world.calls()
    keyed_world.gateway.api_keys = {"sk_test_the_next_one": "test"}
    for _ in range(2):
        with pytest.raises(GatewayKeyRefusedError) as caught:
            calls(gateway, ref)[call]()
        assert not caught.value.is_own_failure
        assert not caught.value.spends_key
    assert keyed_world.calls() == began
    keyed_world.api_key = "sk_test_the_next_one"
    assert calls(gateway, ref)[call]()


def test_a_customer_who_had_to_be_asked_is_a_decline_that_says_so(world: World) -> None:
    gateway = world.adapter()
    world.fault("charge", "authentication_required")
    ref = gateway.prepare(PAYMENT, PREPARE)
    declined = gateway.charge(ref, KEY)
    assert (declined.state, declined.decline_code) == ("declined", "authentication_required")
    assert world.captures() == []


def test_a_charge_that_takes_days_is_in_progress_until_it_is_approved(world: World) -> None:
    gateway = world.adapter()
    world.fault("charge", "pending")
    ref = gateway.prepare(PAYMENT, PREPARE)
    assert gateway.charge(ref, KEY).state == "in_progress"
    assert gateway.status(ref).state == "in_progress"
    assert world.captures() == []
    world.gateway.release()
    assert gateway.status(ref).state == "approved"
    assert len(world.captures()) == 1


def test_a_stored_500_of_a_prepare_is_replayed_and_another_key_prepares(world: World) -> None:
    gateway = world.adapter()
    world.fault("prepare", "error_500_before")
    for _ in range(2):
        with pytest.raises(GatewayUnavailableError, match="500"):
            gateway.prepare(PAYMENT, PREPARE)
    assert gateway.prepare(PAYMENT, "dev:pay-1:1")


@pytest.mark.parametrize("end", ["approved", "declined", "cancelled"])
def test_a_confirm_that_arrives_after_the_end_captures_nothing(world: World, end: str) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    if end == "cancelled":
        assert gateway.cancel(ref).state == end
    else:
        world.fault("charge", "decline" if end == "declined" else "error_500_after")
        with suppress(UnknownOutcomeError):
            gateway.charge(ref, KEY)
    captures = world.captures()
    with pytest.raises(UnknownOutcomeError, match="payment_intent_unexpected_state"):
        gateway.charge(ref, "dev:pay-1:1")
    assert gateway.status(ref).state == end
    assert world.captures() == captures


def test_a_cancelled_reference_stays_cancelled_whatever_comes_after(any_world: World | Inside) -> None:
    gateway = any_world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    cancelled = gateway.cancel(ref)
    assert cancelled[:3] == ("cancelled", 2599, "USD")
    assert same(gateway.cancel(ref)) == same(cancelled)
    with pytest.raises(UnknownOutcomeError):
        gateway.charge(ref, KEY)
    assert gateway.status(ref).state == "cancelled"
    assert any_world.captures() == []


def test_a_declined_reference_can_be_cancelled(world: World) -> None:
    gateway = world.adapter()
    world.fault("charge", "decline")
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.charge(ref, KEY)
    assert gateway.cancel(ref).state == "cancelled"


@pytest.mark.parametrize(("fault", "state"), [("", "approved"), ("pending", "in_progress")])
def test_what_can_no_longer_be_cancelled_says_what_stands(world: World, fault: str, state: str) -> None:
    gateway = world.adapter()
    if fault:
        world.fault("charge", fault)
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.charge(ref, KEY)
    assert gateway.cancel(ref).state == state
    assert gateway.status(ref).state == state


def test_a_cancel_during_a_charge_is_refused_and_the_charge_stands(world: World) -> None:
    charging, cancelling = world.adapter(), world.adapter()
    ref = charging.prepare(PAYMENT, PREPARE)
    world.fault("charge", "delay", seconds=LONG)
    charge = threading.Thread(target=lambda: charging.charge(ref, KEY))
    charge.start()
    until(lambda: cancelling.status(ref).state == "in_progress")
    with pytest.raises(GatewayUnavailableError, match="lock_timeout"):
        cancelling.cancel(ref)
    world.gateway.release()
    charge.join()
    assert cancelling.cancel(ref).state == "approved"
    assert len(world.captures()) == 1


def test_of_a_cancel_and_a_charge_at_once_one_stands(world: World) -> None:
    charging, cancelling = world.adapter(), world.adapter()
    for number in range(10):
        payment = PAYMENT._replace(payment_id=f"race-{number}")
        ref = charging.prepare(payment, f"dev:race-{number}:prepare")
        together = threading.Barrier(2)
        said: dict[str, str] = {}

        def ask(call: str, gateway: Adapter, ref: str = ref, together: Any = together, said: Any = said) -> None:
            together.wait()
            with suppress(RetryableError):
                said[call] = (gateway.charge(ref, f"{ref}:confirm") if call == "charge" else gateway.cancel(ref)).state

        threads = [threading.Thread(target=ask, args=each) for each in (("charge", charging), ("cancel", cancelling))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stands = charging.status(ref).state
        captured = [capture for capture in world.captures() if capture[0] == payment.payment_id]
        assert (stands, len(captured)) in (("approved", 1), ("cancelled", 0))
        assert set(said.values()) == {stands}


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "error_500_after", "error_502_after"])
def test_a_cancel_that_took_effect_unseen_is_unknown_and_status_finds_it(world: World, fault: str) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.fault("cancel", fault)
    with pytest.raises(UnknownOutcomeError), world.struck(gateway, fault):
        gateway.cancel(ref)
    until(lambda: gateway.status(ref).state == "cancelled")


def test_a_cancel_that_failed_is_repeated_and_no_stored_failure_holds_it(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.fault("cancel", "error_500_before")
    with pytest.raises(RetryableError, match="500"):
        gateway.cancel(ref)
    assert gateway.status(ref).state == "prepared"
    assert gateway.cancel(ref).state == "cancelled"


def test_a_refund_under_one_key_is_one_refund_and_no_more_comes_back_than_was_captured(
    any_world: World | Inside,
) -> None:
    gateway = any_world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.charge(ref, KEY)
    refund = gateway.refund(ref, 2000, "USD", "ref-1", "dev:ref-1")
    assert (refund.state, refund.amount_minor, refund.currency) == ("refunded", 2000, "USD")
    assert gateway.refund(ref, 2000, "USD", "ref-1", "dev:ref-1") == refund
    with pytest.raises(GatewayUnavailableError):
        gateway.refund(ref, 600, "USD", "ref-2", "dev:ref-2")
    assert gateway.refund(ref, 599, "USD", "ref-3", "dev:ref-3").refund_ref != refund.refund_ref


def test_nothing_is_given_back_before_it_was_captured(world: World) -> None:
    gateway, ref = ready(world, "charge")
    with pytest.raises(RetryableError):
        gateway.refund(ref, 1, "USD", "ref-0", "dev:ref-0")


def test_other_content_under_a_refunds_key_is_refused(world: World) -> None:
    gateway, ref = ready(world, "refund")
    gateway.refund(ref, 1000, "USD", "ref-1", "dev:ref-1")
    with pytest.raises(GatewayUnavailableError, match="400 idempotency_error"):
        gateway.refund(ref, 1001, "USD", "ref-1", "dev:ref-1")
    assert world.refunds() == [1000]


def test_what_came_after_the_charge_is_listed_whoever_did_it_oldest_first(world: World) -> None:
    gateway, ref = ready(world, "refund")
    assert [*gateway.refunds(ref), *gateway.disputes(ref)] == []
    ours = gateway.refund(ref, 1000, "USD", "ref-1", "dev:ref-1")
    world.now_ms += 60_000
    theirs = world.in_dashboard("refunds", amount=500)
    dispute = world.in_dashboard("disputes", amount=700, reason="fraudulent")
    assert ours == Refund(ours.refund_ref, "ref-1", "refunded", 1000, "USD", 1_700_000_000_000)
    assert gateway.refunds(ref) == [ours, Refund(theirs, "", "refunded", 500, "USD", 1_700_000_060_000)]
    assert gateway.disputes(ref) == [Dispute(dispute, "open", 700, "USD", "fraudulent", 1_700_000_060_000)]


def test_status_says_what_was_given_back_and_that_somebody_disputed_it(world: World) -> None:
    gateway, ref = ready(world, "refund")
    charged = gateway.status(ref)
    assert (charged.refunded_minor, charged.disputed) == (0, False)
    gateway.refund(ref, 1000, "USD", "ref-1", "dev:ref-1")
    failed = world.in_dashboard("refunds", amount=500)
    assert gateway.status(ref).refunded_minor == 1500
    world.in_dashboard("refunds", refund=failed, status="failed")
    dispute = world.in_dashboard("disputes")
    world.in_dashboard("disputes", dispute=dispute, status="won")
    assert same(gateway.status(ref)) == same(charged)._replace(refunded_minor=1000, disputed=True)


@pytest.mark.parametrize(
    ("fault", "states"), [("pending", ("pending", "refunded")), ("fails_later", ("refunded", "failed"))]
)
def test_a_refund_may_take_its_time_and_may_come_back_from_the_bank(
    world: World, fault: str, states: tuple[str, str]
) -> None:
    gateway, ref = ready(world, "refund")
    world.fault("refund", fault, seconds=3600)
    made = gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1")
    assert [made.state, *(each.state for each in gateway.refunds(ref))] == [states[0]] * 2
    world.now_ms += 3_600_000
    # The key still gives the first answer: the list alone says what became of it.
    assert gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1") == made
    assert gateway.refunds(ref) == [made._replace(state=states[1])]
    assert gateway.status(ref).refunded_minor == (2599 if states[1] == "refunded" else 0)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *(("needs_response", "open"), ("under_review", "open"), ("warning_under_review", "open")),
        *(("won", "won"), ("warning_closed", "won"), ("prevented", "won"), ("lost", "lost")),
    ],
)
def test_a_dispute_says_how_it_stands(world: World, status: str, state: str) -> None:
    gateway, ref = ready(world, "refund")
    dispute = world.in_dashboard("disputes")
    world.in_dashboard("disputes", dispute=dispute, status=status)
    assert [each.state for each in gateway.disputes(ref)] == [state]


def test_a_disputed_payments_refund_is_refused_and_made_once_the_dispute_is_won(world: World) -> None:
    gateway, ref = ready(world, "refund")
    dispute = world.in_dashboard("disputes")
    with pytest.raises(GatewayRefusedError, match="charge_disputed"):
        gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1")
    world.in_dashboard("disputes", dispute=dispute, status="won")
    assert gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1").state == "refunded"


@pytest.mark.parametrize("kind", ["refunds", "disputes"])
def test_a_list_of_many_pages_is_read_to_its_end(world: World, kind: str) -> None:
    gateway, ref = ready(world, "refund")
    made = [world.in_dashboard(kind, amount=1) for _ in range(201)]
    assert [each[0] for each in calls(gateway, ref)[kind]()] == made  # type: ignore[attr-defined]
    assert world.calls()[-3:] == [kind] * 3


@pytest.mark.parametrize("kind", ["refunds", "disputes"])
def test_a_list_that_ends_early_is_no_answer(world: World, kind: str) -> None:
    gateway, ref = ready(world, kind)
    world.fault(kind, "ends_early")
    with pytest.raises(GatewayAnswerError, match="ends early"):
        calls(gateway, ref)[kind]()
    assert calls(gateway, ref)[kind]()


@pytest.mark.parametrize("kind", ["refunds", "disputes"])
def test_a_list_is_read_within_the_deadline_of_one_call(world: World, kind: str) -> None:
    gateway, ref = ready(world, "refund")
    for _ in range(101):
        world.in_dashboard(kind, amount=1)
    deadlines: list[float | None] = []
    call = gateway.connection.call

    def recorded(*given: Any) -> Any:
        deadlines.append(given[4])
        return call(*given)

    gateway.connection.call = recorded  # type: ignore[method-assign]
    calls(gateway, ref)[kind]()
    assert len(deadlines) == 2
    assert len(set(deadlines)) == 1


def test_what_the_gateway_inside_the_process_gave_back_is_listed() -> None:
    gateway = SimulatedGateway()
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.charge(ref, KEY)
    refund = gateway.refund(ref, 1000, "USD", "ref-1", "dev:ref-1")
    assert (gateway.refunds(ref), gateway.disputes(ref)) == ([refund], [])
    assert (refund.refund_id, gateway.status(ref).refunded_minor) == ("ref-1", 1000)
    for kind in ("refunds", "disputes"):
        with pytest.raises(GatewayAnswerError, match="pi_0"):
            getattr(gateway, kind)("pi_0")


def test_what_one_process_captured_any_other_gives_back_and_no_more_than_that() -> None:
    gateway = SimulatedGateway()
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.charge(ref, KEY)
    other = SimulatedGateway()
    assert other.refund(ref, 2599, "USD", "ref-1", "dev:ref-1").state == "refunded"
    with pytest.raises(GatewayRefusedError):
        other.refund(ref, 1, "USD", "ref-2", "dev:ref-2")
    gateway = SimulatedGateway()
    gateway.cancel(ref)
    with pytest.raises(GatewayRefusedError):
        gateway.refund(ref, 1, "USD", "ref-2", "dev:ref-2")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "fault",
    [
        *("timeout_before", "timeout_after", "reset_before", "reset_after"),
        *("error_500_before", "error_500_after", "error_502_after", "error_503"),
    ],
)
def test_whatever_is_unknown_after_a_call_its_effect_comes_once(world: World, call: str, fault: str) -> None:
    gateway, ref = ready(world, call)
    # A read takes no effect, so it has no stored failure: what it is told is a page of the gateway's.
    fault = fault.replace("error_500_before", "error_503").replace("_500_", "_502_") if call in READS else fault
    world.fault(call, fault)
    ask = calls(gateway, ref)[call]
    may_have_effect = call in ("charge", "cancel", "refund")
    with (
        pytest.raises(UnknownOutcomeError if may_have_effect else GatewayUnavailableError) as caught,
        world.struck(gateway, fault),
    ):
        ask()
    effects: dict[str, Callable[[], object]] = {
        "charge": world.captures,
        "cancel": lambda: gateway.status(ref).state == "cancelled",
        "refund": world.refunds,
    }
    if fault.endswith("_after") and may_have_effect:
        until(effects[call])
    if call == "charge":
        if gateway.status(ref).state == "prepared":
            assert gateway.charge(ref, f"{KEY}:next" if caught.value.spends_key else KEY).state == "approved"
        assert gateway.status(ref).state == "approved"
    elif call == "refund":
        # Under another key only where this one would be answered so again, and then the amount is the protection.
        with suppress(GatewayUnavailableError):
            gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1:next" if caught.value.spends_key else "dev:ref-1")
    elif call == "prepare":
        assert gateway.prepare(PAYMENT, f"{PREPARE}:next" if caught.value.spends_key else PREPARE)
    else:
        assert ask()
    assert len(world.captures()) == (call in ("charge", *LATER))
    assert len(world.refunds()) == (call in ("refund", "refunds"))


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "error_502_after"])
def test_a_refund_that_took_effect_unseen_is_unknown_and_its_key_gives_it_again(world: World, fault: str) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.charge(ref, KEY)
    world.fault("refund", fault)
    with pytest.raises(UnknownOutcomeError), world.struck(gateway, fault):
        gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1")
    until(lambda: world.gateway.log()["refunds"])
    assert gateway.refund(ref, 2599, "USD", "ref-1", "dev:ref-1").state == "refunded"
    assert len(world.gateway.log()["refunds"]) == 1


def test_no_call_is_repeated(world: World) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    # The one without an answer while the connection stands; the two last end it.
    for fault in ("error_503", "timeout_before", "reset_before", "truncated"):
        world.fault("charge", fault)
        with pytest.raises((UnknownOutcomeError, GatewayAnswerError)), world.struck(gateway, fault):
            gateway.charge(ref, KEY)
    assert world.calls() == ["prepare", *["charge"] * 4]


def test_calls_of_one_adapter_share_a_connection_until_the_gateway_ends_it(world: World) -> None:
    accepted: list[Any] = []
    process_request = world.server.process_request
    world.server.process_request = lambda request, address: (  # type: ignore[method-assign]
        accepted.append(request),
        process_request(request, address),
    )[1]
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    gateway.status(ref)
    gateway.status(ref)
    assert len(accepted) == 1
    accepted[0].shutdown(socket.SHUT_RDWR)
    assert gateway.status(ref).state == "prepared"
    assert len(accepted) == 2


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_gateway_that_is_not_there_is_unavailable_for_every_call(name: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gateway = ADAPTERS[name](f"http://127.0.0.1:{unused.getsockname()[1]}", LONG, lambda: API_KEY)
        for call in calls(gateway, "pi_0").values():
            with pytest.raises(GatewayUnavailableError, match="not reached"):
                call()


def test_an_address_that_is_silent_leaves_time_for_the_next_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent, socket.socket() as waiting, socket.socket() as more:
        # A full queue of connections that nobody accepts: the system answers no further one.
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for client in (waiting, more):
            client.setblocking(False)
            client.connect_ex(silent.getsockname())
        gateway = world.adapter()
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda *given, **named: real(*silent.getsockname(), **named) + real(*given, **named)
        )
        gateway.connection.deadline_seconds = 4.0
        assert gateway.prepare(PAYMENT, PREPARE)


def test_a_payments_references_are_found_by_its_id_once_the_search_has_caught_up(world: World) -> None:
    gateway = world.adapter()
    refs = {gateway.prepare(PAYMENT, f"dev:{number}") for number in range(12)}
    gateway.charge(min(refs), KEY)
    assert gateway.find("pay-1") == []
    world.now_ms += 2000
    found = gateway.find("pay-1")
    assert (set(found), len(found)) == (refs, 12)
    assert gateway.find("pay-2") == []
    # The search knows no difference of case, and the port does.
    assert gateway.find("PAY-1") == []
    assert world.calls()[-3:] == ["search"] * 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        *((fault, GatewayUnavailableError) for fault in ("error_503", "error_429", "reset_before", "timeout_before")),
        *((fault, GatewayAnswerError) for fault in ("not_json", "truncated")),
    ],
)
def test_a_search_that_fails_is_no_answer_that_there_is_nothing(
    world: World, fault: str, error: type[Exception]
) -> None:
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    world.now_ms += 2000
    world.fault("search", fault)
    with pytest.raises(error), world.struck(gateway, fault):
        gateway.find("pay-1")
    assert gateway.find("pay-1") == [ref]


def test_more_references_than_a_page_holds_are_no_answer(world: World) -> None:
    gateway = world.adapter()
    for number in range(101):
        gateway.prepare(PAYMENT, f"dev:{number}")
    world.now_ms += 2000
    with pytest.raises(GatewayAnswerError, match="not all"):
        gateway.find("pay-1")


def test_the_gateway_inside_the_process_keeps_the_same_port() -> None:
    gateway = SimulatedGateway()
    ref = gateway.prepare(PAYMENT, PREPARE)
    assert gateway.prepare(PAYMENT, PREPARE) == ref
    assert gateway.status(ref).state == "prepared"
    charged = gateway.charge(ref, KEY)
    assert (charged.state, charged.amount_minor, charged.currency) == ("approved", 2599, "USD")
    assert SimulatedGateway().charge(ref, KEY) == charged
    with pytest.raises(GatewayAnswerError, match="pi_0"):
        gateway.charge("pi_0", KEY)


def ok(body: bytes, head: bytes = b"") -> bytes:
    """An answer of HTTP with this body."""
    return b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body


def request_of(accepted: socket.socket) -> bytes:
    """One whole request: closed upon what is unread, the connection would be reset."""
    head, received = b"", b""
    while not head or len(received) < int(
        re.findall(rb"\r\nContent-Length: (\d+)", head + b"\r\nContent-Length: 0")[0]
    ):
        if not (more := accepted.recv(65_536)):
            break
        received += more
        if not head and b"\r\n\r\n" in received:
            head, received = received.split(b"\r\n\r\n", 1)
    return received


class _RawServer:
    """Answers one request with given pieces of bytes, and then as long as the client listens with the last one."""

    def __init__(self, *pieces: bytes, forever: bool = False) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        # Ends the thread, and with it the test, where no client ever comes.
        self._listening.settimeout(LONG)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._answer, args=(pieces, forever))
        self._thread.start()

    def _answer(self, pieces: tuple[bytes, ...], forever: bool) -> None:
        accepted, _ = self._listening.accept()
        with accepted:
            accepted.settimeout(LONG)
            request_of(accepted)
            for piece in pieces:
                accepted.sendall(piece)
            # Trickles bytes, each well within any time-out of a single read.
            accepted.settimeout(0.05)
            while forever:
                try:
                    if not accepted.recv(1):
                        break
                except TimeoutError:
                    accepted.sendall(pieces[-1])
                except OSError:
                    break

    def close(self) -> None:
        self._thread.join()
        self._listening.close()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"id": "pi_0"', GatewayAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", GatewayAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", GatewayAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b" " * 99999, GatewayAnswerError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", GatewayAnswerError),
        (b"GATEWAY ON FIRE\r\n\r\n", GatewayAnswerError),
        (b"", UnknownOutcomeError),
        (b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 6\r\n\r\n<html>", UnknownOutcomeError),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}", GatewayUnavailableError),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", GatewayUnavailableError),
    ],
)
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_answer_to_a_charge_that_is_not_the_gateways_is_classified(
    name: str, answer: bytes, outcome: type[Exception]
) -> None:
    server = _RawServer(answer)
    with closing(server), closing(ADAPTERS[name](server.url, LONG, lambda: API_KEY)) as gateway, pytest.raises(outcome):
        gateway.charge("pi_0", KEY)


def charged(world: World) -> tuple[str, GatewayResult, bytes]:
    """A charged reference, how it stands, and the body in which the gateway says so."""
    gateway = world.adapter()
    ref = gateway.prepare(PAYMENT, PREPARE)
    return ref, gateway.charge(ref, KEY), json.dumps(world.gateway._object(ref)).encode()


def test_an_answer_on_a_connection_that_is_then_closed_is_read(world: World) -> None:
    ref, stands, body = charged(world)
    answer = ok(body, b"Connection: close\r\n")
    server = _RawServer(answer[: -len(body)], body)
    with closing(server), closing(world.made(server.url)) as gateway:
        assert same(gateway.charge(ref, KEY)) == same(stands)


def test_a_connection_with_an_unread_answer_on_it_is_not_used_again(world: World) -> None:
    ref, stands, body = charged(world)

    def serve() -> None:
        first, _ = listening.accept()
        second = None
        with first:
            request_of(first)
            # Ended in one write of the buffer's size, so that what is not read does not show on the socket.
            first.sendall(ok(b" " * 65_600))
            second, _ = listening.accept()
        with second:
            request_of(second)
            second.sendall(ok(body))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LONG)
        thread = threading.Thread(target=serve)
        thread.start()
        with closing(world.made(f"http://127.0.0.1:{listening.getsockname()[1]}")) as gateway:
            gateway.connection._peer._body_bytes_max = 65_536
            with pytest.raises(GatewayAnswerError, match="longer than"):
                gateway.status(ref)
            assert same(gateway.status(ref)) == same(stands)
        thread.join()


@pytest.mark.parametrize("name", ADAPTERS)
def test_bytes_that_trickle_in_do_not_outlast_the_deadline(name: str) -> None:
    server = _RawServer(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" ", forever=True)
    with closing(server), closing(ADAPTERS[name](server.url, LONG, lambda: API_KEY)) as gateway:
        gateway.connection.connect(LONG)
        gateway.connection.deadline_seconds = SHORT
        with pytest.raises(UnknownOutcomeError, match=f"within {SHORT} s"):
            gateway.charge("pi_0", KEY)


@pytest.mark.parametrize(
    "url",
    [
        *("", "gateway:80", "ftp://gateway", "http://", "http://host:99999", "http://host/v1", "http://host?a=b"),
        *("http://[", "https://user:swordfish@host", "https://:swordfish@host:99999", "https://swordfish@ho\u2100st"),
    ],
)
@pytest.mark.parametrize("name", ADAPTERS)
def test_a_wrong_gateway_url_is_named_at_init_without_its_user_information(name: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_URL") as caught:
        ADAPTERS[name](url, LONG, lambda: API_KEY)
    # A traceback prints what an error was raised in handling.
    assert "swordfish" not in "".join(traceback.format_exception(caught.value)[-1:])
    assert caught.value.__context__ is None
