"""Decisions of the command line, as the page's function takes them: who decides is who signed, and nobody else."""

from __future__ import annotations

import pytest

from handler.domain.errors import ApprovalWakeError, TransactionLogUnavailableError
from handler.domain.reasons import CATALOGUE, sentence
from tests.support.approvals import (
    ALICE,
    BOB,
    CALLBACK,
    DAY_MS,
    ListExecutions,
    asking,
    pending,
    post,
    put,
    queued,
    reconcile,
)
from tests.support.payments import KEY

CFO = "arn:aws:iam::123456789012:user/chief-financial-officer"


def test_who_decided_is_who_signed_whatever_the_request_says():
    world = pending()
    claims = {"decided_by": CFO, "approver": CFO, "userArn": CFO, "requestContext": {"authorizer": CFO}}
    status, said = put(world, asking(**claims))
    assert (status, said["decided_by"]) == (200, ALICE)
    assert said == {"transaction_id": KEY, "decision": "approve", "decided_by": ALICE, "comment": "checked"}
    assert (world.item()["decision"], world.item()["decided_by"]) == ("approve", ALICE)
    assert world.callbacks.woken == [(CALLBACK, "approve")]


@pytest.mark.parametrize(
    "approvers", [(), (BOB,), (ALICE.upper(),), (f"{ALICE}2",), ("alice",)], ids=["nobody", "bob", "case", "2", "name"]
)
def test_who_is_no_approver_now_decides_nothing(approvers):
    world = pending()
    status, said = put(world, asking(), approvers=approvers)
    assert (status, said["reason_code"]) == (CATALOGUE["not_approver"].status, "not_approver") == (403, "not_approver")
    assert said["message"] == f"{ALICE} is no approver: nothing was decided."
    assert "decision" not in world.item()
    assert world.callbacks.woken == []


def test_who_was_taken_off_the_list_decides_nothing_more_and_wakes_nobody():
    world = pending()
    assert put(world, asking())[0] == 200
    woken = list(world.callbacks.woken)
    assert put(world, asking(), approvers=(BOB,))[0] == 403
    # What was decided in time stands.
    assert (world.item()["decided_by"], world.callbacks.woken) == (ALICE, woken)


@pytest.mark.parametrize("arn", [None, ""])
def test_a_request_that_nobody_signed_decides_nothing(arn):
    # A route without its authorization: an empty name is on no list.
    world = pending()
    status, said = put(world, asking(), arn, approvers=("", ALICE))
    assert (status, said["reason_code"]) == (403, "not_signed")
    assert "decision" not in world.item()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[]",
        '"text"',
        "null",
        "[" * 10_000,
        '{"payment": 1}',
        *({**asking(), name: None} for name in asking()),
        *({**asking(), name: ["approve"]} for name in asking()),
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_is_no_decision_is_refused(body):
    world = pending()
    status, said = put(world, body)
    assert (status, said["reason_code"]) == (400, "request_malformed")
    assert "decision" not in world.item()


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"payment": "nobody"}, 404, "unknown"),
        ({"decision": "maybe"}, 400, "decision_unknown"),
        ({"comment": " "}, 422, "comment_missing"),
        ({"comment": "x" * 1001}, 422, "comment_too_long"),
        ({"comment": "\ud800"}, 422, "comment_malformed"),
        ({"comment": "x" * 100_000}, 413, "request_too_long"),
        ({"environment": "prod"}, 409, "other_environment"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_decision_that_cannot_stand_is_refused_with_its_reason(fields, status, code):
    world = pending()
    answered, said = put(world, asking(**fields))
    assert (answered, said["reason_code"]) == (status, code)
    assert "decision" not in world.item()
    assert world.callbacks.woken == []


@pytest.mark.parametrize("payment", ["", "x" * 3000, "\ud800", f"{KEY}#conflict#1"], ids=lambda name: repr(name)[:40])
def test_what_can_be_no_payments_name_is_asked_of_no_table(monkeypatch, payment):
    world = pending()
    # DynamoDB refuses keys that are empty, too long, or no text, as it would a request of ours that is wrong.
    monkeypatch.setattr(type(world.log), "get", None)
    assert put(world, asking(payment=payment)) == (404, {"reason_code": "unknown", "message": sentence("unknown")})


def test_the_payment_is_named_by_its_own_id_too_and_the_reason_is_masked():
    world = pending()
    status, said = put(world, asking(payment="pay-abc123", comment="card 4111 1111 1111 1111 was shown"))
    assert (status, said["transaction_id"]) == (200, KEY)
    assert said["comment"] == world.item()["comment"] == "card **** **** **** 1111 was shown"


def test_the_same_decision_again_only_wakes_and_another_one_is_told_what_stands():
    world = pending()
    assert put(world, asking())[0] == 200
    before = world.item()
    assert put(world, asking(comment="again"))[0] == 200
    assert world.callbacks.woken == [(CALLBACK, "approve")] * 2
    for document, arn in ((asking(decision="reject"), ALICE), (asking(), BOB), (asking(decision="reject"), BOB)):
        status, said = put(world, document, arn)
        assert (status, said["reason_code"]) == (409, "already_decided")
        assert said["message"].startswith(f"{KEY} was approved by {ALICE} at ")
    assert world.item() == before


def test_page_and_command_line_race_for_one_decision():
    first, second = pending(), pending()
    assert post(first)["statusCode"] == 200
    assert "was approved by alice at" in put(first, asking(decision="reject"))[1]["message"]
    assert put(second, asking(decision="reject"))[0] == 200
    refused = post(second)
    assert (refused["statusCode"], f"was rejected by {ALICE}" in refused["body"]) == (409, True)


def test_a_decision_that_comes_when_time_is_over_is_refused():
    world = pending()
    world.clock.ms += DAY_MS
    status, said = put(world, asking())
    assert (status, said["reason_code"]) == (410, "expired")
    assert said["message"].startswith(f"The time to decide on {KEY} ended at ")
    world.change(status="expired", processed_at="2024-01-01T12:00:00Z")
    assert put(world, asking())[1]["message"] == f"{KEY} is expired and waits for nobody."


def test_what_nobody_was_asked_about_is_decided_by_nobody():
    assert put(queued(), asking())[1]["reason_code"] == "not_asked"
    world = pending()
    assert put(world, asking())[0] == 200
    assert reconcile(world, ListExecutions(closed=True)) == "restarted"
    assert put(world, asking())[1]["reason_code"] == "already_decided"


def test_a_workflow_that_cannot_be_woken_is_told_and_the_decision_stands():
    world = pending()
    world.callbacks.fault = ApprovalWakeError("503")
    status, said = put(world, asking())
    assert (status, said["reason_code"]) == (503, "approval_wake_failed")
    assert world.item()["decision"] == "approve"


def test_a_table_that_does_not_answer_is_told_without_a_word_on_what_stands(monkeypatch):
    world = pending()

    def lost(*_: object, **__: object) -> None:
        raise TransactionLogUnavailableError("no answer")

    monkeypatch.setattr(type(world.log), "decide_approval", lost)
    status, said = put(world, asking())
    assert (status, said["reason_code"]) == (503, "transaction_log_unavailable")
    assert "nothing was decided" not in said["message"].lower()
    assert "Try again" in said["message"]
