"""What comes after a charge reaches the item with its history, whoever did it, and no state changes because of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler.adapters.events.records import read_record
from handler.adapters.table.expressions import to_attributes
from handler.domain.errors import GatewayAnswerError, GatewayUnavailableError, OwnershipLostError, RetryableError
from handler.domain.later import look_again
from handler.domain.outcome_event import ROWS_TOLD_MAX, outcome_event
from handler.domain.payment import Dispute, DisputeSeen, GatewayResult, Refund, RefundSeen
from tests.support.parking import decisions
from tests.support.payments import KEY, World, send

CAPTURED = GatewayResult("approved", 2599, "USD", "A", "2024-01-01T12:00:00Z")
OURS = Refund("re_1", "ref-1", "refunded", 1000, "USD", 1)
THEIRS = Refund("re_2", "", "pending", 500, "USD", 2)
DISPUTE = Dispute("du_1", "open", 700, "EUR", "fraudulent", 3)


def settled(**changes: Any) -> World:
    """A completed payment, of which the gateway says what `says` will tell."""
    world = World()
    send(world)
    if changes:
        world.change(**changes)
    world.gateway.calls.clear()
    says(world)
    return world


def says(world: World, *later: Refund | Dispute, **of_status: Any) -> None:
    """What the gateway says from now on: the lists, and `status` as it follows from them, or as it is given."""
    refunds = [each for each in later if isinstance(each, Refund)]
    disputes = [each for each in later if isinstance(each, Dispute)]
    given_back = sum(each.amount_minor for each in refunds if each.state != "failed")
    result = CAPTURED._replace(**{"refunded_minor": given_back, "disputed": bool(disputes), **of_status})

    def status(_: str) -> GatewayResult:
        world.gateway.calls.append("status")
        return result

    def listed(name: str, found: list[Any]) -> Any:
        def ask(_: str) -> list[Any]:
            world.gateway.calls.append(name)
            return found

        return ask

    world.gateway.status = status  # type: ignore[method-assign]
    world.gateway.refunds = listed("refunds", refunds)  # type: ignore[method-assign]
    world.gateway.disputes = listed("disputes", disputes)  # type: ignore[method-assign]


def look(world: World) -> list[str]:
    return list(look_again(world.stored(), world.ports, decisions(world).log, lambda: None, lambda _: None))


def seen(world: World) -> list[tuple[str, str]]:
    item = world.stored()
    refunded = [(row.refund_ref, row.state) for row in item.refunded]
    return refunded + [(row.dispute_ref, row.state) for row in item.disputed]


def test_what_came_after_the_charge_stands_beside_the_state_that_stays():
    world = settled()
    before = world.item()
    world.clock.ms += 60_000
    now = world.clock.ms
    says(world, OURS, THEIRS, DISPUTE)
    assert look(world) == ["refunded", "disputed"]
    item = world.stored()
    assert item.refunded == (
        RefundSeen("re_1", "ref-1", "refunded", 1000, 1, now),
        RefundSeen("re_2", "", "pending", 500, 2, now),
    )
    assert item.disputed == (DisputeSeen("du_1", "open", 700, "EUR", "fraudulent", 3, now),)
    changed = {"refunded", "disputed", "later_no", "updated_at", "version"}
    assert {name: value for name, value in world.item().items() if name not in changed} == {
        name: value for name, value in before.items() if name not in changed
    }
    assert (item.later_no, item.version) == (2, before["version"] + 2)


def test_each_state_is_a_row_of_its_own_and_what_says_nothing_new_writes_nothing():
    world = settled()
    for refund in (THEIRS, THEIRS._replace(state="refunded"), THEIRS._replace(state="failed")):
        says(world, refund)
        assert look(world) == ["refunded"]
        before = world.item()
        assert look(world) == []
        assert world.item() == before
    for dispute in (DISPUTE, DISPUTE._replace(state="won")):
        says(world, THEIRS._replace(state="failed"), dispute)
        assert look(world) == ["disputed"]
    assert [state for _, state in seen(world)] == ["pending", "refunded", "failed", "open", "won"]
    assert world.item()["status"] == "completed"


def test_a_refund_that_failed_before_anybody_looked_is_seen_too():
    world = settled()
    says(world, THEIRS._replace(state="failed"))
    assert look(world) == ["refunded"]
    assert world.gateway.calls == ["status", "refunds"]


def test_an_item_is_disputed_only_if_somebody_disputed_it():
    world = settled()
    says(world, OURS)
    look(world)
    assert "disputed" not in world.item()


def test_a_dispute_is_asked_about_where_the_item_has_one_whatever_the_charge_says():
    world = settled()
    says(world, DISPUTE)
    look(world)
    says(world, DISPUTE._replace(state="lost"), disputed=False)
    assert look(world) == ["disputed"]
    assert world.stored().disputed[-1].state == "lost"


@pytest.mark.parametrize(
    ("later", "of_status"),
    [
        pytest.param((OURS,), {"refunded_minor": 1001}, id="less than the charge says"),
        pytest.param((), {"refunded_minor": 1}, id="nothing at all"),
        pytest.param((OURS, THEIRS._replace(amount_minor=1600)), {}, id="more than was captured"),
        pytest.param((OURS._replace(currency="EUR"),), {}, id="another currency"),
        pytest.param((OURS,), {"amount_minor": 2600}, id="another amount"),
        pytest.param((OURS,), {"currency": "EUR"}, id="the charge in another currency"),
    ],
)
def test_nothing_follows_from_lists_that_cannot_be_all(later: tuple[Refund, ...], of_status: dict[str, Any]):
    world = settled()
    before = world.item()
    says(world, *later, **of_status)
    with pytest.raises(GatewayAnswerError):
        look(world)
    assert world.item() == before


@pytest.mark.parametrize("lost", [OURS, DISPUTE])
def test_a_list_that_lacks_what_the_item_has_ended_early(lost: Refund | Dispute):
    world = settled()
    failed = OURS._replace(state="failed")
    says(world, failed, DISPUTE)
    look(world)
    before = world.item()
    says(world, *(each for each in (failed, DISPUTE) if type(each) is not type(lost)))
    with pytest.raises(GatewayAnswerError, match=f"lacks {lost[0]}"):
        look(world)
    assert world.item() == before


def test_a_list_that_cannot_be_had_writes_nothing_and_is_an_error():
    world = settled()
    says(world, OURS)

    def unavailable(_: str) -> Any:
        raise GatewayUnavailableError("down")

    world.gateway.refunds = unavailable  # type: ignore[method-assign]
    with pytest.raises(GatewayUnavailableError):
        look(world)
    assert "refunded" not in world.item()


@pytest.mark.parametrize("state", ["declined", "cancelled", "in_progress", "requires_action", "prepared"])
def test_a_charge_that_failed_after_it_had_succeeded_is_an_alarm_and_changes_nothing(state: str):
    world = settled()
    before = world.item()
    says(world, state=state)
    assert look(world) == ["contradicted"]
    assert [alarm[:2] for alarm in world.notifier.alarms] == [("outcome_contradicts_record", KEY)]
    assert (world.item(), world.gateway.calls) == (before, ["status"])


@pytest.mark.parametrize(("state", "alarms"), [("approved", 1), ("cancelled", 0), ("declined", 0)])
def test_a_declined_payment_that_captured_is_an_alarm_and_changes_nothing(state: str, alarms: int):
    world = settled(status="declined")
    before = world.item()
    says(world, state=state)
    assert look(world) == ["contradicted"] * alarms
    assert len(world.notifier.alarms) == alarms
    assert world.item() == before


@pytest.mark.parametrize("changes", [{"gateway_ref": None, "status": "declined"}, {"status": "processing"}])
def test_what_has_not_ended_or_has_no_reference_is_not_asked_about(changes: dict[str, Any]):
    world = settled(**changes, **({"open_shard": "processing#1"} if changes["status"] == "processing" else {}))
    assert look(world) == []
    assert world.gateway.calls == []


def test_what_the_gateway_said_earlier_never_takes_the_place_of_what_it_said_later():
    world = settled()
    says(world, THEIRS)
    earlier = world.stored()

    def overtaken(_: str) -> list[Refund]:
        """The answer of before, on its way while another look comes and goes."""
        says(world, THEIRS._replace(state="refunded"))
        look(world)
        return [THEIRS]

    world.gateway.refunds = overtaken  # type: ignore[method-assign]
    with pytest.raises(OwnershipLostError):
        look_again(earlier, world.ports, decisions(world).log, lambda: None, lambda _: None)
    assert seen(world) == [("re_2", "refunded")]


@pytest.mark.parametrize("later", [OURS, DISPUTE])
def test_a_write_whose_answer_was_lost_and_that_is_sent_again_is_our_own_success(later: Refund | Dispute):
    world = settled()
    says(world, later)
    update, sent = world.dynamodb.update_item, []

    def twice(**request: Any) -> Any:
        update(**request)
        sent.append(request)
        return update(**request)

    world.dynamodb.update_item = twice  # type: ignore[method-assign]
    assert look(world) == ["refunded" if isinstance(later, Refund) else "disputed"]
    assert len(sent) == 1
    assert world.item()["later_no"] == 1


@pytest.mark.parametrize("changes", [{"status": "declined"}, {"gateway_ref": "pi_other"}])
def test_an_item_that_was_changed_by_hand_meanwhile_is_left_as_it_stands(changes: dict[str, Any]):
    world = settled()
    read = world.stored()
    says(world, OURS, DISPUTE)
    world.change(**changes)
    before = world.item()
    with pytest.raises(OwnershipLostError):
        look_again(read, world.ports, decisions(world).log, lambda: None, lambda _: None)
    assert world.item() == before


def test_an_item_that_is_gone_is_not_made_anew():
    world = settled()
    read = world.stored()
    says(world, OURS)
    del world.dynamodb.items[KEY]
    with pytest.raises(RetryableError):
        look_again(read, world.ports, decisions(world).log, lambda: None, lambda _: None)
    assert KEY not in world.dynamodb.items


# ---- events -------------------------------------------------------------------------------------------------------


def events(world: World, *befores: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream's records from each of `befores` to the item as it is."""
    found = []
    for before in befores:
        images = {"OldImage": to_attributes(before), "NewImage": to_attributes(world.item())}
        event = read_record({"dynamodb": images}, "dev")
        found += [json.loads(event.text)] if event else []
    return found


