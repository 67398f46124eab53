"""Deciding on a payment: first decision stands, no decision without what was shown, and what reconcile does without it.

The page and the command line are two ways to the same decision; both are driven here as their callers drive them.
"""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.session import get_session
from botocore.stub import Stubber

from handler.adapters.approval.executions import LambdaCallbacks, LambdaExecutions
from handler.adapters.approval.notices import SnsNotices
from handler.adapters.approval.page import HEADERS, question
from handler.adapters.approval.signing import FileSigner, KmsSigner
from handler.adapters.approval.starter import LambdaApprovalStarter
from handler.adapters.table.approval_log import DynamoDbApprovalLog
from handler.adapters.table.expressions import to_attributes
from handler.approval_composition import compose_decisions, compose_workflow
from handler.approval_page import ApprovalPage
from handler.cli import __main__ as cli
from handler.domain.approval.decision import Answer, decide
from handler.domain.approval.ports import Decisions
from handler.domain.approval.steps import Checks, Execution, Next, ask, begin, in_execution, resolve
from handler.domain.approval.token import callback_digest, invite, read_token, write_token
from handler.domain.claim import InVersion
from handler.domain.errors import (
    ApprovalRefusedError,
    ApprovalStartError,
    ApprovalWakeError,
    ConfigurationError,
    GatewayUnavailableError,
    NoticeError,
)
from handler.domain.item import Item, from_stored
from handler.domain.payment import Assessment, Reason
from handler.domain.process import Reading, read, settle
from handler.domain.reasons import CATALOGUE, sentence
from handler.domain.reconcile import OVERDUE_MS, reconcile_pending
from handler.domain.validate import from_canonical
from handler.reconcile_function import ReconcileFunction
from handler.settings import read_approval_settings
from tests.support.approvals import DAY_MS, ApprovalWorld, TestSigner
from tests.support.payments import CARD, body, message, whole_item, work

KEY = "txn-pay-abc123"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:payment-processor-dev:7/durable-execution/dev-pay-abc123-1/x1"
EXECUTION = Execution(ARN, "dev-pay-abc123-1")
CALLBACK = "Y2FsbGJhY2s="


def queued() -> ApprovalWorld:
    """A risky payment of the queue that no workflow has taken up."""
    world = ApprovalWorld()
    settle(read([message(body(amount=9999.99))], world.rules, world.ports)["m-1"], world.rules, world.ports, work())
    return world


def pending(world: ApprovalWorld | None = None, execution: Execution = EXECUTION) -> ApprovalWorld:
    """A risky payment of the queue, adopted and asked about."""
    world = world or ApprovalWorld()
    reading = read([message(body(amount=9999.99))], world.rules, world.ports)["m-1"]
    settle(reading, world.rules, world.ports, work())
    return taken_up(world, reading, Checks(SCORED_70, True), execution)


SCORED_70 = Assessment(7 * 10**8, 70, "score", (Reason(0, "amount", 7 * 10**8),), "f" * 64)


def unscored() -> ApprovalWorld:
    """A payment that no queue has seen, while the fraud check did not answer."""
    world = ApprovalWorld()
    reading = read([message(body(amount=9999.99))], world.rules, world.ports)["m-1"]
    return taken_up(world, reading, Checks(None, True), EXECUTION)


def taken_up(world: ApprovalWorld, reading: Reading, checks: Checks, execution: Execution) -> ApprovalWorld:
    assert reading.validation.payment is not None
    step = begin(
        reading.validation.payment,
        reading.in_version,
        checks,
        execution,
        rules=world.approval_rules,
        ports=world.approval_ports,
        work=work(execution.arn),
    )
    assert step == Next("ask", ask_seconds=86_400)
    ask(KEY, CALLBACK, execution, world.approval_ports)
    return world


def in_version(world: ApprovalWorld) -> InVersion:
    """The stored request as a workflow reads it."""
    return in_execution(
        world.item()["request"], EXECUTION, world.approval_rules, world.ports.find_card_numbers
    ).in_version


