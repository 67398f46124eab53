"""What the payment gateway simulator does: prepare, charge, status and search, once for each idempotency key.

The rule: effect and stored answer are one transaction.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.gateway.database import Database
from local.gateway.fault_plan import CALLS, FAULTS, Fault, FaultPlan
from local.gateway.messages import Answer, RefusedError, Request, error, read_object

# What sqlite holds.
INTEGER_MAX = 2**63 - 1


class Gateway:
    """Payments, keys, log and faults in one sqlite file; every public method is safe to call from any thread.

    clock: milliseconds since the epoch; it decides the expiry of keys and the lag of the search, so tests own both.
    """

    def __init__(
        self,
        database: Path,
        *,
        seed: int = 1,
        rates: Mapping[str, float] | None = None,
        key_lifetime_seconds: float = 86_400.0,
        search_lag_seconds: float = 2.0,
        delay_seconds: float = 1.0,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._seed = seed
        self._plan = FaultPlan(seed, rates or {})
        self._key_lifetime_ms = round(1000 * key_lifetime_seconds)
        self._search_lag_ms = round(1000 * search_lag_seconds)
        self._delay_seconds = delay_seconds
        self._clock = clock
        self._released = threading.Event()
        self._db = Database(database)

    def close(self) -> None:
        self.release()
        self._db.close()

    def begin(self, call: str, *, ref: str, payment_id: str, key: str | None, target: str, body: bytes) -> Request:
        """Log a request and draw its fault. Raises RefusedError where the body is no JSON object."""
        with self._db.transaction():
            if ref and not payment_id:
                row = self._intent(ref)
                payment_id = row["payment_id"] if row else ""
            document = read_object(body)
            if call == "prepare" and isinstance(document, dict):
                metadata = document.get("metadata")
                payment_id = str(metadata.get("payment_id", "")) if isinstance(metadata, dict) else ""
            fault = self._next_fault(payment_id, call)
            digest = hashlib.sha256(body).hexdigest()
            seq = self._db.next_seq()
            self._db.execute(
                "INSERT INTO requests (seq, at_ms, call, payment_id, ref, idempotency_key, body_sha256, fault)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (seq, self._clock(), call, payment_id, ref, key, digest, fault.kind if fault else None),
            )
            fingerprint = hashlib.sha256(f"{target}\n{digest}".encode()).hexdigest()
            return Request(seq, call, payment_id, ref, key, fingerprint, document or {}, fault)

    def answered(self, request: Request, answer: Answer) -> None:
        """Log that an answer with this status is about to be sent."""
        with self._db.transaction():
            self._db.execute(
                "UPDATE requests SET status_code = ?, replayed = ? WHERE seq = ?",
                (answer.status_code, answer.replayed, request.seq),
            )

    def execute(self, request: Request) -> Answer:
        """Carry a request out once for its key. Effect and stored answer are one transaction."""
        if request.fault and request.fault.kind == "delay" and request.call != "charge":
            self._released.wait(request.fault.seconds)
        try:
            if request.call == "status":
                return self._status(request.ref)
            if request.call == "search":
                return self._search(request.payment_id)
            return self._prepare(request) if request.call == "prepare" else self._charge(request)
        except RefusedError as refused:
            return refused.answer

    def order_fault(self, order: Mapping[str, Any]) -> None:
        """Take one fault on demand: {payment_id, call, fault, times = 1, seconds = 1}. Raises RefusedError."""
        call, fault = order.get("call"), order.get("fault")
        if call not in CALLS or fault not in FAULTS or not order.get("payment_id"):
            raise RefusedError(
                400,
                "invalid_fault",
                f"give payment_id, call of {', '.join(CALLS)}, fault of {', '.join(sorted(FAULTS))}",
            )
        try:
            seconds, times = float(order.get("seconds", 1)), int(order.get("times", 1))
        except (TypeError, ValueError, OverflowError) as wrong:
            raise RefusedError(400, "invalid_fault", f"seconds and times are numbers: {wrong}") from wrong
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO ordered_faults (payment_id, call, fault, seconds, times_left) VALUES (?, ?, ?, ?, ?)",
                (str(order["payment_id"]), call, fault, seconds, min(times, INTEGER_MAX)),
            )

    def release(self) -> None:
        """Drop faults not used yet and end the delays that run."""
        with self._db.transaction():
            self._db.execute("DELETE FROM ordered_faults")
        self._released.set()
        self._released = threading.Event()

    def log(self, after: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Requests and captures with sequence numbers above `after`."""
        return self._db.log(after)

    # ---- calls ------------------------------------------------------------------------------------------------

    def _prepare(self, request: Request) -> Answer:
        with self._db.transaction():
            if (stored := self._replay(request)) is not None:
                return stored
            amount, currency = request.body.get("amount"), request.body.get("currency")
            if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= INTEGER_MAX:
                raise RefusedError(400, "parameter_invalid_integer", "amount is a positive integer of minor units")
            if not isinstance(currency, str) or not re.fullmatch("[a-z]{3}", currency):
                raise RefusedError(400, "parameter_invalid", "currency is three lower-case letters")
            if not request.payment_id:
                raise RefusedError(400, "parameter_missing", "metadata.payment_id is missing")
            answer = self._injected_500(request, "error_500_before")
            if answer is None:
                ref = self._new_ref(request.payment_id)
                self._db.execute(
                    "INSERT INTO intents (ref, payment_id, amount, currency, status, created_ms)"
                    " VALUES (?, ?, ?, ?, 'requires_confirmation', ?)",
                    (ref, request.payment_id, amount, currency, self._clock()),
                )
                self._db.execute("UPDATE requests SET ref = ? WHERE seq = ?", (ref, request.seq))
                answer = self._injected_500(request, "error_500_after") or Answer(200, self._object(ref))
            self._store(request, answer)
            return answer

    def _charge(self, request: Request) -> Answer:
        with self._db.transaction():
            if (stored := self._replay(request)) is not None:
                return stored
            intent = self._intent(request.ref)
            if intent is None:
                raise RefusedError(404, "resource_missing", f"no payment intent {request.ref}")
            if intent["status"] == "processing":
                raise RefusedError(409, "lock_timeout", f"{request.ref} is being confirmed by another request")
            if intent["status"] != "requires_confirmation":
                answer = Answer(
                    400,
                    error(
                        "payment_intent_unexpected_state",
                        f"{request.ref} is {intent['status']} and cannot be confirmed again",
                        payment_intent=self._object(request.ref),
                    ),
                )
                self._store(request, answer)
                return answer
            self._db.execute("UPDATE intents SET status = 'processing' WHERE ref = ?", (request.ref,))
            self._hold_key(request)
        if request.fault and request.fault.kind == "delay":
            self._released.wait(request.fault.seconds)
        with self._db.transaction():
            failed = self._injected_500(request, "error_500_before")
            if failed is not None:
                self._db.execute("UPDATE intents SET status = 'requires_confirmation' WHERE ref = ?", (request.ref,))
                self._store(request, failed)
                return failed
            declined = self._plan.declines(request.payment_id)
            if declined or (request.fault is not None and request.fault.kind == "decline"):
                answer = self._decline(request)
            else:
                answer = self._capture(request)
            answer = self._injected_500(request, "error_500_after") or answer
            self._store(request, answer)
            return answer

    def _capture(self, request: Request) -> Answer:
        intent = self._intent(request.ref)
        code = f"AUTH{hashlib.sha256(f'{self._seed}:{request.ref}'.encode()).hexdigest()[:6].upper()}"
        seq, now = self._db.next_seq(), self._clock()
        self._db.execute(
            "INSERT INTO captures (seq, at_ms, ref, payment_id, amount, currency, idempotency_key, authorization_code)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, now, request.ref, request.payment_id, intent["amount"], intent["currency"], request.key, code),
        )
        self._db.execute(
            "UPDATE intents SET status = 'succeeded', authorization_code = ?, settled_ms = ?, settled_seq = ?"
            " WHERE ref = ?",
            (code, now, seq, request.ref),
        )
        return Answer(200, self._object(request.ref))

    def _decline(self, request: Request) -> Answer:
        self._db.execute(
            "UPDATE intents SET status = 'declined', decline_code = 'insufficient_funds', settled_ms = ?,"
            " settled_seq = ? WHERE ref = ?",
            (self._clock(), self._db.next_seq(), request.ref),
        )
        return Answer(
            402,
            error(
                "card_declined",
                "the card was declined",
                decline_code="insufficient_funds",
                payment_intent=self._object(request.ref),
            ),
        )

    def _status(self, ref: str) -> Answer:
        with self._db.lock:
            if self._intent(ref) is None:
                raise RefusedError(404, "resource_missing", f"no payment intent {ref}")
            return Answer(200, self._object(ref))

    def _search(self, payment_id: str) -> Answer:
        """Intents of a payment, without those younger than the lag: never a ground for a decision about money."""
        with self._db.lock:
            rows = self._db.execute(
                "SELECT ref FROM intents WHERE payment_id = ? AND created_ms <= ? ORDER BY created_ms, ref",
                (payment_id, self._clock() - self._search_lag_ms),
            ).fetchall()
            return Answer(200, {"object": "list", "data": [self._object(row["ref"]) for row in rows]})

    # ---- idempotency keys -------------------------------------------------------------------------------------

    def _replay(self, request: Request) -> Answer | None:
        """The answer stored under the request's key, or None if it is to be carried out. Raises RefusedError."""
        if request.key is None:
            return None
        self._db.execute(
            "DELETE FROM idempotency_keys WHERE created_ms <= ? AND status_code IS NOT NULL",
            (self._clock() - self._key_lifetime_ms,),
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

    def _hold_key(self, request: Request) -> None:
        if request.key is not None:
            self._db.execute(
                "INSERT INTO idempotency_keys (key, fingerprint, created_ms) VALUES (?, ?, ?)",
                (request.key, request.fingerprint, self._clock()),
            )

    def _store(self, request: Request, answer: Answer) -> None:
        if request.key is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO idempotency_keys (key, fingerprint, created_ms, status_code, body)"
                " VALUES (?, ?, ?, ?, ?)",
                (request.key, request.fingerprint, self._clock(), answer.status_code, json.dumps(answer.body)),
            )

    # ---- faults, rows -----------------------------------------------------------------------------------------

    def _next_fault(self, payment_id: str, call: str) -> Fault | None:
        row = self._db.execute(
            "SELECT * FROM ordered_faults WHERE payment_id = ? AND call = ? AND times_left > 0 ORDER BY id LIMIT 1",
            (payment_id, call),
        ).fetchone()
        if row is not None:
            self._db.execute("UPDATE ordered_faults SET times_left = times_left - 1 WHERE id = ?", (row["id"],))
            return Fault(row["fault"], row["seconds"])
        (number,) = self._db.execute(
            "SELECT count(*) FROM requests WHERE payment_id = ? AND call = ?", (payment_id, call)
        ).fetchone()
        return self._plan.fault(payment_id, call, number, self._delay_seconds)

    @staticmethod
    def _injected_500(request: Request, kind: str) -> Answer | None:
        if request.fault is None or request.fault.kind != kind:
            return None
        return Answer(500, error("api_error", "an error occurred inside the gateway"))

    def _intent(self, ref: str) -> Any:
        return self._db.execute("SELECT * FROM intents WHERE ref = ?", (ref,)).fetchone()

    def _object(self, ref: str) -> dict[str, Any]:
        row = self._intent(ref)
        at = row["settled_ms"] or row["created_ms"]
        return {
            "id": ref,
            "object": "payment_intent",
            "status": row["status"],
            "amount": row["amount"],
            "currency": row["currency"],
            "metadata": {"payment_id": row["payment_id"]},
            "authorization_code": row["authorization_code"],
            "decline_code": row["decline_code"],
            "timestamp": datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _new_ref(self, payment_id: str) -> str:
        (number,) = self._db.execute("SELECT count(*) FROM intents WHERE payment_id = ?", (payment_id,)).fetchone()
        return "pi_" + hashlib.sha256(f"{self._seed}\x1f{payment_id}\x1f{number}".encode()).hexdigest()[:24]
