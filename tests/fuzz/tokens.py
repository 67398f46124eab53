"""Tokens of approval links: only what was issued verifies, as it was issued, by its key and in its time.

The rule it keeps: every text but an issued one is refused, whatever it decodes to. Input: `{t}` is an issued token;
what is no token at all is read as the fields of another one, which must come back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Hashable

from handler.domain.approval.token import LENGTH_MAX, Invitation, ListInvitation, read_token, write_token
from handler.domain.errors import ApprovalRefusedError
from tests.support.approvals import TestSigner

WORDS = (
    *(
        "{t}",
        ".",
        "=",
        "==",
        "-",
        "_",
        "A",
        "W10",
        "[1,",
        '"test-key"',
        "\\u0000",
        "\\ud800",
        "é",
        "\n",
        " ",
        "%2E",
        "/",
        "+",
    ),
    *('["txn-a","', '","alice",', "1700000000000]", "true", "1e3", "null", "-1", "a" * 64),
)
_SIGNER, _OTHER = TestSigner(), TestSigner(b"x" * 32)
_NOW_MS = 1_700_000_000_000
_ISSUED = Invitation("txn-pay-abc123", "0" * 32, "f" * 64, "alice", _NOW_MS + 1)
_TOKEN = write_token(_ISSUED, _SIGNER)


def check(data: bytes) -> set[Hashable]:
    """Read one text as a token, and once more with its fields as an invitation of their own; of which lengths."""
    text = data.decode("utf-8", "replace")
    given = text.replace("{t}", _TOKEN)
    for signer, now_ms in (
        (_SIGNER, _NOW_MS),
        (_SIGNER, _NOW_MS + 1),
        (_OTHER, _NOW_MS),
        (TestSigner(key_id="b"), _NOW_MS),
    ):
        is_good = given == _TOKEN and signer is _SIGNER and now_ms == _NOW_MS
        found = _read(given, signer, now_ms)
        assert found == (_ISSUED if is_good else None), "a token verifies that nobody issued"
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = text.split("\n")
    if isinstance(fields, list) and len(fields) >= 4 and all(isinstance(field, str) for field in fields[:4]):
        _check_issued(
            _ISSUED._replace(transaction_id=fields[0], callback=fields[1], request_hash=fields[2], approver=fields[3])
        )
        return {len(fields[0]).bit_length(), text.isascii()}
    return {(min(given.count("."), 2), len(given).bit_length(), _TOKEN in given)}


def _check_issued(invitation: Invitation) -> None:
    token = write_token(invitation, _SIGNER)
    assert token.isascii()
    found = _read(token, _SIGNER, _NOW_MS)
    assert found == (invitation if len(token) <= LENGTH_MAX else None), "an issued token says something else"
    assert (token == _TOKEN) == (invitation == _ISSUED), "two invitations have one token"
    fields, _, mac = token.partition(".")
    other, _, other_mac = _TOKEN.partition(".")
    for mixed in (f"{fields}.{other_mac}", f"{other}.{mac}"):
        assert _read(mixed, _SIGNER, _NOW_MS) is None or invitation == _ISSUED, "a token verifies by another one's key"


def _read(token: str, signer: TestSigner, now_ms: int) -> Invitation | ListInvitation | None:
    try:
        return read_token(token, signer, now_ms)
    except ApprovalRefusedError as refused:
        assert refused.reason_code in ("token_invalid", "token_expired")  # noqa: PT017
        return None