def test_a_decision_is_recorded_with_who_when_and_why_and_then_wakes():
    world = pending()
    decided = world.decide("approve", comment="  called the customer\r\nat home ")
    assert (decided.decision, decided.decided_by, decided.decided_at) == ("approve", "alice", world.clock.ms)
    assert decided.comment == "called the customer\nat home"
    assert world.callbacks.woken == [(CALLBACK, "approve")]


def test_of_two_approvers_the_first_decides():
    world = pending()
    world.decide("reject", approver="bob")
    with pytest.raises(ApprovalRefusedError, match="was rejected by bob") as refused:
        world.decide("approve", approver="alice")
    assert refused.value.reason_code == "already_decided"
    assert world.item()["decision"] == "reject"
    assert world.callbacks.woken == [(CALLBACK, "reject")]


def test_the_same_decision_again_wakes_again():
    world = pending()
    world.callbacks.fault = ApprovalWakeError("503")
    with pytest.raises(ApprovalWakeError):
        world.decide("approve")
    world.callbacks.fault = None
    world.clock.ms += 1000
    assert world.decide("approve").decided_at == world.clock.ms - 1000
    assert world.callbacks.woken == [(CALLBACK, "approve")]


@pytest.mark.parametrize(
    ("change", "shown", "reason_code"),
    [
        ({}, {"callback_id": "b2xk"}, "replaced"),
        ({"callback_id": None}, {}, "not_asked"),
        ({"callback_id": None, "approval_expires_at": None}, {"callback_id": CALLBACK}, "not_asked"),
        ({}, {"request_hash": "0" * 64}, "request_changed"),
        ({"approval_expires_at": 1}, {}, "expired"),
        ({"status": "expired", "processed_at": "2024-01-01T12:00:00Z"}, {}, "not_pending"),
        ({}, {"comment": " \n "}, "comment_missing"),
        ({}, {"comment": "x" * (1024 * 1024)}, "comment_too_long"),
        ({}, {"comment": "bell \x07"}, "comment_malformed"),
        ({}, {"comment": "half \ud800"}, "comment_malformed"),
    ],
)
def test_a_decision_that_cannot_stand_is_refused_and_wakes_nobody(change, shown, reason_code):
    world = pending()
    world.change(**change)
    with pytest.raises(ApprovalRefusedError) as refused:
        world.decide("approve", **shown)
    assert refused.value.reason_code == reason_code
    assert "decision" not in world.item()
    assert world.callbacks.woken == []


def test_a_decision_on_nothing_is_refused():
    world = pending()
    with pytest.raises(ApprovalRefusedError, match="There is no payment txn-gone"):
        decide("txn-gone", Answer("approve", "alice", "x", CALLBACK, "0" * 64), world.decisions)


def test_a_card_number_in_a_reason_is_masked():
    world = pending()
    assert CARD not in world.decide("reject", comment=f"stolen card {CARD}").comment


def test_an_earlier_execution_may_not_come_back():
    world = pending()
    world.change(generation=2, approval_name="dev-pay-abc123-2", execution_arn=None, callback_id=None)
    step = begin(
        from_canonical(world.item()["request"]),
        in_version(world),
        Checks(None, True),
        EXECUTION,
        rules=world.approval_rules,
        ports=world.approval_ports,
        work=work(ARN),
    )
    assert step == Next("done", "in_workflow")
    assert resolve(KEY, None, EXECUTION, world.approval_ports, timed_out=True) == Next("done", "in_workflow")
    assert world.item()["status"] == "pending_approval"


class Engine:
    """`Executions` and `ApprovalStarter` in one."""

    def __init__(self, closed: bool = False) -> None:
        self.closed = closed
        self.started: list[tuple[str, str]] = []

    def is_closed(self, execution_arn: str) -> bool:
        return self.closed

    def start(self, item: Item, request: str) -> None:
        self.started.append((item.approval_name, request))


def reconcile(world: ApprovalWorld, engine: Engine) -> str:
    return reconcile_pending(world.stored(), decisions(world, engine))


def test_reconcile_leaves_alone_what_waits():
    world = pending()
    assert reconcile(world, Engine()) == "waiting"
    world.clock.ms += DAY_MS + OVERDUE_MS
    assert reconcile(world, Engine()) == "waiting"


