"""Each command of `payments` on what `make up` starts: one system for all of them (`make test-commands`)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import botocore.client
import pytest

from local.installation import ROOT
from tests.support.commands import Up, payment

# ---- send -----------------------------------------------------------------------------------------------------


def test_a_payment_that_is_sent_is_charged_and_its_status_tells_the_whole_story(payments: Up) -> None:
    sent = payments("send", payment("sent-1"), "--yes", "--json")
    assert (sent.code, sent.documents[0]["message_group_id"]) == (0, "cust-1"), sent
    told = payments.until("status", "sent-1", holds=lambda document: document["status"] == "completed")
    story = [event["what"] for event in told["story"]]
    assert (story[0], story[-1]) == ("its message was claimed", "completed")
    assert told["story"][0]["message_id"] == sent.documents[0]["message_id"]
    assert any("gateway_ref" in event for event in told["story"])
    assert (told["now"], told["can_be_done"]) == (
        "it is charged, once and for good",
        ["payments refund sent-1 --refund-id ID"],
    )
    shown = payments("status", "txn-sent-1")
    assert shown.said.startswith("txn-sent-1  completed  25.99 USD  customer cust-1, order ord-sent-1\n")
    assert "now: it is charged, once and for good\n" in shown.said


def test_a_file_is_sent_as_it_stands_and_what_is_wrong_with_it_is_told_before_anything_is_sent(
    payments: Up, tmp_path: Path
) -> None:
    path = tmp_path / "payments.jsonl"
    path.write_text("\n".join([*(payment(f"file-{number}", 1.10) for number in range(12)), "", "{"]))
    refused = payments("send", str(path), "--yes")
    assert (refused.code, f"{path}, line 14 is no JSON" in refused.errors) == (2, True)
    assert payments("status", "file-0").code == 3
    path.write_text("\n".join(payment(f"file-{number}", 1.10) for number in range(12)))
    asked = payments("send", str(path), answer="n\n")
    assert (asked.code, "12 payments (13.2 of the environment's own currency)" in asked.errors) == (6, True)
    sent = payments("send", str(path), "--group", "of-the-file", answer="y\n")
    assert sent.code == 0
    assert sent.said.splitlines()[11] == "file-11 sent to group of-the-file"
    payments.until("status", "file-11", holds=lambda document: document["status"] == "completed")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{"payment_id": "a"}', "has no customer_id to be its group"),
        ('{"customer_id": "a"}', "has no payment_id"),
        ("nowhere.jsonl", "nowhere.jsonl cannot be read"),
        ('{"refund": {"payment_id": "a"}}', "is a refund: `payments refund` sends it behind its payment"),
        ('{"payment_id": "a", "customer_id": "a b"}', "'a b' is no message group"),
    ],
)
def test_what_cannot_be_sent_is_told_and_nothing_is_sent(payments: Up, source: str, said: str) -> None:
    answer = payments("send", source, "--yes")
    assert (answer.code, said in answer.errors) == (2, True), answer


# ---- status, list ---------------------------------------------------------------------------------------------


def test_a_status_needs_three_requests_at_most(payments: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = botocore.client.BaseClient._make_api_call

    def counted(self, operation_name, api_params):  # type: ignore[no-untyped-def]
        asked.append(operation_name)
        return ask(self, operation_name, api_params)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", counted)
    payments("send", payment("counted"), "--yes")
    payments.until("status", "counted", holds=lambda document: document["status"] == "completed")
    for name, most in (("counted", 2), ("txn-counted", 3), ("nobody", 3)):
        asked.clear()
        payments("status", name)
        assert len(asked) <= most, asked
    asked.clear()
    answer = payments("status", "nobody", PAYMENT_QUEUE_URL=payments.exports["QUEUE_URL"])
    assert len(asked) <= 3
    assert answer.code == 3
    assert "there is no payment txn-nobody in this table" in answer.errors
    assert "in the payment queue 0 messages wait" in answer.errors
    assert "--environment dev --region us-east-1" in answer.errors


def test_a_status_with_logs_has_the_functions_lines_about_it(payments: Up) -> None:
    payments("send", payment("logged"), "--yes")
    payments.until("status", "logged", holds=lambda document: document["status"] == "completed")
    told = payments.until(
        "status", "logged", "--logs", holds=lambda document: any("log_group" in each for each in document["story"])
    )
    lines = [event for event in told["story"] if "log_group" in event]
    assert all("logged" in event["what"] for event in lines)
    assert [event["at"] for event in told["story"]] == sorted(event["at"] for event in told["story"])


def test_a_payment_that_waits_for_a_person_is_listed_and_can_be_cancelled(payments: Up) -> None:
    payments("send", payment("risky", 9999.99, customer_id="cust-risky"), "--yes")
    told = payments.until("status", "risky", holds=lambda document: "waits for a person" in document["now"])
    assert told["can_be_done"][0] == 'payments approvals approve risky --reason "..."'
    assert any("people were asked, until" in event["what"] for event in told["story"])
    mine = payments("list", "--customer", "cust-risky").said
    assert ("txn-risky" in mine, "pending_approval" in mine) == (True, True)
    assert payments("list", "--customer", "nobody").said == "No payment is open.\n"
    assert payments("list", "--state", "parked").said == "No payment is open.\n"
    asked = payments("cancel", "risky", "--reason", "ordered twice")
    assert (asked.code, "txn-risky, 9999.99 USD, will never be charged." in asked.errors) == (6, True)
    done = payments("cancel", "risky", "--reason", "ordered twice", "--yes")
    assert (done.code, "txn-risky rejected by arn:aws:" in done.said) == (0, True), done
    payments.until("status", "risky", holds=lambda document: document["status"] == "rejected")
    again = payments("cancel", "risky", "--reason", "ordered twice", "--yes")
    assert (again.code, "txn-risky is rejected and cannot be cancelled" in again.errors) == (1, True)


def test_reconcile_is_run_by_the_deployed_function(payments: Up) -> None:
    answer = payments("reconcile", "--json")
    assert (answer.code, answer.documents) == (0, [{"old_open_payments": 0, "parked_payments": 0}]), answer


# ---- refunds --------------------------------------------------------------------------------------------------


def test_a_refund_is_sent_behind_its_payment_and_its_status_says_what_became_of_it(payments: Up) -> None:
    payments("send", payment("given-back"), "--yes")
    payments.until("status", "given-back", holds=lambda document: document["status"] == "completed")
    for words, code, said in (
        (["--amount", "10.00"], 2, "Missing option '--refund-id'"),
        (["--refund-id", "r 1"], 2, "'r 1' is no refund id"),
        (["--amount", "10.005", "--refund-id", "r"], 2, "10.005 is no amount in USD"),
        (["--amount", "26.00", "--refund-id", "r"], 1, "txn-given-back has 25.99 USD left to be given back"),
    ):
        answer = payments("refund", "given-back", *words, "--yes")
        assert (answer.code, said in answer.errors) == (code, True), answer
    asked = payments("refund", "given-back", "--amount", "10.00", "--refund-id", "r-1", answer="n\n")
    assert (asked.code, "10.00 USD of txn-given-back will be given back, as refund r-1." in asked.errors) == (6, True)
    sent = payments("refund", "given-back", "--amount", "10.00", "--refund-id", "r-1", "--yes")
    assert (sent.code, sent.said) == (
        0,
        "txn-given-back#refund#r-1 was sent: payments status 'txn-given-back#refund#r-1'\n",
    )
    # The simulated gateway forgets with its process, and another environment's may have charged.
    told = payments.until(
        "status", "txn-given-back#refund#r-1", holds=lambda document: document["status"] in ("refunded", "failed")
    )
    assert told["story"][0]["what"] == "its message was claimed"
    assert told["item"]["amount_minor"] == 1000
    if told["status"] == "refunded":
        assert "of it 10.00 USD were given back" in payments("status", "given-back").said
    assert payments("status", "txn-given-back#refund#r-2").code == 3
    assert payments("refund", "nobody", "--refund-id", "r", "--yes").code == 3


# ---- who asks wrongly -----------------------------------------------------------------------------------------


def test_another_environment_is_told_by_its_name(payments: Up) -> None:
    export = ["export", "--from", "2026-01-01", "--to", "2026-01-02"]
    for words in (["list"], ["status", "sent-1"], ["reconcile"], export, ["send", payment("lost"), "--yes"]):
        answer = payments("--environment", "nowhere", *words)
        assert (answer.code, "--environment nowhere" in answer.errors) == (3, True), (words, answer)


def test_a_system_that_is_not_up_is_told_by_its_address(payments: Up) -> None:
    answer = payments("list", "--endpoint-url", "http://127.0.0.1:1")
    assert (answer.code, "--endpoint-url http://127.0.0.1:1" in answer.errors) == (5, True), answer


# ---- dead letters ---------------------------------------------------------------------------------------------


@pytest.fixture
def dead(payments: Up, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts letters into the dead-letter queue, as SQS does after too many receives; it is empty in the end."""
    for name, value in payments.exports.items():
        monkeypatch.setenv(name, value)
    sqs = boto3.client("sqs")
    url = payments.exports["QUEUE_URL"].replace(".fifo", "-dlq.fifo")

    def put(group: str, *bodies: str) -> None:
        for body in bodies:
            sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)

    yield put
    sqs.purge_queue(QueueUrl=url)


