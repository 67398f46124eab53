"""The webhook: only what Stripe signed lately is read, and all that it can lead to is one wake-up."""

from __future__ import annotations

import base64
import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stripe.params import _webhook_endpoint_create_params

import handler.webhook_function
from handler.adapters.webhook.stripe_events import TYPES
from handler.adapters.webhook.wake_ups import SqsWakeUps, read_wake_up
from handler.domain.errors import ConfigurationError, WakeUpNotQueuedError
from handler.domain.states import FINAL
from handler.domain.wake_up import WakeUp
from handler.settings import read_webhook_settings
from handler.webhook_composition import compose_webhook
from handler.webhook_function import BODY_BYTES_MAX
from tests.support.aws import stubbed
from tests.support.payments import FixedClock
from tests.support.webhook import (
    ARN,
    INTENT,
    METADATA,
    QUEUE,
    SECRET,
    Endpoint,
    SecretsManager,
    event,
    header,
    intent,
    refund,
)

DAY = 86_400
WOKEN = WakeUp(INTENT, "pay-abc123", "completed")


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


# ---- requests ----
def test_an_event_is_answered_once_its_wake_up_is_queued(endpoint):
    assert endpoint.send(event()) == (200, "queued")
    assert endpoint.queue.sent == [("evt_1Abc", WOKEN)]
    assert endpoint.metrics.counted == ["WebhookWakeUps"]


def test_an_event_whose_wake_up_cannot_be_queued_comes_again(endpoint):
    endpoint.queue.is_down = True
    assert endpoint.send(event()) == (503, "wake_up_not_queued")
    assert endpoint.metrics.counted == ["WebhookUnavailable"]


def test_a_body_in_base64_is_signed_over_its_bytes(endpoint):
    body = event(note="naïve")
    assert endpoint.post(base64.b64encode(body).decode(), header(body), is_base64=True)["statusCode"] == 200
    text = base64.b64encode(body)
    assert endpoint.post(text.decode(), header(text), is_base64=True)["body"]["reason_code"] == "signature_wrong"
    assert len(endpoint.queue.sent) == 1


def test_the_bytes_are_what_is_signed_and_not_what_they_mean(endpoint):
    body = json.dumps(json.loads(event()), indent=1, ensure_ascii=False).encode()
    assert endpoint.post(body.decode(), header(event()))["body"]["reason_code"] == "signature_wrong"
    assert endpoint.post(body.decode(), header(body))["statusCode"] == 200


@pytest.mark.parametrize(
    "body", ["{}", "[]", "null", "", "{", "[" * 100_000, '{"id": 1}', '{"id": "evt_1", "type": 1}']
)
def test_what_is_signed_and_no_event_is_refused(endpoint, body):
    assert endpoint.send(body.encode()) == (400, "event_malformed")
    assert endpoint.metrics.counted == ["WebhookRefused"]


@pytest.mark.parametrize(
    ("body", "is_base64", "reason"),
    [
        (None, False, "signature_wrong"),
        ("not base64", True, "event_malformed"),
        ("é", True, "event_malformed"),
        ("\ud800", False, "event_malformed"),
    ],
)
def test_a_body_that_is_none_is_refused(endpoint, body, is_base64, reason):
    answer = endpoint.post(body, header(b"something"), is_base64=is_base64)
    assert (answer["statusCode"], answer["body"]["reason_code"]) == (400, reason)


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 1_000_000, 1 << 20])
@pytest.mark.parametrize("is_base64", [False, True])
def test_a_body_that_is_too_large_is_refused_before_anything_is_read(endpoint, monkeypatch, size, is_base64):
    body = b"x" * size
    monkeypatch.setattr(handler.webhook_function, "check_signature", None)
    sent = base64.b64encode(body).decode() if is_base64 else body.decode()
    answer = endpoint.post(sent, header(body), is_base64=is_base64)
    assert (answer["statusCode"], answer["body"]["reason_code"]) == (413, "event_too_large")


