"""The outcome events of a refund: one for each state, of what may be told, as the schema says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler.adapters.events.records import read_record
from handler.adapters.table.expressions import to_attributes
from handler.domain.item import GatewayResponse
from handler.domain.refund_event import TOLD_OF_REFUND, WITHHELD_OF_REFUND, refund_event
from handler.domain.refund_item import RefundItem, refund_to_stored
from tests.support.build_scripts import ROOT
from tests.support.refunds import completed, give
from tests.support.schema import problems

SCHEMA = json.loads((ROOT / "docs" / "outcome-event-1.schema.json").read_text())


def of_state(status: Any) -> RefundItem:
    """A refund that came to a state by way of those before it."""
    world = completed()
    give(world)
    times = {"waiting": {}, "pending": {"pending_at": 2}, "refunded": {"pending_at": 2, "refunded_at": 3}}
    times["failed"] = {**times["refunded"], "failed_at": 4}
    of_failed = {"reason_code": "refund_failed", "gateway_response": GatewayResponse("failed")}
    none = dict.fromkeys(("pending_at", "refunded_at", "failed_at"))
    shard = "refund#0" if status in ("waiting", "pending") else ""
    made = world.refund()._replace(status=status, waiting_at=1, open_shard=shard, **none)
    return made._replace(**times[status], **(of_failed if status == "failed" else {}))


def record(before: RefundItem | None, after: RefundItem) -> dict[str, Any]:
    images = {"NewImage": after, "OldImage": before}
    return {
        "dynamodb": {
            "Keys": {"transaction_id": {"S": after.transaction_id}},
            **{name: to_attributes(refund_to_stored(each)) for name, each in images.items() if each is not None},
        }
    }


def test_every_attribute_of_a_refund_is_told_or_withheld_with_its_reason():
    assert set(TOLD_OF_REFUND).isdisjoint(WITHHELD_OF_REFUND)
    assert {*TOLD_OF_REFUND, *WITHHELD_OF_REFUND} == set(RefundItem._fields)
    assert all(WITHHELD_OF_REFUND.values())


@pytest.mark.parametrize(("status", "number"), [("waiting", 1), ("pending", 2), ("refunded", 3), ("failed", 4)])
def test_the_event_of_each_state_is_as_the_schema_says(status, number):
    event = json.loads(refund_event(of_state(status), "dev").text)
    assert list(problems(SCHEMA, event)) == []
    assert (event["kind"], event["status"], event["sequence"]) == ("refund", status, number)
    assert (event["more_may_follow"], event["amount"]) == (status != "failed", "20.00")
    del event["amount_minor"]
    assert list(problems(SCHEMA, event)) == [": no amount_minor"]


def test_a_state_is_told_once_and_no_other_write_is():
    pending, refunded = of_state("pending"), of_state("refunded")
    told = read_record(record(pending, refunded), "dev")
    assert told == refund_event(refunded, "dev")
    assert read_record(record(refunded, refunded._replace(version=9)), "dev") is None
    assert read_record(record(None, pending), "dev") == refund_event(pending, "dev")
    assert told.event_id != refund_event(refunded, "prod").event_id
