"""`payments conservation`: the sums of a day, by the items and at the gateway, and what they do not agree on.

The rule it keeps: what is shown is what the function kept; with --run the function itself makes it, by its own role.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import click

from handler.adapters.conservation import SumsBucket
from handler.adapters.support.standard import BotocoreClient
from handler.adapters.system import SystemClock
from handler.domain.conservation_run import day_of, yesterday
from handler.domain.errors import ApprovalRefusedError
from handler.domain.money import as_text
from operations.names import export_bucket, function
from operations.options import Call, Command, Time, pass_call
from operations.output import table


@click.command(cls=Command, example="payments conservation --date 2026-11-27")
@click.option("--date", "at", type=Time(takes_days=True), metavar="DAY", help="The day in UTC (default: yesterday).")
@click.option("--run", is_flag=True, help="Let the function go on with it now; it does so every half hour by itself.")
@pass_call
def conservation(call: Call, at: int | None, run: bool) -> int:
    """Show a day's sums by the items and at the gateway, and what differs.

    Of what was captured, refunded and disputed. Ends with 1 where the two do not agree, and tells each movement.
    docs/conservation.md says what the words mean, and what to do.
    """
    day = yesterday(SystemClock().now_ms()) if at is None else day_of(at)
    if run and (said := _run(call, day)):
        raise click.ClickException(said)
    kept = SumsBucket(BotocoreClient(call.client("s3")), _bucket(call), call.variables["ENVIRONMENT"])
    document = kept.document(day)
    if document is None:
        after = day + timedelta(days=1)
        raise ApprovalRefusedError(
            "unknown",
            f"there are no sums of {day}: they are made from {after}T00:30:00Z on, where Terraform's conservation is "
            f"true. What keeps them back is in /aws/lambda/{function(call, 'conservation')}; --run goes on with them",
        )
    call.say("\n".join(_lines(document)), **document)
    return int(document["difference_count"] > 0)


def _bucket(call: Call) -> str:
    """The bucket's name; the table is asked only where no variable has it."""
    if name := call.variables["EXPORT_BUCKET"]:
        return name
    dynamodb = BotocoreClient(call.client("dynamodb"))
    return export_bucket(call, dynamodb.describe_table(TableName=call.variables["DYNAMODB_TABLE"])["Table"]["TableArn"])


def _run(call: Call, day: date) -> str:
    """Let the function go on; what kept it from its end, "" where nothing did."""
    name = function(call, "conservation")
    answer = call.client("lambda").invoke(FunctionName=name, Payload=json.dumps({"day": str(day)}).encode())
    said = json.loads(answer["Payload"].read() or b"{}")
    if "FunctionError" in answer:
        return f"{name} failed: {said.get('errorMessage', said)}. Its log is in /aws/lambda/{name}"
    if not said["is_made"]:
        return (
            f"the sums of {day} are not made yet: /aws/lambda/{name} says why. Run it again, or wait for its next run"
        )
    return ""


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    count, owed = document["difference_count"], document["owed"]
    yield f"{document['day']} in UTC, {document['items_read']} items written: {count or 'no'} differences"
    rows = [("CURRENCY", "", "BY THE ITEMS", "", "AT THE GATEWAY", "")]
    rows += [
        (
            each["currency"],
            each["kind"],
            as_text(each["items_minor"], each["currency"]),
            f"({each['items_count']})",
            as_text(each["gateway_minor"], each["currency"]),
            f"({each['gateway_count']})",
        )
        for each in sorted(document["sums"], key=lambda each: (each["currency"], each["kind"]))
    ]
    yield from table(rows) if len(rows) > 1 else ("Nothing moved.",)
    for each in document["differences"]:
        here = _amount(each["items_minor"], each["items_currency"])
        there = _amount(each["gateway_minor"], each["gateway_currency"])
        named = " ".join(filter(None, (each["transaction_id"], each["kind"], each["ref"])))
        yield f"{each['why']}: {named}: {here} by the item, {there} at the gateway"
    if count > len(document["differences"]):
        yield f"and {count - len(document['differences'])} more, which are in the sums alone"
    if owed:
        yield f"{len(owed)} done at the gateway and open here, which reconcile owes; what stays so is told tomorrow:"
        yield from (f"owed: {each['payment_id']} {each['kind']} {each['ref']}" for each in owed)


def _amount(minor: int, currency: str) -> str:
    return f"{as_text(minor, currency)} {currency}" if currency else "nothing"
