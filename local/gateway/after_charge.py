"""What comes after a capture at the payment gateway simulator: refunds, disputes and lists, by its API and dashboard.

The rule: nothing that was made is ever changed; a later state is one more row, which counts from its time on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from local.gateway import stripe_dialect
from local.gateway.database import Database
from local.gateway.idempotency_keys import Keys
from local.gateway.messages import Answer, RefusedError, Request, injected_500

_REFUND_STATES = ("pending", "requires_action", "succeeded", "failed", "canceled")
# Those that give nothing back.
_FAILED = ("failed", "canceled")
# Those that keep a refund from being made ("Error codes", `charge_disputed`).
_DISPUTED = ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review", "lost")
_DISPUTE_STATES = (*_DISPUTED, "warning_needs_response", "warning_under_review", "warning_closed", "prevented", "won")


class AfterCharge:
    """Refunds and disputes of intents; `clock` is in milliseconds. For many threads, as the database is.

    intent_of: an intent as Stripe shows it, by its reference; account_of: whose it is.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        seed: int,
        clock: Callable[[], int],
        *,
        intent_of: Callable[[str], dict[str, Any]],
        account_of: Callable[[str], str],
    ) -> None:
        self._db = database
        self._keys = keys
        self._seed = seed
        self._clock = clock
        self._intent_of = intent_of
        self._account_of = account_of

    def given_back(self, ref: str) -> int:
        """What an intent has given back, or is giving back."""
        return sum(refund["amount"] for refund in self._all("refunds", ref) if refund["status"] not in _FAILED)

    def is_disputed(self, ref: str) -> bool:
        """Whether somebody disputed an intent, however that ended."""
        return bool(self._all("disputes", ref))

    def refund(self, request: Request, intent: Any) -> Answer:
        """Give back by the API, once for its key."""
        with self._db.transaction():
            if (stored := self._keys.replay(request)) is not None:
                return stored
            stripe_dialect.check_parameters("refund", request.body)
            if any(dispute["status"] in _DISPUTED for dispute in self._all("disputes", request.ref)):
                raise RefusedError(400, "charge_disputed", f"{request.ref} is disputed")
            answer = injected_500(request, "error_500_before")
            if answer is None:
                fault = request.fault.kind if request.fault else ""
                status = "pending" if fault == "pending" else "succeeded"
                refund = self._refunded(intent, request.body, status)
                if request.fault and fault in ("pending", "fails_later"):
                    later = "succeeded" if fault == "pending" else "failed"
                    self._becomes(refund["id"], later, round(1000 * request.fault.seconds))
                answer = injected_500(request, "error_500_after") or Answer(200, refund)
            self._keys.store(request, answer)
            return answer

    def listed(self, request: Request) -> Answer:
        """A page of an intent's refunds or disputes, or of all that was made in a span of time, the newest first."""
        kind = request.call
        stripe_dialect.check_parameters(kind, request.body)
        limit, after = str(request.body.get("limit", "10")), str(request.body.get("starting_after", ""))
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise RefusedError(400, "parameter_invalid_integer", "limit is 1 to 100", param="limit")
        found = self._all(kind, request.ref) if request.ref else self._made(request)
        names = [each["id"] for each in found]
        if after and after not in names:
            raise RefusedError(404, "resource_missing", f"no such object: {after}", param="starting_after")
        found = found[names.index(after) + 1 if after else 0 :]
        page: dict[str, Any] = {"data": found[: int(limit)], "has_more": len(found) > int(limit)}
        if "data.payment_intent" in dict(request.body.get("expand", {})).values():
            page["data"] = [
                {**each, "payment_intent": self._intent_of(each["payment_intent"])} for each in page["data"]
            ]
        return Answer(200, {"object": "list", "url": f"/v1/{kind}", **page})

    def _made(self, request: Request) -> list[dict[str, Any]]:
        """Of the account, by when it was made; an intent's charge is made when it ends."""
        since, until = stripe_dialect.span(request.body)
        table, at = ("intents", "settled_ms") if request.call == "charges" else (request.call, "at_ms")
        with self._db.lock:
            refs = self._db.execute(
                f"SELECT DISTINCT ref FROM {table} WHERE {at} >= ? AND {at} < ?", (1000 * since, 1000 * until)
            ).fetchall()
            own = [row["ref"] for row in refs if self._account_of(row["ref"]) == request.account]
            found = [each for ref in own for each in self._all(request.call, ref) if since <= each["created"] < until]
            return sorted(found, key=lambda each: (each["created"], each["id"]), reverse=True)

    def in_dashboard(self, kind: str, order: Mapping[str, Any], intent: Any) -> dict[str, Any]:
        """What somebody does to a payment's intent with the mouse; the object as it is then. Raises RefusedError.

        order: `{amount, status, reason}` makes one, `{refund, status}` or `{dispute, status}` changes it. intent: the
        one that captured, None where there is none.
        """
        name, states = ("refund", _REFUND_STATES) if kind == "refunds" else ("dispute", _DISPUTE_STATES)
        with self._db.transaction():
            status = str(order.get("status", "succeeded" if kind == "refunds" else "needs_response"))
            if status not in states:
                raise RefusedError(400, "invalid_status", f"status is one of {', '.join(states)}")
            if name in order:
                row = self._db.execute(f"SELECT ref FROM {kind} WHERE {name}_ref = ?", (str(order[name]),)).fetchone()
                if row is None:
                    raise RefusedError(404, "resource_missing", f"no such {name}: {order[name]}")
                self._becomes(str(order[name]), status, 0)
                return next(each for each in self._all(kind, row["ref"]) if each["id"] == order[name])
            if intent is None:
                raise RefusedError(400, "charge_not_captured", "give the payment_id of one that was captured")
            if kind == "refunds":
                return self._refunded(intent, {"amount": order.get("amount", intent["amount"])}, status)
            return self._disputed(intent, order, status)

    def _refunded(self, intent: Any, asked: Mapping[str, Any], status: str) -> dict[str, Any]:
        amount = str(asked.get("amount", ""))
        if intent["status"] != "succeeded":
            raise RefusedError(400, "charge_not_captured", f"{intent['ref']} has captured nothing")
        if not amount.isdecimal() or not 0 < int(amount) <= intent["amount"] - self.given_back(intent["ref"]):
            raise RefusedError(
                400, "charge_already_refunded", f"{intent['ref']} has not that much left", param="amount"
            )
        seq = self._db.next_seq()
        refund = {
            "id": f"re_{self._digits(seq)}",
            "object": "refund",
            "amount": int(amount),
            "charge": f"ch_{intent['ref'][3:]}",
            "created": self._clock() // 1000,
            "currency": intent["currency"],
            "metadata": asked.get("metadata", {}),
            "payment_intent": intent["ref"],
            "reason": asked.get("reason"),
            "status": status,
        }
        self._keep("refunds", "refund_ref", seq, refund)
        return refund

    def _disputed(self, intent: Any, asked: Mapping[str, Any], status: str) -> dict[str, Any]:
        amount = str(asked.get("amount", intent["amount"]))
        if not amount.isdecimal() or not 0 < int(amount) <= intent["amount"]:
            raise RefusedError(400, "parameter_invalid_integer", f"{intent['ref']} captured less", param="amount")
        seq = self._db.next_seq()
        dispute = {
            "id": f"du_{self._digits(seq)}",
            "object": "dispute",
            "amount": int(amount),
            "balance_transactions": [],
            "charge": f"ch_{intent['ref'][3:]}",
            "created": self._clock() // 1000,
            "currency": intent["currency"],
            "is_charge_refundable": False,
            "livemode": intent["livemode"],
            "metadata": {},
            "payment_intent": intent["ref"],
            "reason": str(asked.get("reason", "general")),
            "status": status,
        }
        self._keep("disputes", "dispute_ref", seq, dispute)
        return dispute

    def _digits(self, seq: int) -> str:
        return hashlib.sha256(f"{self._seed}:{seq}".encode()).hexdigest()[:24]

    def _keep(self, kind: str, name: str, seq: int, document: Mapping[str, Any]) -> None:
        self._db.execute(
            f"INSERT INTO {kind} (seq, at_ms, {name}, ref, amount, currency, document) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(seq, self._clock(), document["id"], document["payment_intent"]),
                *(document["amount"], document["currency"], json.dumps(document)),
            ),
        )

    def _becomes(self, of: str, status: str, in_ms: int) -> None:
        self._db.execute(
            "INSERT INTO later_states (seq, at_ms, of, status) VALUES (?, ?, ?, ?)",
            (self._db.next_seq(), self._clock() + in_ms, of, status),
        )

    def _all(self, kind: str, ref: str) -> list[dict[str, Any]]:
        """An intent's, the newest first, each in the state that it is in by now."""
        with self._db.lock:
            if kind == "charges":
                charge = self._intent_of(ref)["latest_charge"]
                return [charge] if charge else []
            found = []
            for row in self._db.execute(f"SELECT document FROM {kind} WHERE ref = ? ORDER BY seq DESC", (ref,)):
                document = stripe_dialect.read_document(row["document"])
                later = self._db.execute(
                    "SELECT status FROM later_states WHERE of = ? AND at_ms <= ? ORDER BY at_ms DESC, seq DESC LIMIT 1",
                    (document["id"], self._clock()),
                ).fetchone()
                found.append({**document, "status": later["status"] if later else document["status"]})
            return found
