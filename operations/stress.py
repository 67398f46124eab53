"""`payments stress on | off`: the cold-start scenario of the queue function.

The rule it keeps: the configuration is published, and alias live moved as every deployment moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import click

from handler.domain.rules import PRODUCTION
from operations import checkout
from operations.names import function
from operations.options import Call, Topic, pass_call


@click.group(cls=Topic, example="payments stress on")
def stress() -> None:
    """The published cold-start scenario, outside production."""


@stress.command(example="payments stress on")
@pass_call
def on(call: Call) -> int:
    """Have every new environment hash ten million times and wait three seconds in its init.

    Terraform puts the setting back at the next apply; `make apply TF_ARGS='-var stress_mode=cold_start'` keeps it.
    """
    environment = call.variables["ENVIRONMENT"]
    if environment in PRODUCTION:
        raise click.ClickException(
            f"{environment} is production, where no payment shall wait for it: nothing was changed"
        )
    return _set(call, "cold_start")


@stress.command(example="payments stress off")
@pass_call
def off(call: Call) -> int:
    """Start environments as they ever start."""
    return _set(call, "none")


def _set(call: Call, mode: Literal["cold_start", "none"]) -> int:
    functions, name = call.client("lambda"), function(call, "queue")
    live = functions.get_function_configuration(FunctionName=name, Qualifier="live")
    newest = functions.get_function_configuration(FunctionName=name)
    variables = live["Environment"]["Variables"]
    before = _mode(live)
    facts = {"function": name, "stress_mode_before": before, "stress_mode": mode, "version_before": live["Version"]}
    if before == mode == _mode(newest):
        call.say(f"{name}: STRESS_MODE is {mode} already", **facts, version=live["Version"])
        return 0
    wanted = {"Variables": variables | {"STRESS_MODE": mode}}
    functions.update_function_configuration(FunctionName=name, Environment=wanted)
    call.stands = (
        f"{name}: STRESS_MODE is {mode} in what is published next, and {before} in version {live['Version']}, which is "
        "live. Run it again"
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    version = live["Version"]
    if before != mode:
        version = functions.publish_version(
            FunctionName=name,
            # Refused by Lambda where newer code lies there than live has: this deploys none.
            CodeSha256=live["CodeSha256"],
            # It says which versions of the canonical text the code reads.
            Description=live.get("Description", ""),
        )["Version"]
        call.stands = (
            f"{name}: version {version} with STRESS_MODE {mode} is published; `payments deploy --version {version}` "
            "brings it behind live"
        )
        checkout.of_environment(call, "deploy", "--function", "queue", "--version", version, has_state=False)
    call.say(f"{name}: STRESS_MODE is {mode} in version {version}", **facts, version=version)
    return 0


def _mode(configuration: Mapping[str, Any]) -> str:
    return str(configuration.get("Environment", {}).get("Variables", {}).get("STRESS_MODE", "none"))
