"""The token in a link to the approval page: who may decide on which question about which payment, and until when; or
who may see all that waits for them.

It is bound to its version, key, transaction, callback, request hash, approver and expiry; a token that does not verify
says nothing at all, not even about its own fields.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Final

from handler.domain.approval.ports import Signer
from handler.domain.errors import ApprovalRefusedError
from handler.domain.item import Item
from handler.domain.typed import NamedTuple

VERSION: Final = 1
# What code of before refuses as it refuses every token that it does not know.
LIST_VERSION: Final = 2
LENGTH_MAX: Final = 2048


class Invitation(NamedTuple):
    """One approver's right to decide; `expires_at` in epoch milliseconds, `callback` a digest of the callback id."""

    transaction_id: str
    callback: str
    request_hash: str
    approver: str
    expires_at: int


class ListInvitation(NamedTuple):
    """One approver's right to see all that waits for them, and so to decide on it; `expires_at` as above."""

    approver: str
    expires_at: int


def invite(item: Item, callback_id: str, approver: str) -> Invitation:
    """The invitation of one approver to decide on a pending item."""
    return Invitation(
        item.transaction_id,
        callback_digest(callback_id),
        item.request_hash,
        approver,
        item.approval_expires_at or 0,
    )


def callback_digest(callback_id: str) -> str:
    """32 hex digits: a callback id has up to 1,024 characters, which no mail client would keep in one line."""
    return hashlib.sha256(callback_id.encode()).hexdigest()[:32]


def write_token(invitation: Invitation | ListInvitation, signer: Signer) -> str:
    """`<fields>.<mac>`, both base64url without padding. Raises NoticeError where the key cannot be used."""
    version = VERSION if isinstance(invitation, Invitation) else LIST_VERSION
    fields = json.dumps([version, signer.key_id, *invitation], separators=(",", ":")).encode()
    return f"{_encode(fields)}.{_encode(signer.write_mac(_signed(fields)))}"


def read_token(token: str, signer: Signer, now_ms: int, late_ms: int = 0) -> Invitation | ListInvitation:
    """An invitation that is not over for longer than `late_ms`.

    Raises ApprovalRefusedError (`token_invalid`, `token_expired`), and NoticeError where the key cannot be used.
    """
    invalid = ApprovalRefusedError("token_invalid")
    encoded, _, mac = token.partition(".")
    try:
        if len(token) > LENGTH_MAX or not signer.check_mac(_signed(_decode(encoded)), _decode(mac)):
            raise invalid
        version, key_id, *fields = json.loads(_decode(encoded))
        if version not in (VERSION, LIST_VERSION) or key_id != signer.key_id:
            raise invalid
        invitation = Invitation(*fields) if version == VERSION else ListInvitation(*fields)
    except (ValueError, TypeError) as error:
        raise invalid from error
    if invitation.expires_at + late_ms <= now_ms:
        raise ApprovalRefusedError("token_expired")
    return invitation


def _signed(fields: bytes) -> bytes:
    """What the key signs: nothing that it might ever sign for another purpose."""
    return b"approval-token\0" + fields


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    # One spelling a token: the last character of a base64 text has bits that a decoder ignores.
    if _encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
