"""ministack, whose GetFunction gives the code of the version that was asked for, as AWS does; its own the newest.

Its exports of tables write their files, as AWS's do (`exports.py`). What it lacks it says in a sentence. It runs in
ministack's own Python environment, in place of `ministack.app`: of ours only what stands beside it can be imported.
"""

import json
import time
from typing import Any

import exports  # type: ignore[import-not-found]
from lacking import with_sentences  # type: ignore[import-not-found]
from ministack.app import app as _ministack  # type: ignore[import-not-found]
from ministack.core.responses import error_response_json  # type: ignore[import-not-found]
from ministack.services import dynamodb, lambda_svc, s3  # type: ignore[import-not-found]

__all__ = ["app"]

app = with_sentences(_ministack)
_get_function = lambda_svc._get_function
_serve_function_code = lambda_svc.serve_function_code
_begin_export = dynamodb._export_table_to_point_in_time


def _get_version(name: str, qualifier: str | None = None) -> Any:
    """The version's number joins the function's name in the address of its code."""
    status, headers, body = _get_function(name, qualifier)
    found = json.loads(body)
    if status == 200 and "Location" in found["Code"]:
        code, version = found["Code"], found["Configuration"]["Version"]
        code["Location"] = code["Location"].replace(f"/{name}?", f"/{name}:{version}?")
        body = json.dumps(found).encode()
    return status, headers, body


def _serve_version_code(name: str, account_id: str | None = None, region: str | None = None) -> Any:
    name, _, number = name.partition(":")
    function = lambda_svc._functions.get_scoped(account_id, region, name) or {}
    version = function.get("versions", {}).get(number)
    if version is None:
        return _serve_function_code(name, account_id, region)
    return 200, {"Content-Type": "application/zip"}, version["code_zip"] or b""


def _export(asked: dict[str, Any]) -> Any:
    """The rows are taken and the files written at once; that it is complete, ministack says a second later."""
    name = dynamodb._table_name_from_arn(asked.get("TableArn") or "")
    table, now = dynamodb._tables.get(name), time.time()
    if table is not None:
        refusal = exports.refused(
            asked,
            table=name,
            has_recovery=bool(dynamodb._pitr_settings.get(name)),
            since=table["CreationDateTime"],
            now=now,
        )
        if refusal:
            return error_response_json(*refusal, 400)
    before = set(dynamodb._exports)
    status, headers, body = _begin_export(asked)
    if status != 200 or (arn := json.loads(body)["ExportDescription"]["ExportArn"]) in before:
        return status, headers, body
    said, records = dynamodb._exports[arn], dynamodb._stream_records.get(name, [])
    if said["ExportType"] == "FULL_EXPORT":
        said.setdefault("ExportTime", now)
        items = (item for row in table["items"].values() for item in row.values())
        rows = exports.snapshot(items, table["pk_name"], records, asked.get("ExportTime"))
    else:
        window = {"ExportViewType": "NEW_AND_OLD_IMAGES", "ExportToTime": now}
        window |= asked["IncrementalExportSpecification"]
        said["IncrementalExportSpecification"] = window
        times = window["ExportFromTime"], window["ExportToTime"]
        rows = exports.changes(records, table["pk_name"], *times, window["ExportViewType"])
    for key, content in exports.files(said, rows).items():
        if s3._put_object(said["S3Bucket"], key, content, {})[0] != 200:
            said["ExportStatus"] = "FAILED"
            said["FailureCode"] = "S3NoSuchBucket"
            said["FailureMessage"] = "The specified bucket does not exist"
            break
    return status, headers, json.dumps({"ExportDescription": said})


dynamodb._export_table_to_point_in_time = _export
lambda_svc._get_function = _get_version
lambda_svc.serve_function_code = _serve_version_code
