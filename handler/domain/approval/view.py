"""What people see of a payment that asks for their decision, in the same words on the page and in a terminal.

The rule it keeps: nothing is made up. What nobody knows is said to be not known, a weight is its rule's own, and what
has not happened yet is told as what will.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handler.domain.approval.decision import shown_score
from handler.domain.approval.ports import ApprovalLog
from handler.domain.errors import DamagedItemError, RetryableError, UnknownItemError
from handler.domain.item import Item, timestamp
from handler.domain.money import as_text
from handler.domain.payment import Shown
from handler.domain.reasons import sentence
from handler.domain.score import RISK_SCALE
from handler.domain.typed import NamedTuple

# A rule's weight is parts of this.
WEIGHT_SCALE: Final = 10**4
# Enough to see a habit; each is a read.
EARLIER_MAX: Final = 10
# More than a person decides on at once; each is a signature for its link.
WAITING_MAX: Final = 20
READ_MAX: Final = 100
_AMOUNT_RULE: Final = 0
_WORDS: Final = {"approve": "Approved", "reject": "Rejected"}
#: What `came_after` says where nothing of the amount is left.
GIVEN_BACK: Final = "given back"
_STATUS: Final = {"completed": "charged", "processing": "being charged", "pending_approval": "waits for a person"}


class Fact(NamedTuple):
    """One thing that is known; `at_ms`: it is this time, and `text` says it in UTC."""

    label: str
    text: str
    at_ms: int | None = None


class Finding(NamedTuple):
    """What makes a payment risky: what it is, its own weight, and the text that hit; empty where there is none."""

    reason: str
    weight: str
    found: str = ""


class Earlier(NamedTuple):
    """Earlier payments of the same billing identity, the newest first; `unknown` says why they are not known."""

    items: tuple[Item, ...] = ()
    has_more: bool = False
    unknown: str = ""


class Waiting(NamedTuple):
    """What waits for people, the oldest first; `more`: how many wait beside these, decided ones among them."""

    items: tuple[Item, ...]
    more: int


class Outcome(NamedTuple):
    """How a question ended: a word, and what became of the money or will."""

    word: str
    sentence: str


def amount(item: Item) -> str:
    """The amount with all the decimals of its currency, and no others."""
    return f"{as_text(item.amount_minor, item.currency)} {item.currency}" if item.amount_minor else "-"


def at(label: str, ms: int) -> Fact:
    return Fact(label, timestamp(ms).replace("T", " ").replace("Z", " UTC"), ms)


def facts(item: Item) -> list[Fact]:
    """What the payment is; what it does not have is left out."""
    customer = item.shown or Shown()
    known = [
        Fact("Payment", item.payment_id),
        Fact("Order", item.order_id),
        Fact("Customer", item.customer_id),
        Fact("Name", customer.name),
        Fact("E-mail", customer.email),
        Fact("Address", customer.address),
        Fact("Paid by", item.payment_method.replace("_", " ")),
        Fact("Fraud score", shown_score(item)),
        at("Received", item.created_at),
    ]
    if item.approval_expires_at is not None:
        known.append(at("Decide until", item.approval_expires_at))
    return [fact for fact in known if fact.text]


def findings(item: Item) -> list[Finding]:
    """What the amount and each rule say, each with its own weight.

    An item that older code adopted has no weights but the amount's: none is worked out from what a rule took, which is
    its share of what others had left.
    """
    hits = {hit.rule_id: hit for hit in (item.shown or Shown()).hits}
    found = []
    for reason in item.risk_reasons:
        hit = hits.get(reason.rule_id)
        if reason.rule_id == _AMOUNT_RULE:
            found.append(Finding(f"The amount, {amount(item)}", _share(reason.parts, RISK_SCALE)))
        elif hit is None:
            found.append(Finding(f"{reason.reason} (rule {reason.rule_id})", ""))
        else:
            where = f"{hit.field.replace('_', ' ')}: {hit.text}" if hit.text else hit.field.replace("_", " ")
            weight = _share(hit.weight, WEIGHT_SCALE)
            found.append(Finding(f"{reason.reason} (rule {reason.rule_id})", weight, where))
    return found


def earlier(item: Item, log: ApprovalLog) -> Earlier:
    """What became of earlier payments with the same fingerprint: one query and a read of each, at most EARLIER_MAX.

    Nobody's decision waits for it: where it cannot be had, that is what is shown.
    """
    if not item.fingerprint:
        return Earlier(unknown="Not known: the payment has no fingerprint, as it was never scored.")
    try:
        names = log.of_identity(item.fingerprint, before=item.created_at, limit=EARLIER_MAX + 1)
        found = [_readable(name, log) for name in names[:EARLIER_MAX]]
    except RetryableError as error:
        return Earlier(unknown=f"Not known, as the table did not answer ({error.reason_code}). Open the page again.")
    return Earlier(tuple(each for each in found if each is not None), len(names) > EARLIER_MAX)


def waiting(log: ApprovalLog, now_ms: int) -> Waiting:
    """What people may decide on now: 16 queries, and a read of each of those that have waited longest.

    Those that nobody can decide on any more, or yet, are passed over: they must not hide the others.
    """
    names, count = log.waiting_longest(READ_MAX)
    asked: list[Item] = []
    read = 0
    for name in names:
        if len(asked) == WAITING_MAX:
            break
        item, read = _readable(name, log), read + 1
        if item is not None and waits(item) and item.callback_id and (item.approval_expires_at or 0) > now_ms:
            asked.append(item)
    return Waiting(tuple(asked), count - read)


def _readable(name: str, log: ApprovalLog) -> Item | None:
    """An item; none where nobody can tell what it says, which is an alarm of its own."""
    try:
        return log.get(name)
    except (DamagedItemError, UnknownItemError):
        return None


def waits(item: Item) -> bool:
    """Whether people may still decide."""
    return item.status == "pending_approval" and not item.decision


def outcome(item: Item) -> Outcome:
    """How a question that waits no longer ended, and what became of the payment so far."""
    word = _WORDS.get(item.decision, "")
    if item.status == "pending_approval" and item.decision == "reject":
        return Outcome(word, "The payment will not be charged.")
    if item.status in ("pending_approval", "processing"):
        return Outcome(word or "Open", "The payment will be charged.")
    if item.status == "parked":
        why = sentence(item.parked_reason)
        return Outcome(word or "Open", f"The payment is not charged so far, and is looked after by an operator: {why}")
    ended = {
        "completed": ("Charged", "The payment was charged."),
        "declined": ("Declined", "The payment was declined, and nothing was charged."),
        "rejected": ("Rejected", "The payment is not charged."),
        "expired": ("Expired", "Nobody decided in time: the payment is not charged."),
        "cancelled": ("Cancelled", "An operator gave the payment up: nothing was charged."),
    }
    otherwise, then = ended[item.status]
    since = ", ".join(came_after(item))
    return Outcome(word or otherwise, f"{then} Since then: {since}." if since else then)


def ended_as(item: Item) -> str:
    """In a few words how a payment ended, or where it is, with the gateway's or our own code for why.

    What came after its charge stands behind it: a dispute says more about a billing identity than that it was charged.
    """
    response = item.gateway_response
    code = item.reason_code or (response and (response.decline_code or response.code)) or ""
    word = _STATUS.get(item.status, item.status)
    return ", ".join([f"{word} ({code})" if code else word, *came_after(item)])


def came_after(item: Item) -> Iterator[str]:
    """What the gateway says by now of a charge's money, in a few words each."""
    # The last row of each is what the gateway says by now.
    given = {row.refund_ref: row for row in item.refunded}.values()
    back = sum(row.amount_minor for row in given if row.state == "refunded")
    if back:
        yield GIVEN_BACK if back >= item.amount_minor else "given back in part"
    for row in {row.dispute_ref: row for row in item.disputed}.values():
        yield f"disputed ({row.reason})" if row.state == "open" else f"disputed ({row.reason}) and {row.state}"


def _share(parts: int, scale: int) -> str:
    """Of 100, rounded half up, in integers; what is there is never shown as nothing."""
    percent = (200 * parts + scale) // (2 * scale)
    return "under 1 %" if parts and not percent else f"{percent} %"
