"""`payments deploy | rollback | stop | start | cost`: what `make` does under these names, on the same code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from operations import checkout
from operations.names import ROLES
from operations.options import NAME, Call, Command, confirmed, one_of, pass_call


def _named_without_state(command: Callable[..., Any]) -> Callable[..., Any]:
    said = click.option(
        "--no-state", is_flag=True, help="Do not ask Terraform's state what things are called: without a name_prefix."
    )
    return said(command)


def _of_function(command: Callable[..., Any]) -> Callable[..., Any]:
    said = click.option("--function", type=click.Choice(ROLES), default="queue", show_default=True, help="Which.")
    return said(command)


@click.command(cls=Command, example="payments deploy --zip dist/payment-processor-arm64-compiled.zip --shares 10,50")
@click.option("--zip", type=click.Path(exists=True, dir_okay=False, resolve_path=True), help="Made by `make package`.")
@click.option("--version", type=NAME, help="A version that is published already, in place of a ZIP.")
@_of_function
@click.option("--shares", metavar="PERCENT,...", help="A canary's; an alarm brings it back (default: none in dev).")
@click.option("--hold", type=click.FloatRange(0), help="Seconds that each share is watched (default: 240).")
@_named_without_state
@pass_call
def deploy(call: Call, /, no_state: bool, function: str, **given: str | float | None) -> int:
    """Publish a ZIP, or take a published version, and move alias live to it.

    As `make deploy-code` and `make move`: production takes no ZIP past a plan. `payments rollback` goes back.
    """
    one_of(zip=given["zip"], version=given["version"])
    return checkout.of_environment(call, "deploy", "--function", function, *_words(given), has_state=not no_state)


def _words(given: Mapping[str, str | float | None]) -> list[str]:
    """Options as a script reads them, those that were given."""
    asked = {f"--{name.replace('_', '-')}": str(value) for name, value in given.items() if value is not None}
    return [word for option in asked.items() for word in option]


@click.command(cls=Command, example="payments rollback --environment prod")
@click.option("--version", type=NAME, help="A published version (default: the one that proved itself last).")
@_of_function
@_named_without_state
@pass_call
def rollback(call: Call, version: str | None, function: str, no_state: bool) -> int:
    """Move alias live back to the version that proved itself last, at once."""
    words = ["--version", version] if version else []
    return checkout.of_environment(call, "rollback", "--function", function, *words, has_state=not no_state)


@click.command(cls=Command, example="payments stop --environment prod")
@_named_without_state
@pass_call
def stop(call: Call, no_state: bool) -> int:
    """Take no more messages, and charge nothing but what is approved.

    Neither the queue, nor reconcile's schedule, nor the webhook's wake-ups start anything then: no charge, no refund.
    It waits until no worker holds a payment, and says how many approved ones can still charge, and how many an approver
    could still approve: only the gateway's key stops those. Nothing is lost: messages stay on the queue.
    """
    return checkout.of_environment(call, "stop", has_state=not no_state)


@click.command(cls=Command, example="payments start --environment prod")
@_named_without_state
@confirmed
@pass_call
def start(call: Call, no_state: bool) -> int:
    """Take messages again, reconcile, and look at what the webhook wakes."""
    call.confirm(f"Environment {call.variables['ENVIRONMENT']} will charge, and give back, what waits in its queue.")
    return checkout.of_environment(call, "stop", "--start", has_state=not no_state)


_COST: Final = {
    "--payments": "Payments a month (1000000).",
    "--memory-size": "MB (512).",
    "--duration-ms": "Of one invocation, without INIT (3000).",
    "--init-ms": "Of one cold start (600).",
    "--cold-share": "Of invocations that start cold (0.01).",
    "--messages-per-invocation": "1 to 10 (1).",
    "--provisioned-concurrency": "Environments kept initialised (0).",
    "--item-bytes": "Of one stored payment (900).",
    "--kept-months": "Months of payments that the table holds (12).",
    "--log-months": "Months of logs that are kept (12).",
    "--exports": "Exports of the whole table a month, as `payments export` makes them (0).",
}


def _counted(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, meaning in reversed(_COST.items()):
        command = click.option(name, help=meaning)(command)
    return command


@click.command(cls=Command, example="payments cost --payments 1000000 --duration-ms 40")
@_counted
@pass_call
def cost(call: Call, /, **given: str | None) -> int:
    """Say what a month costs, by published prices.

    On arm64 and x86_64, line by line; it asks nobody.
    """
    return checkout.run(call, "-m", "benchmarks.cost", *_words(given))
