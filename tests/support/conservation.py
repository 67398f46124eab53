"""The books of a day for tests: items in a table, what a gateway has of them, and what its lists lack of that."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from handler.adapters.table.expressions import to_attributes
from handler.adapters.table.memory import MemoryDynamoDb
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.domain.conservation import Day, Owed, Sums, compare
from handler.domain.errors import GatewayReferenceUnknownError
from handler.domain.item import timestamp
from handler.domain.payment import Dispute, GatewayResult, Kind, Movement, Refund
from tests.support.payments import whole_item

HOUR = 3_600_000
START = round(datetime(2026, 11, 27, tzinfo=UTC).timestamp() * 1000)
DAY = Day(START, START + 24 * HOUR, START - HOUR)
NOON, MIDNIGHT = START + 12 * HOUR, START + 24 * HOUR
RESULTS: dict[str, Any] = {"done": "approved", "pending": "in_progress", "failed": "declined"}
REFUNDS: dict[str, Any] = {"done": "refunded", "pending": "pending", "failed": "failed"}


class Books:
    """A table, what the gateway has, and what its lists lack of that; the export is the table at the day's end."""

    def __init__(self) -> None:
        self.dynamodb = MemoryDynamoDb()
        self.movements: list[Movement] = []
        self.unlisted: set[str] = set()
        self.exported: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []

    def payment(self, name: str, amount: int = 1000, currency: str = "USD", at: int = NOON, **given: Any) -> None:
        """A completed payment under the reference `pi_<name>`, or what `given` makes of it."""
        ended = {"processed_at": timestamp(at)} if given.get("status", "completed") == "completed" else {}
        self.keep(
            whole_item(
                {
                    "status": "completed",
                    "transaction_id": f"txn-{name}",
                    "payment_id": name,
                    "gateway_ref": f"pi_{name}",
                },
                amount_minor=amount,
                currency=currency,
                **{**ended, **given},
            )
        )

    def refund(
        self, name: str, refund_id: str, amount: int, status: str = "refunded", at: int = NOON, **given: Any
    ) -> None:
        """A refund of ours under the reference `re_<refund_id>`."""
        key = f"txn-{name}#refund#{refund_id}"
        state: dict[str, dict[str, Any]] = {
            "refunded": {"refunded_at": at},
            "failed": {"failed_at": at, "reason_code": "refund_failed"},
        }
        whole: dict[str, Any] = {
            **{"transaction_id": key, "payment_id": name, "refund_id": refund_id, "status": status, "owner": "r:m"},
            **{"attempt": 1, "amount_minor": amount, "currency": "USD", "created_at": at, "updated_at": at},
            **{"gateway_ref": f"pi_{name}", "refund_ref": f"re_{refund_id}", "pending_at": at},
            **({"open_shard": "refund#0"} if status == "pending" else {}),
            **state.get(status, {}),
            **given,
        }
        self.keep({name: value for name, value in whole.items() if value is not None})

    def keep(self, item: dict[str, Any], since_export: bool = False) -> None:
        self.dynamodb.items[item["transaction_id"]] = to_attributes(item)
        if not since_export:
            self.exported[item["transaction_id"]] = item

    def moved(self, kind: Any, name: str, ref: str = "", amount: int = 1000, **given: Any) -> None:
        """A movement at the gateway, at noon, of the payment `name`."""
        made: dict[str, Any] = {
            "currency": "USD",
            "created_at": NOON,
            "state": "done",
            "gateway_ref": f"pi_{name}",
            **given,
        }
        ref = ref or made["gateway_ref"]
        self.movements.append(Movement(kind=kind, ref=ref, payment_id=name, amount_minor=amount, **made))

    def captured(self, name: str, amount: int = 1000, **given: Any) -> None:
        self.moved("captured", name, "", amount, **given)

    def compare(self, owed: Iterable[Owed] = ()) -> Sums:
        kinds: tuple[Kind, ...] = ("captured", "refunded", "disputed")
        listed = [each for kind in kinds for each in self.listed(kind, DAY.listed_from_ms, DAY.end_ms)]
        self.asked.clear()
        gateway: Any = self
        return compare(DAY, listed, self.exported.values(), owed, log=self.log, gateway=gateway)

    @property
    def log(self) -> DynamoDbParkingLog:
        return DynamoDbParkingLog(self.dynamodb, "transactions")

    def listed(self, kind: Kind, since_ms: int, until_ms: int) -> list[Movement]:
        return [
            each
            for each in self.movements
            if each.kind == kind
            and each.ref not in self.unlisted
            and since_ms <= each.created_at < until_ms
            and (kind != "captured" or each.state == "done")
        ]

    def status(self, gateway_ref: str) -> GatewayResult:
        self.asked.append(gateway_ref)
        found = [each for each in self.movements if (each.kind, each.gateway_ref) == ("captured", gateway_ref)]
        if not found:
            raise GatewayReferenceUnknownError("no such payment intent")
        _, _, _, _, state, amount, currency, created_at, _ = found[0]
        return GatewayResult(RESULTS[state], amount, currency, timestamp=timestamp(created_at))

    def refunds(self, gateway_ref: str) -> list[Refund]:
        self.asked.append(gateway_ref)
        found = [each for each in self.movements if (each.kind, each.gateway_ref) == ("refunded", gateway_ref)]
        return [
            Refund(each.ref, each.refund_id, REFUNDS[each.state], each.amount_minor, each.currency, each.created_at)
            for each in found
        ]

    def disputes(self, gateway_ref: str) -> list[Dispute]:
        self.asked.append(gateway_ref)
        found = [each for each in self.movements if (each.kind, each.gateway_ref) == ("disputed", gateway_ref)]
        return [
            Dispute(each.ref, "open", each.amount_minor, each.currency, "general", each.created_at) for each in found
        ]


def told(sums: Sums) -> list[tuple[str, str]]:
    return [(each.why, each.ref or each.transaction_id) for each in sums.differences]


def seen(ref: str, amount: int, state: str = "refunded", at: int = NOON, refund_id: str = "") -> dict[str, Any]:
    row = {"refund_ref": ref, "refund_id": refund_id, "state": state, "amount_minor": amount}
    return {**row, "created_at": at, "seen_at": at}


def disputed(ref: str, amount: int, at: int = NOON, currency: str = "USD", state: str = "open") -> dict[str, Any]:
    row = {"dispute_ref": ref, "state": state, "amount_minor": amount, "currency": currency, "reason": "general"}
    return {**row, "created_at": at, "seen_at": at}
