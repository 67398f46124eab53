"""What an approver sees of earlier payments of the same billing identity."""

from __future__ import annotations

import re

from handler.adapters.table.expressions import to_attributes
from handler.domain.approval.view import EARLIER_MAX, outcome
from tests.support.approvals import CHARGED, ApprovalWorld, opened, pending, token


def earlier_payment(world: ApprovalWorld, payment_id: str, ago_ms: int, **changes: object) -> None:
    """One of the same billing identity, completed so long before the one that waits, unless `changes` say otherwise."""
    item = {**CHARGED, "payment_id": payment_id, "created_at": world.item()["created_at"] - ago_ms, **changes}
    key = f"txn-{payment_id}"
    world.dynamodb.items[key] = to_attributes({**world.item(), **item, "transaction_id": key})


def test_the_page_shows_earlier_payments_of_the_same_billing_identity_with_their_outcomes():
    world = pending()
    earlier_payment(world, "pay-old", 2000)
    refused = {"code": "card_declined", "decline_code": "stolen_card"}
    earlier_payment(world, "pay-stolen", 1000, status="declined", gateway_response=refused, amount_minor=1200)
    earlier_payment(world, "pay-asked", 500, status="pending_approval")
    earlier_payment(world, "pay-later", -1)
    earlier_payment(world, "pay-other", 1, fingerprint="0" * 64)
    page = opened(world, token(world))[1]
    listed = page[page.index("<h2>Earlier payments of the same billing identity</h2>") :]
    said = re.findall("<small>(.*?)</small></span>", listed)
    assert said == ["pay-asked", "waits for a person", "pay-stolen", "declined (stolen_card)", "pay-old", "charged"]
    assert "<span>12.00 USD<small>declined (stolen_card)</small></span>" in listed
    assert "There are more" not in listed


def test_an_earlier_payment_that_was_disputed_or_given_back_says_so_beside_its_charge():
    world = pending()
    dispute = {"dispute_ref": "dp_1", "amount_minor": 2599, "currency": "USD", "reason": "fraudulent", "created_at": 1}
    rows = [{**dispute, "state": state, "seen_at": at} for at, state in enumerate(("open", "lost"), 2)]
    earlier_payment(world, "pay-taken-back", 4000, disputed=rows, later_no=2)
    earlier_payment(world, "pay-asked-about", 3000, disputed=rows[:1], later_no=1)
    refund = {"refund_ref": "re_1", "refund_id": "", "state": "refunded", "created_at": 1, "seen_at": 2}
    for payment_id, ago, amount_minor in (("pay-in-full", 2000, 2599), ("pay-in-part", 1000, 100)):
        given_back = [{**refund, "amount_minor": amount_minor}]
        earlier_payment(world, payment_id, ago, amount_minor=2599, refunded=given_back, later_no=1)
    taken_back = outcome(world.ports.log.get("txn-pay-taken-back"))[1]
    assert taken_back == "The payment was charged. Since then: disputed (fraudulent) and lost."
    listed = opened(world, token(world))[1].partition("<h2>Earlier payments of the same")[2]
    said = re.findall("<small>(.*?)</small></span>", listed)
    assert dict(zip(said[::2], said[1::2], strict=True)) == {
        "pay-in-part": "charged, given back in part",
        "pay-in-full": "charged, given back",
        "pay-asked-about": "charged, disputed (fraudulent)",
        "pay-taken-back": "charged, disputed (fraudulent) and lost",
    }


def test_at_most_ten_earlier_payments_are_read_and_one_that_is_damaged_hides_none(monkeypatch):
    world = pending()
    assert '<p class="hint">None.</p>' in opened(world, token(world))[1]
    for number in range(EARLIER_MAX + 5):
        earlier_payment(world, f"pay-{number}", number + 1)
    world.dynamodb.items["txn-pay-3"]["amount_minor"] = {"S": "many"}
    read: list[str] = []
    get = type(world.log).get
    monkeypatch.setattr(type(world.log), "get", lambda log, key: (read.append(key), get(log, key))[1])
    page = opened(world, token(world))[1]
    listed = page[page.index("<h2>Earlier") :]
    assert listed.count("<li>") == EARLIER_MAX - 1
    assert "There are more" in listed
    assert len(read) == 1 + EARLIER_MAX
