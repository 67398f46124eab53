"""What no delivery can ever record goes to people as a masked copy, and holds nobody up.

Invariants: nothing is acknowledged before its copy is written; what may be different the next time comes again.
"""

from __future__ import annotations

import io
from typing import Any

import pytest

from handler import composition
from handler.adapters.approval.starter import LambdaApprovalStarter
from handler.adapters.memory_queues import MemoryRejectedQueue, MemorySourceQueue
from handler.adapters.support.errors import AwsError
from handler.adapters.table.memory import MemoryDynamoDb
from handler.adapters.table.transaction_log import DynamoDbTransactionLog
from handler.domain.errors import (
    ApprovalStartError,
    ApprovalStartRefusedError,
    ConfigurationError,
    RejectedQueueUnavailableError,
    ScoringError,
)
from handler.domain.item import Item, from_stored
from handler.domain.payment import Message
from tests.support.parking import failing, send
from tests.support.payments import CARD, KEY, AmountScoring, ListApprovals, World, body, message, record, whole_item
from tests.support.queue_function import Context, batch, create_function


def refusal(code: str) -> AwsError:
    return AwsError("PutItem", code, "Item size has exceeded the maximum allowed size")


class RefusingDynamoDb(MemoryDynamoDb):
    """Answers with an error code, as long as it has one: new items whose key has `part`, or only the reference."""

    def __init__(self, code: str = "ValidationException", part: str = "txn-", new: bool = True) -> None:
        super().__init__()
        self.code = code
        self.part = part
        self.new = new

    def put_item(self, **parameters: Any) -> dict[str, Any]:
        if self.code and self.new and self.part in parameters["Item"]["transaction_id"]["S"]:
            raise refusal(self.code)
        return super().put_item(**parameters)

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        if self.code and not self.new and ":gateway_ref" in parameters["ExpressionAttributeValues"]:
            raise refusal(self.code)
        return super().update_item(**parameters)


def codes(world: World) -> list[str]:
    return [reason_code for reason_code, *_ in world.notifier.alarms]


def copies(world: World) -> list[tuple[str, str]]:
    return [(copy.message_id, reason_code) for copy, _, reason_code in world.rejected.messages]


class FailingOnce(MemoryRejectedQueue):
    error: Exception | None = RejectedQueueUnavailableError("no answer")

    def send(self, message: Message, masked_body: str, reason_code: str) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        super().send(message, masked_body, reason_code)


def test_what_the_table_refuses_for_good_is_kept_masked_told_of_and_acknowledged():
    world = World(dynamodb=RefusingDynamoDb())
    assert send(world, message(body(description=f"card {CARD}"))) == "set_aside"
    assert (copies(world), codes(world)) == ([("m-1", "table_refused")], ["table_refused"])
    assert CARD not in world.rejected.messages[0][1]
    assert '"payment_id":"pay-abc123"' in world.rejected.messages[0][1].replace(" ", "")
    assert (world.dynamodb.items, world.gateway.calls) == ({}, [])


def test_what_the_table_may_take_the_next_time_comes_again():
    table = RefusingDynamoDb(code="ProvisionedThroughputExceededException")
    world = World(dynamodb=table)
    assert send(world) == "returned"
    assert (copies(world), codes(world)) == ([], [])
    table.code = ""
    assert send(world) == "completed"


def test_nothing_is_acknowledged_before_its_copy_is_written():
    world = World(dynamodb=RefusingDynamoDb(), rejected=FailingOnce())
    assert send(world) == "returned"
    assert send(world) == "set_aside"


def test_a_conflict_that_the_table_refuses_for_good_is_kept_masked_and_the_payment_stands():
    world = World(dynamodb=RefusingDynamoDb(part="#conflict#"))
    assert send(world) == "completed"
    held = world.item()
    assert send(world, message(body(amount=26), message_id="m-2"), owner="r-2:m-2") == "set_aside"
    assert (copies(world), world.item()) == ([("m-2", "table_refused")], held)


def test_a_claimed_payment_whose_later_write_is_refused_for_good_is_parked_and_not_set_aside():
    world = World(dynamodb=RefusingDynamoDb(new=False))
    outcomes = [send(world, owner=f"r-{number}:m-1") for number in range(5)]
    assert outcomes == ["returned"] * 4 + ["parked"]
    assert (world.item()["parked_reason"], copies(world)) == ("table_refused", [])


def test_a_damaged_item_stays_as_it_is_and_its_message_waits_for_a_person_with_the_rejected_ones():
    world = failing("prepare")
    send(world)
    world.change(amount_minor=None)
    held = world.item()
    assert send(world, owner="r-2:m-1") == "set_aside"
    assert (world.item(), copies(world), codes(world)) == (held, [("m-1", "item_damaged")], ["item_damaged"])


