"""What the payment gateway simulator does with payments, once for each idempotency key.

The rule: effect and stored answer are one transaction.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from local.gateway import stripe_dialect
from local.gateway.after_charge import AfterCharge
from local.gateway.database import Database
from local.gateway.fault_plan import CALLS, FAULTS, Fault, FaultPlan
from local.gateway.idempotency_keys import Keys
from local.gateway.messages import Answer, RefusedError, Request, error, injected_500

# The one that it takes where nobody says others.
API_KEY = "sk_test_simulator"


class Gateway:
    """Payments, keys, log and faults in one sqlite file; every public method is safe to call from any thread.

    clock: milliseconds since the epoch; it decides the expiry of keys and the lag of the search, so tests own both.
    api_keys: the keys that it takes and the account of each; an account that begins with "live" has no test mode.
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
        api_keys: Mapping[str, str] | None = None,
    ) -> None:
        self.api_keys = dict(api_keys or {API_KEY: "test"})
        self._seed = seed
        self._plan = FaultPlan(seed, rates or {})
        self._search_lag_ms = round(1000 * search_lag_seconds)
        self._delay_seconds = delay_seconds
        self._clock = clock
        self._released = threading.Event()
        self._db = Database(database)
        self._keys = Keys(self._db, round(1000 * key_lifetime_seconds), clock)
        self._after = AfterCharge(
            self._db,
            self._keys,
            seed,
            clock,
            intent_of=self._object,
            account_of=lambda ref: str(self._details(ref).get("account")),
        )

    def close(self) -> None:
        self.release()
        self._db.close()

    def begin(
        self,
        call: str,
        *,
        ref: str,
        payment_id: str,
        key: str | None,
        target: str,
        body: bytes,
        account: str,
    ) -> Request:
        """Log a request and draw its fault. Raises RefusedError for a body that cannot be read."""
        document = stripe_dialect.read_form(body)
        with self._db.transaction():
            if call == "refund":
                ref = str(document.get("payment_intent", ""))
            if ref and not payment_id:
                row = self._intent(ref)
                payment_id = row["payment_id"] if row else ""
            if call == "prepare":
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
            return Request(seq, call, payment_id, ref, key, fingerprint, document, fault, account)

    def above_the_limit(self) -> Answer:
        """The answer to a call too many, of which nothing is read; it is counted in the file."""
        with self._db.transaction():
            self._db.execute("INSERT INTO calls_above_the_limit (at_ms) VALUES (?)", (self._clock(),))
        return Answer(429, error("rate_limit", "too many calls a second"))

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
            if request.ref:
                self._require_own(request)
            if request.call == "status":
                return Answer(200, self._object(request.ref))
            if request.call == "search":
                return self._search(request)
            carry_out = {
                "prepare": self._prepare,
                "charge": self._charge,
                "cancel": self._cancel,
                "refund": self._refund,
                "charges": self._after.listed,
                "refunds": self._after.listed,
                "disputes": self._after.listed,
            }
            return carry_out[request.call](request)
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
                (str(order["payment_id"]), call, fault, seconds, min(times, stripe_dialect.INTEGER_MAX)),
            )

    def in_dashboard(self, kind: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """Make or change one of `kind` (refunds, disputes) as a person does, by payment_id. Raises RefusedError."""
        with self._db.lock:
            row = self._db.execute(
                "SELECT * FROM intents WHERE payment_id = ? AND status = 'succeeded'", (str(order.get("payment_id")),)
            ).fetchone()
            intent = row and {**row, "livemode": self._object(row["ref"])["livemode"]}
            return self._after.in_dashboard(kind, order, intent)

    def release(self) -> None:
        """Drop faults not used yet, end the delays that run, and capture what was pending."""
        with self._db.transaction():
            self._db.execute("DELETE FROM ordered_faults")
            for row in self._db.execute("SELECT ref, payment_id FROM intents WHERE status = 'pending'").fetchall():
                self._capture(row["ref"], row["payment_id"], None)
        self._released.set()
        self._released = threading.Event()

    def log(self, after: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Requests, captures, refunds and disputes with sequence numbers above `after`."""
        return self._db.log(after)

    # ---- calls ------------------------------------------------------------------------------------------------

    def _prepare(self, request: Request) -> Answer:
        with self._db.transaction():
            if (stored := self._keys.replay(request)) is not None:
                return stored
            prepared = stripe_dialect.prepared(request.body, request.account)
            if not request.payment_id:
                raise RefusedError(400, "parameter_missing", "metadata.payment_id is missing")
            answer = injected_500(request, "error_500_before")
            if answer is None:
                ref = self._new_ref(request.payment_id)
                self._db.execute(
                    "INSERT INTO intents (ref, payment_id, amount, currency, status, created_ms)"
                    " VALUES (?, ?, ?, ?, 'requires_confirmation', ?)",
                    (ref, request.payment_id, prepared.amount, prepared.currency, self._clock()),
                )
                self._keep_details(ref, prepared.details)
                self._db.execute("UPDATE requests SET ref = ? WHERE seq = ?", (ref, request.seq))
                confirmed = request.body.get("confirm") == "true"
                answer = self._confirm(replace(request, ref=ref)) if confirmed else Answer(200, self._object(ref))
                answer = injected_500(request, "error_500_after") or answer
            self._keys.store(request, answer)
            return answer

    def _charge(self, request: Request) -> Answer:
        with self._db.transaction():
            if (stored := self._keys.replay(request)) is not None:
                return stored
            stripe_dialect.check_parameters("charge", request.body)
            unexpected = self._unexpected_state(request, ("requires_confirmation",))
            if unexpected is not None:
                return unexpected
            self._db.execute("UPDATE intents SET status = 'processing' WHERE ref = ?", (request.ref,))
            self._keys.hold(request)
        if request.fault and request.fault.kind == "delay":
            self._released.wait(request.fault.seconds)
        with self._db.transaction():
            failed = injected_500(request, "error_500_before")
            if failed is not None:
                self._db.execute("UPDATE intents SET status = 'requires_confirmation' WHERE ref = ?", (request.ref,))
                self._keys.store(request, failed)
                return failed
            answer = self._confirm(request)
            answer = injected_500(request, "error_500_after") or answer
            self._keys.store(request, answer)
            return answer

    def _confirm(self, request: Request) -> Answer:
        code, decline_code = self._outcome(request)
        if code == "pending":
            self._db.execute("UPDATE intents SET status = 'pending' WHERE ref = ?", (request.ref,))
        elif code:
            return self._decline(request, code, decline_code)
        else:
            self._capture(request.ref, request.payment_id, request.key)
        return Answer(200, self._object(request.ref))

    def _outcome(self, request: Request) -> tuple[str, str]:
        """The code and decline code of a charge: none where it is approved, `pending` where it takes days."""
        fault = request.fault.kind if request.fault else ""
        if fault == "decline" or self._plan.declines(request.payment_id):
            return "card_declined", "insufficient_funds"
        if fault == "authentication_required":
            return "authentication_required", "authentication_required"
        if fault == "pending":
            return stripe_dialect.PENDING
        return stripe_dialect.TOKENS[self._details(request.ref)["payment_method"]]

    def _capture(self, ref: str, payment_id: str, key: str | None) -> None:
        intent = self._intent(ref)
        code = f"AUTH{hashlib.sha256(f'{self._seed}:{ref}'.encode()).hexdigest()[:6].upper()}"
        seq, now = self._db.next_seq(), self._clock()
        self._db.execute(
            "INSERT INTO captures (seq, at_ms, ref, payment_id, amount, currency, idempotency_key, authorization_code)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, now, ref, payment_id, intent["amount"], intent["currency"], key, code),
        )
        self._db.execute(
            "UPDATE intents SET status = 'succeeded', authorization_code = ?, settled_ms = ?, settled_seq = ?"
            " WHERE ref = ?",
            (code, now, seq, ref),
        )

    def _decline(self, request: Request, code: str, decline_code: str) -> Answer:
        self._settle(request.ref, "declined", decline_code)
        failure = stripe_dialect.declined(code, decline_code)
        self._keep_details(request.ref, {**self._details(request.ref), "last_payment_error": failure})
        return Answer(
            402,
            error(code, "the card was declined", decline_code=decline_code, payment_intent=self._object(request.ref)),
        )

    def _cancel(self, request: Request) -> Answer:
        with self._db.transaction():
            if (stored := self._keys.replay(request)) is not None:
                return stored
            stripe_dialect.check_parameters("cancel", request.body)
            unexpected = self._unexpected_state(request, ("requires_confirmation", "declined"))
            if unexpected is not None:
                return unexpected
            answer = injected_500(request, "error_500_before")
            if answer is None:
                self._settle(request.ref, "canceled", self._intent(request.ref)["decline_code"])
                reason = request.body.get("cancellation_reason")
                self._keep_details(request.ref, {**self._details(request.ref), "cancellation_reason": reason})
                answer = injected_500(request, "error_500_after") or Answer(200, self._object(request.ref))
            self._keys.store(request, answer)
            return answer

    def _refund(self, request: Request) -> Answer:
        if not request.ref:
            raise RefusedError(404, "resource_missing", "no such payment intent", param="payment_intent")
        return self._after.refund(request, self._intent(request.ref))

    def _settle(self, ref: str, status: str, decline_code: str | None) -> None:
        self._db.execute(
            "UPDATE intents SET status = ?, decline_code = ?, settled_ms = ?, settled_seq = ? WHERE ref = ?",
            (status, decline_code, self._clock(), self._db.next_seq(), ref),
        )

    def _unexpected_state(self, request: Request, expected: tuple[str, ...]) -> Answer | None:
        """The stored answer for an intent in another state than those. Raises RefusedError while it is confirmed."""
        status = self._intent(request.ref)["status"]
        if status == "processing":
            raise RefusedError(409, "lock_timeout", f"{request.ref} is being confirmed by another request")
        has_instrument = "payment_method" in self._details(request.ref)
        if status in expected and (has_instrument or request.call != "charge"):
            return None
        answer = Answer(
            400,
            error(
                "payment_intent_unexpected_state",
                f"{request.ref} is {status} and allows no {request.call}",
                payment_intent=self._object(request.ref),
            ),
        )
        self._keys.store(request, answer)
        return answer

    def _require_own(self, request: Request) -> None:
        """Raise RefusedError for an intent that there is not, or that another account made."""
        with self._db.lock:
            if self._details(request.ref).get("account") != request.account:
                raise RefusedError(404, "resource_missing", f"no payment intent {request.ref}", param="intent")

    def _search(self, request: Request) -> Answer:
        """Intents of a payment, without those younger than the lag, newest first: it knows no difference of case."""
        if not request.payment_id:
            raise RefusedError(400, "parameter_invalid", "only a payment's id is searched for here", param="query")
        limit, environment = str(request.body.get("limit", "10")), str(request.body.get("environment", ""))
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise RefusedError(400, "parameter_invalid_integer", "limit is 1 to 100", param="limit")
        with self._db.lock:
            rows = self._db.execute(
                "SELECT ref FROM intents WHERE payment_id = ? COLLATE NOCASE AND created_ms <= ?"
                " ORDER BY created_ms DESC, ref",
                (request.payment_id, self._clock() - self._search_lag_ms),
            ).fetchall()
            found = [self._object(row["ref"]) for row in rows if self._is_searched(row["ref"], request, environment)]
            page = {"data": found[: int(limit)], "has_more": len(found) > int(limit), "next_page": None}
            return Answer(200, {"object": "search_result", "url": "/v1/payment_intents/search", **page})

    def _is_searched(self, ref: str, request: Request, environment: str) -> bool:
        details = self._details(ref)
        named = details.get("metadata", {}).get("environment", "")
        return details["account"] == request.account and environment.lower() in ("", named.lower())

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

    def _intent(self, ref: str) -> Any:
        return self._db.execute("SELECT * FROM intents WHERE ref = ?", (ref,)).fetchone()

    def _object(self, ref: str) -> dict[str, Any]:
        given_back, is_disputed = self._after.given_back(ref), self._after.is_disputed(ref)
        return stripe_dialect.shown(self._intent(ref), self._details(ref), given_back, is_disputed)

    def _details(self, ref: str) -> dict[str, Any]:
        row = self._db.execute("SELECT document FROM details WHERE ref = ?", (ref,)).fetchone()
        return stripe_dialect.read_document(row["document"] if row else None)

    def _keep_details(self, ref: str, document: Mapping[str, Any]) -> None:
        self._db.execute("INSERT OR REPLACE INTO details (ref, document) VALUES (?, ?)", (ref, json.dumps(document)))

    def _new_ref(self, payment_id: str) -> str:
        (number,) = self._db.execute("SELECT count(*) FROM intents WHERE payment_id = ?", (payment_id,)).fetchone()
        return "pi_" + hashlib.sha256(f"{self._seed}\x1f{payment_id}\x1f{number}".encode()).hexdigest()[:24]
