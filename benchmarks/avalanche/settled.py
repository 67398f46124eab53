"""What the table of a deployed environment says of an avalanche's payments, and the audit that this allows.

The rule: reads only; and no check that needs the gateway's ledger or the logs, as on AWS neither is ours to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from benchmarks.avalanche.seen import Payment
from local import audit
from local.evidence import Evidence, Sent
from local.traffic import Message

# AWS: "BatchGetItem", keys of one request.
_KEYS_MAX = 100
CHECKS: tuple[Callable[[Evidence], Iterable[str]], ...] = (
    audit.every_message_settled_once,
    audit.nothing_left_open,
    audit.outcomes_are_the_right_ones,
    audit.conflicts_are_kept_apart,
    audit.charged_for_the_recorded_amount,
    audit.groups_keep_their_order,
    audit.items_are_complete,
)


class SettledPayments:
    """Items by payment id; those that are final are read once."""

    def __init__(self, dynamodb: Any, table: str, messages: Sequence[Message]) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._ids = [message.payment_id for message in messages]
        self._items: dict[str, dict[str, Any]] = {}

    def read(self) -> int:
        """Read what is not final yet; how many are. Raises ClientError, BotoCoreError."""
        open_ids = [name for name in self._ids if not self._is_final(name)]
        deserialize = TypeDeserializer().deserialize
        for start in range(0, len(open_ids), _KEYS_MAX):
            keys = [{"transaction_id": {"S": f"txn-{name}"}} for name in open_ids[start : start + _KEYS_MAX]]
            wanted = {self._table: {"Keys": keys, "ConsistentRead": True}}
            while wanted:
                answer = self._dynamodb.batch_get_item(RequestItems=wanted)
                for raw in answer["Responses"].get(self._table, []):
                    item = {name: deserialize(value) for name, value in raw.items()}
                    self._items[item["payment_id"]] = item
                wanted = answer.get("UnprocessedKeys") or {}
        return sum(self._is_final(name) for name in self._ids)

    @property
    def items(self) -> list[dict[str, Any]]:
        """As they were read last."""
        return list(self._items.values())

    def payments(self, sent: Sequence[Sent], begun_ms: int) -> list[Payment]:
        """Each message with the second since `begun_ms` at which its item became final, by the function's clock."""
        return [
            Payment(
                each.message.number,
                each.message.group,
                (each.sent_ms - begun_ms) / 1000,
                None,
                (int(self._items[name]["updated_at"]) - begun_ms) / 1000 if self._is_final(name) else None,
            )
            for each in sent
            for name in (each.message.payment_id,)
        ]

    def _is_final(self, payment_id: str) -> bool:
        return self._items.get(payment_id, {}).get("status") in audit.FINAL


def problems(
    environment: str, sent: list[Sent], items: list[dict[str, Any]], left_on_queue: int
) -> dict[str, list[str]]:
    """The sentences against each check."""
    evidence = Evidence(environment, sent, items, [], [], left_on_queue, None)
    return {check.__name__: list(check(evidence)) for check in CHECKS}
