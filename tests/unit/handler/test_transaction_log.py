"""The requests that go to DynamoDB, to the letter, and how its errors are told apart."""

from __future__ import annotations

from decimal import Decimal

import pytest
from botocore.stub import ANY

from handler.adapters.support.errors import AwsError
from handler.adapters.table.approval_writes import APPROVAL_WRITES
from handler.adapters.table.expressions import condition as spelled
from handler.adapters.table.expressions import from_attributes, to_attributes
from handler.adapters.table.forget_writes import FORGET_WRITES
from handler.adapters.table.later_writes import LATER_WRITES
from handler.adapters.table.memory import MemoryDynamoDb
from handler.adapters.table.parking_writes import PARKING_WRITES
from handler.adapters.table.transaction_log import DynamoDbTransactionLog
from handler.adapters.table.writes import CLAIM, CLAIM_CORRECTED, WRITES, Write
from handler.domain.errors import TransactionLogUnavailableError
from handler.domain.item import Item, Superseded
from handler.domain.payment import GatewayResult
from handler.domain.states import TRANSITIONS
from tests.support.aws import SUPPORTS, stubbed


@pytest.fixture(params=SUPPORTS)
def aws(request):
    with stubbed(request.param, "dynamodb") as aws:
        yield aws


@pytest.fixture
def client(aws):
    return aws[0]


@pytest.fixture
def stubber(aws):
    return aws[1]


ITEM = Item("txn-1", "1", "rejected", "o", "h", 1, 2, 1, attempt=1, amount=Decimal("25.90"), risk=0)
STORED = {
    "transaction_id": {"S": "txn-1"},
    "payment_id": {"S": "1"},
    "status": {"S": "rejected"},
    "owner": {"S": "o"},
    "request_hash": {"S": "h"},
    "created_at": {"N": "1"},
    "updated_at": {"N": "2"},
    "canonical_version": {"N": "1"},
    "attempt": {"N": "1"},
    "amount": {"N": "25.90"},
    "risk": {"N": "0"},
}