@pytest.mark.parametrize("is_base64", [False, True])
def test_the_largest_body_is_read_and_characters_are_counted_by_their_bytes(endpoint, is_base64):
    def post(body):
        sent = base64.b64encode(body).decode() if is_base64 else body.decode()
        return endpoint.post(sent, header(body), is_base64=is_base64)["statusCode"]

    def of(size):
        return event(pad="").replace(b'"pad": ""', b'"pad": "' + b"x" * (size - len(event(pad=""))) + b'"')

    assert len(of(BODY_BYTES_MAX)) == BODY_BYTES_MAX
    assert post(of(BODY_BYTES_MAX)) == 200
    assert post(("é" * (BODY_BYTES_MAX // 2 + 1)).encode()) == 413


def test_a_request_without_a_signature_is_refused(endpoint):
    answer = endpoint.post(event().decode(), None)
    assert (answer["statusCode"], answer["body"]["reason_code"]) == (400, "signature_missing")
    assert endpoint.queue.sent == []


def test_an_answer_and_a_log_line_repeat_nothing_of_what_was_sent(endpoint, caplog):
    caplog.set_level(logging.DEBUG)
    secret_of_theirs = "4242424242424242"
    for body, signed in (
        (event(told=refund({"note": secret_of_theirs})), None),
        (event(note=secret_of_theirs, account=secret_of_theirs), None),
        (secret_of_theirs.encode(), None),
        (event(), secret_of_theirs),
    ):
        answer = endpoint.post(body.decode(), signed or header(body))
        assert secret_of_theirs not in json.dumps(answer)
    assert secret_of_theirs not in caplog.text
    assert SECRET not in caplog.text


# ---- what an event is about ----
def test_the_page_on_the_webhook_has_every_type_and_what_it_tells_of():
    page = (Path(handler.__path__[0]).parent / "docs" / "webhook.md").read_text()
    rows = re.findall(r"^ +\| `([a-z_.]+)` \| `?([a-z]*)`? ?\|$", page, re.MULTILINE)
    assert dict(rows) == TYPES


def test_every_type_of_interest_is_one_of_stripes():
    names = re.findall('"([a-z0-9_.]+)"', Path(_webhook_endpoint_create_params.__file__).read_text())
    assert set(TYPES) <= set(names)
    assert set(TYPES.values()) <= {*FINAL, ""}


@pytest.mark.parametrize("kind", [kind for kind in TYPES if not kind.startswith("payment_intent.")])
def test_a_refund_or_a_dispute_wakes_by_its_reference_alone(endpoint, kind):
    assert endpoint.send(event(kind, refund())) == (200, "queued")
    assert endpoint.queue.sent == [("evt_1Abc", WakeUp(INTENT))]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("payment_intent.succeeded", "completed"),
        ("payment_intent.payment_failed", "declined"),
        ("payment_intent.canceled", "declined"),
    ],
)
def test_an_intent_wakes_by_its_payment_id_and_tells_of_a_state(endpoint, kind, says):
    assert endpoint.send(event(kind)) == (200, "queued")
    assert endpoint.queue.sent == [("evt_1Abc", WakeUp(INTENT, "pay-abc123", says))]


def test_a_payment_id_that_is_none_of_ours_is_asked_for(endpoint):
    for payment_id in ("a b", "x" * 49, 7, None):
        assert endpoint.send(event(told=intent({**METADATA, "payment_id": payment_id}))) == (200, "queued")
    assert endpoint.send(event("refund.created", refund({"environment": "dev", "payment_id": "pay-1"})))[0] == 200
    assert endpoint.send(event("refund.created", refund({"payment_id": "pay-1"})))[0] == 200
    assert [wake_up.payment_id for _, wake_up in endpoint.queue.sent] == ["", "", "", "", "pay-1", ""]


def test_another_kind_of_event_is_ignored_and_not_counted(endpoint, caplog):
    caplog.set_level(logging.DEBUG)
    assert endpoint.send(event("payment_intent.created")) == (200, "ignored")
    assert (endpoint.queue.sent, endpoint.metrics.counted, caplog.records) == ([], [], [])


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (event(livemode=True), "mode"),
        (event(livemode=None), "mode"),
        (event(account="acct_1"), "account"),
        (event(told=intent({**METADATA, "environment": "prod"})), "environment"),
        (event(told=intent({"payment_id": "pay-abc123"})), "environment"),
        (event(told=intent(None)), "environment"),
        (event("refund.created", refund({"environment": "prod"})), "environment"),
        (event("refund.created", refund(gateway_ref=None)), "payment"),
        (event("refund.created", refund(gateway_ref="pi_" + "x" * 126)), "payment"),
        (event(told=intent(gateway_ref="pi_1/../x")), "payment"),
        (event(told=intent(gateway_ref=7)), "payment"),
    ],
)
def test_an_event_that_is_not_ours_is_ignored_counted_and_told_in_one_line(endpoint, caplog, body, what):
    caplog.set_level(logging.DEBUG)
    assert endpoint.send(body) == (200, "ignored")
    assert (endpoint.queue.sent, endpoint.metrics.counted) == ([], ["WebhookIgnored"])
    assert [record.getMessage() for record in caplog.records] == [f"evt_1Abc ignored: its {what} is not ours"]


