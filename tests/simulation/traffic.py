"""What is sent, drawn from the seed, with what must become of it written down by whoever sends it.

The code under test reads only `body`; the auditor reads the rest and never parses a body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.simulation.refund_traffic import Asked, refunds
from tests.simulation.world import SECOND, World

# A published test number of a real issuer range, and verification data: neither may appear outside the two queues.
CARD = "4111111111111111"
CVV = "cvv-7391"
SECRETS = (CARD, CVV)
# What the simulation's rules decline.
BLOCKLISTED = "a blocklisted payment"


@dataclass(frozen=True)
class Reading:
    """`content` tells payments of one id apart; `expected` is the first state that its route has.

    expected: `processing`, `pending_approval`, `declined` (by rule), `rejected`, or `unusable` (no item at all).
    told: the customer's name, the token and the gateway's customer, as the gateway is told them.
    """

    content: str
    expected: str
    told: tuple[str, str, str] = ("", "", "")


@dataclass(frozen=True)
class Variant:
    """One way to send a payment: its fields, the amount's spelling, and its content in version 1 and 2.

    `refused_by` are the versions that it is no payment in.
    """

    spelling: str
    contents: tuple[str, str] = ("a", "a")
    changes: tuple[tuple[str, str], ...] = ()
    amount: str = "{major}.{minor:02d}"
    told: tuple[tuple[str, str, str], tuple[str, str, str]] = (("", "", ""), ("", "", ""))
    refused_by: tuple[int, ...] = ()

    def readings(self, expected: str) -> tuple[Reading, ...]:
        return tuple(
            Reading(self.contents[version - 1], "rejected" if version in self.refused_by else expected, told)
            for version, told in ((1, self.told[0]), (2, self.told[1]))
        )


_COMPOSED, _DECOMPOSED = "Ren\u00e9e", "Rene\u0301e"


def _instrument(name: str, value: str) -> Variant:
    """Unknown to version 1, other content in version 2 with every value."""
    token, customer = (value, "") if name == "payment_token" else ("", value)
    return Variant(value, ("a", value), ((name, value),), told=(("", "", ""), ("", token, customer)))


# Several ways to send one payment, which are the same to one version and not to another.
_FAMILIES: tuple[tuple[Variant, ...], ...] = (
    (
        Variant("plain"),
        Variant("USD", changes=(("currency", "USD"),)),
        Variant("usd", ("usd", "a"), (("currency", "usd"),), refused_by=(1,)),
    ),
    (
        Variant("plain"),
        Variant("0", ("0", "a"), amount="{major}.{minor:02d}0", refused_by=(1,)),
        Variant("e-2", ("e-2", "a"), amount="{whole}e-2", refused_by=(1,)),
    ),
    (
        Variant("NFC", changes=(("customer_name", _COMPOSED),), told=((_COMPOSED, "", ""), (_COMPOSED, "", ""))),
        Variant(
            "NFD", ("NFD", "a"), (("customer_name", _DECOMPOSED),), told=((_DECOMPOSED, "", ""), (_COMPOSED, "", ""))
        ),
    ),
    (Variant("plain"), _instrument("payment_token", "tok_1"), _instrument("payment_token", "tok_2")),
    (_instrument("gateway_customer_id", "cus_1"), _instrument("gateway_customer_id", "cus_2")),
)
# Of messages that no version takes.
_REFUSED_FAMILY = (
    Variant("USD", changes=(("currency", "USD"),), refused_by=(1, 2)),
    Variant("usd", ("usd", "a"), (("currency", "usd"),), refused_by=(1, 2)),
)


# What a rejected message is corrected to: what is added to its amount, its first state, and its spelling.
_CORRECTED = (
    (0, "processing", Variant("right", ("right", "right"))),
    (0, "processing", Variant("right", ("right", "right"))),
    (0, "processing", Variant("right usd", ("right usd", "right"), (("currency", "usd"),), refused_by=(1,))),
    (5, "processing", Variant("right again", ("right again", "right again"))),
    (70_000, "pending_approval", Variant("right and risky", ("risky", "risky"))),
    (0, "declined", Variant("right and blocked", ("blocked", "blocked"), (("description", BLOCKLISTED),))),
)


@dataclass(frozen=True)
class Sent:
    """One message to send; `readings` has what each version of the canonical text makes of it, from version 1 on.

    `direct` names the execution of the workflow that it is the input of, past the queue; empty for a message. A retry
    reads as the message that it repeats.
    """

    number: int
    at: int
    group: str
    payment_id: str
    spelling: str
    amount_minor: int
    readings: tuple[Reading, ...]
    body: str
    direct: str = ""
    # Of an operator's retry: the `park_no` that it is for.
    retry: int = 0
    # Of a refund message, which names no payment of its own.
    refund: Asked | None = None

    @property
    def name(self) -> str:
        if self.refund is not None:
            return self.spelling
        return f"{self.payment_id or 'no id'}/{self.spelling}" + (f"#retry#{self.retry}" if self.retry else "")

    @property
    def is_unusable(self) -> bool:
        return self.readings[0].expected == "unusable"

    def read(self, version: int) -> Reading:
        return self.readings[version - 1]


def traffic(world: World) -> list[Sent]:
    """10 to 20 payments over some seconds, with duplicates, conflicts and messages that can never succeed.

    In some seeds a part of them is handed to the workflow itself, by whoever invokes it.
    """
    producer = _Producer(world)
    for index in range(world.between("traffic/payments", 10, 20)):
        payment_id = f"p{index + 1}"
        amount_minor = 1 + int(world.draw(f"traffic/{payment_id}/amount") * 40_000)
        extra, expected, changes = _kind(world.draw(f"traffic/{payment_id}/kind"))
        amount_minor += extra
        family: tuple[Variant, ...] = ()
        if expected == "rejected" and "order_id" in changes:
            family = _REFUSED_FAMILY
        elif expected in ("processing", "pending_approval"):
            family = _FAMILIES[int(world.draw(f"traffic/{payment_id}/family") * len(_FAMILIES))]
        if family and world.draw(f"traffic/{payment_id}/spelled") < 0.4:
            for copy in range(world.between(f"traffic/{payment_id}/copies", 1, 3)):
                variant = family[int(world.draw(f"traffic/{payment_id}/{copy}/spelling") * len(family))]
                body = _body(payment_id, amount_minor, changes | dict(variant.changes), variant.amount)
                producer.send(payment_id, variant.spelling, amount_minor, variant.readings(expected), body)
            continue
        body = _body(payment_id, amount_minor, changes)
        if expected == "unusable":
            payment_id = ""
        spelling = "a" if payment_id else f"unusable {index + 1}"
        readings = (Reading(spelling, expected),) * 2
        producer.send(payment_id, spelling, amount_minor, readings, body)
        again = world.draw(f"traffic/{index}/again")
        if again < 0.25:
            # The producer sent it twice, or a copy of it went another way: SQS cannot know.
            for _ in range(1 + int(again < 0.05)):
                producer.send(payment_id, spelling, amount_minor, readings, body)
        elif again < 0.32 and payment_id:
            other = amount_minor + 1
            producer.send(payment_id, "b", other, (Reading("b", expected),) * 2, _body(payment_id, other, changes))
    if world.draw("traffic/corrections") < 0.5:
        _correct(world, producer)
    firsts = {sent.payment_id: sent for sent in reversed(producer.sent) if sent.payment_id}
    refunds(world, {name: (sent.amount_minor, sent.at) for name, sent in sorted(firsts.items())}, producer.refund)
    kept = world.cut.messages
    return [message for message in producer.sent if kept is None or message.number in kept]


def _correct(world: World, producer: _Producer) -> None:
    """Senders of rejected messages send others under their ids: as they were, at fault once more, or right.

    Some are programs in a loop, which try more often than anything may be corrected.
    """
    rejected = {sent.payment_id: sent for sent in producer.sent if sent.read(2).expected == "rejected"}
    for payment_id, first in rejected.items():
        drawn = f"traffic/{payment_id}/correction"
        # Two of them only, so that each comes again, under other limits and in other releases.
        corrected = [world.pick(f"{drawn}/to", _CORRECTED) for _ in range(2)]
        loops = world.draw(f"{drawn}/loops") < 0.2
        for number in range(world.between(drawn, 12, 16) if loops else world.between(drawn, 1, 5)):
            kind = world.draw(f"{drawn}/{number}")
            if kind < 0.15:
                producer.send(payment_id, first.spelling, first.amount_minor, first.readings, first.body)
            elif kind < (0.9 if loops else 0.35):
                worse = first.amount_minor + 1_000 + int(world.draw(f"{drawn}/{number}/worse") * (50 if loops else 2))
                readings = (Reading(f"worse {worse}", "rejected"),) * 2
                producer.send(payment_id, f"worse {worse}", worse, readings, _body(payment_id, worse, {"order_id": ""}))
            else:
                more, expected, variant = world.pick(f"{drawn}/{number}/right", corrected)
                # Verification data is in no text: in version 2 only another amount tells these apart.
                right = first.amount_minor + more + (7 if CVV in first.body else 0)
                body = _body(payment_id, right, dict(variant.changes))
                producer.send(payment_id, variant.spelling, right, variant.readings(expected), body)


class _Producer:
    """Sends each message at its own time, to one of a few groups or to the workflow itself."""

    def __init__(self, world: World) -> None:
        self.sent: list[Sent] = []
        self._world = world
        self._groups = world.between("traffic/groups", 1, 4)
        self._spread = world.pick("traffic/spread", (1, 20, 60)) * SECOND
        many = world.draw("traffic/many groups")
        if many < 0.3:
            # Enough of them for a batch in which each message has its own; in most such seeds all are there at once.
            self._groups, self._spread = 10, self._spread if many < 0.1 else 0

    def send(self, payment_id: str, spelling: str, amount_minor: int, readings: tuple[Reading, ...], body: str) -> None:
        world, sent, number = self._world, self.sent, len(self.sent)
        group = f"g{1 + int(world.draw(f'traffic/{number}/group') * self._groups)}"
        at = int(world.draw(f"traffic/{number}/at") * self._spread)
        is_copy = bool(sent) and payment_id != "" and sent[-1].payment_id == payment_id
        together = is_copy and world.draw(f"traffic/{number}/together") < 0.4
        if together:
            # At once with the one before: so near that each is read before the other is claimed.
            at = max(0, sent[-1].at + int(world.draw(f"traffic/{number}/after") * 30) - 10)
        direct = ""
        if world.draw(f"traffic/{number}/direct") < world.profile.direct:
            direct = f"{payment_id}-{number}"
            if payment_id and world.draw(f"traffic/{number}/name") < (0.8 if together else 0.3):
                # The very name that the queue function would start an approval under.
                direct = f"sim-{payment_id}-1"
        sent.append(Sent(number, at, group, payment_id, spelling, amount_minor, readings, body, direct))

    def refund(self, at: int, name: str, asked: Asked) -> None:
        """To its payment's group, behind it, or to any."""
        first = next((sent for sent in self.sent if sent.payment_id == asked.payment_id), None)
        group = f"g{1 + int(self._world.draw(f'{name}/group') * self._groups)}"
        if first is not None and self._world.draw(f"{name}/behind") < 0.6:
            group = first.group
        readings = (Reading("", "refund"),) * 2
        what = f"refund {asked.payment_id}/{asked.refund_id}/{asked.amount_minor}"
        self.sent.append(Sent(len(self.sent), at, group, "", what, 0, readings, asked.body, refund=asked))


