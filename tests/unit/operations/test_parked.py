"""`payments parked` on the command line, over items in memory that were parked by failing."""

from __future__ import annotations

import json
import re

import pytest

from handler import approval_composition as composition
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.domain.errors import ApprovalStartError, GatewayAnswerError, RetryNotSentError, UnknownOutcomeError
from handler.domain.item import Item
from handler.domain.payment import GatewayResult
from handler.domain.reasons import sentence
from handler.domain.times import Times
from operations import __main__ as cli
from tests.support.parking import Executions, Queue, decisions, parked, send
from tests.support.payments import KEY, World, body, message

ALICE = "arn:aws:iam::123456789012:user/alice"
ANSWERED = dict.fromkeys(("retry", "cancel"), ("--yes",))


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `payments parked ...` over a world and a queue; returns exit code, output and errors."""

    def run(world: World, *arguments: str, queue: object = None) -> tuple[int, str, str]:
        monkeypatch.setattr(composition, "compose_decisions", lambda environment: decisions(world))
        monkeypatch.setattr(composition, "compose_retries", lambda environment: (queue or Queue(), Times()))
        monkeypatch.setattr(composition, "compose_gateway", lambda environment: world.gateway)
        monkeypatch.setattr(composition, "caller_identity", lambda: ALICE)
        monkeypatch.setattr(
            DynamoDbParkingLog,
            "open_transaction_ids",
            lambda self, status: iter([key for key in world.dynamodb.items if world.item(key)["status"] == status]),
        )
        code = cli.main(["parked", *arguments, *ANSWERED.get(arguments[0], ())], {})
        return code, *capsys.readouterr()

    return run


def park_another(world: World, payment_id: str, sequence: str, group: str = "group-1") -> None:
    """One more payment of the world, parked like the first."""
    world.gateway.scripts["prepare"] = [GatewayAnswerError("500")] * 5
    sent = message(body(payment_id=payment_id), message_id=f"m-{payment_id}", group=group)._replace(
        sequence_number=sequence
    )
    for number in range(5):
        outcome = send(world, sent, owner=f"{payment_id}-{number}:m")
    assert outcome == "parked"


def test_the_list_shows_what_is_parked_with_amount_reason_and_whether_the_gateway_knows_it(command):
    world = parked()
    code, output, _ = command(world, "list")
    assert code == 0
    row = re.split(r" {2,}", output.splitlines()[1])
    assert [row[0], row[1], *row[4:]] == [KEY, "25.99 USD", "nobody", "never", "gateway_answer_invalid"]
    document = json.loads(command(world, "list", "--json")[1])
    assert (document["transaction_id"], document["parked_reason"]) == (KEY, "gateway_answer_invalid")
    world.change(status="processing")
    assert command(world, "list")[1] == "No payment is parked.\n"


def test_the_list_names_the_reference_and_who_retried_for_as_long_as_that_retry_holds(command):
    world = parked("charge")
    command(world, "retry", KEY)
    output = command(world, "list")[1]
    assert world.item()["gateway_ref"] in output
    assert ALICE in output
    world.change(park_no=2)
    assert ALICE not in command(world, "list")[1]


def test_show_tells_why_a_payment_was_parked_and_how_it_was_given_up(command):
    world = parked()
    output = command(world, "show", "pay-abc123")[1]
    assert f"{sentence('gateway_answer_invalid')} (gateway_answer_invalid)\n" in output
    assert "at the gateway  never\n" in output
    command(world, "cancel", KEY, "--reason", "sent twice")
    output = command(world, "show", KEY)[1]
    assert f"cancelled by    {ALICE}: sent twice\n" in output
    assert "status          cancelled\n" in output


def test_a_payment_that_the_gateway_knows_is_given_up_once_it_is_cancelled_there(command):
    world = parked("charge")
    world.gateway.scripts["cancel"] = [UnknownOutcomeError("no answer")]
    code, _, errors = command(world, "cancel", KEY, "--reason", "sent twice")
    assert (code, world.item()["status"]) == (1, "parked")
    assert "is still parked, as the gateway did not confirm" in errors
    assert "no answer. Run this again" in errors
    assert command(world, "cancel", KEY, "--reason", "sent twice")[:2] == (0, f"{KEY} cancelled by {ALICE}\n")
    assert world.item()["status"] == "cancelled"


def test_a_payment_that_was_charged_before_its_cancel_is_told_to_be_completed(command):
    world = parked("charge")
    world.gateway.scripts["cancel"] = [GatewayResult("approved", 2599, "USD", "AUTH1")]
    code, output, _ = command(world, "cancel", KEY, "--reason", "sent twice")
    assert (code, output) == (0, f"{KEY} is completed: the gateway had charged it before it could be cancelled\n")
    assert world.item()["status"] == "completed"


def test_a_retry_is_recorded_under_the_callers_aws_identity_and_sent_once(command):
    world, queue = parked(), Queue()
    code, output, _ = command(world, "retry", "pay-abc123", queue=queue)
    assert (code, output) == (0, f"{KEY} was sent to its group again by {ALICE}\n")
    assert [name for _, name in queue.sent] == ["pay-abc123#retry#1"]
    assert world.item()["retried_by"] == ALICE


def test_a_workflows_payment_is_handed_to_a_new_execution(command):
    world, queue = parked(), Queue()
    world.change(generation=1, approval_name="dev-pay-abc123-1", execution_arn="arn:1")
    world.change(decision="approve", decided_by="alice", decided_at=world.clock.ms, comment="fine")
    code, output, _ = command(world, "retry", KEY, queue=queue)
    assert (code, output) == (0, f"{KEY} was given to a new execution of its workflow by {ALICE}\n")
    assert (world.item()["status"], queue.sent) == ("pending_approval", [])


def test_a_retry_whose_message_is_not_sent_says_that_it_is_allowed_and_what_to_do(command):
    world = parked()
    code, output, errors = command(world, "retry", "pay-abc123", queue=Queue(RetryNotSentError("no answer")))
    assert (code, output) == (1, "")
    assert errors.splitlines() == [
        "payments: no answer",
        f"  {KEY} may be retried, which stands, and its message was not sent: run this again",
    ]
    assert world.item()["retried_by"] == ALICE
    queue = Queue()
    assert command(world, "retry", "pay-abc123", queue=queue)[0] == 0
    assert len(queue.sent) == 1


def test_a_retry_that_could_not_ask_about_its_execution_has_done_nothing(command, monkeypatch):
    world = parked()
    world.change(generation=1, approval_name="dev-pay-abc123-1", execution_arn="arn:1")

    def fails(self, execution_arn):
        raise ApprovalStartError("no answer")

    monkeypatch.setattr(Executions, "is_closed", fails)
    assert command(world, "retry", KEY)[2] == "payments: no answer\n"


def test_a_retry_whose_execution_is_not_started_says_who_starts_one(command, monkeypatch):
    world = parked()
    world.change(generation=1, approval_name="dev-pay-abc123-1", execution_arn="arn:1")
    world.change(decision="approve", decided_by="alice", decided_at=world.clock.ms, comment="fine")

    def refuses(*arguments, **named):
        raise ApprovalStartError("no answer")

    monkeypatch.setattr(world.approvals, "start", refuses)
    code, _, errors = command(world, "retry", KEY)
    assert (code, world.item()["status"]) == (1, "pending_approval")
    assert f"{KEY} was taken up, which stands, and no execution was started: reconcile starts one" in errors


def test_all_of_one_reason_are_retried_each_group_in_its_order(command):
    world, queue = parked(), Queue()
    park_another(world, "pay-3", "3")
    park_another(world, "pay-2", "2")
    park_another(world, "pay-9", "9", group="group-0")
    world.change("txn-pay-9", parked_reason="tries_used_up")
    world.change(sequence_number="1")
    assert command(world, "retry", "--reason", "gateway_answer_invalid", queue=queue)[0] == 0
    assert [name for _, name in queue.sent] == ["pay-abc123#retry#1", "pay-2#retry#1", "pay-3#retry#1"]
    assert command(world, "retry", "--reason", "nothing")[1] == "No payment is parked for nothing.\n"


def test_what_was_not_retried_holds_back_the_later_ones_of_its_group_and_no_other(command):
    class Refusing(Queue):
        def send(self, item: Item, deduplication_id: str) -> None:
            if item.payment_id == "pay-abc123":
                raise RetryNotSentError("no answer")
            super().send(item, deduplication_id)

    world, queue = parked(), Refusing()
    world.change(sequence_number="1")
    park_another(world, "pay-2", "2")
    park_another(world, "pay-9", "1", group="group-2")
    code, _, errors = command(world, "retry", "--reason", "gateway_answer_invalid", queue=queue)
    assert code == 1
    assert [name for _, name in queue.sent] == ["pay-9#retry#1"]
    assert f"payments: {KEY}: no answer. {KEY} may be retried, which stands, and its message was not sent" in errors
    assert "txn-pay-2 was left: one before it in group-1 was not retried" in errors
    # Interrupted, it is simply run again.
    again = Queue()
    assert command(world, "retry", "--reason", "gateway_answer_invalid", queue=again)[0] == 0
    assert [name for _, name in again.sent][:2] == ["pay-abc123#retry#1", "pay-2#retry#1"]


@pytest.mark.parametrize(
    ("arguments", "ends", "said"),
    [
        (("retry", "nobody"), 3, "there is no payment txn-nobody in this table: `payments parked list` shows"),
        (("cancel", KEY, "--reason", " "), 1, "needs a reason"),
    ],
)
def test_a_refused_command_says_why_and_changes_nothing(command, arguments, ends, said):
    world = parked("charge")
    before = world.item()
    code, _, errors = command(world, *arguments)
    assert code == ends
    assert said in errors
    assert world.item() == before


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("retry", "--reason", "gateway_answer_invalid")])
def test_a_parked_item_that_cannot_be_read_is_told_of_and_ends_the_command_with_1(command, arguments):
    world = parked()
    park_another(world, "pay-2", "2")
    world.change(request=None)
    code, output, errors = command(world, *arguments)
    assert code == 1
    assert "txn-pay-2" in output
    assert errors == f"payments: {KEY} (parked) lacks request\n"
    world.change("txn-pay-2", request=None)
    code, output, _ = command(world, *arguments)
    assert (code, output) == (1, "")


@pytest.mark.parametrize("sequence", ["not a number", "\u00b2"])
def test_a_sequence_number_that_a_hand_made_event_brought_hides_no_payment(command, sequence):
    world = parked()
    world.change(sequence_number=sequence)
    park_another(world, "pay-2", "2")
    code, output, _ = command(world, "list")
    assert code == 0
    assert {line.split()[0] for line in output.splitlines()[1:]} == {KEY, "txn-pay-2"}


@pytest.mark.parametrize(
    "arguments", [("retry", ""), ("retry", "--reason", ""), ("show", ""), ("cancel", "", "--reason", "x")]
)
def test_an_empty_name_is_wrong_usage_and_never_means_all(command, arguments):
    """As a shell's variable is that was not set."""
    world, queue = parked(), Queue()
    code, _, errors = command(world, *arguments, queue=queue)
    assert code == 2
    assert "must not be empty" in errors
    assert (queue.sent, world.item()["status"]) == ([], "parked")


