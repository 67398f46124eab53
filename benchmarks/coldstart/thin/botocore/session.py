"""DynamoDB and SQS by their JSON protocols over `http.client`, signed as "Signature Version 4" in AWS's IAM guide."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import ssl
import time
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

_TARGETS = {"dynamodb": "DynamoDB_20120810", "sqs": "AmazonSQS"}
_OPERATIONS = {
    "get_item": "GetItem",
    "put_item": "PutItem",
    "update_item": "UpdateItem",
    "send_message": "SendMessage",
    "change_message_visibility_batch": "ChangeMessageVisibilityBatch",
}


def get_session() -> _Session:
    return _Session()


class _Session:
    def create_client(self, service: str, region_name: str, verify: str | None, config: Any) -> _Client:
        return _Client(service, region_name)


class _Client:
    def __init__(self, service: str, region: str) -> None:
        url = os.environ.get("AWS_ENDPOINT_URL", f"https://{service}.{region}.amazonaws.com")
        self._service, self._region, self._host = service, region, urlsplit(url).netloc
        self._connection: HTTPSConnection | None = None

    def __getattr__(self, name: str) -> Any:
        operation = _OPERATIONS[name]
        return lambda **parameters: self._call(operation, parameters)

    def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(parameters).encode()
        try:
            if self._connection is None:
                context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
                self._connection = HTTPSConnection(self._host, timeout=1, context=context)
            self._connection.request("POST", "/", body, self._headers(operation, body))
            answer = self._connection.getresponse()
            document: dict[str, Any] = json.loads(answer.read())
        except OSError as error:
            raise BotoCoreError(str(error)) from error
        if answer.status != 200:
            code = document.get("__type", "").rpartition("#")[2]
            raise ClientError({"Error": {"Code": code, "Message": ""}, "Item": document.get("Item", {})}, operation)
        return document

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = f"{_TARGETS[self._service]}.{operation}"
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        signed = "host;x-amz-date;x-amz-target"
        canonical = (
            f"POST\n/\n\nhost:{self._host}\nx-amz-date:{stamp}\nx-amz-target:{target}\n\n{signed}\n"
            f"{hashlib.sha256(body).hexdigest()}"
        )
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
        for part in (stamp[:8], self._region, self._service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": target,
            "X-Amz-Date": stamp,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}",
        }
