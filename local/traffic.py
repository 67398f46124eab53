"""The mixed stream of payments that `make run` sends, made from a seed alone.

One rule: each message says what must become of it, in words of the protocol and without asking the handler's code, so
that the audit has an opinion of its own.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

# Shares of the payments asked for; what they leave is ordinary. Duplicates, conflicts and corrections come on top.
_SHARES = {
    "declined_card": 0.04,
    "risky": 0.08,
    "invalid": 0.08,
    "unusable": 0.03,
    "malformed": 0.04,
    "card_number": 0.06,
}
_DUPLICATES, _CONFLICTS, _CORRECTIONS = 0.10, 0.04, 0.02
# Above this amount (protocol.md, "Risk, exactly") a person is asked; ordinary payments stay well below.
_ASKS_A_PERSON_FROM_MINOR = 66_667

_FIRST_NAMES = ("Amelia", "Noah", "Priya", "Mateo", "Ingrid", "Kwame", "Yuki", "Zoë", "Lars", "Fatima")
_LAST_NAMES = ("Hartley", "Okafor", "Lindqvist", "Nakamura", "Moreau", "Castellanos", "Brandt", "Iyer")
_STREETS = ("Maple Avenue", "Harbor Road", "Juniper Lane", "Cathedral Way", "Orchard Street", "Mill Crescent")
_CITIES = (
    ("Seattle", "WA", "98101"),
    ("Portland", "OR", "97205"),
    ("Austin", "TX", "78704"),
    ("Chicago", "IL", "60614"),
)
# Instruments of the gateway's test mode (Stripe's "Test cards"): what is charged with them, and what never is.
_CARDS = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex")
_DECLINED_CARDS = ("pm_card_visa_chargeDeclined", "pm_card_visa_chargeDeclinedInsufficientFunds")
_ORDERS = ("flat white, two croissants", "bag of house beans", "espresso machine descaler", "catering for twelve")


@dataclass(frozen=True)
class Message:
    """One message to send.

    kind: what it is. payment_id: empty where the body has no usable one. deduplication_id: empty where the queue is to
    take it from the content. ends: the settled states that are right for it; of a refund, the reason for which it fails
    is one. `original` is the number of the message that this one repeats, contradicts, corrects or gives back.
    refund_id: of a refund, which has the payment's `payment_id`.
    """

    number: int
    kind: str
    payment_id: str
    group: str
    body: str
    ends: frozenset[str]
    amount_minor: int = 0
    deduplication_id: str = ""
    original: int | None = None
    # What the approver of a risky payment decides; empty: nothing, until its time is over.
    decision: str = ""
    card_numbers: tuple[str, ...] = ()
    refund_id: str = ""


CHARGED = frozenset({"completed", "declined"})
DECLINED = frozenset({"declined"})
PARKED = frozenset({"parked"})
EXPIRED = frozenset({"expired"})
REJECTED = frozenset({"rejected"})
REJECTED_QUEUE = frozenset({"rejected_queue"})
CONFLICT = frozenset({"conflict"})
REFUNDED = frozenset({"refunded"})
# Of a refund whose payment captured nothing, whatever would be right for it otherwise.
NOT_COMPLETED = frozenset({"refund_payment_not_completed"})
# What an approver decides on a risky payment -> what becomes of it.
_DECISIONS = {"approve": CHARGED, "": EXPIRED, "reject": REJECTED}


def make(payments: int, groups: int, seed: int) -> list[Message]:
    """The stream in sending order: `payments` messages, plus duplicates, conflicts and corrections of some.

    The same arguments give the same stream on every machine and Python. Raises ValueError for no payments or groups.
    """
    if payments < 1 or groups < 1:
        raise ValueError(f"{payments} payments in {groups} groups: both are at least 1")
    choose = random.Random(f"traffic:{seed}:{payments}:{groups}")
    kinds = [kind for kind, share in _SHARES.items() for _ in range(math.ceil(share * payments))][: payments - 1]
    kinds += ["ordinary"] * (payments - len(kinds))
    choose.shuffle(kinds)
    placed: list[tuple[float, Message]] = []
    # The first third is left to expire, so that a run does not end with that wait behind all other waits.
    unanswered = kinds.count("risky") // len(_DECISIONS)
    decisions = itertools.chain([""] * unanswered, itertools.cycle(("approve", "reject")))
    for number, kind in enumerate(kinds):
        payment_id = f"pay-{seed}-{number:05d}"
        message = _MAKERS[kind](choose, payment_id, number)
        if kind == "risky":
            decision = next(decisions)
            message = replace(message, decision=decision, ends=_DECISIONS[decision])
        placed.append((number, replace(message, group=f"payment-group-{choose.randrange(groups)}")))
    placed += _repeats(choose, [message for _, message in placed], groups, seed)
    placed.sort(key=lambda place: place[0])
    # Numbers are places in the stream, so what repeats a message has to follow it to its new number.
    numbers = {message.number: number for number, (_, message) in enumerate(placed)}
    return [
        replace(
            message,
            number=numbers[message.number],
            original=None if message.original is None else numbers[message.original],
        )
        for _, message in placed
    ]


def make_overload(
    messages: int, groups: int, seed: int, *, hot_share: float = 0.0, poison_share: float = 0.0
) -> list[Message]:
    """`messages` in sending order, none of which asks a person: `poison_share` of them can never succeed.

    `hot_share` of them are in the first of the groups, the rest in the others in turn. The same arguments give the same
    stream. Raises ValueError for no messages or groups.
    """
    if messages < 1 or groups < 1:
        raise ValueError(f"{messages} messages in {groups} groups: both are at least 1")
    choose = random.Random(f"overload:{seed}:{messages}:{groups}:{hot_share}:{poison_share}")
    poison = round(poison_share * messages)
    kinds = list(itertools.islice(itertools.cycle(_POISON), poison)) + ["ordinary"] * (messages - poison)
    choose.shuffle(kinds)
    others = itertools.cycle(range(1, groups) if hot_share and groups > 1 else range(groups))
    made = []
    for number, kind in enumerate(kinds):
        group = 0 if choose.random() < hot_share else next(others)
        message = (_too_large if kind == "too_large" else _MAKERS[kind])(choose, f"pay-{seed}-{number:05d}", number)
        # Two bodies that are alike by chance would be one message to the queue.
        made.append(replace(message, group=f"payment-group-{group}", deduplication_id=f"overload-{seed}-{number}"))
    return made


def _repeats(
    choose: random.Random, originals: Sequence[Message], groups: int, seed: int
) -> list[tuple[float, Message]]:
    """Duplicates, conflicts and corrections, each a random way behind its original."""
    usable = [message for message in originals if message.payment_id]
    count = min(len(usable), max(2, round(_DUPLICATES * len(originals)))) if len(usable) > 1 else 0
    repeats: list[tuple[float, Message]] = []
    number = len(originals)
    for index, original in enumerate(choose.sample(usable, count)):
        duplicate = replace(original, number=number, kind="duplicate_dropped", original=original.number)
        if index % 2 == 0:
            duplicate = replace(duplicate, kind="duplicate", deduplication_id=f"again-{seed}-{number}")
            # Every second one comes through another group, where nothing keeps it behind its original.
            if index % 4 == 2:
                duplicate = replace(duplicate, group=f"payment-group-{choose.randrange(groups)}")
        repeats.append((original.number + choose.choice((0.5, 3.5, 20.5)), duplicate))
        number += 1
    ordinary = [message for message in originals if message.kind == "ordinary"]
    conflicts = min(len(ordinary), max(1, round(_CONFLICTS * len(originals))))
    for original in choose.sample(ordinary, conflicts):
        document = json.loads(original.body)
        document["amount"] = (original.amount_minor + 100) / 100
        conflict = replace(
            original,
            number=number,
            kind="conflict",
            body=json.dumps(document),
            amount_minor=original.amount_minor + 100,
            ends=CONFLICT,
            original=original.number,
        )
        repeats.append((original.number + choose.choice((0.6, 5.6)), conflict))
        number += 1
    invalid = [message for message in originals if message.kind == "invalid"]
    for original in choose.sample(invalid, min(len(invalid), max(1, round(_CORRECTIONS * len(originals))))):
        right = _ordinary(choose, original.payment_id, number)
        corrected = replace(right, kind="corrected", group=original.group, original=original.number)
        repeats.append((original.number + choose.choice((0.7, 7.7)), corrected))
        number += 1
    return repeats


def refund(
    payment: Message,
    number: int,
    refund_id: str,
    amount_minor: int,
    ends: frozenset[str],
    *,
    kind: str = "refund",
    currency: str = "USD",
    group: str = "",
    deduplication_id: str = "",
) -> Message:
    """A message that asks for an amount of a payment back, in that one's group where no other is named."""
    asked = {"payment_id": payment.payment_id, "refund_id": refund_id, "amount": amount_minor / 100}
    return Message(
        number,
        kind,
        payment.payment_id,
        group or payment.group,
        json.dumps({"refund": {**asked, "currency": currency}}),
        ends,
        amount_minor,
        deduplication_id,
        payment.number,
        refund_id=refund_id,
    )