def test_dead_letters_are_listed_and_shown_without_card_data_and_taken_by_nobody(
    payments: Up, dead: Callable[..., None]
) -> None:
    dead("g-list", payment("dead-1", card_number="4111111111111111"), payment("dead-2"))
    for _ in range(2):
        listed = payments("dead-letters", "list")
        assert listed.code == 0
        assert [line.split()[:2] for line in listed.said.splitlines()[1:]] == [
            ["g-list", "dead-1"],
            ["g-list", "dead-2"],
        ]
    shown = payments("dead-letters", "show", "dead-1")
    assert "in the table      nothing" in shown.said
    assert "4111111111111111" not in listed.said + shown.said
    assert "1111" in shown.said
    assert payments("dead-letters", "show", "nobody").code == 3


def test_a_dry_run_sends_nothing_and_a_redrive_sends_each_group_in_its_order(
    payments: Up, dead: Callable[..., None]
) -> None:
    names = [f"redriven-{number}" for number in range(12)]
    dead("g-order", *(payment(name) for name in names))
    dead("g-other", payment("redriven-other"))
    tried = payments("dead-letters", "redrive", "--group", "g-order", "--dry-run")
    assert (tried.code, tried.said) == (0, f"group g-order: {', '.join(names[:10])} and what is behind them\n")
    assert payments("status", names[0]).code == 3
    done = payments("dead-letters", "redrive", "--group", "g-order", "--yes")
    assert (done.code, done.errors) == (0, "")
    assert done.said.splitlines()[1:] == [f"{name} sent to group g-order" for name in names]
    # It waited for them.
    told = [payments("status", name, "--json").documents[0] for name in names[::5]]
    assert {each["status"] for each in told} == {"completed"}
    claimed = [(each["item"]["created_at"], int(each["item"]["sequence_number"])) for each in told]
    assert claimed == sorted(claimed)
    assert payments("status", "redriven-other").code == 3
    again = payments("dead-letters", "redrive", "--group", "g-order", "--yes")
    assert (again.code, "group g-order: no dead letter of it can be seen" in again.errors) == (3, True)
    assert payments("dead-letters", "redrive", "--all", "--yes").said.splitlines()[-1:] == [
        "redriven-other sent to group g-other"
    ]


