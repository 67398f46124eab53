"""Faults between the functions and DynamoDB: a small proxy on loopback that throttles, loses and delays writes.

One rule: it changes when a write arrives and whether, never what it says; what it did stands in `log`.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from local.gateway.fault_plan import draw
from local.loopback import LoopbackHandler, LoopbackServer
from local.traffic import Message

_THROTTLED = {
    "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message": "The level of configured provisioned throughput for the table was exceeded (injected).",
}
# As many answers as botocore asks for before it gives up (handler/composition.py sets 3 attempts).
_ATTEMPTS = 3
# A delayed write that no take-over frees is dropped when the run ends.
_HELD_SECONDS_MAX = 300.0
_PAYMENT_KEY = re.compile(r"txn-([A-Za-z0-9_-]{1,48})(#.*)?")

# What the gateway is told to do to one payment each, beside its seeded rates; a delay outlasts the client's deadline.
# The poison head: its payment's every prepare is answered so, and after the protocol's tries it must be parked.
POISON, POISON_TRIES = "prepare.not_json", 5
GATEWAY_FAULTS = (
    POISON,
    # Stored under their key and replayed for a day, as a gateway does: the payment goes on under its next key.
    "prepare.error_500_before",
    "charge.error_500_before",
    "prepare.error_503",
    "charge.error_503",
    "charge.timeout_before",
    "charge.timeout_after",
    "charge.reset_after",
    "charge.error_500_after",
    "charge.delay",
    "charge.not_json",
    "charge.truncated",
    "charge.wrong_amount",
    "charge.wrong_currency",
    "charge.decline",
)
GATEWAY_RATES = {
    "prepare.error_503": 0.01,
    "charge.error_503": 0.01,
    "charge.timeout_before": 0.01,
    "charge.timeout_after": 0.01,
    "charge.reset_after": 0.01,
    "charge.decline": 0.05,
    "status.error_503": 0.02,
}
# The answer is lost of the first refund of a payment, of which the gateway's event tells.
REFUND_FAULT = "refund.timeout_after"
# Stripe's of a sandbox ("Rate limits"), which four environments on this machine reach.
CALLS_PER_SECOND = 25
THROTTLE_RATE = 0.02
TABLE_FAULTS = ("throttled_claim", "throttled_record", "killed_before_record", "late_record")
# A risky payment's first execution is accepted and never begins, as of an event that Lambda drops.
START_LOST = "start_lost"
FAULTS = (*GATEWAY_FAULTS, *TABLE_FAULTS, START_LOST, REFUND_FAULT)


def plan(messages: Sequence[Message], seed: int) -> dict[str, str]:
    """One payment for each of FAULTS but the refund's, as far as they go round: a risky one, and ordinary ones.

    The costly ones come first, and payments at the head of their groups: what waits behind them must stay behind.
    """
    repeated = {message.original for message in messages}
    approved = [m.payment_id for m in messages if m.decision == "approve" and m.number not in repeated]
    victims = [message for message in messages if message.kind == "ordinary" and message.number not in repeated]
    ahead: dict[str, int] = {}
    for message in messages:
        ahead[message.group] = ahead.get(message.group, 0) + 1
    behind = {message.number: ahead[message.group] for message in victims}
    seen: dict[str, int] = {}
    for message in messages:
        if message.number in behind:
            behind[message.number] -= seen.get(message.group, 0)
        seen[message.group] = seen.get(message.group, 0) + 1
    random.Random(f"faults:{seed}").shuffle(victims)
    victims.sort(key=lambda message: -min(behind[message.number], 4))
    planned = zip((*reversed(TABLE_FAULTS), *GATEWAY_FAULTS), (victim.payment_id for victim in victims), strict=False)
    # The first one: reconcile's patience begins with it.
    return dict(planned) | dict(zip((START_LOST,), approved, strict=False))


@dataclass(frozen=True)
class LateWrite:
    """A record write that arrived after its payment was taken over: `accepted` is what must not be."""

    payment_id: str
    attempt_sent: int
    attempt_then: int
    accepted: bool
    answer: str


class TableFaults:
    """The proxy. `upstream` is `host:port` of the real thing, set before the first request."""

    def __init__(
        self,
        planned: dict[str, str],
        seed: int,
        *,
        kill: Callable[[str], int | None],
        throttle_rate: float = THROTTLE_RATE,
    ) -> None:
        """`planned` maps TABLE_FAULTS to payment ids; `kill` ends the environment that works on a
        payment id and returns its pid, None where there is none.
        """
        self.upstream = ""
        self.late_writes: list[LateWrite] = []
        self._victims = {payment_id: fault for fault, payment_id in planned.items() if fault in TABLE_FAULTS}
        self._struck: dict[str, int] = {}
        self._seed = seed
        self._kill = kill
        self._rate = throttle_rate
        self._calls: dict[str, int] = {}
        self._late: dict[str, tuple[bytes, dict[str, str], int]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = LoopbackServer(_handler(self))
        self._server.start("table-faults")

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def struck(self) -> dict[str, int]:
        """How often each fault happened so far."""
        with self._lock:
            return dict(self._struck)

    def stop(self) -> None:
        self._stopped.set()
        self._server.stop()

    def serve(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        """Answer one call of the DynamoDB API, its headers by their names in lower case; None for no answer at all."""
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        document = document_of(body)
        match = _PAYMENT_KEY.fullmatch(key_of(document))
        if match is None:
            return self._forward(body, headers)
        payment_id = match[1]
        stage = _stage(operation, document)
        fault = self._victims.get(payment_id, "")
        if fault == f"throttled_{stage}" and self._strikes(fault, _ATTEMPTS):
            return self._throttle()
        if stage == "record" and fault == "killed_before_record" and self._kill_once(payment_id):
            return None
        if stage == "record" and fault == "late_record" and self._hold(payment_id, body, headers):
            self._stopped.wait(_HELD_SECONDS_MAX)
            return None
        if self._rate and self._throttled_by_rate(payment_id, operation):
            self._strikes("throttled_by_rate", 1_000_000)
            return self._throttle()
        status, answer = self._forward(body, headers)
        if status == 200 and fault == "late_record" and operation == "UpdateItem":
            self._deliver_late(payment_id, key_of(document), str(document.get("TableName")))
        return status, answer

    def _kill_once(self, payment_id: str) -> bool:
        if self.struck.get("killed_before_record"):
            return False
        return self._kill(payment_id) is not None and self._strikes("killed_before_record", 1)

    def _hold(self, payment_id: str, body: bytes, headers: dict[str, str]) -> bool:
        """Keep the victim's first record write back, and swallow what its sender repeats meanwhile."""
        key = f"txn-{payment_id}"
        item = self._item(key, str(document_of(body).get("TableName")), headers)
        attempt = int(item["attempt"]["N"])
        with self._lock:
            held = self._late.get(payment_id)
            if held is None and self._struck.get("late_record", 0) == 0:
                self._late[payment_id] = (body, headers, attempt)
                self._struck["late_record"] = 1
                return True
            return held is not None and held[2] == attempt

    def _deliver_late(self, payment_id: str, key: str, table: str) -> None:
        """Once another worker has taken the payment over, let the held write arrive, before anything that follows."""
        with self._lock:
            held = self._late.get(payment_id)
        if held is None:
            return
        body, headers, attempt_sent = held
        attempt_then = int(self._item(key, table, headers)["attempt"]["N"])
        if attempt_then == attempt_sent:
            return
        status, answer = self._forward(body, headers)
        kind = "accepted" if status == 200 else str(document_of(answer).get("__type", "")).rpartition("#")[2]
        with self._lock:
            del self._late[payment_id]
            self.late_writes.append(LateWrite(payment_id, attempt_sent, attempt_then, status == 200, kind))

    def _strikes(self, fault: str, times_max: int) -> bool:
        with self._lock:
            self._struck[fault] = self._struck.get(fault, 0) + 1
            if self._struck[fault] <= times_max:
                return True
            self._struck[fault] = times_max
            return False

    def _throttled_by_rate(self, payment_id: str, operation: str) -> bool:
        """By seed, payment and number of the call, so that a run can be repeated."""
        with self._lock:
            number = self._calls.get(payment_id, 0)
            self._calls[payment_id] = number + 1
        return draw(self._seed, payment_id, operation, number, "throttle") < self._rate

    @staticmethod
    def _throttle() -> tuple[int, bytes]:
        return 400, json.dumps(_THROTTLED).encode()

    def _item(self, key: str, table: str, headers: dict[str, str]) -> dict[str, Any]:
        body = json.dumps({"TableName": table, "Key": {"transaction_id": {"S": key}}, "ConsistentRead": True}).encode()
        _, answer = self._forward(body, {**headers, "x-amz-target": "DynamoDB_20120810.GetItem"})
        try:
            item: dict[str, Any] = json.loads(answer)["Item"]
        except (ValueError, LookupError) as error:
            raise ConnectionAbortedError(f"no item in {answer[:200]!r}") from error
        return item

    def _forward(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection(self.upstream, timeout=20)) as connection:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()


