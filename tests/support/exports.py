"""Exports of a table as DynamoDB leaves them in S3, in memory, and clients that give them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.adapters.table.export import TableExports
from handler.adapters.table.expressions import to_attributes
from local.emulator import exports

TABLE_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/t"
EXPORT_ARN = f"{TABLE_ARN}/export/01796000000000-0a1b2c3d"
FOLDER = "AWSDynamoDB/01796000000000-0a1b2c3d"
BUCKET = "exports"


class Bucket:
    """S3 with the objects of one bucket; `denied` are the keys that may not be read, `cut` what ends under way."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)
        self.denied: dict[str, str] = {}
        self.broken: list[Exception] = []

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key in self.denied:
            raise AwsError("GetObject", "AccessDenied", self.denied[Key])
        if Bucket != BUCKET or Key not in self.objects:
            raise AwsError("GetObject", "NoSuchKey", "The specified key does not exist.")
        return {"Body": Body(self.objects[Key], self.broken)}


class Body(io.BytesIO):
    """What an object is read from; it breaks once for each error that is left."""

    def __init__(self, content: bytes, broken: list[Exception]) -> None:
        super().__init__(content)
        self._broken = broken

    def read(self, size: int | None = -1) -> bytes:
        if self._broken:
            raise self._broken.pop()
        return super().read(size)


class Table:
    """DynamoDB's exports of one table: `said` is the description of each look at it, in turn; the last one stays."""

    def __init__(self, *said: Mapping[str, Any]) -> None:
        self._said = list(said)
        self.asked: list[dict[str, Any]] = []

    def export_table_to_point_in_time(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return self._next()

    def describe_export(self, *, ExportArn: str) -> dict[str, Any]:
        return self._next()

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        return {"Table": {"TableArn": TABLE_ARN}}

    def _next(self) -> dict[str, Any]:
        return {"ExportDescription": self._said.pop(0) if len(self._said) > 1 else self._said[0]}


def described(**other: Any) -> dict[str, Any]:
    """A complete full export."""
    return {
        "ExportArn": EXPORT_ARN,
        "ExportStatus": "COMPLETED",
        "TableArn": TABLE_ARN,
        "S3Bucket": BUCKET,
        "ExportManifest": f"{FOLDER}/manifest-summary.json",
        "ExportType": "FULL_EXPORT",
        "ExportFormat": "DYNAMODB_JSON",
        "ExportTime": datetime.fromisoformat("2026-11-28T22:00:00Z"),
        **other,
    }


def bucket(items: Iterable[Mapping[str, Any]]) -> Bucket:
    """S3 with a full export of plain items."""
    rows = [{"Item": to_attributes(item)} for item in items]
    return Bucket(exports.files(described(ExportTime="2026-11-28T22:00:00Z"), rows))


def exported(s3: Bucket, *said: Mapping[str, Any]) -> TableExports:
    return TableExports(Table(*(said or [described()])), s3, TABLE_ARN, BUCKET)
