"""Everything outside: each side effect of a payment passes one of these, so that tests and the simulation own all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from handler.domain.item import Item
from handler.domain.payment import Assessment, GatewayResult, Message, Payment, Reason
from handler.domain.states import Status


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since the epoch."""


class Ids(Protocol):
    def new_id(self) -> str:
        """A fresh unique identifier."""


class TransactionLog(Protocol):
    """Conditional writes of one item each (protocol: queue function, steps 2 to 9).

    A write that is refused returns the stored item as it was; one that succeeds returns None.
    Raises TransactionLogUnavailableError when the outcome could not be had.
    """

    def get(self, transaction_id: str) -> Item | None: ...

    def put_new(self, item: Item) -> Item | None: ...

    def take_over(
        self, transaction_id: str, *, owner: str, attempt_seen: int, lease_until: int, now: int, request_hash: str
    ) -> Item | None: ...

    def store_gateway_ref(
        self, transaction_id: str, *, owner: str, attempt: int, gateway_ref: str, now: int
    ) -> Item | None: ...

    def record(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None: ...

    def release(self, transaction_id: str, *, owner: str, attempt: int, now: int) -> Item | None: ...

    def take_over_stuck(
        self, transaction_id: str, *, owner: str, attempt_seen: int, lease_until: int, stale: int, now: int
    ) -> Item | None: ...

    def open_transaction_ids(self, status: Status) -> Iterator[str]:
        """Ids of the open items in a state, from an index that may lag: read each before deciding anything."""


class ApprovalLog(TransactionLog, Protocol):
    """The approval workflow's writes (protocol: W1 to W6, R2, R3), refused and answered like the others."""

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


class PaymentGateway(Protocol):
    """The three-call port to the money.

    Raises GatewayUnavailableError (surely no effect), UnknownOutcomeError (perhaps an effect) and
    GatewayAnswerError (an answer that cannot be believed). No call repeats itself.
    """

    def prepare(self, payment: Payment, key: str) -> str:
        """Announce a payment, moving no money; the same key gives the same reference."""

    def charge(self, gateway_ref: str, key: str) -> GatewayResult:
        """Move the money of a prepared reference, once for a key."""

    def status(self, gateway_ref: str) -> GatewayResult:
        """What became of a reference, by id and strongly consistent."""


class FraudScoring(Protocol):
    def find_card_numbers(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Spans `[start, end)` of card numbers in each text."""

    def score_batch(self, payments: Sequence[Payment]) -> list[Assessment]:
        """One assessment a payment, in one call for the whole batch."""


class ApprovalStarter(Protocol):
    def start(self, item: Item, request: str) -> None:
        """Start the approval workflow of a pending item with its canonical request; idempotent by `approval_name`.

        Raises ApprovalStartError.
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


class RejectedQueue(Protocol):
    def send(self, message: Message, masked_body: str, reason_code: str) -> None:
        """Keep a masked copy of a message that has no usable id. Raises RejectedQueueUnavailableError."""


class SourceQueue(Protocol):
    def delay(self, messages: Sequence[Message], seconds: int) -> None:
        """Hide returned messages for so many seconds; best effort, never raises for the queue's sake."""


class Executions(Protocol):
    def is_closed(self, execution_arn: str) -> bool:
        """Whether an approval workflow's execution has ended, however it ended."""


class Notifier(Protocol):
    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        """Tell people about something that must never happen; never raises."""
