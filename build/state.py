"""Where the Terraform state of an environment is: on this machine for dev, in a locked bucket of its own for others.

The rule it keeps: an environment has one state. A command finds its bucket, which belongs to this account, or ends with
what to do: none goes on with a state that is empty because the real one stands elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from handler.domain.rules import PRODUCTION

# Where it is called from: tests call it in a checkout whose terraform/ is a copy.
ROOT: Final = Path(__file__).absolute().parent.parent
KEY: Final = "payment-processor.tfstate"
#: Of the root, what no remote environment works on: another state, and what only tests read.
_NOT_LINKED: Final = (".terraform", "backend.tf", "examples", "tests")
_BACKEND: Final = 'terraform {\n  backend "s3" {}\n}\n'
_OLD_VERSIONS_DAYS: Final = 90
_OLD_VERSIONS_KEPT: Final = 20


class StateError(Exception):
    """Terraform was not let at a state. The message says why, and what to do."""


class Bucket:
    """The bucket of one environment's state, over a boto3 client of S3 in its region."""

    def __init__(self, environment: str, account: str, region: str, s3: Any) -> None:
        self.environment = environment
        self.region = region
        self.name = f"cloudcafe-state-{environment}-{account}-{region}"
        #: Terraform's own name of a workspace's state.
        self.state_key = f"env:/{environment}/{KEY}"
        self._account = account
        self._s3 = s3

    def exists(self) -> bool:
        """Whether it is there, and this account's. Raises StateError where it is another's."""
        try:
            self._s3.head_bucket(Bucket=self.name, ExpectedBucketOwner=self._account)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
                return False
            if error.response["Error"]["Code"] in ("403", "AccessDenied"):
                raise self._taken() from error
            raise
        return True

    def _taken(self) -> StateError:
        return StateError(
            f"{self.name} belongs to another account, or these credentials of account {self._account} may not see it "
            "(s3:ListBucket): nothing was written. Where another account has the name, no state may go there: tell AWS "
            f"support, and meanwhile take another name of the environment than {self.environment}, or another region"
        )

    def make(self) -> list[str]:
        """Make it, or what it lacks, and say what was done; a second time does nothing. Raises StateError."""
        said = []
        if self.exists():
            said.append(f"there already: bucket {self.name}")
        else:
            where = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
            try:
                self._s3.create_bucket(Bucket=self.name, **({"CreateBucketConfiguration": where} if where else {}))
            except (self._s3.exceptions.BucketAlreadyExists, self._s3.exceptions.BucketAlreadyOwnedByYou) as error:
                raise self._taken() from error
            said.append(f"made: bucket {self.name} in {self.region}")
        owned = {"Bucket": self.name, "ExpectedBucketOwner": self._account}
        for what, (operation, argument, wanted) in self._settings().items():
            found = self._setting(operation, argument, owned)
            if holds(found, wanted):
                said.append(f"there already: {what}")
                continue
            value = json.dumps(wanted) if argument == "Policy" else wanted
            getattr(self._s3, f"put_{operation}")(**owned, **{argument: value})
            said.append(f"made: {what}")
        return said

    def _setting(self, operation: str, argument: str, owned: Mapping[str, str]) -> Any:
        """What stands there; None where nothing was ever set."""
        try:
            found = getattr(self._s3, f"get_{operation}")(**owned)
        except ClientError as error:
            # NoSuchLifecycleConfiguration, ServerSideEncryptionConfigurationNotFoundError and their like.
            code = error.response["Error"]["Code"]
            if code.startswith("NoSuch") or code.endswith("NotFoundError"):
                return None
            raise
        if argument == "Policy":
            return json.loads(found["Policy"])
        return found.get(argument, found)

    def _settings(self) -> dict[str, tuple[str, str, Any]]:
        """What it must have, in words: the operation, its argument, the value. The policy is last, as it refuses."""
        resources = [f"arn:aws:s3:::{self.name}", f"arn:aws:s3:::{self.name}/*"]
        blocked = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        public = dict.fromkeys(blocked, True)
        old = {"NoncurrentDays": _OLD_VERSIONS_DAYS, "NewerNoncurrentVersions": _OLD_VERSIONS_KEPT}
        return {
            "nothing in it is public": ("public_access_block", "PublicAccessBlockConfiguration", public),
            "all objects are this account's": (
                "bucket_ownership_controls",
                "OwnershipControls",
                {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            ),
            "old versions of the state are kept": (
                "bucket_versioning",
                "VersioningConfiguration",
                {"Status": "Enabled"},
            ),
            "it is encrypted": (
                "bucket_encryption",
                "ServerSideEncryptionConfiguration",
                {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
            ),
            f"old versions go after {_OLD_VERSIONS_DAYS} days, but the last {_OLD_VERSIONS_KEPT}": (
                "bucket_lifecycle_configuration",
                "LifecycleConfiguration",
                {
                    "Rules": [
                        {
                            "ID": "old-versions",
                            "Status": "Enabled",
                            "Filter": {"Prefix": ""},
                            "NoncurrentVersionExpiration": old,
                            # What a lock leaves when it is taken away.
                            "Expiration": {"ExpiredObjectDeleteMarker": True},
                        }
                    ]
                },
            ),
            "TLS alone, and nobody deletes it or a version of the state": (
                "bucket_policy",
                "Policy",
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "TlsAlone",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": resources,
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        },
                        {
                            # No policy holds off S3's own lifecycle ("Expiring objects" in its user guide).
                            "Sid": "Kept",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": ["s3:DeleteBucket", "s3:DeleteObjectVersion"],
                            "Resource": resources,
                        },
                    ],
                },
            ),
        }

    def state(self) -> dict[str, Any] | None:
        """The state that it holds, None where there is none yet."""
        try:
            found = self._s3.get_object(Bucket=self.name, Key=self.state_key, ExpectedBucketOwner=self._account)
        except self._s3.exceptions.NoSuchKey:
            return None
        return dict(json.loads(found["Body"].read()))

    def flags(self) -> list[str]:
        """Of `terraform init`, for a configuration that says `backend "s3"` and no more."""
        settings = {"bucket": self.name, "key": KEY, "region": self.region, "encrypt": True, "use_lockfile": True}
        return [f"-backend-config={name}={json.dumps(value).strip(chr(34))}" for name, value in settings.items()]


