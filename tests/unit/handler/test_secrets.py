"""Where the secrets come from: one client of Secrets Manager, and no longer than its caller waits."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from handler import composition
from handler.adapters.gateways.stripe import StripeGateway
from handler.adapters.secrets import read_by
from handler.adapters.table.memory import MemoryDynamoDb
from handler.domain.errors import ConfigurationError
from handler.settings import read_settings
from scoring.kernel import load_engine

ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
VARIABLES = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "REJECTED_QUEUE_URL": "http://127.0.0.1:1/000000000000/rejected",
    "FINGERPRINT_PEPPER_SECRET_ARN": f"{ARN}pepper",
    "GATEWAY": "stripe",
    "GATEWAY_MODE": "test",
    "GATEWAY_SECRET_ARN": f"{ARN}key",
    "CANONICAL_VERSION_WRITTEN": "2",
}


class SecretsManager:
    def __init__(self) -> None:
        self.read: list[str] = []

    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        self.read.append(SecretId.removeprefix(ARN))
        return {"SecretString": "sk_test_12345678", "VersionId": "1"}


def test_pepper_and_key_and_a_key_that_is_read_again_come_through_one_client(monkeypatch):
    made: list[SecretsManager] = []

    def client(session: Any, service: str, settings: Any) -> Any:
        if service == "secretsmanager":
            made.append(SecretsManager())
            return made[-1]
        return MemoryDynamoDb()

    monkeypatch.setattr(composition, "aws_client", client)
    services = composition.compose(read_settings(VARIABLES), load_engine("pure", "auto"), logging.getLogger(__name__))
    gateway = services.ports.gateway
    assert isinstance(gateway, StripeGateway)
    assert gateway._read_key() == "sk_test_12345678"
    assert [one.read for one in made] == [["pepper", "key", "key"]]


def test_what_fails_while_a_secret_is_read_is_told_to_whoever_waits_for_it():
    def refuse() -> str:
        raise ConfigurationError("GATEWAY_SECRET_ARN", None, "a secret")

    with pytest.raises(ConfigurationError, match="GATEWAY_SECRET_ARN"):
        read_by(time.monotonic() + 30, refuse)
