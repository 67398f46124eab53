"""A run of the day's sums ends anywhere and goes on; a result is kept once, and from nothing that is not whole."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from handler.adapters.conservation import ExportedChanges, SumsBucket
from handler.adapters.support.errors import AwsError
from handler.adapters.table.export import Change, DamagedExportError, Export, ExportError
from handler.conservation_composition import compose_conservation
from handler.conservation_function import ConservationFunction
from handler.domain.conservation import Sum
from handler.domain.conservation_run import ChangesError, ConservationPorts, result_of, yesterday
from handler.domain.errors import ConfigurationError, GatewayAnswerError, GatewayBusyError, UnknownOutcomeError
from handler.domain.payment import Kind, Movement
from tests.support.conservation import HOUR, MIDNIGHT, NOON, START, Books
from tests.support.payments import FixedClock

DAY = date(2026, 11, 27)
RESULT, PARTS = "conservation/results/2026-11-27.json", "conservation/parts/2026-11-27"


def long() -> int:
    return 900_000


class Bucket:
    """S3 with the objects of one bucket, which honours If-None-Match; `refusal` is what every call is refused with."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refusal = ""

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._refuse("GetObject")
        if Key not in self.objects:
            raise AwsError("GetObject", "NoSuchKey", "The specified key does not exist.")
        return {"Body": io.BytesIO(self.objects[Key])}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, IfNoneMatch: str = "") -> None:
        self._refuse("PutObject")
        if IfNoneMatch == "*" and Key in self.objects:
            raise AwsError("PutObject", "PreconditionFailed", "At least one of the preconditions did not hold")
        self.objects[Key] = Body

    def _refuse(self, operation: str) -> None:
        if self.refusal:
            raise AwsError(operation, self.refusal, "no")


class Exports:
    """The table's exports: each begun one has the books' items and comes to `states` in turn."""

    def __init__(self, books: Books, *states: Any) -> None:
        self._books = books
        self.states = list(states or ("COMPLETED",))
        self.begun: list[tuple[int, int]] = []
        self.read: list[str] = []
        self.broken = ""

    def start_changes(self, since: int, until: int) -> Export:
        self.begun.append((since, until))
        return self.find(f"arn-{len(self.begun)}")

    def find(self, arn: str) -> Export:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise ExportError("no such export")
        return Export(arn, state, "INCREMENTAL_EXPORT", "table", "b", MIDNIGHT)

    def changes(self, export: Export) -> Iterator[Change]:
        self.read.append(export.arn)
        for name, item in self._books.exported.items():
            yield Change(name, item)
        yield Change("txn-deleted", None)
        if self.broken:
            raise DamagedExportError(self.broken)


