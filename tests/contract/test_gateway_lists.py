"""What every payment gateway lists by time: all of ours that moved in a span, each once, or no answer at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
import stripe

from handler.adapters.gateways.deadline_connection import Answer
from handler.adapters.gateways.simulated import SimulatedGateway
from handler.adapters.gateways.stripe import StripeGateway
from handler.domain.errors import GatewayAnswerError, GatewayBusyError, GatewayUnavailableError
from handler.domain.payment import Kind, Movement
from local.gateway.payments import API_KEY
from local.gateway.server import LISTED
from tests.support.gateway_worlds import ADAPTERS, LONG, PAYMENT, World

KINDS: tuple[Kind, ...] = get_args(Kind)
LISTS = {"captured": "charges", "refunded": "refunds", "disputed": "disputes"}
BEGIN = 1_700_000_000_000
END = BEGIN + 3_600_000


@pytest.fixture(params=ADAPTERS)
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    with closing(World(tmp_path / "gateway.sqlite", request.param)) as world:
        yield world


def charged(world: World, name: str, gateway: StripeGateway | None = None, **changes: Any) -> str:
    adapter = gateway or world.adapter()
    ref = adapter.prepare(PAYMENT._replace(payment_id=name, **changes), f"dev:{name}:p")
    adapter.charge(ref, f"dev:{name}:c")
    return ref


def later(world: World, kind: str, name: str, **order: Any) -> str:
    """Whatever of a kind somebody made of a payment that captured; the name of what moved."""
    if kind == "captured":
        return charged(world, name)
    return str(world.gateway.in_dashboard(LISTS[kind], {"payment_id": name, "amount": 1, **order})["id"])


def test_all_that_moved_in_a_span_is_listed_with_the_payment_that_it_is_of(world: World) -> None:
    gateway = world.adapter()
    ref = charged(world, "pay-1")
    ours = gateway.refund(ref, 1000, "USD", "ref-1", "dev:ref-1")
    world.now_ms += 60_000
    theirs = later(world, "refunded", "pay-1", amount=500, status="pending")
    failed = later(world, "refunded", "pay-1", amount=5, status="failed")
    dispute = later(world, "disputed", "pay-1", amount=700)
    of_it, at = (ref, "pay-1"), BEGIN + 60_000
    assert gateway.listed("captured", BEGIN, END) == [Movement("captured", ref, *of_it, "done", 2599, "USD", BEGIN)]
    assert sorted(gateway.listed("refunded", BEGIN, END)) == sorted(
        [
            Movement("refunded", theirs, *of_it, "pending", 500, "USD", at),
            Movement("refunded", failed, *of_it, "failed", 5, "USD", at),
            Movement("refunded", ours.refund_ref, *of_it, "done", 1000, "USD", BEGIN, "ref-1"),
        ]
    )
    assert gateway.listed("disputed", BEGIN, END) == [Movement("disputed", dispute, *of_it, "done", 700, "USD", at)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_span_has_its_first_second_and_not_its_last(world: World, kind: Kind) -> None:
    if kind != "captured":
        charged(world, "pay-1")
    names = []
    for name, at in (("a", BEGIN - 1000), ("b", BEGIN), ("c", END - 1000), ("d", END)):
        world.now_ms = at
        names.append(later(world, kind, name if kind == "captured" else "pay-1"))
    assert {each.ref for each in world.adapter().listed(kind, BEGIN, END)} == set(names[1:3])


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_a_span_is_read_to_its_last_page(world: World, kind: Kind) -> None:
    if kind != "captured":
        charged(world, "pay-1")
    made = {later(world, kind, f"p-{number}" if kind == "captured" else "pay-1") for number in range(101)}
    assert {each.ref for each in world.adapter().listed(kind, BEGIN, END)} == made
    assert world.calls()[-2:] == [LISTS[kind]] * 2


def test_what_captured_nothing_is_in_no_list(world: World) -> None:
    charged(world, "pay-1", payment_token="pm_card_visa_chargeDeclined")
    charged(world, "pay-2", payment_token="pm_usBankAccount")
    world.adapter().prepare(PAYMENT._replace(payment_id="pay-3"), "dev:pay-3")
    assert world.adapter().listed("captured", BEGIN, END) == []
    world.gateway.release()
    assert [each.payment_id for each in world.adapter().listed("captured", BEGIN, END)] == ["pay-2"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_of_another_environment_or_of_no_payment_is_not_ours(world: World, kind: Kind) -> None:
    other = StripeGateway(lambda: API_KEY, mode="test", environment="qa", url=world.server.url, deadline_seconds=LONG)
    charged(world, "pay-1", other)
    other.close()
    if kind != "captured":
        later(world, kind, "pay-1")
    assert world.adapter().listed(kind, BEGIN, END) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_a_span_that_ends_early_is_no_answer(world: World, kind: Kind) -> None:
    charged(world, "pay-1")
    if kind != "captured":
        later(world, kind, "pay-1")
    gateway = world.adapter()
    for fault in ("ends_early", "not_json", "truncated"):
        world.gateway.order_fault({"payment_id": LISTED, "call": LISTS[kind], "fault": fault})
        with pytest.raises((GatewayAnswerError, GatewayUnavailableError)):
            gateway.listed(kind, BEGIN, END)
    assert len(gateway.listed(kind, BEGIN, END)) == 1


def test_a_gateway_that_takes_no_more_requests_gives_no_list(world: World) -> None:
    world.gateway.order_fault({"payment_id": LISTED, "call": "charges", "fault": "error_429"})
    with pytest.raises(GatewayBusyError):
        world.adapter().listed("captured", BEGIN, END)


def changed(world: World, change: dict[str, Any]) -> StripeGateway:
    """An adapter that gets a list of charges with something else in its page, in each row, or in that one's intent."""
    gateway = world.adapter()
    asked = gateway.connection.call

    def call(*given: Any) -> Answer:
        answer = asked(*given)
        rows = [{**row, **change.get("row", {})} for row in answer.document["data"]]
        for row in rows:
            row["payment_intent"] = change.get("intent", {**row["payment_intent"], **change.get("of_intent", {})})
        return answer._replace(document={"data": rows, "has_more": False, **change.get("page", {})})

    gateway.connection.call = call  # type: ignore[method-assign]
    return gateway


