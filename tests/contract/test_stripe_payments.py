"""Payments of the queue function through Stripe's adapter and the simulator's Stripe: what is kept, logged and told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from handler.adapters.gateways.stripe import StripeGateway
from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.system import LoggingNotifier
from handler.domain.rules import Parking, Rules
from handler.domain.validate import Limits
from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer
from local.gateway.stripe_dialect import TOKENS
from tests.support.payments import KEY, World, body, record
from tests.support.queue_function import Context, batch, create_function

API_KEY = "sk_test_simulator"
RULES = Rules(canonical_version=2, limits=Limits(needs_token=True))


class Site:
    """The queue function over tables in memory, with the simulator behind it and all that it logs."""

    def __init__(self, database: Path, rules: Rules) -> None:
        self.gateway = Gateway(database, clock=lambda: 1_700_000_000_000, api_keys={API_KEY: "test"})
        self.server = GatewayServer(self.gateway)
        self.server.start("gateway")
        self.logged, self.keys_read = io.StringIO(), 0
        adapter: Any = StripeGateway(
            self._read_key, mode="test", environment="dev", url=self.server.url, deadline_seconds=30.0
        )
        self.adapter = adapter
        self.world = World(rules=rules, gateway=adapter)
        self.function = create_function(self.world, MemorySourceQueue(), self.logged, rules)
        adapter._logger = self.function._logger
        notifier: Any = LoggingNotifier(self.function._logger)
        self.world.notifier = notifier
        self.function._services = self.function._services._replace(ports=self.world.ports)

    def _read_key(self) -> str:
        self.keys_read += 1
        return API_KEY

    def send(self, text: str, message_id: str = "m-1") -> dict[str, Any]:
        answer: dict[str, Any] = self.function(batch(record(text, message_id)), Context())
        counts: dict[str, Any] = answer["body"]
        return counts

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.logged.getvalue().splitlines()]

    def answers(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["message"] == "gateway answered"]

    def alarms(self) -> list[tuple[str, str]]:
        return [(line["alarm"], line["transaction_id"]) for line in self.lines() if "alarm" in line]

    def show(self, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        """Let the simulator show every intent's charge with changes."""
        shown = self.gateway._object

        def changed(ref: str) -> dict[str, Any]:
            intent: dict[str, Any] = shown(ref)
            charge = intent["latest_charge"]
            return {**intent, "latest_charge": {**charge, **changes} if charge else charge}

        monkeypatch.setattr(self.gateway, "_object", changed)

    def close(self) -> None:
        self.adapter.close()
        self.server.stop()
        self.gateway.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(Site(tmp_path / "gateway.sqlite", RULES)) as site:
        yield site


def paid_with(token: str, **changes: Any) -> str:
    return body(payment_token=token, gateway_customer_id="cus_swordfish", **changes)


def test_the_published_item_has_the_networks_code_and_when_the_charge_was_made(site: Site) -> None:
    assert site.send(paid_with("pm_card_visa"))["processed"] == 1
    item = site.world.item()
    network = site.gateway._object(item["gateway_ref"])["latest_charge"]["payment_method_details"]["card"]
    assert {name: value for name, value in item["gateway_response"].items() if name != "request_id"} == {
        "status": "approved",
        "authorization_code": network["authorization_code"],
        "timestamp": "2023-11-14T22:13:20Z",
    }
    assert (item["status"], item["amount_minor"], item["payment_method"]) == ("completed", 2599, "credit_card")