def test_reconcile_wakes_an_execution_that_nobody_woke():
    world = pending()
    world.callbacks.woken.clear()
    world.decide("approve")
    world.callbacks.woken.clear()
    assert reconcile(world, Engine()) == "waiting"
    world.clock.ms += OVERDUE_MS + 1
    assert reconcile(world, Engine()) == "woken"
    assert world.callbacks.woken == [(CALLBACK, "approve")]


def test_a_restart_whose_answer_was_lost_starts_its_execution(monkeypatch):
    world = pending()
    once = DynamoDbApprovalLog.restart_approval

    def twice(log, *positional, **named):
        assert once(log, *positional, **named) is None
        return once(log, *positional, **named)

    monkeypatch.setattr(DynamoDbApprovalLog, "restart_approval", twice)
    engine = Engine(closed=True)
    assert reconcile(world, engine) == "restarted"
    assert [name for name, _ in engine.started] == ["dev-pay-abc123-2"]


def test_reconcile_expires_what_its_workflow_did_not():
    world = pending()
    world.clock.ms += DAY_MS + OVERDUE_MS + 1
    assert reconcile(world, Engine(closed=True)) == "expired"
    assert world.item()["status"] == "expired"
    assert "open_shard" not in world.item()


def test_reconcile_starts_anew_what_was_never_adopted():
    # Under a new name: the old one may have started an execution that ended before it adopted anything.
    world = pending()
    world.change(execution_arn=None, callback_id=None, approval_expires_at=None)
    engine = Engine()
    assert reconcile(world, engine) == "waiting"
    world.clock.ms += OVERDUE_MS + 1
    assert reconcile(world, engine) == "restarted"
    assert engine.started == [("dev-pay-abc123-2", world.item()["request"])]


@pytest.mark.parametrize("decision", [None, "approve", "reject"])
def test_reconcile_restarts_a_closed_execution_and_the_new_one_obeys(decision):
    world = pending()
    if decision:
        world.decide(decision)
    engine = Engine(closed=True)
    # A decision stands although nobody executes it; an overdue one does not expire either.
    world.clock.ms += DAY_MS + OVERDUE_MS + 1 if decision else 0
    assert reconcile(world, engine) == "restarted"
    assert engine.started == [("dev-pay-abc123-2", world.item()["request"])]
    assert {"execution_arn", "callback_id"} & world.item().keys() == set()
    step = begin(
        from_canonical(world.item()["request"]),
        in_version(world),
        Checks(None, True),
        Execution("arn:new", "dev-pay-abc123-2"),
        rules=world.approval_rules,
        ports=world.approval_ports,
        work=work("arn:new"),
    )
    assert step.action == {None: "ask", "approve": "charge", "reject": "done"}[decision]


# ---- tokens -------------------------------------------------------------------------------------------------------


def token(world: ApprovalWorld, approver: str = "alice", signer: TestSigner | None = None) -> str:
    return write_token(invite(world.stored(), world.stored().callback_id, approver), signer or TestSigner())


def test_a_token_is_bound_to_what_it_invites_to():
    world = pending()
    invitation = read_token(token(world), TestSigner(), world.clock.ms)
    item = world.item()
    assert invitation == (KEY, callback_digest(CALLBACK), item["request_hash"], "alice", item["approval_expires_at"])


def test_no_changed_or_truncated_token_is_read():
    world = pending()
    good = token(world)
    for at in range(len(good)):
        for changed in (good[:at], good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]):
            with pytest.raises(ApprovalRefusedError, match="not valid"):
                read_token(changed, TestSigner(), world.clock.ms)


@pytest.mark.parametrize("bad", ["", ".", "a.b", "é.é", "A" * 5000, "W10.W10", "\n", "a" * 100 + "." + "a" * 43])
def test_what_is_no_token_is_refused(bad):
    with pytest.raises(ApprovalRefusedError, match="not valid"):
        read_token(bad, TestSigner(), 0)


