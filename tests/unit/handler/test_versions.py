"""What version 1 would hold in the clear is written in version 2; what older code claimed is the same payment still."""

import json
from itertools import count

import pytest

from handler.domain.approval.steps import read_request
from handler.domain.canonical import text_hash
from handler.domain.errors import GatewayAnswerError, GatewayUnavailableError
from handler.domain.item import new_item
from handler.domain.mask_1 import mask_1
from handler.domain.parked import retry
from handler.domain.parse import parse
from handler.domain.process import settle
from handler.domain.rules import Parking, Rules
from handler.domain.times import Times
from handler.domain.validate import Limits, validate
from handler.domain.versions import read_in_version
from scoring import _pure
from tests.golden.generate_canonical import MESSAGES, VECTORS
from tests.support.approvals import EXECUTION, ApprovalWorld, running, status, until
from tests.support.parking import Queue, decisions
from tests.support.payments import ADDRESS, CARD, ScriptedGateway, World, body, message, reading, work

ID = "2511278003938206"
# What the newest rules find and version 1's do not, the other way round, or otherwise.
READ_ANEW = {
    "verification data in a text": body(description="cvv: 123"),
    "a track": body(description=f";{CARD}=29121011234567890?"),
    "an id like a card number": body(order_id=ID),
    "a name that version 1 does not know": body(cvv_code="123"),
    "a postal code": body(billing_address={**ADDRESS, "pincode": "560001"}),
    "an empty field": body(cvv=""),
}
_DELIVERIES = count()


def send(world: World, text: str, message_id: str = "m-1", group: str = "group-1") -> str:
    kept = reading(world, message(text, message_id, group))
    return settle(kept, world.rules, world.ports, work(f"req-{next(_DELIVERIES)}:{message_id}"))


def claim_as_0_1_1(world: World, text: str, status: str = "processing") -> None:
    """The item of version 1 that 0.1.1 writes for a message, left by a worker whose lease is over."""
    document, faults = mask_1(parse(text))
    result = validate(document, Limits(), 1, faults)
    item = new_item(
        message(text),
        result.payment_id,
        result.request_hash,
        "rejected" if result.faults else status,  # type: ignore[arg-type]
        owner="req-old:m-1",
        now_ms=1,
        payment=result.payment,
        faults=result.faults,
        lease_until_ms=2,
        environment="dev",
    )
    assert world.ports.log.put_new(item) is None


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_compares_with_an_item_of_version_1_by_the_hash_that_was_written(name):
    stored = json.loads(VECTORS.read_text())["1"][name]
    result = read_in_version(parse(MESSAGES[name]), 1, (), Rules(), _pure.find_card_numbers)
    assert result.request_hash == stored["hash"] or stored["amount_minor"]
    assert {stored["hash"]} <= {result.request_hash, result.claimed.request_hash if result.claimed else ""}
    if stored["amount_minor"]:
        assert result.claimed is not None
        assert result.claimed.request_hash == stored["hash"]


def test_version_1_is_written_where_both_rules_read_alike():
    world = World()
    for number, text in enumerate((body(), body(description=f"card {CARD}"), body(cvv="123"), body(order_id=None))):
        send(world, text.replace("pay-abc123", f"p-{number}"))
        assert world.item(f"txn-p-{number}")["canonical_version"] == 1


@pytest.mark.parametrize("name", READ_ANEW)
def test_version_2_is_written_where_version_1_would_keep_card_data_or_change_an_id(name):
    world = World()
    assert send(world, READ_ANEW[name]) in ("completed", "rejected")
    held = world.item()
    assert held["canonical_version"] == 2
    # It is known by this hash from now on.
    assert send(world, READ_ANEW[name]) == "duplicate"
    assert send(world, READ_ANEW[name], "m-2") == "duplicate"
    assert (world.item(), len(world.dynamodb.items)) == (held, 1)


@pytest.mark.parametrize("name", READ_ANEW)
def test_what_older_code_claimed_is_the_same_payment_and_charged_once(name):
    text = READ_ANEW[name]
    world = World()
    claim_as_0_1_1(world, text)
    held = world.item()
    outcome = send(world, text)
    if held["status"] == "rejected":
        assert (outcome, world.item()) == ("duplicate", held)
        return
    assert outcome == "completed"
    assert (world.item()["request_hash"], world.item()["attempt"]) == (held["request_hash"], 2)
    assert list(world.gateway.captures.values()) == [2599]
    assert send(world, text) == "duplicate"
    assert len(world.dynamodb.items) == 1


def test_what_is_charged_under_an_item_of_version_1_is_masked_by_the_newest_rules():
    seen = []

    class Watching(ScriptedGateway):
        def prepare(self, payment, key):
            seen.append(payment)
            return super().prepare(payment, key)

    world = World(gateway=Watching())
    text = body(description=f"cvv: 123 ;{CARD}=29121011234567890?")
    claim_as_0_1_1(world, text)
    assert send(world, text) == "completed"
    assert "123 ;" not in repr(seen)
    assert "2912101" not in repr(seen)
    assert seen[0].version == 1


