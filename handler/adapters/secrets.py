"""Secrets that a person set: the optional pepper of the fingerprint, and the payment gateway's key.

Each is read by itself, over one connection. BatchGetSecretValue would save a round trip where there are both, but it
takes no resource in a policy ("Actions, resources, and condition keys for AWS Secrets Manager"), so a function that may
read two secrets would be allowed an action on `*`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.domain.errors import ConfigurationError


def read_pepper(client: Any, secret_arn: str) -> tuple[bytes, str]:
    """The secret's current value and its version id. Raises ConfigurationError, as no payment may be scored without."""
    try:
        answer = client.get_secret_value(SecretId=secret_arn)
    except AwsError as error:
        raise ConfigurationError(
            "FINGERPRINT_PEPPER_SECRET_ARN", secret_arn, f"a secret that the function may read ({error})"
        ) from error
    value = answer.get("SecretBinary") or answer.get("SecretString", "").encode()
    version: str = answer.get("VersionId", "")
    if not value or not version:
        raise ConfigurationError("FINGERPRINT_PEPPER_SECRET_ARN", secret_arn, "a secret that is not empty")
    return value, version


def read_text(client: Any, secret_arn: str) -> str:
    """The current text of the gateway's secret. Raises ConfigurationError, which shows nothing of it."""
    try:
        return str(client.get_secret_value(SecretId=secret_arn).get("SecretString", ""))
    except AwsError as error:
        raise ConfigurationError(
            "GATEWAY_SECRET_ARN", secret_arn, f"a secret that the function may read ({error})"
        ) from error


def read_by(deadline: float, read: Callable[[], str]) -> str:
    """What `read` gives by `deadline` (of time.monotonic). Raises TimeoutError, and what `read` raises.

    In a thread: botocore's time-outs are of one connect and one read, and with its retries they add up to more.
    """
    # Of no use to an environment whose key is never refused.
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(1)
    reading = executor.submit(read)
    # A read that is given up ends by itself.
    executor.shutdown(wait=False)
    return reading.result(max(0.0, deadline - time.monotonic()))
