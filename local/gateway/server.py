"""The payment gateway simulator over HTTP, and what its faults do to an answer on its way.

The rule: an answer is sent after it is on disk, in one piece.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local import threads
from local.gateway.call_rate import CallRate
from local.gateway.messages import Answer, RefusedError, error, read_object
from local.gateway.payments import Gateway
from local.gateway.stripe_dialect import read_form
from local.loopback import LoopbackHandler, LoopbackServer

# A client that waits longer than this for a held answer has no deadline at all.
_HOLD_SECONDS_MAX = 120.0
_INTENT_PATH = re.compile(r"/v1/payment_intents/(pi_[0-9a-f]{1,64})(?:/(confirm|cancel))?")
_LIST_PATH = re.compile("/v1/(charges|refunds|disputes)")
_DASHBOARD_PATH = re.compile("/_(refunds|disputes)")
# Of Stripe's search query language, what finds the intents of a payment, in one environment or all.
_OF_A_PAYMENT = re.compile(
    r"""metadata\[(["'])payment_id\1\]:(["'])([^"']+)\2( AND metadata\[(["'])environment\5\]:(["'])([^"']+)\6)?"""
)
# Who the lists by time are logged as, and a fault of theirs ordered for.
LISTED = "*"
_CALLS = {"confirm": "charge", "cancel": "cancel"}


class GatewayServer(LoopbackServer):
    """The gateway over HTTP; it takes `calls_per_second`, None: any number, and lets each wait `answer_seconds`."""

    def __init__(
        self, gateway: Gateway, port: int = 0, calls_per_second: int | None = None, answer_seconds: float = 0.0
    ) -> None:
        super().__init__(_Handler, port)
        self.gateway = gateway
        self.answer_seconds = answer_seconds
        self.call_rate = CallRate(calls_per_second)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A full disk: nothing was stored, so nothing is answered, and whoever called looks the outcome up.
        if isinstance(error := sys.exception(), sqlite3.OperationalError):
            threads.told(f"the gateway cannot write its file and gave no answer: {error}")
        else:
            super().handle_error(request, client_address)


class _Handler(LoopbackHandler):
    server: GatewayServer
    _request_id = "req_0"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/_log":
            after = query.get("after", ["0"])[0]
            if after.isdecimal():
                self._send(Answer(200, self.server.gateway.log(int(after))))
            else:
                self._send(Answer(400, error("parameter_invalid_integer", f"{after!r} is no sequence number")))
        elif (match := _INTENT_PATH.fullmatch(url.path)) and not match[2]:
            self._serve("status", ref=match[1])
        elif url.path == "/v1/payment_intents/search":
            found = _OF_A_PAYMENT.fullmatch(query.get("query", [""])[0])
            limit = query.get("limit", ["10"])[0]
            named = {"environment": found[7] or "", "limit": limit} if found else {}
            self._serve("search", payment_id=found[3] if found else "", searched=named)
        elif match := _LIST_PATH.fullmatch(url.path):
            ref = query.get("payment_intent", [""])[0]
            # Of a list that is nobody's, faults are ordered by this name.
            self._serve(match[1], ref=ref, payment_id="" if ref else LISTED, query=url.query)
        else:
            self._unknown()

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if path == "/_faults":
            try:
                self.server.gateway.order_fault(read_object(self.body()) or {})
                self._send(Answer(200, {}))
            except RefusedError as refused:
                self._send(refused.answer)
        elif match := _DASHBOARD_PATH.fullmatch(path):
            try:
                self._send(Answer(200, self.server.gateway.in_dashboard(match[1], read_object(self.body()) or {})))
            except RefusedError as refused:
                self._send(refused.answer)
        elif path == "/v1/payment_intents":
            self._serve("prepare")
        elif path == "/v1/refunds":
            self._serve("refund")
        elif (match := _INTENT_PATH.fullmatch(path)) and match[2]:
            self._serve(_CALLS[match[2]], ref=match[1])
        else:
            self._unknown()

    def do_DELETE(self) -> None:
        if urlsplit(self.path).path == "/_faults":
            self.server.gateway.release()
            self._send(Answer(200, {}))
        else:
            self._unknown()

    def _serve(
        self,
        call: str,
        *,
        ref: str = "",
        payment_id: str = "",
        searched: Mapping[str, str] | None = None,
        query: str = "",
    ) -> None:
        gateway, body = self.server.gateway, self.body()
        time.sleep(self.server.answer_seconds)
        if not self.server.call_rate.takes():
            return self._send(gateway.above_the_limit())
        scheme, _, api_key = self.headers.get("Authorization", "").partition(" ")
        account = gateway.api_keys.get(api_key) if scheme == "Bearer" else None
        if account is None:
            return self._send(Answer(401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}))
        try:
            request = gateway.begin(
                call,
                ref=ref,
                payment_id=payment_id,
                key=self.headers.get("Idempotency-Key"),
                target=f"{self.command} {self.path}",
                body=body,
                account=account,
            )
            request.body.update(searched or read_form(query.encode()))
        except RefusedError as refused:
            return self._send(refused.answer)
        self._request_id = f"req_{request.seq:014d}"
        fault = request.fault.kind if request.fault else ""
        if fault == "error_503":
            answer = Answer(503, error("api_error", "the gateway takes no requests at the moment"))
        elif fault == "error_429":
            answer = Answer(429, error("rate_limit", "too many requests"))
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
        page = body.get("data")
        intent = page[0] if page else body.get("error", {}).get("payment_intent", body)
        if fault == "wrong_amount" and "amount" in intent:
            intent["amount"] += 1
            if intent.get("amount_received"):
                intent["amount_received"] += 1
        if fault == "wrong_currency" and "currency" in intent:
            intent["currency"] = "xts"
        if fault == "unknown_state" and "status" in intent:
            intent["status"] = "requires_capture"
        if fault == "ends_early" and page is not None:
            body.update(data=[], has_more=True)
        payload = b"<html><body>upstream error</body></html>" if fault == "not_json" else json.dumps(body).encode()
        headers = {"Request-Id": self._request_id} | ({"Idempotent-Replayed": "true"} if answer.replayed else {})
        if fault == "truncated":
            self.wfile.write(self.head(answer.status_code, len(payload), headers) + payload[: len(payload) // 2])
            self.close_connection = True
            return
        self.reply(answer.status_code, payload, headers)

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

    def _unknown(self) -> None:
        self.body()
        self._send(Answer(404, error("resource_missing", f"no such address: {self.command} {self.path}")))
