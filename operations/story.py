"""A payment's story as its item tells it: what happened in order of time, where it is now, what can be done.

The rule it keeps: it is read off one item and asks nobody. A moment that the item does not keep stands between its
neighbours, without a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from handler.domain.approval.decision import is_unscored, shown_score
from handler.domain.approval.view import GIVEN_BACK, came_after
from handler.domain.errors import ChargeInProgressError
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.reasons import sentence
from handler.domain.score import RISK_SCALE
from handler.domain.states import CONFLICT


class Event(NamedTuple):
    """`at` is in ms, None where the item does not say when; `what` is for people, `names` what to look up elsewhere."""

    at: int | None
    what: str
    names: dict[str, str | int]

    def as_document(self) -> dict[str, object]:
        when = {} if self.at is None else {"at": timestamp(self.at)}
        return {**when, "what": self.what, **self.names}


def story(item: Item) -> list[Event]:
    """All that the item knows, the oldest first."""
    events = [
        each for part in (_brought, _scored, _asked, _parked, _charged, _ended, _came_back) for each in part(item)
    ]
    # What has no time of its own keeps its place behind what was told before it; some times have whole seconds alone.
    last, keyed = item.created_at, []
    for place, event in enumerate(events):
        last = event.at if event.at is not None else last
        keyed.append((last // 1000, place, event))
    return [event for _, _, event in sorted(keyed, key=lambda each: each[:2])]


def _brought(item: Item) -> Iterator[Event]:
    for earlier in item.superseded:
        yield Event(
            item.created_at, "an earlier message was rejected for its faults", {"message_id": earlier.message_id}
        )
    names: dict[str, str | int] = {
        "message_id": item.message_id,
        "message_group_id": item.message_group_id,
        "sequence_number": item.sequence_number,
    }
    what = "its message was kept" if item.status == CONFLICT else "its message was claimed"
    yield Event(item.created_at, what if item.message_id else "an execution brought it", _known(names))


def _scored(item: Item) -> Iterator[Event]:
    if item.risk is None:
        return
    rules = ", ".join(
        f"{reason.reason} (rule {reason.rule_id}, {100 * reason.parts / RISK_SCALE:.1f} %)"
        for reason in item.risk_reasons
    )
    said = shown_score(item) if is_unscored(item) else f"fraud score {shown_score(item)}"
    yield Event(item.created_at, f"{said}: {rules}" if rules else said, {})


def _asked(item: Item) -> Iterator[Event]:
    if item.approval_name:
        names: dict[str, str | int] = {"execution": item.execution_arn or item.approval_name}
        yield Event(None, f"its approval workflow was started, generation {item.generation}", names)
    if item.approval_reasons:
        until = f", until {timestamp(item.approval_expires_at)}" if item.approval_expires_at else ""
        asked = "; ".join(map(sentence, item.approval_reasons))
        yield Event(None, f"people were asked{until}: {asked}", {})
    if item.decision:
        said = f": {item.comment}" if item.comment else ""
        yield Event(item.decided_at, f"{item.decision} by {item.decided_by}{said}", {})


def _parked(item: Item) -> Iterator[Event]:
    if item.park_no:
        what = f"parked (time {item.park_no}): {sentence(item.parked_reason)} ({item.parked_reason})"
        yield Event(item.parked_at, what, {})
    if item.retry_no:
        yield Event(None, f"retried (for time {item.retry_no}) by {item.retried_by}", {})
    if item.first_tried_at and item.first_tried_at != item.created_at:
        yield Event(item.first_tried_at, "its present tries began", {})


def _charged(item: Item) -> Iterator[Event]:
    if item.attempt > 1:
        changed = "once" if item.attempt == 2 else f"{item.attempt - 1} times"
        what = f"its owner changed {changed}, and tries that count against it: {item.tries}"
        yield Event(None, what, {"owner": item.owner})
    if item.gateway_ref:
        keys = f", after {item.gateway_try} keys were given up" if item.gateway_try else ""
        yield Event(None, f"the gateway knows it{keys}", {"gateway_ref": item.gateway_ref})
    answer = item.gateway_response
    if answer is not None:
        # Its own time may be anything that a gateway likes: it was recorded with the end.
        names: dict[str, str | int] = answer._replace(status="")._asdict()
        yield Event(_moment(item.processed_at), f"the gateway said {answer.status}", _known(names))


def _ended(item: Item) -> Iterator[Event]:
    if item.faults:
        faults = "; ".join(f"{fault.field or 'body'}: {sentence(fault.reason_code)}" for fault in item.faults)
        yield Event(_moment(item.processed_at), f"faults of the message: {faults}", {})
    if item.cancelled_by:
        yield Event(_moment(item.processed_at), f"given up by {item.cancelled_by}: {item.cancel_reason}", {})
    if item.processed_at:
        why = f": {sentence(item.reason_code)} ({item.reason_code})" if item.reason_code else ""
        yield Event(_moment(item.processed_at), f"{item.status}{why}", {})


def _came_back(item: Item) -> Iterator[Event]:
    for refund in item.refunded:
        who = f"by refund {refund.refund_id}" if refund.refund_id else "by somebody else"
        what = f"{as_text(refund.amount_minor, item.currency)} {item.currency} given back {who}: {refund.state}"
        yield Event(refund.seen_at, what, {"refund_ref": refund.refund_ref})
    for dispute in item.disputed:
        what = f"{as_text(dispute.amount_minor, dispute.currency)} {dispute.currency} disputed ({dispute.reason})"
        yield Event(dispute.seen_at, f"{what}: {dispute.state}", {"dispute_ref": dispute.dispute_ref})


def _moment(text: str) -> int | None:
    """A stored time in ms; None where there is none that can be read, as another gateway may write it otherwise."""
    try:
        return int(1000 * datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def _known(names: dict[str, str | int]) -> dict[str, str | int]:
    return {name: value for name, value in names.items() if value}


class Now(NamedTuple):
    """Where a payment is, and the commands that can move it on."""

    where: str
    can_be_done: list[str]


def now(item: Item, now_ms: int) -> Now:
    """Where a payment is at `now_ms`."""
    if item.status == "processing":
        return _processing(item, now_ms)
    if item.status == "pending_approval":
        return _pending(item, now_ms)
    if item.status == "parked":
        return _set_aside(item)
    if item.status == CONFLICT:
        payment = item.payment_id
        of_refund = "#refund#" in item.transaction_id
        said = "gives it back: its refund_id" if of_refund else "charges it: its payment_id"
        return Now(f"nobody {said} belongs to other content", [f"payments conflicts show {payment}"])
    if item.status == "completed":
        return _completed(item)
    if item.status == "rejected" and item.faults:
        return Now("it ended without a charge", ["payments send, corrected, under the same payment_id"])
    return Now("it ended without a charge", ["payments send, under another payment_id, where it is still wanted"])


def _completed(item: Item) -> Now:
    if item.disputed:
        # It is given back by nobody here (docs/refunds.md).
        return Now("it was charged, once, and was disputed since: that goes on at the gateway", [])
    if GIVEN_BACK in came_after(item):
        return Now("it was charged, once, and is given back", [])
    return Now("it is charged, once and for good", [f"payments refund {item.payment_id} --refund-id ID"])


def _processing(item: Item, now_ms: int) -> Now:
    if (item.lease_until or 0) > now_ms:
        return Now(f"a worker has it until {timestamp(item.lease_until or 0)}: {item.owner}", [])
    if item.generation:
        return Now("its approval workflow is charging it", ["payments reconcile"])
    return Now(
        "nobody works on it: its message comes again, or lies with the dead letters",
        ["payments dead-letters list", "payments reconcile"],
    )


def _set_aside(item: Item) -> Now:
    payment = item.payment_id
    if item.retry_no == item.park_no:
        return Now("it was allowed again, and its message or its workflow is on the way", ["payments reconcile"])
    if item.parked_reason == ChargeInProgressError.reason_code:
        # Nobody can cancel it, and a retry does no more than reconcile (docs/parked.md).
        return Now("the gateway charges it, which takes its days: it waits for nobody", ["payments reconcile"])
    return Now(
        "it waits for an operator, and nothing charges it until somebody retries it",
        [f"payments parked retry {payment}", f'payments cancel {payment} --reason "..."'],
    )


def _pending(item: Item, now_ms: int) -> Now:
    payment = item.payment_id
    if item.decision:
        return Now(f"it was decided ({item.decision}), and its workflow acts on that", ["payments reconcile"])
    if item.approval_expires_at is None or not item.callback_id:
        return Now("its workflow has not asked anybody yet", ["payments reconcile"])
    if item.approval_expires_at <= now_ms:
        return Now("its time to be decided is over, and its workflow ends it", ["payments reconcile"])
    return Now(
        f"it waits for a person until {timestamp(item.approval_expires_at)}",
        [f'payments approvals {word} {payment} --reason "..."' for word in ("approve", "reject")],
    )
