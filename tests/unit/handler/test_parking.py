"""A payment that keeps failing is parked: its group goes on, and nothing but an operator moves it.

Invariants: only what the payment itself causes counts against it; a permission to retry holds for once.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from handler.adapters.queues import SqsRetryQueue
from handler.adapters.support.errors import AwsError
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.adapters.table.transaction_log import DynamoDbTransactionLog
from handler.domain.errors import (
    ApprovalRefusedError,
    GatewayAnswerError,
    GatewayBusyError,
    GatewayReferenceUnknownError,
    GatewayUnavailableError,
    NotEnoughTimeError,
    ParkedRefusedError,
    RetryNotSentError,
    TransactionLogUnavailableError,
    TriesUsedUpError,
    UnknownOutcomeError,
)
from handler.domain.item import Item, from_stored
from handler.domain.park import CALLS_ENDED_AFTER_MS
from handler.domain.parked import cancel, in_order, retry
from handler.domain.payment import GatewayResult, Message
from handler.domain.process import settle
from handler.domain.reconcile import CHARGE_TAKES_MAX_MS, Finding, settle_parked
from handler.domain.rules import Parking, Rules
from handler.domain.times import Times
from tests.support.parking import Queue, decisions, failing, parked, send, unasked
from tests.support.payments import CARD, KEY, ScriptedGateway, World, body, message, no_end, reading, whole_item, work

HOUR_MS = 3_600_000
AT_WORK = GatewayResult("in_progress", 2599, "USD")


def asked(world: World) -> list[Finding]:
    return list(settle_parked(world.rules, world.ports, decisions(world), work("reconcile-1:r")))


class Killed(Exception):
    """No error of ours: nothing is released after it."""


def retried(world: World, queue: Queue, who: str = "alice") -> str:
    work_of_hers = work(f"op:{world.clock.ms}")
    return retry(world.stored(), who, queue, decisions(world), times=Times(), work=work_of_hers)


def test_a_payment_is_parked_after_five_failures_of_its_own():
    item = parked().item()
    kept = {name: item[name] for name in ("status", "park_no", "parked_reason", "tries")}
    assert kept == {"status": "parked", "park_no": 1, "parked_reason": "gateway_answer_invalid", "tries": 5}
    assert "lease_until" not in item
    assert item["open_shard"].startswith("parked#")


@pytest.mark.parametrize("make", [GatewayUnavailableError, GatewayBusyError, UnknownOutcomeError])
def test_what_everybody_suffers_from_counts_against_nobody(make):
    world = failing("prepare", make)
    assert {send(world, owner=f"r-{number}:m-1") for number in range(40)} == {"returned"}
    assert (world.item()["status"], world.item()["tries"]) == ("processing", 0)


def test_a_payment_that_cannot_be_parked_comes_again_and_is_parked_then(monkeypatch):
    world = failing("prepare")
    assert [send(world, owner=f"r-{number}:m-1") for number in range(4)] == ["returned"] * 4

    def unavailable(*_: object, **__: object) -> None:
        raise TransactionLogUnavailableError("throttled")

    with monkeypatch.context() as patched:
        patched.setattr(DynamoDbTransactionLog, "park", unavailable)
        assert send(world, owner="r-4:m-1") == "returned"
    # Its lease is over, and its tries are used.
    assert (world.item()["status"], world.item()["lease_until"], world.item()["tries"]) == ("processing", 0, 5)
    assert send(world, owner="r-5:m-1") == "parked"


def test_what_fails_for_six_hours_is_parked_whatever_the_cause():
    world = failing("prepare", GatewayUnavailableError)
    assert send(world) == "returned"
    world.clock.ms += 6 * HOUR_MS - 2000
    assert send(world, owner="req-2:m-1") == "returned"
    assert send(world, owner="req-3:m-1") == "parked"
    assert world.item()["parked_reason"] == "gateway_unavailable"


def test_a_charge_that_takes_its_methods_days_is_parked_at_once_and_nothing_is_counted():
    world = World(gateway=ScriptedGateway(charge=[AT_WORK]))
    assert send(world) == "parked"
    assert (world.item()["parked_reason"], world.gateway.calls) == ("charge_in_progress", ["prepare", "charge"])
    assert send(world, owner="req-2:m-1") == "duplicate"


def test_a_charge_in_progress_over_another_amount_is_not_believed():
    world = World(gateway=ScriptedGateway(charge=[AT_WORK._replace(amount_minor=2600)]))
    assert send(world) == "returned"
    assert world.item()["status"] == "processing"


def test_what_is_asked_and_in_progress_comes_again_until_no_call_can_be_under_way():
    world = World(gateway=ScriptedGateway(charge=[UnknownOutcomeError("no answer")], status=[AT_WORK] * 9))
    assert send(world) == "returned"
    world.clock.ms += CALLS_ENDED_AFTER_MS - 2000
    assert (send(world, owner="req-2:m-1"), world.item()["tries"]) == ("returned", 0)
    assert send(world, owner="req-3:m-1") == "parked"
    assert (world.item()["parked_reason"], world.gateway.calls.count("charge")) == ("charge_in_progress", 1)


@pytest.mark.parametrize(
    ("said", "waits_in_time"),
    [
        (AT_WORK, True),
        (GatewayUnavailableError("no connection"), True),
        # It was given back uncharged, which no gateway is known to do.
        (AT_WORK._replace(state="prepared"), False),
    ],
)
def test_what_takes_its_methods_days_waits_for_nobody_for_three_weeks(said, waits_in_time):
    world = World(gateway=ScriptedGateway(charge=[AT_WORK], status=[said, said]))
    send(world)
    world.clock.ms += CHARGE_TAKES_MAX_MS - 1
    assert [found.takes_days for found in asked(world)] == [waits_in_time]
    world.clock.ms += 1
    assert [found.takes_days for found in asked(world)] == [False]
    assert world.item()["status"] == "parked"


def test_what_was_parked_for_another_reason_waits_for_somebody_unless_it_is_at_work():
    world = parked("charge")
    world.gateway.scripts["status"] = [AT_WORK, GatewayUnavailableError("no connection")]
    assert [(found.outcome, found.takes_days) for found in asked(world)] == [("in_progress", True)]
    assert [(found.outcome, found.takes_days) for found in asked(world)] == [("unsettled", False)]


@pytest.mark.parametrize(("state", "becomes"), [("approved", "completed"), ("declined", "declined")])
def test_reconcile_records_what_a_charge_of_days_becomes(state, becomes):
    world = World(gateway=ScriptedGateway(charge=[AT_WORK], status=[AT_WORK._replace(state=state)]))
    send(world)
    assert [found.outcome for found in asked(world)] == [becomes]
    assert world.item()["status"] == becomes


def test_a_worker_without_time_parks_nobody_however_old_the_payment():
    world = failing("prepare", GatewayUnavailableError)
    send(world)
    world.clock.ms += 7 * HOUR_MS
    left = itertools.chain([30_000] * 3, itertools.repeat(9_000))
    hurried = work("req-2:m-1")._replace(remaining_ms=lambda: next(left))
    found = reading(world, message())
    with pytest.raises(NotEnoughTimeError):
        settle(found, world.rules, world.ports, hurried)
    assert (world.item()["status"], world.item()["tries"]) == ("processing", 0)


def test_a_killed_worker_counts_and_after_the_last_one_nothing_more_is_tried():
    world = World(rules=Rules(parking=Parking(after_tries=2)), gateway=ScriptedGateway(prepare=[Killed()] * 9))
    for number in range(2):
        with pytest.raises(Killed):
            send(world, owner=f"r-{number}:m-1")
        world.clock.ms += 60_000
    world.gateway.calls.clear()
    assert send(world, owner="r-9:m-1") == "parked"
    assert (world.item()["parked_reason"], world.gateway.calls) == (TriesUsedUpError.reason_code, [])


def test_a_message_that_finds_its_payment_parked_is_a_duplicate_and_other_content_a_conflict():
    world = parked()
    before = world.item()
    assert send(world, message(message_id="m-2"), owner="r-8:m-2") == "duplicate"
    assert send(world, message(body(amount=26), message_id="m-3"), owner="r-9:m-3") == "conflict"
    assert world.item() == before


def test_a_retry_sends_the_canonical_request_under_an_id_of_its_own_and_is_charged():
    world, queue = parked(), Queue()
    assert retried(world, queue) == "sent"
    [(request, name)] = queue.sent
    assert (name, world.item()["retried_by"]) == ("pay-abc123#retry#1", "alice")
    assert send(world, Message("m-9", request, "group-1"), owner="r-9:m-9") == "completed"
    assert world.gateway.captures == {world.item()["gateway_ref"]: 2599}


def test_a_parked_message_holds_no_card_number_and_charges_what_was_claimed():
    world = failing("prepare")
    for number in range(5):
        send(world, message(body(description=f"card {CARD}")), owner=f"r-{number}:m-1")
    world.gateway.scripts.clear()
    queue = Queue()
    retried(world, queue)
    assert CARD not in str(world.item())
    assert send(world, Message("m-9", queue.sent[0][0], "group-1"), owner="r-9:m-9") == "completed"


def test_a_retry_asks_for_the_status_before_any_charge():
    world, queue = parked("charge"), Queue()
    retried(world, queue)
    world.gateway.calls.clear()
    world.gateway.scripts["status"] = [GatewayResult("approved", 2599, "USD", "A", "2024-01-01T12:00:00Z")]
    assert send(world, Message("m-9", queue.sent[0][0], "group-1"), owner="r-9:m-9") == "completed"
    assert world.gateway.calls == ["status"]


def test_a_retry_has_all_tries_and_all_the_time_again_and_its_permission_holds_for_once():
    world, queue = parked(), Queue()
    world.clock.ms += 7 * HOUR_MS
    retried(world, queue)
    again = Message("m-9", queue.sent[0][0], "group-1")
    world.gateway.scripts["prepare"] = [GatewayAnswerError("500")] * 5
    assert [send(world, again, owner=f"r-{number}:m-9") for number in range(20, 25)] == ["returned"] * 4 + ["parked"]
    assert (world.item()["park_no"], world.item()["retry_no"]) == (2, 1)
    assert send(world, again, owner="r-30:m-9") == "duplicate"
    retried(world, queue)
    assert queue.sent[1][1] == "pay-abc123#retry#2"


def test_a_retry_that_could_not_be_sent_is_run_again():
    world, queue = parked(), Queue(RetryNotSentError("no answer"))
    with pytest.raises(RetryNotSentError):
        retried(world, queue)
    assert (retried(world, queue), len(queue.sent)) == ("sent", 1)


def test_a_retry_of_what_was_shown_before_it_was_parked_again_is_refused():
    world, queue = parked(), Queue()
    world.change(park_no=2)
    seen = world.stored()._replace(park_no=1)
    with pytest.raises(ParkedRefusedError, match="look again"):
        retry(seen, "alice", queue, decisions(world), times=Times(), work=work("op:1"))
    assert queue.sent == []


def test_parked_payments_are_retried_group_by_group_in_order():
    def item(name: str, group: str, number: int, reason: str = "gateway_answer_invalid") -> Item:
        stored = whole_item({"status": "parked", "transaction_id": name, "parked_reason": reason})
        return from_stored(stored | {"message_group_id": group, "sequence_number": f"{number:020d}"})

    items = [item("c", "g2", 1), item("b", "g1", 10), item("a", "g1", 9), item("d", "g1", 1, "tries_used_up")]
    assert [each.transaction_id for each in in_order(items, "gateway_answer_invalid")] == ["a", "b", "c"]
    assert [each.transaction_id for each in in_order(items)] == ["d", "a", "b", "c"]


def test_a_payment_that_the_gateway_never_knew_is_cancelled_with_a_masked_reason():
    world = parked()
    assert (
        cancel(world.stored(), "alice", f"sent twice, {CARD}", decisions(world), unasked, find_end=no_end)
        == "cancelled"
    )
    item = world.item()
    assert (item["status"], item["reason_code"], item["cancelled_by"]) == ("cancelled", "cancelled", "alice")
    assert CARD not in item["cancel_reason"]
    assert item["open_shard"].startswith("ended#")
    assert send(world, message(message_id="m-2"), owner="r-8:m-2") == "duplicate"


def test_what_is_not_parked_is_neither_retried_nor_cancelled():
    world, queue = World(), Queue()
    send(world)
    with pytest.raises(ParkedRefusedError, match="is completed and not parked"):
        retried(world, queue)
    with pytest.raises(ParkedRefusedError, match="is completed and not parked"):
        cancel(world.stored(), "alice", "why", decisions(world), unasked, find_end=no_end)
    with pytest.raises(ApprovalRefusedError):
        cancel(parked().stored(), "alice", " ", decisions(world), unasked, find_end=no_end)


def test_a_cancel_and_a_retry_at_once_leave_one_of_them():
    world, queue = parked(), Queue()
    seen = world.stored()
    retried(world, queue)
    cancel(seen, "bob", "sent twice", decisions(world), unasked, find_end=no_end)
    assert send(world, Message("m-9", queue.sent[0][0], "group-1"), owner="r-9:m-9") == "duplicate"
    assert world.gateway.captures == {}


def test_a_workflows_payment_that_two_retry_at_once_is_taken_over_by_one(monkeypatch):
    world = parked()
    world.change(generation=1, approval_name="dev-pay-abc123-1", execution_arn="arn:1")
    other = world.stored()._replace(status="pending_approval", owner="op:other")
    monkeypatch.setattr(DynamoDbParkingLog, "take_over_parked", lambda *_, **__: other)
    with pytest.raises(ParkedRefusedError, match="is pending_approval: somebody else retried it"):
        retried(world, Queue())
    assert world.approvals.started == []


def test_a_workflows_payment_is_retried_by_a_new_execution_and_by_no_message():
    world, queue = parked(), Queue()
    approved = {"generation": 1, "approval_name": "dev-pay-abc123-1", "execution_arn": "arn:1"}
    decided = {"decision": "approve", "decided_by": "alice", "decided_at": world.clock.ms, "comment": "fine"}
    world.change(**approved, **decided)
    with pytest.raises(ParkedRefusedError, match="about to end"):
        retry(world.stored(), "alice", queue, decisions(world, closed=False), times=Times(), work=work("op:1"))
    assert send(world, message(message_id="m-2"), owner="r-8:m-2") == "in_workflow"
    assert retried(world, queue) == "restarted"
    item = world.item()
    assert (item["status"], item["generation"], item["decision"], item["tries"]) == (
        "pending_approval",
        2,
        "approve",
        0,
    )
    assert [name for name, _ in world.approvals.started] == ["dev-pay-abc123-2"]
    assert queue.sent == []


@pytest.mark.parametrize(
    ("state", "found"), [("approved", "completed"), ("declined", "declined"), ("prepared", "parked")]
)
def test_reconcile_asks_about_a_parked_payment_and_takes_nothing_over(state, found):
    world = parked("charge")
    world.gateway.scripts["status"] = [GatewayResult(state, 2599, "USD", "A", "2024-01-01T12:00:00Z")]
    attempt = world.item()["attempt"]
    findings = list(settle_parked(Rules(), world.ports, decisions(world), work("r:1")))
    assert findings == [Finding(KEY, found, "gateway_answer_invalid")]
    assert (world.item()["status"], world.item()["attempt"]) == (found, attempt)


def test_reconcile_tells_people_of_a_parked_reference_that_the_gateway_does_not_know():
    world = parked("charge")
    world.notifier.alarms.clear()
    world.gateway.scripts["status"] = [GatewayReferenceUnknownError("HTTP 404")]
    findings = list(settle_parked(Rules(), world.ports, decisions(world), work("r:1")))
    assert findings == [Finding(KEY, "unsettled", "gateway_reference_unknown")]
    assert world.notifier.alarms == [("gateway_reference_unknown", KEY, "HTTP 404")]
    assert world.item()["status"] == "parked"


def test_reconcile_does_not_record_what_a_retry_took_over_meanwhile():
    world = parked("charge")

    def taken_over() -> GatewayResult:
        world.change(status="processing", attempt=world.item()["attempt"] + 1, owner="r-9:m-9")
        return GatewayResult("approved", 2599, "USD", "A", "2024-01-01T12:00:00Z")

    world.gateway.status = lambda gateway_ref: taken_over()  # type: ignore[method-assign]
    [finding] = settle_parked(Rules(), world.ports, decisions(world), work("r:1"))
    assert (finding.outcome, world.item()["status"]) == ("parked", "processing")


def test_the_retry_goes_to_the_payments_queue_and_group():
    calls: list[dict[str, Any]] = []

    class Sqs:
        def send_message(self, **request: Any) -> None:
            calls.append(request)
            if len(calls) > 1:
                raise AwsError("SendMessage", "QueueDoesNotExist", "")

    queue = SqsRetryQueue(Sqs, "https://queue")
    item = parked().stored()
    queue.send(item, "pay-abc123#retry#1")
    assert calls == [
        {
            "QueueUrl": "https://queue",
            "MessageBody": item.request,
            "MessageGroupId": "group-1",
            "MessageDeduplicationId": "pay-abc123#retry#1",
        }
    ]
    with pytest.raises(RetryNotSentError, match="QueueDoesNotExist"):
        queue.send(item, "pay-abc123#retry#1")
