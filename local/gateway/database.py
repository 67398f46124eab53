"""The payment gateway simulator's one sqlite file, and the sequence of numbers that requests and captures share.

The rule: whoever was at work when a process died committed nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, call TEXT NOT NULL, payment_id TEXT NOT NULL, ref TEXT NOT NULL,
    idempotency_key TEXT, body_sha256 TEXT NOT NULL, fault TEXT, status_code INTEGER,
    replayed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS requests_of_payment ON requests (payment_id, call);
CREATE TABLE IF NOT EXISTS captures (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, ref TEXT NOT NULL, payment_id TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, idempotency_key TEXT, authorization_code TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS intents (
    ref TEXT PRIMARY KEY, payment_id TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    status TEXT NOT NULL, decline_code TEXT, authorization_code TEXT, created_ms INTEGER NOT NULL,
    settled_ms INTEGER, settled_seq INTEGER
);
CREATE INDEX IF NOT EXISTS intents_of_payment ON intents (payment_id);
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, created_ms INTEGER NOT NULL, status_code INTEGER, body TEXT
);
CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys (created_ms);
CREATE TABLE IF NOT EXISTS details (ref TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, refund_ref TEXT NOT NULL, ref TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS disputes (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, dispute_ref TEXT NOT NULL, ref TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS later_states (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, of TEXT NOT NULL, status TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS refunds_of_intent ON refunds (ref);
CREATE INDEX IF NOT EXISTS disputes_of_intent ON disputes (ref);
CREATE INDEX IF NOT EXISTS later_states_of ON later_states (of);
CREATE TABLE IF NOT EXISTS calls_above_the_limit (at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ordered_faults (
    id INTEGER PRIMARY KEY, payment_id TEXT NOT NULL, call TEXT NOT NULL, fault TEXT NOT NULL,
    seconds REAL NOT NULL, times_left INTEGER NOT NULL
);
"""
_LOGGED = ("requests", "captures", "refunds", "disputes")


class Database:
    """One connection for all threads: read under `lock`, write in a `transaction`, which holds it."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self.execute = self._connection.execute
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)
        with self.transaction():
            # Whoever was at work when an earlier process died committed nothing: effect and answer go together.
            self.execute("DELETE FROM idempotency_keys WHERE status_code IS NULL")
            self.execute("UPDATE intents SET status = 'requires_confirmation' WHERE status = 'processing'")
            numbered = {**dict.fromkeys(_LOGGED, "seq"), "later_states": "seq", "intents": "settled_seq"}
            found = (self.execute(f"SELECT max({seq}) FROM {table}").fetchone() for table, seq in numbered.items())
            self._seq = max(number or 0 for (number,) in found)

    def close(self) -> None:
        """A call that comes later, or was under way, ends with its connection: ConnectionAbortedError."""
        with self.lock:
            self._connection.close()
            self.execute = _closed

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.lock:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    def log(self, after: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Requests, captures, refunds and disputes with sequence numbers above `after`."""
        with self.lock:
            return {
                name: [dict(row) for row in self.execute(f"SELECT * FROM {name} WHERE seq > ? ORDER BY seq", (after,))]
                for name in _LOGGED
            }


def _closed(*_: object) -> NoReturn:
    raise ConnectionAbortedError("the gateway has stopped")
