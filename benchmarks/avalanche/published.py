"""The published scenario 'Cold Start Avalanche': its messages, its ramp, its expected impact, and what is impossible.

The rule: whoever plays it, live, on AWS or simulated, sends the messages of this module at the times of this module.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from local.traffic import Message

MESSAGES = 1_000
# `payment-group-$((i % 10))`
GROUPS = 10
# "Gradual ramp-up over 5-10 minutes"
RAMP_SECONDS = (300.0, 600.0)
# AWS: "Lambda quotas", concurrent executions of an account that asked for no more.
ACCOUNT_CONCURRENCY = 1_000
# AWS: "Configuring scaling behavior for SQS event source mappings", maximum concurrency.
MAPPING_CONCURRENCY = 1_000
_COMPLETED = frozenset({"completed"})


class ImpossibleError(ValueError):
    """Parameters that no run can have; the message names the rule that they break."""


@dataclass(frozen=True)
class Impact:
    """One line of the published 'Expected impact', as it stands there."""

    name: str
    says: str


EXPECTED = (
    Impact("duration", "Lambda duration -> 3000ms+ (p99)"),
    Impact("cold", "Cold start percentage -> 100%"),
    Impact("concurrency", "Concurrent executions -> 10,000"),
    Impact("age", "SQS message age increases"),
    Impact("spike", "CloudWatch shows duration spike"),
    Impact("ramp", "Duration: gradual ramp-up over 5-10 minutes"),
)


def check(*, messages: int, groups: int, concurrency: int, ramp_seconds: float, quota: int) -> None:
    """Raises ImpossibleError; `quota` is the account's, of concurrent executions."""
    if messages < 1:
        raise ImpossibleError(f"{messages} messages: an avalanche has 1 or more")
    if not 1 <= groups <= messages:
        raise ImpossibleError(
            f"{groups} groups for {messages} messages: a group is what at least one message names, so 1 to {messages}"
        )
    if not (math.isfinite(ramp_seconds) and ramp_seconds >= 0):
        raise ImpossibleError(
            f"a ramp of {ramp_seconds:g} s: no message is sent before the first, so 0 s (all at once) or more"
        )
    if not 1 <= concurrency <= quota:
        raise ImpossibleError(
            f'{concurrency} concurrent executions: 1 to the account\'s quota of {quota} (AWS: "Lambda quotas")'
        )


def messages(count: int, groups: int, run: str, seed: int = 1) -> list[Message]:
    """The published script's messages in sending order, each to be charged.

    `run` stands in every payment id, so that a second run on the same table is no repetition of the first. Beside the
    script's fields a body has the instrument that Stripe's dialect wants. Amounts come from `seed` alone.
    """
    choose = random.Random(f"avalanche:{seed}")
    made = []
    for number in range(1, count + 1):
        amount_minor = 100 * (choose.randrange(100) + 10) + 99
        payment_id = f"pay-{run}-{number}"
        body = {
            "payment_id": payment_id,
            "order_id": f"ord-{number}",
            "customer_id": f"cust-{number}",
            "amount": amount_minor / 100,
            "payment_method": "credit_card",
            "payment_token": "pm_card_visa",
        }
        group = f"payment-group-{number % groups}"
        made.append(Message(number, "ordinary", payment_id, group, json.dumps(body), _COMPLETED, amount_minor))
    return made


def due_seconds(count: int, ramp_seconds: float) -> Sequence[float]:
    """When each message is sent, in seconds from the beginning; a ramp of 0 sends everything at once.

    The rate rises evenly from nothing, so that message i of n comes at the root of i/n of the ramp.
    """
    return [ramp_seconds * math.sqrt(number / count) for number in range(count)]
