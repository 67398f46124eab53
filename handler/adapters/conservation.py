"""The day's sums in S3, and the items of a day from an export of the table, beside which they lie.

The rule it keeps: a result and an hour's list are written once; only the note of which export is read is ever replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from handler.adapters.support.errors import AwsError
from handler.adapters.table.export import WINDOW_SECONDS_MIN, Change, ExportError, TableExports
from handler.domain.conservation import Difference, Owed, Sum, Sums
from handler.domain.conservation_run import ChangesError, begin_of, day_of
from handler.domain.item import timestamp
from handler.domain.payment import Movement

RESULTS: Final = "conservation/results"
PARTS: Final = "conservation/parts"
SCHEMA_VERSION: Final = 1
_MISSING: Final = ("NoSuchKey", "404")
# Somebody else wrote it, or is about to.
_STANDS: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class SumsBucket:
    """`Kept` in a bucket, under names of days and hours. Its client raises AwsError, which passes through."""

    def __init__(self, client: Any, bucket: str, environment: str) -> None:
        self._client = client
        self._bucket = bucket
        self._environment = environment

    def result(self, day: date) -> Sums | None:
        document = self.document(day)
        if document is None:
            return None
        return Sums(
            sums=tuple(Sum(**each) for each in document["sums"]),
            differences=tuple(Difference(**each) for each in document["differences"]),
            difference_count=document["difference_count"],
            owed=tuple(Owed(**each) for each in document["owed"]),
            items_read=document["items_read"],
        )

    def document(self, day: date) -> dict[str, Any] | None:
        """The result as it is kept; docs/conservation.md says what it has."""
        found = self._get(f"{RESULTS}/{day}.json")
        return found if isinstance(found, dict) else None

    def keep_result(self, day: date, sums: Sums, made_at: int) -> None:
        document = {
            "schema_version": SCHEMA_VERSION,
            "environment": self._environment,
            "day": str(day),
            "made_at": timestamp(made_at),
            "items_read": sums.items_read,
            "sums": [each._asdict() for each in sums.sums],
            "difference_count": sums.difference_count,
            "differences": [each._asdict() for each in sums.differences],
            "owed": [each._asdict() for each in sums.owed],
        }
        self._put_once(f"{RESULTS}/{day}.json", document)

    def hour(self, day: date, hour: int) -> list[Movement] | None:
        found = self._get(_hour(day, hour))
        return None if found is None else [Movement(*row) for row in found]

    def keep_hour(self, day: date, hour: int, listed: list[Movement]) -> None:
        self._put_once(_hour(day, hour), [list(each) for each in listed])

    def export_arn(self, day: date) -> str:
        """The export that is read for a day; "" where none was begun."""
        found = self._get(f"{PARTS}/{day}/export.json")
        return str(found["arn"]) if found else ""

    def keep_export_arn(self, day: date, arn: str) -> None:
        self._put(f"{PARTS}/{day}/export.json", {"arn": arn})

    def _get(self, key: str) -> Any:
        try:
            return json.loads(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except AwsError as error:
            if error.code in _MISSING:
                return None
            raise

    def _put(self, key: str, document: object, **more: str) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", **more)

    def _put_once(self, key: str, document: object) -> None:
        try:
            self._put(key, document, IfNoneMatch="*")
        except AwsError as error:
            if error.code not in _STANDS:
                raise


class ExportedChanges:
    """`Changes` from incremental exports of the table, one a day; `created_at` is when the table was made, in ms."""

    def __init__(self, exports: TableExports, kept: SumsBucket, created_at: int) -> None:
        self._exports = exports
        self._kept = kept
        # Before it there was nothing to write to, and DynamoDB refuses the time. It takes whole seconds.
        self._created_at = -(-created_at // 1000) * 1000

    def between(self, since_ms: int, until_ms: int) -> Iterator[Mapping[str, Any]] | None:
        since_ms = max(since_ms, self._created_at)
        if until_ms - since_ms < 1000 * WINDOW_SECONDS_MIN:
            # The table is younger, or so young that DynamoDB exports no window: what it has, it is asked for.
            return iter(())
        day = day_of(until_ms - 1)
        try:
            arn = self._kept.export_arn(day)
            export = self._exports.find(arn) if arn else None
            if export is None or export.status == "FAILED":
                export = self._exports.start_changes(since_ms, until_ms)
                self._kept.keep_export_arn(day, export.arn)
        except ExportError as error:
            raise ChangesError(str(error)) from error
        if export.status != "COMPLETED":
            return None
        return self._items(day, self._exports.changes(export))

    def _items(self, day: date, changes: Iterator[Change]) -> Iterator[Mapping[str, Any]]:
        try:
            for change in changes:
                # What was deleted is in no item; what the gateway has of it is told.
                if change.item is not None:
                    yield change.item
        except ExportError as error:
            # Read again it would be no better: the next run begins another one.
            self._kept.keep_export_arn(day, "")
            raise ChangesError(str(error)) from error


def _hour(day: date, hour: int) -> str:
    """`hour` is its place in the day, from -1 on: its object has the name of its own time."""
    return f"{PARTS}/{day}/{timestamp(begin_of(day) + hour * 3_600_000)}.json"
