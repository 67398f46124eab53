"""`payments doctor`: is everything of an environment as it should be, check by check.

The rule it keeps: it looks, and changes nothing; what could not be looked at is told with the permission that it needs,
and stops no other check. Only `--test-payment` sends something, and never where money could move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import click

from operations.checks import Checks
from operations.finding import Finding
from operations.options import Call, Command, pass_call
from operations.refusals import explain

_STYLES: Final = {"ok": "green", "look": "yellow", "wrong": "bold red"}


@click.command(cls=Command, example="payments doctor --environment prod")
@click.option("--test-payment", is_flag=True, help="Send one payment through; with the simulated gateway alone.")
@click.option("--no-state", is_flag=True, help="Compare with no outputs of Terraform.")
@pass_call
def doctor(call: Call, test_payment: bool, no_state: bool) -> int:
    """Look at credentials, permissions, quotas, versions, engine, alarms and settings.

    IAM is asked whether each function's role may do what its policy says; it says, too, whether the environment is
    stopped. Queues, table and aliases are compared with Terraform's outputs,
    where there are any. Ends with 1 where something is wrong; what a person has to judge is marked `look`.
    """
    checks = Checks(call, has_state=not no_state)
    looks: list[Callable[[], Iterator[Finding]]] = [
        checks.credentials,
        checks.terraform,
        checks.queues,
        checks.table,
        checks.versions,
        checks.roles,
        *([checks.test_payment] if test_payment else []),
        checks.engine,
        checks.quotas,
        checks.running,
        checks.alarms,
    ]
    is_well = True
    for look in looks:
        for finding in _found(call, look):
            is_well &= finding.state != "wrong"
            _say(call, finding)
    return int(not is_well)


def _found(call: Call, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds, and as one more finding why it could not go on."""
    name = look.__name__.replace("_", " ")
    try:
        yield from look()
    except click.ClickException as error:
        yield Finding(name, "wrong", error.format_message())
    except Exception as error:
        refusal = explain(error, call.variables)
        if refusal is None:
            raise
        yield Finding(name, "wrong", refusal.said, refusal.do)


def _say(call: Call, finding: Finding) -> None:
    if call.is_json:
        call.say("", **finding._asdict())
        return
    # Here, as no other command needs it.
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{finding.state:<6}", style=_STYLES[finding.state]), f"{finding.check:<13}", finding.said)
    if finding.do:
        console.print(f"{'':<21}{finding.do}", markup=False)