def test_where_the_network_gives_no_code_it_is_the_charges_id(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.show(monkeypatch, payment_method_details={"type": "card", "card": {}}, created=1_600_000_000)
    site.send(paid_with("pm_card_visa"))
    response = site.world.stored().gateway_response
    assert response is not None
    assert response.authorization_code == f"ch_{site.world.item()['gateway_ref'][3:]}"
    assert response.timestamp == "2020-09-13T12:26:40Z"


@pytest.mark.parametrize(("token", "said"), [(token, said) for token, said in TOKENS.items() if said[1]])
def test_a_declined_payments_item_says_why(site: Site, token: str, said: tuple[str, str]) -> None:
    site.send(paid_with(token))
    response = site.world.stored().gateway_response
    assert response is not None
    assert site.world.item()["status"] == "declined"
    assert (response.status, response.code, response.decline_code) == ("declined", *said)
    assert response.request_id.startswith("req_")


def test_every_answer_is_logged_with_stripes_name_of_the_request_and_the_last_is_kept(site: Site) -> None:
    site.send(paid_with("pm_card_visa"))
    ref = site.world.item()["gateway_ref"]
    prepared, charged = site.answers()
    assert (prepared["gateway_call"], charged["gateway_call"]) == (
        "POST /v1/payment_intents",
        f"POST /v1/payment_intents/{ref}/confirm",
    )
    assert {line["gateway_ref"] for line in (prepared, charged)} == {ref}
    assert all("pay-abc123" in line["idempotency_key"] for line in (prepared, charged))
    assert all(line["gateway_answer"] == f"HTTP 200 {line['gateway_request_id']}" for line in (prepared, charged))
    assert charged["gateway_request_id"] == site.world.item()["gateway_response"]["request_id"]


def test_a_payment_that_fails_and_is_parked_has_the_last_requests_name_in_the_log(tmp_path: Path) -> None:
    with closing(Site(tmp_path / "gateway.sqlite", RULES._replace(parking=Parking(2)))) as site:
        shown = site.gateway._object
        site.gateway._object = lambda ref: {**shown(ref), "livemode": True}  # type: ignore[method-assign]
        assert site.send(paid_with("pm_card_visa"))["failed"] == 1
        (failed,) = [line for line in site.lines() if line.get("reason_code") == "gateway_answer_invalid"]
        assert site.answers()[-1]["gateway_request_id"] in failed["message"]
        assert site.send(paid_with("pm_card_visa"), "m-2")["failed"] == 1
        assert site.world.item()["status"] == "parked"
        assert len({line["gateway_request_id"] for line in site.answers()}) == 2
        assert [line["message"] for line in site.lines()][-2:] == ["gateway answered", "parked"]


def test_a_refused_key_is_read_once_more_and_then_an_alarm(site: Site) -> None:
    site.gateway.api_keys = {"sk_test_the_next_one": "test"}
    assert site.send(paid_with("pm_card_visa"))["failed"] == 1
    assert site.keys_read == 2
    assert site.alarms() == [("gateway_key_refused", KEY)]
    assert [line["gateway_answer"].split()[1] for line in site.answers()] == ["401"]
    assert site.world.item()["status"] == "processing"


def test_a_reference_that_stripe_does_not_know_is_an_alarm_and_counts_against_no_payment(tmp_path: Path) -> None:
    with closing(Site(tmp_path / "gateway.sqlite", RULES._replace(parking=Parking(1)))) as site:
        prepare = site.adapter.prepare

        def into_another_account(payment: Any, key: str) -> str:
            ref: str = prepare(payment, key)
            site.gateway.api_keys = {API_KEY: "test-2"}
            return ref

        site.adapter.prepare = into_another_account
        for number in range(3):
            assert site.send(paid_with("pm_card_visa"), f"m-{number}")["failed"] == 1
            assert site.alarms() == [("gateway_reference_unknown", KEY)] * (number + 1)
            assert (site.world.item()["status"], site.world.item()["tries"]) == ("processing", 0)
        site.gateway.api_keys = {API_KEY: "test"}
        assert site.send(paid_with("pm_card_visa"), "m-9")["processed"] == 1
        assert site.world.item()["status"] == "completed"


def test_what_a_payment_is_charged_with_is_sent_to_stripe_and_found_nowhere_else(site: Site, capfd: Any) -> None:
    for number, token in enumerate(("pm_card_visa", "pm_card_visa_chargeDeclined", "pm_swordfish")):
        site.send(paid_with(token, payment_id=f"pay-{number}"), f"m-{number}")
    site.send(paid_with("tok_swordfish", payment_id="pay-4"), "m-4")
    assert len(site.gateway.log()["captures"]) == 1
    kept = json.dumps([site.world.dynamodb.items, site.world.rejected.messages]) + site.logged.getvalue()
    for word in ("swordfish", "pm_card_visa", *TOKENS):
        assert word not in kept + "".join(capfd.readouterr())
