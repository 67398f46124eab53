"""`payments`: one command for everything that an operator does.

The rule it keeps: nothing is imported that `--help` does not show; each command's module is loaded when it is called.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import click

from operations.options import Call, Command, ScriptError, Topic
from operations.refusals import EXIT_CODES, INTERRUPTED, REFUSED, Refusal, explain, of_script


class Entry(NamedTuple):
    """Where a command is, and its line of help, which is its docstring's first."""

    module: str
    help: str
    attribute: str = ""
    """The command's name in its module, where that is none of Python's."""


COMMANDS: Final[Mapping[str, Entry]] = {
    "send": Entry("send", "Send payments to the queue, one or a file of them."),
    "status": Entry("status", "Tell one payment's whole story."),
    "list": Entry("listing", "List open payments, those of a state or of one customer.", "list_open"),
    "approvals": Entry("approvals", "Risky payments that wait for a person."),
    "parked": Entry("parked", "Payments that kept failing."),
    "dead-letters": Entry("dead_letters", "Messages that were received too often.", "dead_letters"),
    "cancel": Entry("cancel", "Give one open payment up, wherever it is."),
    "reconcile": Entry("reconcile", "Run reconcile now: settle, expire or restart what stopped half-way."),
    "refund": Entry("refund", "Give back what a payment captured, in full or in part."),
    "conflicts": Entry("conflicts", "Messages whose payment_id was taken by other content."),
    "conservation": Entry("conservation", "Show a day's sums by the items and at the gateway, and what differs."),
    "events": Entry("events", "What was told of payments' outcomes."),
    "tail": Entry("events", "Show outcome events as they happen, one a line."),
    "export": Entry("export", "Write what a period settled, gave back and had disputed as CSV."),
    "deploy": Entry("deploying", "Publish a ZIP, or take a published version, and move alias live to it."),
    "rollback": Entry("deploying", "Move alias live back to the version that proved itself last, at once."),
    "stop": Entry("deploying", "Take no more messages, and charge nothing but what is approved."),
    "start": Entry("deploying", "Take messages again, reconcile, and look at what the webhook wakes."),
    "stress": Entry("stress", "The published cold-start scenario, outside production."),
    "pepper": Entry("pepper", "The secret behind the fingerprints of billing identities."),
    "cost": Entry("deploying", "Say what a month costs, by published prices."),
    "doctor": Entry("doctor", "Look at credentials, permissions, quotas, versions, engine, alarms and settings."),
    "completion": Entry("completion", "Print what makes a shell complete `payments`."),
}


class _Payments(Topic):
    """The topics by name; each is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"operations.{COMMANDS[cmd_name].module}")
        command: click.Command = getattr(module, COMMANDS[cmd_name].attribute or cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


payments: Final = _Payments(
    "payments",
    help="Run the payment system. Options that every command has may stand before or after it.",
    example="payments --environment prod parked list",
)


def every_command() -> Iterator[tuple[tuple[str, ...], Command | Topic]]:
    """Each command with the words that call it, a topic before its own; this one has none."""
    waiting: list[tuple[tuple[str, ...], click.Command]] = [((), payments)]
    while waiting:
        words, command = waiting.pop(0)
        yield words, cast("Command | Topic", command)
        if isinstance(command, click.Group):
            context = click.Context(command)
            found = ((name, command.get_command(context, name)) for name in command.list_commands(context))
            waiting = [((*words, name), each) for name, each in found if each] + waiting


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command and return its exit code, one of EXIT_CODES; standard error says why where it is none of 0."""
    call = Call(environment)
    try:
        return int(payments.main(arguments, prog_name="payments", obj=call, standalone_mode=False) or 0)
    except click.exceptions.UsageError as error:
        # What stands behind the wrong word was not read.
        if call.is_json or "--json" in (sys.argv[1:] if arguments is None else arguments):
            call.given["json"] = True
            return _end(call, Refusal(error.exit_code, error.format_message()))
        error.show()
        return error.exit_code
    except ScriptError as error:
        said = error.format_message()
        refusal = of_script(said, _variables(call))
        return _end(call, Refusal(REFUSED, said, refusal.do) if error.in_part else refusal)
    except click.ClickException as error:
        return _end(call, Refusal(error.exit_code, error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        return _end(call, Refusal(INTERRUPTED, "interrupted"))
    except Exception as error:
        explained = explain(error, _variables(call))
        if explained is None:
            raise
        return _end(call, explained)


def _variables(call: Call) -> Mapping[str, str]:
    """Where it was asked, as far as that could be found out."""
    try:
        return call.variables
    except Exception:  # noqa: BLE001 - the error that is being explained may be this one's
        return call.sdk_variables


def _end(call: Call, refusal: Refusal) -> int:
    """Say why a command could not do all that was asked, and what it had done by then; its exit code."""
    code = REFUSED if call.stands and refusal.code != INTERRUPTED else refusal.code
    if call.is_json:
        document: dict[str, Any] = {"error": refusal.said, "do": refusal.do, "done": call.stands, "exit_code": code}
        print(json.dumps({name: value for name, value in document.items() if value != ""}), file=sys.stderr)
        return code
    print(f"payments: {refusal.said}", *filter(None, (call.stands, refusal.do)), sep="\n  ", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
