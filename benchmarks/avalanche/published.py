"""The published scenario 'Cold Start Avalanche': its messages, its ramp, its expected impact.

The rule: whoever plays it, live, on AWS or simulated, sends the messages of this module at the times of this module.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import dataclass

import numpy as np

from benchmarks.avalanche.parameters import Traffic
from benchmarks.avalanche.rules import SECOND
from benchmarks.avalanche.traffic import offered
from local.traffic import Message

MESSAGES = 1_000
# `payment-group-$((i % 10))`
GROUPS = 10
# "Gradual ramp-up over 5-10 minutes"
RAMP_SECONDS = (300.0, 600.0)
_COMPLETED = frozenset({"completed"})


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


def seconds(text: str) -> float:
    """An option's value; whether a ramp may be so long, the simulator's parameters say. Raises ArgumentTypeError."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


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


def due_seconds(count: int, ramp_seconds: float) -> list[float]:
    """When each message is sent, in seconds from the beginning, as the simulator sends; a ramp of 0 is all at once."""
    moments = offered(Traffic(count, 1, ramp_seconds=ramp_seconds), np.random.default_rng())
    return [float(moment) for moment in moments / SECOND]
