"""Who signed a request to the local page: a right signature over this very request, now, by a key that is known."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.approvals import identities
from local.approvals.identities import IDENTITIES, OPERATOR, signer

URL = "http://127.0.0.1:8080/approvals"
BODY = b'{"decision": "approve"}'


def signed(key: str = "test", secret: str = "test", service: str = "execute-api", **given: Any) -> dict[str, str]:
    request = AWSRequest("PUT", URL, data=BODY, headers={"Content-Type": "application/json", **given})
    SigV4Auth(Credentials(key, secret, "token"), service, given.get("region", "us-east-1")).add_auth(request)
    return {**dict(request.headers), "Host": "127.0.0.1:8080", "User-Agent": "curl"}


def test_a_right_signature_is_its_keys() -> None:
    found = signer("PUT", URL, signed(), BODY, IDENTITIES)
    assert found is not None
    assert (found["userArn"], found["accessKey"]) == (OPERATOR, "test")


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("POST", URL, {}, BODY),
        ("PUT", f"{URL}/other", {}, BODY),
        ("PUT", f"{URL}?a=b", {}, BODY),
        ("PUT", URL, {"Host": "127.0.0.1:9090"}, BODY),
        ("PUT", URL, {"Content-Type": "text/plain"}, BODY),
        ("PUT", URL, {}, BODY.replace(b"approve", b"reject")),
        ("PUT", URL, {"Authorization": ""}, BODY),
        ("PUT", URL, {"X-Amz-Date": "20200101T000000Z"}, BODY),
        ("PUT", URL, {"X-Amz-Date": "now"}, BODY),
        ("PUT", URL, {"X-Amz-Security-Token": "another"}, BODY),
    ],
)
def test_a_signature_is_good_for_its_own_request_alone(
    method: str, url: str, headers: dict[str, str], body: bytes
) -> None:
    assert signer(method, url, {**signed(), **headers}, body, IDENTITIES) is None


@pytest.mark.parametrize(
    "given",
    [{"key": "nobody"}, {"secret": "guessed"}, {"service": "sts"}, {"region": "eu-west-1"}],
    ids=["key", "secret", "service", "region"],
)
def test_another_key_secret_service_or_region_is_nobodys(given: dict[str, Any]) -> None:
    assert signer("PUT", URL, signed(**given), BODY, IDENTITIES) is None


def test_a_hash_of_another_body_is_not_believed() -> None:
    other = identities._hash(BODY.replace(b"approve", b"reject"))
    headers = signed(**{"X-Amz-Content-SHA256": other})
    assert signer("PUT", URL, headers, BODY, IDENTITIES) is None
    assert signer("PUT", URL, signed(**{"X-Amz-Content-SHA256": identities._hash(BODY)}), BODY, IDENTITIES)


def test_a_signature_is_good_for_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = signed()
    monkeypatch.setattr(identities, "_AGE_MAX", -identities._AGE_MAX)
    assert signer("PUT", URL, headers, BODY, IDENTITIES) is None
