"""The transaction log in DynamoDB: a write that is refused returns the item that stands in its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

from handler.adapters.support.errors import AwsError
from handler.adapters.table.expressions import (
    Attributes,
    assignments,
    condition,
    from_attributes,
    to_attributes,
)
from handler.adapters.table.writes import (
    CLAIM,
    CLAIM_CORRECTED,
    NEXT_KEY,
    PARK,
    RECORD,
    RECORD_SHOWN,
    REFUSE,
    REFUSE_SHOWN,
    RELEASE,
    STORE_GATEWAY_REF,
    TAKE_OVER,
    TAKE_OVER_PARKED,
    TAKE_OVER_STUCK,
    Write,
)
from handler.domain.canonical import text_hash
from handler.domain.errors import RetryableError, TableRefusedError, TransactionLogUnavailableError
from handler.domain.item import GatewayResponse, Item, from_stored, timestamp, to_stored
from handler.domain.payment import GatewayResult
from handler.domain.states import ENDED, OPEN_SHARDS, Status, open_shard
from handler.domain.typed import Protocol

if TYPE_CHECKING:
    from handler.adapters.table.expressions import Expressions, UpdateExpressions
    from handler.domain.refund_ports import RefundLog

# The sparse index of open items (protocol, "Index"); read with `query`, written by DynamoDB itself.
OPEN_SHARD_INDEX = "open-shard-index"


class DynamoDbClient(Protocol):
    """The calls of a DynamoDB client, of either support, that the transaction log makes."""

    def get_item(self, *, TableName: str, Key: Attributes, ConsistentRead: bool) -> dict[str, Any]: ...

    def put_item(self, *, TableName: str, Item: Attributes, **expressions: Unpack[Expressions]) -> dict[str, Any]: ...

    def update_item(
        self, *, TableName: str, Key: Attributes, **expressions: Unpack[UpdateExpressions]
    ) -> dict[str, Any]: ...

    def query(self, **parameters: Any) -> dict[str, Any]: ...

    def transact_write_items(
        self, *, TransactItems: list[dict[str, dict[str, Any]]], ClientRequestToken: str
    ) -> dict[str, Any]: ...


_PUBLISHED: Final = ("status", "authorization_code", "timestamp")


class DynamoDbTransactionLog:
    """`TransactionLog` over one table."""

    def __init__(self, client: DynamoDbClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, transaction_id: str) -> Item | None:
        try:
            answer = self._client.get_item(
                TableName=self._table_name, Key={"transaction_id": {"S": transaction_id}}, ConsistentRead=True
            )
        except AwsError as error:
            raise failure("get", transaction_id, error) from error
        return from_stored(from_attributes(answer["Item"])) if "Item" in answer else None

    def put_new(self, item: Item) -> Item | None:
        return self._put(CLAIM, item, {})

    def claim_corrected(self, item: Item, *, attempt_seen: int) -> Item | None:
        return self._put(CLAIM_CORRECTED, item, {":seen": attempt_seen, ":message_id": item.message_id})

    def take_over(
        self,
        transaction_id: str,
        *,
        owner: str,
        attempt_seen: int,
        lease_until: int,
        tries: int,
        now: int,
        request_hash: str,
    ) -> Item | None:
        values = {
            ":owner": owner,
            ":seen": attempt_seen,
            ":next": attempt_seen + 1,
            ":lease_until": lease_until,
            ":tries": tries,
            ":now": now,
            ":request_hash": request_hash,
        }
        return self.update(TAKE_OVER, transaction_id, values)

    def take_over_parked(
        self,
        transaction_id: str,
        *,
        owner: str,
        attempt_seen: int,
        lease_until: int,
        tries: int,
        now: int,
        request_hash: str,
    ) -> Item | None:
        values = {
            ":owner": owner,
            ":seen": attempt_seen,
            ":next": attempt_seen + 1,
            ":lease_until": lease_until,
            ":tries": tries,
            ":open_shard": open_shard("processing", request_hash),
            ":now": now,
            ":request_hash": request_hash,
        }
        return self.update(TAKE_OVER_PARKED, transaction_id, values)

    def store_gateway_ref(
        self, transaction_id: str, *, owner: str, attempt: int, gateway_ref: str, now: int
    ) -> Item | None:
        values = {":owner": owner, ":attempt": attempt, ":gateway_ref": gateway_ref, ":now": now}
        return self.update(STORE_GATEWAY_REF, transaction_id, values)

    def next_key(
        self, transaction_id: str, *, owner: str, attempt: int, gateway_try_seen: int, now: int
    ) -> Item | None:
        values = {
            ":owner": owner,
            ":attempt": attempt,
            ":seen": gateway_try_seen,
            ":next": gateway_try_seen + 1,
            ":now": now,
        }
        return self.update(NEXT_KEY, transaction_id, values)

    def refuse(
        self, transaction_id: str, *, owner: str, attempt: int, code: str, request_id: str, now: int
    ) -> Item | None:
        return self.update(REFUSE, transaction_id, _refusal_values(owner, attempt, code, request_id, now))

    def refuse_shown(
        self, transaction_id: str, *, owner: str, attempt: int, code: str, request_id: str, now: int
    ) -> Item | None:
        values = _refusal_values(owner, attempt, code, request_id, now)
        return self.update(REFUSE_SHOWN, transaction_id, {**values, **ended_shard(transaction_id)})

    def record(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None:
        return self.update(RECORD, transaction_id, outcome_values(owner, attempt, status, gateway, now))

    def record_shown(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None:
        values = outcome_values(owner, attempt, status, gateway, now)
        return self.update(RECORD_SHOWN, transaction_id, {**values, **ended_shard(transaction_id)})

    def release(self, transaction_id: str, *, owner: str, attempt: int, tries: int, now: int) -> Item | None:
        values = {":owner": owner, ":attempt": attempt, ":tries": tries, ":now": now}
        return self.update(RELEASE, transaction_id, values)

    def park(
        self,
        transaction_id: str,
        *,
        owner: str,
        attempt: int,
        park_no: int,
        reason_code: str,
        request: str,
        request_hash: str,
        now: int,
    ) -> Item | None:
        values = {
            ":owner": owner,
            ":attempt": attempt,
            ":park_no": park_no,
            ":parked_reason": reason_code,
            ":request": request,
            ":retry_hash": text_hash(request),
            ":open_shard": open_shard("parked", request_hash),
            ":now": now,
        }
        return self.update(PARK, transaction_id, values)

    def take_over_stuck(
        self, transaction_id: str, *, owner: str, attempt_seen: int, lease_until: int, stale: int, now: int
    ) -> Item | None:
        values = {
            ":owner": owner,
            ":seen": attempt_seen,
            ":next": attempt_seen + 1,
            ":lease_until": lease_until,
            ":stale": stale,
            ":now": now,
        }
        return self.update(TAKE_OVER_STUCK, transaction_id, values)

    def open_transaction_ids(self, status: Status | Literal["conflict"]) -> Iterator[str]:
        return (keys["transaction_id"]["S"] for keys in open_keys(self._client, self._table_name, status))

    def open_since(self, status: Status | Literal["conflict"]) -> Iterator[int]:
        return (int(keys["created_at"]["N"]) for keys in open_keys(self._client, self._table_name, status))

    def _put(self, write: Write, item: Item, values: Mapping[str, Any]) -> Item | None:
        put = partial(
            self._client.put_item,
            TableName=self._table_name,
            Item=to_attributes(to_stored(item)),
            **condition(write, values),
        )
        return decided(write, item.transaction_id, put)

    def refunds(self) -> RefundLog:
        """The same table as refunds write it; made and imported where one is met."""
        from handler.adapters.table.refund_log import DynamoDbRefundLog

        return DynamoDbRefundLog(self._client, self._table_name)

    def update(self, write: Write, transaction_id: str, values: Mapping[str, Any]) -> Item | None:
        """One conditional update; `values` by their names in it. None where it took effect, else what stood there."""
        update = partial(
            self._client.update_item,
            TableName=self._table_name,
            Key={"transaction_id": {"S": transaction_id}},
            UpdateExpression=assignments(write),
            **condition(write, values),
        )
        return decided(write, transaction_id, update)


def decided(write: Write, transaction_id: str, send: Callable[[], object]) -> Item | None:
    """Send a write: None where it took effect, else the item that stood in its way."""
    try:
        send()
    except AwsError as error:
        image = error.document.get("Item")
        if error.code == "ConditionalCheckFailedException" and image:
            return from_stored(from_attributes(image))
        raise failure(write.name, transaction_id, error) from error
    return None


def outcome_values(owner: str, attempt: int, status: str, gateway: GatewayResult, now: int) -> dict[str, Any]:
    """The values of a write that records an outcome, by their names in it."""
    return {
        ":owner": owner,
        ":attempt": attempt,
        ":status": status,
        ":gateway_response": stored_response(gateway),
        ":processed_at": timestamp(now),
        ":now": now,
    }


def _refusal_values(owner: str, attempt: int, code: str, request_id: str, now: int) -> dict[str, Any]:
    refused = GatewayResult("declined", 0, "", code=code, request_id=request_id)
    return outcome_values(owner, attempt, "declined", refused, now)


def ended_shard(transaction_id: str) -> dict[str, str]:
    """The index's key of what ended and is to be forgotten, as the value of a write; by its id, which all have."""
    return {":ended_shard": f"{ENDED}#{sum(transaction_id.encode()) % OPEN_SHARDS}"}


