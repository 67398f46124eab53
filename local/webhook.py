"""`python -m local webhook`: an event about a payment of the running system, signed as Stripe signs, and its answer.

The rule: what it sends is what Stripe would send; it asks for nothing that only this machine has but the secret.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import secrets
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from handler.adapters.webhook.stripe_events import TYPES
from local.approvals.webhook import secret_name
from local.loopback import ask
from local.system import client

_NEEDED = ("AWS_ENDPOINT_URL", "DYNAMODB_TABLE", "ENVIRONMENT", "WEBHOOK_URL")


def main(arguments: list[str]) -> int:
    """Send one event; 0 where it was answered with 200, 1 where not, or where there is nothing to send it to."""
    parser = argparse.ArgumentParser(prog="python -m local webhook", description="Send one event of the gateway.")
    parser.add_argument("--payment-id", required=True)
    parser.add_argument("--type", choices=TYPES, default="payment_intent.succeeded", help="(%(default)s)")
    options = parser.parse_args(arguments)
    missing = [name for name in _NEEDED if not os.environ.get(name)]
    if missing:
        said = "take the lines that `make up ARGS='--gateway stripe'` prints"
        print(f"local webhook: {', '.join(missing)}: not set; {said}", file=sys.stderr)
        return 1
    try:
        body, header = _signed(options.payment_id, options.type)
    except (ClientError, BotoCoreError, LookupError) as error:
        print(f"local webhook: {error}", file=sys.stderr)
        return 1
    url = urlsplit(os.environ["WEBHOOK_URL"])
    status, answer, _ = ask(url.port or 80, "POST", url.path, body, {"Stripe-Signature": header})
    print(status, answer.decode())
    return 0 if status == 200 else 1


def _signed(payment_id: str, kind: str) -> tuple[bytes, str]:
    """An event's body and its signature. Raises boto3's errors, LookupError for a payment without a reference."""
    endpoint, environment = os.environ["AWS_ENDPOINT_URL"], os.environ["ENVIRONMENT"]
    key = {"transaction_id": {"S": f"txn-{payment_id}"}}
    item = client("dynamodb", endpoint).get_item(TableName=os.environ["DYNAMODB_TABLE"], Key=key).get("Item", {})
    if "gateway_ref" not in item:
        raise LookupError(f"there is no payment {payment_id} with a reference at the gateway")
    found = client("secretsmanager", endpoint).get_secret_value(SecretId=secret_name(environment))
    body = json.dumps(event(kind, item["gateway_ref"]["S"], payment_id, environment)).encode()
    return body, signature(body, found["SecretString"], int(time.time()))


def signature(body: bytes, secret: str, now_seconds: int) -> str:
    """The header ("Verify webhook signatures manually")."""
    digest = hmac.new(secret.encode(), f"{now_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now_seconds},v1={digest}"


def event(kind: str, gateway_ref: str, payment_id: str, environment: str) -> dict[str, Any]:
    """As Stripe sends it ("The Event object"): a refund's and a dispute's object has not the intent's metadata."""
    told: dict[str, Any]
    if kind.startswith("payment_intent."):
        metadata = {"payment_id": payment_id, "environment": environment}
        told = {"id": gateway_ref, "object": "payment_intent", "metadata": metadata}
    else:
        name, prefix = ("dispute", "du") if ".dispute." in kind else ("refund", "re")
        told = {"id": f"{prefix}_{secrets.token_hex(8)}", "object": name, "payment_intent": gateway_ref, "metadata": {}}
    return {
        "id": f"evt_{secrets.token_hex(12)}",
        "object": "event",
        "created": int(time.time()),
        "livemode": False,
        "type": kind,
        "data": {"object": told},
    }
