"""`payments export`: the payments that a period settled, with what was given back and disputed in it, as CSV.

What it costs: one export of the table to S3, by its size, and reading its files; the table itself serves no read.
The rule it keeps: a file is written whole or not at all, and an export that was paid for is never begun again unasked.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final

import click

from handler.adapters.support.standard import BotocoreClient
from handler.adapters.table.export import DamagedExportError, Export, ExportError, ExportFailedError, TableExports
from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import timestamp
from handler.domain.money import as_text
from operations.names import export_bucket
from operations.options import NAME, Call, Command, Time, pass_call
from operations.output import to_json
from operations.settled import KINDS, Period, Row, totals

# A write carries the time at which it was decided, and reaches the table before its function's time-out.
SETTLES_SECONDS: Final = 60
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection"), in full width too.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_TOLD_ITEMS: Final = 100_000
_TOLD_SECONDS: Final = 30.0
# What to do about an export that DynamoDB gave up, by what its code or its words have.
_ADVICE: Final = (
    (
        "NoSuchBucket",
        "`make apply` makes the bucket; behind a name_prefix, export EXPORT_BUCKET as output `commands` has it",
    ),
    (
        "KMS",
        "whoever exports needs kms:Decrypt and kms:GenerateDataKey on the table's key (output `policies`, accountant)",
    ),
    ("AccessDenied", "whoever exports needs s3:PutObject on the bucket (output `policies`, accountant)"),
)


@click.command(cls=Command, example="payments export --from 2026-11-01 --to 2026-12-01 --output november.csv")
@click.option("--from", "since", type=Time(takes_days=True), required=True, help="The period's beginning, in UTC.")
@click.option("--to", "until", type=Time(takes_days=True), required=True, help="Its end, which is no part of it.")
@click.option(
    "--output",
    type=NAME,
    default="-",
    metavar="FILE",
    help="Where to; what is there is replaced (default: -, standard output).",
)
@click.option("--at", type=Time(), help="The moment whose table is exported (default: now).")
@click.option("--export-arn", type=NAME, metavar="ARN", help="An export that was begun before: none is paid for again.")
@pass_call
def export(call: Call, *, since: int, until: int, output: str, at: int | None, export_arn: str | None) -> int:
    """Write what a period settled, gave back and had disputed as CSV.

    From a point-in-time export of the table to S3, which takes some minutes and costs by the table's size: it says its
    ARN, with which --export-arn goes on after an interruption. Times are days (2026-11-01) or moments
    (2026-11-01T12:00:00Z); the columns are in docs/settled.md. A text that a spreadsheet would take for a formula gets
    a ' before it. With --json, rows are JSON lines on standard output, or the answer about FILE is JSON.
    """
    if since >= until:
        raise click.UsageError("--from must be before --to")
    if at is not None and export_arn:
        raise click.UsageError("--at is of a new export, and --export-arn names one that has its moment")
    if not export_arn:
        _require_past(until, int(1000 * time.time()) if at is None else at)
    try:
        with _written(output) as file:
            tables, begun = _begun(call, at, export_arn)
            _require_past(until, begun.at)
            complete = tables.complete(begun, _Pause(call))
            rows, code = _rows(call, tables.items(complete), Period(since, until))
            if output == "-" and call.is_json:
                file.writelines(f"{to_json(row._asdict())}\n" for row in rows)
            else:
                csv.writer(file).writerows(cells(rows))
        _answer(call, complete, rows, output)
        return code
    except ExportFailedError as error:
        do = next((do for words, do in _ADVICE if words in error.failure), "run it again without --export-arn")
        raise click.ClickException(f"{error}. To do: {do}") from error
    except DamagedExportError as error:
        raise click.ClickException(
            f"{error}. Nothing was written. To do: exports are deleted some days after they were made (Terraform's "
            "export_retention_days): run it again without --export-arn"
        ) from error
    except ExportError as error:
        raise click.ClickException(str(error)) from error


def _begun(call: Call, at: int | None, export_arn: str | None) -> tuple[TableExports, Export]:
    """The export that is read, which is not complete perhaps. Raises ExportError, and AwsError as its clients."""
    dynamodb = BotocoreClient(call.client("dynamodb"))
    table_arn = dynamodb.describe_table(TableName=call.variables["DYNAMODB_TABLE"])["Table"]["TableArn"]
    tables = TableExports(dynamodb, BotocoreClient(call.client("s3")), table_arn, export_bucket(call, table_arn))
    if export_arn:
        begun = tables.find(export_arn)
    else:
        begun = tables.start(at)
        call.note(f"{begun.arn} was begun; after an interruption, --export-arn with it goes on", export_arn=begun.arn)
    if begun.kind != "FULL_EXPORT":
        raise ExportError(f"{begun.arn} has the changes of a window: rows come from an export of the whole table")
    return tables, begun


def _rows(call: Call, items: Iterable[Mapping[str, Any]], period: Period) -> tuple[list[Row], int]:
    """The rows, and the exit code: 1 where an item cannot be read, which is told of and hides no other."""
    code = 0
    for number, stored in enumerate(items, 1):
        try:
            period.add(stored)
        except (DamagedItemError, UnknownItemError) as error:
            call.note(f"{error}: it is in no row", error=str(error))
            code = 1
        if number % _TOLD_ITEMS == 0:
            call.note(f"{number} items read", items=number)
    return period.rows(), code


def cells(rows: Iterable[Row]) -> Iterator[Sequence[str]]:
    """The lines of the file, its head first; what a spreadsheet would take for a formula is text in all of them."""
    yield Row._fields
    for row in rows:
        yield ["" if each is None else _harmless(each) if isinstance(each, str) else str(each) for each in row]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _require_past(until: int, at: int) -> None:
    """Raises UsageError where what settled before `until` may not be in the table of `at` yet."""
    if at < until + 1000 * SETTLES_SECONDS:
        raise click.UsageError(
            f"--to is {timestamp(until)}, and the table of {timestamp(at)} may lack what settled shortly before: the "
            f"export must be of {timestamp(until + 1000 * SETTLES_SECONDS)} or later. Choose an earlier --to, or wait"
        )


class _Pause:
    """Waits before each further look at an export, the longer the longer it takes, and says so from time to time."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._began = self._told = time.monotonic()

    def __call__(self, export: Export) -> None:
        now = time.monotonic()
        if now - self._told >= _TOLD_SECONDS:
            self._told = now
            waited = round(now - self._began)
            self._call.note(f"in progress for {waited} s", export_arn=export.arn, waited_seconds=waited)
        time.sleep(1 if now - self._began < 10 else 5)


