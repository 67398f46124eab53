"""The transaction log with every write: also those of operators and of reconcile on parked and on ended payments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from handler.adapters.table.approval_log import DynamoDbApprovalLog
from handler.adapters.table.forget_writes import FORGET_CONFLICT, FORGET_PERSON
from handler.adapters.table.later_writes import RECORD_DISPUTED, RECORD_REFUNDED
from handler.adapters.table.parking_writes import ALLOW_RETRY, CANCEL_PARKED, RECORD_CANCELLED, RECORD_PARKED
from handler.adapters.table.transaction_log import ended_shard, open_keys, outcome_values, stored_response
from handler.domain.item import Item, timestamp
from handler.domain.payment import DisputeSeen, GatewayResult, RefundSeen


class DynamoDbParkingLog(DynamoDbApprovalLog):
    """`LaterLog`, and so every log that it is, over one table."""

    def allow_retry(self, transaction_id: str, *, park_no_seen: int, retried_by: str, now: int) -> Item | None:
        values = {":seen": park_no_seen, ":retried_by": retried_by, ":now": now}
        return self.update(ALLOW_RETRY, transaction_id, values)

    def record_parked(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None:
        values = outcome_values(owner, attempt, status, gateway, now)
        return self.update(RECORD_PARKED, transaction_id, {**values, **ended_shard(transaction_id)})

    def cancel_parked(self, transaction_id: str, *, cancelled_by: str, cancel_reason: str, now: int) -> Item | None:
        values = {
            ":cancelled_by": cancelled_by,
            ":cancel_reason": cancel_reason,
            ":processed_at": timestamp(now),
            ":now": now,
        }
        return self.update(CANCEL_PARKED, transaction_id, {**values, **ended_shard(transaction_id)})

    def record_cancelled(
        self,
        transaction_id: str,
        *,
        gateway_ref: str,
        cancelled_by: str,
        cancel_reason: str,
        gateway: GatewayResult,
        now: int,
    ) -> Item | None:
        values = {
            ":gateway_ref": gateway_ref,
            ":gateway_response": stored_response(gateway),
            ":cancelled_by": cancelled_by,
            ":cancel_reason": cancel_reason,
            ":processed_at": timestamp(now),
            ":now": now,
        }
        return self.update(RECORD_CANCELLED, transaction_id, {**values, **ended_shard(transaction_id)})

    def record_refunded(
        self, transaction_id: str, *, gateway_ref: str, later_no_seen: int, refunded: Sequence[RefundSeen], now: int
    ) -> Item | None:
        values = {":refunded": tuple(refunded), **_later_values(gateway_ref, later_no_seen, now)}
        return self.update(RECORD_REFUNDED, transaction_id, values)

    def record_disputed(
        self, transaction_id: str, *, gateway_ref: str, later_no_seen: int, disputed: Sequence[DisputeSeen], now: int
    ) -> Item | None:
        values = {":disputed": tuple(disputed), **_later_values(gateway_ref, later_no_seen, now)}
        return self.update(RECORD_DISPUTED, transaction_id, values)

    def indexed_before(self, name: Literal["ended", "conflict"], *, before: int) -> Iterator[str]:
        keys = open_keys(self._client, self._table_name, name, before)
        return (each["transaction_id"]["S"] for each in keys)

    def forget_person(self, transaction_id: str, *, before: int, now: int) -> Item | None:
        values = {":ended_before": timestamp(before), ":now": now, **ended_shard(transaction_id)}
        return self.update(FORGET_PERSON, transaction_id, values)

    def forget_conflict(self, transaction_id: str, *, before: int, now: int) -> Item | None:
        return self.update(FORGET_CONFLICT, transaction_id, {":created_before": before, ":now": now})


def _later_values(gateway_ref: str, later_no_seen: int, now: int) -> dict[str, str | int]:
    return {":gateway_ref": gateway_ref, ":seen": later_no_seen, ":next": later_no_seen + 1, ":now": now}
