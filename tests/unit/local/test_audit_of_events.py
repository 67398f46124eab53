"""The audit's check of outcome events turns red for each thing that an event or its absence can have wrong."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from local.event_audit import events_say_what_the_items_say
from local.evidence import Evidence


def found() -> dict[str, list[dict[str, Any]]]:
    """A payment that was parked, is completed and gave back, its refund, one that is open, and a conflict."""
    done = {"transaction_id": "txn-1", "payment_id": "1", "status": "completed", "version": Decimal(7)}
    done |= {"amount_minor": Decimal(100), "gateway_ref": "pi_1"}
    # Its end was version 5; then two refunds were reserved, one of them given back, and one write was an outcome.
    later = done | {"version": Decimal(9), "refunded": [{"refund_ref": "re_1", "amount_minor": Decimal(40)}]}
    refund = {"transaction_id": "txn-1#refund#r", "payment_id": "1", "refund_id": "r", "amount_minor": Decimal(40)}
    refund |= {"status": "refunded", "version": Decimal(4), "refund_ref": "re_1", "pending_at": 1, "refunded_at": 2}
    failed = {"transaction_id": "txn-1#refund#f", "payment_id": "1", "refund_id": "f", "version": Decimal(2)}
    failed |= {"status": "failed", "reason_code": "refund_failed", "pending_at": 1, "failed_at": 2}
    open_item = {"transaction_id": "txn-2", "payment_id": "2", "status": "processing", "version": Decimal(1)}
    conflict = {"transaction_id": "txn-1#conflict#0", "payment_id": "1", "status": "conflict", "version": Decimal(1)}
    return {
        "items": [later, open_item, conflict, refund, failed],
        "events": [
            done | {"status": "parked", "sequence": 1, "version": 4, "gateway_ref": None},
            conflict | {"sequence": 1},
            done | {"sequence": 2, "version": 5},
            done | {"sequence": 2, "version": 5},
            refund | {"sequence": 1, "status": "pending", "version": 1, "refund_ref": None},
            refund | {"sequence": 2},
            failed | {"sequence": 1, "status": "pending", "version": 1, "reason_code": None},
            failed | {"sequence": 2},
            later | {"sequence": 3, "version": 7},
        ],
    }


def sentences(given: dict[str, list[dict[str, Any]]]) -> list[str]:
    evidence = Evidence(
        environment="dev",
        sent=[],
        items=given["items"],
        rejected=[],
        dead_lettered=[],
        left_on_queue=0,
        deliveries=None,
        events=given["events"],
    )
    return list(events_say_what_the_items_say(evidence))


def test_events_that_say_what_the_items_say_pass() -> None:
    assert sentences(found()) == []


def _lose_the_last(given: dict[str, list[dict[str, Any]]]) -> None:
    kept = [event for event in given["events"] if event["transaction_id"] != "txn-1" or event["sequence"] == 1]
    given["events"] = kept


def _lose_the_first(given: dict[str, list[dict[str, Any]]]) -> None:
    del given["events"][0]


def _lose_the_conflict(given: dict[str, list[dict[str, Any]]]) -> None:
    del given["events"][1]


def _tell_behind(given: dict[str, list[dict[str, Any]]]) -> None:
    given["events"].append(given["events"].pop(0))


def _tell_otherwise_again(given: dict[str, list[dict[str, Any]]]) -> None:
    given["events"][3] = given["events"][3] | {"gateway_ref": "pi_2"}


def _tell_another_amount(given: dict[str, list[dict[str, Any]]]) -> None:
    given["items"][0]["amount_minor"] = Decimal(101)


def _write_without_telling(given: dict[str, list[dict[str, Any]]]) -> None:
    given["items"][0]["version"] = Decimal(10)


def _tell_of_a_version_twice(given: dict[str, list[dict[str, Any]]]) -> None:
    given["events"][-1]["version"] = 5


def _reserve_without_a_refund(given: dict[str, list[dict[str, Any]]]) -> None:
    del given["items"][3]["pending_at"]


def _keep_another_row(given: dict[str, list[dict[str, Any]]]) -> None:
    given["items"][0]["refunded"] = []


def _lose_a_refund(given: dict[str, list[dict[str, Any]]]) -> None:
    del given["events"][4:6]


def _write_a_refund_without_telling(given: dict[str, list[dict[str, Any]]]) -> None:
    given["items"][3]["version"] = Decimal(5)


def _tell_of_nobody(given: dict[str, list[dict[str, Any]]]) -> None:
    given["events"].append({"transaction_id": "txn-9", "sequence": 1})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_lose_the_last, "txn-1 was told otherwise"),
        (_lose_the_first, "of its outcomes were told: [2, 3]"),
        (_lose_the_conflict, "txn-1#conflict#0 is conflict, and of its outcomes were told: []"),
        (_tell_behind, "outcome 1 of txn-1 was told behind a later one"),
        (_tell_otherwise_again, "was told twice, and otherwise"),
        (_tell_another_amount, "amount_minor"),
        (_write_without_telling, "txn-1 is version 10, and by what was told of it 9"),
        (_tell_of_a_version_twice, "txn-1 was told in versions [4, 5, 5]"),
        (_reserve_without_a_refund, "txn-1 is version 9, and by what was told of it 8"),
        (_keep_another_row, "refunded"),
        (_lose_a_refund, "txn-1#refund#r is refunded, and of its outcomes were told: []"),
        (_write_a_refund_without_telling, "txn-1#refund#r is version 5"),
        (_tell_of_nobody, "txn-9 was told of, and has no item"),
    ],
)
def test_what_is_wrong_is_told(damage: Callable[[dict[str, list[dict[str, Any]]]], None], said: str) -> None:
    given = found()
    damage(given)
    assert any(said in sentence for sentence in sentences(given))
