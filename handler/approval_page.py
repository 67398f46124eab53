"""The approval page: one payment behind a signed link, and every decision of a person, from there or the command line.

The rule it keeps: opening a link never decides, as mail scanners do that; who decided is whom the link was made for, or
whose signature API Gateway has checked, and nobody that a request names; it is an approver now, not only when the link
was sent; and no token is ever logged.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from handler import lazy_entry
from handler.adapters.approval.page import HEADERS, answer, listing, question, refusal
from handler.domain.approval.decision import LISTING, Answer, decide, find_item
from handler.domain.approval.ports import Decisions, Signer
from handler.domain.approval.token import Invitation, ListInvitation, callback_digest, invite, read_token, write_token
from handler.domain.approval.view import earlier, waiting, waits
from handler.domain.errors import ApprovalRefusedError, ApprovalWakeError, RetryableError
from handler.domain.item import Item
from handler.domain.reasons import CATALOGUE
from handler.domain.typed import NamedTuple

if TYPE_CHECKING:
    from handler.adapters.approval.support import Handler

_LOG = logging.getLogger(__name__)

# A token, a comment of 1,000 characters at twelve bytes each when percent-encoded, and the rest of the form.
BODY_BYTES_MAX: Final = 16 * 1024

# A payment's id, or a transaction's: txn- and that.
_PAYMENT: Final = re.compile("(txn-)?[A-Za-z0-9_-]{1,48}")

# A charge that comes again for hours, and a weekend: for so long after the time to decide a link tells the outcome.
OUTCOME_MS: Final = 7 * 86_400_000

# What is wrong is the comment, and the form comes again to send another.
_UNPROCESSABLE: Final = 422


@dataclass(frozen=True, slots=True)
class ApprovalPage:
    """The function behind an API Gateway HTTP API (payload format 2.0)."""

    decisions: Decisions
    signer: Signer
    approvers: Collection[str]

    def __call__(self, event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
        """One request in, one HTML page out, or JSON for a signed PUT; it raises for nothing that anybody can send."""
        method = event["requestContext"]["http"]["method"]
        refused = _refused if method == "PUT" else _page_refused
        try:
            if method in ("GET", "HEAD"):
                return self._show(_fields(event.get("rawQueryString", "")))
            if method == "POST":
                return self._decide(_fields(_body(event)))
            if method == "PUT":
                return self._decide_signed(event)
            return _response(405, refusal("Only opening the page and sending its form are possible."))
        except ApprovalRefusedError as error:
            _LOG.info("refused: %s", error.reason_code)
            return refused(CATALOGUE[error.reason_code].status, error.reason_code, str(error))
        except ApprovalWakeError as error:
            _LOG.warning("%s", error)
            reason = CATALOGUE[error.reason_code]
            return refused(reason.status, error.reason_code, reason.sentence)
        except RetryableError as error:
            _LOG.warning("%s: %s", error.reason_code, error)
            # An answer that was lost may have been that the decision stands.
            said = "A service did not answer. Try again in a minute: a decision that stands already counts once."
            return refused(503, error.reason_code, said)

    def _show(self, fields: Mapping[str, str]) -> dict[str, Any]:
        token, now_ms = fields.get("t", ""), self.decisions.clock.now_ms()
        invitation = self._invited(token, late_ms=OUTCOME_MS)
        if isinstance(invitation, ListInvitation):
            return self._list(invitation, now_ms)
        item = self._item(invitation)
        if not waits(item) and item.request_hash == invitation.request_hash:
            return _response(200, answer(item, "This payment needs no decision any more"))
        if invitation.expires_at <= now_ms:
            raise ApprovalRefusedError("token_expired")
        _require_open(invitation, item)
        before = earlier(item, self.decisions.log)
        return _response(200, question(item, before, token, invitation.approver, now_ms))

    def _decide(self, fields: Mapping[str, str]) -> dict[str, Any]:
        token, comment = fields.get("t", ""), fields.get("comment", "")
        invitation = self._invited(token)
        if isinstance(invitation, ListInvitation):
            raise ApprovalRefusedError("token_invalid")
        item = self._item(invitation)
        if (item.decided_by, item.decision) != (invitation.approver, fields.get("decision")):
            _require_open(invitation, item)
        decisions = self.decisions
        # Without a callback reconcile has just given the decided payment to a new execution.
        said = Answer(
            fields.get("decision", ""), invitation.approver, comment, item.callback_id, invitation.request_hash
        )
        try:
            decided = decide(invitation.transaction_id, said, decisions)
        except ApprovalRefusedError as error:
            status = CATALOGUE[error.reason_code].status
            if status != _UNPROCESSABLE:
                raise
            before, now_ms = earlier(item, decisions.log), decisions.clock.now_ms()
            page = question(item, before, token, invitation.approver, now_ms, comment=comment, error=str(error))
            return _response(status, page)
        _LOG.info("%s: %s by %s", invitation.transaction_id, decided.decision, invitation.approver)
        return _response(200, answer(decided, "Your decision is recorded"))

    def _decide_signed(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """A decision of the command line, whose request AWS has let through for the identity that signed it."""
        approver = _signer_of(event)
        if approver not in self.approvers:
            _LOG.warning("%s is no approver", approver)
            raise ApprovalRefusedError("not_approver", f"{approver} is no approver: nothing was decided.")
        asked = _asked(_body(event), self.decisions.environment)
        item = find_item(self.decisions.log, asked.payment, LISTING)
        said = Answer(asked.decision, approver, asked.comment, item.callback_id, item.request_hash)
        decided = decide(item.transaction_id, said, self.decisions)
        _LOG.info("%s: %s by %s", decided.transaction_id, decided.decision, approver)
        return _json(
            200,
            {
                "transaction_id": decided.transaction_id,
                "decision": decided.decision,
                "decided_by": decided.decided_by,
                "comment": decided.comment,
            },
        )

    def _list(self, invitation: ListInvitation, now_ms: int) -> dict[str, Any]:
        if invitation.expires_at <= now_ms:
            raise ApprovalRefusedError("token_expired")
        found, approver = waiting(self.decisions.log, now_ms), invitation.approver
        tokens = [write_token(invite(item, item.callback_id, approver), self.signer) for item in found.items]
        return _response(200, listing(found, tokens, approver, now_ms))

    def _invited(self, token: str, late_ms: int = 0) -> Invitation | ListInvitation:
        """The token's invitation, whose owner is an approver now."""
        invitation = read_token(token, self.signer, self.decisions.clock.now_ms(), late_ms)
        if invitation.approver not in self.approvers:
            about = invitation.transaction_id if isinstance(invitation, Invitation) else "the list"
            _LOG.warning("%s: %s is no approver any more", about, invitation.approver)
            raise ApprovalRefusedError("approver_removed")
        return invitation

    def _item(self, invitation: Invitation) -> Item:
        item = self.decisions.log.get(invitation.transaction_id)
        if item is None:
            raise ApprovalRefusedError("unknown", f"There is no payment {invitation.transaction_id} any more.")
        return item


