"""What a month costs: `make cost`, the published example done right, on both architectures.

One rule: quantities come from the protocol and from the flags, prices from `prices.json` with their date, and every
line of the table shows both, so that a reader can check it with a pencil.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

PRICES = Path(__file__).resolve().parent / "prices.json"
ARCHITECTURES = ("arm64", "x86_64")
MILLION = Decimal(1_000_000)
SECONDS_PER_MONTH = Decimal(730 * 3600)
GIB = Decimal(2**30)

# The three writes of a charged payment (protocol.md: claim, ref, record), each as large as the item it leaves.
ITEM_WRITES = 3
# The indexes hold keys only: each entry is one unit. In and out of the open payments, and into the fingerprints'.
INDEX_WRITES = 2
FINGERPRINT_WRITES = 1
# Lambda polls an idle queue with five long polls of 20 s ("Using Lambda with Amazon SQS").
IDLE_POLLS_PER_SECOND = Decimal(5) / 20
# ProcessedPayments, FailedPayments, Conflicts, Duration, ColdStart, LambdaErrors, two of reconcile that feed alarms,
# and its two for each of three states.
CUSTOM_METRICS = 14
# Measured in local runs: one line a payment, one of metrics an invocation; Lambda adds three platform records to that.
LOG_BYTES_PER_PAYMENT = 320
LOG_BYTES_PER_INVOCATION = 560 + 3 * 250
# 31, of which three judge a sum of 6, 4 and 2 metrics; each metric is priced.
ALARMS = 40
# Of raw messages, and of the links to the approval page.
KEYS = 2
DASHBOARDS = 1


@dataclass(frozen=True)
class Traffic:
    """One month. Durations in ms, sizes in bytes, shares from 0 to 1."""

    payments: Decimal
    messages_per_invocation: Decimal
    memory_size: int
    duration_ms: Decimal
    init_ms: Decimal
    cold_share: Decimal
    provisioned_concurrency: int
    item_bytes: int
    kept_months: int
    log_months: int
    exports: int = 0

    @property
    def invocations(self) -> Decimal:
        """Batches of the month."""
        return self.payments / self.messages_per_invocation

    @property
    def memory_gb(self) -> Decimal:
        """As Lambda bills it: MB / 1024."""
        return Decimal(self.memory_size) / 1024


@dataclass(frozen=True)
class Line:
    """One line of the bill: how much of what at which price, the same for both architectures or not."""

    what: str
    quantity: Decimal
    unit: str
    prices: dict[str, Decimal]

    def cost(self, architecture: str) -> Decimal:
        """USD a month."""
        return self.quantity * self.prices[architecture]


def read_prices(path: Path = PRICES) -> dict[str, Any]:
    """The prices file, its numbers as exact decimals."""
    prices: dict[str, Any] = json.loads(path.read_text(), parse_float=Decimal)
    return prices


def bill(traffic: Traffic, prices: dict[str, Any]) -> list[Line]:
    """Every line of one month's bill, without free tiers."""

    def line(what: str, quantity: Decimal, unit: str, price: Any, per: Decimal = Decimal(1)) -> Line:
        by_architecture = price if isinstance(price, dict) else dict.fromkeys(ARCHITECTURES, price)
        return Line(what, quantity, unit, {name: Decimal(by_architecture[name]) / per for name in ARCHITECTURES})

    functions, queue, table, watch = prices["lambda"], prices["sqs"], prices["dynamodb"], prices["cloudwatch"]
    # Lambda bills whole milliseconds, of a cold invocation the sum with its INIT.
    billed_ms = _rounded_up(traffic.duration_ms)
    init_ms = _rounded_up(traffic.init_ms + traffic.duration_ms) - billed_ms
    busy_seconds = traffic.invocations * billed_ms / 1000
    cold = traffic.invocations * traffic.cold_share
    provisioned = traffic.provisioned_concurrency > 0
    item_units = _rounded_up(Decimal(traffic.item_bytes) / 1024)
    # Sending is one request a payment; a batch is received and deleted with one request each.
    requests = traffic.payments + 2 * traffic.invocations + IDLE_POLLS_PER_SECOND * SECONDS_PER_MONTH
    stored_gb = traffic.payments * traffic.item_bytes * traffic.kept_months / GIB
    log_gb = (traffic.payments * LOG_BYTES_PER_PAYMENT + traffic.invocations * LOG_BYTES_PER_INVOCATION) / GIB
    duration_price = functions["provisioned_duration_gb_second" if provisioned else "gb_second"]
    lines = [
        line("Lambda requests", traffic.invocations, "requests", functions["requests_per_million"], MILLION),
        line("Lambda duration", busy_seconds * traffic.memory_gb, "GB-s", duration_price),
        # Billed like duration since 2025-08-01; provisioned environments are initialised before they are counted.
        line(
            "Lambda INIT",
            Decimal(0) if provisioned else cold * init_ms / 1000 * traffic.memory_gb,
            "GB-s",
            functions["gb_second"],
        ),
    ]
    if provisioned:
        kept = traffic.provisioned_concurrency * SECONDS_PER_MONTH * traffic.memory_gb
        lines.append(line("Lambda provisioned", kept, "GB-s", functions["provisioned_gb_second"]))
    # Billed by the size of the table; its files are deleted after days.
    exported = (
        [line("DynamoDB exports", traffic.exports * stored_gb, "GB", table["export_gb"])] if traffic.exports else []
    )
    return [
        *lines,
        line("SQS FIFO requests", requests, "requests", queue["fifo_requests_per_million"], MILLION),
        line(
            "DynamoDB writes",
            traffic.payments * (ITEM_WRITES * item_units + INDEX_WRITES + FINGERPRINT_WRITES),
            "units",
            table["write_units_per_million"],
            MILLION,
        ),
        # One small read in every init, which pays for TLS before the first payment.
        line("DynamoDB reads", cold, "units", table["read_units_per_million"], MILLION),
        line("DynamoDB storage", stored_gb, "GB", table["storage_gb_month"]),
        line("DynamoDB recovery", stored_gb, "GB", table["point_in_time_recovery_gb_month"]),
        *exported,
        line("CloudWatch Logs", log_gb, "GB in", watch["logs_gb"]),
        line("CloudWatch log store", log_gb * traffic.log_months, "GB kept", watch["logs_storage_gb_month"]),
        line("CloudWatch metrics", Decimal(CUSTOM_METRICS), "metrics", watch["custom_metric_month"]),
        line("CloudWatch alarms", Decimal(ALARMS), "alarms", watch["alarm_month"]),
        line("CloudWatch dashboard", Decimal(DASHBOARDS), "dashboards", watch["dashboard_month"]),
        line("KMS keys", Decimal(KEYS), "keys", prices["kms"]["key_month"]),
    ]