@pytest.mark.parametrize(
    "change",
    [
        *({"page": {"has_more": None}}, {"page": {"has_more": True, "data": []}}, {"page": {"data": None}}),
        *({"page": {"data": ["ch_1"]}}, {"row": {"id": ""}}, {"row": {"created": None}}),
        *({"row": {"created": BEGIN // 1000 - 1}}, {"row": {"created": END // 1000}}),
        *({"row": {"amount_captured": 0}}, {"row": {"amount_captured": 1.0}}, {"row": {"amount_captured": None}}),
        *({"row": {"captured": False}}, {"row": {"captured": None}}, {"row": {"status": "unheard"}}),
        *({"row": {"currency": None}}, {"of_intent": {"livemode": True}}, {"of_intent": {"id": None}}),
        {"intent": "pi_1"},
    ],
    ids=json.dumps,
)
def test_a_list_with_anything_that_is_not_whole_is_no_answer(world: World, change: dict[str, Any]) -> None:
    charged(world, "pay-1")
    with pytest.raises(GatewayAnswerError) as caught:
        changed(world, change).listed("captured", BEGIN, END)
    assert "unheard" not in str(caught.value)


def test_a_page_that_comes_again_is_no_answer(world: World) -> None:
    charged(world, "pay-1")
    gateway = world.adapter()
    call, kept = gateway.connection.call, []

    def again(*given: Any) -> Answer:
        kept.append(call(*given))
        return kept[0]._replace(document={**kept[0].document, "has_more": True})

    gateway.connection.call = again  # type: ignore[method-assign]
    with pytest.raises(GatewayAnswerError, match="names no further one"):
        gateway.listed("captured", BEGIN, END)
    assert len(kept) == 2


def test_a_list_that_goes_back_in_time_is_no_answer(world: World) -> None:
    charged(world, "pay-1")
    world.now_ms += 1000
    charged(world, "pay-2")
    gateway = world.adapter()
    call = gateway.connection.call

    def turned(*given: Any) -> Answer:
        answer = call(*given)
        return answer._replace(document={**answer.document, "data": answer.document["data"][::-1]})

    assert len(gateway.listed("captured", BEGIN, END)) == 2
    gateway.connection.call = turned  # type: ignore[method-assign]
    with pytest.raises(GatewayAnswerError, match="comes to"):
        gateway.listed("captured", BEGIN, END)


def test_a_charge_that_no_intent_made_is_not_ours(world: World) -> None:
    charged(world, "pay-1")
    assert changed(world, {"intent": None}).listed("captured", BEGIN, END) == []


@pytest.mark.parametrize(("currency", "amount_minor"), [("JPY", 500), ("ISK", 5), ("KWD", 1500)])
def test_what_is_listed_comes_in_our_units(world: World, currency: str, amount_minor: int) -> None:
    charged(world, "pay-1", currency=currency, amount_minor=amount_minor)
    (found,) = world.adapter().listed("captured", BEGIN, END)
    assert (found.amount_minor, found.currency) == (amount_minor, currency)


def test_the_sdk_reads_the_simulators_lists_as_it_reads_stripes(world: World) -> None:
    ref = charged(world, "pay-1")
    later(world, "refunded", "pay-1")
    later(world, "disputed", "pay-1")
    sdk = stripe.StripeClient(API_KEY, base_addresses={"api": world.server.url}, max_network_retries=0)
    span = {"gte": BEGIN // 1000, "lt": END // 1000}
    asked: Any = {"created": span, "limit": 100, "expand": ["data.payment_intent"]}
    charges, refunds, disputes = (each.list(asked) for each in (sdk.v1.charges, sdk.v1.refunds, sdk.v1.disputes))
    charge: Any = charges.data[0]
    for (found,) in (charges.data, refunds.data, disputes.data):
        assert isinstance(found.payment_intent, stripe.PaymentIntent)
        assert (found.payment_intent.id, found.payment_intent.metadata["payment_id"]) == (ref, "pay-1")
    assert (charge.amount_captured, charge.status, charge.captured) == (2599, "succeeded", True)
    with pytest.raises(stripe.InvalidRequestError):
        sdk.v1.charges.list()


def test_the_gateway_inside_the_process_has_no_lists() -> None:
    with pytest.raises(GatewayAnswerError, match="no lists"):
        SimulatedGateway().listed("captured", BEGIN, END)