def test_a_token_of_another_key_or_time_is_refused():
    world = pending()
    for signer in (TestSigner(b"x" * 32), TestSigner(key_id="another")):
        with pytest.raises(ApprovalRefusedError, match="not valid"):
            read_token(token(world, signer=signer), TestSigner(), world.clock.ms)
    with pytest.raises(ApprovalRefusedError, match="expired"):
        read_token(token(world), TestSigner(), world.clock.ms + DAY_MS)


def test_a_key_file_must_be_long_and_private(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(ConfigurationError, match="can be read"):
        FileSigner(path)
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="32 random bytes"):
        FileSigner(path)
    path.write_bytes(b"k" * 32)
    assert FileSigner(path).check_mac(b"m", FileSigner(path).write_mac(b"m"))
    assert not FileSigner(path).check_mac(b"m", b"")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        FileSigner(path)


# ---- the page -----------------------------------------------------------------------------------------------------


def decisions(world: ApprovalWorld, engine: Engine | None = None) -> Decisions:
    engine = engine or Engine()
    return Decisions(world.log, world.callbacks, engine, engine, world.clock, world.ports.find_card_numbers, "dev")


def request(method: str = "GET", query: str = "", form: str | bytes = "") -> dict[str, Any]:
    event: dict[str, Any] = {"requestContext": {"http": {"method": method}}, "rawQueryString": query}
    if isinstance(form, bytes):
        return event | {"body": base64.b64encode(form).decode(), "isBase64Encoded": True}
    return event | {"body": form}


def visit(world: ApprovalWorld, **given: Any) -> dict[str, Any]:
    return ApprovalPage(decisions(world), TestSigner())(request(**given), {})


def post(world: ApprovalWorld, **fields: str) -> dict[str, Any]:
    form = {"t": token(world), "decision": "approve", "comment": "checked", **fields}
    return visit(world, method="POST", form=urlencode(form).encode())


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
    for answer in (visit(world), visit(world, query=f"t={token(world)}"), visit(world, method="PUT")):
        assert answer["headers"] == HEADERS
        assert "<script" not in answer["body"]
        assert "http://" not in answer["body"]
        assert "https://" not in answer["body"]
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
    assert reconcile(world, Engine(closed=True)) == "restarted"
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


# ---- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `payments approvals ...` over a world; returns exit code, output and errors."""

    def run(world: ApprovalWorld, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(cli, "compose_decisions", lambda environment: decisions(world))
        monkeypatch.setattr(cli, "caller_identity", lambda: "arn:aws:iam::123456789012:user/alice")
        monkeypatch.setattr(
            type(world.log),
            "open_transaction_ids",
            lambda self, status: iter([key for key in world.dynamodb.items if world.item(key)["status"] == status]),
        )
        code = cli.main(["approvals", *arguments], {})
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
    page = question(world.stored(), "token", "alice", world.clock.ms)
    assert '<p class="left">Nobody was asked yet</p>' in page
    assert "expired" not in page + row


def test_approving_what_nobody_was_asked_about_says_so(command):
    code, _, errors = command(queued(), "approve", KEY, "--reason", "called the customer")
    assert code == 1
    assert f"Nobody was asked about {KEY} yet; its workflow has not taken it up." in errors


def test_a_link_to_a_payment_whose_new_workflow_has_not_asked_yet_says_so():
    world = pending()
    sent = token(world)
    assert reconcile(world, Engine(closed=True)) == "restarted"
    for answer in (
        visit(world, query=urlencode({"t": sent})),
        visit(world, method="POST", form=urlencode({"t": sent, "decision": "approve", "comment": "x"}).encode()),
    ):
        assert answer["statusCode"] == CATALOGUE["not_asked"].status == 409
        assert "its workflow has not taken it up: wait for a new link" in answer["body"]
    assert "decision" not in world.item()


def test_show_tells_the_reasons(command):
    output = command(pending(), "show", "pay-abc123")[1]
    assert "70.0 %  amount (rule 0)" in output
    assert "9999.99 USD" in output


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


def test_a_fraud_check_that_answers_a_later_execution_leaves_the_reason_that_there_is_no_score():
    world = unscored()
    world.change(execution_arn=None, approval_name="dev-pay-abc123-2", generation=2)
    reading = in_execution(world.item()["request"], EXECUTION, world.approval_rules, world.ports.find_card_numbers)
    taken_up(world, reading, Checks(SCORED_70, True), Execution("arn:second", "dev-pay-abc123-2"))
    item = world.item()
    assert (item["risk"], item["approval_reasons"]) == (10**9, ["fraud_check_unavailable"])


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


def test_approving_from_the_command_line_names_the_aws_identity(command):
    world = pending()
    code, output, _ = command(world, "approve", KEY, "--reason", "called the customer")
    assert code == 0
    assert "approved by arn:aws:iam::123456789012:user/alice: called the customer" in output
    assert world.callbacks.woken == [(CALLBACK, "approve")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reject", "nobody", "--reason", "x"), "there is no payment txn-nobody"),
        (("reject", KEY, "--reason", ""), "needs a reason"),
        (("reject", KEY, "--reason", "x" * 1001), "1001 characters"),
    ],
)
def test_a_refused_command_says_why(command, arguments, said):
    world = pending()
    code, _, errors = command(world, *arguments)
    assert code == 1
    assert said in errors
    assert world.callbacks.woken == []


