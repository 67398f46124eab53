"""The stream of `make run`: the same from the same seed, with everything in it that the run is to show."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from local.faults import FAULTS, GATEWAY_FAULTS, REFUND_FAULT, START_LOST, TABLE_FAULTS, plan
from local.gateway.stripe_dialect import APPROVED, TOKENS
from local.traffic import DECLINED, make


def test_the_same_seed_gives_the_same_stream_and_another_seed_another() -> None:
    assert make(200, 20, 1) == make(200, 20, 1)
    assert [message.body for message in make(200, 20, 1)] != [message.body for message in make(200, 20, 2)]


@pytest.mark.parametrize("seed", range(10))
def test_a_stream_holds_every_kind_and_repeats_only_what_went_before(seed: int) -> None:
    messages = make(200, 20, seed)
    kinds = Counter(message.kind for message in messages)
    assert set(kinds) == {
        *("ordinary", "declined_card", "risky", "invalid", "unusable", "malformed", "card_number"),
        *("duplicate", "duplicate_dropped", "conflict", "corrected"),
    }
    assert sum(message.original is None for message in messages) == 200
    assert kinds["duplicate"] == kinds["duplicate_dropped"] == 10
    assert [message.number for message in messages] == list(range(len(messages)))
    assert 15 <= len({message.group for message in messages}) <= 20
    for message in messages:
        if message.original is None:
            continue
        original = messages[message.original]
        assert original.number < message.number
        assert original.payment_id == message.payment_id
        if message.kind == "conflict":
            assert json.loads(message.body)["amount"] == message.amount_minor / 100 != original.amount_minor / 100
            assert message.group == original.group
        elif message.kind == "corrected":
            assert (original.kind, message.group) == ("invalid", original.group)
            assert message.body != original.body
        else:
            assert message.body == original.body
        if message.kind == "duplicate_dropped":
            assert (message.group, message.deduplication_id) == (original.group, "")


@pytest.mark.parametrize("payments", [1, 2, 3, 7, 40])
def test_small_streams_have_as_many_payments_as_asked_for(payments: int) -> None:
    messages = make(payments, 3, 1)
    assert sum(message.original is None for message in messages) == payments


@pytest.mark.parametrize(("payments", "groups"), [(0, 1), (1, 0)])
def test_no_payments_or_groups_are_refused(payments: int, groups: int) -> None:
    with pytest.raises(ValueError, match="both are at least 1"):
        make(payments, groups, 1)


def test_amounts_are_spread_as_in_a_shop_and_stay_below_what_asks_a_person() -> None:
    amounts = sorted(message.amount_minor for message in make(1000, 20, 1) if message.kind == "ordinary")
    assert 99 <= amounts[0] < 500
    assert 2000 < amounts[len(amounts) // 2] < 4500
    assert 20_000 < amounts[-1] < 50_000


def test_every_good_message_names_an_instrument_of_the_gateways_test_mode_and_ends_as_that_says() -> None:
    kinds: dict[str, set[tuple[str, str]]] = {}
    for message in make(200, 20, 1):
        if message.kind in ("ordinary", "declined_card", "risky", "card_number", "corrected"):
            outcome = TOKENS[json.loads(message.body)["payment_token"]]
            kinds.setdefault(message.kind, set()).add(outcome)
            assert (message.ends == DECLINED) == (outcome != APPROVED)
    assert kinds.pop("declined_card") == {("card_declined", "generic_decline"), ("card_declined", "insufficient_funds")}
    assert set().union(*kinds.values()) == {APPROVED}


def test_faults_are_planned_for_one_unrepeated_payment_each() -> None:
    messages = make(200, 20, 1)
    planned = plan(messages, 1)
    # The refund's is planned with the refunds (test_afterwards.py).
    assert set(planned) == {*FAULTS} - {REFUND_FAULT}
    assert len(set(planned.values())) == len(planned)
    repeated = {message.original for message in messages}
    ordinary = {m.payment_id for m in messages if m.kind == "ordinary" and m.number not in repeated}
    approved = [m.payment_id for m in messages if m.decision == "approve" and m.number not in repeated]
    assert planned[START_LOST] == approved[0]
    assert {planned[fault] for fault in (*GATEWAY_FAULTS, *TABLE_FAULTS)} <= ordinary
    assert plan(messages, 1) == planned != plan(messages, 2)
    # The costly ones first, where there are too few payments for all.
    assert set(plan(make(8, 2, 1), 1)) <= {*TABLE_FAULTS, *GATEWAY_FAULTS[:2], START_LOST}
