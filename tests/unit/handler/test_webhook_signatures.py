"""Signatures of events: what Stripe signed lately is good, by its own library too, and nothing else.

Invariant: a secret that was replaced is good for a day more, in environments that live on as well.
"""

from __future__ import annotations

import hmac
import time

import pytest
import stripe

from handler.adapters.support.errors import AwsError
from handler.adapters.webhook.signing_secrets import SigningSecrets
from handler.adapters.webhook.stripe_events import check_signature
from handler.domain.errors import ConfigurationError, WebhookRefusedError
from tests.support.payments import FixedClock
from tests.support.webhook import ARN, BEFORE, NOW, OTHER, SECRET, Endpoint, SecretsManager, event, header, signature

DAY = 86_400


# ---- signatures ----
def verdict(signed: str, body: bytes, now: int, secret: str = SECRET) -> str:
    try:
        check_signature(signed, body, [secret], now)
    except WebhookRefusedError as error:
        return error.reason_code
    return ""


def judged(signed: str, body: bytes) -> bool:
    """What Stripe's own library says, by this machine's clock."""
    try:
        return stripe.WebhookSignature.verify_header(body.decode(), signed, SECRET, 300)
    except (stripe.SignatureVerificationError, TypeError, ValueError):
        return False


def headers(now: int) -> dict[str, tuple[str, str]]:
    """By what they are: a header over `event()`, and what we say of it."""
    body = event()
    good, wrong = signature(body, now=now), "0" * 64
    return {
        "good": (header(body, now=now), ""),
        "of two secrets": (header(body, OTHER, SECRET, now=now), ""),
        "with an older scheme": (f"t={now},v0={wrong},v1={good}", ""),
        "with spaces": (f"t={now}, v1={good}", "signature_malformed"),
        "nearly old": (header(body, now=now - 290), ""),
        "a little ahead": (header(body, now=now + 290), ""),
        "old": (header(body, now=now - 301), "signature_old"),
        "of another secret": (header(body, OTHER, now=now), "signature_wrong"),
        "of another body": (header(body + b" ", now=now), "signature_wrong"),
        "of another time": (f"t={now - 1},v1={good}", "signature_wrong"),
        "of an older scheme alone": (f"t={now},v0={good}", "signature_malformed"),
        "in capitals": (f"t={now},v1={good.upper()}", "signature_malformed"),
        "cut": (f"t={now},v1={good[:-1]}", "signature_malformed"),
        "without a time": (f"v1={good}", "signature_malformed"),
        "with a time that is none": (f"t=now,v1={good}", "signature_malformed"),
        "without a signature": (f"t={now}", "signature_malformed"),
        "with a part that is none": (f"t={now},v1,v1={good}", "signature_malformed"),
        "empty": ("", "signature_missing"),
        "beyond ASCII": (f"t={now},v1={'é' * 64}", "signature_malformed"),
    }


@pytest.mark.parametrize("name", headers(NOW))
def test_a_signature_is_judged_as_by_stripes_own_library(name):
    now = int(time.time())
    signed, expected = headers(now)[name]
    assert verdict(signed, event(), now) == expected
    assert judged(signed, event()) == (not expected)


def test_a_signature_of_a_time_to_come_is_refused_which_stripes_own_library_takes():
    assert verdict(header(event(), now=NOW + 300), event(), NOW) == ""
    assert verdict(header(event(), now=NOW + 301), event(), NOW) == "signature_old"


def test_a_header_with_two_times_with_digits_of_another_script_or_without_end_is_refused():
    body = event()
    thai = str(NOW).translate({48 + digit: 0xE50 + digit for digit in range(10)})
    assert verdict(f"t={thai},v1={signature(body)}", body, NOW) == "signature_malformed"
    assert verdict(f"t={NOW - 400},t={NOW},v1={signature(body)}", body, NOW) == "signature_malformed"
    assert verdict(header(body) + f",v1={'0' * 64}" * 30, body, NOW) == "signature_malformed"


