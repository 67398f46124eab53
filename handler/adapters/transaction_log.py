"""The transaction log in DynamoDB: every write is one conditional write, and a refused one returns what stands there.

The conditions are the protocol. Each is a table row below, one clause a line with its reason, so that a test can drop
any one of them and show that a payment then goes wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict, Unpack

from botocore.exceptions import BotoCoreError, ClientError

from handler.domain.errors import TransactionLogUnavailableError
from handler.domain.item import GatewayResponse, Item, from_stored, timestamp, to_stored
from handler.domain.payment import GatewayResult, Reason
from handler.domain.states import OPEN_SHARDS, Status, open_shard

AttributeValue = dict[str, Any]
Attributes = dict[str, AttributeValue]


class Write(NamedTuple):
    """One write of the protocol. Attributes are spelled `#name`, values `:name`; clauses are joined by AND."""

    name: str
    condition: tuple[str, ...]
    set: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


CLAIM = Write(
    "claim",
    condition=(
        # A payment id is claimed once, whoever delivers it and however often.
        "attribute_not_exists(#transaction_id)",
    ),
)
TAKE_OVER = Write(
    "take over",
    condition=(
        # A final item, or one that waits for a person, is not taken over.
        "#status = :processing",
        # Nobody else took it over since we looked: the attempt is the fencing number.
        "#attempt = :seen",
        # Its worker had all the time that it may have, and must have stopped.
        "#lease_until <= :now",
        # It is the payment that this message asks for.
        "#request_hash = :request_hash",
        # The approval workflow charges on its own, without a lease.
        "attribute_not_exists(#approval_name)",
    ),
    set=("#owner = :owner", "#lease_until = :lease_until", "#attempt = :next", "#updated_at = :now"),
)
STORE_GATEWAY_REF = Write(
    "store gateway reference",
    condition=(
        "#status = :processing",
        "#owner = :owner",
        # The same owner after a take-over and back is another attempt.
        "#attempt = :attempt",
        # Never a second reference: each one can be charged once.
        "attribute_not_exists(#gateway_ref)",
    ),
    set=("#gateway_ref = :gateway_ref", "#updated_at = :now"),
)
RECORD = Write(
    "record",
    condition=(
        # The first recorded outcome stands.
        "#status = :processing",
        # A worker that lost the payment may not write it, however late its answer comes.
        "#owner = :owner",
        "#attempt = :attempt",
    ),
    set=(
        "#status = :status",
        "#gateway_response = :gateway_response",
        "#processed_at = :processed_at",
        "#updated_at = :now",
    ),
    remove=("#lease_until", "#open_shard"),
)
RELEASE = Write(
    "release",
    condition=("#status = :processing", "#owner = :owner", "#attempt = :attempt"),
    set=("#lease_until = :zero", "#updated_at = :now"),
)
TAKE_OVER_STUCK = Write(
    "take over stuck",
    condition=(
        "#status = :processing",
        # Nobody else took it over since it was read.
        "#attempt = :seen",
        # Its worker is long gone; a workflow has no lease and is asked about before.
        "(attribute_not_exists(#lease_until) OR #lease_until < :stale)",
        # A payment that was released, or whose execution ended, may still be at the gateway or be delivered again.
        "#updated_at < :stale",
    ),
    set=("#owner = :owner", "#lease_until = :lease_until", "#attempt = :next", "#updated_at = :now"),
)

ADOPT = Write(
    "adopt approval",
    condition=(
        "#status = :pending",
        # An execution of an earlier generation was given up, and may not come back.
        "#approval_name = :name",
        # It is the payment that this execution was started for.
        "#request_hash = :request_hash",
        # One execution a generation, which may adopt again after a crash.
        "(attribute_not_exists(#execution_arn) OR #execution_arn = :arn)",
    ),
    set=(
        "#execution_arn = :arn",
        # What people were told stands, however often and however late this write is repeated.
        "#approval_expires_at = if_not_exists(#approval_expires_at, :expires_at)",
        "#approval_reasons = :reasons",
        "#risk = :risk",
        "#fraud_score = :fraud_score",
        "#risk_reasons = :risk_reasons",
        "#updated_at = :now",
    ),
)
ASK = Write(
    "ask for approval",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        # Who decided was asked before: no second question, no second notification.
        "attribute_not_exists(#decision)",
    ),
    set=("#callback_id = :callback_id", "#updated_at = :now"),
)
DECIDE = Write(
    "decide approval",
    condition=(
        "#status = :pending",
        # The first decision stands.
        "attribute_not_exists(#decision)",
        "#approval_expires_at > :now",
        # The question that was asked is the one that is open now.
        "#callback_id = :callback_id",
        # What was shown to the approver is what will be charged.
        "#request_hash = :request_hash",
    ),
    set=(
        "#decision = :decision",
        "#decided_by = :decided_by",
        "#decided_at = :now",
        "#comment = :comment",
        "#updated_at = :now",
    ),
)
EXPIRE = Write(
    "expire approval",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        # A decision in the last moment is obeyed.
        "attribute_not_exists(#decision)",
    ),
    set=("#status = :expired", "#processed_at = :processed_at", "#updated_at = :now"),
    remove=("#open_shard",),
)
REJECT = Write(
    "reject approval",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        "#decision = :reject",
    ),
    set=(
        "#status = :rejected",
        "#reason_code = :approval_rejected",
        "#processed_at = :processed_at",
        "#updated_at = :now",
    ),
    remove=("#open_shard",),
)
BEGIN_CHARGE = Write(
    "begin approved charge",
    condition=(
        "#status = :pending",
        "#execution_arn = :arn",
        "#decision = :approve",
        # What was approved is what is charged, whoever changed the item or the input in between.
        "#request_hash = :request_hash",
        "#amount_minor = :amount_minor",
    ),
    set=(
        "#status = :processing",
        "#owner = :arn",
        "#attempt = :next",
        "#open_shard = :open_shard",
        "#updated_at = :now",
    ),
)
EXPIRE_OVERDUE = Write(
    "expire overdue approval",
    condition=(
        "#status = :pending",
        # Its own execution had ten minutes to do this.
        "#approval_expires_at < :overdue",
        "attribute_not_exists(#decision)",
    ),
    set=("#status = :expired", "#processed_at = :processed_at", "#updated_at = :now"),
    remove=("#open_shard",),
)
RESTART = Write(
    "restart approval",
    condition=(
        "#status = :pending",
        # Nobody else restarted it since we looked. A decision may stand: the new execution obeys it.
        "#generation = :generation",
        # Nor did an execution adopt it: the one that is given up is the one that was seen to be closed, or none.
        "(attribute_not_exists(#execution_arn) OR #execution_arn = :closed)",
    ),
    set=("#generation = :next", "#approval_name = :name", "#updated_at = :now"),
    # The new execution asks anew, and people have their whole time again.
    remove=("#execution_arn", "#callback_id", "#approval_expires_at"),
)
RESTART_CHARGE = Write(
    "restart charge",
    # Reconcile holds the payment, so that no execution does, and has asked what became of its reference.
    condition=("#status = :processing", "#owner = :owner", "#attempt = :attempt"),
    set=(
        "#status = :pending",
        "#generation = :next",
        "#approval_name = :name",
        "#open_shard = :open_shard",
        "#updated_at = :now",
    ),
    remove=("#lease_until", "#execution_arn", "#callback_id", "#approval_expires_at"),
)


WRITES = (
    CLAIM,
    TAKE_OVER,
    STORE_GATEWAY_REF,
    RECORD,
    RELEASE,
    TAKE_OVER_STUCK,
    ADOPT,
    ASK,
    DECIDE,
    EXPIRE,
    REJECT,
    BEGIN_CHARGE,
    EXPIRE_OVERDUE,
    RESTART,
    RESTART_CHARGE,
)

# The sparse index of open items (protocol, "Index"); read with `query`, written by DynamoDB itself.
OPEN_SHARD_INDEX = "open-shard-index"

_CONSTANTS: Mapping[str, Any] = {
    ":processing": "processing",
    ":pending": "pending_approval",
    ":expired": "expired",
    ":rejected": "rejected",
    ":approval_rejected": "approval_rejected",
    ":approve": "approve",
    ":reject": "reject",
    ":zero": 0,
}
_NAME = re.compile(r"#(\w+)")
_VALUE = re.compile(r":\w+")


class Expressions(TypedDict):
    """The parameters by which a write is conditional; names are aliases throughout."""

    ConditionExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: NotRequired[dict[str, AttributeValue]]
    ReturnValuesOnConditionCheckFailure: str


class UpdateExpressions(Expressions):
    UpdateExpression: str


class DynamoDbClient(Protocol):
    """The calls of a botocore DynamoDB client that the transaction log makes."""

    def get_item(self, *, TableName: str, Key: Attributes, ConsistentRead: bool) -> dict[str, Any]: ...

    def put_item(self, *, TableName: str, Item: Attributes, **expressions: Unpack[Expressions]) -> dict[str, Any]: ...

    def update_item(
        self, *, TableName: str, Key: Attributes, **expressions: Unpack[UpdateExpressions]
    ) -> dict[str, Any]: ...

    def query(self, **parameters: Any) -> dict[str, Any]: ...


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
        except (ClientError, BotoCoreError) as error:
            raise TransactionLogUnavailableError(f"get {transaction_id}: {error}") from error
        return from_stored(from_attributes(answer["Item"])) if "Item" in answer else None

    def put_new(self, item: Item) -> Item | None:
        write = partial(
            self._client.put_item,
            TableName=self._table_name,
            Item=to_attributes(to_stored(item)),
            **_condition(CLAIM, {}),
        )
        return _decided(CLAIM, item.transaction_id, write)

    def take_over(
        self, transaction_id: str, *, owner: str, attempt_seen: int, lease_until: int, now: int, request_hash: str
    ) -> Item | None:
        values = {
            ":owner": owner,
            ":seen": attempt_seen,
            ":next": attempt_seen + 1,
            ":lease_until": lease_until,
            ":now": now,
            ":request_hash": request_hash,
        }
        return self._update(TAKE_OVER, transaction_id, values)

    def store_gateway_ref(
        self, transaction_id: str, *, owner: str, attempt: int, gateway_ref: str, now: int
    ) -> Item | None:
        values = {":owner": owner, ":attempt": attempt, ":gateway_ref": gateway_ref, ":now": now}
        return self._update(STORE_GATEWAY_REF, transaction_id, values)

    def record(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None:
        response = GatewayResponse(gateway.state, gateway.authorization_code, gateway.timestamp)
        values = {
            ":owner": owner,
            ":attempt": attempt,
            ":status": status,
            ":gateway_response": response,
            ":processed_at": timestamp(now),
            ":now": now,
        }
        return self._update(RECORD, transaction_id, values)

    def release(self, transaction_id: str, *, owner: str, attempt: int, now: int) -> Item | None:
        return self._update(RELEASE, transaction_id, {":owner": owner, ":attempt": attempt, ":now": now})

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
        return self._update(TAKE_OVER_STUCK, transaction_id, values)

    def open_transaction_ids(self, status: Status) -> Iterator[str]:
        for shard in range(OPEN_SHARDS):
            request: dict[str, Any] = {
                "TableName": self._table_name,
                "IndexName": OPEN_SHARD_INDEX,
                "KeyConditionExpression": "#open_shard = :open_shard",
                "ProjectionExpression": "#transaction_id",
                "ExpressionAttributeNames": {"#open_shard": "open_shard", "#transaction_id": "transaction_id"},
                "ExpressionAttributeValues": {":open_shard": {"S": f"{status}#{shard}"}},
            }
            while True:
                try:
                    answer = self._client.query(**request)
                except (ClientError, BotoCoreError) as error:
                    raise TransactionLogUnavailableError(f"query {status}#{shard}: {error}") from error
                for item in answer["Items"]:
                    yield item["transaction_id"]["S"]
                if "LastEvaluatedKey" not in answer:
                    break
                request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def adopt_approval(
        self,
        transaction_id: str,
        *,
        name: str,
        arn: str,
        request_hash: str,
        expires_at: int,
        reasons: Sequence[str],
        risk: int,
        fraud_score: int,
        risk_reasons: Sequence[Reason],
        now: int,
    ) -> Item | None:
        values = {
            ":name": name,
            ":arn": arn,
            ":request_hash": request_hash,
            ":expires_at": expires_at,
            ":reasons": reasons,
            ":risk": risk,
            ":fraud_score": fraud_score,
            ":risk_reasons": risk_reasons,
            ":now": now,
        }
        return self._update(ADOPT, transaction_id, values)

    def ask_approval(self, transaction_id: str, *, arn: str, callback_id: str, now: int) -> Item | None:
        return self._update(ASK, transaction_id, {":arn": arn, ":callback_id": callback_id, ":now": now})

    def decide_approval(
        self,
        transaction_id: str,
        *,
        decision: str,
        decided_by: str,
        comment: str,
        callback_id: str,
        request_hash: str,
        now: int,
    ) -> Item | None:
        values = {
            ":decision": decision,
            ":decided_by": decided_by,
            ":comment": comment,
            ":callback_id": callback_id,
            ":request_hash": request_hash,
            ":now": now,
        }
        return self._update(DECIDE, transaction_id, values)

    def expire_approval(self, transaction_id: str, *, arn: str, now: int) -> Item | None:
        return self._update(EXPIRE, transaction_id, {":arn": arn, ":processed_at": timestamp(now), ":now": now})

    def reject_approval(self, transaction_id: str, *, arn: str, now: int) -> Item | None:
        return self._update(REJECT, transaction_id, {":arn": arn, ":processed_at": timestamp(now), ":now": now})

    def begin_approved_charge(
        self, transaction_id: str, *, arn: str, attempt_seen: int, request_hash: str, amount_minor: int, now: int
    ) -> Item | None:
        values = {
            ":arn": arn,
            ":next": attempt_seen + 1,
            ":request_hash": request_hash,
            ":amount_minor": amount_minor,
            ":open_shard": open_shard("processing", request_hash),
            ":now": now,
        }
        return self._update(BEGIN_CHARGE, transaction_id, values)

    def expire_overdue_approval(self, transaction_id: str, *, overdue: int, now: int) -> Item | None:
        values = {":overdue": overdue, ":processed_at": timestamp(now), ":now": now}
        return self._update(EXPIRE_OVERDUE, transaction_id, values)

    def restart_approval(
        self, transaction_id: str, *, generation_seen: int, closed_arn: str, name: str, now: int
    ) -> Item | None:
        values = {
            ":generation": generation_seen,
            ":closed": closed_arn,
            ":next": generation_seen + 1,
            ":name": name,
            ":now": now,
        }
        return self._update(RESTART, transaction_id, values)

    def restart_charge(
        self, transaction_id: str, *, owner: str, attempt: int, generation: int, name: str, request_hash: str, now: int
    ) -> Item | None:
        values = {
            ":owner": owner,
            ":attempt": attempt,
            ":next": generation,
            ":name": name,
            ":open_shard": open_shard("pending_approval", request_hash),
            ":now": now,
        }
        return self._update(RESTART_CHARGE, transaction_id, values)

    def _update(self, write: Write, transaction_id: str, values: Mapping[str, Any]) -> Item | None:
        update = partial(
            self._client.update_item,
            TableName=self._table_name,
            Key={"transaction_id": {"S": transaction_id}},
            UpdateExpression=_assignments(write),
            **_condition(write, values),
        )
        return _decided(write, transaction_id, update)


def _decided(write: Write, transaction_id: str, send: Callable[[], object]) -> Item | None:
    """Send a write: None where it took effect, else the item that stood in its way."""
    try:
        send()
    except ClientError as error:
        # Beside the error and not inside it: botocore puts the image at the top of the response.
        image = error.response.get("Item")
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException" and image:
            return from_stored(from_attributes(image))
        raise TransactionLogUnavailableError(f"{write.name} {transaction_id}: {error}") from error
    except BotoCoreError as error:
        raise TransactionLogUnavailableError(f"{write.name} {transaction_id}: {error}") from error
    return None


def _assignments(write: Write) -> str:
    return f"SET {', '.join(write.set)}" + (f" REMOVE {', '.join(write.remove)}" if write.remove else "")


def _condition(write: Write, values: Mapping[str, Any]) -> Expressions:
    """A write's condition, with the names and values of its update too: `status` and `owner` are reserved words."""
    condition = " AND ".join(write.condition)
    text = f"{condition} {_assignments(write)}" if write.set else condition
    given = {**_CONSTANTS, **values}
    used = sorted(set(_VALUE.findall(text)))
    parameters = Expressions(
        ConditionExpression=condition,
        ExpressionAttributeNames={f"#{name}": name for name in sorted(set(_NAME.findall(text)))},
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    if used:
        parameters["ExpressionAttributeValues"] = {name: _to_attribute(given[name]) for name in used}
    return parameters


def to_attributes(item: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """A plain mapping as DynamoDB attribute values. Raises TypeError for a float or any other foreign type."""
    return {name: _to_attribute(value) for name, value in item.items()}


def from_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, Any]:
    """DynamoDB attribute values as a plain mapping; numbers are int where they are whole, else Decimal."""
    return {name: _from_attribute(value) for name, value in attributes.items()}


def _to_attribute(value: Any) -> AttributeValue:
    # bool before int, of which it is a subclass.
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | Decimal):
        return {"N": str(value)}
    # Named tuples are rows of named values, as reasons and faults are.
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {"M": to_attributes(value._asdict())}
    if isinstance(value, list | tuple):
        return {"L": [_to_attribute(element) for element in value]}
    if isinstance(value, dict):
        return {"M": to_attributes(value)}
    raise TypeError(f"{type(value).__name__} is not stored: {value!r}")


def _from_attribute(attribute: AttributeValue) -> Any:
    kind, value = next(iter(attribute.items()))
    if kind == "N":
        number = Decimal(value)
        return int(number) if number == number.to_integral_value() else number
    if kind == "L":
        return [_from_attribute(element) for element in value]
    if kind == "M":
        return from_attributes(value)
    return value
