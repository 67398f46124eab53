"""The approval page: one payment behind a signed link, and the decision that an approver sends from there.

The rule it keeps: opening a link never decides, as mail scanners do that; who decided comes from the token alone, and
is an approver now, not only when the link was sent; and no token is ever logged.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from handler import lazy_entry
from handler.adapters.approval.page import HEADERS, answer, question, refusal
from handler.domain.approval.decision import Answer, decide
from handler.domain.approval.ports import Decisions, Signer
from handler.domain.approval.token import Invitation, callback_digest, read_token
from handler.domain.errors import ApprovalRefusedError, ApprovalWakeError, RetryableError
from handler.domain.item import Item
from handler.domain.reasons import CATALOGUE

if TYPE_CHECKING:
    from handler.adapters.approval.support import Handler

_LOG = logging.getLogger(__name__)

# A token, a comment of 1,000 characters at twelve bytes each when percent-encoded, and the rest of the form.
BODY_BYTES_MAX: Final = 16 * 1024

# What is wrong is the comment, and the form comes again to send another.
_UNPROCESSABLE: Final = 422


@dataclass(frozen=True, slots=True)
class ApprovalPage:
    """The function behind an API Gateway HTTP API (payload format 2.0)."""

    decisions: Decisions
    signer: Signer
    approvers: Collection[str]

    def __call__(self, event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
        """One request in, one HTML page out; it raises for nothing that a visitor can send."""
        method = event["requestContext"]["http"]["method"]
        try:
            if method in ("GET", "HEAD"):
                return self._show(_fields(event.get("rawQueryString", "")))
            if method == "POST":
                return self._decide(_fields(_body(event)))
            return _response(405, refusal("Only opening the page and sending its form are possible."))
        except ApprovalRefusedError as error:
            _LOG.info("refused: %s", error.reason_code)
            return _response(CATALOGUE[error.reason_code].status, refusal(str(error)))
        except ApprovalWakeError as error:
            _LOG.warning("%s", error)
            reason = CATALOGUE[error.reason_code]
            return _response(reason.status, refusal(reason.sentence))
        except RetryableError as error:
            _LOG.warning("%s: %s", error.reason_code, error)
            return _response(503, refusal("Nothing was decided: a service did not answer. Try again in a minute."))

    def _show(self, fields: Mapping[str, str]) -> dict[str, Any]:
        token = fields.get("t", "")
        invitation, item = self._invited(token)
        return _response(200, question(item, token, invitation.approver, self.decisions.clock.now_ms()))

    def _decide(self, fields: Mapping[str, str]) -> dict[str, Any]:
        token, comment = fields.get("t", ""), fields.get("comment", "")
        invitation, item = self._invited(token, fields.get("decision", ""))
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
            now_ms = decisions.clock.now_ms()
            page = question(item, token, invitation.approver, now_ms, comment=comment, error=str(error))
            return _response(status, page)
        _LOG.info("%s: %s by %s", invitation.transaction_id, decided.decision, invitation.approver)
        return _response(200, answer(decided))

    def _invited(self, token: str, decision: str = "") -> tuple[Invitation, Item]:
        """The token's invitation and its item, still open for it, or decided so by the same approver."""
        invitation = read_token(token, self.signer, self.decisions.clock.now_ms())
        if invitation.approver not in self.approvers:
            _LOG.warning("%s: %s is no approver any more", invitation.transaction_id, invitation.approver)
            raise ApprovalRefusedError("approver_removed")
        item = self.decisions.log.get(invitation.transaction_id)
        if item is None:
            raise ApprovalRefusedError("unknown", f"There is no payment {invitation.transaction_id} any more.")
        if item.decided_by == invitation.approver and decision and item.decision == decision:
            return invitation, item
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
        return invitation, item


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