@pytest.mark.parametrize("arguments", [("retry",), ("retry", KEY, "--reason", "tries_used_up"), ("cancel", KEY)])
def test_a_retry_names_one_payment_or_one_reason_and_a_cancel_says_why(arguments):
    assert cli.main(["parked", *arguments], {}) == 2


def test_another_environment_has_a_queue_of_its_own(monkeypatch):
    given = []
    composed = decisions(parked())
    monkeypatch.setattr(composition, "compose_decisions", lambda environment: given.append(environment) or composed)
    monkeypatch.setattr(DynamoDbParkingLog, "open_transaction_ids", lambda self, status: iter(()))
    variables = {"PAYMENT_QUEUE_URL": "https://dev"}
    cli.main(["parked", "list"], variables)
    cli.main(["parked", "--environment", "prod", "list"], variables)
    assert [each["PAYMENT_QUEUE_URL"] for each in given] == ["https://dev", ""]


@pytest.mark.parametrize(
    ("variables", "asked", "url"),
    [
        (
            {"PAYMENT_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/mine.fifo"},
            [],
            "https://sqs.us-east-1.amazonaws.com/123456789012/mine.fifo",
        ),
        ({}, ["cloudcafe-payment-processing-prod.fifo"], "https://found.example"),
    ],
)
def test_the_queue_is_the_one_that_is_set_or_found_by_the_environments_name(monkeypatch, variables, asked, url):
    names: list[str] = []
    sent: list[str] = []

    class Sqs:
        def get_queue_url(self, QueueName: str) -> dict[str, str]:
            names.append(QueueName)
            return {"QueueUrl": "https://found.example"}

        def send_message(self, **request: str) -> None:
            sent.append(request["QueueUrl"])

    monkeypatch.setattr(composition, "_clients", lambda settings: lambda service: Sqs())
    queue, _ = composition.compose_retries({"ENVIRONMENT": "prod", "AWS_REGION": "us-east-1", **variables})
    queue.send(parked().stored(), "pay-abc123#retry#1")
    assert (names, sent) == (asked, [url])