def _document(choose: random.Random, payment_id: str, amount_minor: int) -> dict[str, Any]:
    first, last = choose.choice(_FIRST_NAMES), choose.choice(_LAST_NAMES)
    city, state, zip_code = choose.choice(_CITIES)
    customer = choose.randrange(100, 1000)
    return {
        "payment_id": payment_id,
        "order_id": f"ord-{choose.randrange(10**6):06d}",
        "customer_id": f"cust-{customer}",
        "customer_name": f"{first} {last}",
        "customer_email": f"{last.lower()}.{customer}@cloudcafe.example",
        "description": choose.choice(_ORDERS),
        "amount": amount_minor / 100,
        "payment_method": choose.choice(("credit_card", "debit_card")),
        "payment_token": choose.choice(_CARDS),
        "billing_address": {
            "street": f"{choose.randrange(1, 999)} {choose.choice(_STREETS)}",
            "city": city,
            "state": state,
            "zip": zip_code,
        },
    }


def _ordinary_amount(choose: random.Random) -> int:
    """Log-normal about 30.00, as in a shop's tills, from 0.99 to 499.99."""
    return min(49_999, max(99, round(100 * choose.lognormvariate(3.4, 1.0))))


def _ordinary(choose: random.Random, payment_id: str, number: int) -> Message:
    amount_minor = _ordinary_amount(choose)
    body = json.dumps(_document(choose, payment_id, amount_minor))
    return Message(number, "ordinary", payment_id, "", body, CHARGED, amount_minor)