def test_what_came_after_the_charge_is_an_event_of_its_own_with_the_next_number():
    world = settled()
    ended, before = json.loads(outcome_event(world.stored(), "dev").text), world.item()
    says(world, OURS)
    look(world)
    (event,) = events(world, before)
    assert (event["sequence"], event["status"], event["kind"]) == (ended["sequence"] + 1, "completed", "payment")
    assert event["event_id"] != ended["event_id"]
    assert event["refunded"] == [world.stored().refunded[0]._asdict()]
    assert "later_no" not in event
    assert events(world, world.item()) == []


def test_an_event_has_the_newest_rows_and_fits_however_many_there_are():
    world = settled()
    rows = tuple(RefundSeen(f"re_{n}" + "9" * 120, "r" * 48, "refunded", 1, 10**12, 10**12) for n in range(400))
    disputed = tuple(DisputeSeen(f"du_{n}" + "9" * 120, "open", 1, "USD", "r" * 64, 10**12, 10**12) for n in range(400))
    item = world.stored()._replace(refunded=rows, disputed=disputed, later_no=800)
    event = json.loads(outcome_event(item, "dev").text)
    assert event["refunded"] == [row._asdict() for row in rows[-ROWS_TOLD_MAX:]]
    assert len(event["disputed"]) == ROWS_TOLD_MAX
