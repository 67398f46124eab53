"""Exports of the table to S3, started, looked up and read: not one read of the table itself.

The rule it keeps: nothing is left out without a word. The reading of an export whose manifest or file is missing, short
or changed ends with DamagedExportError, which names it; what was read of it until then counts for nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, Literal

from botocore.exceptions import BotoCoreError

from handler.adapters.support.errors import AwsError
from handler.adapters.table.expressions import from_attributes
from handler.domain.typed import NamedTuple

Kind = Literal["FULL_EXPORT", "INCREMENTAL_EXPORT"]
# "IncrementalExportSpecification", DynamoDB's API Reference.
WINDOW_SECONDS_MIN, WINDOW_SECONDS_MAX = 15 * 60, 24 * 3600
_CHUNK_BYTES: Final = 1024 * 1024
# A file above it goes to the disk while it is read.
_IN_MEMORY_BYTES: Final = 32 * 1024 * 1024
_TRIES: Final = 3
_MISSING: Final = ("NoSuchBucket", "NoSuchKey")
_DENIED: Final = ("AccessDenied", "403")


class ExportError(Exception):
    """An export that gives nothing; the message says which, why, and what to do."""


class ExportFailedError(ExportError):
    """DynamoDB gave it up; `failure` is its code and its words."""

    def __init__(self, export: Export) -> None:
        super().__init__(f"{export.arn} failed: {export.failure}")
        self.failure = export.failure


class DamagedExportError(ExportError):
    """What lies in S3 is not the whole export."""


class Export(NamedTuple):
    """One export as DynamoDB describes it; times are milliseconds since the epoch.

    A full one has the table as it was at `at`. One of changes has what was written from `since` on, and before `at`.
    `failure` is empty but where it failed, `manifest`, a key in `bucket`, until it is complete.
    """

    arn: str
    status: Literal["IN_PROGRESS", "COMPLETED", "FAILED"]
    kind: Kind
    table_arn: str
    bucket: str
    at: int
    since: int = 0
    started_at: int = 0
    manifest: str = ""
    failure: str = ""


class Change(NamedTuple):
    """What a window of time made of one item: its last state in it, None where it was deleted."""

    transaction_id: str
    item: Mapping[str, Any] | None


class TableExports:
    """Exports of one table into one bucket. Clients raise AwsError, which passes through, as `GetObject`'s does."""

    def __init__(self, dynamodb: Any, s3: Any, table_arn: str, bucket: str) -> None:
        self._dynamodb = dynamodb
        self._s3 = s3
        self._table_arn = table_arn
        self._bucket = bucket

    def start(self, at: int | None = None) -> Export:
        """Begin an export of the whole table as it was at `at`, in milliseconds; None: as it is now.

        DynamoDB bills the table's size, once a call. It takes whole seconds, of its point-in-time recovery alone.
        """
        return self._start(ExportType="FULL_EXPORT", **({} if at is None else {"ExportTime": _moment(at)}))

    def start_changes(self, since: int, until: int) -> Export:
        """Begin an export of what was written from `since` on and before `until`, in milliseconds.

        Raises ExportError for a window that DynamoDB does not take.
        """
        if not 1000 * WINDOW_SECONDS_MIN <= until - since <= 1000 * WINDOW_SECONDS_MAX:
            raise ExportError(
                f"a window of {(until - since) // 1000} s cannot be exported: DynamoDB takes "
                f"{WINDOW_SECONDS_MIN} to {WINDOW_SECONDS_MAX} s"
            )
        window = {"ExportFromTime": _moment(since), "ExportToTime": _moment(until), "ExportViewType": "NEW_IMAGE"}
        return self._start(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=window)

    def _start(self, **asked: Any) -> Export:
        answer = self._dynamodb.export_table_to_point_in_time(
            TableArn=self._table_arn,
            S3Bucket=self._bucket,
            # The bucket's name can be guessed: nobody else's of that name gets the table.
            S3BucketOwner=self._table_arn.split(":")[4],
            ExportFormat="DYNAMODB_JSON",
            **asked,
        )
        return _export(answer["ExportDescription"])

    def find(self, arn: str) -> Export:
        """The export as it stands now. Raises ExportError for one of another table, as its ARN says."""
        if not arn.startswith(f"{self._table_arn}/export/"):
            raise ExportError(f"{arn} is no export of {self._table_arn}")
        return _export(self._dynamodb.describe_export(ExportArn=arn)["ExportDescription"])

    def complete(self, export: Export, pause: Callable[[Export], None]) -> Export:
        """The export once it is complete; `pause` is called before each further look. Raises ExportFailedError."""
        while export.status == "IN_PROGRESS":
            pause(export)
            export = self.find(export.arn)
        if export.status == "FAILED":
            raise ExportFailedError(export)
        return export

    def items(self, export: Export) -> Iterator[dict[str, Any]]:
        """The items of a complete full export as they stood in the table, in no order.

        Numbers are int where they are whole, else Decimal. Raises DamagedExportError and AwsError.
        """
        for key, row in self._rows(export, "FULL_EXPORT"):
            yield _attributes(key, row.get("Item"))

    def changes(self, export: Export) -> Iterator[Change]:
        """The items that a complete export of changes has, each once, in no order. Raises as `items`."""
        for key, row in self._rows(export, "INCREMENTAL_EXPORT"):
            name = _attributes(key, row.get("Keys")).get("transaction_id")
            if not isinstance(name, str):
                raise DamagedExportError(f"{key} has a change of no transaction")
            yield Change(name, _attributes(key, row["NewImage"]) if "NewImage" in row else None)

    def _rows(self, export: Export, kind: Kind) -> Iterator[tuple[str, dict[str, Any]]]:
        """The rows of all files with the file's name; a file's bytes are checked before its first row is given."""
        if export.status != "COMPLETED" or export.kind != kind:
            raise ExportError(f"{export.arn} is {export.kind}, {export.status}: read is a complete {kind}")
        (summary,) = self._manifest(export, export.manifest, is_lines=False)
        if summary.get("exportArn") != export.arn:
            raise DamagedExportError(f"{export.manifest} is of {summary.get('exportArn')}, not of {export.arn}")
        if summary.get("outputFormat") != "DYNAMODB_JSON":
            raise ExportError(f"{export.arn} is in {summary.get('outputFormat')}: read is DYNAMODB_JSON")
        read, seen = 0, set[str]()
        for file in self._manifest(export, str(summary.get("manifestFilesS3Key")), is_lines=True):
            key, count = _file(export, file)
            if key in seen:
                raise DamagedExportError(f"the manifest of {export.arn} names {key} twice")
            seen.add(key)
            found = 0
            with self._object(export.bucket, key) as (content, checksum):
                # DynamoDB's documentation does not say whether it is of the packed bytes or of what is in them.
                if file["md5Checksum"] != checksum and file["md5Checksum"] != _unpacked_checksum(content):
                    raise DamagedExportError(f"{key} is not what the manifest of {export.arn} has the checksum of")
                for row in _documents(key, gzip.GzipFile(fileobj=content, mode="rb")):
                    found += 1
                    yield key, row
            if found != count:
                raise DamagedExportError(f"{key} has {found} items, and {count} by the manifest of {export.arn}")
            read += found
        if read != summary.get("itemCount"):
            raise DamagedExportError(
                f"the files of {export.arn} have {read} items, and {summary.get('itemCount')} by {export.manifest}"
            )

    def _manifest(self, export: Export, key: str, *, is_lines: bool) -> list[dict[str, Any]]:
        """The documents of a manifest, which the file beside it has the checksum of."""
        beside = f"{key.removesuffix('.json')}.checksum"
        with self._object(export.bucket, beside) as (content, _):
            stated = content.read().decode(errors="replace").strip()
        with self._object(export.bucket, key) as (content, checksum):
            if checksum != stated:
                raise DamagedExportError(f"{key} is not what {beside} is the checksum of")
            return list(_documents(key, content if is_lines else [content.read()]))

    @contextmanager
    def _object(self, bucket: str, key: str) -> Iterator[tuple[IO[bytes], str]]:
        """A whole object, at its beginning, with the MD5 of its bytes in base64. Raises as `items`."""
        for tries in range(1, _TRIES + 1):
            with SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as content:
                try:
                    checksum = self._fetch(bucket, key, content)
                except AwsError as error:
                    # Without a code it ended under way, and the next one may not.
                    if error.code or tries == _TRIES:
                        raise _named(error, bucket, key) from error
                    continue
                content.seek(0)
                yield content, checksum
                return

    def _fetch(self, bucket: str, key: str, into: IO[bytes]) -> str:
        body, md5 = self._s3.get_object(Bucket=bucket, Key=key)["Body"], _md5()
        try:
            while chunk := body.read(_CHUNK_BYTES):
                md5.update(chunk)
                into.write(chunk)
        except BotoCoreError as error:
            raise AwsError("GetObject", "", str(error)) from error
        return b64encode(md5.digest()).decode()


