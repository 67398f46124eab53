"""`make conformance-aws ENVIRONMENT=sandbox`: prove on an account what is said of AWS here, and keep what it answered.

The rule: nothing is made before what it costs was said and somebody agreed; whatever happens, it is removed again.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.coldstart.prices import read_prices
from local.installation import ROOT
from local.terraform import TerraformError, check_installed
from tests.conformance import cost
from tests.conformance.names import Name, planned_names, there
from tests.conformance.record import RECORD, Calls, Record, Step
from tests.conformance.refusals import (
    RefusedError,
    check_caller,
    check_name,
    check_nothing_there,
    check_plan,
    check_whose,
)
from tests.conformance.removal import remove
from tests.conformance.steps import STEPS
from tests.conformance.system import System, folder_of

MEMORY_SIZES = (256, 1024, 1769)
_BEFORE = "the way ended before it"


def main(
    arguments: Sequence[str] | None = None,
    *,
    steps: Sequence[Step] = STEPS,
    make_system: Callable[..., Any] = System,
    ask: Callable[[str], str] = input,
) -> int:
    """0 where everything went as the docs say, 1 where something did not or is left, 2 where it was refused."""
    options = _parser().parse_args(arguments)
    calls = Calls()
    try:
        check_name(options.environment)
        earlier = folder_of(options.environment).exists()
        if earlier and not options.clean:
            raise RefusedError(
                f"an earlier run was cut off and has left {folder_of(options.environment)}: {_again(options)}"
            )
        if options.clean and not earlier:
            raise RefusedError(f"no run of environment {options.environment} was cut off in this checkout")
        check_installed()
        system = _made(options, make_system, calls)
        if options.clean:
            account = system.clients["sts"].get_caller_identity()["Account"]
            check_whose(system.resources().values(), account, system.region)
    except (RefusedError, TerraformError, ClientError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    except BotoCoreError as error:
        print(f"refused: {error} Check AWS_REGION, and AWS_PROFILE or keys.", file=sys.stderr)
        return 2
    if options.clean:
        return _removed(options, system, set())
    try:
        planned, names = _looked_at(system)
        facts = _agreed(options, system, planned, ask)
    except KeyboardInterrupt:
        system.settle()
        shutil.rmtree(folder_of(options.environment))
        print("interrupted, and nothing was made", file=sys.stderr)
        return 130
    except (RefusedError, TerraformError, ClientError, BotoCoreError, RuntimeError) as error:
        shutil.rmtree(folder_of(options.environment))
        print(f"refused: {error}", file=sys.stderr)
        return 2
    return _proved(options, system, steps, names, Record(facts, calls))


def _made(options: argparse.Namespace, make_system: Callable[..., Any], calls: Calls) -> Any:
    """The system; where it cannot be made, no folder that looks like a run's. Raises TerraformError, BotoCoreError."""
    try:
        return make_system(
            options.environment,
            packages=options.packages,
            architecture=options.architecture,
            memory_sizes=options.memory_sizes,
            variables=dict(options.var),
            calls=calls,
        )
    except BaseException:
        if not options.clean:
            shutil.rmtree(folder_of(options.environment), ignore_errors=True)
        raise


def _looked_at(system: Any) -> tuple[dict[str, Any], set[Name]]:
    """The plan, and the names in it, none of which is there. Raises RefusedError."""
    # ministack knows nobody else.
    if not system.loopback:
        check_caller(system.clients["sts"].get_caller_identity()["Arn"])
    print("terraform plan, which makes nothing", flush=True)
    planned = system.planned()
    check_plan(planned)
    names = planned_names(planned) | {("aws_sqs_queue", system.inbox), ("aws_kms_alias", system.key_alias)}
    check_nothing_there(system.environment, there(system.clients, names))
    return planned, names