def test_a_payment_that_cannot_be_scored_is_set_aside_after_as_many_receives_as_it_may_have_tries():
    class Failing(AmountScoring):
        def score_batch(self, payments: Any) -> Any:
            raise ScoringError("bad luck")

    world = World(scoring=Failing())
    outcomes = [send(world, message()._replace(receives=receives)) for receives in range(1, 6)]
    assert outcomes == ["returned"] * 4 + ["set_aside"]
    assert (copies(world), codes(world)) == ([("m-1", "scoring_failed")], ["scoring_failed"])
    assert world.notifier.alarms[0][1] == KEY
    assert world.dynamodb.items == {}


def test_a_workflow_that_may_not_be_started_is_told_of_and_holds_no_group_up():
    class Refused(ListApprovals):
        def start(self, item: Item, request: str) -> None:
            raise ApprovalStartRefusedError("no such function")

    world = World(approvals=Refused())
    assert send(world, message(body(amount=9999.99))) == "pending_approval"
    assert (world.item()["status"], codes(world)) == ("pending_approval", ["approval_start_refused"])
    assert "open_shard" in world.item()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", ApprovalStartRefusedError),
        ("AccessDeniedException", ApprovalStartRefusedError),
        ("InvalidParameterValueException", ApprovalStartRefusedError),
        ("TooManyRequestsException", ApprovalStartError),
        ("ServiceException", ApprovalStartError),
    ],
)
def test_lambda_says_whether_starting_the_workflow_again_could_help(code, kind):
    class Client:
        def invoke(self, **_: Any) -> None:
            raise refusal(code)

    item = from_stored(whole_item({"status": "pending_approval", "transaction_id": KEY}))
    with pytest.raises(ApprovalStartError) as raised:
        LambdaApprovalStarter(Client, "function:live").start(item, "{}")
    assert type(raised.value) is kind


def test_a_table_of_another_key_is_refused_in_init_before_any_payment_is_set_aside():
    class OtherKey:
        def get_item(self, **_: Any) -> None:
            raise refusal("ValidationException")

    with pytest.raises(ConfigurationError, match="DYNAMODB_TABLE is 'mine'"):
        composition._warm_up(DynamoDbTransactionLog(OtherKey(), "mine"), None, "mine")  # type: ignore[arg-type]


def test_a_batch_goes_on_behind_what_is_set_aside_of_every_kind_and_nothing_is_lost(capsys):
    """In one group, through the queue function: refused by the table, in the way of a damaged item, not scored."""

    class Failing(AmountScoring):
        def score_batch(self, payments: Any) -> Any:
            if any(payment.payment_id == "p-unscored" for payment in payments):
                raise ScoringError("bad luck")
            return super().score_batch(payments)

    world, logged = World(dynamodb=RefusingDynamoDb(part="txn-p-refused"), scoring=Failing()), io.StringIO()
    send(world, message(body(payment_id="p-damaged", description=f"card {CARD}"), "m-0"))
    world.change("txn-p-damaged", amount_minor=None)
    held = world.item("txn-p-damaged")
    function = create_function(world, MemorySourceQueue(), logged, world.rules)
    names = ("p-refused", "p-damaged", "p-unscored", "p-next")
    records = [
        record(body(payment_id=name, description=f"card {CARD}, cvv 987"), f"m-{name}", receives=5) for name in names
    ]
    response = function(batch(*records), Context())
    assert (response["batchItemFailures"], response["body"]["processed"], response["body"]["failed"]) == ([], 1, 3)
    expected = ["table_refused", "item_damaged", "scoring_failed"]
    assert copies(world) == [(f"m-{name}", code) for name, code in zip(names, expected, strict=False)]
    assert [alarm[:2] for alarm in world.notifier.alarms] == [
        (code, f"txn-{name}") for name, code in zip(names, expected, strict=False)
    ]
    assert (world.item("txn-p-damaged"), world.item("txn-p-next")["status"]) == (held, "completed")
    everything = f"{world.rejected.messages} {world.dynamodb.items} {world.notifier.alarms} {logged.getvalue()}"
    assert (CARD in everything, "987" in everything) == (False, False)


@pytest.mark.parametrize("damage", [{"status": ""}, {"canonical_version": 0}, {"canonical_version": -1}])
def test_what_no_code_ever_wrote_is_damage_and_not_newer_codes(damage):
    """It would come again for as long as messages are kept."""
    world = failing("prepare")
    send(world)
    world.change(**damage)
    assert send(world, owner="r-2:m-1") == "set_aside"
    assert codes(world) == ["item_damaged"]