def holds(found: Any, wanted: Any) -> bool:
    """Whether a setting that AWS tells has all that is wanted; AWS adds fields of its own."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(holds(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


class Root:
    """The folders that Terraform works in, one for each environment with a bucket, over the one configuration."""

    def __init__(self, source: Path = ROOT / "terraform", work: Path = ROOT / ".build" / "terraform") -> None:
        self.source = source
        self._work = work

    def linked(self, bucket: Bucket) -> Path:
        """The folder of a remote environment: the root's files as links, and the line that names the backend.

        That line cannot stand in the root: dev has none, and Terraform warns of one in a module.
        """
        folder = self._work / bucket.name
        folder.mkdir(parents=True, exist_ok=True)
        # Packages lie beside the root (`package_directory`).
        _link(self.source.parent / "dist", self._work / "dist")
        names = {path.name for path in self.source.iterdir()}
        names -= {*_NOT_LINKED, *(name for name in names if name.startswith("terraform.tfstate"))}
        for name in names:
            _link(self.source / name, folder / name)
        for path in folder.iterdir():
            if path.is_symlink() and path.name not in names:
                path.unlink()
        (folder / "backend.tf").write_text(_BACKEND)
        return folder

    def local_state(self, environment: str) -> Path:
        """Where Terraform keeps an environment's state without a bucket."""
        return self.source / "terraform.tfstate.d" / environment / "terraform.tfstate"

    def resources(self, environment: str) -> int:
        """How many resources a local state knows; 0 where there is none."""
        path = self.local_state(environment)
        return len(json.loads(path.read_text())["resources"]) if path.exists() else 0


def _link(target: Path, link: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(target, link.parent))


def initialised(folder: Path, flags: Sequence[str], *, again: bool = True) -> Path:
    """`terraform init` in a folder, whose output only an error shows; `again` where it was done. Raises StateError."""
    if not again and (folder / ".terraform" / "providers").exists():
        return folder
    # A workspace that is named so would have to exist already.
    environment = {name: value for name, value in os.environ.items() if name != "TF_WORKSPACE"}
    command = ["terraform", f"-chdir={folder}", "init", *flags]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise StateError(f"`{shlex.join(command)}` ended with {done.returncode}:\n{done.stderr.strip()}")
    return folder


def ready(root: Root, bucket: Bucket, flags: Sequence[str], *, again: bool = True) -> Path:
    """The folder of a remote environment, initialised. Raises StateError where its state is not in its bucket."""
    _check(root, bucket)
    return initialised(root.linked(bucket), [*flags, *bucket.flags()], again=again)


def outputs(root: Root, environment: str, bucket: Bucket | None) -> dict[str, Any]:
    """What `terraform output -json` says, off the state itself: no stop waits for Terraform or its provider.

    Without a bucket the state is local. None yet has no outputs. Raises StateError as `ready` does.
    """
    if bucket is not None:
        _check(root, bucket)
        state = bucket.state()
    else:
        path = root.local_state(environment)
        state = json.loads(path.read_text()) if path.exists() else None
    return dict((state or {}).get("outputs", {}))


def _check(root: Root, bucket: Bucket) -> None:
    """Raises StateError where the state of a remote environment is not in its bucket."""
    name = bucket.environment
    if not bucket.exists():
        raise StateError(
            f"{name} keeps its state in bucket {bucket.name}, which is not there: run `make bootstrap "
            f"ENVIRONMENT={name}` once, with the credentials and the region (AWS_REGION) of {name}. Local state is for "
            f"dev{'' if name in PRODUCTION else ', and with STATE=local for what may be lost'}"
        )
    if count := root.resources(name):
        raise StateError(
            f"{name} has {count} resources in a local state, {root.local_state(name)}: run `make migrate-state "
            f"ENVIRONMENT={name}`, which moves it to bucket {bucket.name}"
        )


