"""A day from messages to its sums: the handler's own items, Stripe's adapter over HTTP, and what is made wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handler.adapters.table.expressions import from_attributes
from handler.domain.conservation import Day, Sum, Sums, compare
from handler.domain.errors import GatewayAnswerError
from handler.domain.payment import Kind
from handler.domain.rules import Rules
from handler.domain.validate import Limits
from handler.domain.wake_up import WakeUp, wake
from local.gateway.server import LISTED
from tests.support.gateway_worlds import ADAPTERS, PAYMENT, World
from tests.support.parking import decisions
from tests.support.payments import World as Handler
from tests.support.payments import body, message, send, work
from tests.support.refunds import refund_message

KINDS: tuple[Kind, ...] = ("captured", "refunded", "disputed")
START = round(datetime(2026, 11, 27, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000
DAY = Day(START, START + 24 * HOUR, START - HOUR)
NOON = START + 12 * HOUR


class Shop:
    """Payments and refunds through the handler; its clock is the gateway's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.adapter: Any = world.adapter()
        rules = Rules(canonical_version=2, limits=Limits(needs_token=True))
        self.handler = Handler(rules=rules, gateway=self.adapter)
        self.at(NOON)

    def at(self, now_ms: int) -> None:
        self.world.now_ms = self.handler.clock.ms = now_ms

    def pay(self, name: str, token: str = "pm_card_visa") -> str:
        text = body(payment_id=name, order_id=f"ord-{name}", payment_token=token)
        return send(self.handler, message(text, f"m-{name}"), owner=f"r:{name}")

    def refund(self, name: str, refund_id: str) -> str:
        sent = refund_message("20.00", refund_id, f"m-{refund_id}", payment_id=name)
        return send(self.handler, sent, owner=f"r:{refund_id}")

    def in_dashboard(self, kind: str, name: str, **order: Any) -> str:
        return str(self.world.gateway.in_dashboard(kind, {"payment_id": name, **order})["id"])

    def wake(self, name: str) -> None:
        """As an event to the webhook does."""
        reference = self.handler.stored(f"txn-{name}").gateway_ref
        wake_up = WakeUp(reference, name)
        wake(wake_up, self.handler.rules, self.handler.ports, decisions(self.handler), work(f"wake:{name}"))

    def lose(self, key: str) -> None:
        del self.handler.dynamodb.items[key]

    def sums(self) -> Sums:
        hours = range(DAY.listed_from_ms, DAY.end_ms, HOUR)
        listed = [each for at in hours for kind in KINDS for each in self.adapter.listed(kind, at, at + HOUR)]
        items: list[Mapping[str, Any]] = [from_attributes(each) for each in self.handler.dynamodb.items.values()]
        return compare(DAY, listed, items, (), log=self.handler.ports.log, gateway=self.adapter)


@pytest.fixture(params=ADAPTERS)
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    with closing(World(tmp_path / "gateway.sqlite", request.param)) as world:
        shop = Shop(world)
        assert shop.pay("a") == "completed"
        assert shop.pay("b") == "completed"
        assert shop.pay("no", "pm_card_visa_chargeDeclined") == "declined"
        assert shop.refund("a", "r-1") == "refunded"
        shop.in_dashboard("refunds", "b", amount=500)
        shop.in_dashboard("disputes", "b", amount=100)
        shop.wake("b")
        yield shop


def told(sums: Sums) -> list[tuple[str, str, int, int]]:
    return [(each.why, each.transaction_id, each.items_minor, each.gateway_minor) for each in sums.differences]


SUMS = (
    Sum("captured", "USD", 5198, 5198, 2, 2),
    Sum("disputed", "USD", 100, 100, 1, 1),
    Sum("refunded", "USD", 2500, 2500, 2, 2),
)


def test_a_day_of_charges_refunds_and_a_dispute_agrees_by_whomever_they_were_made(shop: Shop) -> None:
    sums = shop.sums()
    assert (sums.sums, sums.differences, sums.owed) == (SUMS, (), ())


def test_one_charge_more_at_the_gateway_is_told(shop: Shop) -> None:
    again = shop.adapter.prepare(PAYMENT._replace(payment_id="a"), "dev:a:again")
    shop.adapter.charge(again, "dev:a:again:c")
    assert told(shop.sums()) == [("not_in_items", "txn-a", 0, 2599)]


def test_items_that_are_lost_are_told(shop: Shop) -> None:
    shop.lose("txn-a#refund#r-1")
    shop.lose("txn-b")
    assert sorted(told(shop.sums())) == [
        ("not_in_items", "txn-a#refund#r-1", 0, 2000),
        *[("not_in_items", "txn-b", 0, amount) for amount in (100, 500, 2599)],
    ]


def test_what_somebody_gave_back_and_disputed_without_a_wake_up_is_told(shop: Shop) -> None:
    shop.in_dashboard("refunds", "a", amount=99)
    shop.in_dashboard("disputes", "a", amount=50)
    assert sorted(told(shop.sums())) == [("not_in_items", "txn-a", 0, 50), ("not_in_items", "txn-a", 0, 99)]
    shop.wake("a")
    assert shop.sums().differences == ()


def test_a_refund_that_comes_back_from_the_bank_is_told_until_the_item_knows(shop: Shop) -> None:
    ref = shop.handler.stored("txn-b").refunded[0].refund_ref
    shop.in_dashboard("refunds", "b", refund=ref, status="failed")
    assert told(shop.sums()) == [("other_state", "txn-b", 500, 500)]
    shop.wake("b")
    sums = shop.sums()
    assert (sums.differences, sums.sums[2]) == ((), Sum("refunded", "USD", 2000, 2000, 1, 1))


def test_a_debit_that_settles_days_later_counts_then_and_is_no_difference_before(shop: Shop) -> None:
    assert shop.pay("debit", "pm_usBankAccount") == "parked"
    assert shop.sums().sums == SUMS


def test_an_amount_that_somebody_changed_in_the_table_is_told(shop: Shop) -> None:
    shop.handler.change("txn-a", amount_minor=2600)
    assert told(shop.sums()) == [("other_amount", "txn-a", 2600, 2599)]


@pytest.mark.parametrize("fault", ["ends_early", "not_json", "truncated"])
@pytest.mark.parametrize("call", ["charges", "refunds", "disputes"])
def test_a_list_that_ends_early_leaves_no_sums_and_the_next_one_has_all(shop: Shop, call: str, fault: str) -> None:
    for _ in range(25):
        shop.world.gateway.order_fault({"payment_id": LISTED, "call": call, "fault": fault})
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the adapter's suite's
        shop.sums()
    assert "Gateway" in type(caught.value).__name__
    shop.world.gateway.release()
    assert shop.sums().sums == SUMS


def test_a_list_without_its_last_row_is_no_list(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = shop.adapter.listed
    monkeypatch.setattr(shop.adapter, "listed", lambda *of: listed(*of)[:-1] if of[0] == "captured" else listed(*of))
    with pytest.raises(GatewayAnswerError, match="the gateway's list of what was captured lacks pi_"):
        shop.sums()
