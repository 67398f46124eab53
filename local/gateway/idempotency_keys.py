"""The idempotency keys of the payment gateway simulator: the first answer of a key is the answer of that key.

The rule: whoever asks is inside a transaction, so that an effect and its stored answer are one.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from local.gateway.database import Database
from local.gateway.messages import Answer, RefusedError, Request


class Keys:
    """lifetime_ms: how long an answer is kept by `clock`, in milliseconds."""

    def __init__(self, database: Database, lifetime_ms: int, clock: Callable[[], int]) -> None:
        self._db = database
        self._lifetime_ms = lifetime_ms
        self._clock = clock

    def replay(self, request: Request) -> Answer | None:
        """The answer stored under the request's key, or None if it is to be carried out. Raises RefusedError."""
        if request.key is None:
            return None
        self._db.execute(
            "DELETE FROM idempotency_keys WHERE created_ms <= ? AND status_code IS NOT NULL",
            (self._clock() - self._lifetime_ms,),
        )
        row = self._db.execute("SELECT * FROM idempotency_keys WHERE key = ?", (request.key,)).fetchone()
        if row is None:
            return None
        if row["fingerprint"] != request.fingerprint:
            raise RefusedError(400, "idempotency_error", f"key {request.key} was used with other parameters")
        if row["status_code"] is None:
            raise RefusedError(409, "idempotency_key_in_use", f"a request with key {request.key} is in flight")
        body = json.loads(row["body"])
        if request.call == "prepare" and "id" in body:
            self._db.execute("UPDATE requests SET ref = ? WHERE seq = ?", (body["id"], request.seq))
        return Answer(row["status_code"], body, replayed=True)

    def hold(self, request: Request) -> None:
        """Take a request's key for the time that it is carried out."""
        if request.key is not None:
            self._db.execute(
                "INSERT INTO idempotency_keys (key, fingerprint, created_ms) VALUES (?, ?, ?)",
                (request.key, request.fingerprint, self._clock()),
            )

    def store(self, request: Request, answer: Answer) -> None:
        """Keep a request's answer, which is then given for as long as the key lives."""
        if request.key is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO idempotency_keys (key, fingerprint, created_ms, status_code, body)"
                " VALUES (?, ?, ?, ?, ?)",
                (request.key, request.fingerprint, self._clock(), answer.status_code, json.dumps(answer.body)),
            )