def migrate(root: Root, bucket: Bucket, flags: Sequence[str]) -> str:
    """Move an environment's local state to its bucket; what was done. Raises StateError, and then nothing has moved."""
    name, local = bucket.environment, root.local_state(bucket.environment)
    if not (count := root.resources(name)):
        raise StateError(f"there is no local state of {name} ({local}): nothing to move")
    if not bucket.exists():
        raise StateError(f"bucket {bucket.name} is not there: run `make bootstrap ENVIRONMENT={name}` first")
    # Terraform would write over it.
    if (bucket.state() or {}).get("resources"):
        raise StateError(
            f"{name} has a state in bucket {bucket.name} and another in {local}: find out which one is {name}, "
            "and move the other file away"
        )
    folder = root.linked(bucket)
    copied = folder / "terraform.tfstate.d" / name / local.name
    copied.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(local, copied)
    # Terraform migrates to a backend that the folder has not seen.
    (folder / ".terraform" / "terraform.tfstate").unlink(missing_ok=True)
    try:
        initialised(folder, [*flags, "-migrate-state", "-force-copy", *bucket.flags()])
    finally:
        shutil.rmtree(folder / "terraform.tfstate.d")
    if _content(json.loads(local.read_text())) != _content(bucket.state() or {}):
        raise StateError(f"what is in bucket {bucket.name} is not {local}, which is still there: compare them")
    moved = local.with_suffix(".moved")
    local.rename(moved)
    return f"{name}'s state, {count} resources, is in bucket {bucket.name}; delete {moved} when the next plan is empty"


def _content(state: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a move must keep; Terraform writes each resource's details anew."""
    resources = state.get("resources", [])
    names = [
        [*(one.get(part) for part in ("module", "mode", "type", "name")), len(one["instances"])] for one in resources
    ]
    return state.get("lineage"), state.get("outputs"), sorted(names, key=str)


def _region() -> str | None:
    # boto3 does not read the variable that Terraform does.
    return os.environ.get("AWS_REGION") or boto3.Session().region_name


def _check_region(root: Root, environment: str) -> None:
    """Raises StateError where a local state is of another region: Terraform would find nothing and forget it all."""
    made = outputs(root, environment, None).get("queue_arn", {}).get("value", "")
    if made and (region := _region()) and (there := made.split(":")[3]) != region:
        raise StateError(
            f"the state of {environment} here is of region {there}, and this shell's is {region}: export "
            f"AWS_REGION={there}, or take another name of the environment in {region}"
        )


def _bucket(environment: str) -> Bucket:
    """The bucket of an environment, by the shell's credentials and region. Raises StateError, BotoCoreError."""
    if not (region := _region()):
        raise StateError("no region: export AWS_REGION=us-east-1, or whichever it is to be")
    account = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    return Bucket(environment, account, region, boto3.client("s3", region_name=region))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the folder in which Terraform works for an environment; 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="build/state.py", description=__doc__)
    parser.add_argument("--environment", required=True, help="dev, staging, prod ...")
    parser.add_argument("--state", choices=("local", "remote"), help="default: local for dev alone")
    parser.add_argument("--init", type=shlex.split, default=[], help="flags of terraform init, as one word")
    parser.add_argument("--again", action="store_true", help="terraform init where it was done, too")
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--bootstrap", action="store_true", help="make the bucket of the state instead")
    doing.add_argument("--migrate", action="store_true", help="move a local state into the bucket instead")
    doing.add_argument("--outputs", action="store_true", help="print the outputs of the state instead")
    options = parser.parse_args(arguments)
    name, root = options.environment, Root()
    is_local = (options.state or ("local" if name == "dev" else "remote")) == "local"
    try:
        if options.state == "local" and name in PRODUCTION:
            raise StateError(
                f"{name} keeps its state in a locked bucket, never on one machine: leave STATE=local out, and run "
                f"`make bootstrap ENVIRONMENT={name}` where the bucket is still to be made"
            )
        if is_local and (options.bootstrap or options.migrate):
            # Nobody may delete such a bucket, so none is made by mistake.
            raise StateError(
                f"{name} keeps its state here: name another ENVIRONMENT, or give STATE=remote to all of its commands"
            )
        if not options.outputs:
            _check_region(root, name)
        if options.bootstrap:
            print(*_bucket(name).make(), sep="\n")
        elif options.migrate:
            print(migrate(root, _bucket(name), options.init))
        elif options.outputs:
            print(json.dumps(outputs(root, name, None if is_local else _bucket(name))))
        elif is_local:
            print(initialised(root.source, options.init, again=options.again))
        else:
            print(ready(root, _bucket(name), options.init, again=options.again))
    except (ClientError, BotoCoreError) as error:
        where = os.environ.get("AWS_ENDPOINT_URL") or "AWS"
        print(
            f"build/state.py: the state of {name} at {where}: {error}\n"
            "check the credentials (`aws sts get-caller-identity`) and the region (AWS_REGION)",
            file=sys.stderr,
        )
        return 1
    except StateError as error:
        print(f"build/state.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
