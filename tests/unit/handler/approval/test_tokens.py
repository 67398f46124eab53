"""Tokens of approval links and the keys that sign them: no other key, no other time, nothing changed."""

from __future__ import annotations

from typing import Any

import pytest

from handler.adapters.approval.signing import FileSigner, KmsSigner
from handler.adapters.support.errors import AwsError
from handler.domain.approval.token import callback_digest, read_token
from handler.domain.errors import ApprovalRefusedError, ConfigurationError, NoticeError
from tests.support.approvals import CALLBACK, DAY_MS, TestSigner, pending, token
from tests.support.payments import KEY


def test_a_token_is_bound_to_what_it_invites_to():
    world = pending()
    invitation = read_token(token(world), TestSigner(), world.clock.ms)
    item = world.item()
    assert invitation == (KEY, callback_digest(CALLBACK), item["request_hash"], "alice", item["approval_expires_at"])


def test_no_changed_or_truncated_token_is_read():
    world = pending()
    good = token(world)
    for at in range(len(good)):
        for changed in (good[:at], good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]):
            with pytest.raises(ApprovalRefusedError, match="not valid"):
                read_token(changed, TestSigner(), world.clock.ms)


@pytest.mark.parametrize("bad", ["", ".", "a.b", "é.é", "A" * 5000, "W10.W10", "\n", "a" * 100 + "." + "a" * 43])
def test_what_is_no_token_is_refused(bad):
    with pytest.raises(ApprovalRefusedError, match="not valid"):
        read_token(bad, TestSigner(), 0)


def test_a_token_of_another_key_or_time_is_refused():
    world = pending()
    for signer in (TestSigner(b"x" * 32), TestSigner(key_id="another")):
        with pytest.raises(ApprovalRefusedError, match="not valid"):
            read_token(token(world, signer=signer), TestSigner(), world.clock.ms)
    with pytest.raises(ApprovalRefusedError, match="expired"):
        read_token(token(world), TestSigner(), world.clock.ms + DAY_MS)


def test_a_key_file_must_be_long_and_private(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(ConfigurationError, match="can be read"):
        FileSigner(path)
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="32 random bytes"):
        FileSigner(path)
    path.write_bytes(b"k" * 32)
    assert FileSigner(path).check_mac(b"m", FileSigner(path).write_mac(b"m"))
    assert not FileSigner(path).check_mac(b"m", b"")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        FileSigner(path)


class FakeKms:
    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def generate_mac(self, *, KeyId: str, MacAlgorithm: str, Message: bytes) -> dict[str, Any]:
        return {"Mac": TestSigner().write_mac(Message)}

    def verify_mac(self, *, KeyId: str, MacAlgorithm: str, Message: bytes, Mac: bytes) -> dict[str, Any]:
        if self.fault or Mac != TestSigner().write_mac(Message):
            raise AwsError("VerifyMac", self.fault or "KMSInvalidMacException", "")
        return {"MacValid": True}


def test_a_key_in_kms_signs_and_verifies():
    signer = KmsSigner(FakeKms(), "arn:aws:kms:us-east-1:123456789012:key/1234")
    assert signer.key_id == "1234"
    assert signer.check_mac(b"m", signer.write_mac(b"m"))
    assert not signer.check_mac(b"x", signer.write_mac(b"m"))
    assert not signer.check_mac(b"m", b"")
    with pytest.raises(NoticeError):
        KmsSigner(FakeKms("AccessDeniedException"), "1234").check_mac(b"m", b"x" * 32)
