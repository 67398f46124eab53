"""The values that the steps hand on: a message, a fault, a payment, a score; all immutable.

Named tuples, here and in what else the queue function imports: each data class costs a cold start 0.7 ms more.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from handler.domain.typed import NamedTuple


class Message(NamedTuple):
    """One delivery of one queue message. `receives` counts deliveries from 1."""

    message_id: str
    body: str
    group: str = ""
    sequence_number: str = ""
    receives: int = 1
    receipt_handle: str = ""


class Fault(NamedTuple):
    """One thing wrong with a message: the field's name (`""` for the whole body) and a stable reason code."""

    field: str
    reason_code: str


class Address(NamedTuple):
    street: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""

    @property
    def complete(self) -> bool:
        return all((self.street, self.city, self.state, self.zip))


class Payment(NamedTuple):
    """A valid, masked payment. `amount_minor` is an integer of minor units; `canonical` is what was hashed.

    `version` is that of the canonical text; fields that it does not know are empty, whatever the message said.
    """

    payment_id: str
    order_id: str
    customer_id: str
    amount_minor: int
    currency: str
    payment_method: str
    customer_name: str = ""
    customer_email: str = ""
    description: str = ""
    billing_address: Address | None = None
    # The instrument, as the gateway names it: neither is a card number.
    payment_token: str = ""
    gateway_customer_id: str = ""
    # Whether the card networks are told that the customer is not there; None: as the deployment says.
    off_session: bool | None = None
    version: int = 1
    request_hash: str = ""
    canonical: str = ""

    @property
    def transaction_id(self) -> str:
        return transaction_id(self.payment_id)


def transaction_id(payment_id: str) -> str:
    return f"txn-{payment_id}"


def approval_name(environment: str, payment_id: str, generation: int) -> str:
    """The workflow's execution name, 1 to 64 of `[a-zA-Z0-9-_]`; hashed where it would be longer."""
    name = f"{environment}-{payment_id}-{generation}"
    return name if len(name) <= 64 else hashlib.sha256(name.encode()).hexdigest()


class Stated(NamedTuple):
    """What was valid of a message that is no payment; empty or 0 where nothing was. An amount has its currency."""

    order_id: str = ""
    customer_id: str = ""
    amount_minor: int = 0
    currency: str = ""


class Reason(NamedTuple):
    """What one rule (id 0: the amount) took from the survival of 10**9, with words for a reviewer."""

    rule_id: int
    reason: str
    parts: int


class RuleHit(NamedTuple):
    """What a rule found: its own `weight` in parts of 10**4, and the masked `text` that hit in `field`."""

    rule_id: int
    weight: int
    field: str
    text: str


class Shown(NamedTuple):
    """What people who decide are shown beside an item, masked; empty where there was none, or policy keeps it back."""

    name: str = ""
    email: str = ""
    address: str = ""
    hits: tuple[RuleHit, ...] = ()


class Assessment(NamedTuple):
    """A payment's score: `risk` in parts per 10**9, `fraud_score` 0..100, the strongest action of all rules hit."""

    risk: int
    fraud_score: int
    action: Literal["score", "review", "decline"]
    reasons: tuple[Reason, ...]
    fingerprint: str
    fingerprint_version: str = ""


class GatewayResult(NamedTuple):
    """What the gateway says of one reference; the amount is in minor units.

    `requires_action`: the customer must do something first, so nothing is captured yet. `cancelled`: nothing can be
    captured under the reference any more. `code` and `decline_code` are the gateway's own words for a decline,
    `request_id` its name for the request that was answered. `refunded_minor` is what is given back of what was
    captured, or on its way back; `disputed` says that somebody disputed it, however that ended.
    """

    state: Literal["prepared", "in_progress", "requires_action", "approved", "declined", "cancelled"]
    amount_minor: int
    currency: str
    authorization_code: str = ""
    timestamp: str = ""
    code: str = ""
    decline_code: str = ""
    request_id: str = ""
    refunded_minor: int = 0
    disputed: bool = False


class Refund(NamedTuple):
    """What the gateway says of one refund; the amount is in minor units, `created_at` in ms since the epoch.

    `refund_id` is ours, and empty where somebody else gave the money back, as in the gateway's own dashboard. One that
    is `refunded` may still become `failed`: banks return refunds weeks later.
    """

    refund_ref: str
    refund_id: str
    state: Literal["pending", "refunded", "failed"]
    amount_minor: int
    currency: str
    created_at: int


class Dispute(NamedTuple):
    """What the gateway says of one dispute; the amount is in minor units, `created_at` in ms since the epoch.

    `won`: it ended, and takes no money. `reason` is the gateway's own word.
    """

    dispute_ref: str
    state: Literal["open", "won", "lost"]
    amount_minor: int
    currency: str
    reason: str
    created_at: int


Kind = Literal["captured", "refunded", "disputed"]


class Movement(NamedTuple):
    """One movement of money as the gateway lists it; the amount is in minor units, `created_at` in ms since the epoch.

    `ref` names it: a reference that captured, a refund or a dispute. `refund_id` as of a refund. `failed`: it moves
    nothing, or nothing any more; a dispute is `done` however it stands.
    """

    kind: Kind
    ref: str
    gateway_ref: str
    payment_id: str
    state: Literal["pending", "done", "failed"]
    amount_minor: int
    currency: str
    created_at: int
    refund_id: str = ""


class RefundSeen(NamedTuple):
    """A state that a refund of the payment was seen in at `seen_at`; `refund_id` is empty where it is not ours."""

    refund_ref: str
    refund_id: str
    state: str
    amount_minor: int
    created_at: int
    seen_at: int


class DisputeSeen(NamedTuple):
    """A state that a dispute of the payment was seen in at `seen_at`; its currency need not be the payment's."""

    dispute_ref: str
    state: str
    amount_minor: int
    currency: str
    reason: str
    created_at: int
    seen_at: int
