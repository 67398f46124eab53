"""Decisions of the command line, sent to the approval page's function and signed with the caller's AWS credentials.

The rule it keeps: the signature alone says who decides; nothing in the request does, and no other service is asked.
Source: "AWS Signature Version 4 for API requests", IAM User Guide; "Control access to HTTP APIs with IAM
authorization", API Gateway Developer Guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.session import get_session
from botocore.utils import get_environ_proxies

from handler.adapters.support.errors import AwsError
from handler.domain.errors import ApprovalRefusedError, ApprovalWakeError, ConfigurationError

_OPERATION: Final = "decide"
_UNKNOWN: Final = "it is not known whether the decision stands: send it again, as the same one counts once"
# An HTTP API ends what takes 30 seconds.
_TIMEOUT_SECONDS: Final = 35


class DecisionApi:
    """PUT on the page's own address, a route that API Gateway opens for a known signature alone."""

    def __init__(self, url: str, region: str, environment: str) -> None:
        self._url = url
        self._region = region
        self._environment = environment

    def decide(self, payment: str, decision: str, comment: str) -> Mapping[str, str]:
        """Decide as whoever holds the credentials in use; returns transaction_id, decision, decided_by and comment.

        Raises ApprovalRefusedError and ApprovalWakeError as the function does, AwsError where it gave no answer, and
        ConfigurationError where there is nothing to ask or nothing to sign with.
        """
        asked = {"environment": self._environment, "payment": payment, "decision": decision, "comment": comment}
        status, answer = self._send(json.dumps(asked).encode())
        reason_code, message = str(answer.get("reason_code", "")), str(answer.get("message", ""))
        if status == 200 and "decided_by" in answer:
            return answer
        if reason_code == ApprovalWakeError.reason_code:
            raise ApprovalWakeError(message)
        if reason_code and status < 500:
            raise ApprovalRefusedError(reason_code, message)
        if status == 403:
            raise ApprovalRefusedError("not_allowed")
        if status in (404, 405):
            allowed = "output approval_page_url of an environment whose page takes decisions of the command line"
            raise ConfigurationError("APPROVAL_PAGE_URL", self._url, allowed)
        if status == 429:
            raise AwsError(_OPERATION, "429", "too many requests: nothing was decided; try again in a minute")
        raise AwsError(_OPERATION, str(status), "; ".join(filter(None, (message, _UNKNOWN))))

    def _send(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of the answer, empty where it is none."""
        session = get_session()
        credentials = session.get_credentials()
        if credentials is None:
            raise ConfigurationError("AWS_ACCESS_KEY_ID", None, "credentials that botocore finds")
        request = AWSRequest("PUT", self._url, data=body, headers={"Content-Type": "application/json"})
        http = URLLib3Session(
            verify=session.get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(self._url),
            timeout=_TIMEOUT_SECONDS,
        )
        try:
            SigV4Auth(credentials.get_frozen_credentials(), "execute-api", self._region).add_auth(request)
            answer = http.send(request.prepare())
        except BotoCoreError as error:
            raise AwsError(_OPERATION, "", f"{error}; {_UNKNOWN}") from error
        finally:
            http.close()
        try:
            document = json.loads(answer.content)
        except ValueError:
            document = {}
        return answer.status_code, document if isinstance(document, dict) else {}
