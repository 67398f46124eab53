"""The approval page, driven as Lambda drives it: opening a link decides nothing, and no answer runs anything."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import urlencode

import pytest

from handler.adapters.approval.page import HEADERS
from handler.adapters.support.errors import AwsError
from handler.approval_page import OUTCOME_MS
from handler.domain.errors import ApprovalWakeError
from handler.domain.item import timestamp
from handler.domain.reasons import CATALOGUE
from tests.support.approvals import (
    CALLBACK,
    CHARGED,
    DAY_MS,
    ListExecutions,
    opened,
    pending,
    post,
    reconcile,
    token,
    unscored,
    visit,
)
from tests.support.payments import body


def test_opening_the_link_shows_the_payment_and_decides_nothing():
    world = pending()
    for _ in range(3):
        answer = visit(world, query=urlencode({"t": token(world)}))
    assert answer["statusCode"] == 200
    for shown in ("9999.99 USD", "cust-456", "70 of 100", "Approve and charge", "Reject", "24 h 0 min left"):
        assert shown in answer["body"]
    assert "decision" not in world.item()


def test_every_answer_is_private_and_runs_nothing():
    world = pending()
    for answer in (visit(world), visit(world, query=f"t={token(world)}"), visit(world, method="PATCH")):
        assert answer["headers"] == HEADERS
        # One script of our own, which the policy takes by its hash, and no other.
        [script] = re.findall("<script>(.*?)</script>", answer["body"], re.DOTALL)
        assert answer["body"].count("<script") == 1
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}';" in HEADERS["content-security-policy"]
        assert "http://" not in answer["body"]
        assert "https://" not in answer["body"]
    signed = visit(world, method="PUT")
    assert signed["headers"] == {**HEADERS, "content-type": "application/json"}
    assert "default-src 'none'" in HEADERS["content-security-policy"]
    assert HEADERS["referrer-policy"] == "no-referrer"
    assert HEADERS["cache-control"] == "no-store"


def test_a_decision_from_the_page_carries_the_name_of_the_token():
    world = pending()
    answer = post(world, approver="mallory", decided_by="mallory")
    assert answer["statusCode"] == 200
    assert "Approved" in answer["body"]
    assert world.item()["decided_by"] == "alice"
    assert world.callbacks.woken == [(CALLBACK, "approve")]


def test_a_decision_that_is_sent_again_after_a_restart_stands():
    world = pending()
    sent = token(world)
    assert post(world)["statusCode"] == 200
    assert reconcile(world, ListExecutions(closed=True)) == "restarted"
    form = {"t": sent, "decision": "approve", "comment": "checked"}
    answer = visit(world, method="POST", form=urlencode(form).encode())
    assert answer["statusCode"] == 409
    assert "was approved by alice" in answer["body"]


def test_text_from_outside_is_escaped():
    world = pending()
    world.change(customer_id="<img src=x onerror=alert(1)>")
    assert "<img" not in visit(world, query=urlencode({"t": token(world)}))["body"]
    answer = post(world, decision="reject", comment="<b>no</b>")
    assert "<b>" not in answer["body"]
    assert "&lt;b&gt;no&lt;/b&gt;" in answer["body"]


def test_a_missing_reason_keeps_the_form_and_says_so():
    world = pending()
    answer = post(world, comment=" ")
    assert answer["statusCode"] == 422
    assert 'role="alert"' in answer["body"]
    assert "decision" not in world.item()


@pytest.mark.parametrize(
    ("prepare", "fields", "status_code"),
    [
        (lambda world: None, {"t": "forged.token"}, 403),
        (lambda world: None, {"decision": "maybe"}, 400),
        (lambda world: None, {"comment": "x" * 1024 * 1024}, 413),
        (lambda world: world.decide("reject", approver="bob"), {}, 409),
        (lambda world: world.change(status="expired", processed_at="2024-01-01T12:00:00Z"), {}, 409),
        (lambda world: world.change(callback_id="bmV3"), {}, 410),
        (lambda world: world.change(request_hash="0" * 64), {}, 410),
    ],
    ids=["forged", "no decision", "1 MiB", "decided", "not pending", "asked anew", "other payment"],
)
def test_the_page_refuses_and_charges_nothing(prepare, fields, status_code):
    world = pending()
    sent = {"t": token(world), **fields}
    prepare(world)
    woken = list(world.callbacks.woken)
    answer = post(world, **sent)
    assert answer["statusCode"] == status_code
    assert world.callbacks.woken == woken


def test_an_expired_link_is_refused():
    world = pending()
    sent = token(world)
    world.clock.ms += DAY_MS
    assert visit(world, query=f"t={sent}")["statusCode"] == 410
    assert post(world, t=sent)["statusCode"] == 410


def test_after_the_decision_every_link_tells_what_becomes_of_the_payment():
    world = pending()
    links = [token(world, "alice"), token(world, "bob")]
    decided = post(world)["body"]
    assert "Approved: 9999.99 USD" in decided
    assert "The payment will be charged." in decided
    for sent in links:
        later = decided.replace("Your decision is recorded", "This payment needs no decision any more")
        assert opened(world, sent) == (200, later)
    for changes, said in (
        ({"status": "processing", "lease_until": 1}, "The payment will be charged."),
        (
            {
                "status": "parked",
                "park_no": 1,
                "parked_reason": "gateway_refused",
                "parked_at": 1,
                "retry_hash": "0" * 64,
            },
            "is not charged so far, and is looked after by an operator: The gateway refuses",
        ),
        (CHARGED, "The payment was charged."),
        ({"status": "declined"}, "was declined, and nothing was charged."),
    ):
        world.change(**changes)
        for sent in links:
            status, page = opened(world, sent)
            assert (status, said in page, "Approved: 9999.99 USD" in page, "<form" in page) == (200, True, True, False)


def test_a_link_tells_of_a_rejection_and_of_nobody_in_time_too():
    world = pending()
    sent = token(world, "bob")
    world.decide("reject", comment="no such order")
    assert "The payment will not be charged." in opened(world, sent)[1]
    world.change(status="rejected", processed_at="2024-01-01T12:00:00Z", reason_code="approval_rejected")
    page = opened(world, sent)[1]
    assert "Rejected: 9999.99 USD" in page
    assert "no such order" in page
    world = pending()
    sent = token(world)
    world.change(status="expired", processed_at="2024-01-01T12:00:00Z")
    assert "Nobody decided in time: the payment is not charged." in opened(world, sent)[1]


def test_the_outcome_can_be_read_for_a_week_after_the_time_to_decide_and_no_personal_data_with_it():
    world = pending(risky=body(amount=9999.99, customer_name="Jane Doe", customer_email="jane@example.com"))
    sent = token(world)
    assert "Jane Doe" in opened(world, sent)[1]
    world.decide("approve")
    world.clock.ms += DAY_MS + OUTCOME_MS - 1
    status, page = opened(world, sent)
    assert (status, "will be charged" in page, "Jane" in page, "jane@" in page) == (200, True, False, False)
    assert post(world, t=sent)["statusCode"] == 410
    world.clock.ms += 1
    assert opened(world, sent)[0] == 410


def test_the_outcome_of_another_payment_under_the_same_id_is_not_told():
    world = pending()
    sent = token(world)
    world.decide("approve")
    world.change(request_hash="0" * 64)
    assert opened(world, sent)[0] == 409


def test_the_page_shows_what_the_message_said_of_the_customer_and_each_rules_own_weight_and_text():
    world = pending(risky=body(amount=9999.99, customer_name="Jane & Co", customer_email="jane@mailinator.com"))
    world.change(
        risk_reasons=[
            {"rule_id": 0, "reason": "amount", "parts": 979_999_800},
            {"rule_id": 1001, "reason": "Disposable mailbox", "parts": 7_000_070},
            {"rule_id": 9, "reason": "A rule of older code", "parts": 1},
        ],
        shown={
            "name": "Jane & Co",
            "email": "jane@mailinator.com",
            "hits": [{"rule_id": 1001, "weight": 3500, "field": "customer_email", "text": "jane@mailinator.com"}],
        },
    )
    page = opened(world, token(world))[1]
    assert "<dt>Name</dt><dd>Jane &amp; Co</dd>" in page
    assert "<dt>E-mail</dt><dd>jane@mailinator.com</dd>" in page
    assert "The amount, 9999.99 USD</span><b>98 %</b>" in page
    found = "<small>customer email: jane@mailinator.com</small></span><b>35 %</b>"
    assert f"Disposable mailbox (rule 1001){found}" in page
    # What it took of what the others left is no weight.
    assert "A rule of older code (rule 9)</span><b></b>" in page
    assert "<b>1 %</b>" not in page


def test_where_earlier_payments_cannot_be_had_the_page_says_so_and_people_can_decide(monkeypatch):
    world = pending()

    def refuse(**_: object) -> None:
        raise AwsError("Query", "AccessDeniedException", "no such index")

    monkeypatch.setattr(world.dynamodb, "query", refuse)
    status, page = opened(world, token(world))
    assert (status, "Not known, as the table did not answer" in page, "<form" in page) == (200, True, True)
    unknown = unscored()
    assert "Not known: the payment has no fingerprint" in opened(unknown, token(unknown))[1]


def test_times_are_said_in_utc_and_can_be_read_by_the_script():
    world = pending()
    until = timestamp(world.stored().approval_expires_at or 0)
    said = until.replace("T", " ").replace("Z", " UTC")
    assert f'<dt>Decide until</dt><dd><time datetime="{until}">{said}</time></dd>' in opened(world, token(world))[1]


@pytest.mark.parametrize(("currency", "said"), [("JPY", "999999 JPY"), ("KWD", "999.999 KWD"), ("USD", "9999.99 USD")])
def test_an_amount_has_the_decimals_of_its_currency(currency: str, said: str):
    world = pending()
    world.change(currency=currency, amount_minor=999_999)
    page = opened(world, token(world))[1]
    assert f'<p class="amount">{said}</p>' in page
    assert f"<title>Approve {said}?</title>" in page


def test_a_replayed_decision_changes_nothing():
    world = pending()
    first = {"t": token(world)}
    assert post(world, **first)["statusCode"] == 200
    before = world.item()
    assert post(world, **first, decision="reject")["statusCode"] == 409
    assert post(world, **first)["statusCode"] == 200
    assert world.item() == before


def test_a_workflow_that_cannot_be_woken_is_told_to_the_approver():
    world = pending()
    world.callbacks.fault = ApprovalWakeError("503")
    assert post(world)["statusCode"] == 503
    assert world.item()["decision"] == "approve"


def test_repeated_fields_and_broken_bodies_are_nothing():
    world = pending()
    both = f"t={token(world)}&decision=approve&decision=reject&comment=x"
    assert visit(world, method="POST", form=both)["statusCode"] == 400
    assert visit(world, method="POST", form=b"\xff\xfe%%%")["statusCode"] == 403
    assert visit(world, method="POST", form="&".join(f"a{n}=1" for n in range(99)))["statusCode"] == 403
    assert visit(world, method="DELETE")["statusCode"] == 405


def test_no_token_is_logged(caplog):
    caplog.set_level("DEBUG")
    world = pending()
    sent = token(world)
    visit(world, query=f"t={sent}")
    post(world, t=sent)
    post(world, t=sent[:-3])
    assert sent[:-3] not in caplog.text


def test_a_link_to_a_payment_whose_new_workflow_has_not_asked_yet_says_so():
    world = pending()
    sent = token(world)
    assert reconcile(world, ListExecutions(closed=True)) == "restarted"
    for answer in (
        visit(world, query=urlencode({"t": sent})),
        visit(world, method="POST", form=urlencode({"t": sent, "decision": "approve", "comment": "x"}).encode()),
    ):
        assert answer["statusCode"] == CATALOGUE["not_asked"].status == 409
        assert "its workflow has not taken it up: wait for a new link" in answer["body"]
    assert "decision" not in world.item()


def test_a_link_of_somebody_who_is_no_approver_any_more_decides_nothing(caplog):
    caplog.set_level("DEBUG")
    world = pending()
    sent = token(world, "alice")
    form = urlencode({"t": sent, "decision": "approve", "comment": "checked"})
    for answer in (
        visit(world, query=urlencode({"t": sent}), approvers=("bob",)),
        visit(world, method="POST", form=form, approvers=("bob",)),
        visit(world, method="POST", form=form, approvers=()),
    ):
        assert answer["statusCode"] == CATALOGUE["approver_removed"].status == 403
        assert "You are no approver any more: nothing was decided" in answer["body"]
        # Nothing of the payment is shown either.
        assert "9999.99" not in answer["body"]
        assert "<form" not in answer["body"]
    assert "decision" not in world.item()
    assert world.callbacks.woken == []
    assert caplog.text.count("txn-pay-abc123: alice is no approver any more") == 3
    assert caplog.text.count("refused: approver_removed") == 3
    assert sent not in caplog.text
    # The others' links, and their own once they are back, are good still.
    assert visit(world, query=urlencode({"t": token(world, "bob")}), approvers=("bob",))["statusCode"] == 200
    assert visit(world, method="POST", form=form, approvers=("bob", "alice"))["statusCode"] == 200
    assert world.item()["decided_by"] == "alice"


def test_who_decided_and_is_no_approver_any_more_wakes_nobody():
    world = pending()
    form = urlencode({"t": token(world), "decision": "approve", "comment": "checked"})
    assert visit(world, method="POST", form=form)["statusCode"] == 200
    woken = list(world.callbacks.woken)
    assert visit(world, method="POST", form=form, approvers=("bob",))["statusCode"] == 403
    # What was decided in time stands.
    assert (world.item()["decision"], world.callbacks.woken) == ("approve", woken)
