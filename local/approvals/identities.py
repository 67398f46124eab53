"""Who signed a request, as API Gateway's authorization AWS_IAM finds out, among the identities that this machine knows.

The rule: a signature is right for this very request and this hour, or it is nobody's; no other service is asked.
Source: "AWS Signature Version 4 for API requests", IAM User Guide.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.ministack import ACCOUNT, CREDENTIALS, REGION

SERVICE = "execute-api"
_AGE_MAX = timedelta(minutes=5)
_AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{{8}})/{REGION}/{SERVICE}/aws4_request, *"
    r"SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})"
)


class Identity(NamedTuple):
    """An access key's secret, and whose it is."""

    secret: str
    arn: str


#: The credentials that the local system hands out, under the name that its STS has for them.
OPERATOR = f"arn:aws:iam::{ACCOUNT}:root"
IDENTITIES: Mapping[str, Identity] = {
    CREDENTIALS["AWS_ACCESS_KEY_ID"]: Identity(CREDENTIALS["AWS_SECRET_ACCESS_KEY"], OPERATOR)
}


def signer(
    method: str, url: str, headers: Mapping[str, str], content: bytes, known: Mapping[str, Identity]
) -> dict[str, str] | None:
    """`requestContext.authorizer.iam` of a request, or None where nobody known has signed it; `headers` by any case."""
    given = {name.lower(): value for name, value in headers.items()}
    found = _AUTHORIZATION.fullmatch(given.get("authorization", ""))
    if found is None or found[1] not in known:
        return None
    key, names, stamp = found[1], found[3].split(";"), given.get("x-amz-date", "")
    if not set(names) <= given.keys() or not _is_now(stamp) or stamp[:8] != found[2]:
        return None
    # What the client says of its body's hash is signed, and need not be the body's.
    if given.get("x-amz-content-sha256", _hash(content)) != _hash(content):
        return None
    # It signs the host, too, whether `names` has it or not, and what is signed begins with the time.
    request = AWSRequest(method, url, data=content, headers={name: given[name] for name in names})
    request.context["timestamp"] = stamp
    auth = SigV4Auth(Credentials(key, known[key].secret), SERVICE, REGION)
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if not hmac.compare_digest(expected, found[4]):
        return None
    return {"accessKey": key, "accountId": ACCOUNT, "callerId": key, "userArn": known[key].arn, "userId": key}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_now(stamp: str) -> bool:
    try:
        then = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(datetime.now(UTC) - then) <= _AGE_MAX
