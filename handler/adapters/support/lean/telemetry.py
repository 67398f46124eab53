"""Log and metric lines, field by field those that Powertools writes for the same calls.

The rule it keeps: one line is one write, so that threads which share the stream never mix theirs.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from json import JSONEncoder, loads
from typing import Any, Final, TextIO

from handler.domain.errors import ConfigurationError

# Of Lambda's own setting, which stands above the others ("Configuring advanced logging controls").
_LEVELS: Final = {
    "TRACE": "NOTSET",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARN": "WARNING",
    "ERROR": "ERROR",
    "FATAL": "CRITICAL",
}
# Attributes of a record that are no field of their line; what else it has was handed over as `extra`.
_RECORD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"asctime", "level", "location", "timestamp"}
# What Powertools takes for a switch's position, in any case of letters.
_ON: Final = ("1", "y", "yes", "t", "true", "on")
_OFF: Final = ("0", "n", "no", "f", "false", "off")
_blob = JSONEncoder(separators=(",", ":")).encode


def create_logger(service: str, stream: TextIO | None = None) -> logging.Logger:
    """A logger of JSON lines with `service` in each, on `stream`, else standard output.

    Raises ConfigurationError for a level, a sampling rate or a switch that is none.
    """
    # Not of logging's tree: no root handler prints a line again, and each has the stream that it was made with.
    logger = logging.Logger(service)
    variable = next((name for name in ("POWERTOOLS_LOG_LEVEL", "LOG_LEVEL") if os.environ.get(name)), "")
    level = _LEVELS.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")) or os.environ.get(variable, "INFO").upper()
    try:
        logger.setLevel(level)
    except ValueError as error:
        raise ConfigurationError(variable, level, "a level of Python's logging, such as INFO") from error
    rate = os.environ.get("POWERTOOLS_LOGGER_SAMPLE_RATE")
    if rate and _is_sampled(rate):
        logger.setLevel(logging.DEBUG)
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_Lines(service, rate, indent=4 if _is_on("POWERTOOLS_DEV") else None))
    logger.addHandler(handler)
    return logger


def create_metrics(namespace: str, service: str, environment: str) -> EmbeddedMetrics:
    """Metrics in CloudWatch's embedded metric format, one line on standard output a flush.

    Their dimensions are `environment` and `service`, which is none where it is empty. Raises ConfigurationError for a
    switch that is none.
    """
    # On a developer's machine they are off unless they are said to be on.
    is_off = _is_on("POWERTOOLS_METRICS_DISABLED", default=_is_on("POWERTOOLS_DEV"))
    dimensions = {"environment": environment, **({"service": service} if service else {})}
    return EmbeddedMetrics(namespace, dimensions, is_off=is_off)


def _is_on(variable: str, *, default: bool = False) -> bool:
    said = os.environ.get(variable)
    if said is None:
        return default
    if said.lower() not in _ON + _OFF:
        raise ConfigurationError(variable, said, "true or false")
    return said.lower() in _ON


def _is_sampled(rate: str) -> bool:
    """Whether this environment logs from DEBUG on: decided once, in init, as Powertools does."""
    import random

    try:
        return random.random() <= float(rate)
    except ValueError as error:
        raise ConfigurationError("POWERTOOLS_LOGGER_SAMPLE_RATE", rate, "a share from 0 to 1") from error


class _Lines(logging.Formatter):
    """A record as a line of JSON. What JSON cannot say is its str(); a field without a value is left out.

    Whatever else goes wrong is logging's own to report on standard error, and stops no payment.
    """

    def __init__(self, service: str, sampling_rate: str | None, indent: int | None) -> None:
        super().__init__()
        self._line = JSONEncoder(default=str, separators=(",", ":"), ensure_ascii=False, indent=indent).encode
        self._service = service
        self._sampling_rate = sampling_rate

    def format(self, record: logging.LogRecord) -> str:
        now = time.strftime(f"%Y-%m-%d %H:%M:%S,{int(record.msecs):03d}%z", time.localtime(record.created))
        line: dict[str, Any] = {
            "level": record.levelname,
            "location": f"{record.funcName}:{record.lineno}",
            "message": None,
            "timestamp": now,
            "service": self._service,
            "sampling_rate": self._sampling_rate,
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _RECORD}
        line["message"] = _message(record)
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            line.setdefault("exception", self.formatException(record.exc_info))
            line.setdefault("exception_name", kind.__name__)
            line.setdefault("exception_notes", getattr(error, "__notes__", None))
            line["stack_trace"] = {
                "type": kind.__name__,
                "value": error,
                "module": type(error).__module__,
                "frames": [
                    {"file": frame.filename, "line": frame.lineno, "function": frame.name, "statement": frame.line}
                    for frame in traceback.extract_tb(trace)
                ],
            }
        else:
            line["stack_trace"] = None
        trace_id = os.environ.get("_X_AMZN_TRACE_ID", "")
        line["xray_trace_id"] = trace_id.split(";")[0].replace("Root=", "") if trace_id else None
        return self._line({name: value for name, value in line.items() if value is not None})


def _message(record: logging.LogRecord) -> Any:
    """A text that is JSON is written as what it says, but for one that was put together of arguments."""
    if isinstance(record.msg, dict):
        return record.msg
    if record.args:
        return record.getMessage()
    if isinstance(record.msg, str):
        try:
            return loads(record.msg)
        except ValueError:
            pass
    return record.msg


class EmbeddedMetrics:
    """The metrics of one line: `add_metric` for each, then `flush_metrics`."""

    def __init__(self, namespace: str, dimensions: dict[str, str], *, is_off: bool) -> None:
        self._is_off = is_off
        self._namespace = namespace
        self._dimensions = dimensions
        self._metrics: dict[str, tuple[str, list[float]]] = {}

    def add_metric(self, name: str, unit: str, value: float) -> None:
        """`unit` is CloudWatch's word; several values of one name are one metric with all of them."""
        _, values = self._metrics.get(name, (unit, []))
        self._metrics[name] = (unit, [*values, float(value)])

    def flush_metrics(self) -> None:
        metrics, self._metrics = self._metrics, {}
        if self._is_off:
            return
        described = [{"Name": name, "Unit": unit} for name, (unit, _) in metrics.items()]
        document = {
            "_aws": {
                "Timestamp": int(time.time() * 1000),
                "CloudWatchMetrics": [
                    {"Namespace": self._namespace, "Dimensions": [list(self._dimensions)], "Metrics": described}
                ],
            },
            **self._dimensions,
            **{name: values for name, (_, values) in metrics.items()},
        }
        sys.stdout.write(_blob(document) + "\n")
