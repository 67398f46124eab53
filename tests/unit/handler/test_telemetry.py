"""Log and metric lines of both supports are the same bytes for the same calls.

Alarms, metric filters and dashboards read these lines, so that neither support may say a thing in its own way.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import random
import re
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.adapters.support import lean, standard
from handler.domain.errors import ConfigurationError
from handler.queue_function import METRICS

LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
VARIABLES = ("POWERTOOLS_LOG_LEVEL", "LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL", "POWERTOOLS_LOGGER_SAMPLE_RATE")
SWITCHES = ("POWERTOOLS_DEV", "POWERTOOLS_METRICS_DISABLED")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*VARIABLES, *SWITCHES, "_X_AMZN_TRACE_ID"):
        monkeypatch.delenv(variable, raising=False)


@contextlib.contextmanager
def at(seconds: float) -> Iterator[None]:
    """logging reads one clock up to Python 3.12 and the other since."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: seconds)
        patch.setattr(time, "time_ns", lambda: int(seconds * 1_000_000_000))
        yield


def written(call: Callable[[Any], object], seconds: float = 1_764_321_000.123) -> tuple[str, str]:
    """What the same call writes with lean and with standard."""
    # Powertools keeps the stream that a service's logger was first made with.
    service = f"service-{uuid.uuid4()}"
    # pytest's handler on the root logger raises what a line cannot be made of.
    logging.getLogger(service).propagate = False
    lines = []
    for support in (lean, standard):
        stream = io.StringIO()
        logger = support.create_logger(service, stream)
        with at(seconds), contextlib.redirect_stderr(io.StringIO()):
            try:
                call(logger)
            except KeyError as error:
                stream.write(repr(error))
        lines.append(stream.getvalue())
    return lines[0], lines[1]


def same(call: Callable[[Any], object], seconds: float = 1_764_321_000.123) -> str:
    ours, theirs = written(call, seconds)
    assert ours == theirs
    return ours


class Unsayable:
    def __str__(self) -> str:
        return "as text"


names = st.text(max_size=12) | st.sampled_from(
    [
        *("level", "location", "message", "timestamp", "service", "sampling_rate", "exception", "exception_name"),
        *("stack_trace", "xray_trace_id", "alarm", "name", "args", "asctime", "levelname", "taskName", "reason_code"),
    ]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=8)
    | st.decimals()
    | st.datetimes()
    | st.complex_numbers()
    | st.builds(Unsayable)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=8,
)
messages = (
    st.text(max_size=30)
    | values.map(lambda value: json.dumps(value, default=str, skipkeys=True))
    | st.integers()
    | st.none()
    | st.dictionaries(st.text(max_size=5), values, max_size=3)
)


@given(level=st.sampled_from(LEVELS), message=messages, extra=st.none() | st.dictionaries(names, values, max_size=6))
def test_a_line_is_the_same_whatever_its_message_and_its_extras_are(level, message, extra):
    same(lambda logger: getattr(logger, level)(message, extra=extra))


@given(
    arguments=st.lists(values, max_size=3),
    template=st.sampled_from(["%s", "%s: %s", "{}", "%d", "100 %", '{"a": %s}', {"%s": 1}]),
)
def test_a_line_is_the_same_whatever_its_arguments_are(arguments, template):
    same(lambda logger: logger.info(template, *arguments))


# An extra may say its own of an exception.
of_exceptions = st.sampled_from(["exception", "exception_name", "exception_notes", "stack_trace"])


@given(
    extra=st.dictionaries(names | of_exceptions, values, max_size=3), notes=st.lists(st.text(max_size=10), max_size=2)
)
def test_the_line_of_an_exception_is_the_same(extra, notes):
    def call(logger: Any) -> None:
        try:
            try:
                json.loads("{")
            except ValueError as error:
                raise ConfigurationError("SUPPORT", "heavy", "lean") from error
        except ConfigurationError as error:
            for note in notes:
                error.add_note(note)
            logger.exception("failed", extra=extra)

    same(call)


def test_the_line_of_an_exception_says_what_it_is_and_where():
    def call(logger: Any) -> None:
        try:
            raise KeyError("a bug")
        except KeyError:
            logger.exception("failed")

    line = json.loads(same(call))
    assert list(line)[-3:] == ["exception", "exception_name", "stack_trace"]
    assert line["exception_name"] == "KeyError"
    assert line["stack_trace"]["frames"][0]["statement"] == 'raise KeyError("a bug")'


@pytest.mark.parametrize("seconds", [0.0, 1.9999, 1_764_321_000.0, 1_764_321_000.9996, 1_783_000_000.05])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_the_time_is_the_same_in_every_zone(seconds, zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        same(lambda logger: logger.info("ready"), seconds)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "trace_id", ["Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", "x", ""]
)
def test_a_line_names_the_trace_of_its_invocation(trace_id, monkeypatch):
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace_id)
    line = json.loads(same(lambda logger: logger.info("completed", extra={"xray_trace_id": "another"})))
    assert line.get("xray_trace_id") == (trace_id.removeprefix("Root=").split(";")[0] or None)


