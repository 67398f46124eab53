"""`payments approvals` on the command line, and what it says in the same words as the page and the message."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import urlencode

import pytest

from handler import approval_composition as composition
from handler.adapters.approval.notices import SnsNotices
from handler.adapters.approval.page import question
from handler.domain.approval.ports import PATIENCE_MS
from handler.domain.approval.view import Earlier
from handler.domain.errors import ConfigurationError
from handler.domain.reasons import sentence
from local.ministack import CREDENTIALS
from operations import __main__ as cli
from tests.support.approvals import (
    CALLBACK,
    DAY_MS,
    TOPIC,
    ApprovalWorld,
    DirectApi,
    RecordingTopic,
    decisions,
    pending,
    queued,
    token,
    unscored,
    visit,
)
from tests.support.payments import KEY, body


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `payments approvals ...` over a world; returns exit code, output and errors."""

    def run(world: ApprovalWorld, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(composition, "compose_decisions", lambda environment: decisions(world))
        monkeypatch.setattr(composition, "compose_decision_api", lambda environment: DirectApi(world))
        monkeypatch.setattr(
            type(world.log),
            "open_transaction_ids",
            lambda self, status: iter([key for key in world.dynamodb.items if world.item(key)["status"] == status]),
        )
        answered = ["--yes"] if arguments[0] in ("approve", "reject") else []
        code = cli.main(["approvals", *arguments, *answered], {})
        return code, *capsys.readouterr()

    return run


def test_the_list_shows_what_waits(command):
    world = pending()
    code, output, _ = command(world, "list")
    assert code == 0
    assert [word in output for word in (KEY, "9999.99 USD", "cust-456", "70", "24 h 0 min", "risk")] == [True] * 6
    code, output, _ = command(world, "list", "--json")
    assert json.loads(output)["transaction_id"] == KEY
    world.change(status="expired")
    assert command(world, "list")[1] == "No payment waits for a decision.\n"


def test_a_payment_that_nobody_was_asked_about_has_no_time_left_and_none_that_is_over(command):
    world = queued()
    row = command(world, "list")[1].splitlines()[1]
    assert re.split(r" {2,}", row)[-2:] == ["-", "not asked yet"]
    assert "time left     -\n" in command(world, "show", "pay-abc123")[1]
    page = question(world.stored(), Earlier(), "token", "alice", world.clock.ms)
    assert '<p class="left">Nobody was asked yet</p>' in page
    assert "expired" not in page + row


def test_approving_what_nobody_was_asked_about_says_so(command):
    code, _, errors = command(queued(), "approve", KEY, "--reason", "called the customer")
    assert code == 1
    assert f"Nobody was asked about {KEY} yet; its workflow has not taken it up." in errors


def test_show_tells_the_reasons(command):
    output = command(pending(), "show", "pay-abc123")[1]
    assert "risk          70 %  The amount, 9999.99 USD\n" in output


def test_show_and_page_tell_the_same_of_the_customer_and_of_what_rules_hit(command):
    world = pending(risky=body(amount=9999.99, customer_name="Jane Doe", customer_email="jane@mailinator.com"))
    reason = {"rule_id": 1001, "reason": "Disposable mailbox", "parts": 7}
    hit = {"rule_id": 1001, "weight": 3500, "field": "customer_email", "text": "jane@mailinator.com"}
    world.change(risk_reasons=[reason], shown={"name": "Jane Doe", "email": "jane@mailinator.com", "hits": [hit]})
    shown = command(world, "show", "pay-abc123")[1]
    page = visit(world, query=urlencode({"t": token(world)}))["body"]
    for text in (
        "Jane Doe",
        "jane@mailinator.com",
        "Disposable mailbox (rule 1001)",
        "35 %",
        "2023-11-15 22:13:20 UTC",
    ):
        assert (text in shown, text in page) == (True, True), text


def test_show_says_local_time_beside_utc_where_it_is_another(command, monkeypatch):
    world = pending()
    shown = {}
    for zone in ("UTC", "Asia/Kolkata"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        shown[zone] = command(world, "show", "pay-abc123")[1]
    monkeypatch.undo()
    time.tzset()
    assert "decide until  2023-11-15 22:13:20 UTC\n" in shown["UTC"]
    assert "decide until  2023-11-15 22:13:20 UTC (Thu 16 Nov 03:43 IST)\n" in shown["Asia/Kolkata"]


def test_page_message_and_command_say_why_a_person_is_asked_in_the_same_words(command):
    world = pending()
    topic = RecordingTopic()
    SnsNotices(topic, TOPIC, (), "", None).ask("m-1", world.stored(), CALLBACK)
    page = visit(world, query=urlencode({"t": token(world)}))["body"]
    shown = command(world, "show", "pay-abc123")[1]
    assert world.item()["approval_reasons"] == ["risk"]
    for text in (page, shown, topic.published[0]["Message"]):
        assert sentence("risk") in text


def test_show_tells_why_a_payment_ended(command):
    world = pending()
    world.change(status="rejected", reason_code="approval_rejected", processed_at="2024-01-01T12:00:00Z")
    assert f"{sentence('approval_rejected')} (approval_rejected)\n" in command(world, "show", "pay-abc123")[1]


def test_a_fraud_check_that_did_not_answer_is_shown_as_no_score_and_never_as_the_highest(command):
    world = unscored()
    item = world.item()
    # What routing needs.
    assert (item["risk"], item["fraud_score"], item["risk_reasons"]) == (10**9, 100, [])
    topic = RecordingTopic()
    SnsNotices(topic, TOPIC, (), "", None).ask("m-1", world.stored(), CALLBACK)
    page = visit(world, query=urlencode({"t": token(world)}))["body"]
    shown = command(world, "show", "pay-abc123")[1]
    for text in (page, shown, topic.published[0]["Message"]):
        assert "no score: the fraud check did not answer" in text
        assert "100 of 100" not in text
    row = command(world, "list")[1].splitlines()[1].split()
    assert "none" in row
    assert "100" not in row


def test_a_payment_that_was_never_scored_is_shown_without_a_score(command):
    world = pending()
    world.change(fraud_score=None, risk=None, risk_reasons=None)
    assert "fraud score   -\n" in command(world, "show", "pay-abc123")[1]


def test_a_payment_id_that_looks_like_a_transaction_is_not_another_payment(command):
    world = pending()
    # "txn-pay-abc123" as a payment id of its own, beside the payment "pay-abc123".
    world.dynamodb.items[f"txn-{KEY}"] = {
        **world.dynamodb.items[KEY],
        "transaction_id": {"S": f"txn-{KEY}"},
        "payment_id": {"S": KEY},
    }
    code, _, said = command(world, "approve", KEY, "--reason", "x")
    assert code != 0
    assert f"{KEY} names two payments: give txn-{KEY} or pay-abc123" in said
    assert world.callbacks.woken == []
    assert command(world, "show", f"txn-{KEY}")[0] == 0


def test_approving_from_the_command_line_names_the_aws_identity_that_signed(command):
    world = pending()
    code, output, _ = command(world, "approve", KEY, "--reason", "called the customer")
    assert code == 0
    assert "approved by arn:aws:iam::123456789012:user/alice: called the customer" in output
    assert world.callbacks.woken == [(CALLBACK, "approve")]


@pytest.mark.parametrize(
    ("arguments", "ends", "said"),
    [
        (("reject", "nobody", "--reason", "x"), 3, "there is no payment txn-nobody"),
        (("reject", KEY, "--reason", ""), 1, "needs a reason"),
        (("reject", KEY, "--reason", "x" * 1001), 1, "1001 characters"),
    ],
)
def test_a_refused_command_says_why(command, arguments, ends, said):
    world = pending()
    code, _, errors = command(world, *arguments)
    assert code == ends
    assert said in errors
    assert world.callbacks.woken == []


def test_a_reason_is_required():
    assert cli.main(["approvals", "approve", KEY], {}) == 2


def test_reconcile_from_the_command_line(command):
    world = pending()
    assert command(world, "reconcile")[1] == f"{KEY} waiting\n"
    world.clock.ms += DAY_MS + PATIENCE_MS + 1
    assert command(world, "reconcile")[1] == f"{KEY} expired\n"
    assert command(world, "reconcile")[1] == "No payment waits for a decision: nothing was left behind.\n"


@pytest.mark.parametrize("variable", ["SCORING_KERNEL", "SCORING_ENGINE", "CANONICAL_VERSION_WRITTEN"])
def test_the_command_says_which_setting_is_wrong(capsys, monkeypatch, variable):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["approvals", "list"], {variable: "nope-1", "AWS_REGION": "us-east-1"}) == 2
    assert capsys.readouterr().err.startswith(f"payments: {variable} is 'nope-1'")


def test_the_command_line_restarts_under_the_environments_workflow(monkeypatch):
    given: list[dict[str, str]] = []
    monkeypatch.setattr(composition, "compose_decisions", noting(given))
    assert cli.main(["approvals", "--environment", "stage", "reconcile"], {}) == 2
    assert cli.main(["approvals", "reconcile"], {"APPROVAL_FUNCTION_ARN": "other:live"}) == 2
    assert [each["APPROVAL_FUNCTION_ARN"] for each in given] == ["payment-processor-stage:live", "other:live"]


def noting(given):
    """Notes what is composed from, and composes nothing."""

    def compose(environment):
        given.append(environment)
        raise ConfigurationError("DYNAMODB_TABLE", None, "a table")

    return compose


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_PROFILE": "payments"}, "eu-west-3"),
        ({}, "eu-north-1"),
        ({"AWS_PROFILE": "payments", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, "eu-west-2"),
    ],
)
def test_the_command_line_works_in_the_region_of_the_profile_where_no_variable_names_one(
    monkeypatch, tmp_path, variables, region
):
    profiles = tmp_path / "config"
    profiles.write_text("[default]\nregion = eu-north-1\n[profile payments]\nregion = eu-west-3\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    given: list[dict[str, str]] = []
    monkeypatch.setattr(composition, "compose_decisions", noting(given))
    assert cli.main(["approvals", "list"], variables) == 2
    assert [each["AWS_REGION"] for each in given] == [region]