@pytest.mark.parametrize("name", ["verification data in a text", "a track", "an id like a card number"])
def test_a_conflict_with_an_item_of_version_1_is_one_item_and_holds_no_card_data(name):
    world = World()
    claim_as_0_1_1(world, body(amount=99.5))
    for message_id in ("m-2", "m-3"):
        assert send(world, READ_ANEW[name], message_id) == "conflict"
    (conflict,) = [item for key in world.dynamodb.items if (item := world.item(key))["status"] == "conflict"]
    assert conflict["canonical_version"] == 1
    assert ID not in str(conflict)


def test_a_message_whose_group_holds_a_card_number_is_the_payment_that_older_code_claimed():
    world = World()
    claim_as_0_1_1(world, body())
    assert send(world, body(), group=ID) == "completed"
    assert list(world.gateway.captures.values()) == [2599]


def test_text_of_version_2_is_read_as_it_was_stored():
    """As a workflow reads it: a message like any other, in a deployment that writes version 1."""
    world = World()
    assert send(world, READ_ANEW["verification data in a text"].replace("25.99", "900.00")) == "pending_approval"
    item = world.stored()
    assert (item.canonical_version, "cvv: ***" in item.request) == (2, True)
    result = read_in_version(parse(item.request), 2, (), Rules(), _pure.find_card_numbers)
    assert result.request_hash == item.request_hash


def test_a_payment_that_is_written_in_version_2_meets_a_failing_gateway_and_is_charged_later():
    world = World(gateway=ScriptedGateway(prepare=[GatewayUnavailableError("down")]))
    text = READ_ANEW["verification data in a text"]
    with pytest.raises(GatewayUnavailableError):
        send(world, text)
    assert send(world, text) == "completed"
    assert (world.item()["canonical_version"], world.item()["attempt"]) == (2, 2)


@pytest.mark.parametrize("name", ["verification data in a text", "a track"])
def test_a_parked_payment_that_older_code_claimed_is_retried_with_its_masked_request(name):
    """Its hash is over what version 1 left in the clear, which no retry may send."""
    world = World(gateway=ScriptedGateway(prepare=[GatewayAnswerError("500")] * 9), rules=Rules(parking=Parking(2)))
    text = READ_ANEW[name]
    claim_as_0_1_1(world, text)
    world.change(first_tried_at=world.clock.ms)
    assert send(world, text) == "parked"
    item = world.stored()
    assert text_hash(item.request) != item.request_hash
    assert send(world, item.request, "m-2") == "duplicate"
    world.change(retry_no=1, retried_by="alice")
    with pytest.raises(GatewayAnswerError):
        send(world, item.request, "m-3")
    world.gateway.scripts.clear()
    assert send(world, item.request, "m-3") == "completed"
    # Its keys are of the item's hash as well, so that no other content could have spent them.
    assert {key.split(":")[2] for key in world.gateway.keys} == {item.request_hash[:16]}
    assert (len(world.dynamodb.items), list(world.gateway.captures.values())) == (1, [2599])
    assert "request" not in world.item()
    assert [send(world, sent, "m-4") for sent in (text, item.request, body(amount=26))] == [
        *("duplicate", "duplicate", "conflict")
    ]


def test_a_parked_workflows_payment_that_older_code_claimed_is_charged_by_its_next_execution():
    world = ApprovalWorld()
    text = body(amount=9999.99, description="cvv: 9876")
    claim_as_0_1_1(world, text, "pending_approval")
    world.gateway.scripts["prepare"] = [GatewayAnswerError("500")] * 99
    request = world.item()["request"]
    with running(world.workflow) as runner:
        arn = runner.start(request)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "parked"
    masked = world.item()["request"]
    assert "9876" not in masked
    reading = read_request(masked, EXECUTION, world.approval_rules, world.ports)
    assert reading.validation.request_hash == world.item()["request_hash"]
    world.gateway.scripts.clear()
    retry(world.stored(), "alice", Queue(), decisions(world), times=Times(), work=work("operator:1"))
    ((_, request),) = world.approvals.started
    with running(world.workflow) as runner:
        assert status(runner.run(request)) == "completed"
    assert list(world.gateway.captures.values()) == [999_999]
    assert "9876" not in str(world.item())


@pytest.mark.parametrize("direct", [False, True])
def test_a_risky_payment_that_older_code_claimed_is_approved_and_charged(direct):
    """`direct`: somebody also invokes the workflow with the message itself instead of the stored text."""
    world = ApprovalWorld()
    text = body(amount=9999.99, description="cvv: 9876")
    claim_as_0_1_1(world, text, "pending_approval")
    request = world.item()["request"]
    reading = read_request(text if direct else request, EXECUTION, world.approval_rules, world.ports)
    assert reading.validation.payment is not None
    assert "9876" not in reading.validation.payment.canonical
    with running(world.workflow) as runner:
        arn = runner.start(text if direct else request)
        callback_id = runner.callback(arn)
        until(lambda: world.notices.asked)
        world.decide("approve")
        runner.engine.send_callback_success(callback_id, b"{}")
        assert status(runner.result(arn)) == "completed"
    assert (world.item()["canonical_version"], "request" in world.item()) == (1, False)
    assert list(world.gateway.captures.values()) == [999_999]