@pytest.mark.parametrize(
    ("powertools", "legacy", "of_lambda"),
    [
        *itertools.product(["", "DEBUG", "warning", "ERROR", "CRITICAL"], ["INFO", "debug"], [""]),
        *(("INFO", "", level) for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "LOUD")),
    ],
)
# Powertools says on standard error that two levels differ.
@pytest.mark.filterwarnings("ignore:Current log level")
def test_the_same_lines_are_written_at_every_level(powertools, legacy, of_lambda, monkeypatch):
    for variable, value in zip(VARIABLES, (powertools, legacy, of_lambda), strict=False):
        monkeypatch.setenv(variable, value)
    # Lambda's runtime gives the root logger its level, which is Powertools' own where that is NOTSET.
    root = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL", "": "WARNING", "LOUD": "WARNING"}
    monkeypatch.setattr(logging.root, "level", logging.getLevelName(root.get(of_lambda, of_lambda)))

    def call(logger: Any) -> None:
        for level in LEVELS:
            getattr(logger, level)("at %s", level)

    assert same(call).count("\n") >= 1


@pytest.mark.parametrize(
    ("variable", "value"), [("POWERTOOLS_LOG_LEVEL", "LOUD"), ("LOG_LEVEL", "LOUD"), (VARIABLES[3], "some")]
)
def test_a_wrong_level_or_rate_is_an_error_of_init_that_names_its_variable(variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} is '{value}'"):
        lean.create_logger("service")


@pytest.mark.parametrize("disabled", [None, "true", "False", "ON", "0"])
@pytest.mark.parametrize("dev", [None, "1", "Yes", "off"])
def test_powertools_switches_do_the_same_to_log_and_metric_lines(dev, disabled, monkeypatch):
    for variable, value in zip(SWITCHES, (dev, disabled), strict=True):
        if value is not None:
            monkeypatch.setenv(variable, value)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        line = same(lambda logger: logger.info("completed", extra={"faults": [{"a": 1}], "none": []}))
        published = {support: metric_line(support) for support in (lean, standard)}
    assert (line.count("\n") > 1) == (dev in ("1", "Yes"))
    assert published[lean] == published[standard]
    is_off = disabled in ("true", "ON") or (disabled is None and dev in ("1", "Yes"))
    assert (published[lean] == "") == is_off


def metric_line(support: Any) -> str:
    metrics = support.create_metrics("CloudCafe/Lambda", "payment-processor", "dev")
    metrics.add_metric("ProcessedPayments", "Count", 1)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        metrics.flush_metrics()
    if support is standard:
        # Those that are off it keeps, in its class.
        metrics.clear_metrics()
    return re.sub('"Timestamp":[0-9]{13},', "", output.getvalue())


@pytest.mark.parametrize("value", ["", "perhaps", "2"])
@pytest.mark.parametrize("variable", SWITCHES)
def test_a_switch_in_no_position_is_an_error_of_init_that_names_it(variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} is "):
        lean.create_metrics("CloudCafe/Lambda", "service", "dev")


@pytest.mark.parametrize(("rate", "drawn"), [("0.5", 0.5), ("0.5", 0.51), ("0", 0.0), ("1", 0.99), ("", 0.0)])
def test_a_sampled_environment_logs_from_debug_on(rate, drawn, monkeypatch):
    monkeypatch.setenv("POWERTOOLS_LOGGER_SAMPLE_RATE", rate)
    monkeypatch.setattr(random, "random", lambda: drawn)
    lines = same(lambda logger: (logger.debug("looked"), logger.info("ready"))).splitlines()
    assert len(lines) == (2 if rate and drawn <= float(rate) else 1)
    assert json.loads(lines[-1])["sampling_rate"] == rate


def test_a_line_that_cannot_be_written_stops_nothing_and_is_told_on_standard_error(capsys):
    logger = lean.create_logger("service", io.StringIO())
    logger.info("%d payments", "many")
    logger.info("completed", extra={"by": {(1, 2): "a tuple"}})
    assert capsys.readouterr().err.count("--- Logging error ---") == 2


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(METRICS)), st.integers(0, 1000) | st.floats(0, 1e9)), min_size=1, max_size=12
    )
)
@pytest.mark.parametrize("service", ["payment-processor", ""])
def test_the_metric_line_is_the_same(service, values_added):
    lines = []
    for support in (lean, standard):
        metrics = support.create_metrics("CloudCafe/Lambda", service, "dev")
        # A second flush has the same dimensions, and nothing of the first.
        for added in (values_added, values_added[:1]):
            for name, value in added:
                metrics.add_metric(name, METRICS[name][0], value)
            with contextlib.redirect_stdout(io.StringIO()) as output:
                metrics.flush_metrics()
            document = json.loads(output.getvalue())
            stamp = document["_aws"]["Timestamp"]
            assert datetime.now(UTC) - datetime.fromtimestamp(stamp / 1000, UTC) < timedelta(hours=1)
            lines.append(output.getvalue().replace(str(stamp), "now"))
    assert lines[:2] == lines[2:]


class Writes(io.StringIO):
    """Keeps each write apart, and lets another thread in before it."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[str] = []

    def write(self, text: str) -> int:
        time.sleep(0)
        self.each.append(text)
        return len(text)


def test_lines_of_many_threads_are_each_one_write(monkeypatch):
    stream = Writes()
    monkeypatch.setattr(sys, "stdout", stream)
    logger = lean.create_logger("service", stream)
    metrics = lean.create_metrics("CloudCafe/Lambda", "payment-processor", "dev")

    def work(name: str) -> None:
        for number in range(50):
            logger.info("completed", extra={"correlation_id": f"{name}-{number}"})
        metrics.add_metric("ProcessedPayments", "Count", 1)
        metrics.flush_metrics()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logged = [line for line in map(json.loads, stream.each) if "_aws" not in line]
    assert len({line["correlation_id"] for line in logged}) == len(logged) == 8 * 50
