"""What an approval's functions are made of: wrong settings are named, and deciding needs less than charging."""

from __future__ import annotations

import pytest

from handler import approval_page
from handler.approval_composition import compose_decisions, compose_workflow
from handler.domain.errors import ConfigurationError
from handler.settings import read_approval_settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("APPROVAL_TIMEOUT_SECONDS", "0"),
        ("APPROVAL_TIMEOUT_SECONDS", "90000"),
        ("APPROVAL_TOPIC_ARN", "topic"),
        ("APPROVAL_PAGE_URL", "ftp://x"),
        ("APPROVERS", "alice, b ob"),
        ("FRAUD_SERVICE_FAILURE_RATE", "1.5"),
    ],
)
def test_a_wrong_setting_of_the_workflow_is_named(variable, value):
    with pytest.raises(ConfigurationError, match=variable):
        read_approval_settings({variable: value})


@pytest.mark.usefixtures("credentials")
def test_deciding_needs_no_gateway_in_production_and_charging_does():
    variables = {"ENVIRONMENT": "prod", "AWS_REGION": "us-east-1", "SCORING_ENGINE": "pure"}
    assert compose_decisions(variables).environment == "prod"
    with pytest.raises(ConfigurationError, match="GATEWAY is not set"):
        compose_workflow(variables)


def test_a_page_without_a_key_is_refused():
    with pytest.raises(ConfigurationError, match="APPROVAL_KEY_ID"):
        compose_workflow({"SCORING_ENGINE": "pure", "APPROVAL_PAGE_URL": "https://pay.example/approvals"})


@pytest.mark.usefixtures("credentials")
def test_a_page_that_is_not_told_who_approves_is_refused_at_init(tmp_path):
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o600)
    variables = {"AWS_REGION": "us-east-1", "SCORING_ENGINE": "pure", "APPROVAL_KEY_ID": f"file:{tmp_path / 'key'}"}
    with pytest.raises(ConfigurationError, match="APPROVERS is not set"):
        approval_page._create(variables)
    # Nobody is an answer.
    assert callable(approval_page._create({**variables, "APPROVERS": ""}))
