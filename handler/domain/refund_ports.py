"""The table as refunds write it: each write is conditional, and two items that must agree are one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from handler.domain.item import GatewayResponse
from handler.domain.refund_item import Captured, RefundItem
from handler.domain.typed import NamedTuple, Protocol


class InTheWay(NamedTuple):
    """What refused a transaction, as it stood: the refund's item, or its payment; at least one of them."""

    refund: RefundItem | None
    payment: Captured | None


class RefundLog(Protocol):
    """Conditional writes of refunds (protocol, "Refunds").

    A write that is refused returns what stood in its way; one that succeeds returns None. Raises
    TransactionLogUnavailableError when the outcome could not be had, DamagedItemError and UnknownItemError for what
    cannot be judged.
    """

    def get(self, transaction_id: str) -> RefundItem | None: ...

    def payment(self, transaction_id: str) -> Captured | None:
        """The payment's item, read consistently."""

    def claim(self, refund: RefundItem) -> RefundItem | None:
        """Put a new refund that reserves nothing."""

    def claim_reserved(self, refund: RefundItem, *, captured_minor: int) -> InTheWay | None:
        """Put a new refund that is pending, and reserve its amount at the payment, which captured so much."""

    def begin(
        self, refund: RefundItem, *, owner: str, gateway_ref: str, captured_minor: int, now: int
    ) -> InTheWay | None:
        """Make a waiting refund pending, and reserve its amount."""

    def refuse(self, transaction_id: str, *, reason_code: str, now: int) -> RefundItem | None: ...

    def take_over(
        self, transaction_id: str, *, owner: str, attempt_seen: int, stale: int, now: int
    ) -> RefundItem | None: ...

    def next_key(self, transaction_id: str, *, attempt: int, gateway_try_seen: int, now: int) -> RefundItem | None: ...

    def store_ref(self, transaction_id: str, *, refund_ref: str, now: int) -> RefundItem | None: ...

    def record(self, transaction_id: str, *, refund_ref: str, now: int) -> RefundItem | None: ...

    def fail(
        self,
        refund: RefundItem,
        *,
        status_seen: Literal["pending", "refunded"],
        reason_code: str,
        response: GatewayResponse,
        now: int,
    ) -> RefundItem | None:
        """Make a refund failed, and give its reservation back."""

    def open_transaction_ids(self) -> Iterator[str]:
        """Ids of the refunds that are waiting or pending, from an index that may lag: read each to decide."""

    def open_since(self) -> Iterator[int]:
        """Of the same: when each was made, in ms."""
