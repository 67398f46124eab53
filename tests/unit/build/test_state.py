"""`make bootstrap | migrate-state`, and where Terraform works for an environment: its one state, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.build_scripts import load

state = load("state")

OURS, ANOTHER = "111122223333", "444455556666"
KEY = "env:/prod/payment-processor.tfstate"
NAME = "cloudcafe-state-prod-111122223333-eu-west-1"


def refused(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


class S3:
    """One bucket's name in all of AWS: nobody's, or an account's; what was put there, as AWS tells it."""

    exceptions = boto3.client("s3", region_name="us-east-1").exceptions

    def __init__(self, owner: str = "", **settings: Any) -> None:
        self.owner = owner
        self.settings = settings
        self.objects: dict[str, bytes] = {}
        self.put: list[str] = []

    def head_bucket(self, Bucket: str, ExpectedBucketOwner: str) -> None:
        assert Bucket == NAME
        if self.owner != ExpectedBucketOwner:
            raise refused("403" if self.owner else "404", "HeadBucket")

    def create_bucket(self, Bucket: str, CreateBucketConfiguration: dict[str, str]) -> None:
        assert CreateBucketConfiguration == {"LocationConstraint": "eu-west-1"}
        if self.owner:
            raise self.exceptions.BucketAlreadyExists({"Error": {"Code": "BucketAlreadyExists"}}, "CreateBucket")
        self.owner = OURS
        self.put.append("bucket")

    def get_object(self, Bucket: str, Key: str, ExpectedBucketOwner: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise self.exceptions.NoSuchKey({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": open_body(self.objects[Key])}

    def __getattr__(self, name: str) -> Any:
        doing, _, what = name.partition("_")

        def call(Bucket: str, ExpectedBucketOwner: str, **given: Any) -> dict[str, Any]:
            assert (Bucket, ExpectedBucketOwner) == (NAME, self.owner)
            if doing == "put":
                self.put.append(what)
                self.settings[what] = given
            elif what not in self.settings and what != "bucket_versioning":
                raise refused("NoSuchConfiguration", name)
            found = dict(self.settings.get(what, {}))
            # AWS tells it without the argument's name, and with what it adds.
            if what in ("bucket_versioning", "bucket_lifecycle_configuration"):
                found = dict(next(iter(found.values()), {}))
            return {**found, "ResponseMetadata": {}}

        if doing not in ("get", "put"):
            raise AttributeError(name)
        return call


def open_body(content: bytes) -> Any:
    class Body:
        def read(self) -> bytes:
            return content

    return Body()


def bucket(s3: S3) -> Any:
    return state.Bucket("prod", OURS, "eu-west-1", s3)


SETTINGS = [
    "public_access_block",
    "bucket_ownership_controls",
    "bucket_versioning",
    "bucket_encryption",
    "bucket_lifecycle_configuration",
    "bucket_policy",
]


def test_the_bucket_is_made_with_all_that_keeps_a_state_and_says_so():
    s3 = S3()
    said = bucket(s3).make()
    assert s3.put == ["bucket", *SETTINGS]
    assert said[0] == f"made: bucket {NAME} in eu-west-1"
    assert [each.partition(": ")[0] for each in said] == ["made"] * 7
    put = {what: next(iter(given.values())) for what, given in s3.settings.items()}
    assert set(put["public_access_block"].values()) == {True}
    assert put["bucket_versioning"] == {"Status": "Enabled"}
    assert put["bucket_encryption"]["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [rule] = put["bucket_lifecycle_configuration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90, "NewerNoncurrentVersions": 20}
    # What counts now never goes.
    assert rule["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    denied = json.loads(put["bucket_policy"])["Statement"]
    assert [(each["Effect"], each["Principal"]) for each in denied] == [("Deny", "*")] * 2
    assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied[1]["Action"] == ["s3:DeleteBucket", "s3:DeleteObjectVersion"]
    assert all(each["Resource"] == [f"arn:aws:s3:::{NAME}", f"arn:aws:s3:::{NAME}/*"] for each in denied)


def test_a_second_time_makes_nothing_and_what_was_taken_away_is_made_anew():
    s3 = S3()
    bucket(s3).make()
    s3.put.clear()
    assert {each.partition(": ")[0] for each in bucket(s3).make()} == {"there already"}
    assert s3.put == []
    s3.settings["bucket_versioning"] = {"VersioningConfiguration": {"Status": "Suspended"}}
    del s3.settings["bucket_policy"]
    said = bucket(s3).make()
    assert s3.put == ["bucket_versioning", "bucket_policy"]
    assert [each for each in said if each.startswith("made")] == [
        "made: old versions of the state are kept",
        "made: TLS alone, and nobody deletes it or a version of the state",
    ]


def test_a_name_that_another_account_has_is_refused_and_nothing_is_written():
    s3 = S3(ANOTHER)
    for doing in (bucket(s3).make, lambda: state.ready(state.Root(), bucket(s3), [])):
        with pytest.raises(state.StateError, match=f"{NAME} belongs to another account.*{OURS}.*nothing was written"):
            doing()
    assert s3.put == []


def test_a_name_that_another_account_takes_meanwhile_is_refused(monkeypatch):
    s3 = S3(ANOTHER)
    monkeypatch.setattr(state.Bucket, "exists", lambda self: False)
    with pytest.raises(state.StateError, match="belongs to another account"):
        bucket(s3).make()
    assert s3.put == []


@pytest.fixture
def root(tmp_path: Path) -> Any:
    source = tmp_path / "checkout" / "terraform"
    for name in ("modules", "tests", "examples", ".terraform", "terraform.tfstate.d"):
        (source / name).mkdir(parents=True)
    for name in ("main.tf", "more.tf", "mine.auto.tfvars", ".terraform.lock.hcl", "terraform.tfstate.backup"):
        (source / name).write_text(name)
    return state.Root(source, tmp_path / "work" / "terraform")


def test_a_remote_environment_works_on_the_same_files_with_a_backend_and_no_local_state(root):
    folder = root.linked(bucket(S3(OURS)))
    links = {"main.tf", "more.tf", "mine.auto.tfvars", ".terraform.lock.hcl", "modules"}
    assert {path.name for path in folder.iterdir()} == links | {"backend.tf"}
    assert {path.name for path in folder.iterdir() if path.resolve().parent == root.source} == links
    assert 'backend "s3"' in (folder / "backend.tf").read_text()
    # As in the root itself: the packages are in a folder beside it.
    assert (folder / "../dist").resolve() == root.source.parent / "dist"
    (root.source / "more.tf").unlink()
    assert "more.tf" not in {path.name for path in root.linked(bucket(S3(OURS))).iterdir()}


def test_the_backend_is_locked_and_its_configuration_comes_from_the_environment_alone():
    assert bucket(S3(OURS)).flags() == [
        f"-backend-config=bucket={NAME}",
        "-backend-config=key=payment-processor.tfstate",
        "-backend-config=region=eu-west-1",
        "-backend-config=encrypt=true",
        "-backend-config=use_lockfile=true",
    ]


def test_an_environment_without_its_bucket_is_told_to_make_one(root):
    with pytest.raises(
        state.StateError, match=f"bucket {NAME}, which is not there: run `make bootstrap ENVIRONMENT=prod`"
    ):
        state.ready(root, bucket(S3()), [])


def content(resources: int, **details: Any) -> dict[str, Any]:
    known = [{"mode": "managed", "type": "aws_sqs_queue", "name": f"q{n}", **details} for n in range(resources)]
    return {"lineage": "a", "outputs": {}, "resources": [{**one, "instances": [{}]} for one in known]}


def local(root: Any, resources: int) -> Path:
    path: Path = root.local_state("prod")
    path.parent.mkdir()
    path.write_text(json.dumps(content(resources)))
    return path


def test_an_environment_whose_state_is_still_local_is_told_to_move_it(root):
    local(root, 3)
    with pytest.raises(
        state.StateError, match=r"prod has 3 resources in a local state.*make migrate-state ENVIRONMENT=prod"
    ):
        state.ready(root, bucket(S3(OURS)), [])


def test_nothing_moves_where_there_is_nothing_or_no_bucket_or_a_state_already(root):
    with pytest.raises(state.StateError, match="no local state of prod"):
        state.migrate(root, bucket(S3(OURS)), [])
    path = local(root, 3)
    with pytest.raises(state.StateError, match="make bootstrap ENVIRONMENT=prod` first"):
        state.migrate(root, bucket(S3()), [])
    s3 = S3(OURS)
    s3.objects[KEY] = json.dumps(content(1)).encode()
    with pytest.raises(state.StateError, match=r"a state in bucket .* and another in"):
        state.migrate(root, bucket(s3), [])
    assert path.exists()


@pytest.mark.parametrize("arrived", [3, 2])
def test_a_move_is_compared_and_what_lost_something_leaves_the_local_state(root, monkeypatch, arrived):
    s3, path = S3(OURS), local(root, 3)

    def initialised(folder: Path, flags: list[str]) -> None:
        assert flags[:2] == ["-migrate-state", "-force-copy"]
        assert (folder / "terraform.tfstate.d/prod/terraform.tfstate").read_text() == path.read_text()
        # Terraform writes the details anew.
        s3.objects[KEY] = json.dumps(content(arrived, check_results=None)).encode()

    monkeypatch.setattr(state, "initialised", initialised)
    if arrived == 3:
        assert "prod's state, 3 resources, is in bucket" in state.migrate(root, bucket(s3), [])
        assert not path.exists()
        assert path.with_suffix(".moved").exists()
    else:
        with pytest.raises(state.StateError, match=r"is not .*terraform.tfstate, which is still there"):
            state.migrate(root, bucket(s3), [])
        assert path.exists()
    assert not (root.linked(bucket(s3)) / "terraform.tfstate.d").exists()


def test_a_local_state_of_production_is_refused_with_what_to_do(capsys):
    assert state.main(["--environment", "prod", "--state", "local"]) == 1
    assert "leave STATE=local out, and run `make bootstrap ENVIRONMENT=prod`" in capsys.readouterr().err


@pytest.mark.parametrize("doing", ["--bootstrap", "--migrate"])
@pytest.mark.parametrize("where", [["--environment", "dev"], ["--environment", "staging", "--state", "local"]])
def test_no_bucket_is_made_by_mistake_for_a_state_that_is_kept_here(doing, where, monkeypatch, capsys):
    # It could not be deleted again.
    monkeypatch.setattr(state, "_bucket", lambda name: pytest.fail("AWS was asked"))
    assert state.main([*where, doing]) == 1
    said = capsys.readouterr().err
    assert f"{where[1]} keeps its state here: name another ENVIRONMENT, or give STATE=remote to all of its" in said


def test_a_local_state_of_another_region_is_refused_where_terraform_would_forget_it(root, monkeypatch, capsys):
    monkeypatch.setattr(state, "Root", lambda: root)
    monkeypatch.setattr(state, "initialised", lambda folder, flags, again: folder)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    path = root.local_state("dev")
    path.parent.mkdir()
    arn = {"value": "arn:aws:sqs:us-east-1:111122223333:cloudcafe-payment-processing-dev.fifo"}
    path.write_text(json.dumps({"outputs": {"queue_arn": arn}, "resources": [1]}))
    assert state.main(["--environment", "dev"]) == 1
    assert "of region us-east-1, and this shell's is eu-west-1: export AWS_REGION=us-east-1" in capsys.readouterr().err
    # Names alone: the local system has its own region.
    assert state.main(["--environment", "dev", "--outputs"]) == 0
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert state.main(["--environment", "dev"]) == 0
    path.unlink()
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert state.main(["--environment", "dev"]) == 0


def test_the_outputs_are_read_off_the_one_state_and_none_is_taken_for_empty_that_stands_elsewhere(root):
    named = {"names": {"value": {"table": "shop-table"}, "type": "string"}}
    s3 = S3()
    ours = bucket(s3)
    with pytest.raises(state.StateError, match="run `make bootstrap ENVIRONMENT=prod` once"):
        state.outputs(root, "prod", ours)
    s3.owner = OURS
    # Before the first apply.
    assert state.outputs(root, "prod", ours) == state.outputs(root, "dev", None) == {}
    s3.objects[KEY] = json.dumps({"outputs": named}).encode()
    assert state.outputs(root, "prod", ours) == named
    for environment in ("dev", "prod"):
        path = root.local_state(environment)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"outputs": named, "resources": [1]}))
    assert state.outputs(root, "dev", None) == named
    with pytest.raises(state.StateError, match="run `make migrate-state ENVIRONMENT=prod`"):
        state.outputs(root, "prod", ours)