def test_every_signature_is_compared_with_every_secret_in_a_time_that_says_nothing(monkeypatch):
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *texts: compared.append(texts) or compare(*texts))
    body = event()
    check_signature(header(body, SECRET, OTHER), body, [SECRET, BEFORE], NOW)
    own, given = ([signature(body, secret) for secret in secrets] for secrets in ((SECRET, BEFORE), (SECRET, OTHER)))
    assert sorted(compared) == sorted((one, other) for one in own for other in given)


# ---- secrets ----
def test_for_a_day_both_secrets_are_good_and_then_the_current_one_alone():
    endpoint = Endpoint((SECRET, NOW), (BEFORE, NOW - 10**6))
    assert endpoint.send(event(), [BEFORE]) == endpoint.send(event(), [SECRET]) == (200, "queued")
    assert endpoint.send(event(), [BEFORE, SECRET]) == (200, "queued")
    assert endpoint.send(event(), [OTHER]) == (400, "signature_wrong")
    endpoint.clock.ms += 1000 * DAY - 1
    assert endpoint.send(event(), [BEFORE]) == (200, "queued")
    endpoint.clock.ms += 1
    assert endpoint.send(event(), [BEFORE]) == (400, "signature_wrong")
    assert endpoint.send(event(), [SECRET]) == (200, "queued")


def test_a_secret_that_was_changed_is_read_again_when_a_signature_does_not_fit():
    endpoint = Endpoint((BEFORE, NOW - DAY))
    endpoint.secrets.values.insert(0, (SECRET, NOW))
    endpoint.clock.ms += 60_000
    assert endpoint.send(event()) == (200, "queued")
    assert endpoint.secrets.reads == 2


def test_what_nobody_signed_has_the_secret_read_once_in_a_minute():
    endpoint = Endpoint()
    for _ in range(5):
        endpoint.clock.ms += 59_000
        endpoint.send(event(), [OTHER])
    assert endpoint.secrets.reads == 3


def test_a_secret_that_was_replaced_ends_within_an_hour_in_environments_that_live_on():
    endpoint = Endpoint((BEFORE, NOW - 10 * DAY))
    endpoint.secrets.values.insert(0, (SECRET, NOW - 2 * DAY))
    endpoint.clock.ms += 3_599_999
    assert endpoint.send(event(), [BEFORE])[0] == 200
    endpoint.clock.ms += 1
    assert endpoint.send(event(), [BEFORE]) == (400, "signature_wrong")


def test_a_secret_that_cannot_be_read_again_leaves_the_known_one_good(caplog):
    endpoint = Endpoint()
    endpoint.secrets.fault = AwsError("GetSecretValue", "", "no answer")
    endpoint.clock.ms += 3_600_000
    assert endpoint.send(event()) == endpoint.send(event()) == (200, "queued")
    assert (endpoint.secrets.reads, caplog.text.count("was not read again")) == (2, 1)


def test_a_secret_that_is_none_fails_init_and_is_not_shown():
    for text in (
        "",
        "sk_test_12345678901234567890",
        '{"secret": "whsec_1234567890123456"}',
        f"{SECRET}\n",
        "whsec_short",
    ):
        with pytest.raises(ConfigurationError, match="WEBHOOK_SECRET_ARN is 'a secret that is no") as raised:
            SigningSecrets(SecretsManager((text, NOW)), ARN, FixedClock())
        assert not text or text.strip() not in str(raised.value)
    secrets = SecretsManager()
    secrets.fault = AwsError("GetSecretValue", "AccessDeniedException", "no")
    with pytest.raises(ConfigurationError, match="a secret that the function may read"):
        SigningSecrets(secrets, ARN, FixedClock())


def test_a_value_before_that_is_no_secret_is_never_good():
    endpoint = Endpoint((SECRET, NOW), ("made by alice", NOW - 1))
    assert endpoint.send(event(), ["made by alice"]) == (400, "signature_wrong")
    assert endpoint.send(event()) == (200, "queued")
