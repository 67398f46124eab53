"""Exports of the table: each item of a whole one, and of a damaged one the name of what is wrong with it."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from decimal import Decimal
from hashlib import md5

import pytest
from botocore.exceptions import ReadTimeoutError

from handler.adapters.support.errors import AwsError
from handler.adapters.table.export import (
    Change,
    DamagedExportError,
    ExportError,
    ExportFailedError,
)
from local.emulator import exports
from tests.support.exports import BUCKET, EXPORT_ARN, FOLDER, TABLE_ARN, Bucket, Table, bucket, described, exported

ITEMS = [{"transaction_id": f"txn-{number}", "amount": Decimal("25.99"), "attempt": number} for number in range(5)]
SUMMARY, FILES = f"{FOLDER}/manifest-summary.json", f"{FOLDER}/manifest-files.json"


def checksum(content: bytes) -> str:
    return b64encode(md5(content).digest()).decode()


def read(s3: Bucket) -> list[dict]:
    table = exported(s3)
    return list(table.items(table.find(EXPORT_ARN)))


def put(s3: Bucket, key: str, content: bytes) -> None:
    """A manifest with its checksum."""
    s3.objects[key] = content
    s3.objects[key.replace(".json", ".checksum")] = checksum(content).encode()


def data_files(s3: Bucket) -> list[str]:
    return sorted(key for key in s3.objects if "/data/" in key)


def test_every_item_of_every_file_is_read_with_its_numbers_exact():
    s3 = bucket(ITEMS)
    assert len(data_files(s3)) == 2
    assert sorted(read(s3), key=lambda item: item["transaction_id"]) == ITEMS
    assert read(bucket([])) == []


def test_an_export_as_the_developer_guide_has_it_is_read():
    line = (
        b'{"Item":{"transaction_id":{"S":"txn-1"},"amount":{"N":"6E+2"},"is":{"BOOL":true},"of":{"L":[{"S":"a"}]}}}\n'
    )
    content, key = gzip.compress(line), f"{FOLDER}/data/asdl123dasas.json.gz"
    empty = f"{FOLDER}/data/empty.json.gz"
    s3 = Bucket({key: content, empty: b""})
    for number, (name, packed) in enumerate(((key, content), (key, line))):
        listed = [
            {"itemCount": 1, "md5Checksum": checksum(packed), "etag": f"{number}-1", "dataFileS3Key": name},
            {"itemCount": 0, "md5Checksum": checksum(b""), "etag": "1-1", "dataFileS3Key": empty},
        ]
        put(s3, FILES, "\n".join(json.dumps(each) for each in listed).encode())
        summary = {"version": "2020-06-30", "exportArn": EXPORT_ARN, "outputFormat": "DYNAMODB_JSON", "s3Prefix": None}
        put(s3, SUMMARY, json.dumps(summary | {"manifestFilesS3Key": FILES, "itemCount": 1}).encode())
        assert read(s3) == [{"transaction_id": "txn-1", "amount": 600, "is": True, "of": ["a"]}]


def test_an_object_that_is_missing_is_named_whichever_it_is():
    for key in bucket(ITEMS).objects:
        s3 = bucket(ITEMS)
        del s3.objects[key]
        with pytest.raises(DamagedExportError, match=f"s3://{BUCKET}/{key} is missing"):
            read(s3)


def test_an_object_that_was_changed_or_cut_short_is_named_whichever_it_is():
    for key, content in bucket(ITEMS).objects.items():
        for changed in (content[:-1], content[: len(content) // 2], b"", content + b"x", b"!" + content[1:]):
            s3 = bucket(ITEMS)
            s3.objects[key] = changed
            named = key.replace(".checksum", "")
            with pytest.raises(DamagedExportError) as refused:
                read(s3)
            assert named in str(refused.value)


def test_a_file_with_as_many_items_that_are_others_is_named():
    s3, other = bucket(ITEMS), bucket([{**item, "attempt": 7} for item in ITEMS])
    key = data_files(s3)[0]
    s3.objects[key] = other.objects[key]
    with pytest.raises(DamagedExportError, match=f"{key} is not what the manifest"):
        read(s3)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"Item": {"transaction_id": {"S": "txn-9"}}}', "{"], "has a line that is no JSON"),
        (['{"Item": {"transaction_id": {"S": "txn-9"}}}', "[]"], "has a line that is no object"),
        (["{}", "{}"], "has a row without an item"),
        (['{"Item": {"amount": {"N": "x"}}}', "{}"], "has a row without an item"),
        (['{"Item": {"amount": {}}}', "{}"], "has a row without an item"),
        (['{"Item": {"transaction_id": {"S": "txn-9"}}}'], "has 1 items, and 2 by the manifest"),
    ],
)
def test_a_file_that_has_its_checksum_and_is_no_export_is_named(lines, said):
    s3 = bucket(ITEMS)
    key = data_files(s3)[1]
    files = [json.loads(line) for line in s3.objects[FILES].splitlines()]
    (listed,) = [each for each in files if each["dataFileS3Key"] == key]
    assert listed["itemCount"] == 2
    s3.objects[key] = gzip.compress("\n".join(lines).encode())
    listed["md5Checksum"] = checksum(s3.objects[key])
    put(s3, FILES, "\n".join(map(json.dumps, files)).encode())
    with pytest.raises(DamagedExportError, match=said) as refused:
        read(s3)
    assert key in str(refused.value)


def test_a_manifest_that_names_too_few_files_or_one_twice_is_refused():
    s3 = bucket(ITEMS)
    first, second = s3.objects[FILES].splitlines()
    put(s3, FILES, first)
    with pytest.raises(DamagedExportError, match=f"have 3 items, and 5 by {SUMMARY}"):
        read(s3)
    put(s3, FILES, b"\n".join([first, first, second]))
    with pytest.raises(DamagedExportError, match=" twice"):
        read(s3)
    put(s3, FILES, b'{"itemCount": 3}')
    with pytest.raises(DamagedExportError, match="a file without key, checksum or count"):
        read(s3)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"exportArn": "another"}, "is of another, not of"),
        ({"outputFormat": "ION"}, "is in ION: read is DYNAMODB_JSON"),
        ({"itemCount": 4}, "have 5 items, and 4 by"),
    ],
)
def test_a_summary_of_something_else_is_refused(other, said):
    s3 = bucket(ITEMS)
    put(s3, SUMMARY, json.dumps(json.loads(s3.objects[SUMMARY]) | other).encode())
    with pytest.raises(ExportError, match=said):
        read(s3)


def test_a_download_that_ends_under_way_is_tried_again_and_then_told_of():
    s3 = bucket(ITEMS)
    s3.broken = [ReadTimeoutError(endpoint_url="s3")] * 2
    assert len(read(s3)) == 5
    s3.broken = [ReadTimeoutError(endpoint_url="s3")] * 3
    with pytest.raises(AwsError, match=f"s3://{BUCKET}/{FOLDER}/manifest-summary.checksum"):
        read(s3)


def test_a_missing_permission_names_action_and_object_however_s3_puts_it():
    key = data_files(bucket(ITEMS))[0]
    on = f"on resource: arn:aws:s3:::{BUCKET}/{key}"
    for said, told in (
        ("Access Denied", f"is not authorized to perform: s3:GetObject {on}"),
        (
            "User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt on the resource associated with",
            f"User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt {on}",
        ),
    ):
        s3 = bucket(ITEMS)
        s3.denied[key] = said
        with pytest.raises(AwsError) as denied:
            read(s3)
        assert str(denied.value).endswith(told)


def test_an_export_is_begun_once_and_looked_at_until_it_is_complete():
    table = Table(described(ExportStatus="IN_PROGRESS"), described(ExportStatus="IN_PROGRESS"), described())
    begun = exported(bucket([]))
    begun._dynamodb = table
    waited: list[str] = []
    export = begun.complete(begun.start(1_796_000_000_000), lambda export: waited.append(export.status))
    assert (export.status, waited) == ("COMPLETED", ["IN_PROGRESS", "IN_PROGRESS"])
    (asked,) = table.asked
    assert {**asked, "ExportTime": asked["ExportTime"].timestamp()} == {
        "TableArn": TABLE_ARN,
        "S3Bucket": BUCKET,
        "S3BucketOwner": "000000000000",
        "ExportFormat": "DYNAMODB_JSON",
        "ExportType": "FULL_EXPORT",
        "ExportTime": 1_796_000_000,
    }


def test_one_that_failed_says_why_and_is_not_read():
    failed = described(ExportStatus="FAILED", FailureCode="S3NoSuchBucket", FailureMessage="It is not there")
    table = exported(bucket(ITEMS), failed)
    with pytest.raises(ExportFailedError, match="S3NoSuchBucket: It is not there"):
        table.complete(table.find(EXPORT_ARN), lambda export: None)
    with pytest.raises(ExportError, match="FULL_EXPORT, FAILED: read is a complete FULL_EXPORT"):
        next(table.items(table.find(EXPORT_ARN)))


def test_an_export_of_another_table_is_not_taken_for_ours():
    with pytest.raises(ExportError, match="is no export of"):
        exported(bucket([])).find(EXPORT_ARN.replace("table/t/", "table/t2/"))


@pytest.mark.parametrize("seconds", [15 * 60 - 1, 24 * 3600 + 1])
def test_a_window_that_dynamodb_does_not_take_is_refused(seconds):
    with pytest.raises(ExportError, match="DynamoDB takes 900 to 86400 s"):
        exported(bucket([])).start_changes(0, 1000 * seconds)


def test_changes_are_the_last_states_of_what_a_window_wrote():
    window = {"ExportFromTime": 0, "ExportToTime": 3600, "ExportViewType": "NEW_IMAGE"}
    said = described(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=window)
    at = {"Metadata": {"WriteTimestampMicros": {"N": "1796000000000000"}}}
    rows = [
        {**at, "Keys": {"transaction_id": {"S": "txn-1"}}, "NewImage": {"transaction_id": {"S": "txn-1"}}},
        {**at, "Keys": {"transaction_id": {"S": "txn-2"}}},
    ]
    s3 = Bucket(exports.files({**said, "ExportTime": ""}, rows))
    del said["ExportTime"]
    table = exported(s3, said | {"IncrementalExportSpecification": {}})
    export = table.find(EXPORT_ARN)
    assert list(table.changes(export)) == [Change("txn-1", {"transaction_id": "txn-1"}), Change("txn-2", None)]
    with pytest.raises(ExportError, match="read is a complete FULL_EXPORT"):
        next(table.items(export))
