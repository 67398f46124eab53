"""The cases of card data from public reports, each from the queue's event to all that is kept of it."""

import io
import json
import unicodedata
import uuid
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics

from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.system import RandomIds
from handler.adapters.workers import ThreadWorkers
from handler.composition import Services
from handler.domain.rules import Rules
from handler.queue_function import QueueFunction
from scoring import _compiled, _pure
from tests.support.payments import ScriptedGateway, World, body, record

CASES = json.loads((Path(__file__).parents[2] / "golden" / "card_data.json").read_text())
ENGINES = pytest.mark.parametrize("engine", [_pure, _compiled], ids=["pure", "compiled"])
TEXTS = pytest.mark.parametrize(
    "text", [each["text"] for each in CASES["texts"]], ids=[each["name"] for each in CASES["texts"]]
)
UNREADABLE = "unreadable"
PLACES = ("description", "customer_name", "customer_email", "note", "key", "list", "order_id", "payment_id", "group")


class SeeingGateway(ScriptedGateway):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def prepare(self, payment, key):
        self.seen.append((payment, key))
        return super().prepare(payment, key)

    def charge(self, gateway_ref, key, off_session=None):
        self.seen.append((gateway_ref, key))
        return super().charge(gateway_ref, key)


class Context:
    aws_request_id = "req-1"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


class Kept:
    """A world after one event, with all that is kept of it anywhere."""

    def __init__(self, engine: Any, *texts: str, group: str = "group-1", rules: Rules | None = None) -> None:
        gateway = SeeingGateway()
        self.world = World(gateway=gateway, rules=rules or Rules())
        ports = self.world.ports._replace(find_card_numbers=engine.find_card_numbers)
        log = io.StringIO()
        function = QueueFunction(
            Services(self.world.rules, ports, MemorySourceQueue(), RandomIds(), ThreadWorkers(1)),
            Logger(service=f"test-{uuid.uuid4()}", stream=log),
            Metrics(namespace="CloudCafe/Lambda", service="payment-processor"),
            30.0,
        )
        records = [record(text, f"m-{number}", group) for number, text in enumerate(texts)]
        self.response = function({"Records": records}, Context())
        self.log = log.getvalue()
        items, rejected = self.world.dynamodb.items, self.world.rejected.messages
        self.everything = "\n".join(map(repr, (items, rejected, self.log, gateway.seen, self.response)))

    def statuses(self) -> list[str]:
        return [self.world.item(key)["status"] for key in self.world.dynamodb.items]


def digits_of(text: str) -> str:
    """The ASCII digits of a text's digits, without those of escapes."""
    plain = text.replace("%20", " ")
    return "".join(str(unicodedata.digit(character)) for character in plain if character.isdigit())


def shows(everything: str, number: str) -> bool:
    """Whether all but the last four digits stand there, however they are separated."""
    return number[:-4] in digits_of(everything)


@ENGINES
@TEXTS
@pytest.mark.parametrize(
    "place",
    [
        "description",
        "customer_name",
        "customer_email",
        "note",
        "key",
        "list",
        "order_id",
        "payment_id",
        "group",
        UNREADABLE,
    ],
)
def test_nothing_of_a_card_number_stays_but_its_last_four_digits(engine, text, place):
    number = digits_of(text)[-16:]
    changes: dict[str, Any] = {"key": {text: 1}, "list": {"x": [{"y": text}]}, "group": {}}.get(place, {place: text})
    sent = f'{{"note": "{text}' if place == UNREADABLE else json.dumps({**json.loads(body()), **changes})
    kept = Kept(engine, sent, group=text if place == "group" else "group-1")
    assert not shows(kept.everything, number)
    assert text not in kept.everything
    if place == "description":
        assert kept.statuses() == ["completed"]
    if place in ("order_id", "group"):
        assert [fault["reason_code"] for fault in kept.world.item()["faults"]] == ["card_number"]
    if place == "payment_id":
        assert kept.world.rejected.messages[0][2] == "payment_id_card_number"
        assert kept.world.dynamodb.items == {}


@ENGINES
def test_the_messages_of_the_cases_are_refused_or_masked(engine):
    first, second = map(json.dumps, CASES["messages"])
    kept = Kept(engine, first, second)
    assert not shows(kept.everything, "4111111111111111")
    assert kept.world.rejected.messages[0][2] == "payment_id_card_number"
    item = kept.world.item("txn-pay-1")
    assert [tuple(fault.values()) for fault in item["faults"]] == [
        ("order_id", "card_number"),
        ("customer_id", "card_number"),
    ]


@ENGINES
@pytest.mark.parametrize("text", [*CASES["no_cards"], *CASES["ids_that_are_no_cards"]])
def test_what_is_no_card_number_stays_as_it_is(engine, text):
    kept = Kept(engine, body(order_id=text, customer_id=text, amount=900.0, description=f"order {text}."))
    item = kept.world.item()
    assert (item["status"], item["order_id"], item["customer_id"]) == ("pending_approval", text, text)
    assert f"order {text}." in item["request"]
    assert item["canonical_version"] == 1


@ENGINES
@pytest.mark.parametrize("text", CASES["ids_that_nothing_can_tell_from_cards"])
def test_an_id_that_nothing_can_tell_from_a_card_is_refused_or_declared_and_never_changed(engine, text):
    sent = body(order_id=text)
    assert Kept(engine, sent).world.item()["reason_code"] == "card_number"
    item = Kept(engine, sent, rules=Rules(id_shapes="#{16}")).world.item()
    assert (item["status"], item["order_id"]) == ("completed", text)


@ENGINES
def test_no_verification_data_of_the_cases_stays_anywhere(engine):
    kept = Kept(engine, *map(json.dumps, CASES["verification_messages"]))
    for secret in ("cvv: 123", "1231", "9872", "4563", "5557", "29121011234567890", "9998"):
        assert secret not in kept.everything
    # A person's note is starred and the payment goes on; it asks a person, as its amount says.
    item = kept.world.item("txn-cvv-1")
    assert (item["status"], item["canonical_version"]) == ("pending_approval", 2)
    assert "card ************1111 exp 12/29 cvv: *** ok" in item["request"]
    ((_, masked, reason_code),) = kept.world.rejected.messages
    assert (reason_code, masked.count("[removed]")) == ("payment_id_missing", 5)


@ENGINES
def test_named_verification_data_refuses_a_payment_and_stays_nowhere(engine):
    names = json.loads(json.dumps(CASES["verification_messages"][1]))
    kept = Kept(engine, json.dumps({**json.loads(body()), **names}))
    assert kept.world.item()["faults"] == [{"field": "*", "reason_code": "sensitive_authentication_data"}]
    assert "9998" not in kept.everything


@ENGINES
@pytest.mark.parametrize("name", ["zip", "pincode", "pin"])
def test_a_postal_code_under_another_name_is_charged(engine, name):
    address = {"street": "12 MG Road", "city": "Pune", "state": "MH", "zip": "411001", name: "411001"}
    assert Kept(engine, body(billing_address=address)).statuses() == ["completed"]