def document_of(body: bytes) -> dict[str, Any]:
    """A call's JSON; an empty one where it is something else, which is for the services to refuse."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def key_of(document: dict[str, Any]) -> str:
    """The key of the item that a call is about; empty where it is about none."""
    found: Any = document.get("Item") or document.get("Key")
    for name in ("transaction_id", "S"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _stage(operation: str, document: dict[str, Any]) -> str:
    """`claim` for the first write of an item, `record` for a final state of it, else empty."""
    if operation == "PutItem":
        return "claim"
    values = document.get("ExpressionAttributeValues")
    given = list(values.values()) if isinstance(values, dict) else []
    final = {"S": "completed"} in given or {"S": "declined"} in given
    return "record" if operation == "UpdateItem" and final else ""


def _handler(faults: TableFaults) -> type[LoopbackHandler]:
    class Handler(LoopbackHandler):
        def do_POST(self) -> None:
            body = self.body()
            kept = {
                name.lower(): value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "connection", "content-length", "transfer-encoding")
            }
            try:
                answer = faults.serve(body, kept)
            except (OSError, http.client.HTTPException):
                # The services are going away; so does whoever asked.
                answer = None
            if answer is None:
                self.close_connection = True
                return
            self.reply(*answer, {"Content-Type": "application/x-amz-json-1.0"})

    return Handler