def _md5() -> Any:
    """What DynamoDB's manifests have; it proves a whole file, and protects from nobody."""
    return hashlib.md5(usedforsecurity=False)


def _named(error: AwsError, bucket: str, key: str) -> Exception:
    """The error with the object that it is about: S3 names it in few of its answers."""
    if error.code in _MISSING:
        return DamagedExportError(f"s3://{bucket}/{key} is missing")
    if error.code not in _DENIED:
        return AwsError(error.operation, error.code, f"s3://{bucket}/{key}: {error}", error.document)
    who = re.search(r"User: (\S+)", str(error))
    action = re.search(r"perform: ([\w:-]+)", str(error))
    said = f"is not authorized to perform: {action[1] if action else 's3:GetObject'}"
    said = f"{said} on resource: arn:aws:s3:::{bucket}/{key}"
    return AwsError(error.operation, error.code, f"User: {who[1]} {said}" if who else said, error.document)


def _file(export: Export, file: Mapping[str, Any]) -> tuple[str, int]:
    """The key and the count of a file, as the manifest names it."""
    key, count = file.get("dataFileS3Key"), file.get("itemCount")
    if not isinstance(key, str) or not isinstance(count, int) or not isinstance(file.get("md5Checksum"), str):
        raise DamagedExportError(f"the manifest of {export.arn} has a file without key, checksum or count")
    return key, count