@contextmanager
def _written(output: str) -> Iterator[IO[str]]:
    """Where rows go: standard output, or a file that is there once it is whole. Raises BadParameter."""
    if output == "-":
        yield sys.stdout
        return
    try:
        path = Path(output).resolve()
        # A pipe or a device would be replaced by the file.
        if path.exists() and not path.is_file():
            raise OSError(f"{path} is there and no file; - is standard output")
        # Made before anything is paid for. It is its owner's alone, as everything in a temporary file.
        file = NamedTemporaryFile("w", encoding="utf-8", newline="", dir=path.parent, prefix=".", delete=False)  # noqa: SIM115 - closed below
    except OSError as error:
        raise click.BadParameter(
            f"{output} cannot be written: {error.strerror or error}", param_hint="--output"
        ) from error
    try:
        with file:
            yield file
        os.replace(file.name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(file.name)
        raise


def _answer(call: Call, export: Export, rows: Sequence[Row], output: str) -> None:
    """How many rows there are, and what they add up to: on standard output, unless the rows are there."""
    found = totals(rows)
    sums = [
        f"{currency}: " + ", ".join(f"{kind} {as_text(kinds[kind], currency)}" for kind in KINDS)
        for currency, kinds in found.items()
    ]
    text = "\n  ".join([f"{len(rows)} rows of the table of {timestamp(export.at)}, {export.arn}", *sums])
    document = {"export_arn": export.arn, "at": timestamp(export.at), "rows": len(rows), "totals_minor": found}
    if output == "-":
        call.note(text, **document)
    else:
        call.say(f"{output}: {text}", output=output, **document)
