"""What comes after a run's charges: the refunds that are asked for, what people do at the gateway, and what it tells.

One rule: it is made from the stream alone, and says what must become of each message and which answer each event gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

from local.faults import START_LOST
from local.gateway.fault_plan import FaultPlan
from local.traffic import CONFLICT, NOT_COMPLETED, REFUNDED, REJECTED_QUEUE, Message, refund

_GIVEN_BACK = ("ordinary", "card_number")
# So many payments' steps are in each of two lanes.
_LANE = 4
REFUSED = frozenset({"refund_refused"})

# How an event is sent, and the answer that is right: status and outcome.
Sending = Literal["good", "wrong_signature", "old", "other_account"]
RIGHT_ANSWERS: dict[str, tuple[int, str]] = {
    # What is done in the dashboard is no event.
    "": (200, ""),
    "good": (200, "queued"),
    "wrong_signature": (400, "signature_wrong"),
    "old": (400, "signature_old"),
    "other_account": (200, "ignored"),
}


@dataclass(frozen=True)
class Dashboard:
    """What somebody does to a payment in the gateway's dashboard.

    kind: refunds or disputes. amount_minor: of a new one, None where the newest one of the payment comes to `status`.
    """

    kind: str
    payment_id: str
    status: str
    amount_minor: int | None = None


@dataclass(frozen=True)
class Event:
    """One event of the gateway about a payment, which is sent so many times under its id."""

    payment_id: str
    type: str
    sending: Sending = "good"
    times: int = 1


Act = Message | Dashboard | Event
Step = list[Act]


@dataclass(frozen=True)
class Afterwards:
    """Steps in order, each of which begins when nothing of the one before is left anywhere.

    unanswered: the payment whose first refund's answer may be lost, as an event tells of it; "" where there is none.
    """

    steps: list[Step]
    unanswered: str = ""

    @property
    def messages(self) -> int:
        return sum(isinstance(act, Message) for step in self.steps for act in step)


def make(
    messages: Sequence[Message],
    planned: Mapping[str, str],
    declines: FaultPlan,
    *,
    has_events: bool = True,
) -> Afterwards:
    """The steps for a stream, as far as its payments go round.

    planned: payments that have faults of their own, by fault. declines: who is declined at the gateway. Without events,
    what needs one to end is left out.
    """
    able = [
        message
        for message in messages
        if message.kind in _GIVEN_BACK
        and message.payment_id not in planned.values()
        and not declines.declines(message.payment_id)
    ]
    plan = _Plan(len(messages))
    makers = [plan.in_full, plan.in_parts, plan.at_once]
    makers += [plan.in_the_dashboard, plan.returned, plan.disputed] if has_events else []
    lanes: tuple[list[Step], list[Step]] = (plan.of_the_risky(messages, planned.get(START_LOST, "")), [])
    # In the order in which they are worth it, where there are few; in two lanes, as a step waits for its own payment.
    for place, (maker, payment) in enumerate(zip(makers, able, strict=False)):
        lanes[place // _LANE].extend(maker(payment))
    empty: Step = []
    steps = [left + right for left, right in zip_longest(*lanes, fillvalue=empty)]
    if not has_events:
        steps = [[act for act in step if not isinstance(act, Event)] for step in steps]
        return Afterwards([step for step in steps if step])
    return Afterwards(steps + plan.told_of_all(), able[1].payment_id if len(able) > 1 else "")


class _Plan:
    """Makes the steps of each payment; `number` is that of the next message."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._refunded: list[str] = []

    def of_the_risky(self, messages: Sequence[Message], started_late: str) -> list[Step]:
        """Of the payment that is charged last of all, and of one that nobody approves: both may not be settled yet."""
        risky = [message for message in messages if message.kind == "risky"]
        late = [message for message in risky if message.payment_id == started_late]
        asked = [self._ask(message, "early", message.amount_minor // 3, REFUNDED) for message in late]
        left = [message for message in risky if not message.decision][:1]
        asked += [self._ask(message, "early", message.amount_minor // 3, NOT_COMPLETED) for message in left]
        return [[*asked]] if asked else []

    def in_full(self, payment: Message) -> list[Step]:
        """Everything, which leaves nothing for another cent; the same again; and what is no refund of anything."""
        given = self._ask(payment, "full", payment.amount_minor, REFUNDED)
        unknown = replace(payment, payment_id=f"{payment.payment_id}-unknown")
        unusable = replace(self._ask(payment, "n/a", 1, REJECTED_QUEUE), payment_id="", refund_id="")
        above = self._ask(payment, "above", 1, frozenset({"refund_above_captured"}))
        self._refunded.append(payment.payment_id)
        return [
            [given],
            [
                self._again(given),
                above,
                self._ask(unknown, "unknown", 100, frozenset({"refund_payment_unknown"})),
                unusable,
            ],
        ]

    def in_parts(self, payment: Message) -> list[Step]:
        """The first part's answer may be lost; it is sent again, and other content under its id, before the second."""
        part = payment.amount_minor // 3
        first = self._ask(payment, "part-1", part, REFUNDED)
        self._refunded.append(payment.payment_id)
        return [
            [first],
            [
                self._again(first),
                self._ask(payment, "part-1", part + 1, CONFLICT, kind="conflict"),
                self._ask(payment, "euros", part, frozenset({"refund_other_currency"}), currency="EUR"),
            ],
            [Event(payment.payment_id, "refund.created")],
            [self._ask(payment, "part-2", payment.amount_minor - part, REFUNDED)],
        ]

    def at_once(self, payment: Message) -> list[Step]:
        """Two through two groups, which together are more than was captured: one of them finds too little left."""
        amount_minor = payment.amount_minor * 3 // 5 + 1
        either = frozenset({"refunded", "refund_above_captured"})
        self._refunded.append(payment.payment_id)
        return [
            [
                self._ask(payment, "at-once-1", amount_minor, either),
                self._ask(payment, "at-once-2", amount_minor, either, group=f"{payment.group}-too"),
            ]
        ]

    def in_the_dashboard(self, payment: Message) -> list[Step]:
        """Somebody gives a part back there, so that the gateway refuses the whole, which could be reserved."""
        payment_id = payment.payment_id
        return [
            [
                Dashboard("refunds", payment_id, "succeeded", payment.amount_minor // 2),
                Event(payment_id, "refund.created", "wrong_signature"),
                Event(payment_id, "refund.created", "old"),
                Event(payment_id, "refund.created", "other_account"),
                Event(payment_id, "charge.refunded", times=2),
            ],
            [self._ask(payment, "too-much", payment.amount_minor, REFUSED)],
        ]

    def returned(self, payment: Message) -> list[Step]:
        """The customer's bank returns what was given back, which is free then for another refund."""
        payment_id, returned = payment.payment_id, frozenset({"refund_failed"})
        self._refunded.append(payment_id)
        return [
            [self._ask(payment, "returned", payment.amount_minor, returned)],
            [Dashboard("refunds", payment_id, "failed"), Event(payment_id, "refund.failed")],
            [self._ask(payment, "anew", payment.amount_minor, REFUNDED)],
        ]

    def disputed(self, payment: Message) -> list[Step]:
        """A dispute, of which the later event comes first and the end says what the gateway does not."""
        payment_id = payment.payment_id
        return [
            [
                Dashboard("disputes", payment_id, "needs_response", payment.amount_minor),
                Event(payment_id, "charge.dispute.updated"),
            ],
            [Event(payment_id, "charge.dispute.created", times=2)],
            [Event(payment_id, "payment_intent.payment_failed")],
            [self._ask(payment, "disputed", payment.amount_minor, frozenset({"refund_payment_disputed"}))],
            [Dashboard("disputes", payment_id, "lost"), Event(payment_id, "charge.dispute.closed")],
        ]

    def told_of_all(self) -> list[Step]:
        """What the gateway tells of our own refunds, in any order, and a dispute that there is not."""
        told: Step = [Event(payment_id, "refund.updated") for payment_id in reversed(self._refunded)]
        told += [Event(payment_id, "charge.dispute.created") for payment_id in self._refunded[:1]]
        # No more at once: together they would be more calls a second than the gateway takes.
        return [told[place : place + 3] for place in range(0, len(told), 3)]

    def _ask(self, payment: Message, refund_id: str, amount_minor: int, ends: frozenset[str], **more: str) -> Message:
        self._number += 1
        return refund(payment, self._number - 1, refund_id, amount_minor, ends, **more)

    def _again(self, given: Message) -> Message:
        self._number += 1
        return replace(given, number=self._number - 1, kind="duplicate", deduplication_id=f"again-{self._number}")
