"""Move alias `live` to the version before it, at once, without a plan.

It changes the alias and nothing else, and says how to tell Terraform, whose next apply would move it forward again. It
never moves it to code that does not read what was written (docs/protocol.md, "Versions of the canonical text").
"""

import argparse
import os
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from packager.published import list_versions, versions_read, versions_written

ALIAS = "live"


class RollbackError(Exception):
    """Nothing was moved. The message says why and what to do."""


def roll_back(client: Any, function_name: str, version: str | None = None) -> tuple[str, str]:
    """Point the alias at `version`, or at the highest published version below the live one; return (from, to).

    `client` is a boto3 Lambda client. A canary's weight is taken off in the same call.

    Raises RollbackError when there is no such version, or when it does not read what was written.
    """
    live = client.get_alias(FunctionName=function_name, Name=ALIAS)["FunctionVersion"]
    versions = {
        int(found["Version"]): found for found in list_versions(client, function_name) if found["Version"] != "$LATEST"
    }
    published = sorted(versions)
    if version is not None:
        target = int(version)
        if target not in published:
            raise RollbackError(f"{function_name} has no version {target}; it has {', '.join(map(str, published))}")
    else:
        earlier = [number for number in published if number < int(live)]
        if not earlier:
            raise RollbackError(f"version {live} of {function_name} is its first: there is nothing to go back to")
        target = earlier[-1]
    written = versions_written(versions.values())
    unread = written - versions_read(versions[target])
    if unread:
        able = [number for number in published if number != int(live) and written <= versions_read(versions[number])]
        way = f"move to one that reads it: make rollback VERSION={able[-1]}" if able else "no other version reads it"
        raise RollbackError(
            f"version {target} of {function_name} does not read version {', '.join(map(str, sorted(unread)))} of the "
            f"canonical text, which has been written: it would take payments under way for conflicts, or return them "
            f"for ever. {ALIAS} stays at version {live}; {way}, or mend the newest code and apply it"
        )
    client.update_alias(
        FunctionName=function_name,
        Name=ALIAS,
        FunctionVersion=str(target),
        RoutingConfig={"AdditionalVersionWeights": {}},
    )
    return live, str(target)


def main(arguments: list[str] | None = None) -> int:
    """Roll back one environment; 1 with the reason on standard error when nothing was moved."""
    parser = argparse.ArgumentParser(prog="make rollback", description=__doc__)
    parser.add_argument("--environment", required=True, help="for example dev")
    parser.add_argument("--version", help="a published version; without it the one before the live one")
    options = parser.parse_args(arguments)
    function_name = f"cloudcafe-payment-processor-{options.environment}"
    # boto3 does not read AWS_REGION, which Terraform and Lambda do.
    client = boto3.client("lambda", region_name=os.environ.get("AWS_REGION") or None)
    try:
        before, after = roll_back(client, function_name, options.version)
    except (RollbackError, ClientError, BotoCoreError) as error:
        print(f"make rollback: {error}", file=sys.stderr)
        return 1
    print(f"{function_name}: alias {ALIAS} moved from version {before} to {after}")
    print("Terraform would move it forward again; until the fix is there, apply with the version held:")
    print(f"  make apply ENVIRONMENT={options.environment} TF_ARGS='-var live_version={after}'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
