"""A deployed queue with its function: what Terraform says of it, whether an avalanche may be sent to it, what it costs.

The rule: nothing real is charged and no production is touched. Whatever is behind alias `live` is asked, and one doubt
refuses.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.cost import Traffic, bill
from handler.domain.rules import PRODUCTION
from local.evidence import QUEUE_COUNTS
from local.installation import ROOT
from local.resources import ALIAS

_OUTPUTS = ("queue_url", "queue_arn", "dead_letter_queue_url", "table_name", "function_name", "concurrency")
# What a message's share of an invocation and a cold start may take at the most, in billed ms, for the estimate alone.
_MESSAGE_MS_MAX = Decimal(500)
_INIT_MS_MAX = Decimal(40_000)
# Of a month's bill, what a run adds to: the rest stands there without it.
_BILLED = {
    "Lambda requests",
    "Lambda duration",
    "Lambda INIT",
    "DynamoDB writes",
    "DynamoDB reads",
    "CloudWatch Logs",
}
# Send, receive and delete of each message, as if each went alone; the queue is looked at besides.
_REQUESTS_PER_MESSAGE = 3
_MILLION = Decimal(1_000_000)


class RefusedError(Exception):
    """Nothing was sent; the message says why, and what to do."""


@dataclass(frozen=True)
class Deployed:
    """What Terraform made in one environment; `concurrency` is how many batches run at once, whatever limits them."""

    environment: str
    region: str
    queue_url: str
    queue_arn: str
    dead_letter_queue_url: str
    table_name: str
    function_name: str
    concurrency: int
    account_concurrency: int


@dataclass(frozen=True)
class Function:
    """What runs behind alias `live`, and the least and the most of the pollers that its mapping has provisioned."""

    memory_size: int
    architecture: str
    variables: Mapping[str, str]
    snap_start: bool = False
    pollers: tuple[int, int] | None = None


def refuse_production(*names: str) -> None:
    """Raises RefusedError for an environment, or the name of a resource, that has production's name in it."""
    for name in names:
        parts = name.removesuffix(".fifo").rpartition("/")[2].split("-")
        if set(parts) & set(PRODUCTION):
            raise RefusedError(f"{name} is production's: an avalanche is never sent there")


def read_outputs(environment: str, file: Path | None = None, state: str = "") -> Deployed:
    """From `terraform output -json` of the environment's state, or from a file of it. Raises RefusedError.

    `state` says where it is, `local` or `remote`, in the place of build/state.py's own rule.
    """
    refuse_production(environment)
    if file is not None:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(f"the outputs cannot be read: {error}") from error
    else:
        text = _outputs_of_the_state(environment, state)
    try:
        outputs = {name: output["value"] for name, output in json.loads(text).items()}
        missing = [name for name in _OUTPUTS if name not in outputs]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RefusedError("the outputs are not what `terraform output -json` prints") from error
    if missing:
        raise RefusedError(
            f"Terraform has no output {', '.join(missing)} for {environment}: `make apply ENVIRONMENT={environment}`"
        )
    try:
        refuse_production(outputs["queue_url"], outputs["table_name"], outputs["function_name"])
        return _deployed(environment, outputs)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise RefusedError(f"the outputs are not those of this product's Terraform: {error!r}") from error


def _deployed(environment: str, outputs: Mapping[str, Any]) -> Deployed:
    limits = outputs["concurrency"]
    own = [limits[name] for name in ("mapping", "reserved") if limits.get(name) is not None]
    return Deployed(
        environment=environment,
        region=outputs["queue_arn"].split(":")[3],
        queue_url=outputs["queue_url"],
        queue_arn=outputs["queue_arn"],
        dead_letter_queue_url=outputs["dead_letter_queue_url"],
        table_name=outputs["table_name"],
        function_name=outputs["function_name"],
        concurrency=int(min([*own, limits["account"]])),
        account_concurrency=int(limits["account"]),
    )


def _outputs_of_the_state(environment: str, state: str) -> str:
    """Off the state, wherever it is."""
    command = [sys.executable, str(ROOT / "build" / "state.py"), "--environment", environment, "--outputs"]
    command += ["--state", state] if state else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RefusedError(f"{done.stderr.strip()}; or name a file of `terraform output -json`, --outputs FILE")
    return done.stdout


