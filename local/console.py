"""The console of `make up`: one page that shows payments, queue, environments and approvals, and switches faults.

The rule: it only looks, but for a fault that somebody switches on this very page: another page's request, or one under
another host's name, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from handler.adapters.table.expressions import from_attributes
from handler.adapters.table.transaction_log import OPEN_SHARD_INDEX
from handler.domain.money import as_text
from handler.domain.states import OPEN
from local.approvals.mail import Link
from local.approvals.server import Request, Server
from local.approvals.workflow import Approvals
from local.execution_environment import ExecutionEnvironment
from local.faults import GATEWAY_FAULTS
from local.loopback import ask
from local.system import LocalSystem

TOKEN_HEADER: Final = "X-Console-Token"
_BODY_BYTES_MAX: Final = 4096
_PAYMENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")
_TIMES_MAX: Final = 100
# The newest of open ones, and of those that ended. DynamoDB reads a hundred items in one call.
_PAYMENTS_MAX: Final = 40
_LINKS_MAX: Final = 120
_SHOWN: Final = ("transaction_id", "status", "amount", "currency", "customer_id", "fraud_score", "updated_at")


class RefusedError(Exception):
    """What was asked for is not done; the message says why."""


class ConsolePage:
    """It serves at `url` until `close`; `show` and `tell` it what the terminal is shown."""

    def __init__(self, system: LocalSystem, approvals: Approvals) -> None:
        self._system = system
        self._approvals = approvals
        self._gateway_url = system.gateway_variables.get("GATEWAY_URL", "")
        self._token = secrets.token_urlsafe(32)
        self._page, self._headers = _page(self._token)
        self._lock = threading.Lock()
        self._queue: dict[str, int] = {}
        self._links: deque[Link] = deque(maxlen=_LINKS_MAX)
        self._read = 0
        self._ended: dict[str, dict[str, Any]] = {}
        self._followed: list[str] = []
        self._server = Server(self._serve, bytes_max=lambda path: _BODY_BYTES_MAX)
        self.url = f"{self._server.url}/"
        self._server.start("console")

    def close(self) -> None:
        self._server.stop()

    def show(self, queue: dict[str, int]) -> None:
        """`queue` is how many messages wait and are in flight, and how old the oldest one is, by what to call that."""
        self._queue = queue

    def tell(self, link: Link) -> None:
        self._links.append(link)

    def _serve(self, request: Request) -> None:
        # A name that somebody else's DNS points to this machine would make their page one of this origin.
        if request.headers.get("Host") != self._server.address:
            return _say(request, 403, f"This is {self.url} and nothing else.")
        if request.command == "POST" and request.path == "/faults":
            return self._switch(request)
        if request.command not in ("GET", "HEAD"):
            return _say(request, 405, "The page is read, and faults are posted.")
        if request.path == "/state":
            return request.reply(200, json.dumps(self.state()).encode(), _PLAIN)
        if request.path == "/":
            return request.reply(200, self._page, self._headers)
        return _say(request, 404, "There is one page here.")

    # ---- faults -----------------------------------------------------------------------------------------------

    def _switch(self, request: Request) -> None:
        given = request.headers.get(TOKEN_HEADER, "").encode("latin-1", "replace")
        is_own = request.headers.get("Origin") == self._server.url
        if not is_own or not hmac.compare_digest(given, self._token.encode()):
            return _say(request, 403, "Faults are switched on this page alone: load it again.")
        try:
            order = json.loads(request.content)
            said = self._order(order if isinstance(order, dict) else {})
        except (RefusedError, ValueError) as refused:
            return _say(request, 400, f"Not done: {refused}.")
        return _say(request, 200, said)

    def _order(self, order: dict[str, Any]) -> str:
        """Do it, and say what was done. Raises RefusedError."""
        mapping = self._system.mapping
        match order.get("switch"):
            case "kill":
                return self._kill()
            case "stop" | "start" as which:
                if mapping is None:
                    raise RefusedError("the services' own mapping takes the messages, and has no switch here")
                mapping.switch(on=which == "start")
                return "Messages are taken again." if which == "start" else "No message is taken: they wait."
            case "gateway":
                return self._order_at_gateway(order)
            case "release":
                self._ask_gateway("DELETE", {})
                return "Faults not used yet are dropped, and what was pending is charged."
        raise RefusedError("there is no such switch")

    def _kill(self) -> str:
        found = [each for each in self._system.environments() if each.pid is not None]
        found.sort(key=lambda each: each.request_id is None)
        for each in found:
            what = "one that was idle" if each.request_id is None else "one at work: its messages come back"
            if (pid := self._system.kill_environment(each.pid)) is not None:
                return f"Killed process {pid}, {what}."
        raise RefusedError("no environment of the payment function is alive; send a payment, and one starts")

    def _order_at_gateway(self, order: dict[str, Any]) -> str:
        payment_id, fault, times = order.get("payment_id"), order.get("fault"), order.get("times")
        if not isinstance(payment_id, str) or not _PAYMENT_ID.fullmatch(payment_id):
            raise RefusedError("a payment id has 1 to 48 letters, digits, - and _")
        if fault not in GATEWAY_FAULTS:
            raise RefusedError("there is no such fault")
        if type(times) is not int or not 1 <= times <= _TIMES_MAX:
            raise RefusedError(f"a fault strikes 1 to {_TIMES_MAX} times")
        call, _, kind = fault.partition(".")
        # A delay outlasts what the function waits for.
        seconds = 2 * self._system.times.gateway_deadline_seconds
        named = {"payment_id": payment_id, "call": call, "fault": kind, "times": times, "seconds": seconds}
        self._ask_gateway("POST", named)
        return f"{fault} is ordered for {payment_id}, {times} times."

    def _ask_gateway(self, method: str, order: Mapping[str, Any]) -> None:
        if not self._gateway_url:
            raise RefusedError("the gateway is inside the functions and has no faults")
        status, answer, _ = ask(urlsplit(self._gateway_url).port or 0, method, "/_faults", json.dumps(order).encode())
        if status != 200:
            raise RefusedError(f"the gateway answered {status}: {answer[:200].decode(errors='replace')}")

    # ---- what is shown ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that the page shows. Raises boto3's errors where the services do not answer."""
        system = self._system
        with self._lock:
            payments = self._payments()
        waiting = {row["transaction_id"] for row in payments if row["status"] == "pending_approval"}
        links = {(link.transaction_id, link.approver): link for link in list(self._links)}
        failed = [f"init failed: {what} ({count} times)" for what, count in system.status.failed_inits.items()]
        return {
            "queue": self._queue,
            "mapping": system.mapping.state if system.mapping is not None else "",
            "environments": [_environment(each) for each in [*system.environments(), *self._approvals.environments()]],
            "outcomes": system.status.outcomes,
            "messages": system.status.messages,
            "payments": payments,
            "approvals": [vars(link) for link in links.values() if link.transaction_id in waiting],
            "problems": [*failed, *system.problems[-5:]],
            "has_gateway": bool(self._gateway_url),
        }

    def _payments(self) -> list[dict[str, Any]]:
        """The newest first: what is open by the table, what ended by its event."""
        self._read_events()
        dynamodb, table = self._system.clients["dynamodb"], self._system.names.table
        pages = dynamodb.get_paginator("scan").paginate(TableName=table, IndexName=OPEN_SHARD_INDEX)
        keys = sorted((key for page in pages for key in page["Items"]), key=lambda key: -int(key["created_at"]["N"]))[
            :_PAYMENTS_MAX
        ]
        # What was open a moment ago and has no event yet is looked up too: else it would vanish on its way.
        names = dict.fromkeys([*(key["transaction_id"]["S"] for key in keys), *self._followed])
        wanted = [{"transaction_id": {"S": name}} for name in names]
        found = dynamodb.batch_get_item(RequestItems={table: {"Keys": wanted}})["Responses"][table] if wanted else []
        rows = [_row(from_attributes(each)) for each in found]
        told = {name: row["updated_at"] for name, row in self._ended.items()}
        rows = [row for row in rows if row["status"] in OPEN or row["updated_at"] > told.get(row["transaction_id"], 0)]
        self._followed = [row["transaction_id"] for row in rows][:_PAYMENTS_MAX]
        shown = self._ended | {row["transaction_id"]: row for row in rows if row["status"]}
        return sorted(shown.values(), key=lambda row: -row["updated_at"])[: 2 * _PAYMENTS_MAX]

    def _read_events(self) -> None:
        with self._system.outcome_events.file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        # A line that is being written is read the next time.
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines()[-_PAYMENTS_MAX:]:
            row = _row(json.loads(line))
            self._ended.pop(row["transaction_id"], None)
            self._ended[row["transaction_id"]] = row
        for name in list(self._ended)[:-_PAYMENTS_MAX]:
            del self._ended[name]