def test_two_people_who_redrive_at_once_send_each_letter_once_and_in_order(
    payments: Up, dead: Callable[..., None]
) -> None:
    groups = {f"g-{letter}": [f"two-{letter}-{number}" for number in range(3)] for letter in "abcd"}
    for group, names in groups.items():
        dead(group, *(payment(name) for name in names))
    command = [sys.executable, "-m", "operations", "dead-letters", "redrive", "--all", "--yes", "--json"]
    people = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [person.communicate()[0] for person in people]
    sent = [json.loads(line) for each in said for line in each.splitlines()]
    sent = [each for each in sent if each["sent"]]
    # Who finds nothing to be had may end at once; what is left is there for the next.
    if len(sent) < 12:
        sent += [
            each for each in payments("dead-letters", "redrive", "--all", "--yes", "--json").documents if each["sent"]
        ]
    for group, names in groups.items():
        assert [each["payment_id"] for each in sent if each["message_group_id"] == group] == names


# ---- what make does too ---------------------------------------------------------------------------------------


def live(payments: Up, function: str = "cloudcafe-payment-processor-dev") -> str:
    alias = boto3.client("lambda", endpoint_url=payments.exports["AWS_ENDPOINT_URL"], region_name="us-east-1")
    version: str = alias.get_alias(FunctionName=function, Name="live")["FunctionVersion"]
    return version


