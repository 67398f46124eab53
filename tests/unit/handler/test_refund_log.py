"""Refunds in the table: what is reserved at the payment and what the refund says of itself are one, whatever fails."""

from __future__ import annotations

from typing import Any

import pytest

from handler.adapters.support.errors import AwsError
from handler.adapters.table.expressions import from_attributes, to_attributes
from handler.adapters.table.memory import MemoryDynamoDb
from handler.adapters.table.refund_log import DynamoDbRefundLog
from handler.domain.errors import (
    DamagedItemError,
    TableRefusedError,
    TransactionLogUnavailableError,
    UnknownItemError,
)
from handler.domain.item import GatewayResponse
from handler.domain.payment import Message
from handler.domain.refund_item import (
    REFUND_REQUIRED,
    REFUND_TRANSITIONS,
    RefundItem,
    RefundRequest,
    captured_from_stored,
    is_refund,
    new_refund,
    refund_from_stored,
    refund_to_stored,
)
from tests.support.payments import KEY, whole_item

NOW = 1_700_000_000_000


class Table:
    """A completed payment over 25.99 and the log of its refunds."""

    def __init__(self, **attributes: Any) -> None:
        self.memory = MemoryDynamoDb()
        self.memory.items[KEY] = to_attributes(whole_item({"status": "completed", **attributes}))
        # As tests read answers that are there: whatever they are.
        self.log: Any = DynamoDbRefundLog(self.memory, "transactions")

    @property
    def reserved(self) -> int | None:
        return from_attributes(self.memory.items[KEY]).get("refund_reserved")

    def reserve(self, refund: RefundItem) -> Any:
        return self.log.claim_reserved(refund, captured_minor=2599)


def refund(refund_id: str = "r-1", amount_minor: int = 2000, status: Any = "pending", **changes: Any) -> RefundItem:
    request = RefundRequest("pay-abc123", refund_id, amount_minor, "USD")
    made = new_refund(request, Message("m-1", "", "g", "1"), status, owner="req:m-1", now_ms=NOW, gateway_ref="pi_1")
    return made._replace(**changes)


def failed(refund: RefundItem, log: Any, seen: Any = "pending") -> Any:
    return log.fail(refund, status_seen=seen, reason_code="refund_failed", response=GatewayResponse("failed"), now=NOW)


def test_of_two_refunds_that_are_too_much_together_one_finds_too_little_left():
    table = Table()
    assert table.reserve(refund("r-1", 2000)) is None
    refused = table.reserve(refund("r-2", 600))
    assert refused.refund is None
    assert (refused.payment.status, refused.payment.refund_reserved) == ("completed", 2000)
    assert table.log.get(refund("r-2").transaction_id) is None
    assert table.reserve(refund("r-2", 599)) is None
    assert table.reserved == 2599


def test_the_first_refund_too_reserves_no_more_than_was_captured():
    table = Table()
    assert table.reserve(refund(amount_minor=2600)).payment.amount_minor == 2599
    assert table.reserved is None


@pytest.mark.parametrize("attributes", [{"status": "processing"}, {"status": "declined"}, {"disputed": "du_1"}])
def test_nothing_is_reserved_at_a_payment_that_gives_nothing_back(attributes):
    table = Table(**attributes)
    assert table.reserve(refund()).payment is not None
    assert table.reserved is None


def test_the_same_refund_again_reserves_nothing_and_shows_the_one_that_stands():
    table = Table()
    assert table.reserve(refund(amount_minor=1000)) is None
    assert table.reserve(refund(amount_minor=1000)).refund.amount_minor == 1000
    assert table.reserved == 1000


def test_a_refund_that_fails_gives_its_reservation_back_once():
    table, made = Table(), refund()
    table.reserve(made)
    assert failed(made, table.log) is None
    stands = failed(made, table.log)
    assert (stands.status, stands.reason_code, stands.failed_at) == ("failed", "refund_failed", NOW)
    assert list(table.log.open_transaction_ids()) == []
    assert table.reserved == 0


def test_what_a_bank_returns_is_given_back_too():
    table, made = Table(), refund()
    table.reserve(made)
    assert table.log.record(made.transaction_id, refund_ref="re_1", now=NOW) is None
    assert failed(made, table.log) is not None, "it is not pending any more"
    assert failed(made, table.log, seen="refunded") is None
    assert (table.reserved, table.log.get(made.transaction_id).refunded_at) == (0, NOW)


def test_a_refund_that_was_taken_over_is_not_failed_by_the_one_who_had_it():
    table, made = Table(), refund()
    table.reserve(made)
    taken = {"owner": "reconcile:1", "attempt_seen": 1, "now": NOW + 1}
    assert table.log.take_over(made.transaction_id, stale=NOW, **taken) is not None, "its last call may be on its way"
    assert table.log.take_over(made.transaction_id, stale=NOW + 1, **taken) is None
    assert failed(made, table.log).attempt == 2
    assert table.reserved == 2000