def test_in_live_mode_events_of_test_mode_are_ignored():
    endpoint = Endpoint(mode="live")
    assert [endpoint.send(event(livemode=mode))[1] for mode in (True, False)] == ["queued", "ignored"]


# ---- the queue ----
def test_a_wake_up_goes_to_the_group_of_its_reference_once_for_its_event():
    with stubbed("standard", "sqs") as (client, stub):
        stub.add_response(
            "send_message",
            {"MessageId": "1"},
            {
                "QueueUrl": QUEUE,
                "MessageBody": '{"gateway_ref": "pi_3Abc", "payment_id": "pay-abc123", "says": "completed"}',
                "MessageGroupId": INTENT,
                "MessageDeduplicationId": "evt_1",
            },
        )
        stub.add_client_error("send_message", "AWS.SimpleQueueService.NonExistentQueue", "gone")
        SqsWakeUps(client, QUEUE).send(WOKEN, "evt_1")
        with pytest.raises(WakeUpNotQueuedError, match="evt_1"):
            SqsWakeUps(client, QUEUE).send(WOKEN, "evt_1")


def test_a_wake_up_is_read_as_it_was_sent_and_nothing_else_is_one():
    record = {"messageId": "1", "body": json.dumps(WOKEN._asdict())}
    assert read_wake_up(record) == WOKEN
    for body in ("", "[]", "{}", '{"gateway_ref": ""}', '{"gateway_ref": 1}', '{"gateway_ref": "a", "x": "b"}', "null"):
        with pytest.raises(ValueError, match=r"no wake-up|Expecting"):
            read_wake_up({**record, "body": body})


# ---- settings ----
GIVEN = {"ENVIRONMENT": "dev", "GATEWAY_MODE": "test", "WEBHOOK_SECRET_ARN": ARN, "WAKE_UP_QUEUE_URL": QUEUE}


def test_every_setting_of_the_webhook_must_be_given():
    made: list[str] = []
    clients = {"secretsmanager": SecretsManager(), "sqs": None}
    support: Any = SimpleNamespace(create_clients=lambda *_: lambda name: made.append(name) or clients[name])
    settings, secrets, _ = compose_webhook(GIVEN, support, FixedClock())
    assert (settings, secrets.now_good()) == (("dev", "test", ARN, QUEUE), [SECRET])
    # No table among them.
    assert made == ["secretsmanager", "sqs"]
    for name in ("GATEWAY_MODE", "WEBHOOK_SECRET_ARN", "WAKE_UP_QUEUE_URL"):
        with pytest.raises(ConfigurationError, match=f"{name} is not set"):
            compose_webhook({**GIVEN, name: ""}, support, FixedClock())
    with pytest.raises(ConfigurationError, match="WAKE_UP_QUEUE_URL is"):
        read_webhook_settings({**GIVEN, "WAKE_UP_QUEUE_URL": QUEUE.removesuffix(".fifo")})