def test_stress_is_switched_by_a_version_behind_live_and_rolled_back(
    payments: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in payments.exports.items():
        monkeypatch.setenv(name, value)
    before = live(payments)
    on = payments("stress", "on", "--json")
    assert (on.code, on.documents[-1]["stress_mode"]) == (0, "cold_start"), on
    assert live(payments) == on.documents[-1]["version"] != before
    assert payments("stress", "on").said.endswith("STRESS_MODE is cold_start already\n")
    back = payments("rollback", "--version", before)
    assert (back.code, f"live moved from version {on.documents[-1]['version']} to {before}" in back.said) == (0, True)
    again = payments("deploy", "--version", on.documents[-1]["version"])
    assert (again.code, live(payments)) == (0, on.documents[-1]["version"]), again
    off = payments("stress", "off", "--json")
    assert (off.code, live(payments)) == (0, off.documents[-1]["version"]), off
    assert payments("--environment", "prod", "stress", "on").code == 1


def test_a_stopped_environment_takes_no_message_until_it_is_started(payments: Up) -> None:
    for words in (["stop"], ["reconcile"], ["start", "--yes"]):
        elsewhere = payments(*words, "--region", "eu-west-1")
        assert (elsewhere.code, "Function not found" in elsewhere.errors, elsewhere.said) == (3, True, ""), elsewhere
        assert "--environment dev --region eu-west-1" in elsewhere.errors
    unread = payments("stop", AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:1")
    assert (unread.code, "does not reconcile, and that stands" in unread.errors) == (1, True), unread
    stopped = payments("stop", "--json")
    assert stopped.code == 0, stopped
    switched, left = stopped.documents
    assert switched["queue_mapping"] == {"before": "Disabled", "after": "Disabled"}
    assert switched["reconcile_schedule"] == {"before": "DISABLED", "after": "DISABLED"}
    assert left["worked_on"] == 0
    assert "it is stopped: the payment queue's mapping is Disabled, re" in payments("doctor", "--no-state").said
    payments("send", payment("stopped"), "--yes")
    time.sleep(1)
    known = payments("status", "stopped", PAYMENT_QUEUE_URL=payments.exports["QUEUE_URL"])
    assert "worked on; the environment is stopped (`payments start`)" in known.errors
    missing = payments("status", "stopped")
    assert (missing.code, "in the payment queue 1 messages wait and 0 are being worked on" in missing.errors) == (
        3,
        True,
    )
    started = payments("start", answer="y\n")
    assert (started.code, "dev takes messages from the queue again" in started.said) == (0, True), started
    assert "the payment queue's mapping is Enabled (was Disabled), reconcile's schedule is ENABLED (was" in started.said
    payments.until("status", "stopped", holds=lambda document: document["status"] == "completed")
    assert "the payment queue's mapping, reconcile's schedule: Enabled" in payments("doctor", "--no-state").said


def test_what_a_script_of_the_checkout_refuses_is_told_as_it_says_it(payments: Up) -> None:
    refused = payments("deploy", "--version", "99", "--function", "page", "--json")
    assert refused.code == 1
    assert "99" in json.loads(refused.errors)["error"]
    assert payments("deploy").code == 2
    assert payments("start", answer="n\n").code == 6


def test_a_pepper_is_made_once_and_rotated_and_never_shown(payments: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in payments.exports.items():
        monkeypatch.setenv(name, value)
    made = payments("pepper", "create")
    assert (made.code, 'fingerprint_pepper_secret_arn = "arn:aws:secretsmanager:' in made.said) == (0, True), made
    again = payments("pepper", "create")
    assert (again.code, "is there already" in again.errors) == (1, True)
    secret = boto3.client("secretsmanager")
    first = secret.get_secret_value(SecretId="payment-fingerprint-pepper-dev")["SecretString"]
    assert payments("pepper", "rotate", answer="n\n").code == 6
    assert secret.get_secret_value(SecretId="payment-fingerprint-pepper-dev")["SecretString"] == first
    turned = payments("pepper", "rotate", "--yes")
    second = secret.get_secret_value(SecretId="payment-fingerprint-pepper-dev")["SecretString"]
    assert (turned.code, len(bytes.fromhex(first)), len(bytes.fromhex(second)), first != second) == (0, 32, 32, True)
    assert not {first, second} & set(f"{made} {turned}".split())
    assert payments("--environment", "other", "pepper", "rotate", "--yes").code == 3


def test_a_cost_is_counted_without_anybody_being_asked(payments: Up) -> None:
    told = payments("cost", "--payments", "1000", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert (told.code, told.said.startswith("1,000 payments a month at 512 MB")) == (0, True), told


# ---- doctor ---------------------------------------------------------------------------------------------------


def test_a_doctor_finds_nothing_wrong_sends_a_payment_through_and_names_the_engine_in_use(payments: Up) -> None:
    well = payments("doctor", "--test-payment", "--json")
    assert well.code == 0, well
    found = [(each["check"], each["state"], each["said"]) for each in well.documents]
    assert {state for _, state, _ in found} == {"ok", "look"}
    for check, said in (
        ("credentials", "arn:aws:iam::000000000000:root in us-east-1"),
        ("queues", "visibility time-out 180 s, six times the function's 30 s"),
        ("table", "its index of open payments is ACTIVE"),
        ("test payment", "is completed after"),
    ):
        assert any(each == check and state == "ok" and said in text for each, state, text in found), (check, found)
    assert any(each == "versions" and "queue: version" in text for each, _, text in found)
    # The environment's log is in CloudWatch a second later.
    for _ in range(30):
        if '"engine": "compiled"' in (said := payments("doctor", "--no-state").said):
            break
        time.sleep(1)
    else:
        pytest.fail(said)


def test_a_doctor_says_what_is_wrong_and_what_to_do(payments: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in payments.exports.items():
        monkeypatch.setenv(name, value)
    sqs, url = boto3.client("sqs"), payments.exports["QUEUE_URL"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "60"})
    try:
        ill = payments("doctor", "--no-state")
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "180"})
    assert ill.code == 1
    assert "wrong  queues        visibility time-out 60 s" in ill.said
    assert "`make apply` puts it right." in ill.said


def test_a_doctor_of_nothing_goes_on_after_each_check_that_cannot_be_made(payments: Up) -> None:
    lost = payments("doctor", "--no-state", "--environment", "nowhere", "--json")
    assert lost.code == 1
    wrong = {each["check"] for each in lost.documents if each["state"] == "wrong"}
    assert {"queues", "table", "versions", "engine"} <= wrong
    assert all(each["do"] for each in lost.documents if each["state"] == "wrong")