def check_target(deployed: Deployed, functions: Any, sqs: Any) -> Function:
    """Look at every version behind the alias, the mapping and the queue. Raises RefusedError."""
    alias = functions.get_alias(FunctionName=deployed.function_name, Name=ALIAS)
    weighted = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    found = [
        functions.get_function_configuration(FunctionName=deployed.function_name, Qualifier=version)
        for version in (alias["FunctionVersion"], *weighted)
    ]
    for one in found:
        _check_version(deployed, one)
    pages = functions.get_paginator("list_event_source_mappings").paginate(
        FunctionName=f"{deployed.function_name}:{ALIAS}"
    )
    mappings = [
        mapping
        for page in pages
        for mapping in page["EventSourceMappings"]
        if mapping["EventSourceArn"] == deployed.queue_arn
    ]
    states = [mapping["State"] for mapping in mappings]
    if states != ["Enabled"]:
        raise RefusedError(
            f"the mapping from the queue to {deployed.function_name}:{ALIAS} is {', '.join(states) or 'not there'}: "
            f"`make start ENVIRONMENT={deployed.environment}`"
        )
    waiting = sum(depth(sqs, deployed.queue_url))
    if waiting:
        raise RefusedError(f"{waiting} messages are on the queue: other traffic would be taken for the avalanche's")
    first, pollers = found[0], mappings[0].get("ProvisionedPollerConfig")
    return Function(
        first["MemorySize"],
        first.get("Architectures", ["x86_64"])[0],
        first.get("Environment", {}).get("Variables", {}),
        first.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
        (pollers["MinimumPollers"], pollers["MaximumPollers"]) if pollers else None,
    )


def _check_version(deployed: Deployed, configuration: Mapping[str, Any]) -> None:
    """Raises RefusedError where this version charges, is of another environment, or reads another queue."""
    name = f"version {configuration['Version']} of {deployed.function_name}"
    variables = configuration.get("Environment", {}).get("Variables", {})
    refuse_production(variables.get("ENVIRONMENT", ""))
    # Not every real gateway needs a URL or a key.
    if variables.get("GATEWAY") != "simulated" or variables.get("GATEWAY_URL") or variables.get("GATEWAY_SECRET_ARN"):
        raise RefusedError(
            f"{name} may charge real payments: its GATEWAY must be simulated, without GATEWAY_URL or GATEWAY_SECRET_ARN"
        )
    if variables.get("ENVIRONMENT") != deployed.environment:
        raise RefusedError(f"{name} is of environment {variables.get('ENVIRONMENT')}, not {deployed.environment}")
    if variables.get("DYNAMODB_TABLE") != deployed.table_name:
        raise RefusedError(f"{name} writes {variables.get('DYNAMODB_TABLE')}, not {deployed.table_name}")


def depth(sqs: Any, queue_url: str) -> tuple[int, int]:
    """Messages that wait on a queue, delayed ones too, and those in flight."""
    found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(QUEUE_COUNTS))["Attributes"]
    visible, in_flight, delayed = (int(found[name]) for name in QUEUE_COUNTS)
    return visible + delayed, in_flight


def estimate_usd(messages: int, environments: int, function: Function, prices: Mapping[str, Any]) -> Decimal:
    """An upper estimate of one run, each message in an invocation of its own; `prices` are benchmarks.cost's."""
    traffic = Traffic(
        payments=Decimal(messages),
        messages_per_invocation=Decimal(1),
        memory_size=function.memory_size,
        duration_ms=_MESSAGE_MS_MAX,
        init_ms=_INIT_MS_MAX,
        cold_share=Decimal(environments) / messages,
        provisioned_concurrency=0,
        item_bytes=900,
        kept_months=1,
        log_months=1,
    )
    lines = [line for line in bill(traffic, dict(prices)) if line.what in _BILLED]
    requests = messages * _REQUESTS_PER_MESSAGE * Decimal(prices["sqs"]["fifo_requests_per_million"]) / _MILLION
    return sum((line.cost(function.architecture) for line in lines), requests)