def _say(request: Request, status: int, sentence: str) -> None:
    request.reply(status, json.dumps({"message": sentence}).encode(), _PLAIN)


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    """Of an item or an event, what the page shows."""
    row = {name: document.get(name, "") for name in _SHOWN}
    if not isinstance(row["amount"], str):
        row["amount"] = as_text(int(document.get("amount_minor", 0)), str(row["currency"])) if row["currency"] else ""
    why = document.get("parked_reason") if row["status"] == "parked" else document.get("reason_code")
    return row | {"updated_at": int(row["updated_at"] or 0), "why": why or ""}


def _environment(each: ExecutionEnvironment) -> dict[str, Any]:
    state = "starting" if not each.initialised else "idle" if each.request_id is None else "busy"
    return {"function": each.function.name, "version": each.function.version, "pid": each.pid, "state": state}


_PLAIN: Final = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _page(token: str) -> tuple[bytes, dict[str, str]]:
    """The page with the token that its script sends back, and its headers."""
    text = Path(__file__).with_name("console.html").read_text()
    sources = {kind: _hash(text, kind) for kind in ("style", "script")}
    policy = (
        f"default-src 'none'; style-src {sources['style']}; script-src {sources['script']}; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
    return text.replace("{{token}}", token).encode(), _PLAIN | headers | {"Referrer-Policy": "no-referrer"}


def _hash(text: str, element: str) -> str:
    within = text.partition(f"<{element}>")[2].partition(f"</{element}>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(within.encode()).digest()).decode()}'"
