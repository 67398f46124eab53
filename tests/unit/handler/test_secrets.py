"""Where the secrets come from: one client of Secrets Manager, and no longer than its caller waits."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest

from handler.adapters.gateways.stripe import StripeGateway
from handler.adapters.secrets import read_by, read_pepper
from handler.adapters.table.memory import MemoryDynamoDb
from handler.composition import compose
from handler.domain.errors import ConfigurationError
from handler.settings import read_settings
from handler.support import load_support
from scoring.kernel import load_engine
from tests.support.aws import SUPPORTS

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


def test_pepper_and_key_and_a_key_that_is_read_again_come_through_the_client_that_is_kept():
    secrets = SecretsManager()

    def aws_client(service: str) -> Any:
        return secrets if service == "secretsmanager" else MemoryDynamoDb()

    services = compose(read_settings(VARIABLES), load_engine("pure", "auto"), logging.getLogger(__name__), aws_client)
    gateway = services.ports.gateway
    assert isinstance(gateway, StripeGateway)
    assert gateway._read_key() == "sk_test_12345678"
    assert secrets.read == ["pepper", "key", "key"]


@pytest.mark.parametrize(
    "answer", [{}, {"VersionId": "1"}, {"SecretString": "pepper"}, {"SecretString": "", "VersionId": "1"}]
)
def test_an_answer_without_a_pepper_fails_by_the_name_of_its_secret(answer):
    client = mock.Mock(get_secret_value=lambda SecretId: answer)
    with pytest.raises(ConfigurationError, match=r"^FINGERPRINT_PEPPER_SECRET_ARN is "):
        read_pepper(client, f"{ARN}pepper")


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("support", SUPPORTS)
def test_a_support_keeps_the_one_client_of_a_service_for_all_threads(support):
    aws_client = load_support(support).create_clients("us-east-1", None)
    with ThreadPoolExecutor(8) as threads:
        clients = set(threads.map(aws_client, ["secretsmanager"] * 8 + ["sqs"]))
    assert len(clients) == 2


def test_what_fails_while_a_secret_is_read_is_told_to_whoever_waits_for_it():
    def refuse() -> str:
        raise ConfigurationError("GATEWAY_SECRET_ARN", None, "a secret")

    with pytest.raises(ConfigurationError, match="GATEWAY_SECRET_ARN"):
        read_by(time.monotonic() + 30, refuse)