def stored_response(gateway: GatewayResult) -> dict[str, str]:
    """What an item keeps of the gateway's answer: the published three, empty or not, and what else it said."""
    said = {**gateway._asdict(), "status": gateway.state}
    return {name: said[name] for name in GatewayResponse._fields if said[name] or name in _PUBLISHED}


def open_keys(client: DynamoDbClient, table_name: str, name: str, before: int | None = None) -> Iterator[Attributes]:
    """Key and `created_at` of the items under a name of the index, with `before` (ms) of those claimed before then.

    A name is a state, `ended`, or what is no payment.
    """
    for shard in range(OPEN_SHARDS):
        request: dict[str, Any] = {
            "TableName": table_name,
            "IndexName": OPEN_SHARD_INDEX,
            "KeyConditionExpression": "#open_shard = :open_shard",
            "ProjectionExpression": "#transaction_id, #created_at",
            "ExpressionAttributeNames": {
                "#open_shard": "open_shard",
                "#transaction_id": "transaction_id",
                "#created_at": "created_at",
            },
            "ExpressionAttributeValues": {":open_shard": {"S": f"{name}#{shard}"}},
        }
        if before is not None:
            request["KeyConditionExpression"] += " AND #created_at < :before"
            request["ExpressionAttributeValues"][":before"] = {"N": str(before)}
        while True:
            try:
                answer = client.query(**request)
            except AwsError as error:
                raise TransactionLogUnavailableError(f"query {name}#{shard}: {error}") from error
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def failure(call: str, transaction_id: str, error: AwsError) -> RetryableError:
    """What is wrong with the request stays wrong; all else may be different the next time."""
    if error.code == "ValidationException":
        return TableRefusedError(transaction_id, f"{call} {transaction_id}: {error}")
    return TransactionLogUnavailableError(f"{call} {transaction_id}: {error}")
