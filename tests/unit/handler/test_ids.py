"""An id that looks like a card number is refused by its own code and never changed; declared shapes are taken."""

import json

import pytest

from handler.domain.card_data import is_declared, shapes_pattern
from handler.domain.errors import ConfigurationError, GatewayUnavailableError
from handler.domain.process import settle
from handler.domain.rules import Rules
from handler.settings import read_settings
from tests.support.payments import CARD, ScriptedGateway, World, body, message, reading, work

# Sixteen digits with a right check digit that begin as cards of Mastercard do, and nothing says that it is none.
ID = "2511278003938206"
MASKED = "************8206"


def send(world: World, text: str, message_id: str = "m-1", group: str = "group-1") -> str:
    kept = reading(world, message(text, message_id, group))
    assert ID not in repr(kept) or world.rules.id_shapes
    return settle(kept, world.rules, world.ports, work(f"req-1:{message_id}"))


@pytest.mark.parametrize("name", ["order_id", "customer_id", "payment_token", "gateway_customer_id"])
@pytest.mark.parametrize("value", [ID, f"ord {ID}", CARD, "4111-1111-1111-1111"])
def test_an_id_with_a_card_number_is_refused_by_its_own_code(name, value):
    world = World()
    assert send(world, body(**{name: value})) == "rejected"
    assert world.item()["faults"] == [{"field": name, "reason_code": "card_number"}]
    assert world.item()["reason_code"] == "card_number"
    assert value not in str(world.dynamodb.items)
    assert world.gateway.calls == []


def test_a_payment_id_with_a_card_number_becomes_no_key():
    world = World()
    assert send(world, body(payment_id=ID)) == "unusable"
    ((kept, masked, reason_code),) = world.rejected.messages
    assert (reason_code, json.loads(masked)["payment_id"]) == ("payment_id_card_number", MASKED)
    assert ID not in str((kept, masked, world.dynamodb.items))


def test_a_group_with_a_card_number_is_refused_and_kept_masked():
    world = World()
    assert send(world, body(), group=ID) == "rejected"
    assert world.item()["faults"] == [{"field": "message_group_id", "reason_code": "card_number"}]
    assert world.item()["message_group_id"] == MASKED
    assert ID not in str(world.dynamodb.items)


def test_every_id_is_named():
    world = World()
    send(world, body(order_id=ID, customer_id=CARD), group=CARD)
    assert [fault["field"] for fault in world.item()["faults"]] == ["order_id", "customer_id", "message_group_id"]


def test_a_declared_id_is_taken_as_it_is():
    world = World(rules=Rules(id_shapes="#{16},g-*{1-3}"))
    assert send(world, body(payment_id=ID, order_id=ID, customer_id=ID), group=ID) == "completed"
    item = world.item(f"txn-{ID}")
    assert (item["payment_id"], item["order_id"], item["customer_id"], item["message_group_id"]) == (ID, ID, ID, ID)


def test_a_declared_shape_says_nothing_about_texts_and_other_fields():
    world = World(rules=Rules(id_shapes="#{16}"))
    assert send(world, body(amount=900.0, description=ID, customer_name=ID)) == "pending_approval"
    assert ID not in str(world.dynamodb.items)


def test_an_id_must_have_a_declared_shape_as_a_whole():
    world = World(rules=Rules(id_shapes="#{16}"))
    assert send(world, body(order_id=f"ord {ID}")) == "rejected"


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_claimed_while_its_shape_was_declared_is_that_payment_still(version):
    rules = Rules(id_shapes="#{16}", canonical_version=version)
    world = World(rules=rules, gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")]))
    text = body(order_id=ID)
    with pytest.raises(GatewayUnavailableError):
        send(world, text)
    world.rules = rules._replace(id_shapes="")
    assert settle(reading(world, message(text)), world.rules, world.ports, work("req-2:m-1")) == "completed"
    assert (world.item()["order_id"], world.item()["attempt"]) == (ID, 2)
    assert list(world.gateway.captures.values()) == [2599]


@pytest.mark.parametrize(
    ("shapes", "text", "declared"),
    [
        ("", "", False),
        ("#", "7", True),
        ("#", "x", False),
        ("#", "77", False),
        ("#", "\u0667", False),
        ("@", "x", True),
        ("@", "7", False),
        ("@", "\u00e9", False),
        ("*", "x", True),
        ("*", "7", True),
        ("*", "-", False),
        ("INV#{13}", "INV2511278003938", True),
        ("INV#{13}", "inv2511278003938", False),
        ("#{3}-#{7}-#{7}", "123-1234567-1234567", True),
        ("#{13-16}", "1234567890123", True),
        ("#{13-16}", "123456789012", False),
        ("#{13-16}", "12345678901234567", False),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ("x,y", "y", True),
        ("x,y", "x,y", False),
        ("@@## ####", "DE12 3456", True),
        ("#{16}", "1234567890123456\n", False),
    ],
)
def test_shapes_are_read_as_they_are_documented(shapes, text, declared):
    assert is_declared(text, shapes) is declared


@pytest.mark.parametrize("shapes", ["#{16-13}", "(", "#{", "a{2}", "#{0}", "x,,y", ",", "#{0-4}", "#{1}{2}", "\n"])
def test_shapes_that_are_none_are_refused_at_init(shapes):
    with pytest.raises(ValueError, match=r"shape|counts down"):
        shapes_pattern(shapes)
    with pytest.raises(ConfigurationError, match="ID_SHAPES"):
        read_settings({"ID_SHAPES": shapes})


def test_the_setting_reaches_the_rules():
    assert read_settings({"ID_SHAPES": "INV#{13}"}).rules.id_shapes == "INV#{13}"
    assert read_settings({}).rules.id_shapes == ""


@pytest.mark.parametrize("number", [ID, f"{ID}e0", "2.511278003938206e15"])
def test_a_number_in_an_ids_place_is_no_id_once_it_is_masked(number):
    world = World()
    assert send(world, body(order_id="X").replace('"X"', number)) == "rejected"
    assert world.item()["faults"] == [{"field": "order_id", "reason_code": "card_number"}]
    assert ID not in str(world.dynamodb.items)
