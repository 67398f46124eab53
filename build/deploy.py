"""Put a new ZIP behind alias `live` of one function: update its code, publish a version, move the alias.

The rule it keeps: the alias moves last and only to the bytes that the manifest describes, so that at no moment anything
else runs, and never to code that does not read what is written; production changes through Terraform alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from handler.domain.rules import PRODUCTION
from packager.published import FIRST, description, list_versions, versions_written

ALIAS = "live"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class DeployError(Exception):
    """The function runs what it ran before. The message says why, and what to do."""


def read_package(archive: Path) -> tuple[bytes, dict[str, Any]]:
    """A ZIP and its manifest, which must describe these very bytes. Raises DeployError."""
    manifest_path = archive.with_suffix(".manifest.json")
    try:
        content = archive.read_bytes()
        manifest: dict[str, Any] = json.loads(manifest_path.read_text())
    except FileNotFoundError as error:
        raise DeployError(f"{error.filename} is missing: run `make package`") from error
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    if digest != manifest["code_sha256"]:
        raise DeployError(f"{archive.name} is not what {manifest_path.name} describes: run `make package`")
    return content, manifest


def refuse_production(environment: str, function: str) -> None:
    """Raises DeployError for production, whichever way it is named."""
    if environment in PRODUCTION or function.rsplit("-", 1)[-1] in PRODUCTION:
        raise DeployError(f"{function} is production: change it with `terraform apply`, whose plan somebody reads")


def deploy(client: Any, function: str, content: bytes, manifest: dict[str, Any]) -> str:
    """Update, publish, move the alias; returns one line on what happened. Raises DeployError."""
    running = client.get_function_configuration(FunctionName=function)
    architecture = running.get("Architectures", ["x86_64"])[0]
    if architecture != manifest["architecture"]:
        raise DeployError(
            f"{function} runs on {architecture}, the ZIP is for {manifest['architecture']}: "
            f"deploy with ARCHITECTURE={architecture}"
        )
    if running["Runtime"] != manifest["runtime"]:
        raise DeployError(
            f"{function} runs {running['Runtime']}, the ZIP has bytecode for {manifest['runtime']} and without its "
            f"own, init takes 2.6 x: run `make package RUNTIME={running['Runtime']}`"
        )
    reads = manifest.get("canonical_versions_read", [FIRST])
    # `$LATEST` too: what is published next has its variables.
    unread = versions_written(list_versions(client, function)) - set(reads)
    if unread:
        raise DeployError(
            f"the ZIP reads version {_numbers(reads)} of the canonical text, and {function} has been writing version "
            f"{_numbers(unread)}: it would take payments under way for conflicts. Package code that reads it"
        )
    before = client.get_alias(FunctionName=function, Name=ALIAS)["FunctionVersion"]
    live = client.get_function_configuration(FunctionName=function, Qualifier=ALIAS)
    if live["CodeSha256"] == manifest["code_sha256"]:
        return f"{function}:{ALIAS} is version {before} and runs this ZIP already"
    updated = client.update_function_code(FunctionName=function, ZipFile=content)
    if updated["CodeSha256"] != manifest["code_sha256"]:
        raise DeployError(
            f"{function} took other bytes than were sent ({updated['CodeSha256']}): {ALIAS} still is version {before}"
        )
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    published = client.publish_version(
        FunctionName=function,
        # Refused by Lambda if somebody else's update came between.
        CodeSha256=manifest["code_sha256"],
        Description=" ".join(filter(None, (manifest["engine"], manifest["revision"], description(reads)))),
    )
    after, engine = published["Version"], manifest["engine"]
    # With SnapStart a version is not there at once.
    client.get_waiter("published_version_active").wait(FunctionName=function, Qualifier=after)
    # Lambda keeps a canary's weights where none are given.
    client.update_alias(
        FunctionName=function, Name=ALIAS, FunctionVersion=after, RoutingConfig={"AdditionalVersionWeights": {}}
    )
    return (
        f"{function}:{ALIAS} moved from version {before} to {after} ({engine}, {architecture})\n"
        f"back again: aws lambda update-alias --function-name {function} --name {ALIAS} --function-version {before}"
    )


def _numbers(versions: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(versions)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy one ZIP; 1 with the reason on standard error when the function was left as it was."""
    parser = argparse.ArgumentParser(prog="build/deploy.py", description="Update a function's code and move its alias.")
    parser.add_argument("--zip", type=Path, required=True, help="a ZIP of dist/, its manifest beside it")
    parser.add_argument("--environment", required=True, help="dev, staging ...; prod and production are refused")
    parser.add_argument("--function", help="default: cloudcafe-payment-processor-<environment>")
    options = parser.parse_args(arguments)
    function = options.function or f"cloudcafe-payment-processor-{options.environment}"
    endpoint = os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or os.environ.get("AWS_ENDPOINT_URL") or ""
    try:
        refuse_production(options.environment, function)
        content, manifest = read_package(options.zip)
        if str(manifest["revision"]).endswith("-dirty") and urlsplit(endpoint).hostname not in LOOPBACK:
            raise DeployError(f"{options.zip.name} was packaged from a dirty checkout: commit, then `make package`")
        # boto3 does not read the variable that everything else here does.
        client = boto3.client("lambda", region_name=os.environ.get("AWS_REGION") or None)
        print(deploy(client, function, content, manifest))
    except (ClientError, BotoCoreError, WaiterError) as error:
        where = endpoint or "AWS"
        print(
            f"build/deploy.py: {function} at {where}: {error}\n"
            "check the name, the region (AWS_REGION), the credentials and, for the local system, "
            "AWS_ENDPOINT_URL; the alias has not moved",
            file=sys.stderr,
        )
        return 1
    except DeployError as error:
        print(f"build/deploy.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
