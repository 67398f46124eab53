"""What approvers see of a payment: each rule's own weight and the words that hit, masked, as far as policy allows."""

from __future__ import annotations

import pytest

from handler.adapters.approval.evidence import TableEvidence
from handler.domain.approval.evidence import TEXT_LENGTH_MAX, shown
from handler.domain.errors import ScoringError
from handler.domain.item import from_stored, to_stored
from handler.domain.payment import Address, Payment, RuleHit, Shown
from scoring import _pure
from scoring.table import open_table
from tests.support.approvals import SCORED_70, ApprovalWorld, pending
from tests.support.payments import body

DISPOSABLE, BOX, REGUS, TYPED = 1001, 3002, 3111, 4242
ADDRESS = Address("c/o Regus, P.O.  Box 12", "Springfield", "IL", "62701")
PAYMENT = Payment("pay-1", "ord-1", "cust-1", 9999, "USD", "credit_card", "Jane Doe", "jane@mailinator.com")
EVERYTHING = frozenset({"name", "email", "address"})


def evidence() -> TableEvidence:
    return TableEvidence(_pure, open_table())


def test_each_rule_has_its_own_weight_and_the_words_that_hit():
    payment = PAYMENT._replace(billing_address=ADDRESS)
    assert evidence().hits(payment, [0, DISPOSABLE, BOX, REGUS]) == [
        RuleHit(DISPOSABLE, 3500, "customer_email", "jane@mailinator.com"),
        RuleHit(BOX, 1500, "street", "P.O.  Box"),
        RuleHit(REGUS, 1800, "street", "Regus,"),
    ]


def test_a_rule_that_the_table_does_not_have_is_left_out():
    assert evidence().hits(PAYMENT, [TYPED, DISPOSABLE])[0].rule_id == DISPOSABLE


def test_what_policy_keeps_back_is_kept_back_in_the_words_of_rules_too():
    payment = PAYMENT._replace(billing_address=ADDRESS)
    find = _pure.find_card_numbers
    everything = shown(payment, [DISPOSABLE, BOX], EVERYTHING, evidence(), find)
    assert everything[:3] == ("Jane Doe", "jane@mailinator.com", "c/o Regus, P.O.  Box 12, Springfield, IL, 62701")
    assert [hit.text for hit in everything.hits] == ["jane@mailinator.com", "P.O.  Box"]
    some = shown(payment, [DISPOSABLE, BOX], frozenset({"name"}), evidence(), find)
    assert some == Shown(
        "Jane Doe", "", "", (RuleHit(DISPOSABLE, 3500, "customer_email", ""), RuleHit(BOX, 1500, "street", ""))
    )


class LongHit:
    """`Evidence` with one hit of this text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def hits(self, payment: Payment, rule_ids: object) -> list[RuleHit]:
        return [RuleHit(1, 10, "description", self.text)]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "x" * (TEXT_LENGTH_MAX - 17) + " 4111111111111111",
        # Twenty digits are no card number, the first sixteen are one.
        "x" * (TEXT_LENGTH_MAX - 18) + " 41111111111111119999",
    ],
    ids=["as it is", "cut in two", "what is left of a longer run"],
)
def test_no_card_number_is_kept_however_a_text_is_cut(text: str):
    [hit] = shown(PAYMENT, [1], EVERYTHING, LongHit(text), _pure.find_card_numbers).hits
    assert len(hit.text) <= TEXT_LENGTH_MAX
    assert _pure.find_card_numbers([hit.text]) == [[]]
    assert "41111111111" not in hit.text


def test_a_card_number_in_the_name_is_masked():
    payment = PAYMENT._replace(customer_name="Jane 4111 1111 1111 1111")
    assert shown(payment, [], EVERYTHING, evidence(), _pure.find_card_numbers).name == "Jane **** **** **** 1111"


def test_a_rule_table_that_cannot_be_read_leaves_the_customer():
    class Broken(LongHit):
        def hits(self, payment: Payment, rule_ids: object) -> list[RuleHit]:
            raise ScoringError("damaged")

    assert shown(PAYMENT, [1], EVERYTHING, Broken(""), _pure.find_card_numbers) == Shown(
        "Jane Doe", "jane@mailinator.com", ""
    )


def test_the_item_of_a_payment_that_is_asked_about_keeps_what_the_page_shows():
    world = pending(risky=body(amount=9999.99, customer_name="Jane Doe", customer_email="jane@example.com"))
    assert world.stored().shown == Shown("Jane Doe", "jane@example.com", "123 Main St, Seattle, WA, 98101")
    assert world.stored().request
    world = ApprovalWorld(shows=frozenset())
    pending(world, risky=body(amount=9999.99, customer_name="Jane Doe", customer_email="jane@example.com"))
    assert world.stored().shown == Shown()
    assert SCORED_70.reasons == world.stored().risk_reasons


def test_an_item_whose_personal_data_was_taken_away_is_still_an_item():
    world = pending()
    stored = to_stored(world.stored())
    rests: list[dict[str, object]] = [{}, {"hits": []}, {"name": "Jane"}]
    for rest in rests:
        assert from_stored({**stored, "risk_reasons": [], "approval_reasons": [], "shown": rest}).shown is not None
    del stored["shown"]
    assert from_stored({**stored, "risk_reasons": [], "approval_reasons": []}).shown is None
