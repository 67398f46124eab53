"""Settings that name a thing of AWS's have the shape that AWS gives it; anything else fails init."""

from __future__ import annotations

import pytest

from handler.domain.errors import ConfigurationError
from handler.settings import SETTINGS, read_approval_settings, read_settings

ROWS = {setting.name: setting for setting in SETTINGS}
_QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/payments.fifo"
_ACCOUNT = "us-east-1:123456789012"
# What names a thing of AWS's, with what it is and what it must not be.
SHAPES: dict[str, tuple[list[str], list[str]]] = {
    "AWS_REGION": (["eu-central-1", "us-gov-west-1"], ["us-east", "arn:aws:x", "US-EAST-1"]),
    "DYNAMODB_TABLE": (["abc", f"arn:aws:dynamodb:{_ACCOUNT}:table/payments.x_1"], ["ab", "a/b", "a" * 256, "a:b"]),
    **dict.fromkeys(
        ("PAYMENT_QUEUE_URL", "REJECTED_QUEUE_URL"),
        (
            [_QUEUE_URL, _QUEUE_URL.replace(".fifo", ""), "http://127.0.0.1:4566/000000000000/payments.fifo"],
            [
                "https://sqs.us-east-1.amazonaws.com",
                f"{_QUEUE_URL}/more",
                f"{_QUEUE_URL}?x=1",
                _QUEUE_URL.replace("https", "http"),
                _QUEUE_URL.replace("123456789012", "12345"),
                f"arn:aws:sqs:{_ACCOUNT}:payments.fifo",
            ],
        ),
    ),
    "FINGERPRINT_PEPPER_SECRET_ARN": ([], ["pepper", f"arn:aws:kms:{_ACCOUNT}:key/pepper"]),
    "APPROVAL_FUNCTION_ARN": (
        [
            f"arn:aws:lambda:{_ACCOUNT}:function:payment-processor-dev:live",
            f"arn:aws-us-gov:lambda:{_ACCOUNT}:function:payment-processor-dev:7",
            "payment-processor-dev:live",
        ],
        [
            "payment-processor-dev",
            f"arn:aws:lambda:{_ACCOUNT}:function:payment-processor-dev",
            f"arn:aws:lambda:{_ACCOUNT}:function:payment-processor-dev:",
            f"arn:aws:sns:{_ACCOUNT}:function:payment-processor-dev:live",
            f"{'f' * 65}:live",
            "nonsense !!",
        ],
    ),
    "APPROVAL_KEY_ID": (
        [
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            f"mrk-{'0' * 32}",
            "alias/approvals",
            f"arn:aws:kms:{_ACCOUNT}:alias/approvals",
            f"arn:aws:kms:{_ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        ],
        ["approvals", "file:", f"arn:aws:kms:{_ACCOUNT}:approvals", f"arn:aws:sns:{_ACCOUNT}:alias/approvals"],
    ),
    "APPROVERS": (
        [
            "alice@example.com",
            "arn:aws:iam::123456789012:root",
            "arn:aws:iam::123456789012:user/people/alice+b@example.com",
            "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Approver_0123456789abcdef/alice@example.com",
            "alice@example.com,arn:aws:iam::123456789012:user/bob",
        ],
        [
            # Whoever takes it on: that is nobody.
            "arn:aws:iam::123456789012:role/approver",
            "arn:aws:iam::12345:user/alice",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:sts::123456789012:assumed-role/",
            "arn:aws:iam:us-east-1:123456789012:user/alice",
        ],
    ),
    "APPROVAL_TOPIC_ARN": ([f"arn:aws:sns:{_ACCOUNT}:approvals"], ["approvals", f"arn:aws:sqs:{_ACCOUNT}:approvals"]),
}


def init(variables: dict[str, str]) -> None:
    """As far as the functions read their settings."""
    read_settings(variables)
    read_approval_settings(variables)


CASES = {
    taken: [(name, value) for name, both in SHAPES.items() for value in both[not taken]] for taken in (True, False)
}


@pytest.mark.parametrize(("name", "value"), CASES[True])
def test_a_thing_of_awss_is_named_as_aws_names_it(name, value):
    assert ROWS[name].kind.takes(value)


@pytest.mark.parametrize(("name", "value"), CASES[False])
def test_what_names_no_thing_of_awss_fails_init_and_the_variable_is_named(name, value):
    with pytest.raises(ConfigurationError, match=f"^{name} is"):
        init({name: value})
