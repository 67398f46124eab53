"""Bring code behind alias `live`: a ZIP's (update, publish, move), or what Terraform has published (move alone).

The rule it keeps: `live` moves only to the bytes that the manifest describes, only to code that reads what is written,
and the way that packager.live has for everybody; production's code is published by Terraform alone.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from handler.domain.rules import PRODUCTION
from operations.checkout import IN_PART
from packager.environment import Environment
from packager.live import LIVE, MoveError
from packager.names import ALARMS, names_of
from packager.published import FIRST, description, list_versions, versions_written
from packager.standing import InPartError, told
from packager.watch import changes, package_again

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# An alarm judges whole minutes, some of them three in a row.
SHARES, HOLD_SECONDS = (10, 50), 240.0
# A line, and its facts where it is one of JSON.
Say = Callable[..., None]


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


def publish(client: Any, function: str, content: bytes, manifest: dict[str, Any], written: set[int]) -> str | None:
    """Update the code and publish it; returns the version, None where `live` has this code already.

    `written` are the versions of the canonical text that were ever written. Raises DeployError.
    """
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
    unread = (written | versions_written(list_versions(client, function))) - set(reads)
    if unread:
        raise DeployError(
            f"the ZIP reads version {_numbers(reads)} of the canonical text, and {function} has been writing version "
            f"{_numbers(unread)}: it would take payments under way for conflicts. Package code that reads it"
        )
    live = client.get_function_configuration(FunctionName=function, Qualifier=LIVE)
    if live["CodeSha256"] == manifest["code_sha256"]:
        return None
    updated = client.update_function_code(FunctionName=function, ZipFile=content)
    if updated["CodeSha256"] != manifest["code_sha256"]:
        raise DeployError(f"{function} took other bytes than were sent ({updated['CodeSha256']}): live has not moved")
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    published = client.publish_version(
        FunctionName=function,
        # Refused by Lambda if somebody else's update came between.
        CodeSha256=manifest["code_sha256"],
        Description=" ".join(filter(None, (manifest["engine"], manifest["revision"], description(reads)))),
    )
    return str(published["Version"])


def _numbers(versions: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(versions)))


def _deploy(environment: Environment, options: argparse.Namespace, endpoint: str, say: Say) -> None:
    live = environment.live(options.function)
    if environment.name in PRODUCTION:
        raise DeployError(f"{live.function} is production: change it with `make apply`, whose plan somebody reads")
    content, manifest = read_package(options.zip)
    if str(manifest["revision"]).endswith("-dirty") and urlsplit(endpoint).hostname not in LOOPBACK:
        raise DeployError(f"{options.zip.name} was packaged from a dirty checkout: commit, then `make package`")
    back = f"{manifest['engine']}, {manifest['architecture']}; back again: make rollback ENVIRONMENT={environment.name}"
    with told(live) as facts:
        version = publish(environment.functions, live.function, content, manifest, environment.written())
        if version is None:
            said = f"{live.function}:live is version {live.version()} and runs this ZIP already"
        else:
            said = environment.follow(options.function, version, options.shares, options.hold) + f"\n{back}"
    say(said, **facts)


def _follow(environment: Environment, options: argparse.Namespace, role: str, say: Say) -> None:
    shares = () if options.published and role != "queue" else options.shares
    with told(environment.live(role)) as facts:
        said = environment.follow(role, options.version, shares, options.hold)
    say(said, **facts)


def _keep_deploying(deploy: Callable[[], int], options: argparse.Namespace, endpoint: str) -> None:
    """Deploy after each change of the sources. A dirty checkout goes to the local system alone, as ever."""
    _, manifest = read_package(options.zip)
    function = "processor" if options.function == "queue" else "workflow"
    allow_dirty = urlsplit(endpoint).hostname in LOOPBACK
    print("the sources are watched, until Ctrl-C", flush=True)
    for _ in changes(manifest["files"]):
        if package_again(function, manifest, allow_dirty=allow_dirty):
            deploy()


def _shares(text: str) -> tuple[int, ...]:
    shares = tuple(int(one) for one in text.replace(",", " ").split())
    if not all(1 <= one <= 99 for one in shares) or list(shares) != sorted(set(shares)):
        raise ValueError
    return shares


def main(arguments: Sequence[str] | None = None) -> int:
    """One command; with the reason on standard error 1 when `live` is where it was, IN_PART when something stands."""
    parser = argparse.ArgumentParser(prog="build/deploy.py", description="Publish code and move alias live to it.")
    parser.add_argument("--environment", required=True, help="dev, staging ...; prod takes no --zip")
    parser.add_argument("--outputs", default="", help="what `terraform output -json` says, if anything")
    parser.add_argument("--function", choices=ALARMS, default="queue", help="default: queue")
    parser.add_argument("--zip", type=Path, help="a ZIP of dist/, its manifest beside it")
    parser.add_argument("--watch", action="store_true", help="with --zip: again after each change, until Ctrl-C")
    parser.add_argument("--version", help="a published version, in place of a ZIP")
    parser.add_argument("--held", action="store_true", help="print the flags of a plan that leaves live alone")
    parser.add_argument("--proven", action="store_true", help="the same, and mark what has served without an alarm")
    parser.add_argument("--published", action="store_true", help="move every function to the newest that is published")
    parser.add_argument("--shares", type=_shares, help="shares of a canary in per cent (10,50); none in dev")
    parser.add_argument("--hold", type=float, default=HOLD_SECONDS, help="seconds that each share is watched (240)")
    parser.add_argument("--json", action="store_true", help="a document a line")
    options = parser.parse_args(arguments)
    if options.watch and options.zip is None:
        parser.error("--watch is of --zip")
    if options.shares is None:
        options.shares = () if options.environment == "dev" else SHARES
    endpoint = os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or os.environ.get("AWS_ENDPOINT_URL") or ""
    code = _once(options, endpoint)
    if code == 0 and options.watch:
        with contextlib.suppress(KeyboardInterrupt):
            _keep_deploying(lambda: _once(options, endpoint), options, endpoint)
    return code


def _once(options: argparse.Namespace, endpoint: str) -> int:
    names = names_of(options.environment, options.outputs)

    def say(text: str, **facts: str) -> None:
        print(json.dumps({"said": text, **facts}) if options.json else text, flush=True)

    try:
        environment = Environment(options.environment, names=names, say=say)
        if options.held or options.proven:
            for live in environment.existing().values() if options.proven else ():
                live.prove_if_quiet()
            print(" ".join(environment.held()))
        elif options.zip is not None:
            _deploy(environment, options, endpoint, say)
        else:
            for role in environment.existing() if options.published else (options.function,):
                _follow(environment, options, role, say)
    except (ClientError, BotoCoreError, WaiterError) as error:
        where = endpoint or "AWS"
        print(
            f"build/deploy.py: {names.functions[options.function]} at {where}: {error}\n"
            "check the name, the region (AWS_REGION), the credentials and, for the local system, "
            "AWS_ENDPOINT_URL; `aws lambda get-alias --name live` says where the alias is",
            file=sys.stderr,
        )
        return 1
    except (DeployError, MoveError, InPartError) as error:
        print(f"build/deploy.py: {error}", file=sys.stderr)
        return IN_PART if isinstance(error, InPartError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