def test_a_reason_is_required():
    with pytest.raises(SystemExit):
        cli.main(["approvals", "approve", KEY], {})


def test_reconcile_from_the_command_line(command):
    world = pending()
    assert command(world, "reconcile")[1] == f"{KEY} waiting\n"
    world.clock.ms += DAY_MS + OVERDUE_MS + 1
    assert command(world, "reconcile")[1] == f"{KEY} expired\n"


# ---- adapters -----------------------------------------------------------------------------------------------------


@pytest.fixture
def aws():
    """A stubbed botocore client by service name; every planned answer must have been used."""
    stubbers: list[Stubber] = []

    def make(service: str) -> tuple[Any, Stubber]:
        client = get_session().create_client(
            service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        stubbers.append(Stubber(client))
        stubbers[-1].activate()
        return client, stubbers[-1]

    yield make
    for stubber in stubbers:
        stubber.assert_no_pending_responses()


FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:payment-processor-dev:live"


def test_a_workflow_is_started_under_the_items_name_with_the_canonical_bytes(aws):
    client, stubber = aws("lambda")
    item = pending().stored()
    stubber.add_response(
        "invoke",
        {"StatusCode": 202},
        {
            "FunctionName": FUNCTION,
            "InvocationType": "Event",
            "DurableExecutionName": "dev-pay-abc123-1",
            "Payload": item.request.encode(),
        },
    )
    LambdaApprovalStarter(lambda: client, FUNCTION).start(item, item.request)


def test_already_started_is_success_for_our_own_request_only(aws):
    client, stubber = aws("lambda")
    item = pending().stored()
    starter = LambdaApprovalStarter(lambda: client, FUNCTION)
    for _ in range(2):
        stubber.add_client_error("invoke", "DurableExecutionAlreadyStartedException")
    starter.start(item, item.request)
    with pytest.raises(ApprovalStartError):
        starter.start(item, item.request + " ")
    stubber.add_client_error("invoke", "TooManyRequestsException")
    with pytest.raises(ApprovalStartError):
        starter.start(item, item.request)


def test_a_callback_that_is_over_is_no_error(aws):
    client, stubber = aws("lambda")
    stubber.add_response(
        "send_durable_execution_callback_success", {}, {"CallbackId": CALLBACK, "Result": b'{"approved": true}'}
    )
    LambdaCallbacks(client).wake(CALLBACK, "approve")
    stubber.add_client_error("send_durable_execution_callback_success", "CallbackTimeoutException")
    LambdaCallbacks(client).wake(CALLBACK, "approve")
    stubber.add_client_error("send_durable_execution_callback_success", "TooManyRequestsException")
    with pytest.raises(ApprovalWakeError):
        LambdaCallbacks(client).wake(CALLBACK, "approve")


@pytest.mark.parametrize(("status", "closed"), [("RUNNING", False), ("FAILED", True), ("SUCCEEDED", True)])
def test_an_execution_is_closed_when_lambda_says_so(aws, status, closed):
    client, stubber = aws("lambda")
    answer = {
        "DurableExecutionArn": ARN,
        "DurableExecutionName": "n",
        "FunctionArn": FUNCTION,
        "StartTimestamp": 0,
        "Status": status,
    }
    stubber.add_response("get_durable_execution", answer, {"DurableExecutionArn": ARN})
    assert LambdaExecutions(client).is_closed(ARN) is closed


def test_an_execution_that_is_forgotten_is_closed(aws):
    client, stubber = aws("lambda")
    stubber.add_client_error("get_durable_execution", "ResourceNotFoundException")
    assert LambdaExecutions(client).is_closed(ARN)
    stubber.add_client_error("get_durable_execution", "AccessDeniedException")
    with pytest.raises(ApprovalStartError):
        LambdaExecutions(client).is_closed(ARN)


class RecordingTopic:
    def __init__(self, fault: Exception | None = None) -> None:
        self.published: list[dict[str, Any]] = []
        self.fault = fault

    def publish(self, **message: Any) -> None:
        if self.fault:
            raise self.fault
        self.published.append(message)


TOPIC = "arn:aws:sns:us-east-1:123456789012:payment-approvals-dev"


def test_each_approver_gets_a_link_of_their_own():
    world = pending()
    topic = RecordingTopic()
    notices = SnsNotices(topic, TOPIC, ("alice", "bob"), "https://pay.example/approvals", TestSigner())
    notices.ask("m-1", world.stored(), CALLBACK)
    notices.settled("m-2", KEY, "completed")
    asked = topic.published[:2]
    for name, published in zip(("alice", "bob"), asked, strict=True):
        link = published["Message"].split("https://pay.example/approvals?t=")[1].strip()
        assert read_token(link, TestSigner(), world.clock.ms).approver == name
        attributes = {key: value["StringValue"] for key, value in published["MessageAttributes"].items()}
        assert attributes == {"kind": "approval", "message_id": "m-1", "approver": name}
    told = topic.published[2]["MessageAttributes"]
    assert told["kind"]["StringValue"] == "settled"
    assert told["approver"] == {"DataType": "String.Array", "StringValue": '["alice", "bob"]'}
    assert "9999.99 USD" in asked[0]["Message"]


def test_without_a_page_the_message_names_the_command():
    topic = RecordingTopic()
    SnsNotices(topic, TOPIC, (), "", None).ask("m-1", pending().stored(), CALLBACK)
    assert f"payments approvals show {KEY}" in topic.published[0]["Message"]


def test_one_approver_who_cannot_be_told_does_not_keep_the_others_from_it():
    fault = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    class ThrottledOnce(RecordingTopic):
        def publish(self, **message: Any) -> None:
            try:
                super().publish(**message)
            finally:
                self.fault = None

    topic = ThrottledOnce(fault)
    notices = SnsNotices(topic, TOPIC, ("alice", "bob", "carol"), "https://pay.example/approvals", TestSigner())
    with pytest.raises(NoticeError, match="alice"):
        notices.ask("m-1", pending().stored(), CALLBACK)
    told = [message["MessageAttributes"]["approver"]["StringValue"] for message in topic.published]
    assert told == ["bob", "carol"]


def test_a_topic_that_does_not_answer_is_a_notice_error():
    fault = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(NoticeError):
        SnsNotices(RecordingTopic(fault), TOPIC, (), "", None).settled("m", KEY, "completed")


class FakeKms:
    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def generate_mac(self, *, KeyId: str, MacAlgorithm: str, Message: bytes) -> dict[str, Any]:
        return {"Mac": TestSigner().write_mac(Message)}

    def verify_mac(self, *, KeyId: str, MacAlgorithm: str, Message: bytes, Mac: bytes) -> dict[str, Any]:
        if self.fault or Mac != TestSigner().write_mac(Message):
            raise ClientError({"Error": {"Code": self.fault or "KMSInvalidMacException"}}, "VerifyMac")
        return {"MacValid": True}


def test_a_key_in_kms_signs_and_verifies():
    signer = KmsSigner(FakeKms(), "arn:aws:kms:us-east-1:123456789012:key/1234")
    assert signer.key_id == "1234"
    assert signer.check_mac(b"m", signer.write_mac(b"m"))
    assert not signer.check_mac(b"x", signer.write_mac(b"m"))
    assert not signer.check_mac(b"m", b"")
    with pytest.raises(NoticeError):
        KmsSigner(FakeKms("AccessDeniedException"), "1234").check_mac(b"m", b"x" * 32)


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


@pytest.mark.parametrize("variable", ["SCORING_KERNEL", "SCORING_ENGINE", "CANONICAL_VERSION_WRITTEN"])
def test_the_command_says_which_setting_is_wrong(capsys, variable):
    assert cli.main(["approvals", "list"], {variable: "nope-1", "AWS_REGION": "us-east-1"}) == 1
    assert capsys.readouterr().err.startswith(f"payments: {variable} is 'nope-1'")


def test_deciding_needs_no_gateway_in_production_and_charging_does():
    variables = {"ENVIRONMENT": "prod", "AWS_REGION": "us-east-1", "SCORING_ENGINE": "pure"}
    assert compose_decisions(variables).environment == "prod"
    with pytest.raises(ConfigurationError, match="GATEWAY is not set"):
        compose_workflow(variables)


def test_the_command_line_restarts_under_the_environments_workflow(monkeypatch):
    given = []
    monkeypatch.setattr(cli, "compose_decisions", lambda environment: given.append(environment) or _no_decisions())
    assert cli.main(["approvals", "--environment", "stage", "reconcile"], {}) == 1
    assert cli.main(["approvals", "reconcile"], {"APPROVAL_FUNCTION_ARN": "other:live"}) == 1
    assert [each["APPROVAL_FUNCTION_ARN"] for each in given] == ["payment-processor-stage:live", "other:live"]


def _no_decisions():
    raise ConfigurationError("DYNAMODB_TABLE", None, "a table")


def test_a_page_without_a_key_is_refused():
    with pytest.raises(ConfigurationError, match="APPROVAL_KEY_ID"):
        read_approval_settings({"APPROVAL_PAGE_URL": "https://pay.example/approvals"})


# ---- the reconcile function ---------------------------------------------------------------------------------------


class Context:
    aws_request_id = "req-9"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def open_ids(world: ApprovalWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sparse index, which the in-memory table does not have."""
    monkeypatch.setattr(
        type(world.log),
        "open_transaction_ids",
        lambda self, status: iter([key for key in world.dynamodb.items if world.item(key)["status"] == status]),
    )


def test_reconcile_on_schedule_expires_and_counts_what_it_cannot_settle(monkeypatch):
    world = pending()
    open_ids(world, monkeypatch)
    output = io.StringIO()
    function = ReconcileFunction(world.rules, world.ports, decisions(world), output)
    assert function({}, Context()) == {"old_open_payments": 0}
    world.clock.ms += DAY_MS + OVERDUE_MS + 1
    assert function({}, Context()) == {"old_open_payments": 0}
    assert world.item()["status"] == "expired"

    # Claimed long ago, never charged: only its message may charge it, so it stays open and is counted.
    stuck = ApprovalWorld()
    open_ids(stuck, monkeypatch)
    reading = read([message()], stuck.rules, stuck.ports)["m-1"]
    stuck.gateway.scripts["prepare"] = [GatewayUnavailableError("503")]
    with pytest.raises(GatewayUnavailableError):
        settle(reading, stuck.rules, stuck.ports, work())
    stuck.clock.ms += 60 * 60 * 1000
    stuck.change(lease_until=1)
    function = ReconcileFunction(stuck.rules, stuck.ports, decisions(stuck), output)
    assert function({}, Context()) == {"old_open_payments": 1}
    assert stuck.gateway.captures == {}
    last = json.loads(output.getvalue().splitlines()[-1])
    assert (last["OldOpenPayments"], last["environment"]) == (1, "dev")
    assert last["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["environment"]]


def test_a_payment_that_is_restarted_again_and_again_is_counted(monkeypatch):
    world = pending()
    open_ids(world, monkeypatch)
    closed = decisions(world)
    engine = Engine(closed=True)
    function = ReconcileFunction(
        world.rules, world.ports, replace(closed, starter=engine, executions=engine), io.StringIO()
    )
    assert function({}, Context()) == {"old_open_payments": 0}
    world.change(execution_arn=ARN.replace("-1/", "-2/"))
    assert function({}, Context()) == {"old_open_payments": 1}
    assert [name for name, _ in engine.started] == ["dev-pay-abc123-2", "dev-pay-abc123-3"]


# ---- the conditions of the approval writes, clause by clause --------------------------------------------------------

BASE = whole_item(
    {},
    transaction_id=KEY,
    status="pending_approval",
    approval_name="n",
    execution_arn=ARN,
    approval_expires_at=1,
    amount_minor=100,
)
SCORED: Any = {"risk": 1, "fraud_score": 1, "risk_reasons": ()}
CALLS = {
    "adopt": (
        lambda log: log.adopt_approval(
            KEY, name="n", arn=ARN, request_hash="0" * 64, expires_at=2, reasons=[], **SCORED, now=1
        ),
        {},
        [{"status": "expired"}, {"approval_name": "m"}, {"request_hash": "1"}, {"execution_arn": "other"}],
    ),
    "ask": (
        lambda log: log.ask_approval(KEY, arn=ARN, callback_id="c", now=1),
        {},
        [{"status": "expired"}, {"execution_arn": "other"}, {"decision": "approve"}],
    ),
    "expire": (
        lambda log: log.expire_approval(KEY, arn=ARN, now=1),
        {},
        [{"status": "processing"}, {"execution_arn": "other"}, {"decision": "approve"}],
    ),
    "reject": (
        lambda log: log.reject_approval(KEY, arn=ARN, now=1),
        {"decision": "reject"},
        [{"status": "processing"}, {"execution_arn": "other"}, {"decision": "approve"}],
    ),
    "begin": (
        lambda log: log.begin_approved_charge(
            KEY, arn=ARN, attempt_seen=1, request_hash="0" * 64, amount_minor=100, now=1
        ),
        {"decision": "approve"},
        [
            {"status": "expired"},
            {"execution_arn": "other"},
            {"decision": "reject"},
            {"request_hash": "1"},
            {"amount_minor": 101},
        ],
    ),
    "expire overdue": (
        lambda log: log.expire_overdue_approval(KEY, overdue=2, now=3),
        {},
        [{"status": "processing"}, {"approval_expires_at": 2}, {"decision": "approve"}],
    ),
    "restart": (
        lambda log: log.restart_approval(KEY, generation_seen=1, closed_arn=ARN, name="m", now=1),
        {},
        [{"status": "expired"}, {"generation": 2}, {"execution_arn": "other"}],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_clause_of_a_write_refuses_on_its_own(name):
    call, more, breaks = CALLS[name]
    world = ApprovalWorld()
    world.dynamodb.items[KEY] = to_attributes(whole_item(BASE | more))
    assert call(world.log) is None
    for broken in breaks:
        item = whole_item(BASE | more | broken)
        world.dynamodb.items[KEY] = to_attributes(item)
        assert call(world.log) == from_stored(item)


def test_what_people_were_told_stands_until_the_payment_is_asked_about_anew():
    world = ApprovalWorld()
    world.dynamodb.items[KEY] = to_attributes({name: BASE[name] for name in BASE if name != "approval_expires_at"})
    adopt, _, _ = CALLS["adopt"]
    assert adopt(world.log) is None
    assert world.item()["approval_expires_at"] == 2
    world.log.adopt_approval(KEY, name="n", arn=ARN, request_hash="0" * 64, expires_at=9, reasons=[], **SCORED, now=8)
    assert (world.item()["approval_expires_at"], world.item()["updated_at"]) == (2, 8)
    restart, _, _ = CALLS["restart"]
    assert restart(world.log) is None
    assert not {"approval_expires_at", "execution_arn", "callback_id"} & world.item().keys()
