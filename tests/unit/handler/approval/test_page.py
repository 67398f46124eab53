"""The approval page, driven as Lambda drives it: opening a link decides nothing, and no answer runs anything."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from handler.adapters.approval.page import HEADERS
from handler.domain.errors import ApprovalWakeError
from handler.domain.reasons import CATALOGUE
from tests.support.approvals import CALLBACK, DAY_MS, ListExecutions, pending, post, reconcile, token, visit


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
        assert "<script" not in answer["body"]
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
