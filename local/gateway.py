"""The payment gateway simulator: prepare, charge and status over HTTP in the shape of Stripe's PaymentIntents.

One rule: what was captured, and what was answered under a key, is on disk before the first byte of the answer leaves,
so that the file alone tells the truth whoever dies.

    python -m local.gateway --database FILE [--port 0] [--seed 1] [--rate charge.timeout_after=0.02 ...]

It prints one line, `{"url": ...}`, when it is ready. Requests and captures share one sequence of numbers. Faults come
by rate, drawn from seed, payment id and the number of the call, so that no interleaving changes what finally becomes
of a payment; or on demand: POST /_faults {payment_id, call, fault, times, seconds}. GET /_log shows what happened.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import signal
import socket
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CALLS = ("prepare", "charge", "status", "search")
# Where in a call a fault strikes. Before: nothing takes effect and nothing is stored under the key.
BEFORE = frozenset({"error_503", "timeout_before", "reset_before"})
# Inside: part of the execution; the answer, a 500 included, is stored under the key and replayed.
INSIDE = frozenset({"delay", "decline", "error_500_before", "error_500_after"})
# After: the effect stands and the stored answer is right, but what the client sees of it is not.
AFTER = frozenset(
    {"timeout_after", "reset_after", "not_json", "truncated", "wrong_amount", "wrong_currency", "error_502_after"}
)
FAULTS = BEFORE | INSIDE | AFTER

# A client that waits longer than this for a held answer has no deadline at all.
_HOLD_SECONDS_MAX = 120.0
_INTENT_PATH = re.compile(r"/v1/payment_intents/(pi_[0-9a-f]{24})(/confirm)?")

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
CREATE TABLE IF NOT EXISTS ordered_faults (
    id INTEGER PRIMARY KEY, payment_id TEXT NOT NULL, call TEXT NOT NULL, fault TEXT NOT NULL,
    seconds REAL NOT NULL, times_left INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class Fault:
    """One fault of one call; `seconds` is the length of a delay."""

    kind: str
    seconds: float = 1.0


@dataclass(frozen=True)
class Answer:
    """An HTTP status and its JSON body, and whether it was stored earlier under the same key."""

    status_code: int
    body: dict[str, Any]
    replayed: bool = False


@dataclass(frozen=True)
class Request:
    """One request as logged: `seq` is its global sequence number, `ref` is empty before there is one."""

    seq: int
    call: str
    payment_id: str
    ref: str
    key: str | None
    fingerprint: str
    body: dict[str, Any]
    fault: Fault | None


class RefusedError(Exception):
    """A request refused before its execution began: nothing took effect and nothing is stored under its key."""

    def __init__(self, status_code: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status_code, error(code, message))


def error(code: str, message: str, **more: object) -> dict[str, Any]:
    """An error body as Stripe writes it."""
    kind = {"card_declined": "card_error", "idempotency_error": "idempotency_error", "api_error": "api_error"}
    return {"error": {"type": kind.get(code, "invalid_request_error"), "code": code, "message": message, **more}}


def draw(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class FaultPlan:
    """Which fault strikes the n-th call of a payment, by rate.

    rates: `<call>.<fault>` -> probability; `charge.decline` decides once for a payment, all others anew at each call.
    """

    def __init__(self, seed: int, rates: Mapping[str, float]) -> None:
        self._seed = seed
        self._decline = rates.get("charge.decline", 0.0)
        self._rates: dict[str, list[tuple[str, float]]] = {call: [] for call in CALLS}
        for name, rate in sorted(rates.items()):
            call, _, fault = name.partition(".")
            if call not in CALLS or fault not in FAULTS or not 0 <= rate <= 1:
                raise ValueError(
                    f"rate {name}={rate}: name a call ({', '.join(CALLS)}), a fault ({', '.join(sorted(FAULTS))}) "
                    "and a probability from 0 to 1, as in charge.timeout_after=0.02"
                )
            if fault != "decline":
                self._rates[call].append((fault, rate))

    def declines(self, payment_id: str) -> bool:
        return draw(self._seed, payment_id, "decline") < self._decline

    def fault(self, payment_id: str, call: str, number: int, delay_seconds: float) -> Fault | None:
        """The fault of this payment's call `number` (from 0), or None."""
        value = draw(self._seed, payment_id, call, number)
        for kind, rate in self._rates[call]:
            if value < rate:
                return Fault(kind, delay_seconds)
            value -= rate
        return None


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
        self._lock = threading.RLock()
        self._db = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        with self._transaction():
            # Whoever was at work when an earlier process died committed nothing: effect and answer go together.
            self._db.execute("DELETE FROM idempotency_keys WHERE status_code IS NULL")
            self._db.execute("UPDATE intents SET status = 'requires_confirmation' WHERE status = 'processing'")
            (self._seq,) = self._db.execute(
                "SELECT max((SELECT coalesce(max(seq), 0) FROM requests), (SELECT coalesce(max(seq), 0) FROM captures),"
                " (SELECT coalesce(max(settled_seq), 0) FROM intents))"
            ).fetchone()

    def close(self) -> None:
        self.release()
        with self._lock:
            self._db.close()

    def begin(self, call: str, *, ref: str, payment_id: str, key: str | None, target: str, body: bytes) -> Request:
        """Log a request and draw its fault. Raises RefusedError where the body is no JSON object."""
        with self._transaction():
            if ref and not payment_id:
                row = self._intent(ref)
                payment_id = row["payment_id"] if row else ""
            document = _read_object(body)
            if call == "prepare" and isinstance(document, dict):
                metadata = document.get("metadata")
                payment_id = str(metadata.get("payment_id", "")) if isinstance(metadata, dict) else ""
            fault = self._next_fault(payment_id, call)
            digest = hashlib.sha256(body).hexdigest()
            seq = self._next_seq()
            self._db.execute(
                "INSERT INTO requests (seq, at_ms, call, payment_id, ref, idempotency_key, body_sha256, fault)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (seq, self._clock(), call, payment_id, ref, key, digest, fault.kind if fault else None),
            )
            fingerprint = hashlib.sha256(f"{target}\n{digest}".encode()).hexdigest()
            return Request(seq, call, payment_id, ref, key, fingerprint, document or {}, fault)

    def answered(self, request: Request, answer: Answer) -> None:
        """Log that an answer with this status is about to be sent."""
        with self._transaction():
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
        with self._transaction():
            self._db.execute(
                "INSERT INTO ordered_faults (payment_id, call, fault, seconds, times_left) VALUES (?, ?, ?, ?, ?)",
                (str(order["payment_id"]), call, fault, float(order.get("seconds", 1)), int(order.get("times", 1))),
            )

    def release(self) -> None:
        """Drop faults not used yet and end the delays that run."""
        with self._transaction():
            self._db.execute("DELETE FROM ordered_faults")
        self._released.set()
        self._released = threading.Event()

    def log(self, after: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Requests and captures with sequence numbers above `after`."""
        with self._lock:
            return {
                name: [
                    dict(row) for row in self._db.execute(f"SELECT * FROM {name} WHERE seq > ? ORDER BY seq", (after,))
                ]
                for name in ("requests", "captures")
            }

    # ---- calls ------------------------------------------------------------------------------------------------

    def _prepare(self, request: Request) -> Answer:
        with self._transaction():
            if (stored := self._replay(request)) is not None:
                return stored
            amount, currency = request.body.get("amount"), request.body.get("currency")
            if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
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
        with self._transaction():
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
        with self._transaction():
            answer = self._injected_500(request, "error_500_before")
            if answer is None:
                declined = self._plan.declines(request.payment_id)
                if declined or (request.fault is not None and request.fault.kind == "decline"):
                    answer = self._decline(request)
                else:
                    answer = self._capture(request)
                answer = self._injected_500(request, "error_500_after") or answer
            else:
                self._db.execute("UPDATE intents SET status = 'requires_confirmation' WHERE ref = ?", (request.ref,))
            self._store(request, answer)
            return answer

    def _capture(self, request: Request) -> Answer:
        intent = self._intent(request.ref)
        code = f"AUTH{hashlib.sha256(f'{self._seed}:{request.ref}'.encode()).hexdigest()[:6].upper()}"
        seq, now = self._next_seq(), self._clock()
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
            (self._clock(), self._next_seq(), request.ref),
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
        with self._lock:
            if self._intent(ref) is None:
                raise RefusedError(404, "resource_missing", f"no payment intent {ref}")
            return Answer(200, self._object(ref))

    def _search(self, payment_id: str) -> Answer:
        """Intents of a payment, without those younger than the lag: never a ground for a decision about money."""
        with self._lock:
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

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _read_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


class LoopbackServer(ThreadingHTTPServer):
    """One thread a connection, on 127.0.0.1 only; `port` 0 takes any free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that give up or are killed are what these servers are for; anything else is a fault in them.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class GatewayServer(LoopbackServer):
    """The gateway over HTTP."""

    def __init__(self, gateway: Gateway, port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.gateway = gateway


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Whole answers at once: with Nagle's algorithm a warm call would wait 40 ms for the client's delayed ACK.
    disable_nagle_algorithm = True
    server: GatewayServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/_log":
            self._send(Answer(200, self.server.gateway.log(int(query.get("after", ["0"])[0]))))
        elif match := _INTENT_PATH.fullmatch(url.path):
            self._serve("status", ref=match[1])
        elif url.path == "/v1/payment_intents" and "payment_id" in query:
            self._serve("search", payment_id=query["payment_id"][0])
        else:
            self._unknown()

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if path == "/_faults":
            try:
                self.server.gateway.order_fault(_read_object(self._body()) or {})
                self._send(Answer(200, {}))
            except RefusedError as refused:
                self._send(refused.answer)
        elif path == "/v1/payment_intents":
            self._serve("prepare")
        elif (match := _INTENT_PATH.fullmatch(path)) and match[2]:
            self._serve("charge", ref=match[1])
        else:
            self._unknown()

    def do_DELETE(self) -> None:
        if urlsplit(self.path).path == "/_faults":
            self.server.gateway.release()
            self._send(Answer(200, {}))
        else:
            self._unknown()

    def log_message(self, format: str, *args: object) -> None:
        """The log is a table in the file."""

    def _serve(self, call: str, *, ref: str = "", payment_id: str = "") -> None:
        gateway = self.server.gateway
        request = gateway.begin(
            call,
            ref=ref,
            payment_id=payment_id,
            key=self.headers.get("Idempotency-Key"),
            target=f"{self.command} {self.path}",
            body=self._body(),
        )
        fault = request.fault.kind if request.fault else ""
        if fault == "error_503":
            answer = Answer(503, error("api_error", "the gateway takes no requests at the moment"))
        elif fault in ("timeout_before", "reset_before"):
            return self._vanish(fault)
        else:
            answer = gateway.execute(request)
        if fault in ("timeout_after", "reset_after"):
            return self._vanish(fault)
        if fault == "error_502_after":
            answer = Answer(502, error("api_error", "bad gateway"))
        gateway.answered(request, answer)
        self._send(answer, fault)
        return None

    def _send(self, answer: Answer, fault: str = "") -> None:
        body = dict(answer.body)
        intent = body.get("error", {}).get("payment_intent", body)
        if fault == "wrong_amount" and "amount" in intent:
            intent["amount"] += 1
        if fault == "wrong_currency" and "currency" in intent:
            intent["currency"] = "xts"
        payload = b"<html><body>upstream error</body></html>" if fault == "not_json" else json.dumps(body).encode()
        replayed = "Idempotent-Replayed: true\r\n" if answer.replayed else ""
        head = (
            f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n{replayed}\r\n"
        ).encode()
        if fault == "truncated":
            payload = payload[: len(payload) // 2]
            self.close_connection = True
        self.wfile.write(head + payload)

    def _vanish(self, fault: str) -> None:
        """Give no answer: hold it until the client hangs up, or reset the connection."""
        self.close_connection = True
        if fault.startswith("timeout"):
            self.connection.settimeout(_HOLD_SECONDS_MAX)
            self.connection.recv(1)
            return
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The reader holds the descriptor open; without this the client would see an orderly end.
        self.rfile.close()
        self.connection.close()

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _unknown(self) -> None:
        self._body()
        self._send(Answer(404, error("resource_missing", f"no such address: {self.command} {self.path}")))


def _rate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.gateway", description="Payment gateway simulator.")
    parser.add_argument("--database", type=Path, required=True, help="sqlite file; an existing one is carried on")
    parser.add_argument("--port", type=int, default=0, help="0 to 65535, 0: any free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=_rate, action="append", default=[], metavar="CALL.FAULT=PROBABILITY")
    parser.add_argument("--key-lifetime-seconds", type=float, default=86_400.0)
    parser.add_argument("--search-lag-seconds", type=float, default=2.0)
    parser.add_argument("--delay-seconds", type=float, default=1.0, help="length of a delay that comes by rate")
    options = parser.parse_args(arguments)
    try:
        gateway = Gateway(
            options.database,
            seed=options.seed,
            rates=dict(options.rate),
            key_lifetime_seconds=options.key_lifetime_seconds,
            search_lag_seconds=options.search_lag_seconds,
            delay_seconds=options.delay_seconds,
        )
        server = GatewayServer(gateway, options.port)
    except (ValueError, OverflowError, OSError, sqlite3.Error) as failure:
        print(f"the gateway cannot start on port {options.port} with {options.database}: {failure}", file=sys.stderr)
        return 2
    stop = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread starts, as a thread inherits its mask: only the wait below may take them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    threading.Thread(target=server.serve_forever, name="gateway", daemon=True).start()
    print(json.dumps({"url": server.url}), flush=True)
    signal.sigwait(stop)
    server.shutdown()
    gateway.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