def _agreed(
    options: argparse.Namespace, system: Any, planned: dict[str, Any], ask: Callable[[str], str]
) -> dict[str, Any]:
    """The facts of the record, once somebody has agreed to what it costs. Raises RefusedError."""
    prices = read_prices()
    parts = cost.parts(planned, [*system.memory_sizes, 512], prices)
    usd = sum(amount for _, amount in parts)
    account = system.clients["sts"].get_caller_identity()["Account"]
    where = f"account {account}, region {system.region}" + (", on this machine" if system.loopback else "")
    print(
        f"environment {system.environment}, {where}: {len(planned['resource_changes'])} resources, made and destroyed"
    )
    for what, amount in parts:
        print(f"  ${amount:7.4f}  {what}")
    print(f"  ${usd:7.4f}  at most, in {cost.HOURS_MAX} hours, at prices of {prices['date']}")
    print(f"not counted: {cost.NOT_COUNTED}")
    if not options.yes:
        try:
            answer = ask(f"Go on? Type {system.environment}: ")
        except EOFError:
            answer = ""
        if answer.strip() != system.environment:
            raise RefusedError("not agreed to; for scripts there is --yes")
    return {
        "target": "loopback" if system.loopback else "aws",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "region": system.region,
        "environment": system.environment,
        "architecture": options.architecture,
        "memory_sizes": list(system.memory_sizes),
        "estimate_usd": round(usd, 4),
        "estimate": [{"part": what, "usd": round(amount, 6)} for what, amount in parts],
    }


def _proved(options: argparse.Namespace, system: Any, steps: Sequence[Step], names: set[Name], record: Record) -> int:
    interrupted, goes_on = False, True
    _interrupt_at_an_end()
    try:
        for number, step in enumerate(steps, 1):
            if not goes_on:
                record.leave_out(step, _BEFORE)
            elif system.loopback and step.not_here:
                record.leave_out(step, step.not_here)
            else:
                print(f"{number}/{len(steps)} {step.name}: {step.asked}", flush=True)
                before = dict(system.variables)
                goes_on = record.play(step, system)
                if record.steps[-1]["result"] == "failed":
                    # What AWS or the plan refused must not stand in the plans that follow.
                    system.variables = before
    except KeyboardInterrupt:
        interrupted = True
        for step in steps[len(record.steps) :]:
            record.leave_out(step, _BEFORE)
        print("interrupted: everything is removed first, which takes minutes", file=sys.stderr, flush=True)
    code = _removed(options, system, names)
    record.facts["removed"] = code == 0
    # An account's is kept beside the steps, where the docs' tests find it.
    path = options.record or (folder_of(options.environment).with_suffix(".json") if system.loopback else RECORD)
    record.write(path)
    print(f"{record.table()}\nrecord: {path}")
    for name in record.differs():
        print(f"not as the docs say: {name}", file=sys.stderr)
    return 130 if interrupted else int(bool(code or record.differs()))


def _removed(options: argparse.Namespace, system: Any, names: set[Name]) -> int:
    """Remove everything; 1 where something is left, which is said."""
    print("removing what is there", flush=True)
    try:
        left = remove(system, names)
    except KeyboardInterrupt:
        system.settle()
        left = ["the removal was interrupted"]
    if not left:
        shutil.rmtree(folder_of(options.environment))
        print("nothing is left, but keys of KMS that wait for their deletion, which cost nothing")
        return 0
    print(f"not removed, try {_again(options)}, and by hand what that leaves:", file=sys.stderr)
    for one in left:
        print(f"  {one}", file=sys.stderr)
    return 1


def _again(options: argparse.Namespace) -> str:
    return f"`make conformance-aws ENVIRONMENT={options.environment} OPTIONS=--clean`"


def _interrupt_at_an_end() -> None:
    """A polite kill or a closed terminal removes everything too."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupt)


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make conformance-aws", description=__doc__)
    parser.add_argument("--environment", required=True, help="a new one, for example sandbox; never production")
    parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    parser.add_argument("--clean", action="store_true", help="remove what a run that was cut off has left, and no more")
    parser.add_argument("--memory-sizes", type=_sizes, default=MEMORY_SIZES, help="MB, by commas: 256,1024,1769")
    parser.add_argument("--architecture", default="arm64", choices=("arm64", "x86_64"))
    parser.add_argument("--packages", type=Path, default=ROOT / "dist", help="folder of the ZIPs")
    parser.add_argument(
        "--var", type=_variable, action="append", default=[], metavar="NAME=VALUE",
        help="a variable of the root that the account needs; the gateway's are refused",
    )  # fmt: skip
    parser.add_argument("--record", type=Path, help="where the record is written")
    return parser


if __name__ == "__main__":
    sys.exit(main())
