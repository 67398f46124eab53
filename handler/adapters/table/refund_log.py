"""Refunds in DynamoDB: a transaction that is canceled returns the items that stand in its way.

The rule it keeps: what reserves an amount at a payment, or gives it back, is one with the write of its refund.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from handler.adapters.support.errors import AwsError
from handler.adapters.table.expressions import (
    Attributes,
    assignments,
    condition,
    from_attributes,
    to_attributes,
)
from handler.adapters.table.refund_writes import (
    BEGIN_REFUND,
    CLAIM_REFUND,
    FAIL_REFUND,
    GIVE_RESERVATION_BACK,
    NEXT_REFUND_KEY,
    RECORD_REFUND,
    REFUSE_REFUND,
    RESERVE_REFUND,
    STORE_REFUND_REF,
    TAKE_OVER_REFUND,
)
from handler.adapters.table.transaction_log import failure, open_keys
from handler.adapters.table.writes import Write
from handler.domain.errors import DamagedItemError, TransactionLogUnavailableError
from handler.domain.item import GatewayResponse
from handler.domain.refund_item import (
    Captured,
    RefundItem,
    captured_from_stored,
    refund_from_stored,
    refund_to_stored,
)
from handler.domain.refund_ports import InTheWay

if TYPE_CHECKING:
    from handler.adapters.table.transaction_log import DynamoDbClient

# A write of a transaction, as DynamoDB takes it.
_Part = dict[str, dict[str, Any]]
_TOKEN_CHARACTERS: Final = 36


class DynamoDbRefundLog:
    """`RefundLog` over one table."""

    def __init__(self, client: DynamoDbClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, transaction_id: str) -> RefundItem | None:
        stored = self._read(transaction_id)
        return None if stored is None else refund_from_stored(stored)

    def payment(self, transaction_id: str) -> Captured | None:
        stored = self._read(transaction_id)
        return None if stored is None else captured_from_stored(stored)

    def claim(self, refund: RefundItem) -> RefundItem | None:
        part = self._put(refund)["Put"]
        return self._decided(CLAIM_REFUND, refund.transaction_id, partial(self._client.put_item, **part))

    def claim_reserved(self, refund: RefundItem, *, captured_minor: int) -> InTheWay | None:
        reserve = self._reserve(refund, captured_minor, refund.created_at)
        return self._transact(CLAIM_REFUND, refund.transaction_id, [reserve, self._put(refund)])

    def begin(
        self, refund: RefundItem, *, owner: str, gateway_ref: str, captured_minor: int, now: int
    ) -> InTheWay | None:
        values = {":owner": owner, ":next": refund.attempt + 1, ":gateway_ref": gateway_ref, ":now": now}
        begin = self._update(BEGIN_REFUND, refund.transaction_id, values)
        reserve = self._reserve(refund, captured_minor, now)
        return self._transact(BEGIN_REFUND, refund.transaction_id, [reserve, begin])

    def refuse(self, transaction_id: str, *, reason_code: str, now: int) -> RefundItem | None:
        return self._send(REFUSE_REFUND, transaction_id, {":reason_code": reason_code, ":now": now})

    def take_over(
        self, transaction_id: str, *, owner: str, attempt_seen: int, stale: int, now: int
    ) -> RefundItem | None:
        values = {":owner": owner, ":seen": attempt_seen, ":next": attempt_seen + 1, ":stale": stale, ":now": now}
        return self._send(TAKE_OVER_REFUND, transaction_id, values)

    def next_key(self, transaction_id: str, *, attempt: int, gateway_try_seen: int, now: int) -> RefundItem | None:
        values = {":attempt": attempt, ":seen": gateway_try_seen, ":next": gateway_try_seen + 1, ":now": now}
        return self._send(NEXT_REFUND_KEY, transaction_id, values)

    def store_ref(self, transaction_id: str, *, refund_ref: str, now: int) -> RefundItem | None:
        return self._send(STORE_REFUND_REF, transaction_id, {":refund_ref": refund_ref, ":now": now})

    def record(self, transaction_id: str, *, refund_ref: str, now: int) -> RefundItem | None:
        return self._send(RECORD_REFUND, transaction_id, {":refund_ref": refund_ref, ":now": now})

    def fail(
        self,
        refund: RefundItem,
        *,
        status_seen: Literal["pending", "refunded"],
        reason_code: str,
        response: GatewayResponse,
        now: int,
    ) -> RefundItem | None:
        said = {name: value for name, value in response._asdict().items() if value}
        values = {
            ":seen": status_seen,
            ":attempt": refund.attempt,
            ":reason_code": reason_code,
            ":gateway_response": said,
            ":now": now,
        }
        back = {":amount_minor": refund.amount_minor, ":now": now}
        parts = [
            self._update(GIVE_RESERVATION_BACK, refund.payment_transaction_id, back),
            self._update(FAIL_REFUND, refund.transaction_id, values),
        ]
        refused = self._transact(FAIL_REFUND, refund.transaction_id, parts)
        if refused is not None and refused.refund is None:
            key = refund.payment_transaction_id
            raise DamagedItemError(key, f"{key} has less reserved than {refund.transaction_id} gives back")
        return None if refused is None else refused.refund

    def open_transaction_ids(self) -> Iterator[str]:
        return (keys["transaction_id"]["S"] for keys in open_keys(self._client, self._table_name, "refund"))

    def open_since(self) -> Iterator[int]:
        return (int(keys["created_at"]["N"]) for keys in open_keys(self._client, self._table_name, "refund"))

    def _read(self, transaction_id: str) -> dict[str, Any] | None:
        try:
            answer = self._client.get_item(
                TableName=self._table_name, Key={"transaction_id": {"S": transaction_id}}, ConsistentRead=True
            )
        except AwsError as error:
            raise failure("get", transaction_id, error) from error
        return from_attributes(answer["Item"]) if "Item" in answer else None

    def _put(self, refund: RefundItem) -> _Part:
        item = to_attributes(refund_to_stored(refund))
        return {"Put": {"TableName": self._table_name, "Item": item, **condition(CLAIM_REFUND, {})}}

    def _reserve(self, refund: RefundItem, captured_minor: int, now: int) -> _Part:
        values = {
            ":amount_minor": refund.amount_minor,
            ":captured_less_amount": captured_minor - refund.amount_minor,
            ":now": now,
        }
        return self._update(RESERVE_REFUND, refund.payment_transaction_id, values)

    def _update(self, write: Write, transaction_id: str, values: Mapping[str, Any]) -> _Part:
        return {
            "Update": {
                "TableName": self._table_name,
                "Key": {"transaction_id": {"S": transaction_id}},
                "UpdateExpression": assignments(write),
                **condition(write, values),
            }
        }

    def _send(self, write: Write, transaction_id: str, values: Mapping[str, Any]) -> RefundItem | None:
        part = self._update(write, transaction_id, values)["Update"]
        return self._decided(write, transaction_id, partial(self._client.update_item, **part))

    def _decided(self, write: Write, transaction_id: str, send: Callable[[], object]) -> RefundItem | None:
        try:
            send()
        except AwsError as error:
            image = error.document.get("Item")
            if error.code == "ConditionalCheckFailedException" and image:
                return refund_from_stored(from_attributes(image))
            raise failure(write.name, transaction_id, error) from error
        return None

    def _transact(self, write: Write, transaction_id: str, parts: list[_Part]) -> InTheWay | None:
        """Two writes or none, the payment's first; None where they took effect, else what stood in their way."""
        # Of the same content, which is sent again by the client alone: within ten minutes DynamoDB answers it alike.
        token = hashlib.sha256(repr(parts).encode()).hexdigest()[:_TOKEN_CHARACTERS]
        try:
            self._client.transact_write_items(TransactItems=parts, ClientRequestToken=token)
        except AwsError as error:
            payment, refund = _images(error)
            if refund is None and payment is None:
                raise _unavailable(write, transaction_id, error) from error
            return InTheWay(
                None if refund is None else refund_from_stored(from_attributes(refund)),
                None if payment is None else captured_from_stored(from_attributes(payment)),
            )
        return None


def _images(error: AwsError) -> tuple[Attributes | None, Attributes | None]:
    """The items of the writes whose conditions did not hold, in the transaction's order."""
    reasons = error.document.get("CancellationReasons") or []
    if error.code != "TransactionCanceledException" or len(reasons) != 2:
        return None, None
    payment, refund = (
        reason.get("Item") or None if reason.get("Code") == "ConditionalCheckFailed" else None for reason in reasons
    )
    return payment, refund


def _unavailable(write: Write, transaction_id: str, error: AwsError) -> Exception:
    """A transaction that met another one, or throttling, is canceled too, and may go through the next time."""
    if error.code == "TransactionCanceledException":
        codes = [str(reason.get("Code")) for reason in error.document.get("CancellationReasons") or []]
        return TransactionLogUnavailableError(f"{write.name} {transaction_id} was canceled: {', '.join(codes)}")
    return failure(write.name, transaction_id, error)