def test_a_reservation_is_never_below_nothing():
    table, made = Table(), refund()
    table.reserve(made)
    table.memory.items[KEY]["refund_reserved"] = {"N": "1"}
    with pytest.raises(DamagedItemError, match="less reserved"):
        failed(made, table.log)
    assert table.log.get(made.transaction_id).status == "pending"


def test_a_waiting_refund_begins_once_and_reserves_once():
    table, made = Table(), refund(status="waiting", gateway_ref="", amount_minor=1000)
    assert table.log.claim(made) is None
    assert table.reserved is None
    begin = {"owner": "reconcile:1", "gateway_ref": "pi_1", "captured_minor": 2599, "now": NOW + 1}
    assert table.log.begin(made, **begin) is None
    assert table.log.begin(made, **begin).refund.status == "pending"
    assert table.reserved == 1000
    assert list(table.log.open_transaction_ids()) == [made.transaction_id]
    assert list(table.log.open_since()) == [NOW]


def test_a_key_is_given_up_once():
    table, made = Table(), refund()
    table.reserve(made)
    assert table.log.next_key(made.transaction_id, attempt=1, gateway_try_seen=0, now=NOW) is None
    assert table.log.next_key(made.transaction_id, attempt=1, gateway_try_seen=0, now=NOW).gateway_try == 1
    assert table.log.next_key(made.transaction_id, attempt=2, gateway_try_seen=1, now=NOW).gateway_try == 1


def canceled(*codes: str) -> AwsError:
    reasons = [{"Code": code} for code in codes]
    return AwsError("TransactWriteItems", "TransactionCanceledException", "", {"CancellationReasons": reasons})


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (canceled("TransactionConflict", "None"), TransactionLogUnavailableError),
        (canceled("None", "ThrottlingError"), TransactionLogUnavailableError),
        (AwsError("TransactWriteItems", "TransactionCanceledException", "", {}), TransactionLogUnavailableError),
        (AwsError("TransactWriteItems", "", "no answer"), TransactionLogUnavailableError),
        (AwsError("TransactWriteItems", "ValidationException", "too large"), TableRefusedError),
    ],
)
def test_a_transaction_that_nobodys_item_refused_is_no_refusal(error, raised):
    class Refusing(MemoryDynamoDb):
        def transact_write_items(self, **_: Any) -> dict[str, Any]:
            raise error

    with pytest.raises(raised):
        DynamoDbRefundLog(Refusing(), "transactions").claim_reserved(refund(), captured_minor=2599)


def test_a_refund_reads_as_it_was_written():
    made = refund(gateway_response=GatewayResponse("failed", code="charge_disputed"), status="failed")
    made = made._replace(reason_code="refund_refused", failed_at=NOW)
    stored = from_attributes(to_attributes(refund_to_stored(made)))
    stored["gateway_response"] = {"status": "failed", "code": "charge_disputed"}
    assert refund_from_stored(stored | {"of_newer_code": 1}) == made
    assert made.sequence == 1
    assert made._replace(pending_at=NOW).sequence == 2


@pytest.mark.parametrize("status", REFUND_REQUIRED)
def test_a_refund_without_what_its_state_requires_is_damaged(status):
    times = {"waiting_at": 1, "pending_at": 1, "refunded_at": 1, "failed_at": 1}
    whole = refund_to_stored(refund())
    whole |= {"status": status, "refund_ref": "re_1", "reason_code": "refund_failed", **times}
    assert refund_from_stored(whole).status == status
    for name in REFUND_REQUIRED[status]:
        with pytest.raises(DamagedItemError, match=name):
            refund_from_stored({each: value for each, value in whole.items() if each != name})
    with pytest.raises(DamagedItemError, match="another type"):
        refund_from_stored(whole | {"amount_minor": "2000"})


def test_a_state_of_newer_code_is_no_damage():
    with pytest.raises(UnknownItemError, match="reversed"):
        refund_from_stored(refund_to_stored(refund()) | {"status": "reversed"})
    with pytest.raises(UnknownItemError, match="reversed"):
        captured_from_stored(whole_item({}) | {"status": "reversed"})


@pytest.mark.parametrize("attributes", [{"amount_minor": 0}, {"currency": None}, {"gateway_ref": None}])
def test_a_payment_that_does_not_say_what_it_captured_gives_nothing_back(attributes):
    stored = whole_item({"status": "completed"}) | attributes
    with pytest.raises(DamagedItemError, match="what was captured"):
        captured_from_stored({name: value for name, value in stored.items() if value is not None})


def test_every_state_of_a_refund_can_be_come_to():
    assert {after for _, after in REFUND_TRANSITIONS} == set(REFUND_REQUIRED)


def test_a_conflict_of_a_refund_is_no_refund():
    assert is_refund("txn-pay-1#refund#r-1")
    assert not is_refund("txn-pay-1#refund#r-1#conflict#00")
    assert not is_refund("txn-pay-1")