def test_a_claim_is_a_put_if_absent(client, stubber):
    stubber.add_response(
        "put_item",
        {},
        {
            "TableName": "t",
            "Item": STORED,
            "ConditionExpression": "attribute_not_exists(#transaction_id)",
            "ExpressionAttributeNames": {"#transaction_id": "transaction_id"},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    assert DynamoDbTransactionLog(client, "t").put_new(ITEM) is None


def test_a_refused_claim_returns_the_item_that_stands_there(client, stubber):
    stubber.add_client_error(
        "put_item",
        "ConditionalCheckFailedException",
        modeled_fields={
            "Item": STORED | {"processed_at": {"S": "then"}, "reason_code": {"S": "r"}, "fraud_score": {"N": "0"}}
        },
    )
    stands = ITEM._replace(processed_at="then", reason_code="r", fraud_score=0)
    assert DynamoDbTransactionLog(client, "t").put_new(ITEM) == stands


def test_a_correction_is_a_put_over_what_was_rejected_for_its_faults(client, stubber):
    stubber.add_response(
        "put_item",
        {},
        {
            "TableName": "t",
            "Item": STORED
            | {"message_id": {"S": "m-2"}}
            | {
                "superseded": {
                    "L": [
                        {
                            "M": {
                                "message_id": {"S": "m-1"},
                                "request_hash": {"S": "h1"},
                                "canonical_version": {"N": "1"},
                            }
                        }
                    ]
                }
            },
            "ConditionExpression": "#status = :rejected AND attribute_exists(#faults) AND "
            "attribute_not_exists(#gateway_ref) AND #attempt = :seen AND #message_id <> :message_id",
            "ExpressionAttributeNames": {
                f"#{name}": name for name in ("status", "faults", "gateway_ref", "attempt", "message_id")
            },
            "ExpressionAttributeValues": {
                ":rejected": {"S": "rejected"},
                ":seen": {"N": "4"},
                ":message_id": {"S": "m-2"},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    item = ITEM._replace(message_id="m-2", superseded=(Superseded("m-1", "h1", 1),))
    assert DynamoDbTransactionLog(client, "t").claim_corrected(item, attempt_seen=4) is None


def test_a_record_is_fenced_by_status_owner_and_attempt(client, stubber):
    stubber.add_response(
        "update_item",
        {},
        {
            "TableName": "t",
            "Key": {"transaction_id": {"S": "txn-1"}},
            "ConditionExpression": "#status = :processing AND #owner = :owner AND #attempt = :attempt",
            "UpdateExpression": "SET #status = :status, #gateway_response = :gateway_response, "
            "#processed_at = :processed_at, #updated_at = :now, #version = if_not_exists(#version, :zero) + :one "
            "REMOVE #lease_until, #open_shard, #request",
            "ExpressionAttributeNames": ANY,
            "ExpressionAttributeValues": {
                ":processing": {"S": "processing"},
                ":owner": {"S": "me"},
                ":attempt": {"N": "2"},
                ":status": {"S": "completed"},
                ":gateway_response": {
                    "M": {
                        "status": {"S": "approved"},
                        "authorization_code": {"S": "AUTH1"},
                        "timestamp": {"S": "2024-01-01T12:00:00Z"},
                    }
                },
                ":processed_at": {"S": "2023-11-14T22:13:20Z"},
                ":now": {"N": "1700000000000"},
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    result = GatewayResult("approved", 100, "USD", "AUTH1", "2024-01-01T12:00:00Z")
    log = DynamoDbTransactionLog(client, "t")
    refused = log.record("txn-1", owner="me", attempt=2, status="completed", gateway=result, now=1_700_000_000_000)
    assert refused is None


@pytest.mark.parametrize(
    "code", ["ProvisionedThroughputExceededException", "InternalServerError", "AccessDeniedException"]
)
def test_other_errors_of_the_service_are_retryable(client, stubber, code):
    stubber.add_client_error("update_item", code)
    with pytest.raises(TransactionLogUnavailableError):
        DynamoDbTransactionLog(client, "t").release("txn-1", owner="me", attempt=1, tries=1, now=1)


def test_a_lost_answer_is_retryable():
    class TimingOut(MemoryDynamoDb):
        def put_item(self, **_):
            raise AwsError("UpdateItem", "", "no answer")

    with pytest.raises(TransactionLogUnavailableError):
        DynamoDbTransactionLog(TimingOut(), "t").put_new(ITEM)


def test_an_update_of_an_item_that_is_gone_is_retryable_and_creates_nothing():
    dynamodb = MemoryDynamoDb()
    with pytest.raises(TransactionLogUnavailableError):
        DynamoDbTransactionLog(dynamodb, "t").release("txn-1", owner="me", attempt=1, tries=1, now=1)
    assert dynamodb.items == {}


def test_items_survive_the_way_there_and_back():
    item = {"s": "x", "n": 5, "d": Decimal("25.9"), "b": True, "l": [1, "a"], "m": {"k": False}}
    assert from_attributes(to_attributes(item)) == item
    assert type(from_attributes(to_attributes(item))["b"]) is bool


def test_a_float_is_never_stored():
    with pytest.raises(TypeError):
        to_attributes({"amount": 25.9})


@pytest.mark.parametrize(
    "write", [*WRITES, *APPROVAL_WRITES, *PARKING_WRITES, *LATER_WRITES, *FORGET_WRITES], ids=lambda write: write.name
)
def test_every_write_is_conditional_and_has_no_clause_twice(write: Write):
    assert write.condition
    assert len(set(write.condition)) == len(write.condition)


def condition(dynamodb: MemoryDynamoDb, text: str, **values: object) -> bool:
    names = {f"#{name}": name for name in ("transaction_id", "a", "b", "c", "d")}
    before = dict(dynamodb.items)
    try:
        dynamodb.put_item(
            Item=to_attributes({"transaction_id": "k"}),
            ConditionExpression=text,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_attributes({f":{name}": value for name, value in values.items()}),
        )
    except AwsError as error:
        return error.code != "ConditionalCheckFailedException"
    finally:
        dynamodb.items = before
    return True


def test_the_table_of_transitions_is_what_the_writes_do():
    claims = {(None, state) for state in ("processing", "pending_approval", "declined", "rejected", "conflict")}
    states = {
        ":processing": {"processing"},
        ":pending": {"pending_approval"},
        ":parked": {"parked"},
        ":waiting": {"pending_approval", "parked"},
        ":status": {"completed", "declined"},
        ":completed": {"completed"},
    }
    # A correction is a claim in another one's place.
    moves = claims | {("rejected", state) for _, state in claims if state != "conflict"}
    for write in (*WRITES, *APPROVAL_WRITES, *PARKING_WRITES, *LATER_WRITES):
        if write in (CLAIM, CLAIM_CORRECTED):
            continue
        (before,) = (clause.removeprefix("#status = ") for clause in write.condition if clause.startswith("#status = "))
        after = [part.removeprefix("#status = ") for part in write.set if part.startswith("#status = ")] or [before]
        moves |= {(start, end) for start in states[before] for end in states.get(after[0], {after[0].strip(":")})}
    assert moves == TRANSITIONS


def test_a_request_shares_nothing_with_the_next_one_of_its_write():
    whole = spelled(CLAIM_CORRECTED, {":seen": 1, ":message_id": "m-1"})
    names, values = whole["ExpressionAttributeNames"], whole["ExpressionAttributeValues"]
    assert values == {":message_id": {"S": "m-1"}, ":rejected": {"S": "rejected"}, ":seen": {"N": "1"}}
    assert "#status" in names
    names.clear()
    values.clear()
    again = spelled(CLAIM_CORRECTED, {":seen": 2, ":message_id": "m-2"})
    assert "#status" in again["ExpressionAttributeNames"]
    assert again["ExpressionAttributeValues"] == {
        ":message_id": {"S": "m-2"},
        ":rejected": {"S": "rejected"},
        ":seen": {"N": "2"},
    }


def test_the_in_memory_table_reads_conditions_as_the_service_does():
    dynamodb = MemoryDynamoDb()
    dynamodb.items["k"] = to_attributes({"transaction_id": "k", "a": 5, "b": "x"})
    assert condition(dynamodb, "#a = :v", v=5)
    assert not condition(dynamodb, "#a = :v", v="5")
    assert condition(dynamodb, "#a <= :v AND #b = :w", v=5, w="x")
    assert not condition(dynamodb, "#a < :v AND #b = :w", v=5, w="x")
    assert condition(dynamodb, "(attribute_not_exists(#a) OR #a = :v) AND attribute_exists(#b)", v=5)
    assert not condition(dynamodb, "attribute_not_exists(#a) OR #a > :v", v=5)
    assert condition(dynamodb, "#a <> :v AND #b <> :w", v=6, w=5)
    assert not condition(dynamodb, "#a <> :v", v=5)
    dynamodb.items["k"] |= to_attributes({"c": 5})
    assert condition(dynamodb, "#a = #c", v=5)
    assert not condition(dynamodb, "#a = #b", v=5)
    assert not condition(dynamodb, "#a = #d", v=5)
    del dynamodb.items["k"]["a"]
    assert not condition(dynamodb, "#a <= :v", v=5)
    assert condition(dynamodb, "#a <> :v", v=5)
    with pytest.raises(ValueError, match="not a condition"):
        condition(dynamodb, "size(#a) > :v", v=1)


def test_a_write_to_an_item_of_code_that_counted_none_begins_to_count():
    dynamodb = MemoryDynamoDb()
    log = DynamoDbTransactionLog(dynamodb, "t")
    dynamodb.items["txn-1"] = STORED | {"status": {"S": "processing"}}
    for count in ("1", "2"):
        log.release("txn-1", owner="o", attempt=1, tries=0, now=3)
        assert dynamodb.items["txn-1"]["version"] == {"N": count}