class Lists(Books):
    """Books whose lists are counted, and fail once with what `failures` has."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[tuple[Kind, int]] = []
        self.failures: list[Exception] = []

    def listed(self, kind: Kind, since_ms: int, until_ms: int) -> list[Movement]:
        assert until_ms == since_ms + HOUR
        if self.failures:
            raise self.failures.pop()
        self.spans.append((kind, (since_ms - START) // HOUR))
        return super().listed(kind, since_ms, until_ms)


class Metrics:
    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.flushed = 0

    def add_metric(self, name: str, unit: str, value: float) -> None:
        self.values[name] = value

    def flush_metrics(self) -> None:
        self.flushed += 1


class Run:
    """Everything that runs of a day work with; half an hour after its end, unless `clock` is set."""

    def __init__(self, *states: Any, created_at: int = 0) -> None:
        self.books = Lists()
        self.books.payment("a")
        self.books.captured("a")
        self.s3 = Bucket()
        self.exports: Any = Exports(self.books, *states)
        self.kept = SumsBucket(self.s3, "b", "dev")
        self.clock = FixedClock(MIDNIGHT + HOUR // 2)
        gateway: Any = self.books
        changes = ExportedChanges(self.exports, self.kept, created_at)
        self.ports = ConservationPorts(changes, self.kept, self.books.log, gateway, self.clock)
        self.metrics = Metrics()

    def __call__(self, remaining_ms: Callable[[], int] = long) -> Any:
        return result_of(DAY, self.ports, remaining_ms)

    def invoke(self, event: Any = None, remaining_ms: Callable[[], int] = long) -> dict[str, Any]:
        context = SimpleNamespace(get_remaining_time_in_millis=remaining_ms)
        return ConservationFunction(self.ports, self.metrics)(event, context)


AGREED = (Sum("captured", "USD", 1000, 1000, 1, 1),)


def test_a_run_lists_every_hour_of_the_day_and_the_one_before_and_keeps_the_result() -> None:
    run = Run()
    sums = run()
    assert (sums.sums, sums.differences, sums.items_read) == (AGREED, (), 1)
    assert run.exports.begun == [(START, MIDNIGHT)]
    kinds = ("captured", "refunded", "disputed")
    assert run.books.spans == [(kind, hour) for hour in range(-1, 24) for kind in kinds]
    document = json.loads(run.s3.objects[RESULT])
    assert {name: document[name] for name in ("schema_version", "environment", "day", "made_at")} == {
        **{"schema_version": 1, "environment": "dev", "day": "2026-11-27"},
        **{"made_at": "2026-11-28T00:30:00Z"},
    }
    assert document["sums"][0]["gateway_minor"] == 1000
    assert f"{PARTS}/2026-11-26T23:00:00Z.json" in run.s3.objects


def test_a_result_that_stands_is_given_again_and_nobody_is_asked() -> None:
    run = Run()
    first = run()
    run.books.captured("lost")
    for asked in (run.books.spans, run.exports.begun, run.exports.read):
        asked.clear()
    assert run() == first
    assert (run.books.spans, run.exports.begun, run.exports.read) == ([], [], [])


def test_a_result_with_differences_and_what_is_owed_is_read_as_it_was_kept() -> None:
    run = Run()
    run.books.captured("lost")
    run.books.payment("b", status="parked")
    run.books.captured("b")
    sums = run()
    assert (len(sums.differences), len(sums.owed)) == (1, 1)
    assert run.kept.result(DAY) == sums


def test_a_run_that_is_out_of_time_goes_on_with_the_next_hour() -> None:
    run = Run()
    left = iter([900_000] * 5 + [1000])
    assert run(lambda: next(left)) is None
    assert {hour for _, hour in run.books.spans} == {-1, 0, 1, 2, 3}
    assert RESULT not in run.s3.objects
    assert run().sums == AGREED
    assert len(run.books.spans) == 75
    assert len(run.exports.begun) == 1


def test_a_run_begins_to_compare_only_with_the_time_for_it() -> None:
    run = Run()
    assert run(lambda: 300_000) is None
    assert len(run.books.spans) == 75
    assert run(lambda: 600_000).sums == AGREED


def test_an_export_that_is_not_complete_is_waited_for() -> None:
    run = Run("IN_PROGRESS", "IN_PROGRESS", "COMPLETED")
    assert run() is None
    assert run().sums == AGREED
    assert len(run.exports.begun) == 1


def test_an_export_that_failed_is_begun_anew() -> None:
    run = Run("IN_PROGRESS", "IN_PROGRESS", "FAILED", "COMPLETED")
    assert run() is None
    assert run().sums == AGREED
    assert len(run.exports.begun) == 2


def test_a_table_that_was_made_in_the_day_is_exported_from_then_on() -> None:
    run = Run(created_at=NOON - 500)
    run()
    assert run.exports.begun == [(NOON, MIDNIGHT)]


@pytest.mark.parametrize("created_at", [MIDNIGHT - 60_000, MIDNIGHT + HOUR])
def test_a_table_that_is_too_young_for_an_export_is_asked_for_what_the_gateway_lists(created_at: int) -> None:
    run = Run(created_at=created_at)
    assert run().sums == AGREED
    assert (run.exports.begun, run.books.asked) == ([], ["pi_a"])


def test_a_list_that_ends_early_leaves_no_result_and_what_was_whole_is_kept() -> None:
    run = Run()
    run.books.failures = [GatewayAnswerError("ends early")]
    with pytest.raises(GatewayAnswerError, match="ends early"):
        run()
    assert RESULT not in run.s3.objects
    assert run().sums == AGREED


def test_a_list_that_lacks_a_charge_leaves_no_result() -> None:
    run = Run()
    run.books.unlisted.add("pi_a")
    with pytest.raises(GatewayAnswerError, match="lacks pi_a"):
        run()
    assert RESULT not in run.s3.objects


def test_a_charge_that_its_own_intent_contradicts_is_told_and_keeps_no_sums_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def contradicted(self: Books, gateway_ref: str) -> Any:
        raise GatewayAnswerError(f"{gateway_ref} succeeded over another amount than its own")

    monkeypatch.setattr(Books, "status", contradicted)
    run = Run()
    run.books.payment("b", 900)
    run.books.captured("b")
    (told,) = run().differences
    assert (told.why, told.ref, told.items_minor, told.gateway_minor) == ("other_amount", "pi_b", 900, 1000)
    # Of one that no list has nothing can be said.
    run = Run()
    run.books.unlisted.add("pi_a")
    with pytest.raises(GatewayAnswerError, match="pi_a succeeded"):
        run()


def test_an_export_that_is_not_whole_leaves_no_result_and_the_next_run_begins_another() -> None:
    run = Run()
    run.exports.broken = "a file is missing"
    with pytest.raises(ChangesError, match="a file is missing"):
        run()
    assert RESULT not in run.s3.objects
    run.exports.broken = ""
    assert run().sums == AGREED
    assert run.exports.read == ["arn-1", "arn-2"]


def test_an_export_that_cannot_be_read_at_the_moment_is_read_again() -> None:
    run = Run()
    whole = run.exports.changes

    def unreached(export: Export) -> Iterator[Change]:
        run.exports.changes = whole
        yield from whole(export)
        raise AwsError("GetObject", "SlowDown", "no")

    run.exports.changes = unreached
    with pytest.raises(AwsError):
        run()
    assert run().sums == AGREED
    assert run.exports.read == ["arn-1", "arn-1"]


def test_of_two_runs_at_once_the_first_result_stands() -> None:
    run = Run()
    whole = run.exports.changes

    def overtaken(export: Export) -> Iterator[Change]:
        yield from whole(export)
        run.exports.changes = whole
        run()
        yield Change("txn-z", {**run.books.exported["txn-a"], "transaction_id": "txn-z", "gateway_ref": "pi_z"})

    run.exports.changes = overtaken
    assert run().differences == ()
    assert json.loads(run.s3.objects[RESULT])["difference_count"] == 0


def test_what_a_day_owed_is_asked_about_the_day_after() -> None:
    run = Run()
    run.books.payment("b", status="parked")
    run.books.captured("b")
    assert run().owed[0].payment_id == "b"
    run.books.movements = [each._replace(created_at=each.created_at + 100 * HOUR) for each in run.books.movements]
    run.books.exported.clear()
    sums = result_of(date(2026, 11, 28), run.ports, long)
    assert sums is not None
    assert [each.why for each in sums.differences] == ["not_settled"]


@pytest.mark.parametrize(
    ("after", "day"),
    [(0, "2026-11-26"), (HOUR // 2 - 1, "2026-11-26"), (HOUR // 2, "2026-11-27"), (HOUR, "2026-11-27")],
)
def test_a_day_is_looked_at_from_half_an_hour_after_its_end(after: int, day: str) -> None:
    assert str(yesterday(MIDNIGHT + after)) == day


def test_the_function_makes_the_sums_of_yesterday_and_tells_their_differences() -> None:
    run = Run()
    run.books.captured("lost")
    assert run.invoke({}) == {"day": "2026-11-27", "is_made": True, "differences": 1}
    assert (run.metrics.values, run.metrics.flushed) == ({"ConservationLate": 0, "ConservationDifferences": 1}, 1)


def test_differences_are_told_again_with_each_run_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    run = Run()
    run.books.captured("lost")
    for _ in range(2):
        run.invoke()
        assert run.metrics.values["ConservationDifferences"] == 1
    lines = [line for line in caplog.messages if "not_in_items" in line]
    assert lines == ["2026-11-27 not_in_items: captured txn-lost pi_lost"]


@pytest.mark.parametrize(
    "failure",
    [GatewayAnswerError("ends early"), GatewayBusyError("429"), UnknownOutcomeError("no answer")],
    ids=lambda failure: type(failure).__name__,
)
def test_what_fails_is_logged_and_late_only_eight_hours_after_the_end(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run()
    for after, late in ((8 * HOUR, 0), (8 * HOUR + 1, 1)):
        run.clock.ms = MIDNIGHT + after
        run.books.failures = [failure]
        assert run.invoke() == {"day": "2026-11-27", "is_made": False, "differences": None}
        assert run.metrics.values == {"ConservationLate": late, "ConservationDifferences": 0}
    assert f"are not made yet: {failure}" in caplog.text
    assert run.invoke()["is_made"] is True
    assert run.metrics.values["ConservationLate"] == 0


def test_days_that_were_missed_are_made_before_yesterday_the_oldest_first() -> None:
    run = Run()
    run()
    run.clock.ms = MIDNIGHT + 72 * HOUR + HOUR // 2
    run.books.failures = [GatewayBusyError("429")]
    assert (run.invoke()["day"], [*run.metrics.values.values()]) == ("2026-11-28", [1, 0])
    run.books.captured("lost", created_at=MIDNIGHT + HOUR)
    assert (run.invoke()["day"], [*run.metrics.values.values()]) == ("2026-11-30", [0, 1])
    assert [(since - MIDNIGHT) // HOUR for since, _ in run.exports.begun[1:]] == [0, 24, 48]


def test_a_bucket_that_refuses_makes_the_sums_late_and_does_not_end_the_function() -> None:
    run = Run()
    run.s3.refusal = "AccessDenied"
    assert run.invoke()["is_made"] is False
    with pytest.raises(AwsError, match="AccessDenied"):
        run.kept.keep_hour(DAY, 0, [])
    with pytest.raises(AwsError, match="AccessDenied"):
        run.kept.result(DAY)


def test_a_day_that_somebody_asks_for_is_made_and_changes_no_metric_of_yesterday() -> None:
    run = Run()
    run.clock.ms = MIDNIGHT + 72 * HOUR
    assert run.invoke({"day": "2026-11-27"})["is_made"] is True
    assert run.metrics.flushed == 0


@pytest.mark.parametrize("day", ["2026-11-28", "yesterday", "2026-11-32"])
def test_a_day_that_is_none_or_has_not_ended_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match=r"has not ended|Invalid isoformat|day is out of range"):
        Run().invoke({"day": day})


@pytest.mark.parametrize(
    ("changes", "variable"), [({"EXPORT_BUCKET": ""}, "EXPORT_BUCKET"), ({"GATEWAY": "simulated"}, "GATEWAY")]
)
def test_a_deployment_without_a_bucket_or_without_lists_is_told_at_init(
    changes: Mapping[str, str], variable: str
) -> None:
    given = {"EXPORT_BUCKET": "cloudcafe-exports-dev", "GATEWAY": "stripe", "ENVIRONMENT": "dev", **changes}
    with pytest.raises(ConfigurationError) as caught:
        compose_conservation(given)
    assert caught.value.variable == variable