def _declined_card(choose: random.Random, payment_id: str, number: int) -> Message:
    """A good payment with a card that its issuer refuses."""
    amount_minor = _ordinary_amount(choose)
    document = _document(choose, payment_id, amount_minor) | {"payment_token": choose.choice(_DECLINED_CARDS)}
    return Message(number, "declined_card", payment_id, "", json.dumps(document), DECLINED, amount_minor)


def _risky(choose: random.Random, payment_id: str, number: int) -> Message:
    amount_minor = choose.randrange(_ASKS_A_PERSON_FROM_MINOR, 1_000_000)
    body = json.dumps(_document(choose, payment_id, amount_minor))
    return Message(number, "risky", payment_id, "", body, EXPIRED, amount_minor)


_FAULTY: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    lambda document: {**document, "amount": -document["amount"]},
    lambda document: {**document, "amount": 0},
    lambda document: {**document, "amount": 25.999},
    lambda document: {**document, "amount": "25.99"},
    lambda document: {**document, "amount": 10_000.01},
    lambda document: {**document, "currency": "EUR"},
    lambda document: {**document, "customer_id": 456},
    lambda document: {**document, "customer_name": "Zo\u0000e"},
    lambda document: {**document, "billing_address": "12 Maple Avenue"},
    lambda document: {**document, "cvv": "123"},
    lambda document: {name: value for name, value in document.items() if name != "order_id"},
)


