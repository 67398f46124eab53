"""The webhook on this machine: its route carries what was sent to its function, and its command what Stripe sends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from handler.adapters.webhook.stripe_events import TYPES, read_event
from local import webhook as command
from local.approvals.page import Page
from local.approvals.webhook import Webhook
from local.installation import ROOT
from local.loopback import ask
from local.resources import Names, Times
from tests.support.webhook import Endpoint, event, header


class Pool:
    """What API Gateway invokes: a function that answers in this process."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def invoke(self, given: bytes) -> Any:
        return SimpleNamespace(error_type=None, payload=json.dumps(self._function(json.loads(given), None)).encode())


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def page(endpoint: Endpoint) -> Iterator[Page]:
    served = Page()
    served.open(Pool(lambda *_: {"statusCode": 200, "headers": {}, "body": "the page"}), Pool(endpoint.function))  # type: ignore[arg-type]
    yield served
    served.close()


def send(
    page: Page, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    port = int(page.url.split(":")[2].partition("/")[0])
    status, answer, _ = ask(port, method, path, body, headers or {})
    return status, answer if isinstance(answer, bytes) else bytes(answer)


def test_an_event_reaches_the_function_with_its_bytes_and_its_signature(page, endpoint):
    body = event(note="naïve")
    status, answer = send(page, "POST", "/webhook", body, {"Stripe-Signature": header(body)})
    assert (status, json.loads(answer)) == (200, {"outcome": "queued"})
    assert len(endpoint.queue.sent) == 1
    assert page.webhook_url.endswith("/webhook")


def test_only_an_event_is_posted_there_and_the_page_stays_where_it_was(page, endpoint):
    assert send(page, "GET", "/webhook")[0] == 404
    assert send(page, "PUT", "/webhook")[0] == 404
    assert send(page, "GET", "/approvals") == (200, b"the page")
    assert endpoint.queue.sent == []


def test_without_a_webhook_there_is_no_such_route():
    served = Page()
    served.open(Pool(lambda *_: {"statusCode": 200, "headers": {}, "body": ""}))  # type: ignore[arg-type]
    try:
        assert (send(served, "POST", "/webhook")[0], served.webhook_url) == (404, "")
    finally:
        served.close()


@pytest.mark.parametrize("kind", TYPES)
def test_the_commands_event_wakes_the_payment_that_it_is_about(kind):
    body = json.dumps(command.event(kind, "pi_1", "pay-1", "dev")).encode()
    found = read_event(body, "dev", "test")
    assert found.wake_up is not None
    assert (found.wake_up.gateway_ref, found.wake_up.says) == ("pi_1", TYPES[kind])
    assert found.wake_up.payment_id == ("pay-1" if kind.startswith("payment_intent.") else "")


def test_the_command_says_what_it_needs(capsys, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "DYNAMODB_TABLE", "ENVIRONMENT", "WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    assert command.main(["--payment-id", "pay-1"]) == 1
    assert "--gateway stripe" in capsys.readouterr().err


def test_its_queues_are_called_as_terraform_calls_them():
    module = (ROOT / "terraform" / "modules" / "webhook" / "main.tf").read_text()
    [named] = re.findall(r'queue_name = "\$\{var.name_prefix\}(\S+)\$\{var.environment\}"', module)
    made: list[str] = []
    sqs = SimpleNamespace(
        create_queue=lambda QueueName, **_: made.append(QueueName) or {"QueueUrl": "u"},
        get_queue_attributes=lambda **_: {"Attributes": {"QueueArn": "a"}},
    )
    secrets = SimpleNamespace(create_secret=lambda **_: {"ARN": "arn"})
    system: Any = SimpleNamespace(
        names=Names("test"),
        times=Times(),
        clients={"sqs": sqs, "secretsmanager": secrets},
        gateway_variables={"GATEWAY_MODE": "test"},
    )
    Webhook(system)
    assert made == [f"{named}test-dlq.fifo", f"{named}test.fifo"]