# Up to which draw a payment is of a kind: what is added to its amount, its first state, and its fields.
_KINDS: tuple[tuple[float, int, str, dict[str, str]], ...] = (
    (0.15, 70_000, "pending_approval", {}),
    (0.19, 0, "declined", {"description": BLOCKLISTED}),
    (0.22, 0, "rejected", {"order_id": ""}),
    (0.25, 0, "processing", {"description": f"card {CARD}"}),
    (0.28, 0, "rejected", {"cvv": CVV, "note": CARD}),
    (0.31, 0, "unusable", {"payment_id": f"pay {CARD}"}),
    (1.0, 0, "processing", {}),
)


def _kind(draw: float) -> tuple[int, str, dict[str, str]]:
    return next((extra, expected, changes) for until, extra, expected, changes in _KINDS if draw < until)


def _body(payment_id: str, amount_minor: int, changes: dict[str, str], amount: str = Variant.amount) -> str:
    document = {
        "payment_id": payment_id,
        "order_id": f"ord-{payment_id}",
        "customer_id": "cust-456",
        "payment_method": "credit_card",
        "billing_address": {"street": "123 Main St", "city": "Seattle", "state": "WA", "zip": "98101"},
        **changes,
    }
    # The amount as a sender spells it, with two decimals: no float here either.
    spelled = amount.format(major=amount_minor // 100, minor=amount_minor % 100, whole=amount_minor)
    return f'{{"amount": {spelled}, {json.dumps(document)[1:]}'
