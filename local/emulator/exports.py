"""What ministack lacks of exports: their files in the bucket, and the refusals and failures that DynamoDB has for them.

Of the past it knows what the table's stream still has. The rule: a row is what was written, byte for byte as it lay.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_Row = dict[str, Any]
_WINDOW_SECONDS_MIN, _WINDOW_SECONDS_MAX = 15 * 60, 24 * 3600
# So that there is more than one, as with more than one partition; each of them may be empty.
_FILES = 2


def refused(
    asked: Mapping[str, Any], *, table: str, has_recovery: bool, since: float, now: float
) -> tuple[str, str] | None:
    """Code and words of DynamoDB's refusal; None where it begins. `since` is when the recovery of the table began."""
    if not has_recovery:
        return (
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{table}'",
        )
    window = asked.get("IncrementalExportSpecification")
    if asked.get("ExportType") == "INCREMENTAL_EXPORT":
        if not window or "ExportFromTime" not in window:
            return "ValidationException", "An incremental export needs an IncrementalExportSpecification"
        begins, ends = window["ExportFromTime"], window.get("ExportToTime", now)
        if not _WINDOW_SECONDS_MIN <= ends - begins <= _WINDOW_SECONDS_MAX:
            return "ValidationException", "The window of an incremental export must be 15 minutes to 24 hours"
        # AWS asks it of the beginning too; a system of this machine lives for minutes, and a window is longer.
        times = [ends]
    elif window:
        return "ValidationException", "IncrementalExportSpecification is for incremental exports"
    else:
        times = [asked.get("ExportTime", now)]
    if not all(int(since) <= each <= now for each in times):
        return "InvalidExportTimeException", "The time is outside of the table's point in time recovery window"
    return None


def snapshot(items: Iterable[_Row], key: str, records: Sequence[Mapping[str, Any]], at: float | None) -> list[_Row]:
    """The rows of a full export: the items as they are, or as they were before the stream's `records` from `at` on."""
    found = {json.dumps(item[key]): item for item in items}
    for record in reversed(records if at is not None else []):
        change = record["dynamodb"]
        if at is None or change["ApproximateCreationDateTime"] < at:
            break
        name = json.dumps(change["Keys"][key])
        found.pop(name, None)
        if "OldImage" in change:
            found[name] = change["OldImage"]
    return [{"Item": item} for item in found.values()]


def changes(records: Iterable[Mapping[str, Any]], key: str, begins: float, ends: float, view: str) -> list[_Row]:
    """The rows of an incremental export: what the window made of each item that was written in it."""
    first: dict[str, Any] = {}
    last: dict[str, Mapping[str, Any]] = {}
    for record in records:
        change = record["dynamodb"]
        if begins <= change["ApproximateCreationDateTime"] < ends:
            name = json.dumps(change["Keys"][key])
            first.setdefault(name, change.get("OldImage"))
            last[name] = change
    rows = []
    for name, change in last.items():
        old, new = first[name], change.get("NewImage")
        # Written and deleted within it: nothing is left of it.
        if old or new:
            at = {"WriteTimestampMicros": {"N": str(change["ApproximateCreationDateTime"] * 1_000_000)}}
            row = {"Metadata": at, "Keys": change["Keys"]}
            row |= {"OldImage": old} if old and view == "NEW_AND_OLD_IMAGES" else {}
            rows.append(row | ({"NewImage": new} if new else {}))
    return rows


def files(said: Mapping[str, Any], rows: Sequence[_Row]) -> dict[str, bytes]:
    """The objects of an export by their keys. Source: "DynamoDB table export output format", its developer guide."""
    name = said["ExportArn"].rpartition("/")[2]
    folder = "/".join(filter(None, (said.get("S3Prefix"), "AWSDynamoDB")))
    is_full = said["ExportType"] == "FULL_EXPORT"
    data = f"{folder}/{name}/data" if is_full else f"{folder}/data"
    objects: dict[str, bytes] = {}
    listed = []
    for number in range(_FILES):
        part = rows[number::_FILES]
        content = gzip.compress("".join(f"{json.dumps(row)}\n" for row in part).encode(), mtime=0)
        key = f"{data}/{name[-8:]}{number:018}.json.gz"
        objects[key] = content
        etag = f"{hashlib.md5(content).hexdigest()}-1"
        listed.append({"itemCount": len(part), "md5Checksum": _md5(content), "etag": etag, "dataFileS3Key": key})
    window = said.get("IncrementalExportSpecification") or {}
    summary = {
        "version": "2020-06-30" if is_full else "2023-08-01",
        "exportArn": said["ExportArn"],
        "tableArn": said["TableArn"],
        "tableId": said.get("TableId"),
        **({"exportTime": said["ExportTime"]} if is_full else {}),
        **({} if is_full else {"exportFromTime": window["ExportFromTime"], "exportToTime": window["ExportToTime"]}),
        "s3Bucket": said["S3Bucket"],
        "s3Prefix": said.get("S3Prefix"),
        "manifestFilesS3Key": f"{folder}/{name}/manifest-files.json",
        "itemCount": len(rows),
        "outputFormat": said["ExportFormat"],
        **({} if is_full else {"outputView": window["ExportViewType"], "exportType": "INCREMENTAL_EXPORT"}),
    }
    manifests = {
        "manifest-files": "".join(f"{json.dumps(each)}\n" for each in listed),
        "manifest-summary": json.dumps(summary),
    }
    for manifest, text in manifests.items():
        objects[f"{folder}/{name}/{manifest}.json"] = text.encode()
        objects[f"{folder}/{name}/{manifest}.checksum"] = _md5(text.encode()).encode()
    return objects


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()
