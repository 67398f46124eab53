"""An outcome event: made from the item alone, of what may be told, and the same whenever it is made."""

from __future__ import annotations

import json
import re

import pytest

from handler.adapters.events.records import read_record
from handler.adapters.table.expressions import to_attributes
from handler.domain.errors import DamagedItemError, UnknownItemError
from handler.domain.item import REQUIRED, Item, from_stored, to_stored
from handler.domain.outcome_event import (
    EVENT_BYTES_MAX,
    OUTCOMES,
    TOLD,
    WITHHELD,
    EventTooLargeError,
    is_outcome,
    outcome_event,
    sequence,
)
from handler.domain.states import OPEN
from tests.support.build_scripts import ROOT, load
from tests.support.payments import World, body, message, send, whole_item
from tests.support.schema import problems

SCHEMA = json.loads((ROOT / "docs" / "outcome-event-1.schema.json").read_text())


def item_of(status: str, **attributes) -> Item:
    return from_stored(whole_item({}, status=status, version=3, **attributes))


def event_of(item: Item, environment: str = "dev"):
    return json.loads(outcome_event(item, environment).text)


def record_of(before, after):
    images = {"NewImage": after, "OldImage": before}
    return {
        "dynamodb": {
            "Keys": {"transaction_id": {"S": "txn-pay-abc123"}},
            "SequenceNumber": "1",
            **{name: to_attributes(image) for name, image in images.items() if image is not None},
        }
    }


def test_every_attribute_of_an_item_is_told_or_withheld_with_its_reason():
    assert set(TOLD).isdisjoint(WITHHELD)
    assert {*TOLD, *WITHHELD} == set(Item._fields), "a new attribute: may everybody outside know it?"
    assert all(WITHHELD.values())


def test_every_final_or_parked_state_and_a_conflict_is_an_outcome():
    assert set(OUTCOMES) == set(REQUIRED) - OPEN | {"parked"}


@pytest.mark.parametrize("status", OUTCOMES)
def test_an_event_of_each_outcome_is_as_its_schema_says(status):
    event = event_of(item_of(status))
    assert list(problems(SCHEMA, event)) == []
    assert event["status"] == status
    assert event["version"] == 3
    assert event["kind"] == ("conflict" if status == "conflict" else "payment")


@pytest.mark.parametrize("missing", ["event_id", "version", "gateway_ref", "amount_minor"])
def test_the_schema_refuses_an_event_that_lacks_what_its_outcome_has(missing):
    event = event_of(item_of("completed"))
    del event[missing]
    assert list(problems(SCHEMA, event)) == [f": no {missing}"]


def test_the_schema_lets_a_later_release_add_kinds_and_properties():
    event = event_of(item_of("completed")) | {"kind": "payout", "status": "sent", "payout_id": "p-1"}
    del event["gateway_ref"]
    assert list(problems(SCHEMA, event)) == []


def test_nothing_that_is_withheld_is_in_an_event():
    attributes = {name: "withheld-text" for name, kind in Item.__annotations__.items() if kind == "str"}
    item = item_of("completed")._replace(**{name: attributes[name] for name in WITHHELD if name in attributes})
    assert "withheld-text" not in outcome_event(item, "dev").text


def test_an_amount_is_text_with_all_its_decimals_and_never_a_float():
    world = World()
    send(world, message(body(amount=25.5)))
    event = event_of(world.stored())
    assert event["amount"] == "25.50"
    assert event["amount_minor"] == 2550
    assert list(problems(SCHEMA, event)) == []


def test_what_is_empty_is_not_there_but_a_fraud_score_of_nothing_is():
    event = event_of(item_of("declined", risk=0))
    assert event["fraud_score"] == 0
    assert "gateway_ref" not in event
    assert "faults" not in event


def test_each_outcome_of_an_item_has_the_next_number_and_an_id_of_its_own():
    superseded = [{"message_id": "m", "request_hash": "h", "canonical_version": 1}]
    story = [
        item_of("rejected", faults=[{"field": "", "reason_code": "malformed"}]),
        item_of("parked", superseded=superseded, park_no=1),
        item_of("parked", superseded=superseded, park_no=2),
        item_of("completed", superseded=superseded, park_no=2),
    ]
    assert [sequence(item) for item in story] == [1, 2, 3, 4]
    assert [event_of(item)["more_may_follow"] for item in story] == [True, True, True, False]
    assert len({event_of(item)["event_id"] for item in story}) == 4


def test_a_persons_no_and_a_conflict_are_followed_by_nothing():
    assert not event_of(item_of("rejected"))["more_may_follow"]
    conflict = event_of(item_of("conflict", faults=[{"field": "", "reason_code": "malformed"}]))
    assert (conflict["sequence"], conflict["more_may_follow"]) == (1, False)


def test_ids_of_two_environments_differ_as_they_may_share_a_topic():
    item = item_of("completed")
    assert event_of(item)["event_id"] == event_of(item)["event_id"]
    assert event_of(item)["event_id"] != event_of(item, "prod")["event_id"]


def test_an_event_with_too_many_faults_says_how_many_it_leaves_out():
    item = item_of("rejected", faults=[{"field": "x" * 100, "reason_code": "malformed"} for _ in range(1000)])
    event = outcome_event(item, "dev")
    said = json.loads(event.text)
    assert len(event.text) <= EVENT_BYTES_MAX
    assert len(said["faults"]) + said["faults_left_out"] == 1000
    assert list(problems(SCHEMA, said)) == []


