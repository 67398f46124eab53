"""What is forgotten, when, and what stays; and how it is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handler.adapters.approval import support
from handler.adapters.table.expressions import to_attributes
from handler.approval_composition import compose_reconcile
from handler.domain.approval.ports import PATIENCE_MS
from handler.domain.claim import held
from handler.domain.errors import GatewayRefusedError, TransactionLogUnavailableError
from handler.domain.forget import DAY_MS, Forgotten, forget_due
from handler.domain.item import from_stored
from handler.domain.payment import GatewayResult
from handler.domain.record import record, refuse
from handler.reconcile_function import ReconcileFunction
from tests.support.approvals import ARN, RISKY, ApprovalWorld, ListExecutions, decisions, pending, reconcile
from tests.support.payments import KEY, body, message, send, work
from tests.support.queue_function import Context
from tests.support.webhook import ListMetrics


def expired() -> ApprovalWorld:
    """A payment that people were shown, and nobody decided on."""
    world = pending()
    world.change(shown={"name": "Ada", "email": "ada@example.com", "address": "1 Main St", "hits": []})
    world.clock.ms += DAY_MS + PATIENCE_MS + 1
    assert reconcile(world, ListExecutions(closed=True)) == "expired"
    return world


def forget(world: ApprovalWorld, days: int, remaining_ms: int = 30_000) -> list[Forgotten]:
    keeps = replace(decisions(world), retention_ms=days * DAY_MS)
    return list(forget_due(world.rules.times, world.ports.notifier, keeps, work(remaining_ms=remaining_ms)))


def test_what_people_were_shown_is_removed_days_after_the_end_and_all_else_stays():
    world = expired()
    before = world.item()
    world.clock.ms += 30 * DAY_MS
    assert forget(world, 30) == []
    world.clock.ms += 1000
    assert forget(world, 30) == [Forgotten(KEY)]
    gone = before.keys() - world.item().keys()
    assert gone == {"shown", "open_shard"}
    changed = {name for name in world.item() if world.item()[name] != before[name]}
    assert changed == {"updated_at", "version"}
    assert forget(world, 30) == []


def test_nothing_is_forgotten_and_nothing_is_asked_for_unless_days_are_given(monkeypatch):
    world = expired()
    world.clock.ms += 4000 * DAY_MS
    monkeypatch.setattr(world.log, "indexed_before", None)
    assert forget(world, 0) == []
    assert world.item()["shown"]["name"] == "Ada"


def test_an_open_payment_is_never_forgotten_however_old_it_is():
    world = pending()
    world.clock.ms += 4000 * DAY_MS
    assert forget(world, 1) == []
    assert {"shown", "request", "open_shard"} <= world.item().keys()


def test_a_message_that_comes_again_afterwards_is_a_duplicate():
    world = expired()
    world.clock.ms += 31 * DAY_MS
    forget(world, 30)
    assert "shown" not in world.item()
    world.gateway.calls.clear()
    assert send(world, message(RISKY), owner="r-9:m-9") == "duplicate"
    assert world.gateway.calls == []


def test_a_conflict_loses_its_text_and_leaves_the_list():
    world = ApprovalWorld()
    send(world)
    assert send(world, message(body(amount=59.99)), owner="r-2:m-2") == "conflict"
    (key,) = world.log.open_transaction_ids("conflict")
    world.clock.ms += DAY_MS
    assert forget(world, 1) == []
    world.clock.ms += 1
    assert forget(world, 1) == [Forgotten(key)]
    assert not {"request", "open_shard"} & world.item(key).keys()
    assert list(world.log.open_transaction_ids("conflict")) == []
    # The same content again is the same conflict.
    assert send(world, message(body(amount=59.99)), owner="r-3:m-3") == "conflict"
    assert "request" not in world.item(key)


@pytest.mark.parametrize("ends", ["record", "refuse"])
def test_what_an_approved_charge_ends_is_found_and_what_nobody_was_shown_leaves_the_index(ends):
    world = ApprovalWorld()
    assert send(world) == "completed"
    assert "open_shard" not in world.item()
    world = pending()
    world.decide("approve")
    item = world.stored()
    world.log.begin_approved_charge(
        KEY, arn=ARN, attempt_seen=1, request_hash=item.request_hash, amount_minor=item.amount_minor, now=1
    )
    claim = held(world.stored(), ARN, 2)
    if ends == "record":
        result = GatewayResult("approved", item.amount_minor, item.currency)
        assert record(claim, "", result, world.ports) == "completed"
    else:
        assert refuse(claim, GatewayRefusedError("no such token", "bad", ""), world.ports) == "declined"
    assert list(world.log.indexed_before("ended", before=world.clock.ms + 1)) == [KEY]
    assert not {"request", "lease_until"} & world.item().keys()


@pytest.mark.parametrize(
    "broken", [{"open_shard": "parked#1"}, {"open_shard": None}, {"processed_at": "2024-01-02T00:00:00Z"}]
)
def test_each_clause_of_forget_person_refuses_on_its_own(broken):
    world = expired()
    world.change(processed_at="2024-01-01T23:59:59Z")
    before = 1_704_153_600_000
    kept = dict(world.dynamodb.items)
    world.change(**broken)
    assert world.log.forget_person(KEY, before=before, now=1) == from_stored(world.item())
    world.dynamodb.items.update(kept)
    assert world.log.forget_person(KEY, before=before, now=1) is None
    assert "shown" not in world.item()


def test_an_item_that_cannot_be_read_does_not_stop_the_others():
    world = expired()
    world.clock.ms += 31 * DAY_MS
    damaged = {**world.item(), "transaction_id": "txn-damaged", "payment_id": "damaged", "attempt": "one"}
    world.dynamodb.items["txn-damaged"] = to_attributes(damaged)
    assert sorted(forget(world, 30)) == [Forgotten("txn-damaged", "item_damaged"), Forgotten(KEY)]


def test_reconcile_on_schedule_forgets_and_says_whom(caplog):
    world = expired()
    world.clock.ms += 31 * DAY_MS
    keeps = replace(decisions(world), retention_ms=30 * DAY_MS)
    ReconcileFunction(world.rules, world.ports, keeps, ListMetrics())({}, Context())
    assert "shown" not in world.item()
    assert [record.getMessage() for record in caplog.records] == [f"{KEY} forgotten"]


def test_the_days_are_the_deployments_and_none_unless_it_says_so(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    assert compose_reconcile(variables, support).retention_ms == 0
    assert compose_reconcile({**variables, "PERSONAL_DATA_DAYS": "30"}, support).retention_ms == 30 * DAY_MS


def test_a_run_without_time_left_forgets_nothing_and_the_next_one_does():
    world = expired()
    world.clock.ms += 31 * DAY_MS
    assert forget(world, 30, remaining_ms=1) == []
    assert forget(world, 30) == [Forgotten(KEY)]


def test_what_cannot_be_listed_is_an_error(monkeypatch):
    world = expired()
    world.clock.ms += 31 * DAY_MS

    def fails(*_: object, **__: object) -> None:
        raise TransactionLogUnavailableError("query ended#0")

    monkeypatch.setattr(type(world.log), "indexed_before", fails)
    with pytest.raises(TransactionLogUnavailableError):
        forget(world, 30)
