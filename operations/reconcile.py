"""`payments reconcile`: one run of the reconcile function, now.

The rule it keeps: the deployed function does it, with its own role, gateway key and times, so that a run by hand is the
run of the schedule.
"""

from __future__ import annotations

import json

import click

from operations.names import function
from operations.options import Call, Command, pass_call


@click.command(cls=Command, example="payments reconcile")
@pass_call
def reconcile(call: Call) -> int:
    """Run reconcile now: settle, expire or restart what stopped half-way.

    Payments that are stuck in a worker's hands, that wait longer than they may, and that are parked; it never charges.
    It runs every ten minutes by itself.
    """
    name = function(call, "reconcile")
    answer = call.client("lambda").invoke(FunctionName=name, Qualifier="live", Payload=b"{}")
    document = json.loads(answer["Payload"].read() or b"{}")
    if "FunctionError" in answer:
        said = document.get("errorMessage", document)
        raise click.ClickException(
            f"{name} failed: {said}. Its log is in /aws/lambda/{name}; nothing is charged by it, run it again"
        )
    old, parked = document["old_open_payments"], document["parked_payments"]
    call.say(
        f"{name} has run. Open although they should not be: {old}. Parked: {parked}. "
        f"What it did with each payment is in /aws/lambda/{name}.",
        **document,
    )
    return 0
