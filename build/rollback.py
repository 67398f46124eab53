"""Move alias `live` of a function back to the version that proved itself last, at once, without a plan.

It changes aliases and provisioned concurrency and nothing else; `make apply` leaves `live` there until something newer
is published.
"""

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError

from packager.environment import ROLES, Environment
from packager.live import MoveError


def main(arguments: list[str] | None = None) -> int:
    """Roll back one function; 1 with the reason on standard error when nothing was moved."""
    parser = argparse.ArgumentParser(prog="make rollback", description=__doc__)
    parser.add_argument("--environment", required=True, help="for example dev")
    parser.add_argument("--function", choices=ROLES, default="queue", help="default: queue")
    parser.add_argument("--version", help="a published version; without it the one that proved itself last")
    options = parser.parse_args(arguments)
    try:
        before, after = Environment(options.environment).roll_back(options.function, options.version)
    except (MoveError, ClientError, BotoCoreError) as error:
        print(f"make rollback: {error}", file=sys.stderr)
        return 1
    print(
        f"{ROLES[options.function].function.format(options.environment)}: live moved from version {before} to {after}"
    )
    print("`make apply` leaves it there until something newer is published; `terraform apply` alone moves it on again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
