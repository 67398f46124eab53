"""What is forgotten: personal data of payments that ended long ago, and the text of conflicts that came long ago.

Protocol, "Retention". The rule it keeps: what protects against charging twice stays: key, hash, amounts and reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from handler.domain.approval.ports import Decisions
from handler.domain.claim import Work
from handler.domain.errors import RetryableError
from handler.domain.item import Item, timestamp
from handler.domain.ports import Notifier
from handler.domain.process import alarmed
from handler.domain.reconcile import in_turn
from handler.domain.states import CONFLICT, ENDED
from handler.domain.times import Times
from handler.domain.typed import NamedTuple

DAY_MS: Final = 24 * 60 * 60 * 1000


class Forgotten(NamedTuple):
    """One item that was due; `detail` is the reason code of why it was not forgotten, and the next run tries again."""

    transaction_id: str
    detail: str = ""


def forget_due(times: Times, notifier: Notifier, decisions: Decisions, work: Work) -> Iterator[Forgotten]:
    """Forget whatever is due; nothing at all where `decisions` say that all is kept.

    Ends early, without an error, when the invocation has too little time left for another one.
    Raises TransactionLogUnavailableError where what is due cannot be listed.
    """
    if not decisions.retention_ms:
        return
    now_ms = decisions.clock.now_ms()
    # Nothing ends before it was claimed.
    before = now_ms - decisions.retention_ms
    found = [key for name in (ENDED, CONFLICT) for key in decisions.log.indexed_before(name, before=before)]
    for key in in_turn(found, now_ms):
        if work.remaining_ms() < times.least_remaining_ms:
            return
        try:
            with alarmed(notifier):
                item = decisions.log.get(key)
                if item is not None and _forget(item, before, decisions):
                    yield Forgotten(key)
        except RetryableError as error:
            yield Forgotten(key, error.reason_code)


def _forget(item: Item, before: int, decisions: Decisions) -> bool:
    """Whether it was due, and this write forgot it."""
    log, now_ms = decisions.log, decisions.clock.now_ms()
    if item.status == CONFLICT:
        return log.forget_conflict(item.transaction_id, before=before, now=now_ms) is None
    # As texts: of one form and length, they are in the order of their times.
    if item.final_status is None or item.processed_at >= timestamp(before):
        return False
    return log.forget_person(item.transaction_id, before=before, now=now_ms) is None