def _rounded_up(quantity: Decimal) -> Decimal:
    return quantity.to_integral_value(ROUND_CEILING)


def published_example(traffic: Traffic, prices: dict[str, Any]) -> Decimal:
    """What the published formula says: an invocation a payment, x86, without INIT, queue, table and logs."""
    functions = prices["lambda"]
    gb_second: Decimal = functions["gb_second"]["x86_64"]
    request: Decimal = functions["requests_per_million"] / MILLION
    return traffic.payments * traffic.duration_ms / 1000 * traffic.memory_gb * gb_second + traffic.payments * request


def table(traffic: Traffic, prices: dict[str, Any]) -> str:
    """The bill as text."""
    rows = [
        (
            entry.what,
            f"{entry.quantity:,.0f}" if entry.quantity >= 100 else f"{entry.quantity:,.2f}",
            entry.unit,
            *(f"{entry.cost(name):,.2f}" for name in ARCHITECTURES),
        )
        for entry in bill(traffic, prices)
    ]
    totals = {name: sum((entry.cost(name) for entry in bill(traffic, prices)), Decimal(0)) for name in ARCHITECTURES}
    rows.append(("total", "", "USD a month", *(f"{totals[name]:,.2f}" for name in ARCHITECTURES)))
    per_million = {name: totals[name] / traffic.payments * MILLION for name in ARCHITECTURES}
    rows.append(("", "", "USD per million payments", *(f"{per_million[name]:,.2f}" for name in ARCHITECTURES)))
    header = ("", "quantity", "unit", *ARCHITECTURES)
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    text = []
    for row in [header, *rows]:
        left = row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].ljust(widths[2])
        text.append("  ".join([*left, *(cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True))]))
    rule = "-" * len(text[0])
    return "\n".join([text[0], rule, *text[1:-2], rule, *text[-2:]])


