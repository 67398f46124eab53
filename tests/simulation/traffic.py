"""What is sent, drawn from the seed, with what must become of it written down by whoever sends it.

The code under test reads only `body`; the auditor reads the rest and never parses a body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.simulation.world import SECOND, World

# A published test number of a real issuer range, and verification data: neither may appear outside the two queues.
CARD = "4111111111111111"
CVV = "cvv-7391"
SECRETS = (CARD, CVV)
# What the simulation's rules decline.
BLOCKLISTED = "a blocklisted payment"


@dataclass(frozen=True)
class Sent:
    """One message to send. `content` tells payments of one id apart; `expected` is the first state its route has.

    expected: `processing`, `pending_approval`, `declined` (by rule), `rejected`, or `unusable` (no item at all).
    `direct` names the execution of the workflow that it is the input of, past the queue; empty for a message.
    """

    number: int
    at: int
    group: str
    payment_id: str
    content: str
    amount_minor: int
    expected: str
    body: str
    direct: str = ""

    @property
    def name(self) -> str:
        return f"{self.payment_id or 'no id'}/{self.content}"


def traffic(world: World) -> list[Sent]:
    """10 to 20 payments over some seconds, with duplicates, conflicts and messages that can never succeed.

    In some seeds a part of them is handed to the workflow itself, by whoever invokes it.
    """
    sent: list[Sent] = []
    groups = world.between("traffic/groups", 1, 4)
    spread = world.pick("traffic/spread", (1, 20, 60)) * SECOND

    def send(payment_id: str, content: str, amount_minor: int, expected: str, body: str) -> None:
        number = len(sent)
        group = f"g{1 + int(world.draw(f'traffic/{number}/group') * groups)}"
        at = int(world.draw(f"traffic/{number}/at") * spread)
        direct = ""
        if world.draw(f"traffic/{number}/direct") < world.profile.direct:
            direct = f"{payment_id}-{number}"
            if payment_id and world.draw(f"traffic/{number}/name") < 0.3:
                # The very name that the queue function would start an approval under.
                direct = f"sim-{payment_id}-1"
        sent.append(Sent(number, at, group, payment_id, content, amount_minor, expected, body, direct))

    for index in range(world.between("traffic/payments", 10, 20)):
        payment_id = f"p{index + 1}"
        amount_minor = 1 + int(world.draw(f"traffic/{payment_id}/amount") * 40_000)
        kind = world.draw(f"traffic/{payment_id}/kind")
        expected = "processing"
        changes: dict[str, str] = {}
        if kind < 0.15:
            amount_minor, expected = amount_minor + 70_000, "pending_approval"
        elif kind < 0.19:
            changes, expected = {"description": BLOCKLISTED}, "declined"
        elif kind < 0.22:
            changes, expected = {"order_id": ""}, "rejected"
        elif kind < 0.25:
            changes, expected = {"description": f"card {CARD}"}, "processing"
        elif kind < 0.28:
            changes, expected = {"cvv": CVV, "note": CARD}, "rejected"
        elif kind < 0.31:
            changes, expected = {"payment_id": f"pay {CARD}"}, "unusable"
        body = _body(payment_id, amount_minor, changes)
        if expected == "unusable":
            payment_id = ""
        send(payment_id, "a" if payment_id else f"unusable {index + 1}", amount_minor, expected, body)
        again = world.draw(f"traffic/{index}/again")
        if again < 0.25:
            # The producer sent it twice, or a copy of it went another way: SQS cannot know.
            for _ in range(1 + int(again < 0.05)):
                send(sent[-1].payment_id, sent[-1].content, amount_minor, expected, body)
        elif again < 0.32 and payment_id:
            other = amount_minor + 1
            send(payment_id, "b", other, expected, _body(payment_id, other, changes))
    kept = world.cut.messages
    return [message for message in sent if kept is None or message.number in kept]


def _body(payment_id: str, amount_minor: int, changes: dict[str, str]) -> str:
    document = {
        "payment_id": payment_id,
        "order_id": f"ord-{payment_id}",
        "customer_id": "cust-456",
        "payment_method": "credit_card",
        "billing_address": {"street": "123 Main St", "city": "Seattle", "state": "WA", "zip": "98101"},
        **changes,
    }
    # The amount as a sender spells it, with two decimals: no float here either.
    return f'{{"amount": {amount_minor // 100}.{amount_minor % 100:02d}, {json.dumps(document)[1:]}'