def _unpacked_checksum(content: IO[bytes]) -> str:
    """The MD5 of what the bytes unpack to, "" where they do not; `content` is at its beginning again."""
    md5 = _md5()
    try:
        with gzip.GzipFile(fileobj=content, mode="rb") as unpacked:
            while chunk := unpacked.read(_CHUNK_BYTES):
                md5.update(chunk)
    except (EOFError, OSError, zlib.error):
        return ""
    finally:
        content.seek(0)
    return b64encode(md5.digest()).decode()


def _documents(key: str, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line."""
    try:
        for line in lines:
            if not isinstance(document := json.loads(line), dict):
                raise DamagedExportError(f"{key} has a line that is no object")
            yield document
    except (EOFError, OSError, zlib.error) as error:
        raise DamagedExportError(f"{key} cannot be unpacked: {error}") from error
    except ValueError as error:
        raise DamagedExportError(f"{key} has a line that is no JSON: {error}") from error


def _attributes(key: str, attributes: Any) -> dict[str, Any]:
    """An item of a file, as the transaction log reads it."""
    try:
        return from_attributes(attributes)
    except (AttributeError, ArithmeticError, TypeError, ValueError, StopIteration) as error:
        raise DamagedExportError(f"{key} has a row without an item") from error


def _export(said: Mapping[str, Any]) -> Export:
    window = said.get("IncrementalExportSpecification") or {}
    failure = ": ".join(said[name] for name in ("FailureCode", "FailureMessage") if said.get(name))
    return Export(
        arn=said["ExportArn"],
        status=said["ExportStatus"],
        kind=said.get("ExportType", "FULL_EXPORT"),
        table_arn=said["TableArn"],
        bucket=said["S3Bucket"],
        at=_ms(said.get("ExportTime") or window.get("ExportToTime")),
        since=_ms(window.get("ExportFromTime")),
        started_at=_ms(said.get("StartTime")),
        manifest=said.get("ExportManifest", ""),
        failure=failure,
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _ms(moment: datetime | None) -> int:
    return 0 if moment is None else round(1000 * moment.timestamp())