def _require_open(invitation: Invitation, item: Item) -> None:
    """Raises ApprovalRefusedError where the item does not wait for this invitation."""
    if item.decision:
        word = {"approve": "approved", "reject": "rejected"}[item.decision]
        raise ApprovalRefusedError("already_decided", f"This payment was {word} by {item.decided_by}.")
    if item.status != "pending_approval":
        raise ApprovalRefusedError("not_pending", f"This payment is {item.status} and waits for nobody.")
    if not item.callback_id:
        # Whoever has a link was asked once, by an execution that ended.
        raise ApprovalRefusedError(
            "not_asked",
            "Nobody is asked about this payment yet; its workflow has not taken it up: wait for a new link.",
        )
    shown = (invitation.callback, invitation.request_hash)
    if shown != (callback_digest(item.callback_id), item.request_hash):
        raise ApprovalRefusedError("replaced", "You were asked again about this payment: open the newest link.")


class Asked(NamedTuple):
    """A decision as the command line sends it."""

    payment: str
    decision: str
    comment: str


def _signer_of(event: Mapping[str, Any]) -> str:
    """The ARN of who signed the request, as API Gateway says behind a route with the authorization AWS_IAM."""
    authorizer = event["requestContext"].get("authorizer") or {}
    arn = (authorizer.get("iam") or {}).get("userArn")
    if not arn:
        raise ApprovalRefusedError("not_signed")
    return str(arn)


def _asked(body: str, here: str) -> Asked:
    """What a signed request asks of environment `here`."""
    try:
        document = json.loads(body)
        environment, payment, decision, comment = (document[name] for name in ("environment", *Asked._fields))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ApprovalRefusedError("request_malformed") from error
    if not all(isinstance(text, str) for text in (environment, payment, decision, comment)):
        raise ApprovalRefusedError("request_malformed")
    if environment != here:
        # The caller's page and table may be of two.
        raise ApprovalRefusedError(
            "other_environment", f"This page decides in environment {here}, not in {environment}: nothing was decided."
        )
    if not _PAYMENT.fullmatch(payment):
        raise ApprovalRefusedError("unknown")
    return Asked(payment, decision, comment)


def _body(event: Mapping[str, Any]) -> str:
    body = event.get("body") or ""
    # Base64 makes four characters of three bytes.
    if len(body) > BODY_BYTES_MAX * (4 / 3 if event.get("isBase64Encoded") else 1):
        raise ApprovalRefusedError("request_too_long")
    return base64.b64decode(body).decode("utf-8", "replace") if event.get("isBase64Encoded") else body


def _fields(text: str) -> dict[str, str]:
    """A query's or form's fields; of a repeated one none, as another reader might take the other."""
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _response(status_code: int, page: str) -> dict[str, Any]:
    return {"statusCode": status_code, "headers": dict(HEADERS), "body": page}


def _page_refused(status_code: int, _: str, sentence: str) -> dict[str, Any]:
    return _response(status_code, refusal(sentence))


def _json(status_code: int, document: Mapping[str, str]) -> dict[str, Any]:
    headers = {**HEADERS, "content-type": "application/json"}
    return {"statusCode": status_code, "headers": headers, "body": json.dumps(document)}


def _refused(status_code: int, reason_code: str, sentence: str) -> dict[str, Any]:
    return _json(status_code, {"reason_code": reason_code, "message": sentence})


def _create(environment: Mapping[str, str]) -> Handler:
    from handler.adapters.approval import support
    from handler.approval_composition import compose_decisions, compose_signer
    from handler.domain.errors import ConfigurationError
    from handler.settings import read_approval_settings

    observed = support.observe("payment-approval-page", environment)
    decisions, signer = compose_decisions(environment, support), compose_signer(environment, support)
    if "APPROVERS" not in environment:
        # New code on the variables of an older release, which had none here, would take everybody for removed.
        raise ConfigurationError("APPROVERS", None, "the approvers whose links are taken, empty for none")
    return observed(ApprovalPage(decisions, signer, read_approval_settings(environment).approvers))


__getattr__ = lazy_entry(globals(), _create)
