"""`make avalanche TARGET=aws`: the same avalanche to a deployed queue, and what CloudWatch has of it.

The rule: nothing is sent before the target was looked at, the cost was said and somebody agreed. Exit code 0: every
payment was settled once; 1: one was not, or it could not be finished; 2: refused, nothing was sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.avalanche import cloudwatch, deployed, prediction, published, settled, view
from benchmarks.avalanche.deployed import Deployed, Function, RefusedError
from benchmarks.avalanche.live import RAMP_SECONDS, unsent
from benchmarks.avalanche.parameters import ImpossibleParametersError, Traffic
from benchmarks.avalanche.play import Timing, send_and_watch
from benchmarks.avalanche.result import Result
from benchmarks.avalanche.seen import Moment, Round, figures
from benchmarks.avalanche.simulation import simulate
from benchmarks.avalanche.traffic import check_memory
from benchmarks.coldstart.report import terminal
from benchmarks.cost import read_prices
from benchmarks.measure import available_mb, new_record, write_record
from local.evidence import Sent
from local.report import shown as shown_path
from local.report import tell_audit
from local.stream import RunError

_LOOK_SECONDS = 2.0
_SERVICES = ("sqs", "lambda", "dynamodb", "cloudwatch", "sts")


def main(arguments: Sequence[str] | None = None) -> int:
    """Look, ask, send, watch, read back."""
    options = _options(arguments)
    try:
        target = deployed.read_outputs(options.environment, options.outputs, options.state)
        traffic = Traffic(options.messages, options.groups, ramp_seconds=options.ramp_seconds)
        clients = {name: boto3.client(name, region_name=target.region) for name in _SERVICES}
        function = deployed.check_target(target, clients["lambda"], clients["sqs"])
        check_memory(options.messages, available_mb())
        expected = simulate(prediction.parameters_of(target, function, traffic), options.seed)
        _agree(options, target, function, clients["sts"].get_caller_identity()["Account"])
    except (RefusedError, ImpossibleParametersError, ClientError, BotoCoreError) as error:
        print(f"refused, nothing was sent: {error}", file=sys.stderr)
        return 2
    try:
        return _run(options, target, function, clients, expected)
    except (RunError, ClientError, BotoCoreError) as error:
        print(f"avalanche: not finished, what was sent goes on being paid: {error}", file=sys.stderr)
        return 1


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except ArithmeticError:
        amount = Decimal("nan")
    if not amount.is_finite() or amount < 0:
        raise argparse.ArgumentTypeError(f"{text} is no amount of USD")
    return amount


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make avalanche TARGET=aws", description=__doc__)
    add = parser.add_argument
    add("--environment", default="dev", help="Terraform's environment, never production (%(default)s)")
    add("--state", choices=("local", "remote"), default="", help="where its state is: local for dev alone, if not said")
    add("--outputs", type=Path, metavar="FILE", help="of `terraform output -json`, instead of those of its state")
    add("--messages", type=int, default=published.MESSAGES, help="payments (%(default)s)")
    add("--groups", type=int, default=published.GROUPS, help="message groups (%(default)s)")
    add(
        "--ramp-seconds",
        type=published.seconds,
        default=RAMP_SECONDS,
        help="published: 300 to 600; 0: all at once (%(default)s)",
    )
    add("--seed", type=int, default=1, help="decides the amounts (%(default)s)")
    add("--limit-usd", type=_usd, default=Decimal(1), help="refuse above this estimate (%(default)s)")
    add("--yes", action="store_true", help="agree to the cost without being asked")
    add(
        "--seconds-max",
        type=published.seconds,
        default=1800.0,
        help="to wait for payments after the ramp (%(default)s)",
    )
    add(
        "--metrics-seconds",
        type=published.seconds,
        default=600.0,
        help="to wait for CloudWatch's metrics (%(default)s)",
    )
    return parser.parse_args(arguments)


def _agree(options: argparse.Namespace, target: Deployed, function: Function, account: str) -> None:
    """Say what will be done and what it costs at the most. Raises RefusedError where nobody agrees."""
    prices = read_prices()
    environments = min(options.groups, target.concurrency)
    usd = deployed.estimate_usd(options.messages, environments, function, prices)
    stress = function.variables.get("STRESS_MODE", "none")
    print(
        f"{options.messages} messages in {options.groups} groups along {options.ramp_seconds:g} s to "
        f"{target.queue_url}, account {account}: {target.function_name} with {function.memory_size} MB "
        f"({function.architecture}), at most {environments} environments, STRESS_MODE={stress}. The gateway is "
        "simulated: no money moves."
    )
    if stress != "cold_start":
        apply = f"make apply ENVIRONMENT={target.environment} TF_ARGS='-var stress_mode=cold_start'"
        print(f"its inits are not slowed: `{apply}` slows them")
    print(f"at most ${usd:.4f} (prices of {prices['date']}), limit ${options.limit_usd:.2f}", flush=True)
    if usd > options.limit_usd:
        raise RefusedError("the estimate is above the limit: fewer messages, or a higher --limit-usd")
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError("nobody can be asked here: --yes agrees to the cost")
    if input(f"type {target.environment} to send: ").strip() != target.environment:
        raise RefusedError("nobody agreed")


def _run(
    options: argparse.Namespace, target: Deployed, function: Function, clients: dict[str, Any], expected: Result
) -> int:
    console = terminal()
    begun = datetime.now(UTC)
    begun_ms = round(begun.timestamp() * 1000)
    dead_before = sum(deployed.depth(clients["sqs"], target.dead_letter_queue_url))
    with view.View(console, f"{options.messages} messages, {options.groups} groups") as shown:
        seen, sent, items = _play(options, target, clients, begun_ms, shown.show)
    dead = sum(deployed.depth(clients["sqs"], target.dead_letter_queue_url)) - dead_before
    problems = {
        "every_message_was_sent": unsent(options.messages, len(sent)),
        **settled.problems(target.environment, sent, items, sum(deployed.depth(clients["sqs"], target.queue_url))),
        "nobody_is_dead_lettered": [f"{dead} more messages are on the dead-letter queue"] if dead > 0 else [],
    }
    print("reading CloudWatch, whose metrics come minutes later", flush=True)
    series = cloudwatch.read_once_there(
        clients["cloudwatch"],
        cloudwatch.metrics_of(target),
        begun,
        options.messages,
        seconds_max=options.metrics_seconds,
    )
    console.print(view.figures_table([("", figures(seen))]))
    predicted = prediction.series_of(expected, begun.timestamp() % cloudwatch.PERIOD_SECONDS)
    console.print(view.series_table(series, predicted))
    path = new_record("avalanche-aws.json")
    tell_audit(console, problems, path.parent)
    names = ("environment", "messages", "groups", "ramp_seconds")
    settings = {name: getattr(options, name) for name in names} | {
        "concurrency": target.concurrency,
        "memory_size": function.memory_size,
        "architecture": function.architecture,
        "stress_mode": function.variables.get("STRESS_MODE", "none"),
    }
    document = {
        "target": "aws",
        "settings": settings,
        "rounds": [{"groups": options.groups, **seen.as_document()}],
        "cloudwatch": {"period_seconds": cloudwatch.PERIOD_SECONDS, "begun": begun.isoformat(), "series": series},
        "prediction": {"series": predicted, "figures": expected.as_document() | {"series": None}},
        "audit": problems,
    }
    write_record(path, document)
    console.print(f"record: {shown_path(path)}", highlight=False)
    return int(any(problems.values()))


def _play(
    options: argparse.Namespace,
    target: Deployed,
    clients: dict[str, Any],
    begun_ms: int,
    show: Callable[[Moment], None],
) -> tuple[Round, list[Sent], list[dict[str, Any]]]:
    """Send and watch: what was seen, what was sent, and the items that the table has of it."""
    # The moment stands in every payment id: a second run on this table is no repetition.
    run = f"{datetime.fromtimestamp(begun_ms / 1000, UTC):%Y%m%dt%H%M%S}"
    messages = published.messages(options.messages, options.groups, run, options.seed)
    table = settled.SettledPayments(clients["dynamodb"], target.table_name, messages)
    moments: list[Moment] = []

    def look(seconds: float, sent: Sequence[Sent]) -> Moment:
        waiting, in_flight = deployed.depth(clients["sqs"], target.queue_url)
        moments.append(Moment(round(seconds, 3), len(sent), table.read(), waiting, in_flight))
        show(moments[-1])
        return moments[-1]

    timing = Timing(
        published.due_seconds(options.messages, options.ramp_seconds),
        begun_ms,
        look_seconds=_LOOK_SECONDS,
        seconds_max=options.ramp_seconds + options.seconds_max,
    )
    sent = send_and_watch(clients["sqs"], target.queue_url, messages, timing, look)
    return Round(table.payments(sent, begun_ms), moments=moments), sent, table.items