def test_an_item_that_was_made_too_large_by_hand_has_no_event():
    with pytest.raises(EventTooLargeError, match="txn-pay-abc123"):
        outcome_event(item_of("completed", order_id="o" * EVENT_BYTES_MAX), "dev")


def test_a_text_of_any_script_is_sent_in_ascii():
    assert outcome_event(item_of("completed", order_id="\ufffe\u0001π"), "dev").text.isascii()


# ---- a record of the stream ----
def test_an_item_that_comes_to_its_outcome_is_told_and_a_later_write_is_not():
    parked = whole_item({}, status="parked")
    allowed = parked | {"retry_no": 1, "retried_by": "somebody", "version": 9}
    assert read_record(record_of(None, parked), "dev") == outcome_event(from_stored(parked), "dev")
    assert read_record(record_of(whole_item({}), parked), "dev") is not None
    assert read_record(record_of(parked, allowed), "dev") is None


def test_a_replay_after_a_permission_to_retry_has_the_id_of_what_was_told():
    parked = whole_item({}, status="parked")
    allowed = from_stored(parked | {"retry_no": 1, "retried_by": "somebody", "version": 9})
    assert outcome_event(allowed, "dev").event_id == outcome_event(from_stored(parked), "dev").event_id


def test_a_payment_that_is_parked_again_is_told_again():
    first, second = (whole_item({}, status="parked", park_no=number) for number in (1, 2))
    assert read_record(record_of(whole_item({}, park_no=1), second), "dev") is not None
    # Of two writes that the stream has as one.
    assert read_record(record_of(first, second), "dev") is not None


def test_an_open_item_and_one_that_was_deleted_are_not_told():
    assert read_record(record_of(None, whole_item({})), "dev") is None
    assert read_record(record_of(whole_item({}, status="completed"), None), "dev") is None
    assert not is_outcome(from_stored(whole_item({}, status="pending_approval")))


def test_an_item_that_was_damaged_before_and_is_mended_now_is_told():
    mended = whole_item({}, status="completed")
    damaged = {name: value for name, value in mended.items() if name != "gateway_ref"}
    assert read_record(record_of(damaged, mended), "dev") is not None


def test_an_item_that_cannot_be_read_raises():
    completed = whole_item({}, status="completed")
    with pytest.raises(DamagedItemError):
        read_record(record_of(None, {n: v for n, v in completed.items() if n != "gateway_ref"}), "dev")
    with pytest.raises(UnknownItemError):
        read_record(record_of(None, completed | {"status": "refunded"}), "dev")


def test_a_payments_path_makes_no_call_for_its_events(monkeypatch):
    world, calls = World(), []
    for name in ("get_item", "put_item", "update_item", "query"):
        real = getattr(world.dynamodb, name)
        monkeypatch.setattr(
            world.dynamodb, name, lambda real=real, name=name, **request: calls.append(name) or real(**request)
        )
    send(world)
    # Claim, store gateway reference, record.
    assert calls == ["put_item", "update_item", "update_item"]
    assert world.gateway.calls == ["prepare", "charge"]
    assert world.item()["version"] == 3


def test_an_event_says_what_the_stored_item_says():
    world = World()
    send(world)
    item = world.stored()
    event = event_of(item)
    stored = to_stored(item)
    for name in set(TOLD) - {"amount", "gateway_response", "faults"}:
        assert event.get(name) == stored.get(name), name


def test_the_schema_is_what_the_code_makes():
    assert (ROOT / "docs" / "outcome-event-1.schema.json").read_text() == load("pages").event_schema(), "make pages"


def test_the_stream_is_asked_for_every_outcome_and_for_no_other_state():
    module = (ROOT / "terraform" / "modules" / "outcome_events" / "main.tf").read_text()
    [listed] = re.findall(r"^  outcomes += (\[.*\])$", module, re.MULTILINE)
    assert sorted(json.loads(listed)) == sorted(OUTCOMES)


# ---- docs/events.md ----
def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "docs" / "events.md").read_text(), re.DOTALL | re.MULTILINE
    )


def test_the_event_that_the_page_shows_is_one():
    [shown] = blocks("json")
    event = json.loads(shown)
    assert list(problems(SCHEMA, event)) == []
    assert [name for name in event if name not in SCHEMA["properties"]] == []


def test_the_receiver_that_the_page_shows_keeps_the_newest_and_notices_what_is_missing():
    [source] = blocks("python")
    receiver: dict = {}
    exec(source, receiver)
    parked, again, completed = (
        event_of(item_of("parked", park_no=1)),
        event_of(item_of("parked", park_no=2)),
        event_of(item_of("completed", park_no=2)),
    )
    receive = receiver["receive"]
    assert [receive(event) for event in (parked, parked, completed)] == [True, False, True]
    assert receiver["missing"] == {("txn-pay-abc123", 2)}
    assert not receive(again)
    assert receiver["missing"] == set()
    assert receiver["newest"]["txn-pay-abc123"]["status"] == "completed"
    assert not receive(completed | {"kind": "refund", "transaction_id": "txn-pay-abc123#refund#1"})
