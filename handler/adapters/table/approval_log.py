"""The transaction log with the writes of a payment that waits for a person; refused and answered like the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from handler.adapters.support.errors import AwsError
from handler.adapters.table.approval_writes import (
    ADOPT,
    ASK,
    BEGIN_CHARGE,
    DECIDE,
    EXPIRE,
    EXPIRE_OVERDUE,
    RECORD_FOUND,
    REJECT,
    RESTART,
    RESTART_CHARGE,
)
from handler.adapters.table.transaction_log import DynamoDbTransactionLog, ended_shard, open_keys, stored_response
from handler.domain.errors import TransactionLogUnavailableError
from handler.domain.item import Item, timestamp
from handler.domain.payment import GatewayResult, Reason, Shown
from handler.domain.states import open_shard

# All payments of one billing identity, by their time (protocol, "Index").
FINGERPRINT_INDEX: Final = "fingerprint-index"


class DynamoDbApprovalLog(DynamoDbTransactionLog):
    """`ApprovalLog` over one table."""

    def of_identity(self, fingerprint: str, *, before: int, limit: int) -> list[str]:
        try:
            answer = self._client.query(
                TableName=self._table_name,
                IndexName=FINGERPRINT_INDEX,
                KeyConditionExpression="#fingerprint = :fingerprint AND #created_at < :before",
                ProjectionExpression="#transaction_id",
                ExpressionAttributeNames={f"#{name}": name for name in ("fingerprint", "created_at", "transaction_id")},
                ExpressionAttributeValues={":fingerprint": {"S": fingerprint}, ":before": {"N": str(before)}},
                ScanIndexForward=False,
                Limit=limit,
            )
        except AwsError as error:
            raise TransactionLogUnavailableError(f"query {FINGERPRINT_INDEX}: {error}") from error
        return [keys["transaction_id"]["S"] for keys in answer["Items"]]

    def waiting_longest(self, limit: int) -> tuple[list[str], int]:
        keys = open_keys(self._client, self._table_name, "pending_approval")
        found = sorted((int(each["created_at"]["N"]), each["transaction_id"]["S"]) for each in keys)
        return [name for _, name in found[:limit]], len(found)

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
        shown: Shown,
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
            ":shown": shown,
            ":now": now,
        }
        return self.update(ADOPT, transaction_id, values)

    def ask_approval(self, transaction_id: str, *, arn: str, callback_id: str, now: int) -> Item | None:
        return self.update(ASK, transaction_id, {":arn": arn, ":callback_id": callback_id, ":now": now})

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
        return self.update(DECIDE, transaction_id, values)

    def expire_approval(self, transaction_id: str, *, arn: str, now: int) -> Item | None:
        return self.update(EXPIRE, transaction_id, _ended(transaction_id, arn, now))

    def reject_approval(self, transaction_id: str, *, arn: str, now: int) -> Item | None:
        return self.update(REJECT, transaction_id, _ended(transaction_id, arn, now))

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
        return self.update(BEGIN_CHARGE, transaction_id, values)

    def expire_overdue_approval(self, transaction_id: str, *, overdue: int, now: int) -> Item | None:
        values = {":overdue": overdue, ":processed_at": timestamp(now), ":now": now}
        return self.update(EXPIRE_OVERDUE, transaction_id, {**values, **ended_shard(transaction_id)})

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
        return self.update(RESTART, transaction_id, values)

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
        return self.update(RESTART_CHARGE, transaction_id, values)

    def record_found(
        self,
        transaction_id: str,
        *,
        status_seen: str,
        attempt_seen: int,
        gateway_ref: str,
        status: str,
        gateway: GatewayResult,
        now: int,
    ) -> Item | None:
        values = {
            ":waiting": status_seen,
            ":attempt": attempt_seen,
            ":gateway_ref": gateway_ref,
            ":status": status,
            ":gateway_response": stored_response(gateway),
            ":processed_at": timestamp(now),
            ":now": now,
        }
        return self.update(RECORD_FOUND, transaction_id, {**values, **ended_shard(transaction_id)})


def _ended(transaction_id: str, arn: str, now: int) -> dict[str, str | int]:
    return {":arn": arn, ":processed_at": timestamp(now), ":now": now, **ended_shard(transaction_id)}
