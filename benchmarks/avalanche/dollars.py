"""What an avalanche costs: quantities of the run at the prices of `prices.json`, line by line.

One rule: prices are exact decimals, quantities whole numbers; nothing here is a float but a duration that is rounded up
before it is priced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from benchmarks.avalanche.parameters import Parameters
from benchmarks.avalanche.rules import write_units
from benchmarks.cost import (
    FINGERPRINT_WRITES,
    INDEX_WRITES,
    ITEM_WRITES,
    LOG_BYTES_PER_INVOCATION,
    LOG_BYTES_PER_PAYMENT,
    MILLION,
    read_prices,
)

_GIB = Decimal(2**30)
_NANODOLLARS = Decimal("0.000000001")
_SNAPSHOT_SECONDS = 3 * 3600


@dataclass(frozen=True)
class Quantities:
    """What is billed of a run. `billed_ms` is the sum over invocations, each with its init rounded up once, of which
    `provisioned_ms` ran in provisioned environments; `pollers` is the most that provisioned mode had.
    """

    seconds: float
    invocations: int
    billed_ms: int
    payments_tried: int
    cold_starts: int
    sends: int
    receives: int
    deletes: int
    delays: int
    provisioned_ms: int = 0
    pollers: int = 0


def kept_seconds(seconds: float) -> int:
    """How long what is provisioned is billed: five minutes begun (AWS Lambda Pricing, "Provisioned Concurrency")."""
    return max(1, math.ceil(seconds / 300)) * 300


def dollars(of: Quantities, parameters: Parameters) -> dict[str, Decimal]:
    """USD by line, and their `total`; without free tiers, storage and what costs the same every month. What provisioned
    environments had no room for has the usual price; a snapshot is kept for three hours or more ("AWS Lambda Pricing").
    """
    prices: dict[str, Any] = read_prices()
    function = parameters.function
    lambda_prices = prices["lambda"]
    gb = Decimal(function.memory_size) / 1024
    provisioned = function.provisioned_concurrency > 0
    usual, within = (
        lambda_prices[name][function.architecture] for name in ("gb_second", "provisioned_duration_gb_second")
    )
    logs = of.payments_tried * LOG_BYTES_PER_PAYMENT + of.invocations * LOG_BYTES_PER_INVOCATION
    lines = {
        "lambda_requests": of.invocations * lambda_prices["requests_per_million"] / MILLION,
        "lambda_duration": ((of.billed_ms - of.provisioned_ms) * usual + of.provisioned_ms * within) * gb / 1000,
        "sqs_requests": (of.sends + of.receives + of.deletes + of.delays)
        * prices["sqs"]["fifo_requests_per_million"]
        / MILLION,
        "dynamodb_writes": _writes(of, parameters, prices["dynamodb"]),
        "dynamodb_reads": of.cold_starts * prices["dynamodb"]["read_units_per_million"] / MILLION,
        "logs": Decimal(logs) / _GIB * prices["cloudwatch"]["logs_gb"],
    }
    if provisioned:
        kept = kept_seconds(of.seconds) * function.provisioned_concurrency
        lines["lambda_provisioned"] = kept * gb * lambda_prices["provisioned_gb_second"][function.architecture]
    if function.snapstart_restore_ms is not None:
        lines["lambda_restores"] = of.cold_starts * gb * lambda_prices["snapstart_restored_gb"]
        kept = max(_SNAPSHOT_SECONDS, math.ceil(of.seconds))
        lines["lambda_snapshot"] = kept * gb * lambda_prices["snapstart_kept_gb_second"]
    if of.pollers:
        lines["lambda_pollers"] = of.pollers * math.ceil(of.seconds) * lambda_prices["sqs_poller_hour"] / 3600
    lines = {name: Decimal(amount).quantize(_NANODOLLARS) for name, amount in lines.items()}
    return lines | {"total": sum(lines.values(), Decimal(0))}


def _writes(of: Quantities, parameters: Parameters, prices: dict[str, Any]) -> Decimal:
    """On demand by the unit, of table and indexes; provisioned by the hour begun, where each index has as much."""
    table = parameters.table
    if table.write_units is None:
        of_a_payment = ITEM_WRITES * write_units(table.item_bytes) + INDEX_WRITES + FINGERPRINT_WRITES
        units = of.payments_tried * of_a_payment
        return Decimal(units * prices["write_units_per_million"] / MILLION)
    hours = max(1, math.ceil(of.seconds / 3600))
    return Decimal(3 * math.ceil(table.write_units) * hours * prices["provisioned_write_unit_hour"])
