"""Move alias `live` of a function back to the version that proved itself last, at once, without a plan.

It changes aliases and provisioned concurrency and nothing else; `make apply` leaves `live` there until something newer
is published.
"""

import argparse
import json
import sys

from botocore.exceptions import BotoCoreError, ClientError

from operations.checkout import IN_PART
from packager.environment import Environment
from packager.live import MoveError
from packager.names import ALARMS, names_of
from packager.standing import InPartError, told


def main(arguments: list[str] | None = None) -> int:
    """Roll back one function; with the reason on standard error 1 when nothing was moved, else IN_PART."""
    parser = argparse.ArgumentParser(prog="make rollback", description=__doc__)
    parser.add_argument("--environment", required=True, help="for example dev")
    parser.add_argument("--outputs", default="", help="what `terraform output -json` says, if anything")
    parser.add_argument("--function", choices=ALARMS, default="queue", help="default: queue")
    parser.add_argument("--version", help="a published version; without it the one that proved itself last")
    parser.add_argument("--json", action="store_true", help="a document in place of lines")
    options = parser.parse_args(arguments)
    names = names_of(options.environment, options.outputs)
    try:
        environment = Environment(options.environment, names=names)
        with told(environment.live(options.function)) as facts:
            before, after = environment.roll_back(options.function, options.version)
    except (MoveError, InPartError, ClientError, BotoCoreError) as error:
        print(f"make rollback: {error}", file=sys.stderr)
        return IN_PART if isinstance(error, InPartError) else 1
    if options.json:
        print(json.dumps({**facts, "from": before, "to": after}))
        return 0
    print(f"{names.functions[options.function]}: live moved from version {before} to {after}")
    print("`make apply` leaves it there until something newer is published; `terraform apply` alone moves it on again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
