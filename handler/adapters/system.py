"""The machine itself: the clock, fresh ids, and alarms as log lines that a metric filter or a person finds."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from handler.domain.item import Item
from handler.domain.typed import Protocol

_LOG = logging.getLogger(__name__)


class AnyLogger(Protocol):
    """What the standard library's logger and Powertools' have in common."""

    def info(self, msg: object, *args: object, extra: Any = None) -> None: ...

    def warning(self, msg: object, *args: object, extra: Any = None) -> None: ...

    def error(self, msg: object, *args: object, extra: Any = None) -> None: ...

    def exception(self, msg: object, *args: object, extra: Any = None) -> None: ...


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class RandomIds:
    def new_id(self) -> str:
        # A random UUID (RFC 9562, version 4), in whose shape nothing is taken for a card number. For `uuid` imports
        # `platform` before 3.12, 3 CPU-ms of init.
        drawn = bytearray(os.urandom(16))
        drawn[6] = drawn[6] & 0x0F | 0x40
        drawn[8] = drawn[8] & 0x3F | 0x80
        digits = drawn.hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class LoggingNotifier:
    """Alarms become ERROR lines; the logger is the function's structured one."""

    def __init__(self, logger: AnyLogger) -> None:
        self._logger = logger

    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        self._logger.error(detail, extra={"alarm": reason_code, "transaction_id": transaction_id})


class RecordedApprovals:
    """`ApprovalStarter` where no workflow is deployed: the pending item itself is the record, for a person to find."""

    def start(self, item: Item, request: str) -> None:
        _LOG.warning("%s is pending_approval and waits: no workflow is deployed", item.transaction_id)
