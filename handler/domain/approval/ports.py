"""What deciding on a payment needs from outside, beside the ports of every payment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from handler.domain.item import Item
from handler.domain.payment import DisputeSeen, GatewayResult, Payment, Reason, RefundSeen, RuleHit, Shown
from handler.domain.ports import ApprovalStarter, Clock, FindCardNumbers, TransactionLog
from handler.domain.typed import Protocol


class ApprovalLog(TransactionLog, Protocol):
    """The writes of approval workflow and reconcile, named as the protocol names them, refused like the others."""

    def of_identity(self, fingerprint: str, *, before: int, limit: int) -> list[str]:
        """Transaction ids of payments with this fingerprint that were claimed before then, the newest first.

        From an index that may lag: read each. Raises TransactionLogUnavailableError.
        """

    def waiting_longest(self, limit: int) -> tuple[list[str], int]:
        """Transaction ids of the payments that wait for a person, the oldest first, and how many wait in all.

        From an index that may lag: read each. Raises TransactionLogUnavailableError.
        """

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
    ) -> Item | None: ...

    def ask_approval(self, transaction_id: str, *, arn: str, callback_id: str, now: int) -> Item | None: ...

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
    ) -> Item | None: ...

    def expire_approval(self, transaction_id: str, *, arn: str, now: int) -> Item | None: ...

    def reject_approval(self, transaction_id: str, *, arn: str, now: int) -> Item | None: ...

    def begin_approved_charge(
        self, transaction_id: str, *, arn: str, attempt_seen: int, request_hash: str, amount_minor: int, now: int
    ) -> Item | None: ...

    def expire_overdue_approval(self, transaction_id: str, *, overdue: int, now: int) -> Item | None: ...

    def restart_approval(
        self, transaction_id: str, *, generation_seen: int, closed_arn: str, name: str, now: int
    ) -> Item | None:
        """`closed_arn` is the execution that has ended; empty where none had adopted the item."""

    def restart_charge(
        self, transaction_id: str, *, owner: str, attempt: int, generation: int, name: str, request_hash: str, now: int
    ) -> Item | None:
        """Let a payment that `owner` holds wait again, for a new execution of the next `generation`."""

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
        """Record how the gateway says that a payment ended whose item knows no reference: the table was restored."""


class ParkingLog(ApprovalLog, Protocol):
    """The writes of operators and reconcile on parked payments, refused like the others."""

    def allow_retry(self, transaction_id: str, *, park_no_seen: int, retried_by: str, now: int) -> Item | None: ...

    def record_parked(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None:
        """`owner` and `attempt` are those of the item as it was read: nobody has worked on it since."""

    def cancel_parked(self, transaction_id: str, *, cancelled_by: str, cancel_reason: str, now: int) -> Item | None: ...

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
        """`gateway` is what the gateway answered to the cancel of `gateway_ref`."""


class LaterLog(ParkingLog, Protocol):
    """The writes of what came after a charge, refused like the others: `later_no_seen` is the item's as it was read."""

    def record_refunded(
        self, transaction_id: str, *, gateway_ref: str, later_no_seen: int, refunded: Sequence[RefundSeen], now: int
    ) -> Item | None: ...

    def record_disputed(
        self, transaction_id: str, *, gateway_ref: str, later_no_seen: int, disputed: Sequence[DisputeSeen], now: int
    ) -> Item | None: ...


class RetentionLog(LaterLog, Protocol):
    """The writes that forget, refused like the others; `before` and `now` are in milliseconds."""

    def indexed_before(self, name: Literal["ended", "conflict"], *, before: int) -> Iterator[str]:
        """Transaction ids under a name of the index that were claimed before then.

        From an index that may lag: read each. Raises TransactionLogUnavailableError.
        """

    def forget_person(self, transaction_id: str, *, before: int, now: int) -> Item | None:
        """Remove what people were shown of a payment that ended before then."""

    def forget_conflict(self, transaction_id: str, *, before: int, now: int) -> Item | None:
        """Remove the text of a conflict that came before then; it leaves the list of conflicts."""


class Evidence(Protocol):
    def hits(self, payment: Payment, rule_ids: Sequence[int]) -> list[RuleHit]:
        """What these rules found in a payment, as it stands there; rules that are not known any more are left out.

        Raises ScoringError.
        """


class ApprovalCallbacks(Protocol):
    def wake(self, callback_id: str, decision: str) -> None:
        """Wake the workflow that waits for `callback_id`; the decision itself stands in the table.

        A callback that is over is no error. Raises ApprovalWakeError.
        """


class ApprovalNotices(Protocol):
    """Messages to people, at least once each, with `message_id` to tell a repetition. Raise NoticeError."""

    def ask(self, message_id: str, item: Item, callback_id: str) -> None:
        """Ask each approver to decide on a pending item."""

    def settled(self, message_id: str, transaction_id: str, status: str) -> None:
        """Tell how a payment ended."""


class Signer(Protocol):
    """An HMAC key that only its owner can use; `key_id` names it."""

    @property
    def key_id(self) -> str: ...

    def write_mac(self, message: bytes) -> bytes:
        """The message's HMAC-SHA256, 32 bytes. Raises NoticeError where the key cannot be used."""

    def check_mac(self, message: bytes, mac: bytes) -> bool:
        """Whether `mac` is the message's. Raises NoticeError where the key cannot be used."""


class Executions(Protocol):
    def is_closed(self, execution_arn: str) -> bool:
        """Whether an approval workflow's execution has ended, however it ended."""


# How long a workflow may be late before reconcile acts in its place.
PATIENCE_MS: Final = 10 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Decisions:
    """All that deciding on payments that wait, and bringing on those that were left behind, works with."""

    log: RetentionLog
    callbacks: ApprovalCallbacks
    executions: Executions
    starter: ApprovalStarter
    clock: Clock
    find_card_numbers: FindCardNumbers
    environment: str
    patience_ms: int = PATIENCE_MS
    # How long personal data is kept after the end of its payment; 0: for good.
    retention_ms: int = 0

    @property
    def stuck_after_ms(self) -> int:
        """Far beyond any lease, so that a worker with a wrong clock or a slow answer is not disturbed."""
        return self.patience_ms * 3 // 2