def documents(traffic: Traffic, prices: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The bill's lines and their total: quantity, and USD a month by architecture, as exact decimal texts."""
    entries = bill(traffic, prices)
    for entry in entries:
        usd = {name: f"{entry.cost(name):f}" for name in ARCHITECTURES}
        yield {"what": entry.what, "quantity": f"{entry.quantity:f}", "unit": entry.unit, "usd": usd}
    totals = {name: sum((entry.cost(name) for entry in entries), Decimal(0)) for name in ARCHITECTURES}
    yield {"what": "total", "usd": {name: f"{total:f}" for name, total in totals.items()}}


def _decimal(text: str, least: str, most: str | None = None) -> Decimal:
    value = Decimal(text) if text.replace(".", "", 1).isdigit() else None
    if value is None or value < Decimal(least) or (most is not None and value > Decimal(most)):
        allowed = f"from {least}" + (f" to {most}" if most is not None else "")
        raise argparse.ArgumentTypeError(f"{text} is not a number {allowed}")
    return value


def _positive(text: str) -> Decimal:
    return _decimal(text, "0.001")


def _amount(text: str) -> Decimal:
    return _decimal(text, "0")


def _share(text: str) -> Decimal:
    return _decimal(text, "0", "1")


def _memory(text: str) -> int:
    return int(_decimal(text, "128", "10240"))


def _whole(text: str) -> int:
    return int(_decimal(text, "0"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the bill for the flags given."""
    parser = argparse.ArgumentParser(
        prog="make cost", description="What a month of payments costs (us-east-1, on demand, without free tiers)."
    )
    add = parser.add_argument
    add("--payments", type=_positive, default="1000000", help="payments a month (%(default)s)")
    add("--memory-size", type=_memory, default="512", help="MB (%(default)s)")
    add("--duration-ms", type=_amount, default="3000", help="of one invocation, without INIT (%(default)s)")
    add("--init-ms", type=_amount, default="600", help="of one cold start (%(default)s)")
    add("--cold-share", type=_share, default="0.01", help="of invocations that start cold (%(default)s)")
    add("--messages-per-invocation", type=_positive, default="1", help="1 to 10; rises with traffic (%(default)s)")
    add("--provisioned-concurrency", type=_whole, default="0", help="environments kept initialised (%(default)s)")
    add("--item-bytes", type=_whole, default="900", help="of one stored payment (%(default)s)")
    add("--kept-months", type=_whole, default="12", help="months of payments that the table holds (%(default)s)")
    add("--log-months", type=_whole, default="12", help="months of logs that are kept (%(default)s)")
    add("--exports", type=_whole, default="0", help="exports of the whole table a month (%(default)s)")
    add("--json", action="store_true", help="one JSON document a line of the bill")
    options = parser.parse_args(arguments)
    is_json = vars(options).pop("json")
    if options.messages_per_invocation > 10:
        parser.error("--messages-per-invocation: a FIFO queue gives at most 10")
    traffic = Traffic(**vars(options))
    prices = read_prices()
    if is_json:
        print(*(json.dumps(each) for each in documents(traffic, prices)), sep="\n")
        return 0
    print(
        f"{traffic.payments:,.0f} payments a month at {traffic.memory_size} MB, {traffic.duration_ms} ms an invocation "
        f"of {traffic.messages_per_invocation}, {100 * traffic.cold_share:.1f} % cold with {traffic.init_ms} ms of INIT"
    )
    print(f"prices of {prices['region']}, {prices['date']}; USD, no free tier\n")
    print(table(traffic, prices))
    print(f"\nthe published formula (x86, no INIT, queue, table or logs): {published_example(traffic, prices):,.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
