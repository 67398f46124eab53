"""Everything outside: each side effect of a payment passes one of these, so that tests and the simulation own all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from handler.domain.item import Item
from handler.domain.payment import Assessment, Dispute, GatewayResult, Kind, Message, Movement, Payment, Refund
from handler.domain.states import Status
from handler.domain.typed import NamedTuple, Protocol

if TYPE_CHECKING:
    from handler.domain.refund_ports import RefundLog


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

    def claim_corrected(self, item: Item, *, attempt_seen: int) -> Item | None:
        """Put a correction (handler/domain/claim.py, `correction_of`) in the place of the rejected message's item."""

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
    ) -> Item | None: ...

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
    ) -> Item | None: ...

    def store_gateway_ref(
        self, transaction_id: str, *, owner: str, attempt: int, gateway_ref: str, now: int
    ) -> Item | None: ...

    def next_key(
        self, transaction_id: str, *, owner: str, attempt: int, gateway_try_seen: int, now: int
    ) -> Item | None: ...

    def record(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None: ...

    def refuse(
        self, transaction_id: str, *, owner: str, attempt: int, code: str, request_id: str, now: int
    ) -> Item | None:
        """`code` and `request_id` are the gateway's own, "" where it has none."""

    def record_shown(
        self, transaction_id: str, *, owner: str, attempt: int, status: str, gateway: GatewayResult, now: int
    ) -> Item | None:
        """As `record`, of a payment that people were shown: it stays in the index, to be forgotten."""

    def refuse_shown(
        self, transaction_id: str, *, owner: str, attempt: int, code: str, request_id: str, now: int
    ) -> Item | None:
        """As `refuse`, likewise."""

    def release(self, transaction_id: str, *, owner: str, attempt: int, tries: int, now: int) -> Item | None: ...

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
    ) -> Item | None: ...

    def take_over_stuck(
        self, transaction_id: str, *, owner: str, attempt_seen: int, lease_until: int, stale: int, now: int
    ) -> Item | None: ...

    def open_transaction_ids(self, status: Status | Literal["conflict"]) -> Iterator[str]:
        """Ids of the open items in a state, or of all conflicts, from an index that may lag: read each to decide."""

    def open_since(self, status: Status | Literal["conflict"]) -> Iterator[int]:
        """Of the same: when each was made, in ms, to count them and to tell their age."""

    def refunds(self) -> RefundLog:
        """The same table as refunds write it."""


class PaymentGateway(Protocol):
    """The port to the money.

    Raises GatewayUnavailableError (surely no effect), UnknownOutcomeError (perhaps an effect) and
    GatewayAnswerError (an answer that cannot be believed). No call repeats itself. A key is sent as it is given, and an
    error says by `spends_key` whether the gateway would give it again under that key.
    """

    def prepare(self, payment: Payment, key: str) -> str:
        """Announce a payment, moving no money; the same key gives the same reference."""

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
        """Move the money of a prepared reference, once for a key.

        `off_session`: the card networks are told that the customer is not there; None: as the deployment says.
        """

    def status(self, gateway_ref: str) -> GatewayResult:
        """What became of a reference, by id and strongly consistent."""

    def find(self, payment_id: str) -> list[str]:
        """The references of a payment id in our environment, in no order, as far as a search knows them.

        It may lack what was made in the last hour: nothing follows from that. Raises as `status` does.
        """

    def payment_id_of(self, gateway_ref: str) -> str:
        """The payment id that a reference was made for; "" where it is not of our environment and mode.

        By id and strongly consistent. Raises as `status` does.
        """

    def cancel(self, gateway_ref: str) -> GatewayResult:
        """End a reference, and say what stands: `cancelled`, or what came before and cannot be cancelled any more.

        Under no key: a repeat is answered by the reference's state, and a stored failure would be replayed for a day.
        """


class RefundGateway(Protocol):
    """What comes after a reference's capture: money back, by us or by others. Raises as PaymentGateway does.

    A list is the whole one, strongly consistent and oldest first, within the deadline of one call. One that ends early,
    or is not about the reference, raises GatewayAnswerError, and nothing follows from it.
    """

    def refund(self, gateway_ref: str, amount_minor: int, currency: str, refund_id: str, key: str) -> Refund:
        """Give back an amount in minor units, once for a key."""

    def refunds(self, gateway_ref: str) -> list[Refund]:
        """Every refund of a reference, whoever made it, those that failed too."""

    def disputes(self, gateway_ref: str) -> list[Dispute]:
        """Every dispute of a reference, those that ended too."""


class Gateway(PaymentGateway, RefundGateway, Protocol):
    """The port to the money, there and back."""


class ListingGateway(Gateway, Protocol):
    """And what moved in a span of time, for the sums of a day (handler/domain/conservation.py)."""

    def listed(self, kind: Kind, since_ms: int, until_ms: int) -> list[Movement]:
        """All of a kind in our environment that were made from `since_ms` up to `until_ms`, whole seconds in the past.

        A charge that captured nothing is none. In no order. Each page has the deadline of one call. A list that ends
        early, or comes to other times, raises GatewayAnswerError, and nothing follows from it.
        """


class FindCardNumbers(Protocol):
    def __call__(self, texts: Sequence[str], /) -> list[list[tuple[int, int]]]:
        """Spans `[start, end)` of card numbers in each text."""


class FraudScoring(Protocol):
    def score_batch(self, payments: Sequence[Payment]) -> list[Assessment]:
        """One assessment a payment, in one call for the whole batch."""


class ApprovalStarter(Protocol):
    def start(self, item: Item, request: str) -> None:
        """Start the approval workflow of a pending item with its canonical request; idempotent by `approval_name`.

        Raises ApprovalStartError.
        """


class RejectedQueue(Protocol):
    def send(self, message: Message, masked_body: str, reason_code: str) -> None:
        """Keep a masked copy of a message that has no usable id. Raises RejectedQueueUnavailableError."""


class SourceQueue(Protocol):
    def delay(self, waits: Sequence[tuple[Message, int]]) -> None:
        """Hide each returned message for so many seconds; best effort, never raises for the queue's sake."""


class Notifier(Protocol):
    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        """Tell people about something that must never happen; never raises."""


class Ports(NamedTuple):
    """Every side effect of a payment, and what looks at its texts."""

    log: TransactionLog
    gateway: Gateway
    scoring: FraudScoring
    find_card_numbers: FindCardNumbers
    approvals: ApprovalStarter
    rejected: RejectedQueue
    notifier: Notifier
    clock: Clock