def _invalid(choose: random.Random, payment_id: str, number: int) -> Message:
    document = choose.choice(_FAULTY)(_document(choose, payment_id, _ordinary_amount(choose)))
    return Message(number, "invalid", payment_id, "", json.dumps(document), REJECTED)


def _unusable(choose: random.Random, payment_id: str, number: int) -> Message:
    """A payment whose id is missing, malformed or a card number: nothing to store it under."""
    document = _document(choose, payment_id, _ordinary_amount(choose))
    card = ""
    match choose.randrange(3):
        case 0:
            del document["payment_id"]
        case 1:
            document["payment_id"] = f"{payment_id} with spaces"
        case _:
            card = document["payment_id"] = card_number(choose)
    return Message(
        number, "unusable", "", "", json.dumps(document), REJECTED_QUEUE, card_numbers=(card,) if card else ()
    )


def _malformed(choose: random.Random, payment_id: str, number: int) -> Message:
    document = _document(choose, payment_id, _ordinary_amount(choose))
    card = card_number(choose)
    document["description"] = f"paid with {card}"
    body = json.dumps(document)
    bodies = (
        body[:-1],
        f"[{body}]",
        body.replace('"amount": ', '"amount": NaN, "rest": '),
        body.replace('"amount": ', '"payment_id": "pay-again", "amount": '),
        '{"description": ' * 20 + body + "}" * 20,
        f"a letter, not a payment, about {payment_id} and {card}",
    )
    return Message(number, "malformed", "", "", choose.choice(bodies), REJECTED_QUEUE, card_numbers=(card,))


def _card_number(choose: random.Random, payment_id: str, number: int) -> Message:
    """A good payment with a card number where none belongs: it is charged, and the number is masked."""
    amount_minor = _ordinary_amount(choose)
    document = _document(choose, payment_id, amount_minor)
    card = card_number(choose)
    spaced = " ".join(card[start : start + 4] for start in range(0, len(card), 4))
    match choose.randrange(5):
        case 0:
            document["description"] = f"card {card}"
        case 1:
            document["customer_name"] = f"{document['customer_name']} {spaced}"
        case 2:
            document["note_to_nobody"] = {"cards": [spaced.replace(" ", "-")]}
        case 3:
            document["terminal"] = int(card)
        case _:
            document["billing_address"]["street"] = f"{spaced} Maple Avenue"
    body = json.dumps(document)
    return Message(number, "card_number", payment_id, "", body, CHARGED, amount_minor, card_numbers=(card,))


def _too_large(choose: random.Random, payment_id: str, number: int) -> Message:
    """A good payment in a body of 33 to 128 KiB, with a card number at its beginning, of which a copy is kept."""
    document = _document(choose, payment_id, _ordinary_amount(choose))
    card = card_number(choose)
    size = choose.choice((33, 64, 128)) * 1024
    body = json.dumps({"note": f"paid with {card}", **document, "attachment": "x" * size})
    return Message(number, "too_large", "", "", body, REJECTED_QUEUE, card_numbers=(card,))


# What can never succeed, whoever tries it.
_POISON = ("invalid", "unusable", "malformed", "too_large")
_MAKERS = {
    "ordinary": _ordinary,
    "declined_card": _declined_card,
    "risky": _risky,
    "invalid": _invalid,
    "unusable": _unusable,
    "malformed": _malformed,
    "card_number": _card_number,
}


def card_number(choose: random.Random) -> str:
    """A number that passes for a card's: an issuer's range and length, and the check digit of ISO/IEC 7812-1."""
    prefix, length = choose.choice((("4", 16), ("51", 16), ("55", 16), ("37", 15), ("6011", 16)))
    digits = prefix + "".join(str(choose.randrange(10)) for _ in range(length - len(prefix) - 1))
    total = sum(sum(divmod(int(digit) * (2 - index % 2), 10)) for index, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)
