"""Exports that the emulator lacks: which are refused, and what their rows are at a time that has passed."""

from __future__ import annotations

from typing import Any

import pytest

from local.emulator import exports

HOUR = 3600.0


def item(name: str, status: str) -> dict[str, Any]:
    return {"transaction_id": {"S": name}, "status": {"S": status}}


def record(at: float, name: str, old: str = "", new: str = "") -> dict[str, Any]:
    images = {"OldImage": item(name, old) if old else None, "NewImage": item(name, new) if new else None}
    keys = {"Keys": {"transaction_id": {"S": name}}, "ApproximateCreationDateTime": at}
    return {"dynamodb": keys | {each: image for each, image in images.items() if image}}


RECORDS = [
    record(10, "a", new="processing"),
    record(20, "b", new="processing"),
    record(30, "a", "processing", "completed"),
    record(30, "c", new="processing"),
    record(40, "c", "processing"),
    record(40, "b", "processing"),
]


@pytest.mark.parametrize(
    ("at", "stood"),
    [
        (None, {"a": "completed"}),
        (41, {"a": "completed"}),
        (40, {"a": "completed", "b": "processing", "c": "processing"}),
        (30, {"a": "processing", "b": "processing"}),
        (20, {"a": "processing"}),
        (10, {}),
    ],
)
def test_an_export_has_the_table_as_it_stood(at: float | None, stood: dict[str, str]) -> None:
    rows = exports.snapshot([item("a", "completed")], "transaction_id", RECORDS, at)
    assert {row["Item"]["transaction_id"]["S"]: row["Item"]["status"]["S"] for row in rows} == stood


def test_changes_are_compacted_to_what_the_window_made_of_each_item() -> None:
    rows = exports.changes(RECORDS, "transaction_id", 30, 41, "NEW_AND_OLD_IMAGES")
    assert [{name: row.get(name) for name in ("Keys", "OldImage", "NewImage")} for row in rows] == [
        {
            "Keys": {"transaction_id": {"S": "a"}},
            "OldImage": item("a", "processing"),
            "NewImage": item("a", "completed"),
        },
        {"Keys": {"transaction_id": {"S": "b"}}, "OldImage": item("b", "processing"), "NewImage": None},
    ]
    (row,) = exports.changes(RECORDS, "transaction_id", 30, 40, "NEW_IMAGE")[:1]
    assert (row["NewImage"], "OldImage" in row) == (item("a", "completed"), False)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, None),
        ({"ExportTime": 5 * HOUR}, None),
        ({"ExportTime": 0.0}, "InvalidExportTimeException"),
        ({"ExportTime": 11 * HOUR}, "InvalidExportTimeException"),
        ({"IncrementalExportSpecification": {"ExportFromTime": HOUR}}, "ValidationException"),
        ({"ExportType": "INCREMENTAL_EXPORT"}, "ValidationException"),
        *(
            ({"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": window}, code)
            for window, code in (
                ({"ExportFromTime": 9 * HOUR}, None),
                ({"ExportFromTime": 9 * HOUR, "ExportToTime": 9 * HOUR + 899}, "ValidationException"),
                ({"ExportFromTime": 0.0, "ExportToTime": 2 * HOUR}, None),
                ({"ExportFromTime": 9 * HOUR, "ExportToTime": 11 * HOUR}, "InvalidExportTimeException"),
            )
        ),
    ],
)
def test_an_export_that_dynamodb_would_refuse_is_refused(asked: dict[str, Any], code: str | None) -> None:
    refusal = exports.refused(asked, table="t", has_recovery=True, since=HOUR, now=10 * HOUR)
    assert (refusal and refusal[0]) == code
    refusal = exports.refused(asked, table="t", has_recovery=False, since=HOUR, now=10 * HOUR)
    assert refusal
    assert refusal[0] == "PointInTimeRecoveryUnavailableException"
